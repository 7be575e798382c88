"""Decoders in TBEL, ThingsBoard's expression language: translated to JavaScript, and run as that is."""

import re

from gateway.converters.javascript import JavaScriptDecoder
from gateway.converters.prelude import LINE_OFFSET
from gateway.converters.tbel.runtime import RUNTIME
from gateway.converters.tbel.translator import translate


class TbelDecoder(JavaScriptDecoder):
    """A compiled decoder; its limits are those of JavaScript, and its errors name the line and column of the TBEL."""

    __slots__ = ("_translation",)

    def __init__(self, source: str, *, time_limit_ms: int, memory_limit_bytes: int) -> None:
        """Raises ConverterError for a source that is not TBEL, or has what is not supported."""
        self._translation = translate(source)
        super().__init__(
            self._translation.javascript + RUNTIME, time_limit_ms=time_limit_ms, memory_limit_bytes=memory_limit_bytes
        )

    def _place(self, pattern: re.Pattern[str], stack: str) -> str:
        """The innermost place in the user's own text: what is in the runtime is passed over."""
        for match in pattern.finditer(stack):
            place = self._translation.places.at(int(match[1]) - LINE_OFFSET, int(match[2]))
            if place is not None:
                return f" (line {place[0]}, column {place[1]})"
        return ""
