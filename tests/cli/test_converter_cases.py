"""`gateway converter case`."""

import json
from dataclasses import replace

import pytest

from gateway.converters.cases import CASE_PAYLOAD_BYTES_MAX, CASES_MAX
from gateway.model import ConverterCase
from gateway.storage.catalogue import Catalogue
from tests.cli.conftest import Cli

PAYLOAD = '{"deviceName": "SN-001", "temperature": 25.7, "humidity": 69}'
RESULT = {"deviceName": "SN-001", "telemetry": {"temperature": 25.7, "humidity": 69}}


@pytest.fixture
def c(cli: Cli) -> Cli:
    """A command line with the converter `c`."""
    cli.converter("c")
    return cli


def cases(cli: Cli) -> list[dict[str, object]]:
    found: list[dict[str, object]] = cli.ok("converter", "case", "list", "c", "--format", "json").json
    return found


def test_a_case_keeps_payload_metadata_and_what_is_expected(c: Cli) -> None:
    added = c.ok("converter", "case", "add", "c", "one", "--text", PAYLOAD, "--metadata", "a=b", "--expect-current")
    assert added.out == 'Case "one" is kept with converter "c".\n'
    (case,) = cases(c)
    assert list(case) == ["name", "payload", "metadata", "expected"]
    assert (case["name"], case["expected"]) == ("one", RESULT)
    assert isinstance(case["metadata"], dict)
    assert (case["metadata"]["a"], case["metadata"]["Option:content-format"]) == ("b", "0")
    assert c.ok("converter", "show", "c", "--format", "json").json["cases"] == [case]


def test_what_is_expected_may_come_from_a_file(c: Cli) -> None:
    c.ok("converter", "case", "add", "c", "one", "--json", PAYLOAD, "--expect", c.write("r.json", json.dumps(RESULT)))
    stdin = json.dumps([RESULT]).encode()
    c.ok("converter", "case", "add", "c", "two", "--json", PAYLOAD, "--expect", "-", stdin=stdin)
    assert [case["expected"] for case in cases(c)] == [RESULT, [RESULT]]
    assert c.ok("converter", "test", "c").out.endswith("Cases passed: 2, failed: 0.\n")


def test_a_case_that_fails_yet_is_kept_with_a_note(c: Cli) -> None:
    expect = ("--expect", c.write("r.json", '{"deviceName": "other"}'))
    result = c("converter", "case", "add", "c", "one", "--json", PAYLOAD, *expect)
    assert (result.code, result.out) == (0, 'Case "one" is kept with converter "c".\n')
    assert result.err == "note: the converter fails on it as it is now: the result is another one\n"
    assert c("converter", "test", "c").code == 1


def test_the_table_is_brief(c: Cli) -> None:
    c.ok("converter", "case", "add", "c", "one", "--json", PAYLOAD, "--expect-current")
    c.ok("converter", "case", "add", "c", "two", "--json", PAYLOAD)
    one, two = c.ok("converter", "case", "list", "c").out.splitlines()[2:]
    assert one.split()[:3] == ["one", "61", "bytes"]
    assert "…" in one
    assert two.split() == ["two", "61", "bytes", "any", "result"]


def test_a_case_is_replaced_only_where_that_is_meant(c: Cli) -> None:
    c.ok("converter", "case", "add", "c", "one", "--json", PAYLOAD, "--expect-current")
    again = ("converter", "case", "add", "c", "one", "--json", PAYLOAD)
    assert c(*again).code == 2
    c.ok(*again, "--replace")
    assert [case["expected"] for case in cases(c)] == [None]


def test_a_case_is_removed_by_name(c: Cli) -> None:
    for name in ("one", "two"):
        c.ok("converter", "case", "add", "c", name, "--json", PAYLOAD)
    assert c.ok("converter", "case", "remove", "c", "one").out == 'Case "one" of converter "c" is removed.\n'
    assert [case["name"] for case in cases(c)] == ["two"]
    missing = c("converter", "case", "remove", "c", "one")
    assert (missing.code, "there are: two" in missing.err) == (1, True)


def test_what_fails_today_can_not_be_expected(c: Cli) -> None:
    result = c("converter", "case", "add", "c", "one", "--text", "x", "--expect-current")
    assert (result.code, result.out) == (1, "")
    assert "2 | var data = JSON.parse" in result.err
    assert cases(c) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is no payload"),
        (("--json", PAYLOAD, "--expect", "r.json", "--expect-current"), "exclude each other"),
        (("--json", PAYLOAD, "--expect", "missing.json"), "missing.json"),
        (("--json", PAYLOAD, "--expect", "bad.json"), "'bad.json' is not JSON"),
        (("--json", PAYLOAD, "--expect", "no.json"), "no result of a converter: deviceName is empty"),
        (("--json", PAYLOAD, "--expect", "deep.json"), "'deep.json' is nested more than 64 deep"),
        (("--text", "x" * (CASE_PAYLOAD_BYTES_MAX + 1)), "is too long for an example case"),
    ],
)
def test_what_is_no_case_is_refused(c: Cli, arguments: tuple[str, ...], message: str) -> None:
    c.write("r.json", json.dumps(RESULT))
    c.write("bad.json", "{")
    c.write("no.json", '{"deviceName": ""}')
    c.write("deep.json", '{"deviceName": "a", "other": ' + "[" * 200 + "]" * 200 + "}")
    result = c("converter", "case", "add", "c", "one", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert cases(c) == []


def test_a_converter_has_a_bounded_number_of_cases(c: Cli) -> None:
    with Catalogue(c.data_dir) as catalogue:
        full = tuple(ConverterCase(f"case {number}", b"x") for number in range(CASES_MAX - 1))
        catalogue.update_converter("c", replace(catalogue.converter("c"), cases=full))
    add = ("converter", "case", "add", "c")
    c.ok(*add, "the last", "--json", PAYLOAD)
    assert c(*add, "one more", "--json", PAYLOAD).code == 2
    c.ok(*add, "the last", "--json", PAYLOAD, "--replace")
