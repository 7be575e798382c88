"""How a payload is shown to people: by its content, as JSON, text, CBOR or hex."""

import json
from typing import Final, Literal, NamedTuple

CBOR_FORMAT: Final = "60"
"""The Content-Format of application/cbor (RFC 8949 §9.5), as metadata has it."""


class PayloadView(NamedTuple):
    """A payload in words."""

    format: Literal["json", "text", "cbor", "hex"]
    text: str


def view_payload(payload: bytes, content_format: str = "") -> PayloadView:
    """What a payload seems to be. Its Content-Format decides only where it says CBOR: devices often send none or a
    wrong one.
    """
    if content_format == CBOR_FORMAT and (shown := _cbor(payload)) is not None:
        return PayloadView("cbor", shown)
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        text = ""
    if text and all(c.isprintable() or c in "\r\n\t" for c in text):
        return PayloadView("json" if _is_json(text) else "text", text.strip("\r\n"))
    # Any bytes may happen to be a CBOR number or text; a whole array or map seldom is one by chance.
    if payload and payload[0] >> 5 in (4, 5) and len(payload) > 1 and (shown := _cbor(payload)) is not None:
        return PayloadView("cbor", shown)
    return PayloadView("hex", payload.hex(" "))


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _cbor(payload: bytes) -> str | None:
    from gateway.converters.cbor import CborError, decode_cbor

    try:
        return _diagnostic(decode_cbor(payload))
    except CborError:
        return None


def _diagnostic(value: object) -> str:
    """A CBOR item in diagnostic notation (RFC 8949 §8), without its tags."""
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_diagnostic(key)}: {_diagnostic(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_diagnostic, value)) + "]"
    return json.dumps(value, ensure_ascii=False, default=str)
