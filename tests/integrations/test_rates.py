"""Rate limits, on a clock that the test sets."""

import pytest

from gateway.errors import RateLimitedError
from gateway.integrations.rates import TRACKED_NAMES, RateLimiter
from gateway.model import Code, DeviceReport
from gateway.settings import parse_rate_limits


def reports(*names: str) -> list[DeviceReport]:
    return [DeviceReport("device", name, "default", None, None, {}, []) for name in names]


class Limited:
    """A limiter with its clock; times are in fractions that floats hold exactly."""

    def __init__(self, *, integration: str = "", device: str = "") -> None:
        self.now_s = 64.0
        self.limiter = RateLimiter(
            per_integration=parse_rate_limits(integration),
            per_device=parse_rate_limits(device),
            clock=lambda: self.now_s,
        )

    def taken(self, name: str = "a", *, tries: int = 1) -> int:
        """How many of an integration's uplinks get through."""
        return sum(self.wait_s(name) == 0 for _ in range(tries))

    def wait_s(self, name: str = "a") -> int:
        """0 where an integration's uplink gets through, otherwise the Max-Age that it is refused with."""
        try:
            self.limiter.admit_integration(name)
        except RateLimitedError as error:
            assert error.outcome.code is Code.TOO_MANY_REQUESTS
            assert name in error.message
            assert error.max_age_s
            return error.max_age_s
        return 0

    def admits(self, *names: str) -> bool:
        """Whether an uplink with reports of these devices gets through."""
        try:
            self.limiter.admit_devices(reports(*names))
        except RateLimitedError:
            return False
        return True


def test_without_limits_everything_gets_through() -> None:
    limited = Limited()
    assert not limited.limiter.active
    assert limited.taken(tries=1000) == 1000
    assert all(limited.admits("d") for _ in range(1000))


@pytest.mark.parametrize("kind", ["integration", "device"])
def test_one_limit_makes_a_limiter_active(kind: str) -> None:
    assert Limited(**{kind: "1:1"}).limiter.active


@pytest.mark.parametrize(("tries", "taken"), [(7, 7), (8, 8), (9, 8), (100, 8)])
def test_a_burst_up_to_the_count_gets_through(tries: int, taken: int) -> None:
    assert Limited(integration="8:1").taken(tries=tries) == taken


def test_tokens_come_back_evenly_and_no_more_than_the_count() -> None:
    limited = Limited(integration="8:2")
    limited.taken(tries=8)
    limited.now_s += 0.125
    assert limited.taken() == 0
    limited.now_s += 0.125
    assert limited.taken(tries=2) == 1
    limited.now_s += 1.0
    assert limited.taken(tries=9) == 4
    limited.now_s += 1000.0
    assert limited.taken(tries=20) == 8


@pytest.mark.parametrize(("limits", "wait_s"), [("1:1", 1), ("1:60", 60), ("4:1", 1), ("2:5", 3), ("1:1,1:300", 300)])
def test_a_refusal_says_when_it_is_worth_trying_again(limits: str, wait_s: int) -> None:
    limited = Limited(integration=limits)
    limited.taken(tries=10)
    assert limited.wait_s() == wait_s
    limited.now_s += wait_s
    assert limited.taken() == 1


def test_all_limits_hold_at_once_and_a_refusal_costs_no_token() -> None:
    limited = Limited(integration="4:1,6:64")
    assert limited.taken(tries=10) == 4
    limited.now_s += 1.0
    assert limited.taken(tries=10) == 2
    limited.now_s += 1.0
    assert limited.taken(tries=10) == 0
    limited.now_s += 64.0
    assert limited.taken(tries=10) == 4


def test_each_name_has_its_own_tokens() -> None:
    limited = Limited(integration="1:1", device="1:1")
    assert [limited.taken(name) for name in "abcab"] == [1, 1, 1, 0, 0]
    # A device may have an integration's name.
    assert limited.admits("a")


def test_a_device_counts_once_for_each_uplink() -> None:
    limited = Limited(device="2:1")
    assert limited.admits("d", "d", "d")
    assert limited.admits("d")
    assert not limited.admits("d")


def test_an_uplink_is_refused_for_any_of_its_devices() -> None:
    limited = Limited(device="1:1")
    assert limited.admits("busy")
    assert not limited.admits("quiet", "busy")
    assert limited.admits("other")


def test_an_uplink_without_reports_is_never_refused() -> None:
    limited = Limited(device="1:1")
    assert all(limited.admits() for _ in range(5))


def test_names_are_bounded_and_the_quietest_is_forgotten() -> None:
    limited = Limited(integration="1:1000000")
    assert limited.taken("first") == 1
    for number in range(TRACKED_NAMES - 1):
        limited.taken(str(number))
    assert limited.taken("first") == 0  # still known, and now the one that came last
    limited.taken("one more")
    assert limited.taken("first") == 0
    assert limited.taken("0") == 1
