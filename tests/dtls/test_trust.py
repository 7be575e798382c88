"""Whom the trust policy believes: alerts, usages, dates, strength, pins, and certificates as users make them."""

import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.config import Trust
from gateway.dtls.trust import TrustPolicy
from tests.dtls.certificates import (
    DAY_S,
    NOW_S,
    YEAR_S,
    Issued,
    KeyKind,
    authority,
    bare,
    device,
    server,
    signed_with_sha1,
    version_1,
    with_serial,
)
from tests.dtls.verdicts import client_alert, client_name, server_alert, trusting

MADE_BY_USERS = Path(__file__).parent / "keytool"
POISON = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
KEYS: list[KeyKind] = ["p256", "p384", "ed25519", "rsa2048"]


@pytest.fixture(scope="module")
def ca() -> Issued:
    """The CA that the tests trust."""
    return authority()


def made_by_user(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((MADE_BY_USERS / f"{name}.pem").read_bytes())


def test_the_policy_is_what_an_endpoint_wants_for_its_trust() -> None:
    trust: Trust = TrustPolicy()
    assert client_alert(TrustPolicy(), device().chain()) is AlertDescription.UNKNOWN_CA
    assert trust.public_key(device().chain())


@pytest.mark.parametrize("device_key", KEYS)
@pytest.mark.parametrize("ca_key", KEYS)
def test_a_device_of_a_trusted_ca_is_accepted_whatever_their_keys(ca_key: KeyKind, device_key: KeyKind) -> None:
    root = authority(key=ca_key)
    sensor = device(issuer=root, key=device_key)
    assert client_name(trusting(root), sensor.chain()) == "device-1"
    assert client_name(trusting(root), sensor.chain(root)) == "device-1"


def test_a_signature_with_rsa_pss_is_accepted() -> None:
    root = authority(key="rsa2048", pss=True)
    assert client_name(trusting(root), device(issuer=root, pss=True).chain()) == "device-1"


def test_a_device_that_says_nothing_but_its_name_is_accepted(ca: Issued) -> None:
    assert client_name(trusting(ca), bare(issuer=ca).chain()) == "device-1"


def test_a_ca_that_says_nothing_but_that_it_is_one_is_accepted() -> None:
    root = bare("Plain CA", ca=True)
    assert client_name(trusting(root), bare(issuer=root).chain()) == "device-1"


def test_a_device_of_version_1_is_accepted_below_a_ca_of_version_3(ca: Issued) -> None:
    chain = (version_1(device(issuer=ca), ca),)
    assert x509.load_der_x509_certificate(chain[0]).version is x509.Version.v1
    assert client_name(trusting(ca), chain) == "device-1"


# -- as users make them --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("certificate", "issuer", "name"),
    [
        ("device", "ca", "sensor-1"),
        ("device-rsa", "ca", "sensor-2"),
        ("openssl-device-v1", "openssl-ca", "sensor-3"),
        ("self-signed", "self-signed", "sensor-1"),
        ("openssl-ca", "openssl-ca", "OpenSSL CA"),
    ],
)
def test_devices_are_accepted_as_keytool_and_openssl_make_them(certificate: str, issuer: str, name: str) -> None:
    sensor = made_by_user(certificate)
    now_s = sensor.not_valid_before_utc.timestamp() + DAY_S
    chain = [sensor.public_bytes(Encoding.DER)]
    assert client_name(TrustPolicy([made_by_user(issuer)]), chain, now_s) == name
    assert client_alert(TrustPolicy([made_by_user("server")]), chain, now_s) is AlertDescription.UNKNOWN_CA


def test_keytools_device_of_another_ca_is_refused_though_the_cas_share_a_name() -> None:
    sensor, ca = made_by_user("device"), made_by_user("ca")
    namesake = authority("x", subject=ca.subject)
    chain = [sensor.public_bytes(Encoding.DER)]
    assert client_alert(trusting(namesake), chain) is AlertDescription.BAD_CERTIFICATE


def test_keytools_server_without_alternative_names_is_accepted_by_its_cn() -> None:
    gateway = made_by_user("server")
    now_s = gateway.not_valid_before_utc.timestamp() + DAY_S
    chain = [gateway.public_bytes(Encoding.DER)]
    policy = TrustPolicy([gateway])
    assert policy.server_principal(chain, now_s, server_name="localhost").name == "localhost"
    with pytest.raises(AlertError, match="certificate_unknown"):
        policy.server_principal(chain, now_s, server_name="gateway.example")


