"""Payloads in words."""

from gateway.console.payloads import as_text, cut, hex_lines, pretty, written


def test_hex_has_sixteen_bytes_a_line_with_their_places_and_what_is_ascii() -> None:
    assert hex_lines(b"") == ""
    assert hex_lines(bytes(range(0x40, 0x51))) == (
        "0000  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO\n"
        "0010  50                                               P"
    )
    assert hex_lines(b"\x00\x7f\xffa").endswith("  ···a")


def test_what_is_no_text_is_a_dot_in_it() -> None:
    assert as_text("grün\n".encode()) == "grün\n"
    assert as_text(b"a\x00b\x1b[31m") == "a·b·[31m"
    assert as_text(b"\xff!") == "\N{REPLACEMENT CHARACTER}!"


def test_json_is_spread_over_lines_and_what_is_none_stays() -> None:
    assert pretty('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert pretty('{"a":[1…') == '{"a":[1…'
    assert pretty("[" * 100_000) == "[" * 100_000
    assert pretty(r'{"a":"\ud800"}') == r'{"a":"\ud800"}'  # it could not be sent to a browser


def test_a_value_is_written_as_json_and_a_text_as_it_is() -> None:
    assert [written(value) for value in ("a", True, None, 1.5, {"ü": 1})] == ["a", "true", "null", "1.5", '{"ü": 1}']


def test_a_long_text_is_cut() -> None:
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "abc …")
