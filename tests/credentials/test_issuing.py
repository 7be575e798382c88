"""Issuing: what is in certificates and revocation lists, judged by openssl and by the gateway's own trust policy."""

import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials.choices import KeyType
from gateway.credentials.issuing import (
    COMMON_NAME_CHARACTERS_MAX,
    HOST_NAME_CHARACTERS_MAX,
    Authority,
    alternative_name,
    alternative_names,
    check_common_name,
    common_name,
    host_name,
    issue_authority,
    issue_client,
    issue_crl,
    issue_server,
    kind_of,
    new_key,
    renew_authority,
    revocation_of,
)
from gateway.dtls.alerts import AlertError
from gateway.dtls.keyexchange import PrivateKey
from gateway.dtls.trust import TrustPolicy
from gateway.errors import ConfigurationError, UsageError

NOW_S = 1_750_000_000.0
DAY_S = 86_400.0
KEY = new_key(KeyType.P256)
LONG_LABELS = ".".join(["a" * 63] * 3)
"""A host name of 191 characters."""


def make_authority(kind: KeyType = KeyType.P256, *, days: int = 3650, name: str = "Plant CA") -> Authority:
    key = new_key(kind)
    return Authority(issue_authority(name, key, days=days, now_s=NOW_S), key)


AUTHORITY = make_authority()


def server(*names: str, authority: Authority = AUTHORITY, key: PrivateKey = KEY, days: int = 825) -> x509.Certificate:
    return issue_server(names, key.public_key(), authority, days=days, now_s=NOW_S)


def client(name: str, *sans: str, authority: Authority = AUTHORITY, days: int = 825) -> x509.Certificate:
    return issue_client(name, sans, KEY.public_key(), authority, days=days, now_s=NOW_S)


def der(certificate: x509.Certificate) -> tuple[bytes]:
    return (certificate.public_bytes(Encoding.DER),)


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def pem_file(folder: Path, name: str, *certificates: x509.Certificate) -> Path:
    (folder / name).write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
    return folder / name


@pytest.mark.parametrize("kind", KeyType)
def test_openssl_verifies_what_an_authority_with_a_key_of_each_kind_issues(kind: KeyType, tmp_path: Path) -> None:
    authority = make_authority(kind)
    ca = pem_file(tmp_path, "ca.pem", authority.certificate)
    at = ("-attime", int(NOW_S), "-x509_strict", "-CAfile", ca)
    for purpose, certificate in {
        "sslserver": server("gateway.example", "192.0.2.7", authority=authority),
        "sslclient": client("device-1", authority=authority),
    }.items():
        leaf = pem_file(tmp_path, f"{purpose}.pem", certificate)
        said = openssl("verify", *map(str, at), "-purpose", purpose, leaf)
        assert said == f"{leaf}: OK\n"


def test_openssl_shows_what_rfc_7925_asks_of_a_device_certificate(tmp_path: Path) -> None:
    leaf = pem_file(tmp_path, "leaf.pem", client("device-1", "urn:dev:mac:0024beffff804ff1", "device-1.example"))
    text = openssl("x509", "-in", leaf, "-noout", "-text")
    for expected in (
        "Subject: CN = device-1",
        "Issuer: CN = Plant CA",
        "Public-Key: (256 bit)",
        "ecdsa-with-SHA256",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
        "X509v3 Subject Key Identifier:",
        "X509v3 Authority Key Identifier:",
        "URI:urn:dev:mac:0024beffff804ff1, DNS:device-1.example",
    ):
        assert expected in text


def test_an_authority_may_issue_leaves_and_lists_and_no_further_authorities() -> None:
    extensions = AUTHORITY.certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert usage.critical and usage.value.key_cert_sign and usage.value.crl_sign
    assert not usage.value.digital_signature


