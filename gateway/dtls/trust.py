"""Whom to believe: the judgement of a peer's certificate or raw public key (RFC 5280 §6, RFC 7250).

What is accepted, beside what RFC 5280 §6.1 asks for, and why:

- Certificates as `keytool` and `openssl req` make them, and so ThingsBoard's scripts: without alternative names,
  extended key usage, key usage or key identifiers, and of version 1. What a certificate leaves out restricts nothing.
  What it says counts, critical or not: an extended key usage must allow the role, in CAs too; a key usage must have
  digitalSignature, in CAs keyCertSign.
- The very certificate of a peer, in the trust store or pinned by its fingerprint: no path is needed, and its own
  signature says nothing. All else counts as ever: dates, usages, critical extensions, revocation.
- Any CA of the trust store ends a path, be it a root or not. Its dates count. A certificate that does not say CA:TRUE
  issues nothing, in the trust store or out of it: else each device that is trusted could make others.
- Keys that can sign a handshake here: P-256, P-384, Ed25519, RSA from 2048 bits; signatures with SHA-256 and above.
- CAs with name constraints are refused: they can't bind the CN, which is what names a device.
- Certificate policies are not looked at; where they are critical, the certificate is refused, as with any critical
  extension that is not understood.
"""

import re
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.keyexchange import PublicKey
from gateway.dtls.trust_certificates import UNREADABLE, CertificateFacts, decode_chain, facts_of, leaf_key, raw_key
from gateway.dtls.trust_names import check_server_name, principal_of
from gateway.dtls.trust_paths import MAX_SIGNATURES, Rules, find_path
from gateway.dtls.trust_revocation import RevocationLists
from gateway.model import Principal

_FINGERPRINT = re.compile("[0-9a-f]{64}")


