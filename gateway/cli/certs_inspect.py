"""`gateway certs inspect` and `gateway certs verify`: what certificates say, and whether they would do."""

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.cli.findings import Mark
from gateway.cli.integration import open_catalogue
from gateway.cli.output import Format, FormatOption, print_fields, print_json, print_line
from gateway.credentials.choices import Purpose
from gateway.dtls.codes import AlertDescription
from gateway.model import JsonValue, Principal
from gateway.settings import Settings, load_settings

if TYPE_CHECKING:
    from gateway.dtls.trust import TrustPolicy


_CURES: Final[Mapping[AlertDescription, str]] = {
    AlertDescription.UNKNOWN_CA: (
        "trust its CA: gateway trust add CA.pem, or COAP_DTLS_TRUST_STORE=CA.pem, or here --ca CA.pem"
    ),
    AlertDescription.BAD_CERTIFICATE: (
        "a CA of that name but with another key is trusted: trust the one that issued it, or have it issued again"
    ),
    AlertDescription.CERTIFICATE_EXPIRED: (
        "make it anew: gateway certs client NAME --renew; its CA: gateway certs authority --renew; is the clock right?"
    ),
    AlertDescription.CERTIFICATE_REVOKED: "make another one: gateway certs client NAME",
    AlertDescription.UNSUPPORTED_CERTIFICATE: (
        "gateway certs client NAME makes one that is taken: with clientAuth, and a key on P-256; "
        "a server's certificate is judged with --purpose server"
    ),
    AlertDescription.CERTIFICATE_UNKNOWN: "have it issued again without what is named above",
}

_SERVER_CURES: Final[Mapping[AlertDescription, str]] = {
    AlertDescription.CERTIFICATE_EXPIRED: (
        "make it anew: gateway certs server --renew; its CA: gateway certs authority --renew; is the clock right?"
    ),
    AlertDescription.CERTIFICATE_REVOKED: "make another one: gateway certs server --renew",
    AlertDescription.UNSUPPORTED_CERTIFICATE: (
        "gateway certs server makes one that is taken: with serverAuth, and a key on P-256"
    ),
}
"""Those that differ where a server's certificate is judged."""


def inspect(
    files: Annotated[list[Path], typer.Argument(help="Certificates, revocation lists, keys or keystores")],
    password: Annotated[
        str | None,
        typer.Option(help="Of keystores and keys  [default: those of the settings are tried]", show_default=False),
    ] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Show what is in files: names, validity, keys, usages, fingerprints, and what fits what."""
    from gateway.credentials.files import read_file
    from gateway.credentials.inspection import read_items
    from gateway.presentation.certificate import as_json

    passwords = [password] if password is not None else _known_passwords(load_settings())
    items = [item for file in files for item in read_items(read_file(file, str(file)), passwords)]
    shapes = [as_json(item, items) for item in items]
    if format is Format.JSON:
        print_json(shapes)
        return
    for number, shape in enumerate(shapes):
        if number:
            print_line()
        print_fields({name.replace("_", " "): text for name, value in shape.items() if (text := _text(name, value))})


def verify(
    what: Annotated[str, typer.Argument(metavar="FILE|URL", help="A certificate's file, or coaps://HOST[:PORT]")],
    ca: Annotated[
        Path | None,
        typer.Option(help="CAs to trust, PEM  [default: for a file, what the gateway trusts]", show_default=False),
    ] = None,
    purpose: Annotated[Purpose, typer.Option(help="Of a file: what it is to be good for")] = Purpose.CLIENT,
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Of a URL: most seconds to wait")] = 10.0,
) -> None:
    """Say whether the gateway would accept a certificate, or show what a server presents.

    Exit code 0 where it is accepted, 1 where it is not.
    """
    if what.startswith("coaps://"):
        from gateway.cli.handshakes import verify_server

        raise typer.Exit(verify_server(what, ca=ca, timeout_s=timeout))
    raise typer.Exit(0 if _verify_file(Path(what), ca, purpose) else 1)


def _text(name: str, value: JsonValue) -> str:
    """A value in the table; empty where there is nothing to say."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or ("none of these files" if name in ("key_in", "certificate_in") else "")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "locked: give its password with --password" if (name, value) == ("state", "locked") else str(value)


def _known_passwords(settings: Settings) -> list[str]:
    known = (
        settings.coap_dtls_key_store_password,
        settings.coap_dtls_key_password,
        settings.coap_dtls_pem_key_password,
        settings.coap_dtls_trust_store_password,
    )
    return list(dict.fromkeys(one.get_secret_value() for one in known))


def _verify_file(file: Path, ca: Path | None, purpose: Purpose) -> bool:
    from cryptography.hazmat.primitives.serialization import Encoding

    from gateway.credentials.files import read_file
    from gateway.credentials.pem import read_certificates
    from gateway.dtls.alerts import AlertError

    chain = [one.public_bytes(Encoding.DER) for one in read_certificates(read_file(file, str(file)).data, str(file))]
    policy, findings = _policy(ca)
    now_s = time.time()
    try:
        if purpose is Purpose.CLIENT:
            principal = policy.client_principal(chain, now_s)
        else:
            principal = policy.server_principal(chain, now_s, server_name=None)
    except AlertError as error:
        print_line(f"{Mark.FAILED} {file}: {error.description.name.lower()}: {error.reason}")
        cures = {**_CURES, **(_SERVER_CURES if purpose is Purpose.SERVER else {})}
        print_line(f"    {cures.get(error.description, 'have it issued again')}")
        accepted = False
    else:
        print_line(f"{Mark.OK} {file}: accepted as {purpose} {principal.name!r}, valid until {_end(principal)}")
        accepted = True
    for finding in (*findings, *policy.findings(now_s)):
        print_line(f"{Mark.WARNING} {finding}")
    return accepted


def _end(principal: Principal) -> str:
    return f"{datetime.fromtimestamp(principal.expires_s or 0, UTC):%Y-%m-%d}"


def _policy(ca: Path | None) -> "tuple[TrustPolicy, Sequence[str]]":
    """What the gateway trusts: files and catalogue; with `ca`, that file in place of both. Revocation lists count."""
    from gateway.credentials.files import read_file
    from gateway.credentials.pem import read_certificates
    from gateway.credentials.trust_files import load_trust_files
    from gateway.dtls.trust import TrustPolicy
    from gateway.listeners.dtls_policy import trust_policy
    from gateway.storage.catalogue import FILE_NAME

    settings = load_settings()
    files = load_trust_files(settings)
    skip_validity = settings.tb_coap_x509_dtls_skip_validity_check_for_client_cert
    if ca is not None:
        anchors = read_certificates(read_file(ca, f"--ca={ca}").data, f"--ca={ca}")
        return TrustPolicy(anchors, crls=files.crls, skip_validity=skip_validity), files.findings
    # A catalogue is not made by looking.
    there = os.path.exists(settings.gateway_data_dir / FILE_NAME)
    trusted = []
    if there:
        with open_catalogue(settings) as catalogue:
            trusted = catalogue.credentials.trusted()
    return trust_policy(settings, files, trusted), files.findings
