"""What an association stands: late and replayed records, strangers, spoofed addresses, peers that reboot."""

import gc
import weakref
from typing import Any

import pytest

from gateway.dtls.association import Association
from gateway.dtls.codes import DTLS_1_0, AlertDescription, AlertLevel, ContentType, HandshakeType
from gateway.dtls.config import ClientAuth
from gateway.dtls.endpoint import REPETITION_S, Endpoint
from gateway.dtls.events import AddressChanged, AssociationClosed
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.greeting import LATE_S
from gateway.dtls.handshake import SETBACKS_PER_FLIGHT
from gateway.dtls.keyexchange import ephemeral_key
from gateway.dtls.messages import ClientKeyExchange
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import record_header

from .adversary_client import HostileClient
from .pair import Network, Pair
from .peers import CCM_8, PSK_CCM_8, certified_client, client_config, device_certificate, server_config

ELSEWHERE = b"elsewhere"


def established(server: Endpoint | None = None, **changes: Any) -> HostileClient:
    client = HostileClient(server or Endpoint(server_config()), PSK_CCM_8, **changes).greet().answer()
    assert client.established
    return client


def association_of(client: HostileClient) -> Association:
    (association,) = (one for one in client.endpoint.associations() if one.address == client.address)
    return association


def still_works(client: HostileClient) -> bool:
    """Whether both directions work, and the address is the old one."""
    association = association_of(client)
    delivered, heard = len(client.delivered), len(client.data)
    client.send_data(b"up")
    client.endpoint.send(association, b"down")
    client.listen()
    return client.delivered[delivered:] == [b"up"] and client.data[heard:] == [b"down"]


def closed(client: HostileClient) -> list[AssociationClosed]:
    return [event for event in client.events if isinstance(event, AssociationClosed)]


# -- records that are not the peer's, or not new --------------------------------------------------------


def test_a_record_is_taken_once() -> None:
    client = established()
    datagram = client.record(ContentType.APPLICATION_DATA, b"once", epoch=1)
    for address in (client.address, client.address, ELSEWHERE):
        client.deliver(datagram, address=address)
    assert client.delivered == [b"once"]


@pytest.mark.parametrize("at", range(13), ids=lambda at: f"header byte {at}")
def test_a_record_whose_header_was_changed_is_dropped(at: int) -> None:
    client = established()
    datagram = client.record(ContentType.APPLICATION_DATA, b"data", epoch=1)
    for bit in range(8):
        client.deliver(datagram[:at] + bytes((datagram[at] ^ 1 << bit,)) + datagram[at + 1 :])
    assert client.delivered == []
    assert still_works(client)


def test_a_protected_record_of_another_version_is_dropped() -> None:
    client = established()
    datagram = client.record(ContentType.APPLICATION_DATA, b"data", epoch=1)
    client.deliver(datagram[:1] + DTLS_1_0.to_bytes(2, "big") + datagram[3:])
    assert client.delivered == []


def test_many_records_in_one_datagram_are_not_all_looked_at() -> None:
    client = established()
    dropped = sum(client.endpoint.dropped.values())
    client.deliver((record_header(ContentType.APPLICATION_DATA, 1, 9, 30) + bytes(30)) * 1000)
    assert sum(client.endpoint.dropped.values()) - dropped <= 32


# -- connection IDs -------------------------------------------------------------------------------------


def sealed(client: HostileClient, cid: bytes, data: bytes = b"data", number: int = 1) -> bytes:
    """A record under the client's keys, with another connection ID than agreed on, or none."""
    assert client.write is not None
    protection = RecordProtection(client.suite.aead, client.write.key, client.write.iv, cid)
    return protection.seal(ContentType.APPLICATION_DATA, 1, number, data)


def test_a_peer_with_a_connection_id_must_use_it() -> None:
    client = established(cid=b"mine")
    client.deliver(sealed(client, b""))
    assert client.delivered == []
    assert still_works(client)


