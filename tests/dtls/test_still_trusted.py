"""Whether who was let in once would be let in today: by another trust store, by another key, at another time."""

import pytest

from gateway.dtls.codes import AlertDescription
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.events import HandshakeFailed
from gateway.dtls.keyexchange import psk_digest
from gateway.dtls.suites import CipherSuite
from gateway.dtls.tickets import TicketKeys
from gateway.dtls.trust import TrustPolicy
from gateway.model import Principal

from .certificates import DAY_S, NOW_S, YEAR_S, Issued, authority, crl, device
from .pair import Pair, events_of
from .peers import (
    CCM_8,
    PSK,
    PSK_CCM_8,
    certified_client,
    client_config,
    device_certificate,
    server_config,
)


@pytest.fixture(scope="module")
def ca() -> Issued:
    return authority()


def let_in(policy: TrustPolicy, one: Issued) -> Principal:
    return policy.client_principal(one.chain(), NOW_S)


def test_a_device_is_trusted_as_long_as_what_vouched_for_it(ca: Issued) -> None:
    other = authority("Other CA")
    policy = TrustPolicy([ca.certificate, other.certificate])
    sensor = let_in(policy, device(issuer=ca))
    assert policy.still_trusts(sensor, NOW_S)
    assert TrustPolicy([ca.certificate]).still_trusts(sensor, NOW_S)
    assert not TrustPolicy([other.certificate]).still_trusts(sensor, NOW_S)
    assert not TrustPolicy().still_trusts(sensor, NOW_S)


def test_a_pinned_device_is_trusted_as_long_as_its_pin() -> None:
    pinned, other = device("pinned"), device("other")
    policy = TrustPolicy(pinned=[pinned.fingerprint, other.fingerprint])
    sensor = let_in(policy, pinned)
    assert TrustPolicy(pinned=[pinned.fingerprint]).still_trusts(sensor, NOW_S)
    assert not TrustPolicy(pinned=[other.fingerprint]).still_trusts(sensor, NOW_S)


def test_a_new_ca_of_the_same_name_does_not_vouch_for_what_the_old_one_did(ca: Issued) -> None:
    sensor = let_in(TrustPolicy([ca.certificate]), device(issuer=ca))
    assert not TrustPolicy([authority().certificate]).still_trusts(sensor, NOW_S)


def test_a_device_that_was_revoked_since_is_not_trusted_and_its_neighbour_is(ca: Issued) -> None:
    lost, kept = device("lost", issuer=ca), device("kept", issuer=ca)
    before = TrustPolicy([ca.certificate])
    after = TrustPolicy([ca.certificate], crls=[crl(ca, [lost])])
    assert not after.still_trusts(let_in(before, lost), NOW_S)
    assert after.still_trusts(let_in(before, kept), NOW_S)


def test_a_revocation_counts_only_by_the_word_of_a_trusted_ca(ca: Issued) -> None:
    lost = device("lost", issuer=ca)
    impostor = authority()  # of the same name
    policy = TrustPolicy([ca.certificate], crls=[crl(impostor, [lost])])
    assert policy.still_trusts(let_in(TrustPolicy([ca.certificate]), lost), NOW_S)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(("later_s", "in_time"), [(2 * DAY_S, True), (2 * DAY_S + 1, False)])
def test_an_expired_certificate_is_not_trusted_unless_dates_are_skipped(
    ca: Issued, later_s: float, in_time: bool, skip: bool
) -> None:
    policy = TrustPolicy([ca.certificate], skip_validity=skip)
    sensor = let_in(policy, device(issuer=ca, not_after_s=NOW_S + 2 * DAY_S))
    assert policy.still_trusts(sensor, NOW_S + later_s) is (in_time or skip)


def test_nor_is_one_below_an_expired_ca() -> None:
    root = authority(not_after_s=NOW_S + DAY_S)
    policy = TrustPolicy([root.certificate])
    sensor = let_in(policy, device(issuer=root, not_after_s=NOW_S + YEAR_S))
    assert policy.still_trusts(sensor, NOW_S + DAY_S)
    assert not policy.still_trusts(sensor, NOW_S + DAY_S + 1)


def test_a_raw_public_key_is_trusted_as_long_as_its_fingerprint_is() -> None:
    fingerprint = "ab" * 32
    key = Principal("rpk", fingerprint, fingerprint=fingerprint, credential=fingerprint)
    assert TrustPolicy(raw_keys=[fingerprint]).still_trusts(key, NOW_S)
    assert not TrustPolicy(raw_keys=["cd" * 32]).still_trusts(key, NOW_S)


def test_the_digest_of_a_pre_shared_key_tells_that_it_was_replaced_and_not_the_key() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config()).establish()
    principal = pair.server_association.principal
    assert principal is not None
    assert principal.credential == psk_digest(PSK.key) != psk_digest(b"another key")
    assert PSK.key.hex() not in principal.credential
    assert principal.credential not in repr(principal)


def test_from_a_new_configuration_on_handshakes_go_by_it_and_sessions_go_on() -> None:
    pair = Pair(certified_client(CCM_8), server_config(client_auth=ClientAuth.NEEDED)).establish()
    session = pair.server_association
    pair.server.reconfigure(server_config(client_auth=ClientAuth.NEEDED, trust=TrustPolicy()))
    again = Pair(certified_client(CCM_8), Config())
    again.server, again.now_s = pair.server, pair.now_s
    again.connect()
    again.run()
    assert not again.client.associations()
    assert pair.server.associations() == [session]


def test_a_handshake_under_way_goes_on_as_it_began() -> None:
    pair = Pair(certified_client(CCM_8), server_config(client_auth=ClientAuth.NEEDED))
    pair.connect()
    pair.run(0.045)  # up to the server's flight with its certificate
    assert pair.server.handshakes_under_way == 1
    pair.server.reconfigure(server_config(client_auth=ClientAuth.NEEDED, trust=TrustPolicy()))
    pair.run()
    assert pair.server_association.principal is not None
    assert pair.server_association.principal.fingerprint == device_certificate().fingerprint


@pytest.mark.parametrize(
    ("setting", "asked", "most"), [(0, 0, 16384), (1024, 0, 1024), (1024, 512, 512), (512, 4096, 512)]
)
def test_a_server_keeps_to_the_smaller_record_size_of_its_own_and_the_clients(
    setting: int, asked: int, most: int
) -> None:
    pair = Pair(
        client_config(PSK_CCM_8, max_fragment_length=asked), server_config(max_fragment_length=setting)
    ).establish()
    assert pair.server_association.writer.most_content == most


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("suite", [PSK_CCM_8, CCM_8], ids=["psk", "certificate"])
def test_a_credential_that_is_taken_away_during_a_handshake_gives_no_session(suite: CipherSuite, resumed: bool) -> None:
    there = {"yes": True}
    server = server_config(
        client_auth=ClientAuth.NEEDED, tickets=TicketKeys(), still_trusted=lambda principal: there["yes"]
    )
    pair = Pair(certified_client(suite), server)
    resumption = pair.establish().resumption if resumed else None
    if resumed:
        for one in pair.server.associations():
            pair.server.close(one)
        pair.run()
    pair.connect(resumption)
    for _ in range(100):  # up to the server's last but one flight
        pair.run(0.001)
        if pair.server.handshakes_under_way:
            break
    there["yes"] = False
    pair.server.end_where(lambda association: False, "no session has it yet")
    pair.run()
    assert not pair.server.associations()
    failures = events_of(pair.server_events, HandshakeFailed)
    assert [one.alert for one in failures] == [AlertDescription.ACCESS_DENIED]
