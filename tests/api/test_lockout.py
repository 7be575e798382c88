"""Too many failed log-ins, of one user or from one address."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from gateway.api.lockout import Lockout, keys_of

ADA = keys_of("ada", "192.0.2.1")


def fail(lockout: Lockout, times: int, keys: tuple[str, str] = ADA, now_s: float = 0.0) -> None:
    """Log-ins that fail, none of them refused."""
    for _ in range(times):
        assert lockout.begin(keys, now_s) == 0


def test_as_many_failures_as_may_be_lock_nobody_out_and_one_more_try_is_refused() -> None:
    lockout = Lockout(3, 60)
    fail(lockout, 3)
    assert lockout.begin(ADA, 1.0) == 59


def test_the_lock_ends_after_its_time_and_all_is_forgotten() -> None:
    lockout = Lockout(3, 60)
    fail(lockout, 3)
    assert lockout.begin(ADA, 59.5) == 0.5
    fail(lockout, 3, now_s=60.0)
    assert lockout.begin(ADA, 60.0) == 60


def test_a_try_that_is_refused_makes_it_no_longer() -> None:
    lockout = Lockout(1, 60)
    fail(lockout, 1)
    assert [lockout.begin(ADA, now_s) for now_s in (10.0, 50.0)] == [50, 10]
    assert lockout.begin(ADA, 60.0) == 0


def test_a_success_forgets_the_failures() -> None:
    lockout = Lockout(3, 60)
    fail(lockout, 3)
    lockout.succeeded(ADA)
    fail(lockout, 3)
    assert lockout.begin(ADA, 0) > 0


def test_failures_that_lie_far_apart_lock_nobody_out() -> None:
    lockout = Lockout(2, 60)
    for number in range(10):
        fail(lockout, 1, now_s=60.0 * number)


def test_a_user_is_locked_out_whatever_the_address_and_an_address_whoever_the_user() -> None:
    lockout = Lockout(3, 60)
    for number in range(3):
        fail(lockout, 1, keys_of("ada", f"192.0.2.{number}"))
    assert lockout.begin(keys_of("ada", "198.51.100.1"), 0) > 0
    assert lockout.begin(keys_of("vic", "198.51.100.1"), 0) == 0
    for name in ("a", "b", "c"):
        fail(lockout, 1, keys_of(name, "203.0.113.1"))
    assert lockout.begin(keys_of("d", "203.0.113.1"), 0) > 0


def test_a_refused_try_counts_for_none_of_its_keys() -> None:
    lockout = Lockout(1, 60)
    fail(lockout, 1)
    assert lockout.begin(keys_of("ada", "198.51.100.1"), 0) > 0
    assert lockout.begin(keys_of("vic", "198.51.100.1"), 0) == 0


def test_a_user_called_as_an_address_is_not_the_address() -> None:
    assert not {*keys_of("192.0.2.1", "x")} & {*keys_of("y", "192.0.2.1")}


def test_addresses_of_one_ipv6_network_are_one_and_ipv4_is_ipv4_however_it_is_written() -> None:
    assert keys_of("a", "2001:db8:0:1::1") == keys_of("a", "2001:db8:0:1:ffff::2")
    assert keys_of("a", "2001:db8:0:1::1") != keys_of("a", "2001:db8:0:2::1")
    assert keys_of("a", "fe80::1%eth0") == keys_of("a", "fe80::2%eth0")
    assert keys_of("a", "::ffff:192.0.2.1") == keys_of("a", "192.0.2.1")
    assert keys_of("a", "") == keys_of("a", "")


def test_what_is_remembered_has_a_bound_and_the_oldest_goes() -> None:
    lockout = Lockout(1, 60, entries_max=4)
    for name in ("a", "b", "c"):
        fail(lockout, 1, keys_of(name, f"host {name}"))
    assert lockout.begin(keys_of("a", "elsewhere"), 0) == 0
    assert lockout.begin(keys_of("c", "elsewhere"), 0) > 0


def test_of_many_tries_at_once_no_more_slip_through() -> None:
    lockout = Lockout(10, 60)
    allowed: list[float] = []
    threads = [threading.Thread(target=lambda: allowed.append(lockout.begin(ADA, 0.0))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(allowed)[:11] == [0.0] * 10 + [60.0]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=60), st.integers(1, 4))
def test_in_no_span_of_the_lock_s_length_do_more_tries_of_one_user_pass_than_may(
    tries: list[tuple[int, int]], failures: int
) -> None:
    lockout = Lockout(failures, 60)
    now_s, passed = 0, [list[int]() for _ in range(3)]
    for user, later_s in tries:
        now_s += later_s
        if lockout.begin([f"user {user}"], now_s) == 0:
            passed[user].append(now_s)
    for times in passed:
        assert all(later - earlier >= 60 for earlier, later in zip(times, times[failures:], strict=False))
