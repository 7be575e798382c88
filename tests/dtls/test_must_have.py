"""What the engine must have, one row of the design's table a test: each from the outside, between two endpoints."""

import pytest

from gateway.dtls.client import ClientHandshake
from gateway.dtls.codes import AlertDescription, ContentType, ExtensionType, HandshakeType, NamedGroup, SignatureScheme
from gateway.dtls.config import ClientAuth
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import AddressChanged, AssociationClosed, HandshakeCompleted, HandshakeFailed
from gateway.dtls.keyexchange import GROUPS
from gateway.dtls.messages import ClientHello
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import records_of
from gateway.dtls.suites import BY_NAME, SUITES, CipherSuite
from gateway.dtls.tickets import TicketKeys
from gateway.dtls.trust import TrustPolicy
from gateway.model import Principal

from .certificates import NOW_S, YEAR_S, KeyKind, crl, device
from .pair import CLIENT, SERVER, Network, Pair, events_of
from .peers import (
    CCM_8,
    PSK,
    PSK_CCM_8,
    ca,
    certified_client,
    client_config,
    identity,
    server_certificate,
    server_config,
    trust,
)

NEEDED = server_config(client_auth=ClientAuth.NEEDED)


def failed(pair: Pair, alert: AlertDescription, reason: str) -> None:
    """That the server fails the handshake, sends this alert and names this reason; and that the client hears of it."""
    pair.connect()
    pair.run()
    # More than one where the server keeps nothing of a hello that it refuses, and the client repeats it.
    (failure,) = set(events_of(pair.server_events, HandshakeFailed))
    assert failure.alert is alert
    assert reason in failure.reason
    (on_the_client,) = events_of(pair.client_events, HandshakeFailed)
    assert f"alert {int(alert)}" in on_the_client.reason
    assert not pair.server.associations()
    assert not pair.client.associations()


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_must_have_key_exchange_and_suites_on_one_port(suite: CipherSuite) -> None:
    """All fifteen, with one configuration of the server; which one is a setting."""
    pair = Pair(client_config(suite), server_config()).establish()
    assert pair.server_association.suite is pair.client_association.suite is suite
    pair.exchange()
    others = tuple(other for other in SUITES.values() if other is not suite)
    failed(
        Pair(client_config(suite), server_config(suites=others)),
        AlertDescription.HANDSHAKE_FAILURE,
        "no cipher suite",
    )


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_must_have_groups(group: NamedGroup) -> None:
    client = client_config(BY_NAME["ECDHE_PSK_WITH_AES_128_CCM_8_SHA256"], groups=(group,))
    pair = Pair(client, server_config()).establish()
    pair.exchange()
    failed(
        Pair(client, server_config(groups=tuple(one for one in GROUPS if one is not group))),
        AlertDescription.HANDSHAKE_FAILURE,
        "no cipher suite, group",
    )


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        (SignatureScheme.ECDSA_SECP256R1_SHA256, "p256"),
        (SignatureScheme.ECDSA_SECP384R1_SHA384, "p384"),
        (SignatureScheme.ED25519, "ed25519"),
        (SignatureScheme.RSA_PKCS1_SHA256, "rsa2048"),
        (SignatureScheme.RSA_PSS_RSAE_SHA256, "rsa2048"),
        (SignatureScheme.RSA_PSS_RSAE_SHA384, "rsa2048"),
    ],
    ids=lambda value: value.name if isinstance(value, SignatureScheme) else value,
)
def test_must_have_signatures(scheme: SignatureScheme, kind: KeyKind) -> None:
    """Of the server's and of the client's certificate."""
    server = server_config(
        identities=(identity(server_certificate(kind)),), client_auth=ClientAuth.NEEDED, schemes=(scheme,)
    )
    Pair(certified_client(kind=kind, client_psk=None), server).establish().exchange()
    other = SignatureScheme.ED25519 if scheme is not SignatureScheme.ED25519 else SignatureScheme.RSA_PKCS1_SHA256
    failed(
        Pair(certified_client(kind=kind, client_psk=None, schemes=(other,)), server),
        AlertDescription.HANDSHAKE_FAILURE,
        "no cipher suite, group and signature scheme",
    )