# -- dates ---------------------------------------------------------------------------------------


def test_a_certificate_counts_from_its_first_second_to_the_end_of_its_last(ca: Issued) -> None:
    sensor = device(issuer=ca, not_before_s=NOW_S, not_after_s=NOW_S + 10)
    assert client_alert(trusting(ca), sensor.chain(), NOW_S - 0.1) is AlertDescription.CERTIFICATE_EXPIRED
    assert client_name(trusting(ca), sensor.chain(), NOW_S) == "device-1"
    assert client_name(trusting(ca), sensor.chain(), NOW_S + 10.9) == "device-1"
    assert client_alert(trusting(ca), sensor.chain(), NOW_S + 11) is AlertDescription.CERTIFICATE_EXPIRED


@pytest.mark.parametrize("role", ["root", "intermediate"])
@pytest.mark.parametrize("dates", [(NOW_S - 2 * DAY_S, NOW_S - 1), (NOW_S + 1, NOW_S + DAY_S)])
def test_the_dates_of_cas_count_as_well(role: str, dates: tuple[float, float]) -> None:
    usual = (NOW_S - DAY_S, NOW_S + DAY_S)
    of_root, of_middle = (dates, usual) if role == "root" else (usual, dates)
    root = authority(not_before_s=of_root[0], not_after_s=of_root[1])
    middle = authority("Middle", issuer=root, not_before_s=of_middle[0], not_after_s=of_middle[1])
    sensor = device(issuer=middle)
    assert client_alert(trusting(root), sensor.chain(middle)) is AlertDescription.CERTIFICATE_EXPIRED


def test_skipping_validity_accepts_a_device_and_a_ca_that_were_never_valid_together() -> None:
    root = authority(not_before_s=NOW_S - 3 * YEAR_S, not_after_s=NOW_S - 2 * YEAR_S)
    sensor = device(issuer=root, not_before_s=NOW_S + YEAR_S, not_after_s=NOW_S + 2 * YEAR_S)
    assert client_alert(trusting(root), sensor.chain()) is AlertDescription.CERTIFICATE_EXPIRED
    assert client_name(TrustPolicy([root.certificate], skip_validity=True), sensor.chain()) == "device-1"


def test_skipping_validity_skips_nothing_else(ca: Issued) -> None:
    policy = TrustPolicy([ca.certificate], skip_validity=True)
    impostor = authority()
    expired = NOW_S - 1
    wrong = {
        device(issuer=impostor, not_after_s=expired): AlertDescription.BAD_CERTIFICATE,
        device(issuer=authority("Other CA"), not_after_s=expired): AlertDescription.UNKNOWN_CA,
        device(issuer=ca, not_after_s=expired, key="rsa1024"): AlertDescription.UNSUPPORTED_CERTIFICATE,
        server(issuer=ca, not_after_s=expired): AlertDescription.UNSUPPORTED_CERTIFICATE,
        device(issuer=ca, not_after_s=expired, extensions=[(POISON, True)]): AlertDescription.CERTIFICATE_UNKNOWN,
    }
    for sensor, alert in wrong.items():
        assert client_alert(policy, sensor.chain()) is alert


# -- usages and extensions -----------------------------------------------------------------------


def test_a_client_needs_client_authentication_where_it_restricts_its_purposes(ca: Issued) -> None:
    any_purpose = [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]
    assert client_name(trusting(ca), device(issuer=ca, purposes=any_purpose).chain()) == "device-1"
    assert client_alert(trusting(ca), server(issuer=ca).chain()) is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_a_server_needs_server_authentication_where_it_restricts_its_purposes(ca: Issued) -> None:
    assert server_alert(trusting(ca), device(issuer=ca).chain(), None) is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_a_ca_for_servers_alone_makes_no_clients() -> None:
    root = authority(purposes=[ExtendedKeyUsageOID.SERVER_AUTH])
    assert client_alert(trusting(root), device(issuer=root).chain()) is AlertDescription.UNSUPPORTED_CERTIFICATE


@pytest.mark.parametrize("usage", [(), ("key_agreement",), ("key_cert_sign",)])
def test_a_key_that_may_not_sign_is_refused(ca: Issued, usage: tuple[str, ...]) -> None:
    sensor = device(issuer=ca, key_usage=usage)
    assert client_alert(trusting(ca), sensor.chain()) is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_a_ca_whose_key_may_not_sign_certificates_is_refused() -> None:
    root = authority(key_usage=("digital_signature", "crl_sign"))
    assert client_alert(trusting(root), device(issuer=root).chain()) is AlertDescription.UNSUPPORTED_CERTIFICATE


