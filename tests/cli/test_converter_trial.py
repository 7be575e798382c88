"""`gateway converter test`."""

import pytest

from tests.cli.conftest import DECODER, Cli

PAYLOAD = '{"deviceName": "SN-001", "temperature": 25.7, "humidity": 69}'
PYTHON = "def decode(payload, metadata):\n    data = metadata['none']\n    return {'deviceName': 'a'}\n"
ECHO = "return {deviceName: 'a', attributes: {payload: payload, metadata: metadata}};"
METADATA = {"Option:location-path": "", "Option:location-query": "", "Option:uri": "/i/test", "integrationName": "test"}


def test_it_shows_what_the_decoder_returned_the_reports_and_the_time(cli: Cli) -> None:
    cli.converter("c")
    out = cli.ok("converter", "test", "c", "--json", PAYLOAD).out
    assert out.startswith('The decoder returned\n  {\n    "deviceName": "SN-001",\n')
    assert 'Reports: 1\n  device "SN-001" of type "default"\n    telemetry  20' in out
    assert "Z  temperature = 25.7, humidity = 69\nTook " in out
    assert out.endswith(" µs (median of 20 calls).\n")


def test_scripts_get_one_object(cli: Cli) -> None:
    cli.converter("c")
    result = cli.ok("converter", "test", "c", "--json", PAYLOAD, "--format", "json").json
    assert list(result) == ["output", "reports", "duration_us", "error"]
    assert result["output"] == {"deviceName": "SN-001", "telemetry": {"temperature": 25.7, "humidity": 69}}
    (report,) = result["reports"]
    (sample,) = report.pop("telemetry")
    assert report == {"deviceName": "SN-001", "deviceType": "default"}
    assert (list(sample), sample["values"]) == (["ts", "values"], {"temperature": 25.7, "humidity": 69})
    assert (result["duration_us"] > 0, result["error"]) == (True, None)


def test_a_file_is_tried_without_a_catalogue(cli: Cli) -> None:
    file = cli.write("d.js", DECODER)
    cli.ok("converter", "test", "--file", file, "--language", "javascript", "--json", PAYLOAD)
    assert not cli.data_dir.exists()


def test_a_file_is_tried_in_the_place_of_a_converters_source(cli: Cli) -> None:
    cli.converter("c")
    file = cli.write("e.js", ECHO)
    result = cli.ok("converter", "test", "c", "--file", file, "--text", "x", "--format", "json").json
    assert result["output"]["attributes"]["payload"] == [120]
    assert cli.ok("converter", "show", "c").out == DECODER


@pytest.mark.parametrize(
    ("option", "value", "payload", "content_format"),
    [
        ("--text", "é", "é".encode(), "0"),
        ("--json", "[1]", b"[1]", "50"),
        ("--hex", "01 ff", b"\x01\xff", "42"),
        ("--base64", "Af8=", b"\x01\xff", "42"),
        ("--cbor", "[1, h'ff']", b"\x82\x01\x41\xff", "60"),
        ("--payload-file", "payload.bin", b"\x01\xff", ""),
        ("--payload-file", "-", b"from stdin", ""),
    ],
)
def test_the_payload_may_be_given_in_many_ways(
    cli: Cli, option: str, value: str, payload: bytes, content_format: str
) -> None:
    cli.write("payload.bin", b"\x01\xff")
    file = cli.write("e.js", ECHO)
    arguments = ("--file", file, "--language", "javascript", option, value, "--format", "json")
    attributes = cli.ok("converter", "test", *arguments, stdin=b"from stdin").json["output"]["attributes"]
    assert bytes(attributes["payload"]) == payload
    assert attributes["metadata"] == {**METADATA, "Option:content-format": content_format}


def test_the_metadata_are_those_of_an_uplink(cli: Cli) -> None:
    cli.converter("c")
    cli.ok("integration", "create", "meters", "--converter", "c", "--routing-key", "k", "--metadata", "site=Berlin")
    options = ("--integration", "meters", "--principal", "gw-7", "--content-format", "60", "--metadata", "more=1")
    file = cli.write("e.js", ECHO)
    result = cli.ok("converter", "test", "c", "--file", file, "--text", "x", *options, "--format", "json").json
    assert result["output"]["attributes"]["metadata"] == {
        "Option:content-format": "60",
        "Option:location-path": "",
        "Option:location-query": "",
        "Option:uri": "/i/k",
        "integrationName": "meters",
        "site": "Berlin",
        "principal": "gw-7",
        "principalType": "psk",
        "pskIdentity": "gw-7",
        "more": "1",
    }


