"""`gateway session`: the DTLS sessions of the running gateway."""

from typing import Annotated, Final

import typer

from gateway.cli.output import Format, FormatOption, print_json, print_line, print_note, print_table, program, time_text
from gateway.errors import UnavailableError
from gateway.model import JsonValue
from gateway.settings import Settings, load_settings

PORTION: Final = 1000
"""Most sessions that are asked for at a time."""

app = typer.Typer(help="DTLS sessions of the running gateway.", no_args_is_help=True)


@app.command("list")
def list_(
    search: Annotated[
        str, typer.Option(help="Only those with this in principal, address, connection ID or fingerprint")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most to list")] = 1000,
    format: FormatOption = Format.TABLE,
) -> None:
    """List the DTLS sessions that are established, worker by worker, the oldest first."""
    settings = load_settings()
    sessions: list[JsonValue] = []
    after = None
    while len(sessions) < limit:
        wanted = min(PORTION, limit - len(sessions))
        portion = _ask(settings, "sessions", {"search": search, "limit": wanted, "after": after})
        sessions += portion["items"]
        after = portion["next"]
        if after is None:
            break
    if after is not None:
        print_note(f"hint: only the first {limit} are listed; --limit lists more, --search fewer")
    if format is Format.JSON:
        print_json(sessions)
        return
    print_table(
        ("id", "principal", "kind", "address", "cipher suite", "connection ID", "established", "last heard"),
        (
            (
                one["id"],
                one["principal"] or "",
                one["principal_type"] or "",
                one["address"],
                one["cipher_suite"],
                one["connection_id"] or "",
                time_text(one["established_ts"]),
                time_text(one["last_heard_ts"]),
            )
            for one in sessions
        ),
    )


@app.command()
def end(
    id: Annotated[str, typer.Argument(help="The session's id, as gateway session list shows it")],
    format: FormatOption = Format.TABLE,
) -> None:
    """End a session: its peer is told, and can't resume it. With its credentials it may begin another one."""
    ended = _ask(load_settings(), "end_session", {"id": id})
    if format is Format.JSON:
        print_json(ended)
        return
    kind, name = ended["principal_type"], ended["principal"]
    whose = "a peer without identity" if name is None else f'{kind} "{name}"'
    print_line(f"The session of {whose} from {ended['address']} is ended.")
    cure = {"psk": "psk remove IDENTITY", "x509": "trust remove, or a revocation list", "rpk": "trust remove"}
    if kind in cure:
        print_note(f"hint: it may begin another one; what keeps it out: {program()} {cure[kind]}")


def _ask(settings: Settings, command: str, of: JsonValue) -> JsonValue:
    from gateway.command_socket import ask

    answer = ask(settings.gateway_data_dir, command, of)
    if answer is None:
        raise UnavailableError(
            f"no gateway runs on {settings.gateway_data_dir}",
            hint=f"sessions are the running gateway's: {program()} serve",
        )
    return answer
