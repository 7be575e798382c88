"""An authority's own revocation list, in its file: read, asked, and added to."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.credentials import issuing, writing
from gateway.credentials.files import read_file_if_there
from gateway.credentials.issuing import Authority
from gateway.credentials.trust_files import MAX_CRL_BYTES
from gateway.dtls.trust_certificates import UNREADABLE
from gateway.errors import ConfigurationError


def read_own_list(file: Path, authority: x509.Certificate) -> x509.CertificateRevocationList | None:
    """The list, None before the first revocation. Raises ConfigurationError for one that is not the authority's."""
    held = read_file_if_there(file, str(file), limit_bytes=MAX_CRL_BYTES)
    if held is None:
        return None
    try:
        crl = x509.load_pem_x509_crl(held.data)
        genuine = crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # of odd keys a TypeError
    except UNREADABLE:
        genuine = False
    if not genuine:
        raise ConfigurationError(
            f"{str(file)!r} is no revocation list of the authority in {file.parent}",
            hint="move it away; then a new one is begun",
        )
    return crl


def revoked_since(crl: x509.CertificateRevocationList | None) -> dict[int, int]:
    """What is on a list: serial number → since when, in milliseconds since 1970."""
    return {one.serial_number: int(one.revocation_date_utc.timestamp()) * 1000 for one in crl or ()}


def add_to_own_list(file: Path, authority: Authority, serial_number: int, *, days: int, now_s: float) -> bool:
    """Revoke the certificate with this serial number; False where it is revoked already. `days`: till the next list.

    Raises ConfigurationError for a list that is not the authority's, or can't be written.
    """
    crl = read_own_list(file, authority.certificate)
    if crl is not None and crl.get_revoked_certificate_by_serial_number(serial_number) is not None:
        return False
    revoked = [*(crl or ()), issuing.revocation_of(serial_number, now_s)]
    number = 1 if crl is None else _number(crl) + 1
    renewed = issuing.issue_crl(authority, revoked, number=number, days=days, now_s=now_s)
    writing.write_public(file, renewed.public_bytes(Encoding.PEM))
    return True


def _number(crl: x509.CertificateRevocationList) -> int:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return 0
