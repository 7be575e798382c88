"""What the tests of converters share."""

from collections.abc import Mapping

from gateway.converters import BoundDecoder, compile_converter
from gateway.model import Converter, DeviceReport, Language

RECEIVED_MS = 1_700_000_000_000

TUTORIAL_TEXT = b"SN-001,default,temperature,25.7,humidity,69\n"
TUTORIAL_JSON = b'{"deviceName": "SN-001", "deviceType": "default", "temperature": 25.7, "humidity": 69}'
TUTORIAL_BINARY = bytes.fromhex("534e2d30303164656661756c7432352e373639")

TUTORIAL_REPORT = DeviceReport(
    "device", "SN-001", "default", None, None, {}, [(RECEIVED_MS, {"temperature": 25.7, "humidity": 69})]
)


def bound(
    language: Language,
    source: str,
    metadata: Mapping[str, str] | None = None,
    *,
    time_limit_ms: int = 100,
    memory_limit_bytes: int = 16 << 20,
) -> BoundDecoder:
    """A decoder of this source, with the limits that are the default, bound to metadata."""
    converter = Converter("demo", language, source)
    decoder = compile_converter(converter, time_limit_ms=time_limit_ms, memory_limit_bytes=memory_limit_bytes)
    return decoder.bind(metadata or {})


def javascript(source: str, metadata: Mapping[str, str] | None = None, **limits: int) -> BoundDecoder:
    """A decoder in JavaScript."""
    return bound(Language.JAVASCRIPT, source, metadata, **limits)


def python(source: str, metadata: Mapping[str, str] | None = None) -> BoundDecoder:
    """A decoder in Python."""
    return bound(Language.PYTHON, source, metadata)


def tbel(source: str, metadata: Mapping[str, str] | None = None, **limits: int) -> BoundDecoder:
    """A decoder in TBEL."""
    return bound(Language.TBEL, source, metadata, **limits)
