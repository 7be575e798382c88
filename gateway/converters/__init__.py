"""Uplink converters: a device's payload in, device reports out (ThingsBoard's "uplink data converter")."""

from gateway.converters.decoder import BoundDecoder, Decoder
from gateway.model import Converter, Language

__all__ = ["BoundDecoder", "Decoder", "compile_converter"]


def compile_converter(converter: Converter, *, time_limit_ms: int, memory_limit_bytes: int) -> Decoder:
    """Compile a converter for this process.

    The limits hold for JavaScript and TBEL: CPU time of one call in milliseconds, memory of its context in bytes.
    Python converters are trusted code and run without.

    Raises ConverterError, with line and column in the user's own text, where the source can't be compiled.
    """
    # Each language is imported by the first converter that is written in it: the JavaScript engine's package starts
    # a thread as it is imported.
    match converter.language:
        case Language.JAVASCRIPT:
            from gateway.converters.javascript import JavaScriptDecoder

            return JavaScriptDecoder(
                converter.source, time_limit_ms=time_limit_ms, memory_limit_bytes=memory_limit_bytes
            )
        case Language.PYTHON:
            from gateway.converters.python import PythonDecoder

            return PythonDecoder(converter.name, converter.source)
        case Language.TBEL:
            from gateway.converters.tbel import TbelDecoder

            return TbelDecoder(converter.source, time_limit_ms=time_limit_ms, memory_limit_bytes=memory_limit_bytes)
