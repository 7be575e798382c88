"""Flights: cut to the MTU, numbered anew at each transmission; and record numbers that never wrap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.codes import ContentType, HandshakeType
from gateway.dtls.flight import CHANGE_CIPHER_SPEC, MAX_TIMEOUT_S, Flight, RecordWriter, is_change_cipher_spec
from gateway.dtls.fragments import HandshakeMessage, Reassembler, fragments_in
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import MAX_SEQUENCE, Record, records_of
from gateway.dtls.suites import Aead

CID = b"8 bytes!"
HANDSHAKE, CCS = ContentType.HANDSHAKE, ContentType.CHANGE_CIPHER_SPEC


def protection(cid: bytes = CID) -> RecordProtection:
    return RecordProtection(Aead.AES_128_GCM, bytes(16), bytes(4), cid)


def writer(most_content: int = 1 << 14, cid: bytes = CID) -> RecordWriter:
    return RecordWriter(most_content=most_content, first_sequence=1, protection=protection(cid))


def last_flight(certificate_bytes: int = 700) -> tuple[Flight, list[HandshakeMessage]]:
    messages = [
        HandshakeMessage(HandshakeType.CERTIFICATE, 2, bytes(certificate_bytes)),
        HandshakeMessage(HandshakeType.CLIENT_KEY_EXCHANGE, 3, b"k" * 66),
        HandshakeMessage(HandshakeType.CERTIFICATE_VERIFY, 4, b"v" * 76),
        HandshakeMessage(HandshakeType.FINISHED, 5, b"f" * 12),
    ]
    flight = Flight(1.0)
    for message in messages[:3]:
        flight.add(HANDSHAKE, 0, message)
    flight.add(CCS, 0, CHANGE_CIPHER_SPEC)
    flight.add(HANDSHAKE, 1, messages[3])
    return flight, messages


def records_in(datagrams: list[bytes], cid_length: int = len(CID)) -> list[Record]:
    return [record for datagram in datagrams for record in records_of(datagram, cid_length)]


@given(st.integers(64, 1500), st.sampled_from([512, 1024, 1 << 14]), st.integers(0, 3000))
def test_every_datagram_fits_the_mtu_and_nothing_is_lost(mtu: int, most_content: int, certificate_bytes: int) -> None:
    flight, messages = last_flight(certificate_bytes)
    datagrams = flight.datagrams(writer(most_content), mtu)
    assert all(len(datagram) <= mtu for datagram in datagrams)
    reassembler, got = Reassembler(most_bytes=10_000, next_sequence=2), []
    for record in records_in(datagrams):
        content_type, content = (record.type, record.fragment) if record.epoch == 0 else _opened(record)
        assert len(content) <= most_content
        if content_type == HANDSHAKE:
            for fragment in fragments_in(content):
                reassembler.add(fragment)
            while (message := reassembler.next_message()) is not None:
                got.append(message)
    assert got == messages


def _opened(record: Record) -> tuple[int, bytes]:
    opened = protection().open(record)
    assert opened is not None
    return opened


def test_what_fits_shares_a_datagram() -> None:
    flight, _ = last_flight(100)
    assert len(flight.datagrams(writer(), 1400)) == 1


def test_no_scrap_of_a_message_fills_up_a_datagram() -> None:
    flight = Flight(1.0)
    flight.add(HANDSHAKE, 0, HandshakeMessage(11, 0, bytes(150)))
    flight.add(HANDSHAKE, 0, HandshakeMessage(12, 1, bytes(150)))
    first, second = flight.datagrams(writer(), 200)
    assert [len(first), len(second)] == [175, 175]


def test_each_transmission_has_record_numbers_of_its_own() -> None:
    flight, _ = last_flight()
    ours = writer()
    numbers = [(record.epoch, record.sequence) for _ in range(3) for record in records_in(flight.datagrams(ours, 300))]
    assert len(set(numbers)) == len(numbers)
    assert numbers[0] == (0, 1)
    assert [sequence for epoch, sequence in numbers if epoch] == [0, 1, 2]


def test_a_client_hello_is_never_cut() -> None:
    hello = HandshakeMessage(HandshakeType.CLIENT_HELLO, 0, bytes(300))
    flight = Flight(1.0)
    flight.add(HANDSHAKE, 0, hello)
    (datagram,) = flight.datagrams(RecordWriter(most_content=1 << 14), 64)
    (record,) = records_of(datagram, 0)
    assert record.fragment == hello.encode()


def test_a_record_with_more_overhead_than_the_mtu_still_gets_through() -> None:
    """A connection ID of 20 bytes and an MTU of 64: a byte at a time, in more than the MTU."""
    flight, _ = last_flight()
    cid = bytes(20)
    datagrams = flight.datagrams(writer(cid=cid), 64)
    finished = [record for record in records_in(datagrams, 20) if record.epoch]
    assert len(finished) == 12
    assert max(len(datagram) for datagram in datagrams) == 13 + protection(cid).overhead + 12 + 1


def test_an_empty_flight_is_no_datagram() -> None:
    assert Flight(1.0).datagrams(writer(), 1000) == []


def test_the_timer_doubles_up_to_60_seconds() -> None:
    flight, times = Flight(1.0), []
    for _ in range(8):
        times.append(flight.timeout_s)
        flight.back_off()
    assert times == [1, 2, 4, 8, 16, 32, 60, MAX_TIMEOUT_S]


@pytest.mark.parametrize("epoch", [0, 1])
def test_record_numbers_never_wrap(epoch: int) -> None:
    ours = RecordWriter(
        most_content=100, first_sequence=MAX_SEQUENCE, protection=protection(), next_sequence=MAX_SEQUENCE
    )
    (record,) = records_of(ours.record(HANDSHAKE, epoch, b"last"), len(CID))
    assert (record.epoch, record.sequence) == (epoch, (1 << 48) - 1)
    for _ in range(2):
        with pytest.raises(OverflowError, match="used up"):
            ours.record(HANDSHAKE, epoch, b"too many")


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [(CCS, b"\1", True), (CCS, b"\2", False), (CCS, b"\1\1", False), (CCS, b"", False), (HANDSHAKE, b"\1", False)],
)
def test_what_a_change_cipher_spec_is(content_type: int, content: bytes, expected: bool) -> None:
    assert is_change_cipher_spec(content_type, content) is expected