def test_must_have_client_certificate_modes() -> None:
    with_one, without = certified_client(CCM_8), client_config(CCM_8)
    for client_auth, client, name in (
        (ClientAuth.NONE, with_one, None),
        (ClientAuth.NONE, without, None),
        (ClientAuth.WANTED, with_one, "device-1"),
        (ClientAuth.WANTED, without, None),
        (ClientAuth.NEEDED, with_one, "device-1"),
    ):
        principal = Pair(client, server_config(client_auth=client_auth)).establish().server_association.principal
        assert (principal.name if principal else None) == name
    failed(Pair(without, NEEDED), AlertDescription.HANDSHAKE_FAILURE, "the client has no certificate")


def test_must_have_client_certificate_rules() -> None:
    """The chain, the validity with its switch, a pin, a revocation list: the trust policy's verdict is the alert."""
    late = device("late", issuer=ca(), not_after_s=NOW_S - 1, not_before_s=NOW_S - YEAR_S)
    stranger = device("stranger")

    def pair(policy: TrustPolicy) -> Pair:
        client = client_config(CCM_8, identities=(identity(late),))
        return Pair(client, server_config(client_auth=ClientAuth.WANTED, trust=policy))

    failed(pair(trust()), AlertDescription.CERTIFICATE_EXPIRED, "")
    pair(TrustPolicy([ca().certificate], skip_validity=True)).establish()
    revoking = TrustPolicy([ca().certificate], crls=[crl(ca(), [late])], skip_validity=True)
    failed(pair(revoking), AlertDescription.CERTIFICATE_REVOKED, "")
    strange = client_config(CCM_8, identities=(identity(stranger),))
    failed(Pair(strange, NEEDED), AlertDescription.UNKNOWN_CA, "")
    Pair(
        strange, server_config(client_auth=ClientAuth.NEEDED, trust=TrustPolicy(pinned=[stranger.fingerprint]))
    ).establish()


def test_must_have_raw_public_keys() -> None:
    server = server_config(client_auth=ClientAuth.NEEDED, raw_public_keys=True)
    pair = Pair(certified_client(CCM_8, raw_public_keys=True), server).establish()
    for association in (pair.server_association, pair.client_association):
        assert association.principal is not None
        assert association.principal.kind == "rpk"
    unknown = client_config(CCM_8, identities=(identity(device("stranger")),), raw_public_keys=True)
    failed(Pair(unknown, server), AlertDescription.UNKNOWN_CA, "is not trusted")


def test_must_have_cookie_and_no_state_before_it() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config())
    pair.connect()
    ((hello, _),) = pair.take()
    for _ in range(100):
        pair.deliver(hello, SERVER)
    answers = pair.take()
    assert len(answers) == 100
    assert all(len(answer) <= len(hello) for answer, _ in answers)
    assert not pair.server._attempts
    assert pair.server.next_timeout() is None
    assert pair.server_events == []
    pair.deliver(answers[0][0], CLIENT)
    ((second, _),) = pair.take()
    pair.deliver(second, SERVER, source=b"someone else")  # a cookie is good for one address
    assert not pair.server._attempts
    pair.take()
    pair.deliver(second, SERVER)
    assert len(pair.server._attempts) == 1


def test_must_have_connection_id_and_an_address_that_only_a_newer_record_moves() -> None:
    pair = Pair(client_config(PSK_CCM_8, connection_id_bytes=4), server_config(connection_id_bytes=6)).establish()
    association = pair.server_association
    assert (len(association.cid), len(pair.client_association.cid)) == (6, 4)
    datagrams = []
    for data in (b"first", b"second", b"third"):
        pair.client.send(pair.client_association, data)
        datagrams += pair.take()
    (first, _), (second, _), (third, _) = datagrams
    assert second[0] == ContentType.TLS12_CID
    pair.deliver(second, SERVER, source=b"new address")
    assert association.address == b"new address"
    assert events_of(pair.server_events, AddressChanged) == [AddressChanged(association, CLIENT, b"new address")]
    pair.deliver(first, SERVER, source=b"elsewhere")  # authentic, but older: taken, and the address stays
    assert association.address == b"new address"
    forged = third[:-1] + bytes((third[-1] ^ 1,))
    pair.deliver(forged, SERVER, source=b"elsewhere")  # newer, but not authentic
    assert association.address == b"new address"
    pair.deliver(second, SERVER, source=b"elsewhere")  # a replay
    assert association.address == b"new address"
    assert pair.received()[1] == [b"second", b"first"]
    pair.server.send(association, b"answer")
    assert pair.take()[0][1] == b"new address"


