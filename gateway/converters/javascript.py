"""Decoders in JavaScript, by ThingsBoard's contract: the source is the body of `decoder(payload, metadata)`.

Each decoder has a QuickJS runtime of its own, which has no input or output. A call has a limit of CPU time; the
runtime has a limit of memory. After a call that ran into a limit the runtime is thrown away: a new one takes 1 ms,
and what the call left half done in the old one is gone.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import orjson
from quickjs import Context, JSException

from gateway.converters import cbor
from gateway.converters.decoder import BoundDecoder, LimitError, ResultReader
from gateway.converters.diagnostics import brief
from gateway.converters.guards import (
    GUARDS,
    MAX_BIGINT_DIGITS,
    MAX_KEY_LIST,
    MAX_NORMALIZED_LENGTH,
    MAX_PATTERN_LENGTH,
    MAX_REPLACEMENT_STEPS,
    MAX_SEARCH_STEPS,
)
from gateway.converters.prelude import ERROR_MARK, LINE_OFFSET, MAX_ARRAY_LENGTH, MAX_RESULT_LENGTH, PRELUDE
from gateway.converters.results import reports_of
from gateway.errors import ConverterError
from gateway.model import DeviceReport, JsonValue

_Call: TypeAlias = Callable[[str, str], str | None]
"""(payload in hex, metadata as JSON) → an answer (see `prelude`), or None where there was no memory for one.

Raises JSException where the time limit is reached or memory ran out; the prelude catches all else.
"""

_FRAME: Final = re.compile(r"\(<input>:(\d{1,9}):(\d{1,9})\)")
_SYNTAX_ERROR_PLACE: Final = re.compile(r"\s*at <input>:(\d{1,9}):(\d{1,9})\n")
_LINE_END: Final = re.compile("\r\n|[\n\r\u2028\u2029]")

_INTERRUPTED: Final = "InternalError: interrupted"
"""The engine's error at the time limit."""
_OUT_OF_MEMORY: Final = "InternalError: out of memory"
"""The engine's error at the memory limit."""
_NULL: Final = "null"
"""What a decoder says that threw null. The engine does too, where memory does not even suffice for its error."""
_AT_THE_END: Final = " (at the end)"


