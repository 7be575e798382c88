"""`gateway backup` and `gateway restore`."""

import fcntl
from pathlib import Path

import pytest

from gateway.supervisor import LOCK_FILE
from tests.cli.conftest import Cli


@pytest.fixture
def backup(cli: Cli) -> Path:
    """A backup of a catalogue with a converter and a pre-shared key."""
    cli.set(COAP_SECURITY_MODE="MIXED")
    cli.converter("c")
    cli.ok("psk", "add", "gw-7", "--key", "0123456789abcdef0123")
    result = cli("backup", "monday")
    assert result.code == 0
    assert "The backup is in monday." in result.out
    assert "catalogue.db" in result.out
    assert "gateway.key, which opens the pre-shared keys in it" in result.err
    return cli.folder / "monday"


def test_what_was_lost_is_there_again(cli: Cli, backup: Path) -> None:
    cli.set(GATEWAY_DATA_DIR="other")
    result = cli.ok("restore", str(backup))
    assert "other is as it was when" in result.out
    assert [one["name"] for one in cli.ok("converter", "list", "--format", "json").json] == ["c"]
    assert [one["identity"] for one in cli.ok("psk", "list", "--format", "json").json] == ["gw-7"]
    cli.ok("psk", "add", "gw-8", "--key", "0123456789abcdef0123")  # the key file fits


def test_what_is_there_is_kept_beside_it(cli: Cli, backup: Path) -> None:
    cli.converter("later")
    refused = cli("restore", str(backup))
    assert refused.code == 2
    assert "has data already: catalogue.db" in refused.err
    assert "--replace" in refused.err
    result = cli.ok("restore", str(backup), "--replace")
    assert [one["name"] for one in cli.ok("converter", "list", "--format", "json").json] == ["c"]
    aside = result.out.split("What was there before is in ")[1].split(".\n")[0]
    cli.set(GATEWAY_DATA_DIR=aside)
    assert [one["name"] for one in cli.ok("converter", "list", "--format", "json").json] == ["c", "later"]


def test_nothing_is_restored_while_a_gateway_runs(cli: Cli, backup: Path) -> None:
    with (cli.data_dir / LOCK_FILE).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = cli("restore", str(backup), "--replace")
    assert result.code == 78
    assert "another gateway" in result.err
    assert "stop it" in result.err


def test_a_backup_without_the_key_says_what_is_missing(cli: Cli, backup: Path) -> None:
    assert "without its key file" in cli("backup", "tuesday", "--without-key").err
    assert not (cli.folder / "tuesday" / "gateway.key").exists()
    cli.set(GATEWAY_DATA_DIR="other")
    result = cli("restore", "tuesday")
    assert result.code == 0
    assert "there is no key file other/gateway.key" in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("backup", "monday"), 2, "monday is there already"),
        (("restore", "."), 1, ". is no backup"),
        (("restore", "monday", "--only", "events.db"), 2, "there is no events.db in monday"),
    ],
)
def test_what_can_not_be_done_is_said(cli: Cli, backup: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = cli(*arguments)
    assert result.code == code
    assert said in result.err


def test_without_a_data_directory_there_is_nothing_to_back_up(cli: Cli) -> None:
    result = cli("backup", "monday")
    assert result.code == 1
    assert "there is nothing to back up" in result.err
