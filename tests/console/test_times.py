"""Times, durations, sizes and counts in words."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from gateway.console.times import ago, count, day, exact, millis, moment, rate, size, span

TS_MS = 1_790_000_000_123


def test_a_moment_is_told_where_the_browser_is() -> None:
    assert moment(TS_MS, UTC) == "2026-09-21 14:13:20"
    assert moment(TS_MS, ZoneInfo("Europe/Berlin")) == "2026-09-21 16:13:20"
    assert exact(TS_MS) == "14:13:20.123"
    assert day(TS_MS) == "2026-09-21"
    assert moment(None) == day(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (0.4, "< 1 s"),
        (1, "1 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h"),
        (7260, "2 h 1 min"),
        (86_400, "1 d"),
        (99 * 86_400 + 3600, "99 d 1 h"),
        (100 * 86_400 + 3600, "100 d"),
    ],
)
def test_a_duration_has_two_units_at_the_most(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_what_was_is_ago_and_what_comes_is_in() -> None:
    assert ago(TS_MS, TS_MS + 61_000) == "1 min 1 s ago"
    assert ago(TS_MS + 61_000, TS_MS) == "in 1 min 1 s"
    assert ago(TS_MS, TS_MS + 999) == "now"
    assert ago(None) == "never"


@pytest.mark.parametrize(
    ("bytes_", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (150 * 1024, "150 KiB"),
        (1 << 30, "1.0 GiB"),
        (1 << 60, "1048576 TiB"),
    ],
)
def test_bytes_have_their_unit(bytes_: int, words: str) -> None:
    assert size(bytes_) == words.replace(" ", "\N{NO-BREAK SPACE}")  # never at the end of a line


def test_numbers_are_short() -> None:
    assert count(1_234_567).replace("\N{NARROW NO-BREAK SPACE}", " ") == "1 234 567"
    assert (rate(0), rate(0.04), rate(12.34), rate(99.96), rate(1234)) == ("0", "0.0", "12.3", "100.0", count(1234))
    assert (millis(0.123), millis(12.3), millis(1500), millis(None)) == ("0.12 ms", "12 ms", "1.5 s", "–")
    assert count(None) == rate(None) == "–"
