"""What a handshake may cost, whoever takes part in it: repetitions, memory, key exchanges, signatures, timers."""

import gc
import weakref

from gateway.dtls.codes import ContentType, HandshakeType
from gateway.dtls.config import ClientAuth
from gateway.dtls.endpoint import REPETITION_S, Endpoint
from gateway.dtls.fragments import OTHER_MESSAGES_BYTES, Arrival, HandshakeMessage, Reassembler, fragments_in
from gateway.dtls.handshake import SETBACKS_PER_FLIGHT
from gateway.dtls.keyexchange import ephemeral_key
from gateway.dtls.messages import ClientKeyExchange
from gateway.dtls.record import record_header

from .adversary_client import HostileClient
from .peers import PSK_CCM_8, device_certificate, server_config


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


def test_a_large_forgery_does_not_take_the_room_of_what_contradicts_it() -> None:
    most = 2 * OTHER_MESSAGES_BYTES
    reassembler = Reassembler(most_bytes=most)
    forged, genuine = HandshakeMessage(11, 0, bytes(most)), HandshakeMessage(11, 0, b"\1" * most)
    (whole,) = fragments_in(forged.encode())
    assert reassembler.add(whole) is Arrival.NEW
    assert reassembler.next_message() == forged
    first, second = (next(iter(fragments_in(genuine.fragment(at, most // 2)))) for at in (0, most // 2))
    assert reassembler.add(first) is Arrival.REPLACED  # there is no room for both
    reassembler.rewind()
    assert reassembler.next_message() is None
    assert reassembler.add(second) is Arrival.NEW
    assert reassembler.next_message() == genuine
