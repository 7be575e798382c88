"""What the message layer remembers."""

import pytest

from gateway.coap.exchanges import EXCHANGE_LIFETIME_S, UNANSWERED, Exchanges
from gateway.metrics import DEDUP_EVICTED_TOTAL, Metrics

KEY = b"peer\x00\x01"


def exchanges(max_entries: int = 1000) -> Exchanges:
    """A memory whose clock stands at 5,000 s."""
    made = Exchanges(max_entries=max_entries, metrics=Metrics())
    made.advance(5000.0)
    return made


def remembers(memory: Exchanges, key: bytes = KEY) -> bool:
    return memory.recall(key) is not None


def keys(count: int, start: int = 0) -> list[bytes]:
    return [b"peer" + number.to_bytes(4, "big") for number in range(start, start + count)]


@pytest.mark.parametrize("arrival_s", [5000.0, 5000.5, 5123.0, 5246.9])
def test_a_message_is_remembered_for_its_lifetime(arrival_s: float) -> None:
    memory = exchanges()
    memory.advance(arrival_s)
    memory.answer(KEY, b"answer")
    now_s = arrival_s
    while now_s < arrival_s + EXCHANGE_LIFETIME_S:
        memory.advance(now_s)
        assert remembers(memory)
        now_s += 0.5


@pytest.mark.parametrize("arrival_s", [5000.0, 5123.0, 5246.9])
def test_a_message_is_forgotten_with_its_lifetime_since_its_id_may_be_used_again(arrival_s: float) -> None:
    memory = exchanges()
    memory.advance(arrival_s)
    memory.answer(KEY, b"answer")
    memory.advance(arrival_s + EXCHANGE_LIFETIME_S)
    assert remembers(memory)
    memory.advance(arrival_s + EXCHANGE_LIFETIME_S + 2)
    assert not remembers(memory)
    memory.answer(KEY, b"another")
    assert memory.recall(KEY) == b"another"


def test_a_message_is_forgotten_although_nothing_came_in_between() -> None:
    memory = exchanges()
    memory.answer(KEY, b"answer")
    memory.advance(5000.0 + 2 * EXCHANGE_LIFETIME_S)
    assert not remembers(memory)


def test_a_message_after_a_pause_is_remembered_for_its_lifetime() -> None:
    memory = exchanges()
    memory.advance(9000.0)
    memory.answer(KEY, b"answer")
    memory.advance(9000.0 + EXCHANGE_LIFETIME_S - 0.1)
    assert remembers(memory)


def test_below_the_bound_nothing_is_evicted() -> None:
    memory = exchanges(max_entries=20)
    for key in keys(9):
        memory.answer(key, UNANSWERED)
    memory.advance(5001.0)
    assert len(memory.younger) == 9
    assert not memory.older


def test_at_half_the_bound_the_halves_take_turns() -> None:
    memory = exchanges(max_entries=20)
    for key in keys(10):
        memory.answer(key, UNANSWERED)
    memory.advance(5001.0)
    assert not memory.younger
    assert all(remembers(memory, key) for key in keys(10))
    assert len(memory) == 10


def test_above_the_bound_the_oldest_go_and_are_counted() -> None:
    metrics = Metrics()
    memory = Exchanges(max_entries=20, metrics=metrics)
    memory.advance(5000.0)
    for batch in range(3):
        for key in keys(10, start=10 * batch):
            memory.answer(key, UNANSWERED)
        assert len(memory) <= 20
        memory.advance(5001.0)
        assert all(remembers(memory, key) for key in keys(10, start=10 * batch))
        assert metrics.counters[(DEDUP_EVICTED_TOTAL,)] == 10 * batch
    assert not any(remembers(memory, key) for key in keys(20))


def test_forgetting_in_time_is_not_counted_as_eviction() -> None:
    metrics = Metrics()
    memory = Exchanges(max_entries=20, metrics=metrics)
    memory.advance(5000.0)
    memory.answer(KEY, UNANSWERED)
    for lifetimes in (1, 2, 3):
        memory.advance(5000.0 + lifetimes * EXCHANGE_LIFETIME_S)
    assert not remembers(memory)
    assert (DEDUP_EVICTED_TOTAL,) not in metrics.counters


def test_the_answer_to_an_older_message_is_remembered_with_the_younger_ones() -> None:
    memory = exchanges()
    memory.answer(KEY, UNANSWERED)
    memory.advance(5000.0 + EXCHANGE_LIFETIME_S)
    assert KEY in memory.older
    memory.answer(KEY, b"answer")
    assert memory.recall(KEY) == b"answer"
    memory.advance(5000.0 + 2 * EXCHANGE_LIFETIME_S)
    assert remembers(memory)
    memory.advance(5000.0 + 3 * EXCHANGE_LIFETIME_S)
    assert not remembers(memory)


def test_the_answer_to_a_message_that_was_evicted_is_remembered_anew() -> None:
    memory = exchanges()
    memory.answer(KEY, b"answer")
    assert memory.recall(KEY) == b"answer"


def test_responses_have_message_ids_that_differ_as_the_requests_do() -> None:
    memory = exchanges()
    requests = [number.to_bytes(2, "big") for number in range(0x10000)]
    responses = [memory.own_mid(mid) for mid in requests]
    assert len(set(responses)) == 0x10000
    assert all(response != request for response, request in zip(responses, requests, strict=True))
