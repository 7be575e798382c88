"""Passwords of users: what is kept of them, whether one is right, which are taken.

Hashed with Argon2id and the least parameters that OWASP's Password Storage Cheat Sheet names (19 MiB, two passes, one
lane), so that a small computer bears a few log-ins at a time.
"""

import secrets
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import UsageError

LENGTH_MIN: Final = 10
"""Shortest password, in characters."""

LENGTH_MAX: Final = 256
"""Longest password, in characters: what is hashed has a bound."""

_GENERATED_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""What a generated password consists of: 32 characters, none that another is mistaken for."""

_GENERATED_GROUPS: Final = 4
_GROUP_LENGTH: Final = 5

_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS: Final = _hasher.hash(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """What is kept of a password, in the PHC string format. Takes tens of milliseconds."""
    return _hasher.hash(_normal(password))


def is_right(password_hash: str | None, password: str) -> bool:
    """Whether that is the password. Takes the same time for a user that there is not: None."""
    if len(password) > LENGTH_MAX:
        password = ""  # no user has it, and it takes no longer than any other
    try:
        _hasher.verify(_NOBODYS if password_hash is None else password_hash, _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None


def is_outdated(password_hash: str) -> bool:
    """Whether it was made with other parameters than are used now."""
    return _hasher.check_needs_rehash(password_hash)


def generate_password() -> str:
    """A new password of 100 random bits, in groups that can be typed off a screen."""
    return "-".join(
        "".join(secrets.choice(_GENERATED_LETTERS) for _ in range(_GROUP_LENGTH)) for _ in range(_GENERATED_GROUPS)
    )


def check_password(password: str, user: str) -> None:
    """Raises UsageError for a password that is too short or too long, or that is the user's own name."""
    length = len(_normal(password))
    if length < LENGTH_MIN:
        raise UsageError(
            f"the password has {length} characters",
            hint=f"take at least {LENGTH_MIN}; a few words in a row are easy to remember",
            field="password",
        )
    if len(password) > LENGTH_MAX or length > LENGTH_MAX:
        raise UsageError(
            f"the password has {len(password)} characters", hint=f"take at most {LENGTH_MAX}", field="password"
        )
    if _normal(password).casefold() == user.casefold():
        raise UsageError("the password is the user's name", hint="take another", field="password")


def _normal(password: str) -> str:
    """One form of what can be typed in several ways (NIST SP 800-63B-4 §3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
