"""Times, durations, sizes and counts in words."""

import math
import time
from datetime import UTC, datetime, tzinfo
from typing import Final

_STEPS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def moment(ts_ms: float | None, zone: tzinfo = UTC) -> str:
    """A time in milliseconds since 1970, to the second, where the browser is (`Session.zone`)."""
    return "–" if ts_ms is None else f"{datetime.fromtimestamp(ts_ms / 1000, zone):%Y-%m-%d %H:%M:%S}"


def exact(ts_ms: float, zone: tzinfo = UTC) -> str:
    """A time of day in milliseconds since 1970, to the millisecond."""
    return f"{datetime.fromtimestamp(ts_ms / 1000, zone):%H:%M:%S.%f}"[:-3]


def day(ts_ms: float | None, zone: tzinfo = UTC) -> str:
    """The day of a time in milliseconds since 1970."""
    return "–" if ts_ms is None else f"{datetime.fromtimestamp(ts_ms / 1000, zone):%Y-%m-%d}"


def ago(ts_ms: float | None, now_ms: float | None = None) -> str:
    """How long ago, or in how long."""
    if ts_ms is None:
        return "never"
    past_s = ((time.time() * 1000 if now_ms is None else now_ms) - ts_ms) / 1000
    if abs(past_s) < 1:
        return "now"
    return f"{span(past_s)} ago" if past_s > 0 else f"in {span(-past_s)}"


def span(seconds: float) -> str:
    """A duration, to two units: `3 d 4 h`."""
    for place, (length_s, unit) in enumerate(_STEPS):
        if seconds >= length_s:
            whole = int(seconds // length_s)
            rest = _STEPS[place + 1 : place + 2]
            more = int((seconds - whole * length_s) // rest[0][0]) if rest and whole < 100 else 0
            return f"{whole} {unit} {more} {rest[0][1]}" if more else f"{whole} {unit}"
    return "0 s" if seconds <= 0 else "< 1 s"


def millis(ms: float | None) -> str:
    """A short duration in milliseconds."""
    if ms is None:
        return "–"
    if ms >= 1000:
        return f"{ms / 1000:.1f} s"
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.0f} ms"


def size(amount: float) -> str:
    """So many bytes."""
    place = min(int(math.log2(amount) // 10), len(_SIZES) - 1) if amount >= 1 else 0
    value = amount / 1024**place
    written = f"{value:.0f}" if place == 0 or value >= 100 else f"{value:.1f}"
    return f"{written}\N{NO-BREAK SPACE}{_SIZES[place]}"


def count(number: float | None) -> str:
    """A number of things, in groups of three digits."""
    return "–" if number is None else f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def rate(per_s: float | None) -> str:
    """So many in a second."""
    if per_s is None:
        return "–"
    return count(per_s) if per_s >= 100 else f"{per_s:.1f}" if per_s else "0"
