"""Shape in JSON of a certificate or public key that clients are trusted by."""

import time
from typing import TYPE_CHECKING

from gateway.model import JsonValue

if TYPE_CHECKING:
    from gateway.storage.credential_store import Trusted


def as_json(trusted: "Trusted") -> dict[str, JsonValue]:
    """The shape that scripts rely on. A public key has no subject, no issuer and no end of its validity."""
    from gateway.credentials.inspection import certificate_facts

    facts = None if trusted.kind == "key" else certificate_facts(trusted.der)
    return {
        "name": trusted.name,
        "kind": trusted.kind,
        "fingerprint": trusted.fingerprint,
        "subject": facts.subject.rfc4514_string() if facts else None,
        "issuer": facts.issuer.rfc4514_string() if facts else None,
        "expires_ts": int(facts.not_after_s) * 1000 if facts else None,
        # The last second of its validity belongs to it.
        "expired": facts is not None and int(time.time()) > facts.not_after_s,
        "added_ts": trusted.added_ms,
    }
