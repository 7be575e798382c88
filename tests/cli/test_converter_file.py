"""`gateway converter import` and `export`."""

import json
from typing import Any

import pytest

from tests.cli.conftest import DECODER, Cli

PAYLOAD = '{"deviceName": "SN-001", "temperature": 25.7, "humidity": 69}'


def export(name: str = "meters", source: str = DECODER, **fields: Any) -> dict[str, Any]:
    configuration = {"scriptLang": "JS", "decoder": source, "tbelDecoder": "", "updateOnlyKeys": ["fw"]}
    return {"name": name, "type": "UPLINK", "configuration": configuration, **fields}


def write(cli: Cli, document: Any) -> str:
    return cli.write("file.json", json.dumps(document))


def test_an_export_of_thingsboard_becomes_a_converter(cli: Cli) -> None:
    imported = cli.ok("converter", "import", write(cli, export()))
    assert imported.out.startswith('Converter "meters" (javascript) is imported.\nUse it: gateway integration create ')
    shown = cli.ok("converter", "show", "meters", "--format", "json").json
    assert (shown["source"], shown["update_only_keys"]) == (DECODER, ["fw"])
    result = cli.ok("converter", "import", write(cli, export()), "--name", "other", "--format", "json").json
    assert result == {**shown, "name": "other"}
    cli.ok("converter", "import", "-", "--name", "third", stdin=json.dumps(export()).encode())


def test_what_is_left_out_is_said_on_standard_error(cli: Cli) -> None:
    result = cli("converter", "import", write(cli, export(more=1)))
    assert (result.code, result.err) == (0, "note: meters: left out: more\n")


def test_a_converter_is_replaced_only_where_that_is_meant(cli: Cli) -> None:
    cli.converter("meters")
    cli.ok("converter", "case", "add", "meters", "one", "--json", PAYLOAD, "--expect-current")
    file = write(cli, export())
    refused = cli("converter", "import", file)
    assert (refused.code, "--replace" in refused.err) == (2, True)
    assert cli.ok("converter", "import", file, "--replace").out == 'Converter "meters" (javascript) is replaced.\n'
    shown = cli.ok("converter", "show", "meters", "--format", "json").json
    assert ([case["name"] for case in shown["cases"]], shown["update_only_keys"]) == (["one"], ["fw"])


def test_a_replacement_that_a_case_fails_with_is_refused_unless_forced(cli: Cli) -> None:
    cli.converter("meters")
    cli.ok("converter", "case", "add", "meters", "one", "--json", PAYLOAD, "--expect-current")
    file = write(cli, export(source="return {deviceName: 'a'};"))
    refused = cli("converter", "import", file, "--replace")
    assert (refused.code, refused.out) == (1, "")
    assert "converter meters: case 'one' fails" in refused.err
    assert cli.ok("converter", "show", "meters").out == DECODER
    cli.ok("converter", "import", file, "--replace", "--force")


@pytest.mark.parametrize(
    ("document", "code", "message"),
    [
        (export(source="return {;"), 1, "converter meters: SyntaxError"),
        (export(type="DOWNLINK"), 2, "only UPLINK is taken"),
        (export(name=" meters"), 2, "converter name ' meters' is not usable"),
        ([export("a"), export("b", source="return {;")], 1, "converter b: SyntaxError"),
        ([export("a"), export("a")], 2, "two converters in the file are named a"),
        ([1], 2, "[0] must be an object"),
    ],
)
def test_a_file_that_is_not_right_leaves_nothing_behind(cli: Cli, document: Any, code: int, message: str) -> None:
    result = cli("converter", "import", write(cli, document))
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert cli.ok("converter", "list", "--format", "json").json == []


def test_a_file_of_several_is_taken_whole(cli: Cli) -> None:
    file = write(cli, [export("a"), export("b")])
    assert cli("converter", "import", file, "--name", "c").code == 2
    out = cli.ok("converter", "import", file).out
    assert out == 'Converter "a" (javascript) is imported.\nConverter "b" (javascript) is imported.\n'
    assert len(cli.ok("converter", "import", file, "--replace", "--format", "json").json) == 2


def test_an_export_is_taken_back_with_its_cases(cli: Cli) -> None:
    cli.ok("converter", "import", write(cli, export()))
    cli.ok("converter", "case", "add", "meters", "one", "--json", PAYLOAD, "--expect-current")
    before = cli.ok("converter", "show", "meters", "--format", "json").json
    printed = cli.ok("converter", "export", "meters").json
    assert cli.ok("converter", "export", "meters", "--file", "x.json").out == (
        'Converter "meters" is written to x.json.\n'
    )
    assert json.loads((cli.folder / "x.json").read_text()) == printed
    assert (printed["type"], printed["configuration"]["scriptLang"]) == ("UPLINK", "JS")
    cli.ok("converter", "delete", "meters")
    cli.ok("converter", "import", "x.json")
    assert cli.ok("converter", "show", "meters", "--format", "json").json == before


def test_what_can_not_be_exported_is_refused(cli: Cli) -> None:
    cli.converter("c")
    source = "def decode(payload, metadata):\n    return {'deviceName': 'a'}\n"
    cli.ok("converter", "create", "p", "--language", "python", "--file", cli.write("p.py", source))
    assert cli("converter", "export", "p").code == 2
    assert cli("converter", "export", "nobody").code == 1
    assert cli("converter", "export", "c", "--file", "no/such/folder.json").code == 2
