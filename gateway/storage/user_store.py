"""The users in the catalogue: their roles, hashes of their passwords, their log-ins and API tokens.

Log-ins and tokens are kept as SHA-256 digests: random as they are, nobody finds what such a digest is of.
"""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple

from gateway.errors import NotFoundError, UsageError
from gateway.model import Role
from gateway.storage.catalogue_file import CatalogueFile
from gateway.storage.database import sqlite_errors

FIRST_USER: Final = "admin"
"""Who is there at the first start."""

LOG_INS_MAX: Final = 50
"""Most log-ins of a user at a time; the oldest goes."""

TOKENS_MAX: Final = 1000
"""Most API tokens of all users."""

USERS_MAX: Final = 1000
"""Most users."""

_log = logging.getLogger(__name__)

_TOKENS: Final = "SELECT id, name, user, role, created_ms, expires_ms FROM api_tokens"


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user, without the password."""

    name: str
    role: Role
    created_ms: int
    """When the user was added, in milliseconds since 1970."""
    password_ms: int
    """When the password was last set, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """An API token in a list, without the token."""

    id: str
    name: str
    """What it is for, in its user's words."""
    user: str
    role: Role
    created_ms: int
    expires_ms: int | None
    """In milliseconds since 1970; None: never."""


class Bearer(NamedTuple):
    """Whom a log-in or token stands for."""

    user: str
    role: Role
    """What may be done with it: for a token the lesser of its own role and its user's."""
    kind: Literal["log-in", "token"]
    expires_ms: int | None
    """In milliseconds since 1970; None: never."""


@dataclass(frozen=True, slots=True)
class NewLogIn:
    """A log-in that is to be kept."""

    user: str
    password_hash: str = field(repr=False)
    """The one that the password was right by."""
    digest: bytes = field(repr=False)
    created_ms: int
    expires_ms: int


def first_password_file(data_dir: Path) -> Path:
    """Where the first user's password stands until it has been used, or is another one."""
    return data_dir / "first-password"


