"""How the commands print."""

import json
import os
import sys
from pathlib import Path

import pytest

from gateway.cli.output import cell, print_fields, print_json, print_source, print_table, printable, program, time_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zähler Süd", "Zähler Süd"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_would_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_json_is_ascii_and_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"ä\x9b": ["\x1b", "\ud800", 1 << 80, 1.5, None, True]}
    print_json(value)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == value


def test_cells_are_never_cut_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("[b]name\x1b", "value"), [("n" * 300, "v"), ("[red]x[/red]", ":smile:"), ("\x1b[1m", "a\nb")])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["[b]name\\x1b", "value"]
    assert lines[2:] == [["n" * 300, "v"], ["[red]x[/red]", ":smile:"], ["\\x1b[1m", "a\\nb"]]


def test_fields_stand_in_two_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"name": "a", "path prefix": ""})
    assert capsys.readouterr().out == "name         a\npath prefix\n"


@pytest.mark.parametrize("source", ["a\n\tb \x1b[1m", "a\n"])
def test_a_source_goes_into_a_file_as_it_is(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_source(source)
    assert capsys.readouterr().out == source.rstrip("\n") + "\n"


def test_a_source_on_a_terminal_keeps_lines_and_tabs_and_nothing_else_that_steers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_source("a\n\tb\x1b[1m\n")
    assert capsys.readouterr().out == "a\n\tb\\x1b[1m\n"


@pytest.mark.parametrize(
    ("value", "shown"), [("21", "21"), (25.7, "25.7"), (True, "true"), (None, "null"), ({"a": ["ä"]}, '{"a": ["ä"]}')]
)
def test_a_value_is_shown_as_text_or_as_json(value: object, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    ("ts_ms", "shown"),
    [
        (0, "1970-01-01 00:00:00.000Z"),
        (1527863043001, "2018-06-01 14:24:03.001Z"),
        (-1, "1969-12-31 23:59:59.999Z"),
        (1 << 62, str(1 << 62)),
    ],
)
def test_a_time_is_shown_in_utc(ts_ms: int, shown: str) -> None:
    assert time_text(ts_ms) == shown


def executable(folder: Path) -> Path:
    """A program named gateway in a folder."""
    folder.mkdir()
    (folder / "gateway").write_text("#!/bin/sh\n")
    (folder / "gateway").chmod(0o755)
    return folder / "gateway"


@pytest.mark.parametrize(
    ("path", "called", "shown"),
    [
        ("own", "own/gateway", "gateway"),
        ("linked", "own/gateway", "gateway"),
        ("", "own/gateway", "own/gateway"),
        ("other", "own/gateway", "own/gateway"),
        ("other:own", "own/gateway", "own/gateway"),
        ("", "a folder/gateway", "'a folder/gateway'"),
    ],
)
def test_the_program_is_shown_as_it_was_called_and_by_its_name_where_the_path_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, called: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("own", "other", "a folder"):
        executable(tmp_path / folder)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "gateway").symlink_to(tmp_path / "own" / "gateway")
    monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / folder) for folder in path.split(":") if folder))
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == shown


def test_a_program_that_python_was_told_to_run_is_shown_with_that_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/gateway/__main__.py", "check"])
    monkeypatch.setattr(sys, "orig_argv", ["my venv/bin/python", "-m", "gateway", "check"])
    assert program() == "'my venv/bin/python' -m gateway"
