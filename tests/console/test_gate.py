"""Who is let in, and what pages may do: by plain requests, as whoever tries the doors sends them."""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from nicegui import __version__
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.api.conftest import Served
from tests.e2e.harness import PATIENCE_S, eventually

PAGE = "/console/integrations"


def client_id(page: httpx.Response) -> str:
    """What a page calls itself towards its socket."""
    (found,) = re.findall(r"'client_id': '([0-9a-f-]+)'", page.text)
    return str(found)


def open_socket(served: Served, page: str, headers: dict[str, str]) -> str:
    """Try to open a page's socket; gives the first message."""
    url = f"{served.url.replace('http', 'ws', 1)}/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    origin: Any = headers.pop("Origin", None)
    with connect(f"{url}&client_id={page}", origin=origin, additional_headers=headers) as socket:
        return str(socket.recv(timeout=10))


@contextlib.contextmanager
def socket_of(served: Served, page: str, browser: httpx.Client) -> Iterator[ClientConnection]:
    """A page's socket, connected as socket.io does it."""
    url = f"{served.url.replace('http', 'ws', 1)}/console/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    headers = {"Cookie": cookie(browser)}
    with connect(f"{url}&client_id={page}", origin=Origin(served.url), additional_headers=headers) as socket:
        assert str(socket.recv(timeout=PATIENCE_S)).startswith("0{")
        socket.send("40")
        assert str(socket.recv(timeout=PATIENCE_S)).startswith("40{")
        yield socket


def shake_hands(socket: ClientConnection, page: str) -> bool:
    """Whether a page lets the socket in."""
    of_browser = {"client_id": page, "tab_id": "tab", "document_id": "document", "next_message_id": 0}
    socket.send("421" + json.dumps(["handshake", of_browser]))
    while not (answer := str(socket.recv(timeout=PATIENCE_S))).startswith("431"):
        pass
    return answer == "431[true]"


def complain(socket: ClientConnection, page: str) -> None:
    """Say something in a page's name."""
    message = {"client_id": page, "level": "error", "message": f"this-is-{page}"}
    socket.send("42" + json.dumps(["log", message]))


def cookie(browser: httpx.Client) -> str:
    """A browser's cookies as a header."""
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def test_who_is_not_logged_in_is_sent_to_the_log_in_page(served: Served) -> None:
    answer = served.anybody().get(PAGE)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/console/login?next={PAGE}"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["", "/", "/nowhere", "/login/more", "/favicon.ico/more", "/devices/SN-001"])
def test_no_page_is_built_for_them_whatever_they_ask(served: Served, path: str) -> None:
    answer = served.anybody().get(f"/console{path}", follow_redirects=True)
    assert "nicegui" not in answer.text.lower()
    assert '<form id="log-in"' in answer.text


@pytest.mark.parametrize("path", ["/assets/none", "/assets/%2e%2e/gate.py", f"/_nicegui/{__version__}/none"])
def test_nor_where_files_are_that_are_for_everyone(served: Served, path: str) -> None:
    answer = served.anybody().get(f"/console{path}")
    assert answer.status_code in (401, 404)
    assert "<html" not in answer.text


@pytest.mark.parametrize("token", ["", "none", "x" * 5000])
def test_a_cookie_that_is_no_log_in_is_none(served: Served, token: str) -> None:
    name = next(iter(served.browser().cookies))
    answer = served.anybody().get(PAGE, headers={"Cookie": f"{name}={token}"})
    assert answer.status_code == 303


def test_an_upload_without_a_log_in_is_refused(served: Served) -> None:
    answer = served.anybody().post("/console/_nicegui/client/1/upload/1", content=b"x")
    assert answer.status_code == 401


def test_the_root_leads_to_the_console(served: Served) -> None:
    assert served.anybody().get("/").headers["location"] == "/console/"


def test_scripts_of_a_page_need_its_nonce_and_none_may_come_from_elsewhere(served: Served) -> None:
    browser = served.browser()
    one, other = browser.get(PAGE), browser.get(PAGE)
    policy = one.headers["content-security-policy"]
    (nonce,) = re.findall(r"'nonce-([^']+)'", policy)
    assert nonce not in other.headers["content-security-policy"]
    directives = {name: rest for name, _, rest in (part.strip().partition(" ") for part in policy.split(";"))}
    assert directives["default-src"] == "'none'"
    assert "unsafe-inline" not in directives["script-src"]
    assert {directives[name] for name in ("object-src", "frame-ancestors")} == {"'none'"}
    assert {directives[name] for name in ("connect-src", "base-uri", "form-action", "font-src")} == {"'self'"}
    scripts = re.findall(r"<script[^>]*>", one.text)
    assert scripts
    assert all(f'nonce="{nonce}"' in script for script in scripts)


def test_the_log_in_page_needs_nothing_unsafe(served: Served) -> None:
    answer = served.anybody().get("/console/login")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_socket_opens_for_the_page_of_the_same_log_in(served: Served) -> None:
    browser = served.browser()
    page = client_id(browser.get(PAGE))
    assert open_socket(served, page, {"Cookie": cookie(browser), "Origin": served.url}).startswith("0{")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_socket_from_another_sites_page_is_refused(served: Served, origin: str) -> None:
    browser = served.browser()
    page = client_id(browser.get(PAGE))
    with pytest.raises(InvalidStatus):
        open_socket(served, page, {"Cookie": cookie(browser), "Origin": origin})


def test_the_sockets_other_way_is_refused_to_other_sites_as_well(served: Served) -> None:
    browser = served.browser()
    page = client_id(browser.get(PAGE))
    polling = f"/console/_nicegui_ws/socket.io/?EIO=4&transport=polling&client_id={page}"
    assert browser.get(polling).status_code == 200
    assert browser.get(polling, headers={"Origin": "http://evil.example"}).status_code == 400


def test_a_socket_that_names_no_page_is_refused(served: Served) -> None:
    browser = served.browser()
    with pytest.raises(InvalidStatus):
        open_socket(served, "", {"Cookie": cookie(browser), "Origin": served.url})


def test_a_socket_is_no_way_into_anothers_page_whose_name_is_known(served: Served) -> None:
    password = served.json("user", "add", "vic")["password"]
    admin, viewer = served.browser(), served.browser("vic", password)
    theirs, own = client_id(admin.get(PAGE)), client_id(viewer.get(PAGE))
    with socket_of(served, own, viewer) as socket:
        assert not shake_hands(socket, theirs)
        assert shake_hands(socket, own)
        complain(socket, theirs)
        complain(socket, own)
        eventually(lambda: f"complains error=this-is-{own}" in served.log, "what the own page says is heard")
    assert f"this-is-{theirs}" not in served.log


def test_a_socket_without_a_log_in_is_refused(served: Served) -> None:
    page = client_id(served.browser().get(PAGE))
    with pytest.raises(InvalidStatus):
        open_socket(served, page, {"Origin": served.url})


def test_somebody_elses_page_can_not_be_taken_over(served: Served) -> None:
    page = client_id(served.browser().get(PAGE))
    other = served.browser()
    with pytest.raises(InvalidStatus):
        open_socket(served, page, {"Cookie": cookie(other), "Origin": served.url})


def test_a_page_that_is_not_there_says_so_in_the_frame_of_the_browser(served: Served) -> None:
    assert served.browser().get("/console/nowhere").status_code == 404
