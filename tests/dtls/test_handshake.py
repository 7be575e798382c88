"""What both roles' handshakes do with records that come early, late, or malformed under the right keys."""

import pytest

from gateway.dtls.codes import ContentType, HandshakeType
from gateway.dtls.messages import ServerKeyExchange
from gateway.dtls.record import Record, record_header, records_of
from gateway.dtls.server import ServerHandshake

from .pair import CLIENT, SERVER, Pair
from .peers import CCM_8, PSK_CCM_8, certified_client, client_config, server_config


def until_the_clients_flight(*, certificate: bool = False) -> tuple[Pair, list[bytes]]:
    """A pair of which the client's last flight is under way; with the records of that."""
    client = certified_client(CCM_8) if certificate else client_config(PSK_CCM_8)
    pair = Pair(client, server_config())
    pair.connect()
    for _ in range(4):
        for data, destination in pair.take():
            pair.deliver(data, destination)
    records = [_on_the_wire(record) for data, _ in pair.take() for record in records_of(data, 8)]
    return pair, records


def _on_the_wire(record: Record) -> bytes:
    header = record_header(record.type, record.epoch, record.sequence, len(record.fragment), cid=record.cid)
    return header + record.fragment


def client_record(pair: Pair, number: int, content_type: int, content: bytes) -> bytes:
    """A record under the keys that the client's handshake has agreed on."""
    (attempt,) = pair.client._attempts
    keys = attempt.handshake.keys
    assert keys is not None
    return keys.write.seal(content_type, 1, number, content)


def test_the_last_flight_may_come_in_any_order() -> None:
    """RFC 6347 §4.2.8: Finished may be there before what it follows."""
    pair, records = until_the_clients_flight(certificate=True)
    for record in reversed(records):
        pair.deliver(record, SERVER)
    pair.run()
    assert pair.completed
    pair.exchange()


def test_what_is_protected_and_no_finished_is_passed_over() -> None:
    pair, records = until_the_clients_flight()
    for record in records[:-1]:
        pair.deliver(record, SERVER)
    nonsense = (
        (ContentType.HANDSHAKE, b"\x14malformed"),
        (ContentType.APPLICATION_DATA, b"too early"),
        (ContentType.ALERT, b"\1\0\0"),
        (ContentType.CHANGE_CIPHER_SPEC, b"\1"),
    )
    for number, (content_type, content) in enumerate(nonsense, start=10):
        for _ in range(2):
            pair.deliver(client_record(pair, number, content_type, content), SERVER)
    assert not pair.server.associations()
    pair.deliver(records[-1], SERVER)
    pair.run()
    assert pair.completed
    assert pair.received()[1] == []
    pair.exchange()


def test_a_replay_of_the_finished_gets_no_second_answer() -> None:
    pair, records = until_the_clients_flight()
    for record in records:
        pair.deliver(record, SERVER)
    assert [destination for _, destination in pair.take()].count(CLIENT) == 1
    pair.deliver(records[-1], SERVER)
    assert pair.take() == []


def test_a_server_may_give_a_hint_for_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 4279 §2; ours gives none, others do."""

    def with_hint(self: ServerHandshake) -> None:
        self._send(HandshakeType.SERVER_KEY_EXCHANGE, ServerKeyExchange(b"a hint").encode())

    monkeypatch.setattr(ServerHandshake, "_send_key_material", with_hint)
    pair = Pair(client_config(PSK_CCM_8), server_config()).establish()
    assert any(b"a hint" in data for data, _ in pair.sent)
    pair.exchange()