class UserStore:
    """The part of a catalogue that is reached as `catalogue.users`. Raises as the catalogue does."""

    def __init__(self, file: CatalogueFile) -> None:
        self._file = file

    # -- users -------------------------------------------------------------------------------------

    def add(self, name: str, role: Role, password_hash: str) -> None:
        """Keep a new user; raises UsageError for a name that is taken, and where there are USERS_MAX of them."""
        with self._file.writing(for_workers=False) as connection:
            if self._file.names("SELECT name FROM users WHERE name = ?", name):
                raise UsageError(f"there is a user {name} already", hint="choose another name")
            ((count,),) = connection.execute("SELECT count(*) FROM users").fetchall()
            if count >= USERS_MAX:
                raise UsageError(f"there are {count} users already", hint="remove one: gateway user remove NAME")
            self._insert(name, role, password_hash)

    def add_first(self, name: str, password_hash: str) -> bool:
        """Keep the first user, an admin; gives False, and does nothing, where there is any."""
        with self._file.writing(for_workers=False):
            if self._file.names("SELECT name FROM users LIMIT 1"):
                return False
            self._insert(name, Role.ADMIN, password_hash)
        return True

    def all(self) -> list[StoredUser]:
        """All users, by name."""
        with self._file.reading() as connection:
            rows = connection.execute("SELECT name, role, created_ms, password_ms FROM users ORDER BY name").fetchall()
        return [StoredUser(name, Role(role), *times) for name, role, *times in rows]

    def get(self, name: str) -> StoredUser:
        """The user of that name; raises NotFoundError."""
        for user in self.all():
            if user.name == name:
                return user
        raise _no_user(name)

    def exist(self) -> bool:
        """Whether there is any user."""
        with self._file.reading():
            return bool(self._file.names("SELECT name FROM users LIMIT 1"))

    def password_hash(self, name: str) -> str | None:
        """The hash of a user's password; None where there is no such user."""
        with self._file.reading():
            hashes = self._file.names("SELECT password_hash FROM users WHERE name = ?", name)
        return hashes[0] if hashes else None

    def set_password(self, name: str, password_hash: str, *, keep: bytes | None = None) -> None:
        """Give a user another password; ends the user's log-ins but the one with the digest `keep`.

        Raises NotFoundError.
        """
        with self._file.writing(for_workers=False) as connection:
            changed = connection.execute(
                "UPDATE users SET password_hash = ?, password_ms = ? WHERE name = ?", (password_hash, _now_ms(), name)
            )
            if not changed.rowcount:
                raise _no_user(name)
            connection.execute("DELETE FROM log_ins WHERE user = ? AND digest IS NOT ?", (name, keep))
        self._forget_first_password(name)

    def renew_hash(self, name: str, *, old: str, new: str) -> None:
        """Keep the same password as another hash, unless it has changed meanwhile."""
        with self._file.writing(for_workers=False) as connection:
            connection.execute(
                "UPDATE users SET password_hash = ? WHERE name = ? AND password_hash = ?", (new, name, old)
            )

    def set_role(self, name: str, role: Role) -> None:
        """Give a user another role, at once. Raises NotFoundError, and UsageError for the last admin."""
        with self._file.writing(for_workers=False) as connection:
            if role is not Role.ADMIN:
                self._refuse_last_admin(name)
            if not connection.execute("UPDATE users SET role = ? WHERE name = ?", (role, name)).rowcount:
                raise _no_user(name)

    def remove(self, name: str) -> None:
        """Forget a user, log-ins and tokens included. Raises NotFoundError, and UsageError for the last admin."""
        with self._file.writing(for_workers=False) as connection:
            self._refuse_last_admin(name)
            if not connection.execute("DELETE FROM users WHERE name = ?", (name,)).rowcount:
                raise _no_user(name)
        self._forget_first_password(name)

    def _forget_first_password(self, user: str) -> None:
        if user != FIRST_USER:
            return
        file = first_password_file(self._file.path.parent)
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("%s can't be deleted, and has a password in it: %s", file, error.strerror)

    def _insert(self, name: str, role: Role, password_hash: str) -> None:
        now_ms = _now_ms()
        self._file.connection.execute(
            "INSERT INTO users (name, role, password_hash, created_ms, password_ms) VALUES (?, ?, ?, ?, ?)",
            (name, role, password_hash, now_ms, now_ms),
        )

    def _refuse_last_admin(self, name: str) -> None:
        if self._file.names("SELECT name FROM users WHERE role = 'admin'") == [name]:
            raise UsageError(f"{name} is the only admin", hint="add another first: gateway user add NAME --role admin")

    # -- log-ins and tokens ------------------------------------------------------------------------

    def add_log_in(self, log_in: NewLogIn) -> bool:
        """Keep a log-in; gives False where the user is gone or has another password meanwhile.

        Log-ins that are over go.
        """
        with self._file.writing(for_workers=False) as connection:
            hashes = self._file.names("SELECT password_hash FROM users WHERE name = ?", log_in.user)
            if hashes != [log_in.password_hash]:
                return False
            connection.execute("DELETE FROM log_ins WHERE expires_ms <= ?", (log_in.created_ms,))
            connection.execute(
                "DELETE FROM log_ins WHERE digest IN "
                "(SELECT digest FROM log_ins WHERE user = ? ORDER BY created_ms DESC, digest LIMIT -1 OFFSET ?)",
                (log_in.user, LOG_INS_MAX - 1),
            )
            connection.execute(
                "INSERT INTO log_ins (digest, user, created_ms, expires_ms) VALUES (?, ?, ?, ?)",
                (log_in.digest, log_in.user, log_in.created_ms, log_in.expires_ms),
            )
        self._forget_first_password(log_in.user)
        return True

    def remove_log_in(self, digest: bytes) -> None:
        """End a log-in, where it is there."""
        with self._file.writing(for_workers=False) as connection:
            connection.execute("DELETE FROM log_ins WHERE digest = ?", (digest,))

    def remove_log_ins(self) -> None:
        """End all log-ins of everybody."""
        with self._file.writing(for_workers=False) as connection:
            connection.execute("DELETE FROM log_ins")

    def bearer(self, digest: bytes, *, now_ms: int) -> Bearer | None:
        """Whom the log-in or token of that digest stands for; None where there is none, or none any more."""
        with sqlite_errors(self._file.path):
            rows = self._file.connection.execute(
                "SELECT users.name, users.role, users.role, 'log-in', expires_ms FROM log_ins "
                "JOIN users ON users.name = log_ins.user WHERE digest = :digest AND expires_ms > :now "
                "UNION ALL "
                "SELECT users.name, users.role, api_tokens.role, 'token', expires_ms FROM api_tokens "
                "JOIN users ON users.name = api_tokens.user "
                "WHERE digest = :digest AND (expires_ms IS NULL OR expires_ms > :now)",
                {"digest": digest, "now": now_ms},
            ).fetchall()
        for user, users_role, own_role, kind, expires_ms in rows:
            role = Role.ADMIN if users_role == own_role == Role.ADMIN else Role.VIEWER
            return Bearer(user, role, kind, expires_ms)
        return None

    def add_token(self, token: StoredToken, digest: bytes) -> None:
        """Keep an API token; raises NotFoundError for its user, UsageError where there are TOKENS_MAX of them.

        Tokens that are over go.
        """
        with self._file.writing(for_workers=False) as connection:
            connection.execute("DELETE FROM api_tokens WHERE expires_ms <= ?", (token.created_ms,))
            if not self._file.names("SELECT name FROM users WHERE name = ?", token.user):
                raise _no_user(token.user)
            ((count,),) = connection.execute("SELECT count(*) FROM api_tokens").fetchall()
            if count >= TOKENS_MAX:
                raise UsageError(f"there are {count} API tokens already", hint="revoke one: gateway token revoke ID")
            connection.execute(
                "INSERT INTO api_tokens (id, digest, name, user, role, created_ms, expires_ms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (token.id, digest, token.name, token.user, token.role, token.created_ms, token.expires_ms),
            )

    def tokens(self) -> list[StoredToken]:
        """All API tokens, by user and age."""
        with self._file.reading() as connection:
            rows = connection.execute(f"{_TOKENS} ORDER BY user, created_ms, id").fetchall()
        return [StoredToken(id, name, user, Role(role), *times) for id, name, user, role, *times in rows]

    def remove_token(self, id: str) -> None:
        """Forget an API token; raises NotFoundError."""
        with self._file.writing(for_workers=False) as connection:
            if not connection.execute("DELETE FROM api_tokens WHERE id = ?", (id,)).rowcount:
                raise NotFoundError(f"there is no API token {id}", hint="see which there are: gateway token list")


def _no_user(name: str) -> NotFoundError:
    return NotFoundError(f"there is no user {name}", hint="see which there are: gateway user list")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
