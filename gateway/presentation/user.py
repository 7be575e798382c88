"""Shapes in JSON of a user and of an API token."""

from typing import TYPE_CHECKING

from gateway.model import JsonValue

if TYPE_CHECKING:
    from gateway.storage.user_store import StoredToken, StoredUser


def user_as_json(user: "StoredUser") -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    return {
        "name": user.name,
        "role": user.role.value,
        "created_ts": user.created_ms,
        "password_ts": user.password_ms,
    }


def token_as_json(token: "StoredToken") -> dict[str, JsonValue]:
    """The shape that scripts rely on; the token itself is no part of it."""
    return {
        "id": token.id,
        "name": token.name,
        "user": token.user,
        "role": token.role.value,
        "created_ts": token.created_ms,
        "expires_ts": token.expires_ms,
    }
