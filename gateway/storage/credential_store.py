"""The credentials in the catalogue: pre-shared keys, and the certificates and public keys that clients are trusted by.

Keys come in and go out encrypted (`gateway.credentials.psk.PskSealer`); nothing here can read them.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from gateway.errors import NotFoundError, UsageError
from gateway.storage.catalogue_file import CatalogueFile
from gateway.storage.database import sqlite_errors

PREFIX_DIGITS_MIN: Final = 8
"""Shortest part of a fingerprint that names it, in hex digits."""

_NAMES_LISTED: Final = 10
_TRUSTED: Final = "SELECT kind, name, fingerprint, der, added_ms FROM trusted"

TrustedKind: TypeAlias = Literal["ca", "device", "key"]
"""A CA whose certificates are trusted, the very certificate of a device, or a raw public key (RFC 7250)."""


class StoredPsk(NamedTuple):
    """A pre-shared key in a list, without the key."""

    identity: str
    added_ms: int
    """When it was added or last replaced, in milliseconds since 1970."""


class PskRemovals(NamedTuple):
    """Which pre-shared keys are no longer what they were."""

    position: int
    """Where the log ends: what to ask with the next time."""
    identities: frozenset[str] | None
    """Those removed or replaced, even if added again; None: the log no longer reaches back, so ask for each."""


@dataclass(frozen=True, slots=True)
class Trusted:
    """A certificate or public key that clients are trusted by."""

    kind: TrustedKind
    name: str
    fingerprint: str
    """SHA-256 of `der`, in lower-case hex."""
    der: bytes = field(repr=False)
    """The certificate, or the SubjectPublicKeyInfo of a raw public key."""
    added_ms: int
    """When it was added, in milliseconds since 1970."""


class CredentialStore:
    """The part of a catalogue that is reached as `catalogue.credentials`. Raises as the catalogue does."""

    def __init__(self, file: CatalogueFile) -> None:
        self._file = file

    # -- pre-shared keys ---------------------------------------------------------------------------

    def add_psk(self, identity: str, sealed: bytes, *, replace: bool = False) -> None:
        """Keep an identity's key; raises UsageError where it has one, unless that is to be replaced."""
        self.add_psks([(identity, sealed)], replace=replace)

    def add_psks(self, psks: Iterable[tuple[str, bytes]], *, replace: bool = False) -> int:
        """Keep the keys of many identities, or of none of them; gives their number. Raises as `add_psk`."""
        now_ms = _now_ms()
        rows = [(identity, sealed, now_ms) for identity, sealed in psks]
        with self._file.writing() as connection:
            if not replace:
                self._refuse_known(identity for identity, _, _ in rows)
            # No INSERT OR REPLACE: that would replace without a trigger, and the old key's sessions would go on.
            connection.executemany(
                "INSERT INTO psks (identity, sealed, added_ms) VALUES (?, ?, ?) "
                "ON CONFLICT (identity) DO UPDATE SET sealed = excluded.sealed, added_ms = excluded.added_ms",
                rows,
            )
        return len(rows)

    def psks(self, *, search: str = "", limit: int = 1000, after: str = "") -> list[StoredPsk]:
        """The first `limit` identities behind `after`, by name. `search` is a part of them; no character is special."""
        with self._file.reading() as connection:
            rows = connection.execute(
                "SELECT identity, added_ms FROM psks WHERE identity > ? AND (? = '' OR instr(identity, ?)) "
                "ORDER BY identity LIMIT ?",
                (after, search, search, max(limit, 0)),
            )
            return [StoredPsk(*row) for row in rows.fetchall()]

    def psk(self, identity: str) -> bytes | None:
        """An identity's key, encrypted; None where it has none. Asked at each handshake with a pre-shared key."""
        with sqlite_errors(self._file.path):
            rows = self._file.connection.execute("SELECT sealed FROM psks WHERE identity = ?", (identity,)).fetchall()
        return rows[0][0] if rows else None

    def has_psks(self) -> bool:
        """Whether there is any pre-shared key."""
        with sqlite_errors(self._file.path):
            ((found,),) = self._file.connection.execute("SELECT EXISTS (SELECT 1 FROM psks)").fetchall()
        return bool(found)

    def remove_psk(self, *identities: str) -> None:
        """Forget the keys of these identities, or of none of them; raises NotFoundError for one that has none."""
        with self._file.writing() as connection:
            for identity in identities:
                if not connection.execute("DELETE FROM psks WHERE identity = ?", (identity,)).rowcount:
                    raise NotFoundError(
                        f"there is no pre-shared key of {identity}",
                        hint="see which there are: gateway psk list --search TEXT",
                    )

    def psk_removals(self, after: int) -> PskRemovals:
        """Which keys were removed or replaced behind `after`, a position that this gave before, or 0: ever."""
        with self._file.reading() as connection:
            ends = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'psk_removals'").fetchall()
            end: int = ends[0][0] if ends else 0
            ((oldest,),) = connection.execute("SELECT min(position) FROM psk_removals").fetchall()
            # A position from beyond the end is of a catalogue that a backup has taken the place of.
            if after > end or (oldest is not None and after < oldest - 1):
                return PskRemovals(end, None)
            rows = connection.execute("SELECT identity FROM psk_removals WHERE position > ?", (after,)).fetchall()
        return PskRemovals(end, frozenset(identity for (identity,) in rows))

    def _refuse_known(self, identities: Iterable[str]) -> None:
        for identity in identities:
            if self._file.names("SELECT identity FROM psks WHERE identity = ?", identity):
                raise UsageError(
                    f"identity {identity} has a pre-shared key already",
                    hint="replace it with --replace; its sessions then end",
                    field="identity",
                )

    # -- trusted certificates and keys -------------------------------------------------------------

    def add_trusted(self, *trusted: Trusted) -> None:
        """Trust these, or none of them; raises UsageError for a name that is taken and for what is trusted already."""
        with self._file.writing() as connection:
            for one in trusted:
                known = self._file.names("SELECT name FROM trusted WHERE fingerprint = ?", one.fingerprint)
                if known:
                    raise UsageError(
                        f"{one.name} is trusted already, as {known[0]}",
                        hint="to change its name or kind, remove it first "
                        f"(gateway trust remove {one.fingerprint[:16]})",
                    )
                if self._file.names("SELECT name FROM trusted WHERE name = ?", one.name):
                    raise UsageError(
                        f"another trusted certificate or key is named {one.name}",
                        hint="choose another name (--name), or remove that one (gateway trust remove NAME)",
                        field="name",
                    )
                connection.execute(
                    "INSERT INTO trusted (kind, name, fingerprint, der, added_ms) VALUES (?, ?, ?, ?, ?)",
                    (one.kind, one.name, one.fingerprint, one.der, one.added_ms),
                )

    def trusted(self) -> list[Trusted]:
        """All that is trusted, by name."""
        with self._file.reading() as connection:
            return [Trusted(*row) for row in connection.execute(f"{_TRUSTED} ORDER BY name").fetchall()]

    def remove_trusted(self, name_or_fingerprint: str) -> Trusted:
        """Trust something no longer: by its name, its fingerprint, or the first 8 or more digits of that.

        Gives what it was. Raises NotFoundError, and UsageError where several begin with these digits.
        """
        with self._file.writing() as connection:
            found = self._find_trusted(name_or_fingerprint)
            connection.execute("DELETE FROM trusted WHERE fingerprint = ?", (found.fingerprint,))
        return found

    def trust_version(self) -> int:
        """A number that is another one whenever `trusted` has changed."""
        with sqlite_errors(self._file.path):
            ((version,),) = self._file.connection.execute("SELECT version FROM trust_version").fetchall()
        return int(version)

    def _find_trusted(self, name_or_fingerprint: str) -> Trusted:
        find = self._file.connection.execute
        rows = find(f"{_TRUSTED} WHERE name = ?", (name_or_fingerprint,)).fetchall()
        digits = name_or_fingerprint.replace(":", "").lower()
        if not rows and len(digits) >= PREFIX_DIGITS_MIN:
            rows = find(
                f"{_TRUSTED} WHERE substr(fingerprint, 1, ?) = ? ORDER BY name", (len(digits), digits)
            ).fetchall()
        if not rows:
            raise NotFoundError(
                f"nothing trusted has the name or fingerprint {name_or_fingerprint}", hint=self._there()
            )
        if len(rows) > 1:
            names = ", ".join(name for _, name, *_ in rows[:_NAMES_LISTED])
            raise UsageError(
                f"{len(rows)} fingerprints begin with {name_or_fingerprint}: of {names}", hint="give more of the digits"
            )
        return Trusted(*rows[0])

    def _there(self) -> str:
        names = self._file.names(f"SELECT name FROM trusted ORDER BY name LIMIT {_NAMES_LISTED + 1}")
        if not names:
            return "there is none yet (gateway trust add FILE)"
        listed = ", ".join(names[:_NAMES_LISTED])
        return f"there are: {listed}" + (", and more (gateway trust list)" if len(names) > _NAMES_LISTED else "")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
