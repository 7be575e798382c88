"""`gateway converter`."""

import shlex
import sys

import pytest

from tests.cli.conftest import DECODER, Cli

PYTHON = "def decode(payload, metadata):\n    return {'deviceName': 'a', 'telemetry': {'n': len(payload)}}\n"


def test_create_prints_the_shape_that_show_prints(cli: Cli) -> None:
    file = cli.write("d.js", DECODER)
    options = ["--language", "javascript", "--file", file, "--format", "json"]
    created = cli.ok("converter", "create", "c", *options)
    shape = {"name": "c", "language": "javascript", "source": DECODER, "update_only_keys": [], "cases": []}
    assert list(created.json.items()) == list(shape.items())
    assert cli.ok("converter", "show", "c", "--format", "json").json == created.json
    assert cli.ok("converter", "list", "--format", "json").json == [created.json]


def test_create_says_how_to_use_it_with_the_program_as_it_was_called(cli: Cli) -> None:
    create = ("converter", "create", "c", "--language", "javascript", "--file", cli.write("d.js", DECODER))
    use = 'integration create NAME --converter "c"\n'
    assert cli.process(*create).out.endswith(f"\nUse it: {shlex.quote(sys.executable)} -m gateway {use}")
    cli.ok("converter", "delete", "c")
    assert cli.ok(*create).out.endswith(f"\nUse it: gateway {use}")


def test_show_prints_the_source_as_it_was_given(cli: Cli) -> None:
    cli.ok("converter", "create", "c", "--language", "python", "--file", cli.write("d.py", PYTHON))
    assert cli.ok("converter", "show", "c").out == PYTHON


def test_the_source_may_come_from_standard_input(cli: Cli) -> None:
    cli.ok("converter", "create", "c", "--language", "python", "--file", "-", stdin=PYTHON.encode())
    assert cli.ok("converter", "show", "c").out == PYTHON


def test_the_table_says_who_uses_a_converter(cli: Cli) -> None:
    cli.converter("used")
    cli.converter("free")
    cli.ok("integration", "create", "m", "--converter", "used")
    cli.ok("integration", "create", "n", "--converter", "used")
    rows = [line.split() for line in cli.ok("converter", "list").out.splitlines()[2:]]
    assert rows == [["free", "javascript", "5"], ["used", "javascript", "5", "m,", "n"]]


@pytest.mark.parametrize(
    ("language", "source", "line"),
    [
        ("javascript", "var a = 1;\nvar b = ;\nreturn {};\n", 2),
        ("python", "def decode(payload, metadata):\n    return {\n\n)\n", 4),
    ],
)
def test_a_syntax_error_is_refused_with_its_line_and_nothing_is_kept(
    cli: Cli, language: str, source: str, line: int
) -> None:
    result = cli("converter", "create", "c", "--language", language, "--file", cli.write("d", source))
    assert (result.code, result.out) == (1, "")
    assert f"line {line}" in result.err
    assert f"\n    {line} | {source.splitlines()[line - 1]}\n" in result.err
    assert "Traceback" not in result.err
    assert cli.ok("converter", "list", "--format", "json").json == []


def test_update_replaces_the_source_and_keeps_the_language(cli: Cli) -> None:
    cli.converter("c")
    other = DECODER.replace("humidity", "moisture")
    updated = cli.ok("converter", "update", "c", "--file", cli.write("d.js", other), "--format", "json")
    assert (updated.json["language"], updated.json["source"]) == ("javascript", other)
    assert cli.ok("converter", "show", "c").out == other


def test_update_refuses_a_syntax_error_and_leaves_the_old_source(cli: Cli) -> None:
    cli.converter("c")
    assert cli("converter", "update", "c", "--file", cli.write("d.js", "var = ;")).code == 1
    assert cli.ok("converter", "show", "c").out == DECODER
    assert cli("converter", "update", "nobody", "--file", cli.write("d.js", DECODER)).code == 1


