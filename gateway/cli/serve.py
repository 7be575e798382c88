"""`gateway serve`: listeners, workers and everything that runs with them."""

import typer

from gateway.settings import load_settings


def serve() -> None:
    """Run the gateway until SIGTERM or Ctrl+C."""
    settings = load_settings()
    from gateway.supervisor import serve as serve_until_stopped

    raise typer.Exit(serve_until_stopped(settings))
