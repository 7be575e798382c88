"""Names in certificates: who a peer is, and whether a server is the one that was called (RFC 5280, RFC 9525)."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.trust_certificates import CertificateFacts
from gateway.model import Principal

MAX_NAMES_LENGTH = 4096
"""Characters in all names of a certificate. They go into sessions and tickets, and a ticket into a ClientHello."""


def principal_of(leaf: CertificateFacts, anchor: CertificateFacts) -> Principal:
    """Who a certificate says that its holder is; `anchor` is the trusted certificate that vouches for it.

    Its name is the CN (the most specific one, which comes last, where there are several), else the first alternative
    name that is a DNS name, a URI or an e-mail address, else its fingerprint. Raises AlertError (certificate_unknown)
    where any of the names holds what can't be printed: such names could pass for others in a log, and escaping them
    would let two certificates have one name. The same where they are beyond `MAX_NAMES_LENGTH`.
    """
    fingerprint = leaf.fingerprint
    alternatives = tuple(_alternatives(leaf))
    names = [value for kind, value in alternatives if kind is not x509.IPAddress]
    subject, issuer = leaf.subject.rfc4514_string(), leaf.issuer.rfc4514_string()
    name = _common_name(leaf) or next(filter(None, names), fingerprint)
    sans = tuple(value for _, value in alternatives)
    texts = (name, subject, issuer, *sans)
    if sum(map(len, texts)) > MAX_NAMES_LENGTH:
        raise AlertError(AlertDescription.CERTIFICATE_UNKNOWN, "the certificate's names are too long")
    for text in texts:
        if not text.isprintable():
            raise AlertError(AlertDescription.CERTIFICATE_UNKNOWN, f"a name that can't be printed: {text!a:.200}")
    return Principal(
        "x509",
        name,
        subject=subject or None,
        sans=sans,
        fingerprint=fingerprint,
        issuer=issuer or None,
        serial=f"{leaf.serial:x}",
        expires_s=int(leaf.not_after_s),
        credential=anchor.fingerprint,
    )


def check_server_name(leaf: CertificateFacts, server_name: str) -> None:
    """Raises AlertError (certificate_unknown) where a certificate is not for the host name or IP address called.

    An IP address must be among the iPAddress names, a host name among the dNSNames, of which the first label may be a
    wildcard. Only where there are no alternative names at all, as `keytool` and ThingsBoard's scripts make
    certificates, the CN counts, to the letter: RFC 9525 §2 rules it out for the web, whose public CAs guard no CN;
    here the operator's own CA, or the very certificate, is in the trust store.
    """
    wanted = _address(server_name.partition("%")[0]) or _host(server_name)
    if leaf.alternative_names is None:
        common_name = _common_name(leaf) or ""
        matches = (_address(common_name) or _host(common_name)) == wanted
    elif isinstance(wanted, str):
        matches = any(_host_matches(name, wanted) for name in leaf.alternative_names.get_values_for_type(x509.DNSName))
    else:
        matches = wanted in leaf.alternative_names.get_values_for_type(x509.IPAddress)
    if not wanted or not matches:
        raise AlertError(AlertDescription.CERTIFICATE_UNKNOWN, f"the certificate is not for {server_name!r}")


def _alternatives(leaf: CertificateFacts) -> Iterator[tuple[type[x509.GeneralName], str]]:
    for name in leaf.alternative_names or ():
        if isinstance(name, (x509.DNSName, x509.UniformResourceIdentifier, x509.RFC822Name, x509.IPAddress)):
            yield type(name), str(name.value)


def _common_name(leaf: CertificateFacts) -> str | None:
    values = [attribute.value for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return next((value for value in reversed(values) if isinstance(value, str) and value), None)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _host(text: str) -> str:
    return text.lower().removesuffix(".")


def _host_matches(pattern: str, host: str) -> bool:
    """RFC 9525 §6.3: a wildcard is a whole first label and stands for one label; above it there must be two."""
    pattern = _host(pattern)
    if not pattern.startswith("*."):
        return pattern == host
    label, _, rest = host.partition(".")
    return bool(label) and "." in rest and rest == pattern[2:]
