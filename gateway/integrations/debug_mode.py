"""When an integration's uplinks leave debug events: ThingsBoard's debug settings."""

from typing import Final

from gateway.model import DebugMode, Integration

ALL_LASTS_MS: Final = 15 * 60 * 1000
"""How long `DebugMode.ALL` lasts, in milliseconds; as in ThingsBoard, so that it can't fill the disk."""


def end_of(mode: DebugMode, now_ms: int) -> int:
    """When a mode ends by itself that is switched on now, in milliseconds since 1970; 0 where it does not."""
    return now_ms + ALL_LASTS_MS if mode is DebugMode.ALL else 0


def mode_at(integration: Integration, now_ms: int) -> DebugMode:
    """The debug mode that is in force: where `ALL` has ended by itself, failures are still recorded.

    In ThingsBoard failures have a switch of their own, which outlasts the fifteen minutes too.
    """
    if integration.debug_mode is DebugMode.ALL and now_ms >= integration.debug_until_ms:
        return DebugMode.FAILURES
    return integration.debug_mode