class JavaScriptDecoder:
    """A compiled decoder with its runtime; belongs to one thread."""

    __slots__ = ("_call", "_memory_limit_bytes", "_source", "_time_limit_ms")

    def __init__(self, source: str, *, time_limit_ms: int, memory_limit_bytes: int) -> None:
        """Raises ConverterError for a source that is not the body of a function."""
        self._source = source
        self._time_limit_ms = time_limit_ms
        self._memory_limit_bytes = memory_limit_bytes
        self._call = self._compiled()

    def bind(self, metadata: Mapping[str, str], *, read: ResultReader = reports_of) -> BoundDecoder:
        """See `Decoder.bind`. The metadata is kept as JSON text: the engine parses it in 1 µs at each call."""
        metadata_json = json.dumps(dict(metadata))
        loads = orjson.loads

        def decode(payload: bytes, received_ms: int) -> list[DeviceReport]:
            try:
                answer = self._call(payload.hex(), metadata_json)
            except JSException as error:
                answer = _answer_instead(error)
            if not answer or answer[0] == ERROR_MARK:
                answer = self._second_answer(answer, payload, metadata_json)
            try:
                result = loads(answer)
            except orjson.JSONDecodeError:
                result = _parsed(answer)
            return read(result, received_ms)

        return decode

    def _second_answer(self, answer: str | None, payload: bytes, metadata_json: str) -> str:
        """Where memory ran out, the uplink has a second try in a new runtime.

        A decoder that keeps a little at each call, in globals or as promises, fills its memory one day, and that
        day's uplink is not to blame. Raises ConverterError for any other failure, and for a second one.
        """
        if _message(answer) in (_OUT_OF_MEMORY, _NULL):
            self._call = self._compiled()
            try:
                answer = self._call(payload.hex(), metadata_json)
            except JSException as error:
                answer = _answer_instead(error)
            if answer and answer[0] != ERROR_MARK:
                return answer
        if _message(answer) in (_INTERRUPTED, _OUT_OF_MEMORY, _NULL):
            self._call = self._compiled()
        raise self._failure(answer)

    def _compiled(self) -> _Call:
        try:
            self._source.encode()
        except UnicodeEncodeError:
            raise ConverterError("the source is not valid Unicode") from None
        context = Context()
        context.set_memory_limit(self._memory_limit_bytes)
        context.set_time_limit(self._time_limit_ms / 1000)
        try:
            prelude = context.eval(PRELUDE)
            compiler = prelude(ERROR_MARK, LINE_OFFSET, MAX_ARRAY_LENGTH, MAX_RESULT_LENGTH)
            context.set(
                "decodeCbor",
                context.eval(cbor.JAVASCRIPT)(cbor.MAX_LENGTH, cbor.MAX_DEPTH, cbor.MAX_BIGNUM_BYTES),
            )
            context.eval(GUARDS)(
                MAX_SEARCH_STEPS,
                MAX_NORMALIZED_LENGTH,
                MAX_PATTERN_LENGTH,
                MAX_BIGINT_DIGITS,
                MAX_REPLACEMENT_STEPS,
                MAX_KEY_LIST,
            )
            compiled: _Call | str = compiler(self._source)
        except JSException as error:
            compiled = _answer_instead(error)
        if isinstance(compiled, str):
            raise self._failure(compiled)
        return compiled

    # -- what went wrong, and where ----------------------------------------------------------------

    def _failure(self, answer: str | None) -> ConverterError:
        message, stack = _message_and_stack(answer)
        place = self._place(_FRAME, stack)
        if not place and message.startswith("SyntaxError"):
            place = self._place(_SYNTAX_ERROR_PLACE, stack)
            if place == _AT_THE_END:
                message = "SyntaxError: a bracket is not closed, or there is a } too many"
        memory_limit = f"{self._memory_limit_bytes / (1 << 20):g} MiB of memory"
        kind = LimitError if message in (_INTERRUPTED, _OUT_OF_MEMORY, _NULL) else ConverterError
        if message == _INTERRUPTED:
            message = f"the converter took longer than {self._time_limit_ms} ms"
        elif message == _OUT_OF_MEMORY:
            message = f"the converter needed more than {memory_limit}"
        elif message == _NULL:
            message = f"the converter threw null, or needed more than {memory_limit}"
        return kind((brief(message) or "the decoder threw an empty text") + place)

    def _place(self, pattern: re.Pattern[str], stack: str) -> str:
        """Where in the user's own text it was, as the end of a message; empty where it was not in there."""
        lines = _LINE_END.split(self._source)
        for match in pattern.finditer(stack):
            line = int(match[1]) - LINE_OFFSET
            if line > len(lines):
                return _AT_THE_END
            if line > 0:
                # The engine counts columns in bytes of UTF-8.
                before = lines[line - 1].encode()[: int(match[2]) - 1]
                return f" (line {line}, column {len(before.decode(errors='ignore')) + 1})"
        return ""


def _answer_instead(error: JSException) -> str:
    """The prelude lets nothing through but the time limit, and memory that does not suffice for its own work."""
    text = str(error)
    message = _INTERRUPTED if text.startswith(_INTERRUPTED) else _OUT_OF_MEMORY
    return ERROR_MARK + orjson.dumps([message, text]).decode()


def _message_and_stack(answer: str | None) -> tuple[str, str]:
    if not answer:
        return _OUT_OF_MEMORY, ""
    message, stack = orjson.loads(answer[1:])
    return message, stack


def _message(answer: str | None) -> str:
    return _message_and_stack(answer)[0]


def _parsed(answer: str) -> JsonValue:
    """The value of JSON text that orjson refuses: for half surrogate pairs, or because it is nested too deeply."""
    try:
        return json.loads(answer)
    except RecursionError:
        raise ConverterError("the result is nested too deeply") from None
