"""Payloads in words: by their content."""

import json

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.presentation.payload_view import CBOR_FORMAT, PayloadView, view_payload


@pytest.mark.parametrize(
    ("payload", "format", "text"),
    [
        (b'{"t": 21}', "json", '{"t": 21}'),
        (b"[1]\n", "json", "[1]"),
        (b"21", "text", "21"),
        (b"SN-001,t,25.7\n", "text", "SN-001,t,25.7"),
        ("Bärlin".encode(), "text", "Bärlin"),
        (b"{", "text", "{"),
        (b"[" * 100_000, "text", "[" * 100_000),
        (cbor2.dumps({"t": 21.5, 1: b"\x01\xff"}), "cbor", """{"t": 21.5, 1: h'01ff'}"""),
        (cbor2.dumps({"l": [True, None, "ä"]}), "cbor", '{"l": [true, null, "ä"]}'),
        (cbor2.dumps([1, 2]), "cbor", "[1, 2]"),
        (cbor2.dumps({"t": 1}) + b"\x00", "hex", "a1 61 74 01 00"),
        (b"\x80", "hex", "80"),
        (b"\x00\xff", "hex", "00 ff"),
        (b"a\x1b[2J", "hex", "61 1b 5b 32 4a"),
        (b"", "hex", ""),
    ],
)
def test_a_payload_is_shown_as_what_it_is(payload: bytes, format: str, text: str) -> None:
    assert view_payload(payload) == PayloadView(format, text)  # type: ignore[arg-type]


def test_a_content_format_decides_what_the_content_leaves_open() -> None:
    number = cbor2.dumps("text")
    assert view_payload(number).format == "text" or view_payload(number).format == "hex"
    assert view_payload(number, CBOR_FORMAT) == PayloadView("cbor", '"text"')
    assert view_payload(b'{"t": 1}', CBOR_FORMAT).format == "json"


@given(st.binary(max_size=200))
def test_any_bytes_can_be_shown(payload: bytes) -> None:
    shown = view_payload(payload)
    if shown.format == "hex":
        assert bytes.fromhex(shown.text) == payload
    elif shown.format == "json":
        json.loads(shown.text)
