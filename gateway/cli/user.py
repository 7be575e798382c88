"""`gateway user`: users of the REST API and the console."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.inputs import read_file
from gateway.cli.integration import open_catalogue
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_table, time_text
from gateway.errors import UsageError
from gateway.model import Role
from gateway.settings import load_settings

PASSWORD_FILE_BYTES_MAX = 4096
"""Largest file with a password, in bytes."""

app = typer.Typer(help="Users of the REST API and the console.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The user's name")]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the password in its first line; - reads standard input. Without it, one is asked for "
        "on a terminal (an empty answer generates one), and generated elsewhere"
    ),
]


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="An admin may do everything, a viewer look")] = Role.VIEWER,
    password_file: PasswordFile = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Add a user, with a password that you give, or one that is generated and shown this once."""
    from gateway.operations.users import add_user

    password = _given_password(password_file)
    with open_catalogue(load_settings()) as catalogue:
        generated = add_user(catalogue, name, role, password)
    if format is Format.JSON:
        print_json({"name": name, "role": role.value} | ({} if generated is None else {"password": generated}))
        return
    print_line(f"User {name} ({role}) is added.")
    _print_generated(generated)


@app.command("list")
def list_(format: FormatOption = Format.TABLE) -> None:
    """List all users."""
    from gateway.presentation.user import user_as_json

    with open_catalogue(load_settings()) as catalogue:
        users = catalogue.users.all()
    if format is Format.JSON:
        print_json([user_as_json(user) for user in users])
        return
    print_table(
        ("name", "role", "added", "password set"),
        ((user.name, user.role, time_text(user.created_ms), time_text(user.password_ms)) for user in users),
    )


@app.command()
def remove(name: Name) -> None:
    """Remove a user, with their log-ins and API tokens."""
    with open_catalogue(load_settings()) as catalogue:
        catalogue.users.remove(name)
    print_line(f"User {name} is removed.")


@app.command()
def role(name: Name, role: Annotated[Role, typer.Argument(help="The new role")]) -> None:
    """Give a user another role, at once."""
    with open_catalogue(load_settings()) as catalogue:
        catalogue.users.set_role(name, role)
    print_line(f"User {name} is {role} now.")


@app.command()
def password(name: Name, password_file: PasswordFile = None, format: FormatOption = Format.TABLE) -> None:
    """Give a user another password, such as for one that is lost. The user's log-ins end."""
    from gateway.operations.users import set_password

    given = _given_password(password_file)
    with open_catalogue(load_settings()) as catalogue:
        generated = set_password(catalogue, name, given)
    if format is Format.JSON:
        print_json({"name": name} | ({} if generated is None else {"password": generated}))
        return
    print_line(f"User {name} has another password.")
    _print_generated(generated)


def _given_password(file: Path | None) -> str | None:
    """The password that was given; None where one is to be generated."""
    if file is not None:
        lines = read_file(file, limit_bytes=PASSWORD_FILE_BYTES_MAX).splitlines()
        try:
            return lines[0].decode() if lines else ""
        except UnicodeDecodeError:
            raise UsageError(f"file {str(file)!r} is not UTF-8 text", hint="save it with the encoding UTF-8") from None
    if not sys.stdin.isatty():
        return None
    asked = typer.prompt("Password (empty: generate one)", default="", hide_input=True, show_default=False)
    if asked and typer.prompt("The same again", default="", hide_input=True, show_default=False) != asked:
        raise UsageError("the two passwords differ", hint="type the same twice")
    return str(asked) or None


def _print_generated(password: str | None) -> None:
    if password is not None:
        print_line(f"Password, shown only now: {password}")
