"""The page of the events: what comes is there at once, and can be read."""

import json
import re
from base64 import b64encode
from pathlib import Path

import httpx
from nicegui import Client
from nicegui.page import page
from playwright.sync_api import expect
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from gateway.console.client import Api as ApiOfConsole
from gateway.console.pages.events import LOOK_TICKS, Tail
from gateway.console.session import Session
from gateway.model import Role
from gateway.storage.events import EventStore
from tests.api.rig import Api
from tests.console.conftest import Visit
from tests.console.loops import run

ECHO = """var given = JSON.parse(String.fromCharCode.apply(String, payload));
return {deviceName: given.name, telemetry: {value: given.value}};"""


def send(visit: Visit, url: str, name: str, value: object = 1) -> None:
    """An uplink."""
    visit.served.command("send", url, "--text", json.dumps({"name": name, "value": value}))


def test_it_says_how_debugging_is_switched_on_and_then_follows_what_comes(visit: Visit) -> None:
    url = visit.served.add_integration("silent", ECHO)
    visit.open("/events?integration=silent")
    expect(visit.page.get_by_text("Debugging of silent is off.")).to_be_visible()
    visit.button("Record all of silent for 15 minutes").click()
    expect(visit.page.get_by_text("Nothing yet")).to_be_visible()
    assert visit.served.json("integration", "show", "silent")["debug"] == "all"
    send(visit, url, "first")
    expect(visit.row("first")).to_be_visible()
    visit.button("Pause").click()
    send(visit, url, "second")
    visit.page.wait_for_timeout(1500)
    expect(visit.row("second")).to_be_hidden()
    visit.button("Resume").click()
    expect(visit.row("second")).to_be_visible()
    visit.served.command("integration", "update", "silent", "--debug", "off")
    expect(visit.page.get_by_text("No others will come")).to_be_visible()


def test_one_is_read_in_all_its_parts(visit: Visit) -> None:
    url = visit.served.add_integration("read", ECHO, "--debug", "all", "--metadata", "site=Berlin")
    send(visit, url, "<b>{{ 1 }}", {"deep": [1]})
    visit.open("/events?integration=read")
    visit.row("<b>{{ 1 }}").get_by_role("button").click()
    expect(visit.dialog).to_contain_text('"name": "<b>{{ 1 }}"')
    expect(visit.dialog).to_contain_text('"deviceName": "<b>{{ 1 }}"')
    expect(visit.dialog.locator("tr", has_text="site")).to_contain_text("Berlin")
    visit.dialog.get_by_role("button", name="Hex", exact=True).click()
    expect(visit.dialog).to_contain_text("0000  7b 22 6e 61 6d 65 22")
    visit.dialog.get_by_role("button", name="Text", exact=True).click()
    expect(visit.dialog).to_contain_text('{"name": "<b>{{ 1 }}", "value": {"deep": [1]}}')
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.dialog).to_be_hidden()
    assert visit.complaints == []


def test_failures_and_a_devices_own_are_found(visit: Visit) -> None:
    url = visit.served.add_integration("mixed", ECHO, "--debug", "all")
    for name in ("one", "two"):
        send(visit, url, name)
    visit.served.command("send", url, "--text", "no JSON", code=1)
    visit.open("/events?integration=mixed")
    expect(visit.row("")).to_have_count(3)
    visit.page.get_by_text("Errors only").click()
    expect(visit.row("")).to_have_count(1)
    visit.row("").get_by_role("button").click()
    expect(visit.dialog.locator(".code-block.bad")).to_contain_text(re.compile("JSON|SyntaxError"))
    visit.dialog.get_by_role("button", name="Close").click()
    visit.page.get_by_text("Errors only").click()
    visit.page.get_by_label("Device, principal or address").fill("two")
    expect(visit.row("")).to_have_count(1)
    expect(visit.row("two")).to_be_visible()


def test_however_much_comes_the_integrations_are_asked_for_now_and_then(tmp_path: Path) -> None:
    api = Api(tmp_path)
    api.integration("busy")
    paths: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append(scope["path"])
        await api.app(scope, receive, send)

    async def follow() -> list[int]:
        """How often they have been asked for after each tick."""
        http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")
        token = api.headers(Role.VIEWER)["Authorization"].removeprefix("Bearer ")
        request = HTTPConnection({"type": "http", "query_string": b"", "headers": []})
        session = Session(ApiOfConsole(http, token), token, "ada", False, request)
        asked = []
        with Client(page("/following"), request=None) as client:
            tail = Tail(session, await session.api.get_all("/integrations"))
            await tail.restart()
            for tick in range(2 * LOOK_TICKS):
                record(api, tick)
                await tail.follow()
                asked.append(paths.count("/api/v1/integrations"))
            client.delete()
        await http.aclose()
        return asked

    assert run(follow()) == [1] * (LOOK_TICKS - 1) + [2] * LOOK_TICKS + [3]
    assert paths.count("/api/v1/events") == 1 + 2 * LOOK_TICKS


def record(api: Api, ts_ms: int) -> None:
    """An event of an uplink."""
    store = EventStore(api.data_dir)
    store.add(
        [
            {
                "ts": ts_ms,
                "integration": "busy",
                "peer": "127.0.0.1:5000",
                "principal": None,
                "payload": b64encode(b"SN-1").decode(),
                "payload_bytes": 4,
                "metadata": "{}",
                "out": json.dumps({"deviceName": "SN-1"}),
                "error": None,
                "duration_us": 150,
                "names": ["SN-1"],
            }
        ]
    )
    store.close()