@pytest.mark.parametrize("suite", [CCM_8, PSK_CCM_8], ids=["X.509", "PSK"])
@pytest.mark.parametrize("how", ["ticket", "session ID"])
def test_must_have_resumption_and_a_principal_that_is_checked_again(suite: CipherSuite, how: str) -> None:
    welcome = True
    server = server_config(
        client_auth=ClientAuth.NEEDED,
        tickets=TicketKeys() if how == "ticket" else None,
        session_ids=0 if how == "ticket" else 10,
        still_trusted=lambda principal: welcome and principal.name == "device-1",
    )
    pair = Pair(certified_client(suite), server).establish()
    principal = pair.server_association.principal
    pair.establish(pair.resumption)
    assert pair.server_association.resumed
    assert pair.server_association.principal == principal
    pair.exchange()
    welcome = False
    pair.establish(pair.resumption)
    assert not pair.server_association.resumed


def test_must_have_extended_master_secret_that_is_required_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    make_hello = ClientHandshake._make_hello

    def without(self: ClientHandshake) -> ClientHello:
        hello = make_hello(self)
        del hello.extensions[ExtensionType.EXTENDED_MASTER_SECRET]
        return hello

    lax_client = client_config(PSK_CCM_8, require_extended_master_secret=False)
    lax_server = server_config(require_extended_master_secret=False, tickets=TicketKeys(bytes(32)))
    pair = Pair(lax_client, lax_server).establish()
    assert pair.resumption.session.extended_master_secret
    with_it = pair.resumption
    monkeypatch.setattr(ClientHandshake, "_make_hello", without)
    pair.establish()
    assert not pair.resumption.session.extended_master_secret
    pair.exchange()
    pair.establish(pair.resumption)  # a session without it is resumed without it
    assert pair.server_association.resumed
    pair.connect(with_it)  # but one with it never is (RFC 7627 §5.3)
    pair.run()
    (failure,) = set(events_of(pair.server_events, HandshakeFailed))
    assert "resumption without extended_master_secret" in failure.reason
    failed(Pair(lax_client, server_config()), AlertDescription.HANDSHAKE_FAILURE, "extended_master_secret")


def test_must_have_renegotiation_refused_and_rfc_5746_signalled() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config()).establish()
    hello = next(data for data, to in pair.sent if to == CLIENT and data[13] == HandshakeType.SERVER_HELLO)
    assert b"\xff\x01\0\1\0" in hello
    association = pair.client_association
    for message in (HandshakeType.CLIENT_HELLO, HandshakeType.HELLO_REQUEST):
        request = bytes((message,)) + bytes(11)
        pair.deliver(association.seal(ContentType.HANDSHAKE, request), SERVER)
        ((refusal, _),) = pair.take()
        (record,) = records_of(refusal, 8)
        assert association.open(record) == (ContentType.ALERT, bytes((1, AlertDescription.NO_RENEGOTIATION)))
    pair.exchange()


@pytest.mark.parametrize("mtu", [64, 100, 256, 1024])
@pytest.mark.parametrize("limit", [512, 1024])
def test_must_have_max_fragment_length_and_mtu(mtu: int, limit: int) -> None:
    """A flight is cut to both, and comes together in any order."""
    client = certified_client(CCM_8, mtu=mtu, max_fragment_length=limit)
    pair = Pair(client, server_config(client_auth=ClientAuth.NEEDED, mtu=mtu), Network(reordering=0.5, duplication=0.5))
    pair.establish()
    pair.exchange()
    whole = [data for data, _ in pair.sent if data[13] != HandshakeType.CLIENT_HELLO or data[0] != 22]
    assert max(map(len, whole)) <= mtu
    assert all(len(record.fragment) <= limit for data in whole for record in records_of(data, 8))


