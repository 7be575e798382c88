"""Who is logged in: their role, their password, logging out."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from gateway.api.auth import Viewer
from gateway.api.backend import BackendOfApp
from gateway.api.lockout import keys_of
from gateway.api.problems import about
from gateway.api.routes.login import HASHES_AT_ONCE, Password, begin_try, set_cookie
from gateway.errors import UsageError
from gateway.model import Role
from gateway.operations.users import has_password, set_password

router = APIRouter(tags=["log-in"])


class Me(BaseModel):
    """Who asks."""

    user: str
    role: Role
    expires_ts: int | None = Field(description="When the log-in or token ends, in milliseconds since 1970; null: never")


class NewPassword(BaseModel):
    """A change of one's own password."""

    current: Password
    password: Password


@router.get("/me")
def me(user: Viewer) -> Me:
    """Who is logged in, or whose token it is."""
    return Me(user=user.name, role=user.role, expires_ts=user.expires_ms)


@router.post("/logout", status_code=204)
def logout(user: Viewer, backend: BackendOfApp, response: Response) -> None:
    """End this log-in. An API token stays; it is revoked by its id."""
    with backend.catalogue() as catalogue:
        catalogue.users.remove_log_in(user.digest)
    set_cookie(response, "", backend.settings)


@router.post("/me/password", status_code=204)
def change_password(user: Viewer, new: NewPassword, request: Request, backend: BackendOfApp) -> None:
    """Change one's own password. One's other log-ins end; API tokens stay."""
    keys = keys_of(user.name, request.client.host if request.client else "")
    begin_try(backend, keys)
    with HASHES_AT_ONCE, backend.catalogue() as catalogue:
        if has_password(catalogue, user.name, new.current.get_secret_value()) is None:
            raise UsageError("this is not your password", field="current")
        backend.lockout.succeeded(keys)
        with about("password"):
            set_password(catalogue, user.name, new.password.get_secret_value(), keep=user.digest)
