"""The folder that `gateway certs` keeps, under fixed names: an authority, a server, clients, a revocation list and a
record of all that was issued.

What is there and good is kept; what has expired or is revoked is made anew; anything else is replaced only where that
is asked for, and the authority's key never.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cryptography import x509

from gateway.credentials import issuing, writing
from gateway.credentials.choices import CRL_FILE, KeyType, Purpose
from gateway.credentials.files import read_file_if_there
from gateway.credentials.issuing import Authority
from gateway.credentials.pem import PemNames, load_identity, read_certificates
from gateway.credentials.register import Entry, Register, authority_fingerprint, entry_of
from gateway.credentials.revocations import add_to_own_list, read_own_list, revoked_since
from gateway.dtls.keyexchange import PrivateKey, PublicKey
from gateway.errors import ConfigurationError, NotFoundError, UsageError

AUTHORITY, SERVER = "ca", "coapserver"
"""What the files are called, without `.pem` and `_key.pem`; the server's as ThingsBoard calls them by default."""

REGISTER_FILE = "issued.jsonl"

AUTHORITY_NAME = "gateway development CA"

FILE_NAME_BYTES_MAX = 255
"""Longest file name, in bytes, on the usual file systems."""

_KEY_SUFFIX = "_key"

_NAMES = PemNames("certificate", "key", "COAP_DTLS_PEM_KEY_PASSWORD")

_Issue: TypeAlias = Callable[[Sequence[str], PublicKey, Authority], x509.Certificate]


class Change(StrEnum):
    """What became of a file."""

    MADE = "made"
    RENEWED = "renewed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Options:
    """How a certificate is to be. None: as the one that is there, or the default."""

    days: int
    key_type: KeyType | None = None
    renew: bool = False
    """Make it anew, whatever is there."""
    encrypt_key: bool = False
    """Encrypt the key's file. One that is encrypted stays so."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key, as they are in the folder now."""

    change: Change
    certificate_file: Path
    key_file: Path
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey = field(repr=False)
    key_encrypted: bool = False
    reason: str = ""
    """Why it was renewed unasked."""
    key_kept: bool = False
    """Whether the certificate alone was renewed."""

    @property
    def key_change(self) -> Change:
        """What became of the key's file."""
        return Change.KEPT if self.key_kept else self.change

    @property
    def certificate(self) -> x509.Certificate:
        """Its own certificate, the first of the chain."""
        return self.chain[0]


@dataclass(frozen=True, slots=True)
class HandedOut:
    """A device's certificate that is kept nowhere here but on record: whoever gets this has its only key."""

    chain: tuple[x509.Certificate, ...]
    """Its own certificate, and the CAs between it and the root."""
    key: PrivateKey = field(repr=False)
    authority: x509.Certificate
    """What devices check the server's certificate with."""


class RevokedSerial(NamedTuple):
    """What became of a serial number that was to be revoked."""

    entry: Entry | None
    """Its certificate; None where that is not on record."""
    is_new: bool
    """Whether it was not revoked before."""


