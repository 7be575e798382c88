"""Log-ins, tokens and passwords, as clients have them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.api.auth import TOKEN_LENGTH_MAX
from gateway.credentials.passwords import LENGTH_MIN
from gateway.model import Role
from gateway.operations.users import add_user, create_token, digest
from tests.api.rig import Api

HOST = "http://127.0.0.1:8080"
PASSWORD = "correct horse battery"
WRONG = {"user": "eva", "password": "wrong"}
RIGHT = {"user": "eva", "password": PASSWORD}


class Browser:
    """Keeps cookies, and says where its requests come from."""

    def __init__(self, api: Api, *, host: str = HOST, address: str = "192.0.2.1", **headers: str) -> None:
        self._app = api.app
        self._host = host
        self._address = address
        self._headers = headers or {"Origin": host}
        self.cookies = httpx.Cookies()

    def __call__(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        """One request below /api/v1."""

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._address, 1234))
            async with httpx.AsyncClient(
                transport=transport, base_url=f"{self._host}/api/v1", cookies=self.cookies
            ) as client:
                answer = await client.request(
                    method, path, json=json, headers=httpx.Headers(self._headers | headers, "utf-8")
                )
                self.cookies = client.cookies
                return answer

        return asyncio.run(call())

    def log_in(self, password: str = PASSWORD, user: str = "eva") -> httpx.Response:
        """Log in as is right."""
        answer = self("POST", "/login", {"user": user, "password": password})
        assert answer.status_code == 200, answer.text
        return answer

    @property
    def is_logged_in(self) -> bool:
        """Whether it still is."""
        return self("GET", "/me").status_code == 200


@pytest.fixture
def make_api(tmp_path: Path) -> Callable[..., Api]:
    """Makes an app with the admin eva."""

    def make(**settings: Any) -> Api:
        api = Api(tmp_path, **settings)
        with api.catalogue() as catalogue:
            add_user(catalogue, "eva", Role.ADMIN, PASSWORD)
        return api

    return make


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    """An app with the admin eva."""
    return make_api()


def test_a_log_in_is_good_by_its_cookie_and_by_its_token(api: Api) -> None:
    browser = Browser(api)
    answer = browser.log_in()
    assert answer.json()["role"] == "admin"
    me = browser("GET", "/me").json()
    assert me == {"user": "eva", "role": "admin", "expires_ts": answer.json()["expires_ts"]}
    script = Browser(api, Authorization=f"Bearer {answer.json()['token']}")
    assert script("GET", "/me").json() == me
    assert script("POST", "/tokens", {"name": "x"}).status_code == 201


def test_the_cookie_is_hidden_from_scripts_and_not_sent_by_other_sites(api: Api) -> None:
    cookie = Browser(api).log_in().headers["set-cookie"]
    assert cookie.startswith("gateway-log-in-8080=")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {
        "httponly",
        f"max-age={12 * 3600}",
        "path=/",
        "samesite=strict",
    }


def test_behind_a_proxy_with_tls_the_cookie_is_for_tls_and_this_host_alone(make_api: Callable[..., Api]) -> None:
    api = make_api(gateway_http_public_url="https://gateway.example.com")
    browser = Browser(api, host="https://gateway.example.com")
    cookie = browser.log_in().headers["set-cookie"]
    assert cookie.startswith("__Host-gateway-log-in-8080=")
    assert "; secure" in cookie.lower()
    assert "domain" not in cookie.lower()
    assert browser("POST", "/tokens", {"name": "x"}).status_code == 201


def test_a_wrong_name_and_a_wrong_password_are_told_in_the_same_words(api: Api) -> None:
    browser = Browser(api)
    answers = [browser("POST", "/login", given) for given in (WRONG, {"user": "nobody", "password": PASSWORD})]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()
    assert not browser.cookies


def test_another_sites_page_logs_nobody_in(api: Api) -> None:
    assert Browser(api, Origin="http://evil.example")("POST", "/login", RIGHT).status_code == 403
    assert Browser(api, **{"Sec-Fetch-Site": "cross-site"})("POST", "/login", RIGHT).status_code == 403


def test_a_script_logs_in_without_saying_where_it_comes_from(api: Api) -> None:
    assert Browser(api, Accept="*/*")("POST", "/login", RIGHT).status_code == 200


def test_a_log_in_lasts_as_long_as_the_setting_says(make_api: Callable[..., Api]) -> None:
    api = make_api(gateway_http_session_hours=2)
    answer = Browser(api).log_in()
    assert f"max-age={2 * 3600}" in answer.headers["set-cookie"].lower()
    with api.catalogue() as catalogue:
        ((created_ms, expires_ms),) = catalogue._file.connection.execute(
            "SELECT created_ms, expires_ms FROM log_ins"
        ).fetchall()
    assert expires_ms - created_ms == 2 * 3_600_000
    assert answer.json()["expires_ts"] == expires_ms


def test_a_log_in_that_is_over_is_good_for_nothing(api: Api) -> None:
    browser = Browser(api)
    token = browser.log_in().json()["token"]
    with api.catalogue() as catalogue:
        catalogue._file.connection.execute("UPDATE log_ins SET expires_ms = 1")
    assert not browser.is_logged_in
    assert Browser(api, Authorization=f"Bearer {token}")("GET", "/me").status_code == 401


def test_logging_out_ends_this_log_in_alone_and_takes_the_cookie_away(api: Api) -> None:
    browser, other = Browser(api), Browser(api)
    token = browser.log_in().json()["token"]
    other.log_in()
    answer = browser("POST", "/logout")
    assert answer.status_code == 204
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert Browser(api, Authorization=f"Bearer {token}")("GET", "/me").status_code == 401
    assert other.is_logged_in


def test_another_password_of_ones_own_ends_the_other_log_ins(api: Api) -> None:
    browser, other = Browser(api), Browser(api)
    browser.log_in()
    other.log_in()
    changed = browser("POST", "/me/password", {"current": PASSWORD, "password": "battery staple"})
    assert changed.status_code == 204
    assert browser.is_logged_in
    assert not other.is_logged_in
    assert other("POST", "/login", RIGHT).status_code == 401
    other.log_in("battery staple")


@pytest.mark.parametrize(
    ("current", "password", "field"),
    [
        ("wrong", "battery staple", "current"),
        (PASSWORD, "x" * (LENGTH_MIN - 1), "password"),
        (PASSWORD, "eva", "password"),
    ],
)
def test_what_is_wrong_with_a_change_of_password_is_told_beside_the_field(
    api: Api, current: str, password: str, field: str
) -> None:
    browser = Browser(api)
    browser.log_in()
    refused = browser("POST", "/me/password", {"current": current, "password": password})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    Browser(api).log_in()


def test_after_too_many_failures_even_the_right_password_is_refused_for_a_while(make_api: Callable[..., Api]) -> None:
    api = make_api(gateway_http_lockout_failures=3, gateway_http_lockout_seconds=60)
    browser, elsewhere = Browser(api), Browser(api, address="198.51.100.1")
    assert [browser("POST", "/login", WRONG).status_code for _ in range(3)] == [401, 401, 401]
    refused = browser("POST", "/login", RIGHT)
    assert refused.status_code == 429
    assert 55 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json()["type"] == "/problems/too-many-requests"
    assert elsewhere("POST", "/login", RIGHT).status_code == 429  # the user is locked out everywhere
    assert browser("POST", "/login", {"user": "ada", "password": "x"}).status_code == 429  # the address for everybody
    assert elsewhere("POST", "/login", {"user": "ada", "password": "x"}).status_code == 401


def test_who_is_logged_in_stays_so_when_their_name_is_locked_out(make_api: Callable[..., Api]) -> None:
    api = make_api(gateway_http_lockout_failures=1)
    browser = Browser(api)
    browser.log_in()
    assert Browser(api, address="198.51.100.1")("POST", "/login", WRONG).status_code == 401
    assert browser.is_logged_in


def test_a_success_forgets_the_failures(make_api: Callable[..., Api]) -> None:
    browser = Browser(make_api(gateway_http_lockout_failures=2))
    for _ in range(3):
        assert browser("POST", "/login", WRONG).status_code == 401
        browser.log_in()


def test_guessing_ones_own_password_is_locked_out_too(make_api: Callable[..., Api]) -> None:
    browser = Browser(make_api(gateway_http_lockout_failures=2))
    browser.log_in()
    guess = {"current": "wrong", "password": "battery staple"}
    assert [browser("POST", "/me/password", guess).status_code for _ in range(3)] == [422, 422, 429]


def test_a_role_that_changes_counts_at_once(api: Api) -> None:
    browser = Browser(api)
    browser.log_in()
    assert browser("POST", "/tokens", {"name": "x"}).status_code == 201
    assert api.call("PATCH", "/users/eva", json={"role": "viewer"}).status_code == 200
    assert browser("POST", "/tokens", {"name": "x"}).status_code == 403
    assert browser("GET", "/me").json()["role"] == "viewer"


def test_a_user_that_is_removed_is_out_at_once(api: Api) -> None:
    browser = Browser(api)
    browser.log_in()
    assert api.call("DELETE", "/users/eva").status_code == 204
    assert not browser.is_logged_in


@pytest.mark.parametrize(
    "credentials",
    ["", "Bearer", "Bearer ", "Basic ZXZhOng=", "Bearer é", "Bearer " + "x" * (TOKEN_LENGTH_MAX + 1), "bearer x y"],
)
def test_what_is_no_token_is_401(api: Api, credentials: str) -> None:
    answer = Browser(api, Accept="*/*")("GET", "/me", Authorization=credentials)
    assert answer.status_code == 401


def test_a_bearer_outranks_a_cookie(api: Api) -> None:
    browser = Browser(api)
    browser.log_in()
    assert browser("GET", "/me", Authorization="Bearer wrong").status_code == 401
    assert browser("GET", "/me", **api.headers(Role.VIEWER)).json()["user"] == "ada"


def test_an_api_token_is_no_cookie_that_another_site_could_use(api: Api) -> None:
    with api.catalogue() as catalogue:
        token = create_token(catalogue, "eva", "x", Role.ADMIN, days=None).token
        assert catalogue.users.bearer(digest(token), now_ms=0) is not None
    browser = Browser(api, Accept="*/*")
    browser.cookies.set("gateway-log-in-8080", token)
    assert browser("POST", "/tokens", {"name": "x"}).status_code == 403


def test_secrets_are_in_no_log_line(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="gateway")
    browser = Browser(api)
    token = browser.log_in().json()["token"]
    browser("POST", "/login", {"user": "eva", "password": "wrong horse battery"})
    for secret in (PASSWORD, token, "wrong horse battery"):
        assert secret not in caplog.text
