"""`gateway certs`: an authority, a server and clients, made into one folder."""

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import certs_inspect, certs_issued
from gateway.cli.certs_folder import Folder, folder_option, open_folder, quoted
from gateway.cli.output import print_line, print_note, program
from gateway.credentials.choices import DAYS_MAX, FOLDER, LEAF_DAYS, KeyType
from gateway.errors import UsageError
from gateway.model import Security
from gateway.presentation.commands import SampleFiles, by_certificate
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.credentials.folder import CertificateFolder, Issued

AUTHORITY_DAYS = 3650
"""Validity of an authority, in days."""

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""What a server's certificate is for in any case."""

app = typer.Typer(help="Certificates: make, list, look at, check and revoke them.", no_args_is_help=True)

Days = Annotated[int, typer.Option(min=1, max=DAYS_MAX, help="Validity, in days from now")]
Kind = Annotated[
    KeyType | None, typer.Option(help="Kind of key  [default: p256]", case_sensitive=False, show_default=False)
]
Renew = Annotated[bool, typer.Option("--renew", help="Make certificate and key anew, whatever is there")]


@app.command()
def authority(
    name: Annotated[
        str | None, typer.Option(help="What it is called  [default: gateway development CA]", show_default=False)
    ] = None,
    folder: Folder = FOLDER,
    days: Days = AUTHORITY_DAYS,
    key_type: Kind = None,
    renew: Annotated[bool, typer.Option("--renew", help="Give it new dates; its key and its name stay")] = False,
) -> None:
    """Make an authority (CA), which vouches for the server and the devices."""
    from gateway.credentials.folder import Options

    with open_folder(folder) as there:
        issued = there.authority(Options(days, key_type, renew), name)
        _print_issued(issued, "authority")
    print_line()
    print_line(f"On the server (COAP_DTLS_TRUST_STORE) and on every device: {issued.certificate_file}")
    print_line(
        f"Nowhere else than here: {issued.key_file}. Whoever has it can pass for any device, and for the server."
    )
    print_line(f"Next: {program()} certs server{folder_option(folder)}")


@app.command()
def server(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Host names and IP addresses that devices call  "
            "[default: those it has; at first localhost, 127.0.0.1, ::1 and this host's name]",
            show_default=False,
        ),
    ] = None,
    folder: Folder = FOLDER,
    days: Days = LEAF_DAYS,
    key_type: Kind = None,
    renew: Renew = False,
    encrypt_key: Annotated[
        bool, typer.Option("--encrypt-key", help="Encrypt the key's file with COAP_DTLS_PEM_KEY_PASSWORD")
    ] = False,
) -> None:
    """Make the server's certificate: PEM files, a JKS and a PKCS#12 keystore.

    It is for localhost, 127.0.0.1 and ::1 too, so that it can be tried on the spot.
    The keystores get the alias and the passwords of the settings, ThingsBoard's by default.
    """
    from gateway.credentials.folder import Options
    from gateway.credentials.server_keystores import jks_available, write_keystores

    settings = load_settings()
    with open_folder(folder) as there:
        _ensure_authority(there)
        wanted = [*names, *LOCAL_NAMES] if names else ()
        issued = there.server(wanted, _default_names(), Options(days, key_type, renew, encrypt_key))
        _print_issued(issued, "server")
        stores = list(write_keystores(issued, settings))
    for file, change in stores:
        print_line(f"{change:<8} {file}")
    if not jks_available():
        print_note("note: no JKS keystore is written, for pyjks is not installed: pip install pyjks")
    _print_server_use(there, issued, stores[0][0])


