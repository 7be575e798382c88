"""What an authority has issued, on record beside its revocation list: whoever loses a device finds its certificate.

A file of JSON lines, one for each certificate, written before the certificate leaves the authority. Lines are added and
nothing else, so what is no entry, such as a line that a crash has torn, is passed over and told of. No key is in it.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pydantic import Field, TypeAdapter, ValidationError

from gateway.credentials import writing
from gateway.credentials.choices import Purpose
from gateway.credentials.files import read_file_if_there
from gateway.credentials.inspection import public_key_of, spki_fingerprint
from gateway.credentials.issuing import alternative_names, common_name
from gateway.credentials.stamps import Stamp, stamp_of
from gateway.errors import ConfigurationError, UsageError

LINE_BYTES_MAX: Final = 64 << 10
"""Longest line. A certificate with more names than this holds would fit no handshake."""

FILE_BYTES_MAX: Final = 32 << 20
"""Largest file: some 90,000 certificates."""

SERIAL_BITS_MAX: Final = 159
"""Largest serial number: positive, and at most 20 octets (RFC 5280 §4.1.2.2)."""

LINES_NAMED: Final = 5
"""Most lines that a finding names."""

_TS_MAX: Final = 253_402_300_799_999
_HEX: Final = r"^[1-9a-f][0-9a-f]{0,39}$"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

Ts = Annotated[int, Field(ge=0, le=_TS_MAX)]
"""Milliseconds since 1970; until the year 9999, which is as far as certificates and calendars go."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A certificate as it is on record."""

    serial: Annotated[str, Field(pattern=_HEX)]
    """In hex, as `read_serial` has it."""
    purpose: Purpose
    name: str
    """Its CN."""
    names: tuple[str, ...]
    """Its alternative names."""
    valid_from_ts: Ts
    valid_until_ts: Ts
    issued_ts: Ts
    fingerprint_sha256: Sha256
    authority_sha256: Sha256
    """Who issued it: `authority_fingerprint`. Another authority may have come into the folder since."""


class Contents(NamedTuple):
    """What is in the file."""

    entries: Mapping[str, Entry]
    """By serial number, in the order in which they were issued."""
    findings: tuple[str, ...]
    """What the operator should know."""


_ENTRY: Final = TypeAdapter(Entry)


def authority_fingerprint(authority: x509.Certificate) -> str:
    """What an authority is told by: SHA-256 of its SubjectPublicKeyInfo, which a renewed one keeps; 64 hex digits.

    Empty for a key of a kind that can't be read, which has issued nothing here.
    """
    key = public_key_of(authority)
    return "" if key is None else spki_fingerprint(key)


def entry_of(certificate: x509.Certificate, purpose: Purpose, authority: x509.Certificate, now_s: float) -> Entry:
    """What is put on record of a certificate that the authority issues now, in seconds since 1970."""
    return Entry(
        f"{certificate.serial_number:x}",
        purpose,
        common_name(certificate),
        tuple(alternative_names(certificate)),
        _milliseconds(certificate.not_valid_before_utc),
        _milliseconds(certificate.not_valid_after_utc),
        int(now_s * 1000),
        certificate.fingerprint(hashes.SHA256()).hex(),
        authority_fingerprint(authority),
    )


def plain_hex(text: str) -> str:
    """A number in hex as people have it from elsewhere, the way it is on record: in lower case, without colons, and
    without `0x` and zeros before it. Whatever else is in the text stays."""
    return text.replace(":", "").lower().removeprefix("0x").lstrip("0")


def read_serial(text: str) -> str:
    """A serial number as it is on record, from `plain_hex` of it; raises UsageError for what is none."""
    digits = plain_hex(text)
    if not re.fullmatch(_HEX, digits) or int(digits, 16).bit_length() > SERIAL_BITS_MAX:
        raise UsageError(
            f"{text!r:.100} is no serial number of a certificate",
            hint="write it in hex, as `gateway certs list` shows it; it has at most 40 digits",
            field="serial",
        )
    return digits


class Register:
    """The file. It is written under the folder's lock (`writing.locked_folder`) and may be read at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, entry: Entry) -> None:
        """Put a certificate on record, durably; from then on it may be handed out.

        Raises UsageError where its names are too long, ConfigurationError where the file is full or can't be written.
        """
        line = _ENTRY.dump_json(entry) + b"\n"
        if len(line) > LINE_BYTES_MAX:
            raise UsageError(
                "these alternative names are too long to be kept on record",
                hint=f"a certificate's entry has at most {LINE_BYTES_MAX} bytes",
                field="alternative_names",
            )
        size = self.path.stat().st_size if self.path.exists() else 0
        if size + len(line) > FILE_BYTES_MAX:
            raise ConfigurationError(
                f"{str(self.path)!r} is full: it has at most {FILE_BYTES_MAX} bytes",
                hint="take out the lines of certificates that have expired; keep a copy",
            )
        writing.append_public(self.path, line)

    def read(self) -> Contents:
        """All of it; nothing where there is no file. Raises ConfigurationError where it can't be read."""
        return _last_read.contents(self)

    def read_anew(self) -> Contents:
        """`read`, whatever was read before."""
        file = read_file_if_there(self.path, str(self.path), limit_bytes=FILE_BYTES_MAX)
        entries: dict[str, Entry] = {}
        wrong: list[int] = []
        for number, line in enumerate(file.data.split(b"\n") if file else (), start=1):
            if not line.strip():
                continue
            entry = _read(line)
            if entry is None:
                wrong.append(number)
            else:
                entries[entry.serial] = entry
        return Contents(entries, (self._finding(wrong),) if wrong else ())

    def _finding(self, wrong: list[int]) -> str:
        named = ", ".join(map(str, wrong[:LINES_NAMED]))
        if len(wrong) > LINES_NAMED:
            named += f" and {len(wrong) - LINES_NAMED} more"
        lines = "line" if len(wrong) == 1 else "lines"
        return f"{self.path}: passed over is what is torn, or no entry of a certificate: {lines} {named}"


class _LastRead:
    """The file that was read last, for as long as it stays as it was: a full one takes a second and 100 MB to read, and
    is asked for whenever somebody types. One reader at a time: what the others wait for is what they want."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stamp: Stamp = ()
        self._contents = Contents({}, ())

    def contents(self, register: Register) -> Contents:
        with self._lock:
            stamp = stamp_of([register.path])  # before reading: a line that is added meanwhile makes another stamp
            if not stamp or stamp != self._stamp:
                self._contents, self._stamp = Contents({}, ()), ()  # not two of them in memory
                self._contents, self._stamp = register.read_anew(), stamp
            return self._contents


_last_read: Final = _LastRead()


def _read(line: bytes) -> Entry | None:
    if len(line) >= LINE_BYTES_MAX:
        return None
    try:
        return _ENTRY.validate_json(line, strict=True)
    except ValidationError:
        return None


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
