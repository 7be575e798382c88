"""`gateway spool`: what is stored and not delivered yet."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from gateway.cli.output import Format, FormatOption, print_json, print_line, print_table, time_text
from gateway.errors import NotFoundError
from gateway.model import JsonValue
from gateway.settings import Settings, load_settings

app = typer.Typer(help="Uplinks that are stored and not delivered yet.", no_args_is_help=True)


@app.command()
def status(format: FormatOption = Format.TABLE) -> None:
    """Show what waits for each sink, and how the sink is doing. `devices` is the gateway's own device view."""
    settings = load_settings()
    from gateway.cli.spool_status import statuses_without_gateway
    from gateway.command_socket import ask

    told = ask(settings.gateway_data_dir, "sinks")
    statuses = told if told is not None else statuses_without_gateway(settings)
    if format is Format.JSON:
        print_json(statuses)
        return
    _print_statuses(statuses)


@app.command()
def drain(
    sink: Annotated[str | None, typer.Option(metavar="NAME", help="Only for this sink")] = None,
    timeout: Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="Longest to wait")] = 60.0,
    format: FormatOption = Format.TABLE,
) -> None:
    """Wait until what is in the spools now is delivered; where no gateway runs, deliver it.

    Exit code 1 where it is not all delivered in time; it stays in the spools then.
    """
    settings = load_settings()
    from gateway.cli.spool_drain import drained
    from gateway.cli.spool_watch import complain

    result = drained(settings, lambda there: _chosen(sink, there, settings), timeout_s=timeout)
    if format is Format.JSON:
        print_json(result.as_json())
    elif result.is_complete:
        delivered = sum(result.total.values())
        done = f"Uplinks delivered: {delivered:,}." if delivered else "Nothing had to be delivered."
        print_line(f"Drained: {', '.join(result.total)}. {done}")
    if not result.is_complete:
        raise complain(result, timeout)


def _chosen(sink: str | None, there: Sequence[str], settings: Settings) -> list[str]:
    """The sinks to drain, of those that there are."""
    if sink is None:
        return list(there)
    if sink not in there:
        hint = f"there are {', '.join(there)}; docs/sinks.md says which setting switches a sink on"
        raise NotFoundError(f"there is no sink {sink} here", hint=hint)
    return [sink]


def _print_statuses(statuses: Sequence[Mapping[str, JsonValue]]) -> None:
    now_ms = time.time_ns() // 1_000_000
    print_table(
        ("sink", "state", "waiting", "bytes", "oldest", "per second", "delivered", "refused", "destination"),
        (
            (
                one["name"],
                one["state"],
                f"{one['waiting_uplinks']:,}",
                f"{one['waiting_bytes']:,}",
                "" if one["oldest_ts"] is None else age_text(now_ms - one["oldest_ts"]),
                f"{one['rate_per_s']:,.1f}",
                f"{one['delivered']:,}",
                f"{one['refused']:,}",
                one["destination"],
            )
            for one in statuses
        ),
    )
    for one in statuses:
        error = one["last_error"]
        if error is not None:
            print_line()
            print_line(f"{one['name']}, {time_text(error['ts'])}, {error['trouble']}: {error['message']}")
            for line in error["hint"].splitlines():
                print_line(f"    {line}")


def age_text(age_ms: int) -> str:
    """How long ago something was, in its largest two units; the clock may have been set back meanwhile."""
    seconds = max(0, age_ms) // 1000
    for unit_s, unit, part_s, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= unit_s:
            return f"{seconds // unit_s} {unit} {seconds % unit_s // part_s} {part}"
    return f"{seconds} s"