class CertificateFolder:
    """Use it under `writing.locked_folder`. Files that are not as they must be raise ConfigurationError."""

    def __init__(self, path: Path, now_s: float, key_password: str = "") -> None:
        """`now_s`: seconds since 1970. `key_password`: of the keys that are encrypted, or are to be."""
        self.path = path
        self._now_s = now_s
        self._key_password = key_password.encode("utf-8", "surrogateescape")

    @property
    def authority_file(self) -> Path:
        """The authority's certificate."""
        return self.path / f"{AUTHORITY}.pem"

    @property
    def crl_file(self) -> Path:
        """The authority's revocation list; there is none before the first revocation."""
        return self.path / CRL_FILE

    @property
    def register(self) -> Register:
        """What was issued here."""
        return Register(self.path / REGISTER_FILE)

    def authority_certificate(self) -> x509.Certificate:
        """The authority's certificate, looked at without its key. Raises NotFoundError where there is none."""
        file = read_file_if_there(self.authority_file, str(self.authority_file))
        if file is None:
            raise _no_authority(self.path)
        return read_certificates(file.data, str(self.authority_file))[0]

    def revoked(self) -> dict[int, int]:
        """What the authority has revoked: serial number → since when, in milliseconds since 1970.

        Raises NotFoundError where there is no authority.
        """
        return revoked_since(read_own_list(self.crl_file, self.authority_certificate()))

    def authority(self, options: Options, name: str | None = None) -> Issued:
        """The authority, made where there is none. To renew it is to give it other dates: key and name stay.

        Raises UsageError for a name that can't be a CN.
        """
        there = self._read(AUTHORITY)
        if there is None:
            key = issuing.new_key(options.key_type or KeyType.P256)
            made = issuing.issue_authority(name or AUTHORITY_NAME, key, days=options.days, now_s=self._now_s)
            return self._write(Issued(Change.MADE, *self._files(AUTHORITY), (made,), key))
        self._check_authority(there, options, name)
        if options.renew:
            renewed = issuing.renew_authority(_issuer(there), days=options.days, now_s=self._now_s)
            writing.write_public(self.authority_file, writing.certificates_pem([renewed]))
            return replace(there, change=Change.RENEWED, chain=(renewed,), key_kept=True)
        if self._expired(there.certificate):
            raise ConfigurationError(
                f"the authority {str(self.authority_file)!r} has expired", hint="gateway certs authority --renew"
            )
        return there

    def server(self, names: Sequence[str], default_names: Sequence[str], options: Options) -> Issued:
        """The server's certificate for these names; without any, for those that it has, or the default ones.

        Raises UsageError for what is neither a host name nor an IP address.
        """

        def issue(names: Sequence[str], key: PublicKey, authority: Authority) -> x509.Certificate:
            return issuing.issue_server(names, key, authority, days=options.days, now_s=self._now_s)

        for wanted in names:
            issuing.host_name(wanted)
        return self._leaf(SERVER, None, names, default_names, options, issue)

    def client(self, name: str, alternatives: Sequence[str], options: Options) -> Issued:
        """A device's certificate, with its name as the CN.

        Raises UsageError for a name that can't be a CN and a file's name, and for an alternative name that is none.
        """

        def issue(names: Sequence[str], key: PublicKey, authority: Authority) -> x509.Certificate:
            return issuing.issue_client(name, names, key, authority, days=options.days, now_s=self._now_s)

        check_client_name(name)
        for wanted in alternatives:
            issuing.alternative_name(wanted)
        return self._leaf(f"client-{name}", name, alternatives, (), options, issue)

    def hand_out(self, name: str, alternatives: Sequence[str], *, days: int, key_type: KeyType) -> HandedOut:
        """A device's certificate, with its name as the CN, of which only the entry on record is written to the folder.

        Raises UsageError for a name that can't be a CN, and for an alternative name that is none; NotFoundError where
        there is no authority.
        """
        authority = self._authority_that_issues()
        key = issuing.new_key(key_type)
        issued = issuing.issue_client(name, alternatives, key.public_key(), authority, days=days, now_s=self._now_s)
        self.register.add(entry_of(issued, Purpose.CLIENT, authority.certificate, self._now_s))
        return HandedOut((issued, *authority.intermediates), key, authority.certificate)

    def revoke(self, certificate: x509.Certificate, days: int) -> bool:
        """Put a certificate on the authority's revocation list; False where it is on it already.

        Raises UsageError for a certificate that the authority has not issued.
        """
        authority = self._authority_that_issues()
        if not issuing.is_issued_by(certificate, authority.certificate):
            raise self._foreign(repr(certificate.subject.rfc4514_string()))
        return self._revoke(authority, certificate.serial_number, days)

    def revoke_serial(self, serial: str, days: int, *, unrecorded: bool = False) -> RevokedSerial:
        """`revoke` for who has a certificate's serial number and nothing else (`register.read_serial`).

        Raises as `on_record` and `revoke_entry` do; one that is not on record is revoked where it may be `unrecorded`.
        """
        authority = self._authority_that_issues()
        entry = self.register.read().entries.get(serial) if unrecorded else self.on_record(serial)
        if entry is None:
            return RevokedSerial(None, self._revoke(authority, int(serial, 16), days))
        return RevokedSerial(entry, self._revoke_entry(authority, entry, days))

    def revoke_entry(self, entry: Entry, days: int) -> bool:
        """`revoke` of what is on record. Raises UsageError where it is of another authority."""
        return self._revoke_entry(self._authority_that_issues(), entry, days)

    def on_record(self, serial: str, purpose: Purpose | None = None) -> Entry:
        """The certificate with this serial number, for this purpose if there is one.

        Raises NotFoundError where none is on record.
        """
        entry = self.register.read().entries.get(serial)
        if entry is None or purpose not in (None, entry.purpose):
            what = "certificate" if purpose is None else f"{purpose}'s certificate"
            raise NotFoundError(
                f"no {what} with the serial number {serial} is on record in {self.path}",
                hint="gateway certs list shows those that are; gateway certs revoke --serial HEX revokes any of them, "
                "and with --force one that is not, such as one that was issued before there was a record",
            )
        return entry

    def _leaf(
        self,
        stem: str,
        common_name: str | None,
        names: Sequence[str],
        default_names: Sequence[str],
        options: Options,
        issue: _Issue,
    ) -> Issued:
        authority = self._authority_that_issues()
        try:
            there = self._read(stem)
        except ConfigurationError as error:
            if not options.renew:
                hint = f"{error.hint}; or have certificate and key made anew: --renew"
                raise ConfigurationError(error.message, hint=hint) from None
            there = None
        reason = ""
        if there is not None and not options.renew:
            reason = self._reason_to_renew(there, authority)
            if not reason:
                _check_as_wanted(there, common_name, names, options, authority)
                return there
        if there is not None:
            names = names or issuing.alternative_names(there.certificate)
        kind = options.key_type or (issuing.kind_of(there.key) if there else None) or KeyType.P256
        key = issuing.new_key(kind)
        wanted = list(dict.fromkeys(names or default_names))
        chain = (issue(wanted, key.public_key(), authority), *authority.intermediates)
        change = Change.MADE if there is None else Change.RENEWED
        encrypted = options.encrypt_key or (there is not None and there.key_encrypted)
        purpose = Purpose.SERVER if stem == SERVER else Purpose.CLIENT
        self.register.add(entry_of(chain[0], purpose, authority.certificate, self._now_s))
        return self._write(Issued(change, *self._files(stem), chain, key, encrypted, reason))

    def _reason_to_renew(self, there: Issued, authority: Authority) -> str:
        if not issuing.is_issued_by(there.certificate, authority.certificate):
            return ""  # not ours to renew
        if self._expired(there.certificate):
            return "it had expired"
        crl = read_own_list(self.crl_file, authority.certificate)
        serial = there.certificate.serial_number
        if crl is not None and crl.get_revoked_certificate_by_serial_number(serial) is not None:
            return "it was revoked"
        return ""

    def _revoke_entry(self, authority: Authority, entry: Entry, days: int) -> bool:
        if entry.authority_sha256 != authority_fingerprint(authority.certificate):
            raise self._foreign(f"{entry.name!r}, serial number {entry.serial}: another one has")
        return self._revoke(authority, int(entry.serial, 16), days)

    def _revoke(self, authority: Authority, serial_number: int, days: int) -> bool:
        return add_to_own_list(self.crl_file, authority, serial_number, days=days, now_s=self._now_s)

    def _foreign(self, what: str) -> UsageError:
        return UsageError(
            f"the authority in {self.path} has not issued {what}", hint="revoke it where its authority is: --folder F"
        )

    def _authority_that_issues(self) -> Authority:
        there = self._read(AUTHORITY)
        if there is None:
            raise _no_authority(self.path)
        self._check_authority(there, Options(days=0), None)
        return _issuer(there)

    def _check_authority(self, there: Issued, options: Options, name: str | None) -> None:
        where, other = repr(str(self.authority_file)), "another authority goes to another folder: --folder F"
        if not issuing.may_issue(there.certificate):
            raise ConfigurationError(f"{where} is no CA's certificate", hint=other)
        found = issuing.common_name(there.certificate)
        if name is not None and name != found:
            raise ConfigurationError(f"{where} is {found!r}, not {name!r}", hint=other)
        if options.key_type is not None and options.key_type != issuing.kind_of(there.key):
            raise ConfigurationError(f"{where} has a key of another type than {options.key_type}", hint=other)

    def _expired(self, certificate: x509.Certificate) -> bool:
        return certificate.not_valid_after_utc.timestamp() < int(self._now_s)

    def _files(self, stem: str) -> tuple[Path, Path]:
        return self.path / f"{stem}.pem", self.path / f"{stem}{_KEY_SUFFIX}.pem"

    def _read(self, stem: str) -> Issued | None:
        certificate_file, key_file = self._files(stem)
        there = [file for file in (certificate_file, key_file) if file.exists()]
        if not there:
            return None
        if len(there) == 1:
            missing = key_file if there == [certificate_file] else certificate_file
            raise ConfigurationError(f"{str(there[0])!r} is there, and {str(missing)!r} is not", hint="put it back")
        read = load_identity(certificate_file, key_file, self._key_password, names=_NAMES)
        chain = tuple(x509.load_der_x509_certificate(der) for der in read.identity.chain)
        encrypted = b"ENCRYPTED" in read.key_file.data
        return Issued(Change.KEPT, certificate_file, key_file, chain, read.identity.key, encrypted)

    def _write(self, issued: Issued) -> Issued:
        password = self._key_password if issued.key_encrypted else None
        writing.write_secret(issued.key_file, writing.key_pem(issued.key, password))
        writing.write_public(issued.certificate_file, writing.certificates_pem(issued.chain))
        return issued


