"""What the supervisor's child processes have in common."""

import asyncio
import time

import pytest

from gateway import children
from gateway.children import STEADY_S, Restarts, ending


async def waits_s(restarts: Restarts, lived_s: float) -> float:
    """How long it waits after a life of that length."""
    begin_s = time.monotonic()
    await restarts.wait(lived_s, asyncio.Event())
    return time.monotonic() - begin_s


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "RESTART_PAUSE_S", 0.1)


def test_what_lived_short_is_started_again_at_once_and_then_after_pauses_that_grow_to_a_bound() -> None:
    async def scenario() -> list[float]:
        restarts = Restarts(0.2)
        return [await waits_s(restarts, 0.0) for _ in range(4)]

    first, *others = asyncio.run(scenario())
    assert first < 0.05
    assert others[0] >= 0.1
    assert others[1] >= 0.2
    assert 0.2 <= others[2] < 0.4


def test_a_steady_life_makes_up_for_it() -> None:
    async def scenario() -> list[float]:
        restarts = Restarts(0.2)
        return [await waits_s(restarts, lived_s) for lived_s in (0.0, STEADY_S, 0.0)]

    assert max(asyncio.run(scenario())) < 0.05


def test_what_could_not_be_started_waits_in_any_case() -> None:
    async def scenario() -> float:
        restarts = Restarts(0.2)
        restarts.slow_down()
        return await waits_s(restarts, 0.0)

    assert asyncio.run(scenario()) >= 0.1


def test_the_end_of_all_ends_a_pause() -> None:
    async def scenario() -> float:
        restarts, stopping = Restarts(60), asyncio.Event()
        restarts.slow_down()
        stopping.set()
        begin_s = time.monotonic()
        await restarts.wait(0.0, stopping)
        return time.monotonic() - begin_s

    assert asyncio.run(scenario()) < 0.05


def test_an_end_is_told_in_words() -> None:
    assert [ending(code) for code in (0, 78, -9)] == ["exit code 0", "exit code 78", "signal SIGKILL"]
