"""Revocation lists: what they revoke, whose word counts, and what an operator is told of them."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.dtls.codes import AlertDescription
from gateway.dtls.trust import TrustPolicy
from tests.dtls.certificates import DAY_S, NOW_S, Issued, authority, common_name, crl, device, new_key
from tests.dtls.verdicts import client_alert, client_name

REVOKED = AlertDescription.CERTIFICATE_REVOKED


@pytest.fixture(scope="module")
def ca() -> Issued:
    """The CA that the tests trust."""
    return authority()


def store(*anchors: Issued, crls: list[x509.CertificateRevocationList]) -> TrustPolicy:
    return TrustPolicy([anchor.certificate for anchor in anchors], crls=crls)


def test_a_revoked_device_is_refused_and_its_neighbour_is_not(ca: Issued) -> None:
    lost, kept = device("lost", issuer=ca), device("kept", issuer=ca)
    policy = store(ca, crls=[crl(ca, [lost])])
    assert client_alert(policy, lost.chain()) is REVOKED
    assert client_name(policy, kept.chain()) == "kept"
    assert policy.findings(NOW_S) == []


@pytest.mark.parametrize("key", ["p384", "ed25519", "rsa2048"])
def test_lists_are_signed_with_any_key_that_a_ca_may_have(key: str) -> None:
    root = authority(key=key)  # type: ignore[arg-type]
    lost = device(issuer=root)
    assert client_alert(store(root, crls=[crl(root, [lost])]), lost.chain()) is REVOKED


def test_the_same_serial_number_of_another_ca_is_not_revoked(ca: Issued) -> None:
    other = authority("Other CA")
    policy = store(ca, other, crls=[crl(ca, [device(issuer=ca, serial=77)])])
    assert client_name(policy, device(issuer=other, serial=77).chain()) == "device-1"


def test_all_lists_of_a_ca_count(ca: Issued) -> None:
    lost = [device(issuer=ca), device(issuer=ca)]
    policy = store(ca, crls=[crl(ca, lost[:1]), crl(ca, lost[1:])])
    assert [client_alert(policy, one.chain()) for one in lost] == [REVOKED, REVOKED]


def test_a_device_below_a_revoked_intermediate_is_refused_wherever_that_stands(ca: Issued) -> None:
    middle = authority("Middle", issuer=ca)
    sensor = device(issuer=middle)
    lists = [crl(ca, [middle])]
    assert client_alert(store(ca, crls=lists), sensor.chain(middle)) is REVOKED
    assert client_alert(store(ca, middle, crls=lists), sensor.chain()) is REVOKED


def test_an_intermediate_that_the_peer_sends_may_have_a_list_too(ca: Issued) -> None:
    middle = authority("Middle", issuer=ca)
    lost = device(issuer=middle)
    policy = store(ca, crls=[crl(middle, [lost])])
    assert client_alert(policy, lost.chain(middle)) is REVOKED
    assert client_name(policy, device("kept", issuer=middle).chain(middle)) == "kept"
    assert policy.findings(NOW_S) == [
        "the revocation list of 'CN=Middle' is signed by no trusted CA: it counts only below one that peers send"
    ]


def test_a_pinned_device_is_refused_once_its_ca_revoked_it(ca: Issued) -> None:
    lost = device(issuer=ca)
    certificates, lists = [ca.certificate], [crl(ca, [lost])]
    assert client_alert(TrustPolicy(certificates, pinned=[lost.fingerprint], crls=lists), lost.chain()) is REVOKED


def test_a_list_that_the_ca_did_not_sign_revokes_nothing_and_is_reported(ca: Issued) -> None:
    sensor, impostor = device(issuer=ca), authority()
    for signer in (impostor, device("no-ca", issuer=ca)):
        policy = store(ca, crls=[crl(signer, [sensor], name=ca.certificate.subject)])
        assert client_name(policy, sensor.chain()) == "device-1"
        assert policy.findings(NOW_S) == [
            "the revocation list of 'CN=Test CA' is signed by no trusted CA: it counts only below one that peers send"
        ]


def test_a_list_signed_in_an_unknown_way_revokes_nothing_and_is_reported(ca: Issued) -> None:
    sensor = device(issuer=ca)
    known, unknown = bytes.fromhex("2a8648ce3d040302"), bytes.fromhex("2a8648ce3d04037f")
    der = crl(ca, [sensor]).public_bytes(Encoding.DER).replace(known, unknown)
    policy = store(ca, crls=[x509.load_der_x509_crl(der)])
    assert client_name(policy, sensor.chain()) == "device-1"
    assert len(policy.findings(NOW_S)) == 1


def test_a_ca_revokes_with_its_new_key_what_it_issued_with_the_old_one() -> None:
    old, new = authority(), authority()
    lost = device(issuer=old)
    assert client_alert(store(old, new, crls=[crl(new, [lost])]), lost.chain()) is REVOKED


def test_a_list_signed_by_a_trusted_device_of_the_cas_name_revokes_nothing(ca: Issued) -> None:
    namesake = device("x", subject=ca.certificate.subject)
    sensor = device(issuer=ca)
    assert client_name(store(ca, namesake, crls=[crl(namesake, [sensor])]), sensor.chain()) == "device-1"


def test_a_list_of_a_ca_whose_key_usage_lacks_crl_signing_counts() -> None:
    root = authority(key_usage=("key_cert_sign",))
    lost = device(issuer=root)
    assert client_alert(store(root, crls=[crl(root, [lost])]), lost.chain()) is REVOKED


def test_an_expired_list_still_revokes_and_is_reported(ca: Issued) -> None:
    lost = device(issuer=ca)
    policy = store(ca, crls=[crl(ca, [lost], next_update_s=NOW_S - DAY_S)])
    assert client_alert(policy, lost.chain()) is REVOKED
    assert client_name(policy, device("kept", issuer=ca).chain()) == "kept"
    assert policy.findings(NOW_S) == [
        "the revocation list of 'CN=Test CA' has expired (2025-06-14T15:06:40+00:00) and is used nonetheless"
    ]
    assert policy.findings(NOW_S - DAY_S) == []


def test_skipping_validity_does_not_skip_revocation(ca: Issued) -> None:
    lost = device(issuer=ca, not_after_s=NOW_S - 1)
    policy = TrustPolicy([ca.certificate], crls=[crl(ca, [lost])], skip_validity=True)
    assert client_alert(policy, lost.chain()) is REVOKED


def distribution(*, indirect: bool) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.DirectoryName(common_name("Test CA"))],
        relative_name=None,
        only_contains_user_certs=not indirect,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=indirect,
        only_contains_attribute_certs=False,
    )


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        (x509.DeltaCRLIndicator(1), "a delta"),
        (distribution(indirect=True), "an indirect list"),
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), "1.2.3.4 is not understood"),
    ],
)
def test_lists_that_speak_of_something_else_are_not_used_and_reported(
    ca: Issued, extension: x509.ExtensionType, reason: str
) -> None:
    sensor = device(issuer=ca)
    policy = store(ca, crls=[crl(ca, [sensor], extensions=[(extension, True)])])
    assert client_name(policy, sensor.chain()) == "device-1"
    (finding,) = policy.findings(NOW_S)
    assert finding.startswith("a revocation list is not used")
    assert reason in finding


@pytest.mark.parametrize("extension", [x509.CRLNumber(7), distribution(indirect=False)])
def test_a_list_with_a_number_or_for_devices_alone_is_used(ca: Issued, extension: x509.ExtensionType) -> None:
    lost = device(issuer=ca)
    critical = isinstance(extension, x509.IssuingDistributionPoint)
    assert client_alert(store(ca, crls=[crl(ca, [lost], extensions=[(extension, critical)])]), lost.chain()) is REVOKED


def test_an_expired_trusted_ca_is_reported_unless_validity_is_skipped() -> None:
    root = authority(not_after_s=NOW_S, key=new_key())
    assert TrustPolicy([root.certificate]).findings(NOW_S) == []
    assert TrustPolicy([root.certificate]).findings(NOW_S + 1) == ["the trusted certificate 'CN=Test CA' has expired"]
    assert TrustPolicy([root.certificate], skip_validity=True).findings(NOW_S + 1) == []