def test_a_peer_without_a_connection_id_must_use_none() -> None:
    client = established()
    assert association_of(client).cid == b""
    for cid in (b"", bytes(8)):
        header = record_header(ContentType.TLS12_CID, 1, 1, 24)
        client.deliver(header[:11] + cid + header[11:] + bytes(24))
        client.deliver(sealed(client, bytes(8)))
    assert client.delivered == []
    assert still_works(client)


@pytest.mark.parametrize("length", [1, 7, 9, 20])
def test_a_connection_id_of_another_length_is_none(length: int) -> None:
    client = established(cid=b"mine")
    client.deliver(sealed(client, (association_of(client).cid * 3)[:length]))
    assert client.delivered == []


def test_the_connection_id_of_another_peer_is_of_no_use() -> None:
    server = Endpoint(server_config())
    other, client = established(server, address=b"other", cid=b"its"), established(server, cid=b"mine")
    client.deliver(sealed(client, association_of(other).cid))
    assert client.delivered == []
    assert association_of(other).address == b"other"


def test_a_finished_with_another_connection_id_does_not_complete_a_handshake() -> None:
    for cid in (b"", bytes(8), bytes(7)):
        client = HostileClient(server_config(), PSK_CCM_8, cid=b"mine").greet()
        client.exchange_keys()
        client.change_cipher_spec()
        assert client.write is not None
        client.write = RecordProtection(client.suite.aead, client.write.key, client.write.iv, cid)
        client.finish()
        client.repeat()
        assert not client.established


def test_a_connection_id_of_no_bytes_is_as_none() -> None:
    client = established(cid=b"")
    assert association_of(client).writer.protection is not None
    assert still_works(client)


def test_an_address_changes_with_a_record_that_is_newer_than_all_before_and_with_no_other() -> None:
    client = established(cid=b"mine")
    association = association_of(client)
    older = client.record(ContentType.APPLICATION_DATA, b"older", epoch=1)
    newer = client.record(ContentType.APPLICATION_DATA, b"newer", epoch=1)
    client.deliver(newer)
    client.deliver(older, address=ELSEWHERE)  # authentic, and late or held back: its data counts, its address does not
    assert client.delivered == [b"newer", b"older"]
    assert association.address == client.address
    for replay in (older, newer):
        client.deliver(replay, address=ELSEWHERE)
    forged = client.record(ContentType.APPLICATION_DATA, b"forged", epoch=1)
    client.deliver(forged[:-1] + bytes((forged[-1] ^ 1,)), address=ELSEWHERE)
    assert association.address == client.address
    assert not [event for event in client.events if isinstance(event, AddressChanged)]
    client.deliver(forged, address=ELSEWHERE)
    assert association.address == ELSEWHERE


@pytest.mark.parametrize("cid", [None, b"its"], ids=["found by address", "found by connection ID"])
def test_a_peer_that_claims_anothers_address_does_not_throw_it_out(cid: bytes | None) -> None:
    server = Endpoint(server_config())
    victim = established(server, cid=cid)
    insider = established(server, address=b"insider", cid=b"mine")
    insider.deliver(insider.record(ContentType.APPLICATION_DATA, b"I am here", epoch=1), address=victim.address)
    assert insider.delivered == [b"I am here"]
    assert len(server.associations()) == 2
    assert not closed(insider)
    before = len(victim.delivered)
    victim.send_data(b"so am I")
    assert victim.delivered[before:] == [b"so am I"]
    insider.send_data(b"back home")
    assert {one.address for one in server.associations()} == {victim.address, b"insider"}
    assert still_works(victim)


@pytest.mark.parametrize("concurrent", [False, True], ids=["one after another", "at once"])
def test_connection_ids_that_run_out_stall_nothing_and_are_never_given_twice(concurrent: bool) -> None:
    server = Endpoint(server_config(connection_id_bytes=1, handshakes_per_second=1000))
    clients = [HostileClient(server, PSK_CCM_8, address=b"client %d" % number, cid=b"c") for number in range(300)]
    if concurrent:
        for client in clients:
            client.greet()
    for client in clients:
        (client if concurrent else client.greet()).answer()
    associations = server.associations()
    assert len(associations) == 300
    cids = [one.cid for one in associations if one.cid]
    assert len(set(cids)) == len(cids) > 200
    assert not server._attempts.cids
    for client in clients:
        client.send_data(client.address)
        assert client.delivered == [client.address]