@pytest.mark.parametrize("ca_flag", [None, False])
def test_a_trusted_certificate_that_is_no_ca_issues_nothing(ca_flag: bool | None) -> None:
    trusted = bare("device-1", ca=ca_flag)
    assert client_name(trusting(trusted), trusted.chain()) == "device-1"
    assert client_alert(trusting(trusted), bare("forged", issuer=trusted).chain()) is AlertDescription.UNKNOWN_CA


def test_a_critical_extension_that_is_not_understood_ends_it_and_another_does_not(ca: Issued) -> None:
    sensor = device(issuer=ca, extensions=[(POISON, True)])
    assert client_alert(trusting(ca), sensor.chain()) is AlertDescription.CERTIFICATE_UNKNOWN
    assert client_name(trusting(ca), device(issuer=ca, extensions=[(POISON, False)]).chain()) == "device-1"
    root = authority("Odd CA", extensions=[(POISON, True)])
    assert client_alert(trusting(root), device(issuer=root).chain()) is AlertDescription.CERTIFICATE_UNKNOWN


@pytest.mark.parametrize("critical", [True, False])
def test_name_constraints_of_a_ca_are_never_ignored(critical: bool) -> None:
    constraints = x509.NameConstraints([x509.DNSName("tenant.example")], None)
    root = authority(extensions=[(constraints, critical)])
    within = device(issuer=root, sans=[x509.DNSName("sensor.tenant.example")])
    assert client_alert(trusting(root), within.chain()) is AlertDescription.CERTIFICATE_UNKNOWN


# -- strength ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weak", ["rsa1024", "p521", "secp256k1"])
def test_keys_that_are_weak_or_of_another_curve_are_refused(ca: Issued, weak: KeyKind) -> None:
    chain = device(issuer=ca, key=weak).chain()
    assert client_alert(trusting(ca), chain) is AlertDescription.UNSUPPORTED_CERTIFICATE
    with pytest.raises(AlertError) as caught:
        TrustPolicy.public_key(chain)
    assert caught.value.description is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_a_weak_intermediate_is_refused(ca: Issued) -> None:
    weak = authority("Weak CA", issuer=ca, key="rsa1024")
    assert client_alert(trusting(ca), device(issuer=weak).chain(weak)) is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_a_weak_trusted_ca_is_not_used_and_the_operator_is_told() -> None:
    weak = authority("Weak CA", key="rsa1024")
    policy = trusting(weak)
    assert client_alert(policy, device(issuer=weak).chain()) is AlertDescription.UNKNOWN_CA
    assert client_alert(policy, weak.chain()) is AlertDescription.UNKNOWN_CA
    assert policy.findings(NOW_S) == [
        "the trusted certificate 'CN=Weak CA' is not used: its key's kind, curve or size is not taken"
    ]


def test_a_signature_with_sha1_is_refused(ca: Issued) -> None:
    chain = (signed_with_sha1(device(issuer=ca), ca),)
    assert client_alert(trusting(ca), chain) is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_a_key_that_is_far_too_long_is_refused_as_it_would_hold_up_everyone(ca: Issued) -> None:
    numbers = rsa.RSAPublicNumbers(65537, (1 << 8999) + 1)
    template = device(issuer=ca)
    builder = x509.CertificateBuilder(
        issuer_name=ca.certificate.subject,
        subject_name=template.certificate.subject,
        public_key=numbers.public_key(),
        serial_number=7,
        not_valid_before=template.certificate.not_valid_before_utc,
        not_valid_after=template.certificate.not_valid_after_utc,
    )
    assert isinstance(ca.key, ec.EllipticCurvePrivateKey)
    certificate = builder.sign(ca.key, template.certificate.signature_hash_algorithm)  # type: ignore[arg-type]
    chain = (certificate.public_bytes(Encoding.DER),)
    assert client_alert(trusting(ca), chain) is AlertDescription.UNSUPPORTED_CERTIFICATE


# -- bytes that are none -------------------------------------------------------------------------


def test_what_is_no_certificate_is_refused_wherever_it_stands(ca: Issued) -> None:
    sensor = device(issuer=ca)
    for junk in (b"", b"\x30", b"not a certificate", sensor.der[:-1], sensor.der + b"\0", ca.public_key_info):
        assert client_alert(trusting(ca), (junk,)) is AlertDescription.BAD_CERTIFICATE
        assert client_alert(trusting(ca), (sensor.der, junk)) is AlertDescription.BAD_CERTIFICATE


