"""Users of the REST API and the console: adding them, logging them in, tokens for their scripts."""

import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from gateway.credentials.passwords import check_password, generate_password, hash_password, is_outdated, is_right
from gateway.errors import UsageError
from gateway.model import Role
from gateway.storage.catalogue import Catalogue
from gateway.storage.user_store import NewLogIn, StoredToken

TOKEN_NAME_MAX: Final = 100
"""Longest name of an API token, in characters."""

TOKEN_DAYS_MAX: Final = 3650
"""Longest life of an API token that has an end, in days."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class LogIn:
    """A log-in that succeeded."""

    user: str
    role: Role
    token: str = field(repr=False)
    """What the client shows from now on."""
    expires_ms: int
    """In milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """An API token that was made; the token itself is known only now."""

    stored: StoredToken
    token: str = field(repr=False)


def digest(token: str) -> bytes:
    """What is kept of a log-in or token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def check_user_name(name: str) -> None:
    """Raises UsageError for what no user can be called."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be a user's name",
            hint="take 1 to 64 of the characters A-Z a-z 0-9 . _ @ -, the first a letter or digit",
        )


def add_user(catalogue: Catalogue, name: str, role: Role, password: str | None) -> str | None:
    """Add a user; gives the password where it was generated for want of one. Raises UsageError."""
    check_user_name(name)
    chosen = password if password is not None else generate_password()
    check_password(chosen, name)
    catalogue.users.add(name, role, hash_password(chosen))
    return chosen if password is None else None


def set_password(catalogue: Catalogue, name: str, password: str | None, *, keep: bytes | None = None) -> str | None:
    """Give a user another password; gives it where it was generated for want of one.

    The user's log-ins end, but the one with the digest `keep`. Raises NotFoundError, and UsageError for the password.
    """
    chosen = password if password is not None else generate_password()
    check_password(chosen, name)
    catalogue.users.set_password(name, hash_password(chosen), keep=keep)
    return chosen if password is None else None


def has_password(catalogue: Catalogue, name: str, password: str) -> str | None:
    """The hash that a user's password is right by, None where it is wrong; in the same time for any name."""
    kept = catalogue.users.password_hash(name)
    return kept if is_right(kept, password) else None


def log_in(catalogue: Catalogue, name: str, password: str, *, hours: int) -> LogIn | None:
    """Log a user in for so many hours; None where name or password is wrong, which takes the same time."""
    right_by = has_password(catalogue, name, password)
    if right_by is None:
        return None
    if is_outdated(right_by):
        renewed = hash_password(password)
        catalogue.users.renew_hash(name, old=right_by, new=renewed)
        right_by = renewed
    token = secrets.token_urlsafe(32)
    now_ms = _now_ms()
    expires_ms = now_ms + hours * _HOUR_MS
    if not catalogue.users.add_log_in(NewLogIn(name, right_by, digest(token), now_ms, expires_ms)):
        return None
    return LogIn(name, catalogue.users.get(name).role, token, expires_ms)


def create_token(catalogue: Catalogue, user: str, name: str, role: Role, *, days: int | None) -> NewToken:
    """Make an API token for a user, good for so many days, or for ever.

    Raises NotFoundError for the user, UsageError for a name or life that it can't have.
    """
    if not name.strip() or len(name) > TOKEN_NAME_MAX or not name.isprintable():
        raise UsageError(
            f"{name!r} can't be a token's name", hint=f"say what it is for, in 1 to {TOKEN_NAME_MAX} characters"
        )
    if days is not None and not 1 <= days <= TOKEN_DAYS_MAX:
        raise UsageError(f"a token can't live for {days} days", hint=f"take 1 to {TOKEN_DAYS_MAX}, or none: for ever")
    token = secrets.token_urlsafe(32)
    now_ms = _now_ms()
    expires_ms = None if days is None else now_ms + days * 24 * _HOUR_MS
    stored = StoredToken(secrets.token_hex(4), name, user, role, now_ms, expires_ms)
    catalogue.users.add_token(stored, digest(token))
    return NewToken(stored, token)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