# -- the end of the handshake, again --------------------------------------------------------------------


def repeated_flight(client: HostileClient) -> int:
    """Say the last flight again; gives how many datagrams that brought."""
    before = len(client.datagrams)
    client.repeat()
    return len(client.datagrams) - before


def test_a_repeated_flight_gets_the_last_one_again_within_bounds() -> None:
    client = established()
    answers = [repeated_flight(client) for _ in range(10)]
    assert answers == [1] * 5 + [0] * 5
    assert still_works(client)
    assert len(client.endpoint.associations()) == 1
    assert not client.endpoint._attempts


def test_a_replayed_flight_gets_nothing() -> None:
    client = HostileClient(server_config(), PSK_CCM_8).greet()
    client.sent.clear()
    client.answer()
    before = len(client.datagrams)
    for datagram in [*client.sent]:
        client.deliver(datagram)
    assert len(client.datagrams) == before
    assert still_works(client)


def test_a_flight_that_comes_again_after_data_gets_nothing() -> None:
    client = established()
    client.send_data(b"so I have your Finished")
    client._flight = client._flight[:-1]
    assert repeated_flight(client) == 0


@pytest.mark.parametrize("resumed", [False, True], ids=["full", "resumed"])
def test_two_that_repeat_their_flights_come_to_an_end(resumed: bool) -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config(session_ids=10), Network())
    pair.establish()
    pair.exchange()
    resumption = pair.resumption if resumed else None
    pair.network = Network(duplication=1.0)
    before = len(pair.sent)
    pair.connect(resumption)
    # So long on the way that each side repeats its flight before it hears of the other's.
    pair.network = Network(duplication=1.0, delay_s=1.2)
    pair.run()
    assert pair.completed
    assert len(pair.sent) - before < 30
    pair.exchange()


# -- alerts, renegotiation, plaintext -------------------------------------------------------------------


def test_close_notify_is_answered_and_ends_the_association() -> None:
    client = established()
    client.alert(AlertDescription.CLOSE_NOTIFY, AlertLevel.WARNING, epoch=1)
    assert client.warnings == [AlertDescription.CLOSE_NOTIFY]
    assert [event.reason for event in closed(client)] == ["the peer sent alert 0"]
    assert not client.endpoint.associations()


def test_a_fatal_alert_ends_the_association_and_is_not_answered() -> None:
    client = established()
    before = len(client.datagrams)
    client.alert(AlertDescription.INTERNAL_ERROR, epoch=1)
    assert len(client.datagrams) == before
    assert not client.endpoint.associations()


def test_a_warning_ends_nothing() -> None:
    client = established()
    client.alert(AlertDescription.USER_CANCELED, AlertLevel.WARNING, epoch=1)
    client.put(ContentType.ALERT, b"\2", epoch=1)
    assert still_works(client)


@pytest.mark.parametrize("body", [b"", b"hello", bytes(300)], ids=lambda body: f"{len(body)} bytes")
def test_renegotiation_is_refused(body: bytes) -> None:
    client = established()
    client.say(HandshakeType.CLIENT_HELLO, body, epoch=1)
    assert client.warnings == [AlertDescription.NO_RENEGOTIATION]
    assert still_works(client)


def test_nothing_in_the_clear_moves_an_association() -> None:
    client = established()
    before = len(client.datagrams)
    for description in (0, 10, 40, 100):
        client.alert(description)
    client.change_cipher_spec()
    client.send_data(b"plain", epoch=0)
    for message_type in (0, 2, 11, 14, 16, 20):
        client.say(message_type, bytes(20))
    assert len(client.datagrams) == before
    assert still_works(client)


# -- ClientHellos from a known address ------------------------------------------------------------------


def test_spoofed_hellos_get_small_answers_and_disturb_nothing() -> None:
    server = Endpoint(server_config())
    victim = established(server)
    spoofer = HostileClient(server, address=victim.address)
    for number in range(1000):
        spoofer.change_hello(random=number.to_bytes(32, "big"), cookie=bytes(number % 33)).greet_again()
    assert all(len(datagram) == 44 for datagram in spoofer.datagrams)
    assert not server._attempts
    assert still_works(victim)


