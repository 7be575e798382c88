"""The short way of a datagram that is one new record: it gives just what the long one gives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dtls.association import Association
from gateway.dtls.codes import ContentType
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.record import HEADER_BYTES
from gateway.dtls.suites import SUITES, CipherSuite

from .certificates import NOW_S
from .pair import CLIENT, Pair
from .peers import certified_client, server_config

CIDS = (None, 0, 1, 8)


def pair_of(suite: CipherSuite, cid: int | None) -> Pair:
    config = server_config(connection_id_bytes=cid)
    return Pair(certified_client(suite, connection_id_bytes=0 if cid else cid), config).establish()


def record(pair: Pair, content: bytes, content_type: ContentType = ContentType.APPLICATION_DATA) -> bytes:
    return pair.client_association.seal(content_type, content)


def taken(server: Endpoint, datagram: bytes, address: bytes = CLIENT) -> list[bytes]:
    return [data for _, data in server.receive_datagrams([(datagram, address)], 1.0, NOW_S)]


@pytest.mark.parametrize("cid", CIDS)
@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_a_new_record_takes_it_where_the_nonce_is_in_the_record(suite: CipherSuite, cid: int | None) -> None:
    pair = pair_of(suite, cid)
    for content in (b"", b"x", bytes(1000)):
        content_of_short_way = pair.server_association.open_newest(record(pair, content))
        assert content_of_short_way == (content if suite.aead.explicit_nonce_bytes else None)


@pytest.mark.parametrize("cid", [None, 8])
def test_a_repeated_and_an_older_record_are_left_to_the_long_way(cid: int | None) -> None:
    pair = pair_of(SUITES[0xC0AE], cid)
    older, newer = record(pair, b"older"), record(pair, b"newer")
    association = pair.server_association
    assert association.open_newest(newer) == b"newer"
    assert association.open_newest(newer) is None
    assert association.open_newest(older) is None
    assert taken(pair.server, older) == [b"older"]
    assert taken(pair.server, older) == taken(pair.server, newer) == []


@pytest.mark.parametrize("cid", [None, 8])
def test_two_records_in_a_datagram_and_other_types_go_the_long_way(cid: int | None) -> None:
    pair = pair_of(SUITES[0xC0AE], cid)
    assert taken(pair.server, record(pair, b"one") + record(pair, b"two")) == [b"one", b"two"]
    assert taken(pair.server, record(pair, bytes((1, 90)), ContentType.ALERT)) == []
    assert taken(pair.server, record(pair, b"three")) == [b"three"]
    assert taken(pair.server, record(pair, bytes((2, 80)), ContentType.ALERT)) == []
    assert not pair.server.associations()


def test_padding_behind_the_content_goes_the_long_way() -> None:
    pair = pair_of(SUITES[0xC0AE], 8)
    writer = pair.client_association.writer
    assert writer.protection is not None
    number = writer.next_sequence
    # A record whose type byte is followed by zeros, as RFC 9146 §4 allows: sealed as one of type 0 with more content.
    datagram = writer.protection.seal(0, 1, number, b"padded" + bytes((ContentType.APPLICATION_DATA, 0, 0)))
    assert pair.server_association.open_newest(datagram) is None
    assert taken(pair.server, datagram) == [b"padded"]


@pytest.mark.parametrize("cid", [None, 8])
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_done_to_a_datagram_both_ways_give_the_same(cid: int | None, data: st.DataObject) -> None:
    pair = pair_of(SUITES[0xC0AE], cid)
    good = [record(pair, b"%d" % number) for number in range(3)]
    datagram = bytearray(data.draw(st.sampled_from((*good, good[0] + good[1]))))
    for _ in range(data.draw(st.integers(0, 3))):
        match data.draw(st.sampled_from(("flip", "cut", "add"))):
            case "flip" if datagram:
                place = data.draw(st.integers(0, min(len(datagram) - 1, HEADER_BYTES + 20)))
                datagram[place] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del datagram[data.draw(st.integers(0, len(datagram))) :]
            case _:
                datagram += data.draw(st.binary(max_size=30))
    key = bytes(32)
    state = pair.server.export_state(key, 0.0)
    short, long = Endpoint(pair.server._config), Endpoint(pair.server._config)
    for endpoint in (short, long):
        endpoint.import_state(state, key, 0.0)
    results = []
    open_newest = Association.open_newest
    for endpoint, way in ((short, open_newest), (long, lambda association, datagram: None)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Association, "open_newest", way)
            first = taken(endpoint, bytes(datagram), b"elsewhere")
        again = taken(endpoint, bytes(datagram), b"elsewhere")  # a replay gives nothing
        windows = [one.window.state() for one in endpoint.associations()]
        results.append((first, again, windows, [one.address for one in endpoint.associations()]))
    assert results[0] == results[1]