@app.command()
def client(
    name: Annotated[str, typer.Argument(help="The device's name; becomes the CN and part of the files' names")],
    san: Annotated[
        list[str] | None,
        typer.Option(help="Another name: host, IP address, URI or e-mail; may be repeated", show_default=False),
    ] = None,
    folder: Folder = FOLDER,
    days: Days = LEAF_DAYS,
    key_type: Kind = None,
    renew: Renew = False,
) -> None:
    """Make a device's certificate."""
    from gateway.credentials.folder import Options, check_client_name

    check_client_name(name)
    settings = load_settings()
    with open_folder(folder) as there:
        _ensure_authority(there)
        issued = there.client(name, san or (), Options(days, key_type, renew))
        _print_issued(issued, "client")
    files = SampleFiles(*map(quoted, (issued.certificate_file, issued.key_file, there.authority_file)))
    url = f"{settings.base_url(Security.DTLS)}/i/ROUTING_KEY"
    print_line()
    print_line(f"On the device: {issued.certificate_file}, {issued.key_file} and {there.authority_file}")
    print_line(f"On the server (COAP_DTLS_TRUST_STORE): {there.authority_file}")
    print_line(f"Send as this device ({program()} integration show NAME prints the URL):")
    for command in by_certificate(url, program=program(), device=name, files=files):  # a binding lets it send that
        print_line(f"  {command}")


app.command("list")(certs_issued.list_)
app.command("revoke")(certs_issued.revoke)
app.command("inspect")(certs_inspect.inspect)
app.command("verify")(certs_inspect.verify)


def _ensure_authority(there: "CertificateFolder") -> None:
    from gateway.credentials.folder import Change, Options

    issued = there.authority(Options(AUTHORITY_DAYS))
    if issued.change is Change.KEPT:
        _note_exposure(issued.key_file)
    else:
        _print_issued(issued, "authority")


def _default_names() -> list[str]:
    from gateway.credentials.issuing import host_name

    names = [*LOCAL_NAMES]
    own = socket.gethostname()
    try:
        host_name(own)
    except UsageError:  # this host is called what no certificate can hold
        return names
    return names if own in names else [*names, own]


def _print_issued(issued: "Issued", noun: str) -> None:
    from gateway.credentials.issuing import alternative_names, common_name
    from gateway.credentials.server import EXPIRY_WARNING_DAYS

    certificate = issued.certificate
    end = certificate.not_valid_after_utc
    names = ", ".join(alternative_names(certificate))
    also = f" ({names})" if names else ""
    reason = f", for {issued.reason}" if issued.reason else ""
    print_line(
        f"{issued.change:<8} {issued.certificate_file}: {noun} {common_name(certificate)!r}{also}, "
        f"valid until {end:%Y-%m-%d}{reason}"
    )
    print_line(f"{issued.key_change:<8} {issued.key_file}")
    days_left = int((end.timestamp() - time.time()) // 86_400)
    if days_left < EXPIRY_WARNING_DAYS:
        print_note(f"note: {issued.certificate_file} expires in {days_left} days: make it anew with --renew")
    _note_exposure(issued.key_file)


def _note_exposure(key_file: Path) -> None:
    if key_file.stat().st_mode & 0o077:
        print_note(f"note: {key_file} can be read by others: chmod 600 {quoted(key_file)}")


def _print_server_use(there: "CertificateFolder", issued: "Issued", keystore: Path) -> None:
    print_line()
    print_line("On the server, in the environment or in .env:")
    print_line("  COAP_SECURITY_MODE=MIXED")
    print_line(f"  COAP_DTLS_PEM_CERT={quoted(issued.certificate_file)}")
    print_line(f"  COAP_DTLS_PEM_KEY={quoted(issued.key_file)}")
    print_line(f"  COAP_DTLS_TRUST_STORE={quoted(there.authority_file)}")
    if there.crl_file.exists():
        print_line(f"  COAP_DTLS_CRL={quoted(there.crl_file)}")
    kind = "JKS" if keystore.suffix == ".jks" else "PKCS12"
    print_line("or, in place of the two PEM files:")
    print_line("  COAP_DTLS_CREDENTIALS_TYPE=KEYSTORE")
    print_line(f"  COAP_DTLS_KEY_STORE={quoted(keystore)}")
    print_line(f"  COAP_DTLS_KEY_STORE_TYPE={kind}")
    print_line(f"On devices: {there.authority_file}")
    print_line(f"Next: {program()} certs client NAME{folder_option(there.path)}")
