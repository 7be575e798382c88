"""The options of `gateway send` that are for a `coaps://` URL."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

import typer

from gateway.errors import UsageError

PskIdentity = Annotated[str | None, typer.Option(help="DTLS: identity of a pre-shared key")]
PskKey = Annotated[str | None, typer.Option(help="DTLS: the pre-shared key as text; others see it in the process list")]
PskKeyHex = Annotated[str | None, typer.Option(help="DTLS: the pre-shared key in hex; others see it likewise")]
PskKeyFile = Annotated[
    Path | None,
    typer.Option(help="DTLS: a file with the pre-shared key; the end of a text's only line is no part of it"),
]
Cert = Annotated[Path | None, typer.Option(help="DTLS: client certificate with its chain, PEM; may hold the key too")]
Key = Annotated[Path | None, typer.Option(help="DTLS: key of the client certificate, PEM")]
KeyPassword = Annotated[str | None, typer.Option(help="DTLS: password of that key")]
Ca = Annotated[Path | None, typer.Option(help="DTLS: CAs that the server's certificate is checked against, PEM")]
Insecure = Annotated[bool, typer.Option("--insecure", help="DTLS: take any server certificate")]
ServerName = Annotated[
    str | None,
    typer.Option(help="DTLS: name that the server's certificate must be for", show_default="the host in the URL"),
]
CidLength = Annotated[
    str | None,
    typer.Option(help="DTLS: length of our connection IDs; none: offer no connection IDs", show_default="0"),
]
SessionFile = Annotated[
    Path | None,
    typer.Option("--session", help="DTLS: file with a session to resume, and to keep this one in; it holds secrets"),
]
Suite = Annotated[
    list[str] | None, typer.Option(help="DTLS: offer this cipher suite; may be repeated", show_default="all that fit")
]


@dataclass(frozen=True, slots=True)
class DtlsOptions:
    """The options as they were given. Fields are named as they are."""

    psk_identity: str | None = None
    psk_key: str | None = field(default=None, repr=False)
    psk_key_hex: str | None = field(default=None, repr=False)
    psk_key_file: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    ca: Path | None = None
    insecure: bool = False
    server_name: str | None = None
    cid_length: str | None = None
    session: Path | None = None
    suite: list[str] | None = None

    def refuse(self) -> None:
        """Raises UsageError where any of them was given: for `coap://`."""
        given = self.given(*(one.name for one in fields(self)))
        if given:
            raise UsageError(f"{given[0]} is for DTLS", hint="send to a coaps:// endpoint, or leave it out")

    def given(self, *names: str) -> list[str]:
        """Which of some options were given, as they are typed."""
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) not in (None, False, [])]
