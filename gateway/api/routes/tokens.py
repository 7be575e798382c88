"""API tokens for scripts, for admins."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.api.auth import Admin
from gateway.api.backend import BackendOfApp
from gateway.api.problems import about
from gateway.model import Role
from gateway.operations.users import TOKEN_DAYS_MAX, TOKEN_NAME_MAX, create_token
from gateway.presentation.user import token_as_json

router = APIRouter(prefix="/tokens", tags=["users"])


class TokenFields(BaseModel):
    """An API token, without the token."""

    id: str
    name: str
    user: str
    role: Role = Field(description="What may be done with it, unless its user may do less")
    created_ts: int = Field(description="In milliseconds since 1970")
    expires_ts: int | None = Field(description="In milliseconds since 1970; null: never")


class NewToken(BaseModel):
    """An API token to be made."""

    name: str = Field(min_length=1, max_length=TOKEN_NAME_MAX, description="What it is for")
    role: Role = Role.VIEWER
    user: str | None = Field(None, max_length=64, description="Whose it is; where it is left out, one's own")
    days: int | None = Field(None, ge=1, le=TOKEN_DAYS_MAX, description="How long it lasts; where left out, for ever")


class CreatedToken(TokenFields):
    """An API token that was made."""

    token: str = Field(description="Shown only now")


class Tokens(BaseModel):
    """All API tokens, by user and age."""

    items: list[TokenFields]
    total: int
    next: None = None


@router.get("")
def list_tokens(user: Admin, backend: BackendOfApp) -> Tokens:
    """All API tokens."""
    with backend.catalogue() as catalogue:
        tokens = [TokenFields.model_validate(token_as_json(one)) for one in catalogue.users.tokens()]
    return Tokens(items=tokens, total=len(tokens))


@router.post("", status_code=201)
def create_api_token(user: Admin, new: NewToken, backend: BackendOfApp) -> CreatedToken:
    """Make an API token; it is shown only in this answer."""
    with backend.catalogue() as catalogue, about("name"):
        made = create_token(catalogue, new.user or user.name, new.name, new.role, days=new.days)
    return CreatedToken.model_validate({**token_as_json(made.stored), "token": made.token})


@router.delete("/{id}", status_code=204)
def revoke_token(user: Admin, id: str, backend: BackendOfApp) -> None:
    """Revoke an API token; it is good for nothing from now on."""
    with backend.catalogue() as catalogue:
        catalogue.users.remove_token(id)
