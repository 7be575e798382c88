"""Decoders in Python: a module with a function `decode(payload: bytes, metadata: dict[str, str])`.

This is trusted code: it runs in the gateway's process with the gateway's rights, and without limits. A call that takes
longer than the budget delays all devices of its worker; it can't be stopped, so it is reported. The module is run once;
what it keeps in its globals stays from one call to the next.
"""

import inspect
import math
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.converters.cbor import decode_cbor
from gateway.converters.decoder import BoundDecoder, ResultReader
from gateway.converters.diagnostics import brief
from gateway.converters.results import reports_of
from gateway.errors import ConverterError
from gateway.model import DeviceReport, JsonValue

_Decode: TypeAlias = Callable[[bytes, dict[str, str]], JsonValue]

_RAISED: Final = (Exception, SystemExit, KeyboardInterrupt, GeneratorExit)
"""Whatever the user's code raises. One that asks for an exit, or pretends to be Ctrl-C, must not stop the worker: the
operator's Ctrl-C reaches workers as a signal to the supervisor."""

_HINT: Final = "write a function decode(payload, metadata) that returns the result"


class PythonDecoder:
    """A converter's module, run, with its `decode`."""

    __slots__ = ("_budget_s", "_decode", "_filename", "_report")

    def __init__(self, name: str, source: str) -> None:
        """Raises ConverterError where the source can't be compiled, fails when it is run, or has no `decode`."""
        self._filename = f"<converter {name}>"
        # A name under which there is a module: dataclasses look theirs up.
        namespace: dict[str, Any] = {"__name__": __name__, "decodeCbor": decode_cbor}
        try:
            exec(compile(source, self._filename, "exec", dont_inherit=True), namespace)
        except _RAISED as error:
            raise self._failure(error) from error
        self._decode = _checked(namespace.get("decode"))
        self._budget_s = math.inf
        self._report: Callable[[float], None] = _ignore

    def watch(self, budget_s: float, report: Callable[[float], None]) -> None:
        """Report calls that take longer than the budget, with their time in seconds. Holds for bindings made later."""
        self._budget_s, self._report = budget_s, report

    def bind(self, metadata: Mapping[str, str], *, read: ResultReader = reports_of) -> BoundDecoder:
        """See `Decoder.bind`."""
        copy_of_metadata = dict(metadata).copy
        decode_payload = self._decode
        budget_s, report, clock_s = self._budget_s, self._report, time.perf_counter

        def decode(payload: bytes, received_ms: int) -> list[DeviceReport]:
            begun_s = clock_s()
            try:
                result = decode_payload(payload, copy_of_metadata())
            except _RAISED as error:
                if clock_s() - begun_s > budget_s:
                    report(clock_s() - begun_s)
                raise self._failure(error) from error
            if clock_s() - begun_s > budget_s:
                report(clock_s() - begun_s)
            return read(result, received_ms)

        return decode

    def _failure(self, error: BaseException) -> ConverterError:
        """What the user's code raised, and the innermost line of it that had a part in that."""
        if isinstance(error, SyntaxError) and error.filename == self._filename:
            column = f", column {error.offset}" if error.offset else ""
            return ConverterError(f"{brief(f'{type(error).__name__}: {error.msg}')} (line {error.lineno}{column})")
        line = None
        for frame, frame_line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename == self._filename:
                line = frame_line
        # str() of the summary, not of the error: an error whose own __str__ fails has a text too.
        text = str(traceback.TracebackException(type(error), error, None))
        message = brief(f"{type(error).__name__}: {text}" if text else type(error).__name__)
        return ConverterError(message if line is None else f"{message} (line {line})")


def _ignore(taken_s: float) -> None:
    """What happens to slow calls that nobody watches for."""


def _checked(decode: object) -> _Decode:
    if decode is None:
        raise ConverterError("there is no function named decode", hint=_HINT)
    if not callable(decode):
        raise ConverterError(f"decode is of type {type(decode).__name__}, not a function", hint=_HINT)
    if inspect.iscoroutinefunction(decode) or inspect.isgeneratorfunction(decode) or inspect.isasyncgenfunction(decode):
        raise ConverterError("decode must return its result itself, without async or yield", hint=_HINT)
    try:
        inspect.signature(decode).bind(b"", {})
    except TypeError:
        raise ConverterError("decode must take two arguments, payload and metadata", hint=_HINT) from None
    except ValueError:
        pass  # a callable written in C need not have a signature
    return decode
