"""Certificate revocation lists (RFC 5280 §5 and §6.3)."""

from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.trust_certificates import UNREADABLE, CertificateFacts
from gateway.dtls.trust_paths import Anchors
from gateway.model import Principal


class RevocationLists:
    """The revocation lists of a trust store.

    A list can only take trust away, so the rules lean towards using it. One past its nextUpdate still counts: what it
    revokes stays revoked, whereas ignoring it would let revoked devices in again on the day on which a download
    fails, and refusing everyone would cut the fleet off on that day. A CA whose key usage lacks cRLSign may still
    revoke what it issued. Delta and indirect lists, and those with critical extensions that are not understood, are
    not used (RFC 5280 §5.2).
    """

    def __init__(self, crls: Iterable[x509.CertificateRevocationList], anchors: Anchors) -> None:
        self._findings: list[str] = []
        self._lists: dict[x509.Name, list[_List]] = {}
        for crl in crls:
            try:
                revocations = _List(crl, anchors)
            except UNREADABLE as error:
                self._findings.append(f"a revocation list is not used: {error!r:.200}")
            else:
                self._lists.setdefault(crl.issuer, []).append(revocations)
        self._by_text = {name.rfc4514_string(): lists for name, lists in self._lists.items()}

    def check(self, certificate: CertificateFacts, issuer: CertificateFacts | None) -> None:
        """Raises AlertError (certificate_revoked). `issuer` is None where none but the certificate itself is known."""
        for revocations in self._lists.get(certificate.issuer, ()):
            if revocations.revokes(certificate, issuer):
                subject, serial = certificate.subject.rfc4514_string(), certificate.serial
                raise AlertError(AlertDescription.CERTIFICATE_REVOKED, f"{subject!r}, serial number {serial:x}")

    def revokes(self, principal: Principal) -> bool:
        """Whether a trusted CA has revoked the certificate of a principal that was let in."""
        if not self._lists or principal.issuer is None or principal.serial is None:
            return False
        serial = int(principal.serial, 16)
        return any(one.revokes_serial(serial) for one in self._by_text.get(principal.issuer, ()))

    def findings(self, now_s: float) -> list[str]:
        """What an operator should know about the lists."""
        return self._findings + [text for some in self._lists.values() for one in some for text in one.findings(now_s)]


class _List:
    def __init__(self, crl: x509.CertificateRevocationList, anchors: Anchors) -> None:
        for extension in crl.extensions:
            _check_extension(extension)
        self._crl = crl
        self._serials = frozenset(entry.serial_number for entry in crl)
        self._next_update_s = None if crl.next_update_utc is None else crl.next_update_utc.timestamp()
        self._anchored = any(_signed_by(crl, anchor) for anchor in anchors.get(crl.issuer, ()))

    def revokes(self, certificate: CertificateFacts, issuer: CertificateFacts | None) -> bool:
        """Whether a certificate, whose issuer has this list's name, is on it, and the list is genuine.

        It is where any trusted CA of that name signed it, which may since have a new key (RFC 5280 §6.3.3 f), or else
        the certificate's own issuer.
        """
        if certificate.serial not in self._serials:
            return False
        return self._anchored or (issuer is not None and _signed_by(self._crl, issuer))

    def revokes_serial(self, serial: int) -> bool:
        """Whether a certificate is on it by a trusted CA's word."""
        return self._anchored and serial in self._serials

    def findings(self, now_s: float) -> list[str]:
        name = repr(self._crl.issuer.rfc4514_string())
        found = []
        if not self._anchored:
            found.append(
                f"the revocation list of {name} is signed by no trusted CA: it counts only below one that peers send"
            )
        if self._next_update_s is not None and now_s > self._next_update_s:
            since = datetime.fromtimestamp(self._next_update_s, UTC).isoformat()
            found.append(f"the revocation list of {name} has expired ({since}) and is used nonetheless")
        return found


def _check_extension(extension: x509.Extension[x509.ExtensionType]) -> None:
    value = extension.value
    if isinstance(value, x509.IssuingDistributionPoint):
        if value.indirect_crl:
            raise ValueError("it speaks for other issuers (an indirect list)")
    elif extension.oid == ExtensionOID.DELTA_CRL_INDICATOR:
        raise ValueError("it lists only changes (a delta)")
    elif extension.critical:
        raise ValueError(f"its critical extension {extension.oid.dotted_string} is not understood")


def _signed_by(crl: x509.CertificateRevocationList, issuer: CertificateFacts) -> bool:
    return issuer.is_ca and issuer.key is not None and crl.is_signature_valid(issuer.key)