def check_client_name(name: str) -> None:
    """Refuse a name that can't be both a CN and part of a file's name; raises UsageError."""
    issuing.check_common_name(name)
    hint = "a name goes into the names of files: choose one without / and \\, that does not end with _key"
    if "/" in name or "\\" in name:
        raise UsageError(f"client name {name!r} has a path separator in it", hint=hint)
    if name.endswith(_KEY_SUFFIX):
        raise UsageError(
            f"client {name!r} would have the key's file of client {name[: -len(_KEY_SUFFIX)]!r}", hint=hint
        )
    if len(f"client-{name}{_KEY_SUFFIX}.pem".encode()) > FILE_NAME_BYTES_MAX:
        raise UsageError(f"client name {name!r} is too long for a file's name", hint="choose a shorter one")


def _no_authority(folder: Path) -> NotFoundError:
    return NotFoundError(f"there is no authority in {folder}", hint="gateway certs authority")


def _issuer(there: Issued) -> Authority:
    intermediates = tuple(one for one in there.chain if one.issuer != one.subject)
    return Authority(there.certificate, there.key, intermediates)


def _check_as_wanted(
    there: Issued, common_name: str | None, names: Sequence[str], options: Options, authority: Authority
) -> None:
    """Raises ConfigurationError where what is there is good, but not what was asked for."""
    found = issuing.common_name(there.certificate)
    has = {name.lower() for name in issuing.alternative_names(there.certificate)}
    lacking = [name for name in names if str(issuing.alternative_name(name).value).lower() not in has]
    if not issuing.is_issued_by(there.certificate, authority.certificate):
        problem = "is not issued by the authority in its folder"
    elif common_name is not None and common_name != found:
        problem = f"is the certificate of {found!r}"
    elif lacking:
        problem = f"is not for {', '.join(lacking)}"
    elif options.key_type is not None and options.key_type != issuing.kind_of(there.key):
        problem = f"has a key of another type than {options.key_type}"
    elif options.encrypt_key and not there.key_encrypted:
        problem = "has a key that is not encrypted"
    else:
        return
    raise ConfigurationError(f"{str(there.certificate_file)!r} {problem}", hint="replace it, and its key: --renew")
