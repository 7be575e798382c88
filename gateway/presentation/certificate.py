"""Shapes in JSON of certificates, revocation lists and keys, and of what an authority has on record."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.credentials.inspection import (
    Content,
    FoundKey,
    Item,
    extension_texts,
    key_text,
    public_key_of,
    spki_fingerprint,
)
from gateway.credentials.register import Entry
from gateway.model import JsonValue

REVOKED_LISTED: Final = 1000
"""Most serial numbers of a revocation list that are shown."""

_DAY_S: Final = 86_400


def as_json(item: Item, others: Sequence[Item]) -> dict[str, JsonValue]:
    """The shape that scripts rely on. `others` are looked through for what fits."""
    where: dict[str, JsonValue] = {"file": str(item.file), "alias": item.alias}
    if isinstance(item.content, x509.Certificate):
        return {**where, **certificate_as_json(item.content), "key_in": _fitting(item, others)}
    if isinstance(item.content, x509.CertificateRevocationList):
        return {**where, **_crl(item.content)}
    return {**where, **_key(item.content), "certificate_in": _fitting(item, others)}


def certificate_as_json(certificate: x509.Certificate) -> dict[str, JsonValue]:
    """A certificate alone, wherever it comes from; raises ConfigurationError where it is malformed."""
    key = public_key_of(certificate)
    return {
        "kind": "certificate",
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        **_validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc),
        "key": None if key is None else key_text(key),
        **extension_texts(certificate),
        "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def issued_as_json(entry: Entry, revoked_ms: int | None, is_foreign: bool) -> dict[str, JsonValue]:
    """The shape that scripts rely on; a certificate that is revoked, or `is_foreign`, is so whatever its dates say."""
    told = "of another authority" if is_foreign else "" if revoked_ms is None else "revoked"
    begin, end = (datetime.fromtimestamp(ts / 1000, UTC) for ts in (entry.valid_from_ts, entry.valid_until_ts))
    return {
        "serial": entry.serial,
        "purpose": entry.purpose.value,
        "name": entry.name,
        "names": list(entry.names),
        **_validity(begin, end),
        **({"state": told} if told else {}),
        "issued_ts": entry.issued_ts,
        "revoked_ts": revoked_ms,
        "fingerprint_sha256": entry.fingerprint_sha256,
        "authority_sha256": entry.authority_sha256,
    }


def _crl(crl: x509.CertificateRevocationList) -> dict[str, JsonValue]:
    serials = [f"{one.serial_number:x}" for one, _ in zip(crl, range(REVOKED_LISTED), strict=False)]
    return {
        "kind": "revocation list",
        "issuer": crl.issuer.rfc4514_string(),
        **_validity(crl.last_update_utc, crl.next_update_utc),
        "revoked": len(crl),
        "revoked_serials": serials,
    }


def _key(key: FoundKey) -> dict[str, JsonValue]:
    return {
        "kind": "private key" if key.private else "public key",
        "key": None if key.public is None else key_text(key.public),
        "encrypted": key.encrypted,
        "state": "locked" if key.public is None else "readable",
        "public_key_sha256": None if key.public is None else spki_fingerprint(key.public),
    }


def _validity(begin: datetime, end: datetime | None) -> dict[str, JsonValue]:
    now_s = time.time()
    if end is not None and now_s >= end.timestamp() + 1:
        state = "EXPIRED"
    elif now_s < begin.timestamp():
        state = "NOT YET VALID"
    else:
        state = "valid"
    return {
        "valid_from": _iso(begin),
        "valid_until": None if end is None else _iso(end),
        "days_left": None if end is None else int((end.timestamp() - now_s) // _DAY_S),
        "state": state,
    }


def _fitting(item: Item, others: Sequence[Item]) -> list[str]:
    """Where the other half is: a certificate's private key, or a key's certificates."""

    def is_other_half(content: Content) -> bool:
        if isinstance(item.content, x509.Certificate):
            return isinstance(content, FoundKey) and content.private
        return isinstance(content, x509.Certificate)

    key = public_key_of(item.content)
    found = [
        other.where
        for other in others
        if key is not None and is_other_half(other.content) and public_key_of(other.content) == key
    ]
    return list(dict.fromkeys(found))


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
