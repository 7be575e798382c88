"""The console's way to the REST API: the application's own routes, called in this process as a browser would."""

from typing import Final, Self

import httpx
from fastapi import FastAPI

from gateway.api.paging import LIMIT_MAX
from gateway.model import JsonValue
from gateway.settings import Settings

API: Final = "/api/v1"

PATIENCE_S: Final = 60.0
"""How long an answer may take."""


class ApiProblem(Exception):
    """What the API refused, and why (RFC 9457)."""

    def __init__(self, status: int, title: str, detail: str, hint: str, errors: dict[str, str]) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.hint = hint
        """The cure; empty where there is none to name."""
        self.errors = errors
        """Of a form, what is wrong with each field."""

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """The problem that an answer tells, as well as it can be told."""
        try:
            told = response.json()
        except ValueError:
            told = {}
        if not isinstance(told, dict):
            told = {}
        title = str(told.get("title") or response.reason_phrase or "Error")
        errors = {str(error.get("field")): str(error.get("message")) for error in told.get("errors") or ()}
        return cls(response.status_code, title, str(told.get("detail") or title), str(told.get("hint") or ""), errors)


class ApiDoor:
    """The application as an HTTP server without a network. One for all that are logged in."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False),
            base_url=f"http://127.0.0.1:{settings.gateway_http_bind_port}",
            timeout=PATIENCE_S,
        )

    def of(self, token: str) -> "Api":
        """The API in the name of whoever has this log-in's token."""
        return Api(self._http, token)


class Api:
    """Requests in somebody's name; paths are those below `/api/v1`. Each raises ApiProblem where it is refused."""

    def __init__(self, http: httpx.AsyncClient, token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, **query: str | int | bool | None) -> JsonValue:
        """What is there. What is None in the query is left out."""
        given = {name: value for name, value in query.items() if value is not None}
        return (await self._send("GET", path, query=given)).json()

    async def get_all(self, path: str) -> list[JsonValue]:
        """All that a list has, however long it is, page by page; `path` is of one that goes on at an `offset`."""
        found: list[JsonValue] = []
        offset: int | None = 0
        while offset is not None:
            told = await self.get(path, limit=LIMIT_MAX, offset=offset)
            found += told["items"]
            offset = told["next"]
        return found

    async def get_bytes(self, path: str) -> bytes:
        """A file."""
        return (await self._send("GET", path)).content

    async def post(self, path: str, body: JsonValue = None) -> JsonValue:
        """Make or do something."""
        return _json(await self._send("POST", path, body=body))

    async def post_for_bytes(self, path: str, body: JsonValue = None) -> bytes:
        """Have a file made."""
        return (await self._send("POST", path, body=body)).content

    async def put(self, path: str, body: JsonValue) -> JsonValue:
        """Put in place of what was there."""
        return _json(await self._send("PUT", path, body=body))

    async def patch(self, path: str, body: JsonValue) -> JsonValue:
        """Change what is given."""
        return _json(await self._send("PATCH", path, body=body))

    async def delete(self, path: str) -> None:
        """Have it gone."""
        await self._send("DELETE", path)

    async def _send(
        self, method: str, path: str, *, query: dict[str, str | int | bool] | None = None, body: JsonValue = None
    ) -> httpx.Response:
        response = await self._http.request(method, API + path, params=query, json=body, headers=self._headers)
        if response.is_success:
            return response
        raise ApiProblem.of(response)


def _json(response: httpx.Response) -> JsonValue:
    return response.json() if response.content else None