def test_must_have_retransmission_with_a_timer_that_doubles() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config(retransmission_timeout_s=0.5))
    pair.connect()
    pair.take()
    times = []
    while (due_s := pair.client.next_timeout()) is not None:
        pair.client.handle_timeout(due_s)
        times.append(due_s)
        pair.take()
    assert times == [1, 3, 7, 15, 31, 63]
    assert events_of(pair.client_events, HandshakeFailed)[0].alert is None


def test_must_have_a_repeated_finished_gets_the_last_flight_again() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config())
    pair.connect()
    while not pair.server.associations():
        for data, destination in pair.take():
            pair.deliver(data, destination)
    lost = pair.take()
    assert {destination for _, destination in lost} == {CLIENT}
    pair.run()
    assert pair.completed
    assert len(events_of(pair.server_events, HandshakeCompleted)) == 1
    pair.exchange()
    assert pair.server_association.last_flight is None


def test_must_have_replay_protection_that_moves_only_after_the_mac_held() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config()).establish()
    association = pair.client_association
    datagrams = []
    for number in range(70):
        pair.client.send(association, b"%d" % number)
        datagrams.append(pair.take()[0][0])
    far_ahead = datagrams[1][:5] + b"\xff" * 6 + datagrams[1][11:]
    pair.deliver(far_ahead, SERVER)
    pair.deliver(datagrams[69], SERVER)
    for number in (69, 68, 68, 6, 5, 69, 6):  # 5 is 64 behind the newest
        pair.deliver(datagrams[number], SERVER)
    assert pair.received()[1] == [b"69", b"68", b"6"]


def test_must_have_association_lost_a_device_that_rebooted_gets_in_and_a_spoofed_hello_throws_no_one_out() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config()).establish()
    old = pair.server_association
    # Someone who spoofs the address, and even sees the cookie, but has no key.
    attacker = Pair(client_config(PSK_CCM_8, client_psk=type(PSK)(PSK.identity, b"wrong")), server_config())
    attacker.server = pair.server
    attacker.connect()
    attacker.run()
    assert not attacker.client.associations()
    assert pair.server_association is old
    pair.exchange()
    # The device itself, from the same address, without its old keys.
    pair.client = Endpoint(client_config(PSK_CCM_8))
    pair.now_s += 100
    pair.connect()
    for data, destination in pair.take():
        pair.deliver(data, destination)
    assert pair.server_association is old  # beside the new handshake
    pair.run()
    assert pair.server_association is not old
    pair.exchange()
    assert [event.association for event in events_of(pair.server_events, AssociationClosed)] == [old]


def test_must_have_alerts_with_a_reason_and_silence_for_bad_records() -> None:
    failed(Pair(client_config(CCM_8), NEEDED), AlertDescription.HANDSHAKE_FAILURE, "no certificate")
    wrong = client_config(PSK_CCM_8, client_psk=type(PSK)(PSK.identity, b"wrong"))
    failed(Pair(wrong, server_config()), AlertDescription.DECRYPT_ERROR, "keys differ")
    pair = Pair(client_config(PSK_CCM_8), server_config()).establish()
    association = pair.server_association
    strangers = RecordProtection(association.suite.aead, bytes(16), bytes(4), association.cid)
    pair.deliver(strangers.seal(ContentType.APPLICATION_DATA, 1, 1000, b"forged"), SERVER)
    assert pair.take() == []
    assert pair.server.dropped["not authentic"] == 1
    pair.exchange()


def test_must_have_alerts_an_unknown_identity_looks_like_a_wrong_key() -> None:
    seen = []
    for identity_bytes, key in ((b"nobody", PSK.key), (PSK.identity, b"wrong")):
        pair = Pair(client_config(PSK_CCM_8, client_psk=type(PSK)(identity_bytes, key)), server_config())
        failed(pair, AlertDescription.DECRYPT_ERROR, "keys differ")
        seen.append(([len(data) for data, to in pair.sent if to == CLIENT], pair.now_s))
    assert seen[0] == seen[1]


