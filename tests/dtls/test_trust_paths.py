"""From a device's certificate to a trusted one: intermediates, loops, bounds, and whether `cryptography` agrees."""

from datetime import UTC, datetime
from time import process_time

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.dtls.alerts import AlertError
from gateway.dtls.codes import AlertDescription
from gateway.dtls.trust import TrustPolicy
from tests.dtls.certificates import (
    DAY_S,
    NOW_S,
    Issued,
    Options,
    authority,
    common_name,
    device,
    new_key,
    server,
)
from tests.dtls.verdicts import client_alert, client_name, trusting


def ladder(length: int, root: Issued, path_length: int | None = None) -> list[Issued]:
    """CAs below a root, each issued by the one before; the last comes first, as a peer sends them."""
    found: list[Issued] = []
    for number in range(length):
        options = Options(path_length=path_length) if path_length is not None and number == 0 else Options()
        found.insert(0, authority(f"CA {number}", issuer=found[0] if found else root, **options))
    return found


def test_an_intermediate_may_come_from_the_peer_or_stand_in_the_trust_store() -> None:
    root = authority()
    middle = authority("Middle", issuer=root)
    sensor = device(issuer=middle)
    assert client_name(trusting(root), sensor.chain(middle)) == "device-1"
    assert client_name(trusting(root, middle), sensor.chain()) == "device-1"
    assert client_name(trusting(middle), sensor.chain()) == "device-1"


def test_without_the_intermediate_there_is_no_path() -> None:
    root = authority()
    sensor = device(issuer=authority("Middle", issuer=root))
    assert client_alert(trusting(root), sensor.chain()) is AlertDescription.UNKNOWN_CA


def test_the_order_of_intermediates_and_strangers_among_them_do_not_matter() -> None:
    root = authority()
    lower, middle, upper = ladder(3, root)
    sensor = device(issuer=lower)
    stranger = authority("Stranger")
    assert client_name(trusting(root), sensor.chain(upper, stranger, lower, root, middle, lower)) == "device-1"


def test_a_leaf_that_is_not_the_first_is_not_the_peers() -> None:
    root = authority()
    middle = authority("Middle", issuer=root)
    chain = (middle.der, device(issuer=middle).der)
    assert client_alert(trusting(root), chain) is AlertDescription.UNSUPPORTED_CERTIFICATE


def test_the_longest_chain_is_accepted_whether_or_not_it_has_the_root() -> None:
    root = authority()
    cas = ladder(7, root)
    assert client_name(trusting(root), device(issuer=cas[0]).chain(*cas)) == "device-1"
    assert client_name(trusting(root), device(issuer=cas[1]).chain(*cas[1:], root)) == "device-1"


def test_a_chain_of_nine_is_too_long() -> None:
    root = authority()
    cas = ladder(8, root)
    assert client_alert(trusting(root), device(issuer=cas[0]).chain(*cas)) is AlertDescription.CERTIFICATE_UNKNOWN


def test_a_device_can_issue_nothing_though_its_own_certificate_is_sound() -> None:
    root = authority()
    captured = device("captured", issuer=root)
    forged = device("forged", issuer=captured)
    assert client_alert(trusting(root), forged.chain(captured)) is AlertDescription.UNKNOWN_CA


def test_a_ca_of_the_right_name_with_another_key_is_not_the_ca() -> None:
    root, impostor = authority(), authority()
    sensor = device(issuer=impostor)
    assert client_alert(trusting(root), sensor.chain()) is AlertDescription.BAD_CERTIFICATE
    assert client_alert(trusting(root), sensor.chain(impostor)) is AlertDescription.UNKNOWN_CA


def test_a_self_signed_device_that_is_not_in_the_trust_store_is_refused() -> None:
    assert client_alert(trusting(authority()), device().chain()) is AlertDescription.UNKNOWN_CA
    alone = device()
    assert client_alert(trusting(authority()), alone.chain(alone)) is AlertDescription.UNKNOWN_CA


