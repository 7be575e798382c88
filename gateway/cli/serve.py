"""`gateway serve`: listeners, workers and everything that runs with them."""

import typer

from gateway.cli.check import check_variables
from gateway.cli.output import print_note
from gateway.settings import load_settings


def serve() -> None:
    """Run the gateway until SIGTERM or Ctrl+C."""
    settings = load_settings()
    for slip in check_variables():
        print_note(f"warning: {slip.text}; {slip.cure}")
    from gateway.supervisor import serve as serve_until_stopped

    raise typer.Exit(serve_until_stopped(settings))