@pytest.mark.parametrize(
    ("language", "source", "shown"),
    [
        (
            "javascript",
            "var a = 1;\n\treturn a.b.c;\n",
            "error: TypeError: cannot read property 'c' of undefined (line 2, column 9)\n"
            "    2 |     return a.b.c;\n"
            "      |            ^\n",
        ),
        ("javascript", "return {;", "error: SyntaxError: "),
        ("javascript", "return {;", "\n    1 | return {;\n      |         ^\n"),
        ("python", PYTHON, "error: KeyError: 'none' (line 2)\n    2 |     data = metadata['none']\n"),
        ("javascript", "throw 'no such model';", "error: no such model\n"),
        ("javascript", "/*" + "x" * 300 + "*/ null.a; /*" + "y" * 300 + "*/", "xxx*/ null.a; /*yyy"),
    ],
)
def test_a_failure_is_shown_with_its_line_and_a_caret(cli: Cli, language: str, source: str, shown: str) -> None:
    result = cli("converter", "test", "--file", cli.write("d", source), "--language", language, "--text", "x")
    assert (result.code, result.out) == (1, "")
    assert shown in result.err
    assert all(len(line) < 150 for line in result.err.splitlines())


def test_a_failure_has_its_place_in_json_too(cli: Cli) -> None:
    for source, line, column in (("\nreturn a;", 2, 8), ("return {;", 1, 9), ("return {};", None, None)):
        arguments = ("--file", cli.write("d", source), "--language", "javascript", "--text", "x", "--format", "json")
        result = cli("converter", "test", *arguments)
        assert (result.code, result.err) == (1, "")
        error = result.json["error"]
        assert (error["line"], error["column"], result.json["reports"]) == (line, column, None)


def test_a_result_that_is_refused_is_shown_with_the_reason(cli: Cli) -> None:
    file = cli.write("d", "return {deviceName: ''};")
    result = cli("converter", "test", "--file", file, "--language", "javascript", "--text", "x")
    assert (result.code, result.out) == (1, 'The decoder returned\n  {\n    "deviceName": ""\n  }\n')
    assert result.err == "error: deviceName is empty\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("c", "--text", "x", "--hex", "01"),
        ("c", "--json", "{"),
        ("c", "--language", "python", "--text", "x"),
        ("c", "--metadata", "a=b"),
        ("c",),
        (),
        ("--file", "d.js", "--text", "x"),
        ("--language", "javascript", "--text", "x"),
        ("--file", "missing.js", "--language", "javascript", "--text", "x"),
        ("c", "--text", "x", "--metadata", "ab"),
        ("c", "--text", "x", "--principal", "p", "--principal-type", "nobody"),
    ],
)
def test_what_can_not_be_tested_is_refused(cli: Cli, arguments: tuple[str, ...]) -> None:
    cli.converter("c")
    cli.write("d.js", DECODER)
    result = cli("converter", "test", *arguments)
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err


def test_names_that_are_not_there_are_said(cli: Cli) -> None:
    assert cli("converter", "test", "nobody", "--text", "x").code == 1
    cli.converter("c")
    assert cli("converter", "test", "c", "--text", "x", "--integration", "nobody").code == 1


def test_without_a_payload_all_cases_run(cli: Cli) -> None:
    cli.converter("c")
    cli.ok("converter", "case", "add", "c", "good", "--json", PAYLOAD, "--expect-current")
    cli.ok("converter", "case", "add", "c", "any", "--json", PAYLOAD)
    assert cli.ok("converter", "test", "c").out == "√ good\n√ any\nCases passed: 2, failed: 0.\n"
    file = cli.write("d.js", DECODER.replace("humidity:", "moisture:"))
    result = cli("converter", "test", "c", "--file", file)
    assert (result.code, result.err) == (1, "")
    assert result.out.startswith("x good: the result is another one\n    --- expected\n    +++ got\n")
    assert '\n    -          "humidity": 69,\n' in result.out
    assert result.out.endswith("√ any\nCases passed: 1, failed: 1.\n")
    (good, any_) = cli("converter", "test", "c", "--file", file, "--format", "json").json
    assert (good["case"], good["passed"], good["error"]) == ("good", False, "the result is another one")
    assert good["difference"][:2] == ["--- expected", "+++ got"]
    assert any_ == {"case": "any", "passed": True, "error": None, "difference": []}


def test_cases_of_a_source_that_does_not_compile_end_with_its_line(cli: Cli) -> None:
    cli.converter("c")
    cli.ok("converter", "case", "add", "c", "any", "--json", PAYLOAD)
    result = cli("converter", "test", "c", "--file", cli.write("d.js", "return {;"))
    assert (result.code, result.out) == (1, "")
    assert "1 | return {;" in result.err
