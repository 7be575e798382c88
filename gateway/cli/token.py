"""`gateway token`: API tokens, with which scripts use the REST API."""

from typing import Annotated

import typer

from gateway.cli.integration import open_catalogue
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_table, time_text
from gateway.model import Role
from gateway.settings import load_settings

app = typer.Typer(help="API tokens, with which scripts use the REST API.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for")],
    user: Annotated[str, typer.Option(help="Whose it is; it goes when that user goes")] = "admin",
    role: Annotated[Role, typer.Option(help="An admin's may do everything, a viewer's look")] = Role.VIEWER,
    days: Annotated[int | None, typer.Option(help="How long it lasts; where left out, for ever")] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Make an API token. It is shown this once."""
    from gateway.operations.users import create_token
    from gateway.presentation.user import token_as_json

    settings = load_settings()
    with open_catalogue(settings) as catalogue:
        made = create_token(catalogue, user, name, role, days=days)
    if format is Format.JSON:
        print_json(token_as_json(made.stored) | {"token": made.token})
        return
    print_line(f"API token {made.stored.id} ({role}) is made. Shown only now:")
    print_line(f"  {made.token}")
    print_line("Use it:")
    print_line(f"  curl -H 'Authorization: Bearer {made.token}' {settings.http_url}/api/v1/me")


@app.command("list")
def list_(format: FormatOption = Format.TABLE) -> None:
    """List all API tokens."""
    from gateway.presentation.user import token_as_json

    with open_catalogue(load_settings()) as catalogue:
        tokens = catalogue.users.tokens()
    if format is Format.JSON:
        print_json([token_as_json(token) for token in tokens])
        return
    print_table(
        ("id", "name", "user", "role", "made", "ends"),
        (
            (
                token.id,
                token.name,
                token.user,
                token.role,
                time_text(token.created_ms),
                "never" if token.expires_ms is None else time_text(token.expires_ms),
            )
            for token in tokens
        ),
    )


@app.command()
def revoke(id: Annotated[str, typer.Argument(help="Its id")]) -> None:
    """Revoke an API token: it is good for nothing from now on."""
    with open_catalogue(load_settings()) as catalogue:
        catalogue.users.remove_token(id)
    print_line(f"API token {id} is revoked.")