def test_the_trust_policy_takes_a_client_as_client_and_a_server_as_server_only() -> None:
    policy = TrustPolicy([AUTHORITY.certificate])
    assert policy.client_principal(der(client("device-1")), NOW_S).name == "device-1"
    for name in ("gateway.example", "192.0.2.7", "2001:db8::7"):
        certificate = server("gateway.example", "192.0.2.7", "2001:db8::7")
        assert policy.server_principal(der(certificate), NOW_S, server_name=name).name == "gateway.example"
    with pytest.raises(AlertError, match="extended key usage"):
        policy.client_principal(der(server("gateway.example")), NOW_S)
    with pytest.raises(AlertError, match="extended key usage"):
        policy.server_principal(der(client("device-1")), NOW_S, server_name=None)


def test_validity_begins_an_hour_ago_and_ends_after_the_days_asked_for() -> None:
    certificate = client("device-1", days=30)
    assert certificate.not_valid_before_utc.timestamp() == NOW_S - 3600
    assert certificate.not_valid_after_utc.timestamp() == NOW_S + 30 * DAY_S


def test_a_certificate_ends_with_its_authority() -> None:
    authority = make_authority(days=10)
    assert client("d", authority=authority, days=11).not_valid_after_utc == authority.certificate.not_valid_after_utc
    assert client("d", authority=authority, days=9).not_valid_after_utc < authority.certificate.not_valid_after_utc


def test_an_expired_authority_issues_nothing() -> None:
    authority = make_authority(days=10)
    issue_client("d", (), KEY.public_key(), authority, days=1, now_s=NOW_S + 10 * DAY_S - 1)
    with pytest.raises(ConfigurationError, match=r"'Plant CA' has expired \(2025-06-25\)"):
        issue_client("d", (), KEY.public_key(), authority, days=1, now_s=NOW_S + 10 * DAY_S)


def test_serial_numbers_are_positive_different_and_at_most_20_bytes() -> None:
    serials = {client("device-1").serial_number for _ in range(50)}
    assert len(serials) == 50
    assert all(0 < serial < 1 << 159 for serial in serials)


def test_a_server_is_called_by_its_first_name_that_fits_a_cn() -> None:
    assert common_name(server("a.example", "b.example")) == "a.example"
    fits = f"{'a' * 60}.org"
    assert len(fits) == COMMON_NAME_CHARACTERS_MAX
    assert common_name(server(fits)) == fits
    assert common_name(server(f"a.{fits}", "b.example")) == "b.example"
    assert common_name(server(LONG_LABELS)) == "gateway"


def test_a_renewed_authority_vouches_for_what_its_predecessor_issued() -> None:
    authority = make_authority(days=100)
    leaf = client("device-1", authority=authority, days=100)
    renewed_s = NOW_S + 90 * DAY_S
    renewed = renew_authority(authority, days=3650, now_s=renewed_s)
    assert renewed.not_valid_after_utc.timestamp() == renewed_s + 3650 * DAY_S
    assert renewed.serial_number != authority.certificate.serial_number
    assert list(renewed.extensions) == list(authority.certificate.extensions)
    assert TrustPolicy([renewed]).client_principal(der(leaf), renewed_s).name == "device-1"


def test_an_authority_that_another_one_issued_is_not_renewed_here() -> None:
    leaf = client("below")
    with pytest.raises(ConfigurationError, match="is no root: 'CN=Plant CA' has issued it"):
        renew_authority(Authority(leaf, KEY), days=1, now_s=NOW_S)


def test_an_authority_with_an_ed25519_key_issues_too() -> None:
    key = Ed25519PrivateKey.generate()
    authority = Authority(issue_authority("Ed", key, days=1, now_s=NOW_S), key)
    policy = TrustPolicy([authority.certificate])
    assert policy.client_principal(der(client("device-1", authority=authority)), NOW_S).name == "device-1"
    assert kind_of(key) is None