class TrustPolicy:
    """A trust store and the rules by which it is applied. It does not change; another store is another policy."""

    def __init__(
        self,
        anchors: Iterable[x509.Certificate] = (),
        *,
        pinned: Iterable[str] = (),
        raw_keys: Iterable[str] = (),
        crls: Iterable[x509.CertificateRevocationList] = (),
        skip_validity: bool = False,
    ) -> None:
        """`anchors`: CAs, and certificates of single peers. `pinned`: SHA-256 fingerprints of certificates of single
        peers. `raw_keys`: those of SubjectPublicKeyInfos. Both in hex, with or without colons. `skip_validity` skips
        notBefore and notAfter, of CAs too, and nothing else.

        Raises ValueError for a fingerprint that is none. Anchors and lists that can't be used are left out and are
        among the `findings`.
        """
        self._skip_validity = skip_validity
        self._pinned = {_fingerprint(text) for text in pinned}
        self._raw_keys = frozenset(_fingerprint(text) for text in raw_keys)
        self._findings: list[str] = []
        self._anchors: dict[x509.Name, list[CertificateFacts]] = {}
        self._anchors_by_fingerprint: dict[str, CertificateFacts] = {}
        for certificate in dict.fromkeys(anchors):
            self._add_anchor(certificate)
        self._revocations = RevocationLists(crls, self._anchors)

    def client_principal(self, chain: Sequence[bytes], now_s: float) -> Principal:
        """Who a client is that sent these certificates, as DER, its own first. `now_s`: seconds since 1970.

        Whether it holds the certificate's key is for CertificateVerify to show. Raises AlertError: bad_certificate
        (undecodable, a wrong signature), unknown_ca (no path to a trusted CA), certificate_expired (or not yet
        valid), certificate_revoked, unsupported_certificate (usages, kind or strength of key or signature),
        certificate_unknown (critical extensions, name constraints, bounds, names that can't be printed).
        """
        return principal_of(*self._trusted_ends(chain, now_s, ExtendedKeyUsageOID.CLIENT_AUTH))

    def server_principal(self, chain: Sequence[bytes], now_s: float, *, server_name: str | None) -> Principal:
        """Who a server is. `server_name`: the host name or IP address called; None: any trusted server will do.

        Raises AlertError as `client_principal`, and certificate_unknown for a certificate of another name. A pinned one
        must have the name too: a pin says that a certificate is genuine, not which server it is for.
        """
        leaf, anchor = self._trusted_ends(chain, now_s, ExtendedKeyUsageOID.SERVER_AUTH)
        if server_name is not None:
            check_server_name(leaf, server_name)
        return principal_of(leaf, anchor)

    def still_trusts(self, principal: Principal, now_s: float) -> bool:
        """Whether a principal that some policy let in, by certificate or raw public key, would be let in by this one.

        As far as that can be told without its chain: what vouched for it is still trusted, and neither that nor its own
        certificate has expired or was revoked by a trusted CA. Intermediate CAs are judged again at its next full
        handshake, and so is all that was never asked about, such as a usage.
        """
        if principal.kind == "rpk":
            return principal.credential in self._raw_keys
        if principal.credential not in self._pinned:
            return False
        if self._revocations.revokes(principal):
            return False
        anchor = self._anchors_by_fingerprint.get(principal.credential)
        ends_s = [principal.expires_s or 0] + ([int(anchor.not_after_s)] if anchor else [])
        return self._skip_validity or int(now_s) <= min(ends_s)

    @property
    def first_expiry_s(self) -> float | None:
        """When the first certificate of the store expires, in seconds since 1970; None for an empty one."""
        return min((anchor.not_after_s for anchor in self._anchors_by_fingerprint.values()), default=None)

    def findings(self, now_s: float) -> list[str]:
        """What an operator should know about the trust store, such as a revocation list that has expired."""
        found = list(self._findings)
        for subject, anchors in self._anchors.items():
            if len(anchors) > MAX_SIGNATURES:
                found.append(
                    f"{len(anchors)} trusted CAs are called {subject.rfc4514_string()!r}: not all may be tried"
                )
            if not self._skip_validity:
                found += [f"{_title(anchor)} has expired" for anchor in anchors if int(now_s) > anchor.not_after_s]
        return found + self._revocations.findings(now_s)

    def _add_anchor(self, certificate: x509.Certificate) -> None:
        try:
            anchor = facts_of(certificate)
        except UNREADABLE as error:
            self._findings.append(f"a trusted certificate is not used: {error!r:.200}")
            return
        if anchor.key is None:
            self._findings.append(f"{_title(anchor)} is not used: its key's kind, curve or size is not taken")
            return
        self._pinned.add(anchor.fingerprint)
        self._anchors.setdefault(anchor.subject, []).append(anchor)
        self._anchors_by_fingerprint[anchor.fingerprint] = anchor

    def _trusted_ends(
        self, chain: Sequence[bytes], now_s: float, purpose: x509.ObjectIdentifier
    ) -> tuple[CertificateFacts, CertificateFacts]:
        """The peer's own certificate, and the trusted one at the end of its path, which may be the same."""
        rules = Rules(purpose, None if self._skip_validity else now_s)
        certificates = decode_chain(chain)
        leaf = certificates[0]
        if leaf.fingerprint in self._pinned:
            path: tuple[CertificateFacts, ...] = (leaf,)
        else:
            path = find_path(certificates, self._anchors, rules)
        rules.check_leaf(leaf)
        # The last one is trusted for its own sake, but a trusted CA may have revoked it all the same.
        for certificate, issuer in zip(path, (*path[1:], None), strict=True):
            self._revocations.check(certificate, issuer)
        return leaf, path[-1]

    def raw_key_principal(self, key: bytes) -> Principal:
        """Who a peer is that sent a raw public key, a SubjectPublicKeyInfo as DER: its name is its fingerprint.

        Raises AlertError: bad_certificate for bytes that are no key, unsupported_certificate for a key of a kind that
        is not taken, unknown_ca for one that is not trusted.
        """
        self.raw_public_key(key)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(key)
        fingerprint = digest.finalize().hex()
        if fingerprint not in self._raw_keys:
            raise AlertError(AlertDescription.UNKNOWN_CA, f"the raw public key {fingerprint} is not trusted")
        return Principal("rpk", fingerprint, fingerprint=fingerprint, credential=fingerprint)

    @staticmethod
    def public_key(chain: Sequence[bytes]) -> PublicKey:
        """The key of a peer's own certificate, the first of its chain, trusted or not.

        Raises AlertError: bad_certificate, or unsupported_certificate for a key of a kind that is not taken.
        """
        if not chain:
            raise AlertError(AlertDescription.BAD_CERTIFICATE, "no certificate")
        return leaf_key(chain[0])

    @staticmethod
    def raw_public_key(key: bytes) -> PublicKey:
        """The key in a SubjectPublicKeyInfo, trusted or not.

        Raises AlertError: bad_certificate, or unsupported_certificate for a key of a kind that is not taken.
        """
        return raw_key(key)


def _fingerprint(text: str) -> str:
    plain = text.replace(":", "").lower()
    if not _FINGERPRINT.fullmatch(plain):
        raise ValueError(f"{text!r} is no SHA-256 fingerprint: 64 hex digits are wanted")
    return plain


def _title(anchor: CertificateFacts) -> str:
    return f"the trusted certificate {anchor.subject.rfc4514_string()!r}"
