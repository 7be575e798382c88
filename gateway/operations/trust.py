"""Whom to trust, from what somebody hands in: certificates of CAs or devices, or a public key."""

import time
from collections.abc import Iterable, Set
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from gateway.credentials.inspection import certificate_facts
from gateway.credentials.pem import PEM_MARK, read_certificates
from gateway.dtls.alerts import AlertError
from gateway.dtls.trust import TrustPolicy
from gateway.dtls.trust_certificates import UNREADABLE
from gateway.dtls.trust_names import principal_of
from gateway.errors import ConfigurationError, UsageError
from gateway.integrations.endpoints import check_name
from gateway.storage.catalogue import Catalogue
from gateway.storage.credential_store import Trusted, TrustedKind

SHORT_DIGITS = 16
"""Digits of a fingerprint that name what has no name that can be typed."""

_KEYS_TAKEN = "P-256, P-384, Ed25519 and RSA from 2048 bits are taken"


class Addition(NamedTuple):
    """What became of something that is to be trusted."""

    trusted: Trusted
    """As it is kept now."""
    already: bool
    """Whether it was before."""


def read_trusted(
    data: bytes, where: str, *, kind: TrustedKind | None = None, name: str | None = None, key_name: str = ""
) -> list[Trusted]:
    """The certificates of a file, each once, or its public key. `kind` and `name` outrank what a certificate says.

    `where` begins the messages; `key_name` is what a public key is called without `name`. Raises UsageError for a file
    without either, and for what would vouch for no client: a key that is not taken, a CA that does not say so or has
    name constraints, a device's certificate with names that can't be printed.
    """
    key = _public_key(data)
    if key is not None:
        if kind is not None:
            raise UsageError(f"{where}: holds a public key, and --as is for certificates", hint="leave out --as")
        return [_trusted_key(key, name or key_name, where)]
    try:
        certificates = read_certificates(data, where)
    except ConfigurationError as error:
        raise UsageError(error.message, hint=error.hint) from None
    ders = list(dict.fromkeys(certificate.public_bytes(Encoding.DER) for certificate in certificates))
    if name is not None and len(ders) > 1:
        raise UsageError(f"{where}: holds {len(ders)} certificates, and --name is for one", hint="leave out --name")
    try:
        return [_trusted_certificate(der, kind, name, where) for der in ders]
    except UNREADABLE as error:
        raise UsageError(f"{where}: a certificate can't be read: {error!r:.200}", hint="issue it anew") from None


def add_trusted(
    catalogue: Catalogue, found: list[Trusted], *, kind: TrustedKind | None, name: str | None
) -> list[Addition]:
    """Trust all of these, or none. What is trusted already, as this `kind` and under this `name`, stays as it is.

    Raises UsageError for what is trusted as something else, and for a name that is taken.
    """
    known = {one.fingerprint: one for one in catalogue.credentials.trusted()}
    # One that is known as something else is not left out, so that it is refused.
    new = [one for one in found if not _is_known(one, known.get(one.fingerprint), kind, name)]
    if name is None:
        new = _named_apart(new, {one.name for one in known.values()})
    catalogue.credentials.add_trusted(*new)
    now = known | {one.fingerprint: one for one in new}
    return [Addition(now[one.fingerprint], one.fingerprint in known) for one in found]


def _is_known(one: Trusted, there: Trusted | None, kind: TrustedKind | None, name: str | None) -> bool:
    return there is not None and kind in (None, there.kind) and name in (None, there.name)


def _named_apart(trusted: Iterable[Trusted], taken: Set[str]) -> list[Trusted]:
    """These with names that nothing else has: a CA's next certificate has the same CN as a rule."""
    named: list[Trusted] = []
    for one in trusted:
        if one.name in taken or any(one.name == other.name for other in named):
            one = replace(one, name=f"{one.name} {one.fingerprint[:SHORT_DIGITS]}")
        named.append(one)
    return named


def _public_key(data: bytes) -> bytes | None:
    """The SubjectPublicKeyInfo that a file holds in place of certificates, as DER."""
    is_pem = PEM_MARK in data
    if is_pem and (b" CERTIFICATE-----" in data or b"-----BEGIN PUBLIC KEY-----" not in data):
        return None
    try:
        key = load_pem_public_key(data) if is_pem else load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _trusted_key(der: bytes, name: str, where: str) -> Trusted:
    try:
        TrustPolicy.raw_public_key(der)
    except AlertError as error:
        raise UsageError(f"{where}: {error.reason}", hint=_KEYS_TAKEN) from None
    return _trusted("key", name, der)


def _trusted_certificate(der: bytes, kind: TrustedKind | None, name: str | None, where: str) -> Trusted:
    facts = certificate_facts(der)
    kind = kind or ("ca" if facts.is_ca else "device")
    who = f"{where}: certificate {facts.subject.rfc4514_string()!r}"
    if facts.key is None:
        raise UsageError(f"{who} has a key of a kind, curve or size that is not taken", hint=_KEYS_TAKEN)
    if kind == "ca" and not facts.is_ca:
        raise UsageError(
            f"{who} does not say that it is a CA (basicConstraints), so nothing that it issued is trusted",
            hint="trust the certificate itself with --as device",
        )
    if kind == "ca" and facts.name_constraints:
        raise UsageError(
            f"{who} has name constraints, which can't bind a device's CN: such a CA is not taken",
            hint="trust the certificates of its devices, with --as device",
        )
    try:
        own_name = principal_of(facts, facts).name
    except AlertError as error:
        if kind == "device":
            raise UsageError(f"{who}: {error.reason}", hint="issue it anew, with names that can be printed") from None
        own_name = ""
    return _trusted(kind, name or own_name, der)


def _trusted(kind: TrustedKind, name: str, der: bytes) -> Trusted:
    fingerprint = sha256(der).hexdigest()
    try:
        check_name("certificate", name)
    except UsageError:  # a CN or a file's name can be anything
        name = fingerprint[:SHORT_DIGITS]
    return Trusted(kind, name, fingerprint, der, time.time_ns() // 1_000_000)
