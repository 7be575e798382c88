"""`gateway trust`: which clients' certificates and public keys are trusted."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from gateway.cli.inputs import read_file
from gateway.cli.integration import note_dtls_off, open_catalogue
from gateway.cli.output import Format, FormatOption, print_json, print_line, print_note, print_table, time_text
from gateway.integrations.endpoints import check_name
from gateway.model import JsonValue
from gateway.presentation.trust import as_json
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.storage.credential_store import Trusted, TrustedKind

app = typer.Typer(help="Which clients' certificates and public keys are trusted.", no_args_is_help=True)


class TrustAs(StrEnum):
    """What a certificate is trusted as; the kinds of `Trusted` that a certificate can be."""

    CA = "ca"
    DEVICE = "device"


_KINDS: Final[Mapping[TrustAs, Literal["ca", "device"]]] = {TrustAs.CA: "ca", TrustAs.DEVICE: "device"}


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="Certificates or a public key, PEM or DER; - reads standard input")],
    trust_as: Annotated[
        TrustAs | None,
        typer.Option(
            "--as",
            help="ca: what it issued is trusted; device: it alone is",
            show_default="as the certificate says",
            case_sensitive=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call it", show_default="the certificate's CN, or the file's name")
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Trust the certificates in a file, of CAs or of single devices, or a raw public key (RFC 7250).

    A running gateway has followed when this ends. What is trusted already stays as it is.
    """
    from gateway.credentials.files import MAX_FILE_BYTES
    from gateway.operations.trust import add_trusted, read_trusted

    settings = load_settings()
    if name is not None:
        check_name("certificate", name)
    kind: TrustedKind | None = None if trust_as is None else _KINDS[trust_as]
    content = read_file(file, limit_bytes=MAX_FILE_BYTES)
    found = read_trusted(content, f"file {str(file)!r}", kind=kind, name=name, key_name=file.stem)
    with open_catalogue(settings) as catalogue:
        additions = add_trusted(catalogue, found, kind=kind, name=name)
    if format is Format.JSON:
        print_json([as_json(one.trusted) for one in additions])
    else:
        for one in additions:
            _print_added(one.trusted, already=one.already)
    note_dtls_off(settings)
    if settings.coap_dtls_client_auth == "NONE":
        print_note("hint: no client is asked for a certificate; set COAP_DTLS_CLIENT_AUTH to WANTED or NEEDED")


@app.command("list")
def list_(format: FormatOption = Format.TABLE) -> None:
    """List what is trusted beside what is in COAP_DTLS_TRUST_STORE."""
    with open_catalogue(load_settings()) as catalogue:
        shapes = [as_json(one) for one in catalogue.credentials.trusted()]
    if format is Format.JSON:
        print_json(shapes)
        return
    print_table(
        ("name", "kind", "subject", "valid until", "fingerprint"),
        ((s["name"], s["kind"], s["subject"] or "", _validity(s), s["fingerprint"]) for s in shapes),
    )


@app.command()
def remove(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FINGERPRINT", help="Its name, or its fingerprint's first 8 digits or more")
    ],
) -> None:
    """Trust something no longer; the sessions that it vouches for end."""
    with open_catalogue(load_settings()) as catalogue:
        trusted = catalogue.credentials.remove_trusted(name)
    print_line(f"{_title(trusted)} is no longer trusted.")


def _print_added(trusted: "Trusted", *, already: bool) -> None:
    shape = as_json(trusted)
    print_line(f"{_title(trusted)} is trusted{' already' if already else ''}.")
    print_line(f"  fingerprint  {trusted.fingerprint}")
    if trusted.kind != "key":
        print_line(f"  subject      {shape['subject']}")
        print_line(f"  valid until  {_validity(shape)}")
    if shape["expired"]:
        print_note(f'hint: "{trusted.name}" has expired: whom it vouches for is refused')


def _title(trusted: "Trusted") -> str:
    noun = {"ca": "CA", "device": "Device certificate", "key": "Public key"}[trusted.kind]
    return f'{noun} "{trusted.name}"'


def _validity(shape: dict[str, JsonValue]) -> str:
    if shape["expires_ts"] is None:
        return ""
    return time_text(shape["expires_ts"]) + (" EXPIRED" if shape["expired"] else "")
