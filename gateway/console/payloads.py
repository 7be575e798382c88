"""Payloads, readable: as what they are, as text, as hex."""

import json
from typing import Final

from nicegui import ui

from gateway.console.times import size
from gateway.console.widgets import Text, code_block, text
from gateway.model import JsonValue

SHOWN_BYTES_MAX: Final = 16 << 10
"""Most bytes of a payload that are shown."""

SHOWN_CHARACTERS_MAX: Final = 64 << 10
"""Most characters of a text that are shown."""

_TITLES: Final = {"json": "JSON", "cbor": "CBOR", "text": "Text", "hex": "Hex"}
_LINE: Final = 16


def show_payload(format: str, shown: str, payload_hex: str, bytes_in_all: int | None = None) -> None:
    """A payload, in the API's words for it; `bytes_in_all` where `payload_hex` may be its beginning."""
    payload = bytes.fromhex(payload_hex)
    views = {format: pretty(shown) if format == "json" else shown}
    views.setdefault("text", as_text(payload))
    views["hex"] = hex_lines(payload[:SHOWN_BYTES_MAX])
    with ui.element("div").classes("bar"):
        Text("h3", "In")
        total = len(payload) if bytes_in_all is None else bytes_in_all
        text(size(total), "muted small")
        ui.element("div").classes("space")
        chosen = ui.toggle({name: _TITLES[name] for name in views}, value=format).props("dense unelevated no-caps")
    content = code_block(cut(views[format]))
    chosen.on_value_change(lambda event: content.set_text(cut(views[event.value])))
    if total > len(payload) or len(payload) > SHOWN_BYTES_MAX:
        text("Its beginning is shown.", "muted small")


def show_pairs(title: str, pairs: dict[str, str]) -> None:
    """Names and values, such as metadata."""
    Text("h3", title)
    if not pairs:
        text("none", "muted")
        return
    with ui.element("table").classes("plain pairs-table"), ui.element("tbody"):
        for name, value in pairs.items():
            with ui.element("tr"):
                Text("td", name).classes("muted")
                Text("td", value or "–").classes("mono")


def pretty(written: str) -> str:
    """JSON text over several lines; as it is where it is none, because it was cut, say, or holds half a character."""
    try:
        spread = json.dumps(json.loads(written), indent=2, ensure_ascii=False)
        spread.encode()
        return spread
    except (ValueError, RecursionError):
        return written


def written(value: JsonValue) -> str:
    """A value in JSON, a text as it is."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_text(payload: bytes) -> str:
    """Bytes as text, whatever is none in them as a middle dot."""
    told = payload[:SHOWN_BYTES_MAX].decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c in "\r\n\t" else "·" for c in told)


def hex_lines(payload: bytes) -> str:
    """Bytes in hex, 16 a line, each with its place in front and what is ASCII behind."""
    lines = []
    for start in range(0, len(payload), _LINE):
        part = payload[start : start + _LINE]
        plain = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in part)
        lines.append(f"{start:04x}  {part.hex(' '):{3 * _LINE - 1}}  {plain}")
    return "\n".join(lines)


def cut(told: str, most: int = SHOWN_CHARACTERS_MAX) -> str:
    """A text's beginning where it is very long."""
    return told if len(told) <= most else f"{told[:most]} …"
