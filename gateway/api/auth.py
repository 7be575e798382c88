"""Who asks, and what they may: a log-in or API token as `Authorization: Bearer`, or a log-in in the browser's cookie.

Every router takes `viewer` at least, every route that changes anything `Admin`; `tests/api` walks them all.
"""

import time
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from gateway.api.backend import BackendOfApp
from gateway.api.origin import is_cross_site
from gateway.api.problems import CrossSiteError, UnauthenticatedError
from gateway.errors import ForbiddenError
from gateway.model import Role
from gateway.operations.users import digest
from gateway.settings import Settings

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""What changes nothing (RFC 9110 §9.2.1)."""

TOKEN_LENGTH_MAX: Final = 200
"""Longest token that is looked up, in characters."""


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    role: Role
    kind: Literal["log-in", "token"]
    """What they showed."""
    digest: bytes = field(repr=False)
    """Of what they showed."""
    expires_ms: int | None
    """When that ends, in milliseconds since 1970; None: never."""


def cookie_name(settings: Settings) -> str:
    """The cookie of a log-in. Its name has the port: browsers don't tell cookies of two ports apart (RFC 6265 §8.5)."""
    name = f"gateway-log-in-{settings.gateway_http_bind_port}"
    return f"__Host-{name}" if is_https(settings) else name


def is_https(settings: Settings) -> bool:
    """Whether browsers come through a proxy that speaks TLS."""
    return settings.gateway_http_public_url.lower().startswith("https:")


_bearer: Final = HTTPBearer(auto_error=False, scheme_name="token", description="An API token, or a log-in's token")


def viewer(
    request: Request,
    backend: BackendOfApp,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> User:
    """Whoever is logged in, or shows a token. Raises UnauthenticatedError; CrossSiteError for a cookie's unsafe request
    from elsewhere."""
    if bearer is not None:
        return _user_of(bearer.credentials, backend)
    token = request.cookies.get(cookie_name(backend.settings))
    if token is None:
        raise UnauthenticatedError(
            f"{request.method} {request.url.path} needs a log-in or a token",
            hint="POST /api/v1/login, or Authorization: Bearer TOKEN (gateway token create)",
        )
    refuse_cross_site(request, backend.settings)
    return _user_of(token, backend)


def refuse_foreign_page(request: Request, settings: Settings) -> None:
    """Raises CrossSiteError where a browser says that another site's page sends this; a script says nothing."""
    if {"origin", "sec-fetch-site"} & set(request.headers):
        refuse_cross_site(request, settings)


def refuse_cross_site(request: Request, settings: Settings) -> None:
    """Raises CrossSiteError for an unsafe request that a browser may have been made to send by another site's page."""
    if request.method not in SAFE_METHODS and is_cross_site(request.headers, request.url.scheme, settings):
        raise CrossSiteError(
            "the request does not come from this site's own pages",
            hint="scripts show a token as Authorization: Bearer TOKEN; behind a proxy, set GATEWAY_HTTP_PUBLIC_URL",
        )


def admin(user: Annotated[User, Depends(viewer)]) -> User:
    """`viewer` with the role admin. Raises ForbiddenError."""
    if user.role is not Role.ADMIN:
        raise ForbiddenError(f"{user.name} is a viewer here, and this takes an admin", hint="ask an admin to do it")
    return user


Viewer = Annotated[User, Depends(viewer)]
Admin = Annotated[User, Depends(admin)]


def _user_of(token: str, backend: BackendOfApp) -> User:
    shown = digest(token)
    bearer = None
    if len(token) <= TOKEN_LENGTH_MAX:
        with backend.catalogue() as catalogue:
            bearer = catalogue.users.bearer(shown, now_ms=time.time_ns() // 1_000_000)
    if bearer is None:
        raise UnauthenticatedError("the log-in or token is none, or none any more", hint="log in again")
    return User(bearer.user, bearer.role, bearer.kind, shown, bearer.expires_ms)
