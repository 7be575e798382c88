"""What a change of the catalogue asks of the running gateway."""

from pathlib import Path

import pytest

from gateway.command_socket import ANSWER_PATIENCE_S
from gateway.errors import GatewayError, NotFoundError, UnavailableError, UsageError
from gateway.model import Converter, Language, Role
from gateway.operations import catalogue as operations
from gateway.operations.catalogue import open_catalogue
from gateway.operations.users import add_user, create_token
from gateway.questions import ANSWER_PATIENCE_S as WORKER_PATIENCE_S

CONVERTER = Converter("one", Language.JAVASCRIPT, "return [];")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that a gateway which can't be reached was asked."""
    commands: list[str] = []

    def ask(data_dir: Path, command: str) -> None:
        commands.append(command)
        raise UnavailableError("the gateway can't be reached")

    monkeypatch.setattr(operations, "ask", ask)
    return commands


def test_a_change_is_followed_and_kept_even_if_the_gateway_can_not_be_asked(tmp_path: Path, asked: list[str]) -> None:
    with open_catalogue(tmp_path) as catalogue:
        catalogue.add_converter(CONVERTER)
    assert asked == ["follow_catalogue"]
    with open_catalogue(tmp_path) as catalogue:
        assert catalogue.converters() == [CONVERTER]


def test_looking_asks_nobody(tmp_path: Path, asked: list[str]) -> None:
    with open_catalogue(tmp_path):
        pass  # makes it
    asked.clear()
    with open_catalogue(tmp_path) as catalogue:
        catalogue.snapshot()
    assert asked == []


def test_what_is_kept_before_a_failure_is_followed_too(tmp_path: Path, asked: list[str]) -> None:
    with pytest.raises(UsageError, match="exists already"), open_catalogue(tmp_path) as catalogue:
        catalogue.add_converter(CONVERTER)
        catalogue.add_converter(CONVERTER)
    assert asked == ["follow_catalogue"]


def test_what_is_not_kept_is_not_followed(tmp_path: Path, asked: list[str]) -> None:
    with pytest.raises(NotFoundError), open_catalogue(tmp_path) as catalogue:
        catalogue.remove_converter("none")
    assert asked == []


def test_users_and_their_log_ins_are_no_concern_of_workers(tmp_path: Path, asked: list[str]) -> None:
    with open_catalogue(tmp_path) as catalogue:
        add_user(catalogue, "eve", Role.VIEWER, None)
        create_token(catalogue, "eve", "scripts", Role.VIEWER, days=None)
        catalogue.users.remove("eve")
    assert asked == []


@pytest.mark.parametrize("kind", [UnavailableError, UsageError])
def test_why_it_is_not_followed_yet_is_told(
    tmp_path: Path, kind: type[GatewayError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(data_dir: Path, command: str) -> None:
        raise kind("the gateway does not know this command", hint="")

    monkeypatch.setattr(operations, "ask", ask)
    told: list[str] = []
    with open_catalogue(tmp_path, told.append) as catalogue:
        catalogue.add_converter(CONVERTER)
    assert told == ["the gateway does not know this command"]


def test_without_a_gateway_nothing_waits(tmp_path: Path) -> None:
    with open_catalogue(tmp_path) as catalogue:
        catalogue.add_converter(CONVERTER)


def test_a_command_waits_longer_than_a_worker_may_take() -> None:
    assert ANSWER_PATIENCE_S > WORKER_PATIENCE_S