def test_must_have_limits_on_associations_and_the_least_recently_used_goes_first() -> None:
    server = Endpoint(server_config(max_associations=3))
    pairs = [Pair(client_config(PSK_CCM_8, connection_id_bytes=4), server_config()) for _ in range(4)]
    for number, pair in enumerate(pairs):
        _shake(pair, server, b"address %d" % number)
        if number == 2:  # the first one is used again, so the second is the oldest
            pairs[0].client.send(pairs[0].client_association, b"still here")
            server.receive_datagram(pairs[0].take()[0][0], b"address 0", 1.0, NOW_S)
    assert {one.address for one in server.associations()} == {b"address 0", b"address 2", b"address 3"}
    assert len(server._associations._by_cid) == 3


def test_must_have_limits_on_handshakes_under_way_and_per_address_and_second() -> None:
    server = Endpoint(server_config(max_handshakes=5, handshakes_per_second=2))
    for number in range(20):
        _begin(Pair(client_config(PSK_CCM_8), server_config()), server, b"address %d" % number)
        assert len(server._attempts) <= 5
    assert {one.address for one in server._attempts} == {b"address %d" % number for number in range(15, 20)}
    before = server.dropped["too many handshakes"]
    for _ in range(5):
        _begin(Pair(client_config(PSK_CCM_8), server_config()), server, b"one address")
    assert server.dropped["too many handshakes"] - before == 3
    _begin(Pair(client_config(PSK_CCM_8), server_config()), server, b"one address", now_s=1.0)
    assert server.dropped["too many handshakes"] - before == 3


def test_must_have_limits_on_the_size_of_handshake_messages() -> None:
    pair = Pair(certified_client(CCM_8), server_config(client_auth=ClientAuth.NEEDED, max_message_bytes=200))
    pair.connect()
    pair.run()
    assert not pair.server.associations()
    Pair(certified_client(CCM_8), server_config(client_auth=ClientAuth.NEEDED, max_message_bytes=1000)).establish()


def test_must_have_limits_on_idle_time() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config(idle_timeout_s=10.0)).establish()
    seen_s = pair.server_association.last_seen_s
    pair.server.end_idle(seen_s + 9.9)
    assert pair.server.associations()
    pair.server.end_idle(seen_s + 10.0)
    assert not pair.server.associations()
    assert not pair.server._associations._by_cid
    pair._fetch_events()
    assert events_of(pair.server_events, AssociationClosed)[0].reason == "idle"


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_must_have_key_log_in_the_format_of_sslkeylogfile_that_is_off_by_default(suite: CipherSuite) -> None:
    assert server_config().key_log is None
    lines: list[str] = []
    pair = Pair(client_config(suite, key_log=lines.append), server_config(key_log=lines.append)).establish()
    assert len(lines) == 2
    assert lines[0] == lines[1]
    label, random, master = lines[0].split(" ")
    assert label == "CLIENT_RANDOM"
    assert any(bytes.fromhex(random) in data for data, to in pair.sent if to == SERVER)
    assert bytes.fromhex(master) == pair.resumption.session.master_secret


def _begin(pair: Pair, server: Endpoint, address: bytes, now_s: float = 0.0) -> None:
    """Say hello twice, and no more."""
    pair.connect()
    for _ in range(2):
        for data, _ in pair.take():
            server.receive_datagram(data, address, now_s, NOW_S)
        for data, _ in server.datagrams_to_send():
            if data[13] == HandshakeType.HELLO_VERIFY_REQUEST:
                pair.deliver(data, CLIENT)


def _shake(pair: Pair, server: Endpoint, address: bytes) -> None:
    """A whole handshake with a server that has other clients too."""
    pair.connect()
    for _ in range(4):
        for data, _ in pair.take():
            server.receive_datagram(data, address, 0.0, NOW_S)
        for data, destination in server.datagrams_to_send():
            assert destination == address
            pair.deliver(data, CLIENT)
    assert pair.client.associations()
    assert Principal("psk", "device-1") in [one.principal for one in server.associations()]
