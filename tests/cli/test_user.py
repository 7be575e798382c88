"""`gateway user`."""

from gateway.operations.users import log_in
from gateway.storage.catalogue import Catalogue
from tests.cli.conftest import Cli

PASSWORD = "correct horse battery"


def can_log_in(cli: Cli, name: str, password: str) -> bool:
    """Whether that is the user's password."""
    with Catalogue(cli.data_dir) as catalogue:
        return log_in(catalogue, name, password, hours=1) is not None


def test_a_user_is_added_with_a_generated_password_that_is_shown_once(cli: Cli) -> None:
    out = cli.ok("user", "add", "ada", "--role", "admin").out
    first, second = out.splitlines()
    assert first == "User ada (admin) is added."
    password = second.removeprefix("Password, shown only now: ")
    assert can_log_in(cli, "ada", password)
    listed = cli.ok("user", "list", "--format", "json")
    assert [(user["name"], user["role"]) for user in listed.json] == [("ada", "admin")]
    assert password not in listed.out
    assert "ada" in cli.ok("user", "list").out


def test_who_is_not_said_to_be_an_admin_is_a_viewer(cli: Cli) -> None:
    assert cli.ok("user", "add", "vic", "--format", "json").json["role"] == "viewer"


def test_a_password_comes_from_a_file_or_from_standard_input(cli: Cli) -> None:
    assert cli.ok("user", "add", "ada", "--password-file", cli.write("p", f"{PASSWORD}\n")).out.count("\n") == 1
    assert can_log_in(cli, "ada", PASSWORD)
    cli.ok("user", "password", "ada", "--password-file", "-", stdin=b"battery staple\r\n")
    assert can_log_in(cli, "ada", "battery staple")
    assert not can_log_in(cli, "ada", PASSWORD)


def test_a_lost_password_is_replaced_and_the_log_ins_end(cli: Cli) -> None:
    cli.ok("user", "add", "ada", "--password-file", cli.write("p", PASSWORD))
    assert can_log_in(cli, "ada", PASSWORD)
    shown = cli.ok("user", "password", "ada", "--format", "json").json
    with Catalogue(cli.data_dir) as catalogue:
        assert catalogue._file.names("SELECT user FROM log_ins") == []
    assert can_log_in(cli, "ada", shown["password"])


def test_a_bad_password_is_refused_without_being_shown(cli: Cli) -> None:
    for content in ("short", "", "ÿ".encode("latin-1") * 12):
        result = cli("user", "add", "ada", "--password-file", cli.write("p", content))
        assert result.code == 2
        assert "short" not in result.err.replace("too short", "")
    assert cli("user", "add", "ada", "--password-file", "missing").code == 2
    assert cli.ok("user", "list", "--format", "json").json == []


def test_roles_change_and_users_go_but_one_admin_stays(cli: Cli) -> None:
    cli.ok("user", "add", "ada", "--role", "admin")
    cli.ok("user", "add", "vic")
    assert "ada is the only admin" in cli("user", "remove", "ada").err
    assert cli("user", "role", "ada", "viewer").code == 2
    assert cli.ok("user", "role", "vic", "admin").out == "User vic is admin now.\n"
    cli.ok("user", "remove", "ada")
    result = cli("user", "remove", "ada")
    assert result.code == 1
    assert "hint: see which there are: gateway user list" in result.err


def test_a_name_that_cannot_be_is_refused(cli: Cli) -> None:
    assert cli("user", "add", "a b").code == 2
    assert cli("user", "add", "ada", "--role", "owner").code == 2