def test_an_extension_that_cant_be_read_makes_a_certificate_unreadable(ca: Issued) -> None:
    usage = x509.UnrecognizedExtension(ExtensionOID.KEY_USAGE, b"no bit string")
    odd = bare(issuer=ca, extensions=[(usage, False)])
    assert client_alert(trusting(ca), odd.chain()) is AlertDescription.BAD_CERTIFICATE
    policy = trusting(odd)
    assert client_alert(policy, odd.chain()) is AlertDescription.BAD_CERTIFICATE
    (finding,) = policy.findings(NOW_S)
    assert finding.startswith("a trusted certificate is not used")


def test_an_empty_chain_is_refused(ca: Issued) -> None:
    assert client_alert(trusting(ca), ()) is AlertDescription.BAD_CERTIFICATE
    with pytest.raises(AlertError, match="bad_certificate"):
        TrustPolicy.public_key(())


def test_a_certificate_that_was_changed_is_refused(ca: Issued) -> None:
    changed = device("device-1", issuer=ca).der.replace(b"device-1", b"device-2")
    assert client_alert(trusting(ca), (changed,)) is AlertDescription.BAD_CERTIFICATE


@pytest.mark.parametrize("serial", [0, -1])
def test_a_serial_number_below_one_is_refused_without_a_warning(ca: Issued, serial: int) -> None:
    chain = (with_serial(device(issuer=ca), ca, serial),)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert client_alert(trusting(ca), chain) is AlertDescription.BAD_CERTIFICATE
    assert not shown


def test_a_certificate_or_a_chain_beyond_its_bounds_is_refused(ca: Issued) -> None:
    names = [x509.DNSName(f"{number:0250}.example") for number in range(40)]
    large = device(issuer=ca, sans=names)
    assert client_alert(trusting(ca), large.chain()) is AlertDescription.BAD_CERTIFICATE
    half = device(issuer=ca, sans=names[:25])
    with pytest.raises(AlertError, match=r"certificate_unknown: a chain of 3 certificates and \d+ bytes is too long"):
        trusting(ca).client_principal(half.chain(half, half), NOW_S)
    sensor = device(issuer=ca)
    assert client_name(trusting(ca), sensor.chain(*[ca] * 7)) == "device-1"
    assert client_alert(trusting(ca), sensor.chain(*[ca] * 8)) is AlertDescription.CERTIFICATE_UNKNOWN


# -- single certificates, by equality or fingerprint ---------------------------------------------


def test_a_pinned_certificate_needs_no_path() -> None:
    pinned, other = device("device-1"), device("device-1")
    policy = TrustPolicy(pinned=[pinned.fingerprint])
    assert client_name(policy, pinned.chain()) == "device-1"
    assert client_alert(policy, other.chain()) is AlertDescription.UNKNOWN_CA


def test_a_fingerprint_may_have_colons_and_capitals_but_must_be_one() -> None:
    pinned = device()
    text = pinned.fingerprint.upper()
    colons = ":".join(text[at : at + 2] for at in range(0, 64, 2))
    assert client_name(TrustPolicy(pinned=[colons]), pinned.chain()) == "device-1"
    for wrong in ("", text[1:], text + "00", "g" * 64):
        with pytest.raises(ValueError, match="no SHA-256 fingerprint"):
            TrustPolicy(pinned=[wrong])


def test_a_pin_replaces_the_path_and_nothing_else() -> None:
    expired = device(not_before_s=NOW_S - 2 * DAY_S, not_after_s=NOW_S - DAY_S)
    policy = TrustPolicy(pinned=[expired.fingerprint])
    assert client_alert(policy, expired.chain()) is AlertDescription.CERTIFICATE_EXPIRED
    lenient = TrustPolicy(pinned=[expired.fingerprint], skip_validity=True)
    assert client_name(lenient, expired.chain()) == "device-1"
    assert client_alert(trusting(expired), expired.chain()) is AlertDescription.CERTIFICATE_EXPIRED
    for wrong in (server(), device(key="rsa1024"), device(key_usage=())):
        policy = TrustPolicy(pinned=[wrong.fingerprint])
        assert client_alert(policy, wrong.chain()) is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_a_device_of_an_unknown_ca_is_accepted_once_it_is_in_the_trust_store() -> None:
    sensor = device(issuer=authority("Unknown CA"))
    assert client_name(trusting(sensor), sensor.chain()) == "device-1"
