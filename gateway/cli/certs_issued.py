"""`gateway certs list` and `gateway certs revoke`: what an authority has issued, and what of it counts no longer."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.certs_folder import Folder, open_folder, quoted
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_note, print_table, time_text
from gateway.credentials.choices import CRL_DAYS, CRL_FILE, DAYS_MAX, FOLDER
from gateway.errors import ConfigurationError, UsageError
from gateway.model import JsonValue
from gateway.settings import load_settings


def list_(
    search: Annotated[
        str, typer.Option(help="Only those with this in a name, the serial number or the fingerprint")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most to list")] = 1000,
    folder: Folder = FOLDER,
    format: FormatOption = Format.TABLE,
) -> None:
    """List what the authority has issued, by command or in the console, the newest first."""
    from gateway.operations.certificates import issued_certificates, what_enforces
    from gateway.presentation.certificate import issued_as_json

    issued = issued_certificates(folder, search=search)
    for finding in issued.findings:
        print_note(f"note: {finding}")
    if len(issued.certificates) > limit:
        print_note(f"hint: only the first {limit} are listed; --limit lists more, --search fewer")
    if any(one.revoked_ms is not None for one in issued.certificates):
        try:
            unenforced = what_enforces(load_settings(), folder)
        except ConfigurationError as error:
            unenforced = error.message
        if unenforced:
            print_note(f"note: what is revoked is not in force here: {unenforced}")
    shapes = [issued_as_json(*one) for one in issued.certificates[:limit]]
    if format is Format.JSON:
        print_json(shapes)
        return
    print_table(
        ("name", "serial", "for", "other names", "valid until", "days left", "state"),
        (
            (
                one["name"],
                one["serial"],
                one["purpose"],
                ", ".join(one["names"]),
                one["valid_until"][:10],
                str(one["days_left"]),
                _state(one),
            )
            for one in shapes
        ),
    )


def revoke(
    what: Annotated[
        str | None, typer.Argument(help="A client's name, or the file of a certificate", show_default=False)
    ] = None,
    serial: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="In place of it its serial number, as certs list has it", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Revoke a serial number that is not on record, too")] = False,
    folder: Folder = FOLDER,
    days: Annotated[int, typer.Option(min=1, max=DAYS_MAX, help="When the next list is due, in days")] = CRL_DAYS,
) -> None:
    """Put a certificate on the authority's revocation list, ca.crl."""
    if (what is None) == (serial is None):
        raise UsageError(
            "one certificate is revoked at a time", hint="give a client's name or a certificate's file, or --serial HEX"
        )
    if force and serial is None:
        raise UsageError("--force is for --serial", hint="leave it out: a certificate's file says who issued it")
    if serial is not None:
        _revoke_serial(serial, folder, days, unrecorded=force)
    else:
        _revoke_file(what or "", folder, days)
    _print_force(folder)


def _print_force(folder: Path) -> None:
    """Say what has to be done for the list to be in force, and have a running gateway look at it."""
    from gateway.operations.catalogue import follow_files
    from gateway.operations.certificates import what_enforces

    settings = load_settings()
    if not what_enforces(settings, folder):
        late: list[str] = []
        follow_files(settings.gateway_data_dir, late.append)
        for why in late:
            print_note(f"note: the running gateway follows when it can: {why}")
        print_line("A gateway that was started with COAP_DTLS_CRL goes by it now.")
        return
    print_line()
    print_line("On the server, once, before a restart; from then on the gateway follows by itself:")
    print_line(f"  COAP_DTLS_CRL={quoted(folder / CRL_FILE)}")


def _revoke_file(what: str, folder: Path, days: int) -> None:
    from gateway.credentials.files import read_file
    from gateway.credentials.issuing import common_name
    from gateway.credentials.pem import read_certificates

    named = folder / f"client-{what}.pem"
    file = named if "/" not in what and named.is_file() else Path(what)
    missing = (
        "name a client that `gateway certs client` made, or a certificate's file; "
        "`gateway certs list` shows what to revoke by --serial"
    )
    certificate = read_certificates(read_file(file, str(file), cure_if_missing=missing).data, str(file))[0]
    with open_folder(folder) as there:
        is_new = there.revoke(certificate, days)
    number = f"{certificate.serial_number:x}"
    print_line(f"{file}: {common_name(certificate)!r}, serial number {number}, {_became(is_new)}.")


def _revoke_serial(text: str, folder: Path, days: int, *, unrecorded: bool) -> None:
    from gateway.credentials.register import read_serial

    serial = read_serial(text)
    with open_folder(folder) as there:
        entry, is_new = there.revoke_serial(serial, days, unrecorded=unrecorded)
    whose = "a certificate that is not on record" if entry is None else repr(entry.name)
    print_line(f"{whose}, serial number {serial}, {_became(is_new)}.")


def _became(is_new: bool) -> str:
    return "is revoked" if is_new else "was revoked before"


def _state(one: JsonValue) -> str:
    revoked_ms = one["revoked_ts"]
    return str(one["state"]) if revoked_ms is None else f"revoked since {time_text(revoked_ms)}"