def test_update_renames_it_and_its_integrations_and_cases_follow(cli: Cli) -> None:
    cli.converter("c")
    cli.converter("taken")
    cli.ok("converter", "case", "add", "c", "one", "--json", '{"deviceName": "a", "temperature": 1, "humidity": 2}')
    cli.ok("integration", "create", "meters", "--converter", "c")
    before = cli.ok("converter", "show", "c", "--format", "json").json
    for refused in ("taken", "", " d", "d/cases", "d/commands/e", "n" * 256):
        assert cli("converter", "update", "c", "--name", refused).code == 2
    assert (
        "a name has no /cases, /commands, /debug or /export" in cli("converter", "update", "c", "--name", "c/debug").err
    )
    assert cli.ok("converter", "show", "c", "--format", "json").json == before
    renamed = cli.ok("converter", "update", "c", "--name", "d", "--format", "json")
    assert renamed.json == {**before, "name": "d"}
    assert cli("converter", "show", "c").code == 1
    assert cli.ok("integration", "show", "meters", "--format", "json").json["converter"] == "d"


def test_update_only_keys_are_kept_until_others_are_given(cli: Cli) -> None:
    def keys() -> object:
        return cli.ok("converter", "show", "c", "--format", "json").json["update_only_keys"]

    file = cli.write("d.js", DECODER)
    options = ("--update-only-key", "fw", "--update-only-key", "modèle", "--update-only-key", "fw")
    cli.ok("converter", "create", "c", "--language", "javascript", "--file", file, *options)
    assert keys() == ["fw", "modèle"]
    cli.ok("converter", "update", "c", "--file", file)
    assert keys() == ["fw", "modèle"]
    cli.ok("converter", "update", "c", "--update-only-key", "ip")
    assert (keys(), cli.ok("converter", "show", "c").out) == (["ip"], DECODER)
    cli.ok("converter", "update", "c", "--update-only-key", "")
    assert keys() == []
    assert cli("converter", "update", "c", "--update-only-key", "x" * 256).code == 2
    assert cli("converter", "update", "c").code == 2


def test_update_is_refused_while_a_case_fails_unless_it_is_forced(cli: Cli) -> None:
    cli.converter("c")
    payload = ("--json", '{"deviceName": "a", "temperature": 1, "humidity": 2}')
    cli.ok("converter", "case", "add", "c", "one", *payload, "--expect-current")
    cli.ok("converter", "update", "c", "--file", cli.write("d.js", "// the same\n" + DECODER))
    other = cli.write("d.js", DECODER.replace("humidity:", "moisture:"))
    refused = cli("converter", "update", "c", "--file", other)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("error: case 'one' fails with the new source: the result is another one\n")
    assert "moisture" not in cli.ok("converter", "show", "c").out
    cli.ok("converter", "update", "c", "--file", other, "--force")
    assert "moisture" in cli.ok("converter", "show", "c").out
    assert [case["name"] for case in cli.ok("converter", "case", "list", "c", "--format", "json").json] == ["one"]


def test_delete_refuses_a_converter_in_use_and_names_its_integrations(cli: Cli) -> None:
    cli.converter("c")
    cli.ok("integration", "create", "meters", "--converter", "c")
    refused = cli("converter", "delete", "c")
    assert refused.code == 2
    assert "meters" in refused.err
    cli.ok("integration", "delete", "meters")
    assert cli.ok("converter", "delete", "c").out == 'Converter "c" is deleted.\n'
    assert cli("converter", "delete", "c").code == 1


def test_a_name_is_taken_once(cli: Cli) -> None:
    cli.converter("c")
    again = cli("converter", "create", "c", "--language", "javascript", "--file", "decoder.js")
    assert again.code == 2
    assert "c" in again.err


@pytest.mark.parametrize("name", ["", " c", "a\nb"])
def test_a_name_that_nobody_can_type_is_refused(cli: Cli, name: str) -> None:
    file = cli.write("d.js", DECODER)
    assert cli("converter", "create", name, "--language", "javascript", "--file", file).code == 2


@pytest.mark.parametrize("content", [b"// \xfc\nreturn {};", b"x" * ((1 << 20) + 1)])
def test_a_file_that_is_no_source_is_refused(cli: Cli, content: bytes) -> None:
    result = cli("converter", "create", "c", "--language", "javascript", "--file", cli.write("d", content))
    assert (result.code, result.out) == (2, "")


def test_a_file_that_is_missing_is_refused_by_name(cli: Cli) -> None:
    result = cli("converter", "create", "c", "--language", "javascript", "--file", "missing.js")
    assert result.code == 2
    assert "missing.js" in result.err