# -- path length ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("path_length", "cas", "fits"), [(0, 0, True), (0, 1, False), (1, 1, True), (1, 2, False)])
def test_the_path_length_of_a_root_is_kept(path_length: int, cas: int, fits: bool) -> None:
    root = authority(path_length=path_length)
    below = ladder(cas, root)
    chain = device(issuer=below[0] if below else root).chain(*below)
    if fits:
        assert client_name(trusting(root), chain) == "device-1"
    else:
        assert client_alert(trusting(root), chain) is AlertDescription.UNKNOWN_CA


def test_the_path_length_of_an_intermediate_is_kept() -> None:
    root = authority()
    below = ladder(3, root, path_length=1)
    assert client_name(trusting(root), device(issuer=below[1]).chain(*below)) == "device-1"
    assert client_alert(trusting(root), device(issuer=below[0]).chain(*below)) is AlertDescription.UNKNOWN_CA


def test_a_ca_that_certified_its_own_new_key_counts_towards_the_path_length() -> None:
    for path_length in (0, 1):
        old = authority(path_length=path_length)
        new = authority(issuer=old)
        chain = device(issuer=new).chain(new)
        if path_length:
            assert client_name(trusting(old), chain) == "device-1"
        else:
            assert client_alert(trusting(old), chain) is AlertDescription.UNKNOWN_CA


# -- several ways --------------------------------------------------------------------------------


def test_a_cross_signed_intermediate_leads_to_whichever_root_is_trusted() -> None:
    one, two = authority("Root 1"), authority("Root 2")
    key = new_key()
    by_one = authority("Middle", issuer=one, key=key)
    by_two = authority("Middle", issuer=two, key=key)
    chain = device(issuer=by_one).chain(by_one, by_two)
    for root in (one, two):
        assert client_name(trusting(root), chain) == "device-1"


def test_a_renewed_intermediate_replaces_the_expired_one_that_is_sent_with_it() -> None:
    root, key = authority(), new_key()
    expired = authority("Middle", issuer=root, key=key, not_before_s=NOW_S - 2 * DAY_S, not_after_s=NOW_S - DAY_S)
    renewed = authority("Middle", issuer=root, key=key)
    sensor = device(issuer=renewed)
    assert client_alert(trusting(root), sensor.chain(expired)) is AlertDescription.CERTIFICATE_EXPIRED
    assert client_name(trusting(root), sensor.chain(expired, renewed)) == "device-1"


def test_the_ca_with_the_right_key_is_found_among_many_of_its_name() -> None:
    namesakes = [authority() for _ in range(20)]
    policy = trusting(*namesakes)
    for root in namesakes:
        assert client_name(policy, device(issuer=root).chain()) == "device-1"
    assert policy.findings(NOW_S) == ["20 trusted CAs are called 'CN=Test CA': not all may be tried"]
    # Without key identifiers nothing says which one it was, and the search gives up.
    assert client_alert(policy, device(issuer=namesakes[19], key_ids=False).chain()) is AlertDescription.UNKNOWN_CA


def test_trusted_cas_that_the_peer_sends_as_well_are_tried_once() -> None:
    root, namesakes = authority(), [authority("Same") for _ in range(5)]
    issuer = authority("Same", issuer=root)
    chain = device(issuer=issuer, key_ids=False).chain(*namesakes, issuer)
    assert client_name(trusting(root, *namesakes), chain) == "device-1"


def test_two_intermediates_that_certify_each_other_end_nowhere() -> None:
    one_key, two_key = new_key(), new_key()
    one_self = authority("One", key=one_key)
    two = authority("Two", issuer=one_self, key=two_key)
    one = authority("One", issuer=two, key=one_key)
    chain = device(issuer=one).chain(one, two, one_self)
    with pytest.raises(AlertError, match="unknown_ca: no path from the issuer 'CN=One' to a trusted CA"):
        trusting(authority()).client_principal(chain, NOW_S)


