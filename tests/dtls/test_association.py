"""Associations: what they open, once, and that they end before their record numbers do."""

import pytest

from gateway.dtls.association import NUMBERS_IN_RESERVE, Association
from gateway.dtls.codes import ContentType
from gateway.dtls.events import AssociationClosed
from gateway.dtls.flight import RecordWriter
from gateway.dtls.record import MAX_SEQUENCE, Record, records_of

from .pair import SERVER, Pair, events_of
from .peers import PSK_CCM_8, client_config, server_config


def record_from_client(pair: Pair, data: bytes) -> Record:
    pair.client.send(pair.client_association, data)
    ((datagram, _),) = pair.take()
    (record,) = records_of(datagram, 8)
    return record


def established() -> Pair:
    return Pair(client_config(PSK_CCM_8), server_config()).establish()


def wear_out(association: Association, left: int) -> None:
    """Leave this association so many records before its reserve."""
    old = association.writer
    association.writer = RecordWriter(
        most_content=old.most_content,
        protection=old.protection,
        next_sequence=MAX_SEQUENCE - NUMBERS_IN_RESERVE - left + 1,
    )


def test_a_record_is_opened_once() -> None:
    pair = established()
    record = record_from_client(pair, b"data")
    assert pair.server_association.open(record) == (23, b"data")
    assert pair.server_association.open(record) is None


@pytest.mark.parametrize("epoch", [0, 2, 0xFFFF])
def test_only_records_of_epoch_1_are_opened(epoch: int) -> None:
    pair = established()
    record = record_from_client(pair, b"data")
    assert pair.server_association.open(record._replace(epoch=epoch)) is None
    assert pair.server_association.open(record) is not None


def test_a_forged_record_does_not_move_the_window() -> None:
    pair = established()
    record = record_from_client(pair, b"data")
    association = pair.server_association
    newest = association.window.newest
    assert association.open(record._replace(sequence=MAX_SEQUENCE)) is None
    assert association.open(record._replace(fragment=bytes(len(record.fragment)))) is None
    assert association.window.newest == newest
    assert association.open(record) == (23, b"data")


def test_a_repr_holds_no_key() -> None:
    association = established().server_association
    assert "device-1" in repr(association)
    assert repr(association.read.key)[2:-1] not in repr(association)


def test_an_association_ends_before_its_record_numbers_do_when_we_send() -> None:
    pair = established()
    association = pair.client_association
    wear_out(association, 1)
    pair.client.send(association, b"last")
    pair.client.send(association, b"too many")
    pair.run()
    assert pair.received()[1] == [b"last"]
    (closed,) = events_of(pair.client_events, AssociationClosed)
    assert closed.reason == "its record numbers are used up"
    assert not pair.server.associations()  # it was told
    pair.client.send(association, b"too many")
    assert not pair.take()


def test_an_association_ends_before_its_record_numbers_do_when_we_answer() -> None:
    pair = established()
    wear_out(pair.server_association, 0)
    pair.client.send(pair.client_association, b"needs no answer")
    pair.run()
    assert pair.received()[1] == [b"needs no answer"]
    hello_request = bytes(12)
    pair.deliver(pair.client_association.seal(ContentType.HANDSHAKE, hello_request), SERVER)
    pair.run()
    (closed,) = events_of(pair.server_events, AssociationClosed)
    assert closed.reason == "its record numbers are used up"
    assert not pair.client.associations()


def test_the_peers_last_record_number_is_taken() -> None:
    pair = established()
    association = pair.client_association
    association.writer = RecordWriter(
        most_content=100, protection=association.writer.protection, next_sequence=MAX_SEQUENCE
    )
    pair.deliver(association.seal(23, b"the last there is"), SERVER)
    assert pair.received()[1] == [b"the last there is"]
    with pytest.raises(OverflowError):
        association.seal(23, b"one more")