def test_a_handshake_that_someone_on_the_path_begins_leaves_the_association_alone() -> None:
    """It has a valid cookie, as who sees the answers can have; but no key."""
    server = Endpoint(server_config())
    victim = established(server)
    spoofer = HostileClient(server, PSK_CCM_8, address=victim.address).change_hello(random=bytes(32)).greet()
    assert len(server._attempts) == 1
    victim.endpoint.datagrams_to_send()
    assert still_works(victim)
    spoofer.exchange_keys(key=b"no idea")
    spoofer.change_cipher_spec()
    spoofer.finish()
    assert still_works(victim)
    spoofer.repeat()
    assert spoofer.alerts == [AlertDescription.DECRYPT_ERROR]
    assert still_works(victim)
    spoofer.change_hello(random=bytes(31) + b"\1").greet()
    spoofer.wait(600.0)
    assert not server._attempts
    assert still_works(victim)
    assert not closed(spoofer)


@pytest.mark.parametrize("cid", [None, b"mine"], ids=["without connection ID", "with connection ID"])
def test_a_device_that_rebooted_gets_in_again_and_replaces_what_it_was(cid: bytes | None) -> None:
    server = Endpoint(server_config())
    before = established(server, cid=cid)
    after = HostileClient(server, PSK_CCM_8, cid=cid).change_hello(random=bytes(32)).greet()
    assert still_works(before)
    after.answer()
    assert [event.reason for event in closed(after)] == ["replaced by a new handshake"]
    assert len(server.associations()) == 1
    assert still_works(after)


def test_a_device_that_a_nat_gave_anothers_address_does_not_throw_it_out() -> None:
    server = Endpoint(server_config(client_auth=ClientAuth.NEEDED))
    moved = HostileClient(server, certificate=device_certificate(name="device-2"), cid=b"its").greet().answer()
    assert moved.established
    newcomer = HostileClient(server, certificate=device_certificate(), cid=b"mine").change_hello(random=bytes(32))
    newcomer.greet().answer()
    assert len(server.associations()) == 2
    moved.address = ELSEWHERE
    moved.send_data(b"I was moved")
    assert moved.delivered == [b"I was moved"]


# -- repetitions and bounds of a handshake --------------------------------------------------------------


def hello_again(client: HostileClient) -> int:
    before = len(client.datagrams)
    client.say(HandshakeType.CLIENT_HELLO, client.hello.encode(), sequence=1, counts=False)
    return len(client.datagrams) - before


def test_a_repeated_hello_gets_the_flight_again_at_once_within_bounds() -> None:
    client = HostileClient(server_config(retransmission_timeout_s=9.0), PSK_CCM_8).greet()
    assert hello_again(client) == 0  # a copy that the network made
    answers = []
    for _ in range(10):
        client.now_s += 1.5 * REPETITION_S
        answers.append(hello_again(client))
    assert answers == [1] * 5 + [0] * 5
    client.answer()
    assert client.established


def test_a_repeated_hello_whose_cookie_expired_meanwhile_goes_on_with_its_handshake() -> None:
    client = HostileClient(server_config(retransmission_timeout_s=100.0), PSK_CCM_8).greet()
    client.now_s += 130.0
    hello_again(client)
    client.answer()
    assert client.established


def test_what_a_handshake_keeps_of_forged_fragments_is_bounded() -> None:
    client = HostileClient(server_config(client_auth=ClientAuth.NEEDED)).greet()
    for sequence in range(2, 12):
        for size in (16_384, 16_000, 10_000, 4_000):
            header = HandshakeMessage(11, sequence, bytes(size)).fragment(size - 1, 1)
            client.put(ContentType.HANDSHAKE, header)
    for number in range(100):
        client.deliver(record_header(ContentType.APPLICATION_DATA, 1, number, 5000) + bytes(5000))
    (attempt,) = client.endpoint._attempts
    handshake = attempt.handshake
    assert sum(slot.size for slot in handshake._reassembler._slots.values()) <= 16_384 + 4_096
    assert sum(len(record.fragment) for record in handshake._early) <= 8 * 512


