"""The server's own memory of sessions: bounded in number and in age."""

import pytest

from gateway.dtls.sessions import SessionCache
from gateway.dtls.tickets import TICKET_LIFETIME_S, Session

from .peers import PSK_CCM_8


def session(created_s: int = 1000) -> Session:
    return Session(PSK_CCM_8, bytes(48), True, None, created_s)


def test_a_session_is_found_by_its_id() -> None:
    cache, one = SessionCache(2), session()
    cache.put(b"one", one)
    assert cache.get(b"one", 1000.0) is one
    assert cache.get(b"other", 1000.0) is None


def test_the_one_that_was_not_asked_for_longest_goes_first() -> None:
    cache = SessionCache(2)
    cache.put(b"one", session())
    cache.put(b"two", session())
    assert cache.get(b"one", 1000.0)
    cache.put(b"three", session())
    assert len(cache) == 2
    assert [bool(cache.get(name, 1000.0)) for name in (b"one", b"two", b"three")] == [True, False, True]


@pytest.mark.parametrize("age_s", [-1, TICKET_LIFETIME_S])
def test_a_session_of_another_time_is_forgotten(age_s: int) -> None:
    cache = SessionCache(2)
    cache.put(b"one", session())
    assert cache.get(b"one", 1000.0 + TICKET_LIFETIME_S - 1)
    assert cache.get(b"one", 1000.0 + age_s) is None
    assert len(cache) == 0


def test_a_cache_of_none_keeps_none() -> None:
    cache = SessionCache(0)
    cache.put(b"one", session())
    assert len(cache) == 0
