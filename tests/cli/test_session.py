"""`gateway session` where no gateway runs; with one see tests/e2e/test_figures.py."""

import pytest

from tests.cli.conftest import Cli


@pytest.mark.parametrize("command", [("list",), ("list", "--format", "json"), ("end", "0-abcd-1")])
def test_without_a_gateway_it_says_so(cli: Cli, command: tuple[str, ...]) -> None:
    cli.data_dir.mkdir()
    failed = cli("session", *command)
    assert failed.code == 1
    assert failed.out == ""
    assert "no gateway runs on" in failed.err
    assert "gateway serve" in failed.err


def test_a_limit_below_one_is_refused(cli: Cli) -> None:
    assert cli("session", "list", "--limit", "0").code == 2
