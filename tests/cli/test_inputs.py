"""What the commands take."""

from pathlib import Path

import pytest

from gateway.cli.inputs import check_json, parse_base64, parse_hex, parse_metadata, read_file
from gateway.errors import UsageError


def test_metadata_is_split_at_the_first_equals_sign() -> None:
    assert parse_metadata(["site=Berlin Süd", "query=a=b", "empty="]) == {
        "site": "Berlin Süd",
        "query": "a=b",
        "empty": "",
    }


@pytest.mark.parametrize("pair", ["", "site", "=Berlin"])
def test_metadata_without_key_or_equals_sign_is_refused(pair: str) -> None:
    with pytest.raises(UsageError, match="no key-value pair"):
        parse_metadata([pair])


@pytest.mark.parametrize("text", ["534e2d", "53 4e 2d", "53:4E:2D", " 53 4e2d\n"])
def test_hex_may_be_written_in_the_usual_ways(text: str) -> None:
    assert parse_hex(text) == b"SN-"


@pytest.mark.parametrize("text", ["5", "0x53", "5g", "53 4", "53-4e"])
def test_what_is_not_hexadecimal_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not hexadecimal"):
        parse_hex(text)


@pytest.mark.parametrize("text", ["-_8=", "-_8", "+/8=", " +/ 8=\n"])
def test_base64_may_be_written_in_the_usual_ways(text: str) -> None:
    assert parse_base64(text) == b"\xfb\xff"


@pytest.mark.parametrize("text", ["A", "é", "a b!", "AA=A"])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not base64"):
        parse_base64(text)


def test_json_is_sent_as_it_was_written() -> None:
    assert check_json('{ "t" : 21.50 }') == b'{ "t" : 21.50 }'


@pytest.mark.parametrize("text", ["", "{", "{'t': 1}", "t", "[" * 100_000])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not JSON"):
        check_json(text)


def test_a_file_is_taken_up_to_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"12345")
    assert read_file(file, limit_bytes=5) == b"12345"
    with pytest.raises(UsageError, match="too large") as raised:
        read_file(file, limit_bytes=4)
    assert "4 bytes" in raised.value.hint


def test_a_file_that_can_not_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(UsageError, match=path.name):
            read_file(path, limit_bytes=5)
