"""Every route there is: nobody gets by without a token, no viewer changes anything, no other site's page either."""

import asyncio
import re
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest
from fastapi.routing import APIRoute

from gateway.api.app import OPEN_ROUTERS, PREFIX, ROUTERS
from gateway.api.auth import SAFE_METHODS, cookie_name
from gateway.model import Role
from gateway.operations.users import log_in, set_password
from tests.api.rig import Api

OPEN = {"/livez", "/readyz", "/version", "/metrics", "/api/v1/login"}
"""What anybody may ask."""

OWN = {("POST", "/api/v1/logout"), ("POST", "/api/v1/me/password")}
"""What a viewer may change: what is their own."""

HOST = "127.0.0.1:8080"
PASSWORD = "correct horse battery"


class Way(NamedTuple):
    """A method and a path."""

    method: str
    path: str


def ways(prefix: str, routers: tuple[object, ...]) -> Iterator[Way]:
    """All methods and paths of these routers."""
    for router in routers:
        for route in router.routes:  # type: ignore[attr-defined]
            assert isinstance(route, APIRoute)
            yield from (Way(method, prefix + route.path) for method in sorted(route.methods or ()))


GUARDED = list(ways(PREFIX, ROUTERS))
UNSAFE = [way for way in GUARDED if way.method not in SAFE_METHODS]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Api:
    """One for all routes: what is refused changes nothing."""
    return Api(tmp_path_factory.mktemp("api"))


def answer(api: Api, way: Way, headers: dict[str, str]) -> httpx.Response:
    """What a request of that way gets; its parameters are whatever may stand there."""
    path = re.sub(r"\{[^}]*\}", "1", way.path)

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(api.app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            return await client.request(way.method, path, headers=headers)

    return asyncio.run(call())


def test_what_anybody_may_ask_is_what_is_meant_to_be() -> None:
    assert {way.path for way in ways("", OPEN_ROUTERS)} == OPEN


def test_there_is_no_route_besides_those(api: Api) -> None:
    described = {(method.upper(), path) for path, methods in api.app.openapi()["paths"].items() for method in methods}
    listed = {(way.method, re.sub(r":path\}", "}", way.path)) for way in (*GUARDED, *ways("", OPEN_ROUTERS))}
    assert described <= listed
    top = {getattr(route, "path", "") for route in api.app.routes} - {""}
    assert top - {path for _, path in listed} <= {"/openapi.json"}


@pytest.mark.parametrize("way", GUARDED, ids=" ".join)
def test_without_a_token_it_is_401(api: Api, way: Way) -> None:
    refused = answer(api, way, {})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == 'Bearer realm="gateway"'
    assert refused.json()["type"] == "/problems/unauthenticated"


@pytest.mark.parametrize("way", GUARDED, ids=" ".join)
def test_with_a_wrong_token_it_is_401(api: Api, way: Way) -> None:
    assert answer(api, way, {"Authorization": "Bearer nothing"}).status_code == 401
    assert (
        answer(api, way, {"Cookie": f"{cookie_name(api.settings)}=nothing", "Origin": f"http://{HOST}"}).status_code
        == 401
    )


@pytest.mark.parametrize("way", UNSAFE, ids=" ".join)
def test_a_viewer_changes_nothing(api: Api, way: Way) -> None:
    refused = answer(api, way, api.headers(Role.VIEWER))
    if way in OWN:
        assert refused.status_code != 403
    else:
        assert refused.status_code == 403
        assert "viewer" in refused.json()["detail"]


@pytest.mark.parametrize("way", UNSAFE, ids=" ".join)
@pytest.mark.parametrize(
    "origin",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{HOST}"},
        {"Origin": "http://127.0.0.1:8081"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {},
    ],
    ids=str,
)
def test_another_sites_page_changes_nothing_with_a_cookie(
    api: Api, admins_cookie: str, way: Way, origin: dict[str, str]
) -> None:
    refused = answer(api, way, {"Cookie": admins_cookie} | origin)
    assert refused.status_code == 403
    assert "not come from this site's own pages" in refused.json()["detail"]


@pytest.fixture(scope="module")
def admins_cookie(api: Api) -> str:
    """The cookie of an admin that is logged in."""
    with api.catalogue() as catalogue:
        set_password(catalogue, "ada", PASSWORD)
        found = log_in(catalogue, "ada", PASSWORD, hours=1)
    assert found is not None
    return f"{cookie_name(api.settings)}={found.token}"


def test_the_cookie_is_good_otherwise(api: Api, admins_cookie: str) -> None:
    me = Way("GET", "/api/v1/me")
    assert answer(api, me, {"Cookie": admins_cookie}).json()["role"] == "admin"
    change = Way("POST", "/api/v1/me/password")
    assert answer(api, change, {"Cookie": admins_cookie, "Origin": f"http://{HOST}"}).status_code == 422
    assert answer(api, change, {"Cookie": admins_cookie, "Sec-Fetch-Site": "same-origin"}).status_code == 422
