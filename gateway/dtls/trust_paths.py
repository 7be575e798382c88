"""From a peer's certificate to one that we trust (RFC 5280 §6.1), and what each certificate on the way must be.

`cryptography.x509.verification` can't do this for devices' certificates: it refuses CAs with Ed25519 keys, version 1
certificates and servers without alternative names, knows no way to skip the dates, and gives its reasons as prose,
from which no alert can be told. So the search and the rules are here and every signature is checked by
`cryptography`; the tests hold the two verdicts against each other, wherever both have one.

The search is breadth-first and visits each certificate once, so that it ends after few steps however the peer's
certificates name each other; the number of signatures that it checks has a bound of its own.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.trust_certificates import CertificateFacts

Anchors: TypeAlias = Mapping[x509.Name, Sequence[CertificateFacts]]
"""Trusted certificates by their subject."""

MAX_SIGNATURES = 8
"""Signatures checked for one chain: as many as the longest one needs. On P-384 one takes 0.8 ms."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What certificates are judged by, beside themselves."""

    purpose: x509.ObjectIdentifier
    """The extended key usage asked for, such as clientAuth."""
    now_s: float | None
    """Seconds since 1970; None skips notBefore and notAfter, and nothing else."""

    def check_leaf(self, leaf: CertificateFacts) -> None:
        """Raises AlertError where the peer's own certificate is not fit to sign a handshake with."""
        if leaf.key is None:
            raise AlertError(AlertDescription.UNSUPPORTED_CERTIFICATE, "the key's kind, curve or size is not taken")
        if leaf.key_usage is not None and not leaf.key_usage.digital_signature:
            raise AlertError(AlertDescription.UNSUPPORTED_CERTIFICATE, "its key usage lacks digitalSignature")
        self._check_any(leaf)

    def check_issuer(self, issuer: CertificateFacts, path: Sequence[CertificateFacts]) -> None:
        """Raises AlertError where a certificate is not fit to issue the last one of `path`."""
        if not issuer.is_ca:
            raise AlertError(AlertDescription.UNKNOWN_CA, f"the issuer {_text(issuer)} is no CA")
        if issuer.key_usage is not None and not issuer.key_usage.key_cert_sign:
            raise AlertError(
                AlertDescription.UNSUPPORTED_CERTIFICATE, f"the key usage of {_text(issuer)} lacks keyCertSign"
            )
        # RFC 5280 would not count CAs that certified their own new key; `cryptography`, and most others, count all.
        between = len(path) - 1
        if issuer.path_length is not None and between > issuer.path_length:
            raise AlertError(
                AlertDescription.UNKNOWN_CA,
                f"{between} CAs below {_text(issuer)}, whose path length is {issuer.path_length}",
            )
        if issuer.name_constraints:
            # They would have to bind the CN too, which names the device and which RFC 5280 leaves free.
            raise AlertError(AlertDescription.CERTIFICATE_UNKNOWN, f"{_text(issuer)} has name constraints")
        self._check_any(issuer)

    def _check_any(self, certificate: CertificateFacts) -> None:
        purposes = certificate.purposes
        if purposes is not None and purposes.isdisjoint((self.purpose, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)):
            raise AlertError(
                AlertDescription.UNSUPPORTED_CERTIFICATE,
                f"the extended key usage of {_text(certificate)} lacks {self.purpose.dotted_string}",
            )
        if certificate.not_understood:
            raise AlertError(
                AlertDescription.CERTIFICATE_UNKNOWN,
                f"{_text(certificate)} has critical extensions that are not understood: "
                + ", ".join(certificate.not_understood),
            )
        if self.now_s is None:
            return
        # Certificates count whole seconds, and the last one belongs to them.
        if int(self.now_s) > certificate.not_after_s:
            raise AlertError(AlertDescription.CERTIFICATE_EXPIRED, f"{_text(certificate)} has expired")
        if self.now_s < certificate.not_before_s:
            raise AlertError(AlertDescription.CERTIFICATE_EXPIRED, f"{_text(certificate)} is not yet valid")