def test_forged_key_exchanges_cost_no_more_than_a_bounded_number_of_them() -> None:
    agreed: list[str] = []
    server = server_config(key_log=agreed.append, handshakes_per_second=1000)
    client = HostileClient(server).greet()
    points = [ephemeral_key(client.group).point for _ in range(8)]
    for number in range(2000):
        body = ClientKeyExchange(None, points[number % 8]).encode()
        client.put(ContentType.HANDSHAKE, HandshakeMessage(16, 2, body).encode())
    assert len(agreed) <= SETBACKS_PER_FLIGHT + 1
    client.begin_flight()
    client.wait(1.0)  # our flight is repeated, and then it is the client's turn again
    client.answer()
    assert client.established


def test_forged_certificates_cost_no_signature() -> None:
    """They are looked at only when a Finished is right."""
    server = server_config(client_auth=ClientAuth.NEEDED)
    judged: list[object] = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            judged.append(name)
            return getattr(server.trust, name)

    client = HostileClient(
        server_config(client_auth=ClientAuth.NEEDED, trust=Counting()), certificate=device_certificate()
    )
    client.greet()
    for name in ("stranger-1", "stranger-2"):
        client.next_sequence = 2
        client.certify(device_certificate(name=name).chain())
        client.say(HandshakeType.CLIENT_KEY_EXCHANGE, ClientKeyExchange(None, ephemeral_key(29).point).encode())
        client.verify()
        client.change_cipher_spec()
        client.deliver(record_header(ContentType.HANDSHAKE, 1, 0, 40) + bytes(40))
    assert judged == []


def test_a_handshake_that_is_over_leaves_nothing_in_memory_and_its_timers_do_not_pile_up() -> None:
    server = Endpoint(server_config(handshakes_per_second=10_000, max_handshakes=50, retransmission_timeout_s=60.0))
    handshakes = []
    for number in range(400):
        client = HostileClient(server, PSK_CCM_8, address=b"client %d" % number).greet()
        handshakes.append(weakref.ref(next(one for one in server._attempts if one.address == client.address).handshake))
        client.answer()
    gc.collect()
    assert [reference for reference in handshakes if reference() is not None] == []
    assert len(server.associations()) == 400
    assert len(server._attempts.timers) <= 4 * 50 + 1


def test_fragments_without_end_in_one_record_are_not_taken() -> None:
    client = HostileClient(server_config(), PSK_CCM_8).greet()
    message = HandshakeMessage(HandshakeType.CLIENT_KEY_EXCHANGE, 2, bytes(1000))
    client.put(ContentType.HANDSHAKE, b"".join(message.fragment(at, 1) for at in range(200)))
    (attempt,) = client.endpoint._attempts
    assert not attempt.handshake._reassembler._slots


# -- the owner ------------------------------------------------------------------------------------------


def test_a_principal_that_is_trusted_no_more_loses_its_associations() -> None:
    pair = Pair(certified_client(CCM_8), server_config(client_auth=ClientAuth.NEEDED)).establish()
    other = established(pair.server, address=b"other")
    ended = pair.server.end_where(
        lambda one: one.principal is not None and one.principal.kind == "x509", "trusted no more"
    )
    assert ended == 1
    pair.run()
    assert not pair.client.associations()  # it was told
    assert [one.address for one in pair.server.associations()] == [b"other"]
    assert still_works(other)
    reasons = [event.reason for event in pair.server_events if isinstance(event, AssociationClosed)]
    assert reasons == ["trusted no more"]


def test_a_device_whose_random_numbers_repeat_gets_in_again_after_a_while() -> None:
    server = Endpoint(server_config())
    before = established(server)
    after = HostileClient(server, PSK_CCM_8)
    assert after.hello.random == before.hello.random
    after.greet()
    assert after.latest(HandshakeType.SERVER_HELLO) is None  # it might be a late copy
    after.now_s += LATE_S
    after.greet().answer()
    assert still_works(after)
    assert len(server.associations()) == 1
