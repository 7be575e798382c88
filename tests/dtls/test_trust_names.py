"""Who a certificate says that its holder is, and which server it is for."""

import warnings
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.model import Principal
from tests.dtls.certificates import NOW_S, YEAR_S, Issued, authority, bare, common_name, device, server
from tests.dtls.verdicts import client_alert, client_name, server_alert, trusting

UNKNOWN = AlertDescription.CERTIFICATE_UNKNOWN
EMPTY = x509.Name([])


@pytest.fixture(scope="module")
def ca() -> Issued:
    """The CA that the tests trust."""
    return authority("Test CA, Inc.")


def subject(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in parts])


# -- clients -------------------------------------------------------------------------------------


def test_the_principal_has_all_that_the_certificate_says_of_its_holder(ca: Issued) -> None:
    names = [
        x509.DNSName("sensor.example"),
        x509.UniformResourceIdentifier("urn:dev:ops:32473-7"),
        x509.RFC822Name("sensor@example.com"),
        x509.IPAddress(ip_address("2001:db8::7")),
        x509.DirectoryName(common_name("left out")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ]
    organisation = subject((NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, "sensor-1"))
    sensor = device(issuer=ca, subject=organisation, sans=names)
    assert trusting(ca).client_principal(sensor.chain(), NOW_S) == Principal(
        "x509",
        "sensor-1",
        subject="CN=sensor-1,O=Example",
        sans=("sensor.example", "urn:dev:ops:32473-7", "sensor@example.com", "2001:db8::7"),
        fingerprint=sensor.fingerprint,
        issuer="CN=Test CA\\, Inc.",
        serial=f"{sensor.certificate.serial_number:x}",
        expires_s=int(NOW_S + YEAR_S),
    )


def test_a_certificate_without_a_cn_is_called_by_its_first_alternative_name_that_is_no_address(ca: Issued) -> None:
    names = [
        x509.IPAddress(ip_address("10.0.0.7")),
        x509.UniformResourceIdentifier("urn:x:1"),
        x509.DNSName("x.example"),
    ]
    assert client_name(trusting(ca), device(issuer=ca, subject=EMPTY, sans=names).chain()) == "urn:x:1"


def test_a_certificate_without_any_name_is_called_by_its_fingerprint(ca: Issued) -> None:
    for sans in (None, [x509.IPAddress(ip_address("10.0.0.7"))], [x509.DNSName("")]):
        sensor = device(issuer=ca, subject=EMPTY, sans=sans)
        principal = trusting(ca).client_principal(sensor.chain(), NOW_S)
        assert (principal.name, principal.subject) == (sensor.fingerprint, None)


def test_of_several_cns_the_last_one_is_the_most_specific(ca: Issued) -> None:
    name = subject((NameOID.COMMON_NAME, "Users"), (NameOID.COMMON_NAME, "sensor-1"))
    assert client_name(trusting(ca), device(issuer=ca, subject=name).chain()) == "sensor-1"


@pytest.mark.parametrize(("length", "name"), [(0, "named.example"), (200, "x" * 200)])
def test_a_cn_that_is_empty_or_longer_than_it_may_be_is_taken_without_a_warning(
    ca: Issued, length: int, name: str
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        odd = subject((NameOID.COMMON_NAME, "x" * length))
        sensor = device(issuer=ca, subject=odd, sans=[x509.DNSName("named.example")])
        root = authority(subject=odd)
        below = device(issuer=root)
    assert client_name(trusting(ca), sensor.chain()) == name
    assert client_name(trusting(root), below.chain()) == "device-1"


def test_names_in_any_script_are_taken(ca: Issued) -> None:
    assert client_name(trusting(ca), device("Zähler 7 – 温度", issuer=ca).chain()) == "Zähler 7 – 温度"


@pytest.mark.parametrize("odd", ["a\nb", "a\0b", "a\x1b[31mb", "a\x7f", "a\u202eb", "a\u200bb", "a\u2028b"])
def test_names_that_cant_be_printed_are_refused(ca: Issued, odd: str) -> None:
    assert client_alert(trusting(ca), device(odd, issuer=ca).chain()) is UNKNOWN
    unit = subject((NameOID.ORGANIZATIONAL_UNIT_NAME, odd), (NameOID.COMMON_NAME, "fine"))
    if odd != "a\0b":  # RFC 4514 has an escape for this one.
        assert client_alert(trusting(ca), device(issuer=ca, subject=unit).chain()) is UNKNOWN
    if odd.isascii():
        assert client_alert(trusting(ca), device(issuer=ca, sans=[x509.DNSName(odd)]).chain()) is UNKNOWN


def test_names_beyond_any_sense_are_refused(ca: Issued) -> None:
    names = [x509.DNSName(f"{number:0200}.example") for number in range(25)]
    assert client_alert(trusting(ca), device(issuer=ca, sans=names).chain()) is UNKNOWN


# -- servers -------------------------------------------------------------------------------------


def is_for(ca: Issued, certificate: Issued, server_name: str) -> bool:
    policy = trusting(ca)
    try:
        policy.server_principal(certificate.chain(), NOW_S, server_name=server_name)
    except AlertError:
        assert server_alert(policy, certificate.chain(), server_name) is UNKNOWN
        return False
    return True


@pytest.mark.parametrize(
    ("in_certificate", "called", "fits"),
    [
        ("gateway.example", "gateway.example", True),
        ("gateway.example", "GATEWAY.Example.", True),
        ("Gateway.Example.", "gateway.example", True),
        ("gateway.example", "other.example", False),
        ("gateway.example", "sub.gateway.example", False),
        ("gateway.example", "", False),
        ("", "", False),
        ("*.site.example", "one.site.example", True),
        ("*.site.example", "two.one.site.example", False),
        ("*.site.example", "site.example", False),
        ("*.site.example", ".site.example", False),
        ("*.example", "gateway.example", False),
        ("*", "gateway", False),
        ("gate*.site.example", "gateway.site.example", False),
        ("*.*.example", "a.b.example", False),
        ("10.0.0.7", "10.0.0.7", False),
    ],
)
def test_a_host_name_must_be_among_the_dns_names(ca: Issued, in_certificate: str, called: str, fits: bool) -> None:
    assert is_for(ca, server(issuer=ca, sans=[x509.DNSName(in_certificate)]), called) is fits


@pytest.mark.parametrize(
    ("called", "fits"),
    [
        ("10.0.0.7", True),
        ("2001:db8:0:0::7", True),
        ("fe80::7%eth0", True),
        ("10.0.0.8", False),
        ("gateway.example", False),
        ("10.0.0.7.", False),
    ],
)
def test_an_address_must_be_among_the_ip_addresses(ca: Issued, called: str, fits: bool) -> None:
    addresses = [x509.IPAddress(ip_address(text)) for text in ("10.0.0.7", "2001:db8::7", "fe80::7")]
    assert is_for(ca, server(issuer=ca, sans=addresses), called) is fits


def test_the_cn_counts_only_where_there_are_no_alternative_names_and_to_the_letter(ca: Issued) -> None:
    assert is_for(ca, bare("gateway.example", issuer=ca), "Gateway.example")
    assert is_for(ca, bare("10.0.0.7", issuer=ca), "10.0.0.7")
    assert not is_for(ca, bare("10.0.0.7", issuer=ca), "10.0.0.8")
    assert not is_for(ca, bare("*.site.example", issuer=ca), "one.site.example")
    assert not is_for(ca, bare("x", issuer=ca, subject=EMPTY), "")
    address = [x509.IPAddress(ip_address("10.0.0.7"))]
    assert not is_for(ca, bare("gateway.example", issuer=ca, sans=address), "gateway.example")


def test_any_trusted_server_will_do_where_none_is_named(ca: Issued) -> None:
    principal = trusting(ca).server_principal(server("any.example", issuer=ca).chain(), NOW_S, server_name=None)
    assert (principal.kind, principal.name) == ("x509", "any.example")


def test_a_pinned_server_must_have_the_name_as_well() -> None:
    pinned = server("gateway.example")
    assert is_for(pinned, pinned, "gateway.example")
    assert not is_for(pinned, pinned, "other.example")
