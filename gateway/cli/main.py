"""The command `gateway`: its nouns, and what becomes of an error."""

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from gateway import __version__
from gateway.cli import (
    backup,
    certs,
    check,
    converter,
    device,
    events,
    integration,
    psk,
    quarantine,
    send,
    serve,
    session,
    settings,
    spool,
    tap,
    token,
    trust,
    user,
)
from gateway.cli.output import print_error
from gateway.errors import GatewayError, UsageError

app = typer.Typer(
    name="gateway",
    help="A secure CoAP gateway: uplinks are converted, stored durably and only then acknowledged.",
    no_args_is_help=True,
    # Plain help and plain errors: a box around an error breaks its lines, and then no script finds them.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("settings")(settings.settings)
app.add_typer(integration.app, name="integration")
app.add_typer(converter.app, name="converter")
app.add_typer(psk.app, name="psk")
app.add_typer(trust.app, name="trust")
app.add_typer(certs.app, name="certs")
app.add_typer(device.app, name="device")
app.command("events")(events.events)
app.command("tap")(tap.tap)
app.add_typer(spool.app, name="spool")
app.add_typer(quarantine.app, name="quarantine")
app.command("send")(send.send)
app.add_typer(session.app, name="session")
app.add_typer(user.app, name="user")
app.add_typer(token.app, name="token")
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gateway {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (without the program's name; the process's own where None).

    Returns the exit code: 0 done, 1 failed, 2 usage, 78 bad configuration. A GatewayError becomes lines on
    standard error, never a stack trace.
    """
    for stream in (sys.stdout, sys.stderr):
        # A locale that lacks a character must not turn an answer into a stack trace.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone (`| head`). What is left must not be written once more when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        get_command(app).main(args=arguments, prog_name="gateway")
    except GatewayError as error:
        print_error(error)
        return error.exit_code
    except UnicodeEncodeError:  # what the shell gave as bytes that are no UTF-8 reached a file or a database
        print_error(UsageError("an argument is not UTF-8 text", hint="type it anew, in a terminal that uses UTF-8"))
        return UsageError.exit_code
    except KeyboardInterrupt:
        return 130  # as shells have it: 128 + SIGINT
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