def test_many_cas_of_one_name_and_key_neither_explode_nor_hold_up() -> None:
    key = new_key("p384")
    web = [authority("Same", key=key, serial=number) for number in range(1, 8)]
    sensor = device(issuer=web[0])
    before_s = process_time()
    assert client_alert(trusting(authority("Same")), sensor.chain(*web)) is AlertDescription.UNKNOWN_CA
    assert process_time() - before_s < 0.25


# -- cryptography's own verifier -----------------------------------------------------------------


def verified_by_cryptography(anchors: list[Issued], chain: list[Issued]) -> bool:
    """The verdict of `cryptography`'s verifier: its search, dates, signatures, path lengths, with our other rules."""

    def allows_client(policy: object, certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
        if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
            raise ValueError

    def signs_certificates(policy: object, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
        if usage is not None and not usage.key_cert_sign:
            raise ValueError

    def signs(policy: object, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
        if usage is not None and not usage.digital_signature:
            raise ValueError

    free = ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, allows_client)
    of_ca = free.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    of_ca = of_ca.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, signs_certificates)
    of_leaf = free.may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, signs)
    verifier = (
        PolicyBuilder()
        .store(Store([anchor.certificate for anchor in anchors]))
        .time(datetime.fromtimestamp(NOW_S, UTC))
        .extension_policies(ca_policy=of_ca, ee_policy=of_leaf)
        .build_client_verifier()
    )
    try:
        verifier.verify(chain[0].certificate, [other.certificate for other in chain[1:]])
    except VerificationError as refusal:
        assume("Exceeded maximum signature check limit" not in str(refusal))
        return False
    return True


_KEYS = [new_key() for _ in range(6)]
_DATES = st.sampled_from([(NOW_S - DAY_S, NOW_S + DAY_S)] * 9 + [(NOW_S - DAY_S, NOW_S - 1), (NOW_S + 1, NOW_S + 2)])
_CA_USAGES = st.sampled_from([None, ("key_cert_sign",), ("key_cert_sign", "crl_sign"), ("crl_sign",)])
_PURPOSES = st.sampled_from(
    [None] * 6 + [(ExtendedKeyUsageOID.CLIENT_AUTH,)] * 2 + [(ExtendedKeyUsageOID.SERVER_AUTH,)]
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Issued], list[Issued]]:
    """A few CAs of few names and keys that certify each other at random, some of them trusted, and a device's chain."""
    cas: list[Issued] = []
    for number in range(draw(st.integers(1, 5))):
        dates = draw(_DATES)
        options = Options(
            subject=common_name(draw(st.sampled_from("ABC"))),
            # At most two share a key: among more, the other verifier goes in circles until it gives up.
            key=_KEYS[max(0, number - draw(st.integers(0, 1)))],
            serial=number + 1,
            ca=draw(st.sampled_from([True] * 6 + [False])),
            key_usage=draw(_CA_USAGES),
            purposes=draw(_PURPOSES),
            key_ids=draw(st.booleans()),
            not_before_s=dates[0],
            not_after_s=dates[1],
        )
        if options["ca"]:
            options["path_length"] = draw(st.sampled_from([None, None, None, 0, 1]))
        cas.append(authority(issuer=draw(st.sampled_from([None, *cas])), **options))
    anchors = draw(st.lists(st.sampled_from(cas), min_size=1, max_size=2))
    kind = draw(st.sampled_from([device, device, device, server]))
    sensor = kind("device-1", issuer=draw(st.sampled_from(cas)), purposes=draw(_PURPOSES))
    return anchors, [sensor, *draw(st.permutations(cas))]


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_what_is_accepted_here_is_what_cryptographys_verifier_accepts(world: tuple[list[Issued], list[Issued]]) -> None:
    anchors, chain = world
    policy = TrustPolicy([anchor.certificate for anchor in anchors])
    try:
        policy.client_principal([issued.der for issued in chain], NOW_S)
    except AlertError as refusal:
        assume("no path found in" not in refusal.reason)
        assert not verified_by_cryptography(anchors, chain), refusal
    else:
        assert verified_by_cryptography(anchors, chain)
