"""Users, for admins."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.api.auth import Admin
from gateway.api.backend import BackendOfApp
from gateway.api.problems import about
from gateway.api.routes.login import HASHES_AT_ONCE, Password
from gateway.credentials.passwords import check_password
from gateway.model import Role
from gateway.operations.users import add_user, set_password
from gateway.presentation.user import user_as_json
from gateway.storage.user_store import StoredUser

router = APIRouter(prefix="/users", tags=["users"])


class UserFields(BaseModel):
    """A user."""

    name: str
    role: Role
    created_ts: int = Field(description="In milliseconds since 1970")
    password_ts: int = Field(description="When the password was last set, in milliseconds since 1970")


class NewUser(BaseModel):
    """A user to be added."""

    name: str = Field(max_length=64)
    role: Role
    password: Password | None = Field(None, description="Where it is left out, one is generated and given back once")


class UserChange(BaseModel):
    """What is to be changed of a user."""

    role: Role | None = None
    password: Password | None = None


class AddedUser(BaseModel):
    """A user that was added."""

    name: str
    role: Role
    password: str | None = Field(description="Where it was generated: it is shown only now")


class Users(BaseModel):
    """All users, by name."""

    items: list[UserFields]
    total: int
    next: None = None


@router.get("")
def list_users(user: Admin, backend: BackendOfApp) -> Users:
    """All users."""
    with backend.catalogue() as catalogue:
        users = [_fields(one) for one in catalogue.users.all()]
    return Users(items=users, total=len(users))


@router.post("", status_code=201)
def create_user(user: Admin, new: NewUser, backend: BackendOfApp) -> AddedUser:
    """Add a user."""
    password = None if new.password is None else new.password.get_secret_value()
    with HASHES_AT_ONCE, backend.catalogue() as catalogue, about("name"):
        generated = add_user(catalogue, new.name, new.role, password)
    return AddedUser(name=new.name, role=new.role, password=generated)


@router.patch("/{name}")
def update_user(user: Admin, name: str, change: UserChange, backend: BackendOfApp) -> UserFields:
    """Give a user another role or password. With another password, the user's log-ins end."""
    password = None if change.password is None else change.password.get_secret_value()
    if password is not None:
        check_password(password, name)  # first, so that all is changed or nothing
    with backend.catalogue() as catalogue:
        if change.role is not None:
            with about("role"):
                catalogue.users.set_role(name, change.role)
        if password is not None:
            with HASHES_AT_ONCE:
                set_password(catalogue, name, password)
        return _fields(catalogue.users.get(name))


@router.delete("/{name}", status_code=204)
def delete_user(user: Admin, name: str, backend: BackendOfApp) -> None:
    """Remove a user, with their log-ins and API tokens."""
    with backend.catalogue() as catalogue:
        catalogue.users.remove(name)


def _fields(user: StoredUser) -> UserFields:
    return UserFields.model_validate(user_as_json(user))
