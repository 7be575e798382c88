"""The options that make an uplink for a converter to be tried on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from gateway.cli.inputs import check_json, parse_base64, parse_hex, parse_metadata, read_file
from gateway.errors import UsageError
from gateway.model import Integration, Principal
from gateway.operations.converters import metadata_for

if TYPE_CHECKING:
    from gateway.storage.catalogue import Catalogue

PAYLOAD_BYTES_MAX = 16 << 20
"""Largest payload, in bytes: what a gateway can be set to take at most."""

PrincipalKind = Literal["psk", "x509", "rpk"]

Text = Annotated[str | None, typer.Option(help="Payload: this text")]
Json = Annotated[str | None, typer.Option(help="Payload: this JSON")]
Hex = Annotated[str | None, typer.Option(help='Payload: these bytes, such as "53 4e 2d"')]
Base64 = Annotated[str | None, typer.Option(help="Payload: these bytes in base64")]
Cbor = Annotated[str | None, typer.Option(help="Payload: CBOR, in its diagnostic notation (RFC 8949 §8)")]
PayloadFile = Annotated[Path | None, typer.Option(help="Payload: a file's bytes; - reads standard input")]
Metadata = Annotated[
    list[str] | None, typer.Option(help="KEY=VALUE of the metadata, beside what an uplink has anyway; may be repeated")
]
ContentFormat = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Content-Format; --text 0, --hex and --base64 42, --json 50, --cbor 60",
        show_default=False,
    ),
]
PrincipalName = Annotated[str | None, typer.Option("--principal", help="Name of the identity that a DTLS session has")]
PrincipalType = Annotated[PrincipalKind, typer.Option(help="What that identity is")]
IntegrationName = Annotated[
    str | None, typer.Option("--integration", help="Come by this integration: its metadata, its path")
]


class Uplink(NamedTuple):
    """What a converter is called with."""

    payload: bytes
    metadata: dict[str, str]


class Given(NamedTuple):
    """The options as they were given. Fields are named as they are."""

    text: str | None
    json: str | None
    hex: str | None
    base64: str | None
    cbor: str | None
    payload_file: Path | None
    metadata: list[str] | None
    content_format: int | None
    principal: str | None
    principal_type: PrincipalKind
    integration: str | None

    @property
    def has_payload(self) -> bool:
        """Whether any of the payload's options was given."""
        return bool(self._payloads())

    def refuse(self) -> None:
        """Raises UsageError where there are options for a payload that is not there."""
        for name in ("metadata", "content_format", "principal", "integration"):
            if getattr(self, name) not in (None, []):
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} needs a payload to go with", hint="give one, such as --json '{\"t\": 21}'")

    def uplink(self, converter: str, catalogue: "Catalogue | None") -> Uplink:
        """The payload, and its metadata as a request with it would have it.

        Raises UsageError where there is none or more than one, NotFoundError for the integration.
        """
        payload, content_format = self._payload()
        if self.content_format is not None:
            content_format = self.content_format
        if self.integration is None or catalogue is None:
            integration = Integration("test", converter, "test")
        else:
            integration = catalogue.integration(self.integration)
        principal = None if self.principal is None else Principal(self.principal_type, self.principal)
        metadata = metadata_for(integration, content_format=content_format, principal=principal)
        return Uplink(payload, metadata | parse_metadata(self.metadata or []))

    def _payloads(self) -> list[str]:
        names = ("text", "json", "hex", "base64", "cbor", "payload_file")
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) is not None]

    def _payload(self) -> tuple[bytes, int | None]:
        given = self._payloads()
        if len(given) != 1:
            raise UsageError(
                f"{' and '.join(given)} exclude each other" if given else "there is no payload",
                hint="give one of --text, --json, --hex, --base64, --cbor and --payload-file",
            )
        if self.text is not None:
            return self.text.encode("utf-8", "surrogateescape"), 0
        if self.json is not None:
            return check_json(self.json), 50
        if self.hex is not None:
            return parse_hex(self.hex), 42
        if self.base64 is not None:
            return parse_base64(self.base64), 42
        if self.cbor is not None:
            from gateway.converters import cbor_notation

            return cbor_notation.encode(self.cbor), 60
        assert self.payload_file is not None
        return read_file(self.payload_file, limit_bytes=PAYLOAD_BYTES_MAX), None
