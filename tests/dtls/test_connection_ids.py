"""Connection IDs that tell which of several endpoints on one port they are of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.connection_ids import TRIES, new_connection_id, shard_of, shard_of_datagram
from gateway.dtls.record import record_header

from .pair import Pair
from .peers import PSK_CCM_8, client_config, server_config


def nobody(cid: bytes) -> bool:
    return False


@given(st.integers(1, 256).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))), st.integers(1, 255))
def test_a_connection_id_is_of_the_length_asked_for_and_tells_whose_it_is(place: tuple[int, int], length: int) -> None:
    shard, shards = place
    cid = new_connection_id(length, shard=shard, shards=shards, is_taken=nobody)
    assert len(cid) == length
    assert shard_of(cid, shards) == shard


def test_they_are_random_in_every_byte() -> None:
    made = [new_connection_id(4, shard=1, shards=2, is_taken=nobody) for _ in range(10_000)]
    for place in range(4):
        assert len({cid[place] for cid in made}) == (128 if place == 0 else 256)


@pytest.mark.parametrize(("free_at", "found"), [(TRIES, True), (TRIES + 1, False)])
def test_where_all_that_were_tried_are_in_use_there_is_none(free_at: int, found: bool) -> None:
    tried: list[bytes] = []

    def is_taken(cid: bytes) -> bool:
        tried.append(cid)
        return len(tried) < free_at

    assert bool(new_connection_id(8, shard=0, shards=1, is_taken=is_taken)) is found


def test_no_length_is_no_connection_id() -> None:
    assert new_connection_id(0, shard=0, shards=1, is_taken=nobody) == b""


@pytest.mark.parametrize(
    ("datagram", "shard"),
    [
        (record_header(25, 1, 7, 5, bytes((9, 1, 1, 1))) + b"12345", 1),
        (record_header(25, 1, 7, 5, bytes((8, 1, 1, 1))) + b"12345", 0),
        (record_header(23, 1, 7, 5) + b"12345", None),
        (record_header(22, 0, 7, 40) + bytes(40), None),
        (record_header(25, 1, 7, 0, bytes((9, 1, 1, 1))), 1),
        (record_header(25, 1, 7, 0, bytes((9, 1, 1, 1)))[:-1], None),
        (b"\x19", None),
        (b"", None),
    ],
)
def test_a_datagram_tells_by_its_first_record_where_it_belongs(datagram: bytes, shard: int | None) -> None:
    assert shard_of_datagram(datagram, 4, 2) == shard


def test_without_connection_ids_no_datagram_tells() -> None:
    assert shard_of_datagram(record_header(25, 1, 7, 5) + b"12345", 0, 2) is None


@given(st.binary(max_size=40), st.integers(0, 20), st.integers(1, 256))
def test_whatever_comes_it_is_a_shard_or_none(datagram: bytes, length: int, shards: int) -> None:
    assert shard_of_datagram(datagram, length, shards) in (None, *range(shards))


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_the_records_of_a_client_tell_which_endpoint_it_is_with(shard: int) -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config(shard=shard, shards=3)).establish()
    pair.client.send(pair.client_association, b"hello")
    ((datagram, _),) = pair.client.datagrams_to_send()
    assert shard_of_datagram(datagram, 8, 3) == shard


def test_each_association_has_a_handle_of_its_own() -> None:
    pairs = [Pair(client_config(PSK_CCM_8), server_config()).establish() for _ in range(3)]
    assert len({one.handle for pair in pairs for one in (pair.client_association, pair.server_association)}) == 6
