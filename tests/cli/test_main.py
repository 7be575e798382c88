"""The command as a whole: exit codes, errors, and what it costs to start."""

import os
import subprocess
import sys

import pytest

from gateway import __version__
from tests.cli.conftest import Cli


def test_without_arguments_it_shows_its_commands(cli: Cli) -> None:
    result = cli()
    for command in (
        "serve",
        "check",
        "settings",
        "integration",
        "converter",
        "psk",
        "trust",
        "certs",
        "device",
        "send",
    ):
        assert f"  {command} " in result.out + result.err


def test_it_tells_its_version(cli: Cli) -> None:
    assert cli.ok("--version").out == f"gateway {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["servo"],
        ["--loud"],
        ["integration", "creat", "x"],
        ["integration", "create", "x"],
        ["integration", "list", "--format", "xml"],
        ["integration", "create", "x", "--converter", "c", "--security-mode", "TLS"],
        ["converter", "create", "x", "--language", "perl", "--file", "f"],
        ["device", "show"],
        ["device", "list", "--limit", "0"],
        ["send"],
    ],
)
def test_a_wrong_command_line_is_exit_2_and_says_how_to_get_help(cli: Cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "--help" in result.err


def test_an_unknown_choice_is_answered_with_the_choices(cli: Cli) -> None:
    result = cli("integration", "create", "x", "--converter", "c", "--security-mode", "TLS")
    for mode in ("NO SECURE", "DTLS", "MIXED"):
        assert mode.lower() in result.err.lower()


@pytest.mark.parametrize(
    "arguments",
    [
        ["settings"],
        ["check"],
        ["serve"],
        ["integration", "list"],
        ["integration", "delete", "x"],
        ["converter", "list"],
        ["device", "list"],
    ],
)
def test_wrong_settings_are_exit_78_and_a_line_for_each(cli: Cli, arguments: list[str]) -> None:
    cli.set(COAP_BIND_PORT="70000", GATEWAY_WORKERS="many")
    result = cli(*arguments)
    lines = (result.out + result.err).splitlines()
    assert result.code == 78
    assert len([line for line in lines if "COAP_BIND_PORT=70000: " in line]) == 1
    assert len([line for line in lines if "GATEWAY_WORKERS=many: " in line]) == 1


def test_an_error_is_on_standard_error_with_its_cure(cli: Cli) -> None:
    result = cli("integration", "show", "nobody")
    assert (result.code, result.out) == (1, "")
    error, hint = result.err.splitlines()
    assert error.startswith("error: ")
    assert "nobody" in error
    assert hint.startswith("hint: ")
    assert "gateway integration create" in hint


def test_an_error_does_not_carry_control_sequences_to_the_terminal(cli: Cli) -> None:
    result = cli("integration", "show", "\x1b[2Jgone")
    assert result.code == 1
    assert "\x1b" not in result.err
    assert "\\x1b[2Jgone" in result.err


def test_a_data_directory_that_can_not_be_made_is_exit_78(cli: Cli) -> None:
    cli.set(GATEWAY_DATA_DIR=cli.write("file", ""))
    for arguments in (["integration", "list"], ["converter", "list"]):
        result = cli(*arguments)
        assert (result.code, result.out) == (78, "")
        assert "GATEWAY_DATA_DIR" in result.err


def test_as_a_process_it_is_the_same(cli: Cli) -> None:
    assert cli.process("integration", "list", "--format", "json").json == []
    missing = cli.process("integration", "show", "nobody")
    assert (missing.code, missing.out) == (1, "")
    assert "Traceback" not in missing.err
    wrong = cli.process("settings", environment={"COAP_BIND_PORT": "0"})
    assert wrong.code == 78
    assert wrong.err.splitlines()[0] == ("error: COAP_BIND_PORT=0: input should be greater than or equal to 1")
    assert cli.process("integration", "list", "--format", "xml").code == 2


def test_a_reader_that_goes_away_is_no_stack_trace(cli: Cli) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "settings", "--format", "json"], stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    os.close(reader)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, b"")


def test_a_locale_without_the_characters_is_no_stack_trace(cli: Cli) -> None:
    result = cli.process("check", environment={"PYTHONIOENCODING": "ascii"})
    assert "Traceback" not in result.err
    assert "settings: all" in result.out


def test_starting_it_does_not_load_what_only_single_commands_need() -> None:
    heavy = ["aiocoap", "quickjs", "rich", "sqlite3", "gateway.supervisor", "gateway.storage", "gateway.converters"]
    code = f"import sys, gateway.cli.main; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