def find_path(chain: Sequence[CertificateFacts], anchors: Anchors, rules: Rules) -> tuple[CertificateFacts, ...]:
    """The certificates from the peer's own to a trusted one, both included.

    The order of the peer's other certificates does not matter, and those that lead nowhere do no harm. Raises
    AlertError: what stood in the way of the nearest path, else bad_certificate (there are issuers of the right name,
    and the signature is of none of them) or unknown_ca.
    """
    return _Search(chain, anchors, rules).run()


class _Search:
    def __init__(self, chain: Sequence[CertificateFacts], anchors: Anchors, rules: Rules) -> None:
        self._leaf = chain[0]
        self._anchors = anchors
        # Once each, and not where they are tried as trusted ones anyway.
        trusted = {anchor.certificate for other in chain[1:] for anchor in anchors.get(other.subject, ())}
        others = {other.certificate: other for other in chain[1:] if other.certificate not in trusted}
        self._others = tuple(others.values())
        self._rules = rules
        self._signatures_left = MAX_SIGNATURES
        self._seen = {chain[0].certificate}
        self._problem: AlertError | None = None
        self._leaf_has_namesakes = False
        self._leaf_has_issuer = False

    def run(self) -> tuple[CertificateFacts, ...]:
        paths: deque[tuple[CertificateFacts, ...]] = deque([(self._leaf,)])
        while paths:
            path = paths.popleft()
            for issuer in _likeliest_first(path[-1], self._anchors.get(path[-1].issuer, ())):
                if self._extends(path, issuer):
                    return (*path, issuer)
            paths.extend((*path, issuer) for issuer in self._sent_issuers(path))
        raise self._verdict()

    def _sent_issuers(self, path: tuple[CertificateFacts, ...]) -> Iterator[CertificateFacts]:
        named = [other for other in self._others if other.subject == path[-1].issuer]
        for issuer in _likeliest_first(path[-1], named):
            if issuer.certificate not in self._seen and self._extends(path, issuer):
                self._seen.add(issuer.certificate)
                yield issuer

    def _extends(self, path: tuple[CertificateFacts, ...], issuer: CertificateFacts) -> bool:
        """Whether `issuer` issued the last certificate of the path, and may have."""
        of_leaf = len(path) == 1
        self._leaf_has_namesakes |= of_leaf
        try:
            if not self._signed(path[-1], issuer):
                return False
            self._leaf_has_issuer |= of_leaf
            self._rules.check_issuer(issuer, path)
        except AlertError as problem:
            self._problem = self._problem or problem
            return False
        return True

    def _signed(self, certificate: CertificateFacts, issuer: CertificateFacts) -> bool:
        if issuer.key is None or not certificate.strongly_signed:
            raise AlertError(
                AlertDescription.UNSUPPORTED_CERTIFICATE,
                f"the signature of {_text(certificate)}: its hash, or its issuer's key, is not taken",
            )
        self._signatures_left -= 1
        if self._signatures_left < 0:
            return False
        try:
            certificate.certificate.verify_directly_issued_by(issuer.certificate)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
            return False
        return True

    def _verdict(self) -> AlertError:
        if self._signatures_left < 0:
            return AlertError(AlertDescription.UNKNOWN_CA, f"no path found in {MAX_SIGNATURES} signatures")
        if self._problem is not None:
            return self._problem
        issuer = repr(self._leaf.issuer.rfc4514_string())
        if self._leaf_has_namesakes and not self._leaf_has_issuer:
            return AlertError(AlertDescription.BAD_CERTIFICATE, f"not signed by the {issuer} that is known here")
        return AlertError(AlertDescription.UNKNOWN_CA, f"no path from the issuer {issuer} to a trusted CA")


def _likeliest_first(certificate: CertificateFacts, issuers: Sequence[CertificateFacts]) -> Sequence[CertificateFacts]:
    """First those with the key identifier that the certificate gives; it is only a hint (RFC 5280 §4.2.1.1)."""
    if len(issuers) < 2 or certificate.issuer_key_id is None:
        return issuers
    return sorted(issuers, key=lambda issuer: issuer.key_id != certificate.issuer_key_id)


def _text(certificate: CertificateFacts) -> str:
    # Quoted: what a peer put into its subject must not break the log's lines.
    return repr(certificate.subject.rfc4514_string())
