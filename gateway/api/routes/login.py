"""Logging in."""

import math
import threading
import time
from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, SecretStr

from gateway.api.auth import cookie_name, is_https, refuse_foreign_page
from gateway.api.backend import Backend, BackendOfApp
from gateway.api.lockout import keys_of
from gateway.api.problems import UnauthenticatedError
from gateway.errors import RateLimitedError
from gateway.model import Role
from gateway.operations.users import log_in
from gateway.settings import Settings

HASHES_AT_ONCE: Final = threading.BoundedSemaphore(2)
"""A hash takes 19 MiB and a CPU for a while: however many try, the others' requests go on."""

router = APIRouter(tags=["log-in"])

Password = Annotated[SecretStr, Field(max_length=1024)]


class Credentials(BaseModel):
    """A user's name and password."""

    user: str = Field(max_length=256)
    password: Password


class LoggedIn(BaseModel):
    """A log-in. Browsers have its token as a cookie, and need not keep it elsewhere."""

    user: str
    role: Role
    token: str
    expires_ts: int = Field(description="In milliseconds since 1970")


@router.post("/api/v1/login")
def login(credentials: Credentials, request: Request, response: Response, backend: BackendOfApp) -> LoggedIn:
    """Log in; the answer's token is good as `Authorization: Bearer`, and set as a cookie."""
    refuse_foreign_page(request, backend.settings)
    keys = keys_of(credentials.user, request.client.host if request.client else "")
    begin_try(backend, keys)
    with HASHES_AT_ONCE, backend.catalogue() as catalogue:
        new = log_in(
            catalogue,
            credentials.user,
            credentials.password.get_secret_value(),
            hours=backend.settings.gateway_http_session_hours,
        )
    if new is None:
        raise UnauthenticatedError(
            "the user's name or the password is wrong",
            hint="a lost password is replaced by: gateway user password NAME",
        )
    backend.lockout.succeeded(keys)
    set_cookie(response, new.token, backend.settings)
    return LoggedIn(user=new.user, role=new.role, token=new.token, expires_ts=new.expires_ms)


def begin_try(backend: Backend, keys: Sequence[str]) -> None:
    """Count a try of a password, before it takes any time; raises RateLimitedError where there were too many."""
    wait_s = backend.lockout.begin(keys, time.monotonic())
    if wait_s:
        raise RateLimitedError(
            "too many passwords were wrong", hint="wait, then try again", max_age_s=max(1, math.ceil(wait_s))
        )


def set_cookie(response: Response, token: str, settings: Settings) -> None:
    """Give the browser a log-in; an empty token takes it away."""
    response.set_cookie(
        cookie_name(settings),
        token,
        max_age=settings.gateway_http_session_hours * 3600 if token else 0,
        path="/",
        secure=is_https(settings),
        httponly=True,
        samesite="strict",
    )