def test_a_revocation_list_revokes_what_is_on_it_and_nothing_else(tmp_path: Path) -> None:
    revoked, other = client("device-1"), client("device-2")
    crl = issue_crl(AUTHORITY, [revocation_of(revoked.serial_number, NOW_S)], number=7, days=365, now_s=NOW_S)
    policy = TrustPolicy([AUTHORITY.certificate], crls=[crl])
    assert policy.findings(NOW_S) == []
    policy.client_principal(der(other), NOW_S)
    with pytest.raises(AlertError, match="certificate_revoked"):
        policy.client_principal(der(revoked), NOW_S)
    (tmp_path / "ca.crl").write_bytes(crl.public_bytes(Encoding.PEM))
    ca = pem_file(tmp_path, "ca.pem", AUTHORITY.certificate)
    text = openssl("crl", "-in", tmp_path / "ca.crl", "-noout", "-text", "-CAfile", ca)
    assert "X509v3 CRL Number: \n                7" in text


@pytest.mark.parametrize(
    "name", ["a", "x" * COMMON_NAME_CHARACTERS_MAX, "00:24:be:ff:fe:80:4f:f1", "Pumpe Süd 7", "名前"]
)
def test_names_that_a_cn_can_have(name: str) -> None:
    check_common_name(name)
    assert common_name(client(name)) == name


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\nb", "a\x00b", "\x1b[2J", "x" * (COMMON_NAME_CHARACTERS_MAX + 1), "\udc80", "a\u202eb"]
)
def test_names_that_a_cn_can_not_have(name: str) -> None:
    with pytest.raises(UsageError, match="can't be in a certificate"):
        client(name)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("localhost", x509.DNSName),
        ("*.example.com", x509.DNSName),
        ("my_host", x509.DNSName),
        ("xn--mnchen-3ya.de", x509.DNSName),
        ("a" * 63, x509.DNSName),
        (f"{LONG_LABELS}.{'b' * 61}", x509.DNSName),
        ("192.0.2.7", x509.IPAddress),
        ("::1", x509.IPAddress),
    ],
)
def test_names_of_servers(text: str, kind: type[x509.GeneralName]) -> None:
    assert isinstance(host_name(text), kind)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "*",
        "a.*.b",
        "münchen.de",
        "192.0.2.300",
        "1",
        "a/b",
        "a\nb",
        "fe80::1%eth0",
        "192.0.2.0/24",
        "a" * 64,
        f"{LONG_LABELS}.{'b' * 62}",
    ],
)
def test_what_is_no_name_of_a_server(text: str) -> None:
    with pytest.raises(UsageError, match="neither a host name nor an IP address"):
        host_name(text)


def test_the_longest_host_name_is_the_one_that_is_tried() -> None:
    assert len(f"{LONG_LABELS}.{'b' * 61}") == HOST_NAME_CHARACTERS_MAX


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("urn:dev:ops:32473-7", x509.UniformResourceIdentifier("urn:dev:ops:32473-7")),
        ("coaps://d.example", x509.UniformResourceIdentifier("coaps://d.example")),
        ("ops@example.com", x509.RFC822Name("ops@example.com")),
        ("2001:db8::7", x509.IPAddress(ip_address("2001:db8::7"))),
        ("d.example", x509.DNSName("d.example")),
    ],
)
def test_alternative_names_are_told_apart_by_their_looks(text: str, expected: x509.GeneralName) -> None:
    assert alternative_name(text) == expected
    assert alternative_names(client("device-1", text)) == [text]


@given(st.text(alphabet="a1F.-_*:@/%[]<>,\"' ", max_size=24) | st.text(max_size=300))
def test_any_text_is_an_alternative_name_that_can_be_issued_or_is_refused(text: str) -> None:
    try:
        alternative_name(text)
    except UsageError:
        return
    certificate = client("device-1", text)
    principal = TrustPolicy([AUTHORITY.certificate]).client_principal(der(certificate), NOW_S)
    assert principal.sans == tuple(alternative_names(certificate)) != ()


def test_extended_key_usages_are_one_each() -> None:
    for certificate, purpose in (
        (server("a"), ExtendedKeyUsageOID.SERVER_AUTH),
        (client("a"), ExtendedKeyUsageOID.CLIENT_AUTH),
    ):
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [purpose]
