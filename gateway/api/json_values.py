"""Values that a user's code or a device made, on their way out: as JSON in UTF-8 that everyone can read."""

import math

from gateway.model import JsonValue


def sound(value: JsonValue) -> JsonValue:
    """The value with what can't be held replaced: halves of surrogate pairs, infinity, integers beyond 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else "<integer beyond 64 bits>"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {sound(key): sound(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [sound(part) for part in value]
    return value
