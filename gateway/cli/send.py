"""`gateway send`: CoAP requests, as a device would send them, plain or over DTLS."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

import typer

from gateway.cli import send_options as dtls
from gateway.cli.inputs import check_json, parse_hex, read_file
from gateway.cli.output import print_line, print_note, time_text
from gateway.errors import ConfigurationError, UnavailableError, UsageError
from gateway.model import Code
from gateway.settings import load_settings

if TYPE_CHECKING:
    from gateway.coap.client import Client, Request
    from gateway.listeners.dtls_client import DtlsClient

COAPS_PORT = 5684
"""Where `coaps://` is served unless the URL says otherwise (RFC 7252 §6.2)."""

PAYLOAD_BYTES_MAX = 16 << 20
"""Largest payload that is sent, in bytes: what a gateway can be set to take at most."""

TEXT_PLAIN, OCTET_STREAM, APPLICATION_JSON = 0, 42, 50
"""CoAP content formats (RFC 7252 §12.3)."""

_ENDED = "its key, CA or certificate was removed, or the gateway is stopping; run it again"


class Method(StrEnum):
    """The methods that an endpoint takes."""

    POST = "post"
    PUT = "put"


class Body(NamedTuple):
    """What is sent, and as what."""

    payload: bytes
    content_format: int | None


def send(
    url: Annotated[str, typer.Argument(help="Endpoint URL, such as coap://127.0.0.1/i/ROUTING_KEY, or coaps://…")],
    text: Annotated[str | None, typer.Option(help="Payload: this text")] = None,
    json: Annotated[str | None, typer.Option(help="Payload: this JSON")] = None,
    hex: Annotated[str | None, typer.Option(help='Payload: these bytes, such as "53 4e 2d"')] = None,
    file: Annotated[Path | None, typer.Option(help="Payload: a file's bytes; - reads standard input")] = None,
    non: Annotated[bool, typer.Option("--non", help="Send it non-confirmable")] = False,
    method: Annotated[Method, typer.Option(help="CoAP method", case_sensitive=False)] = Method.POST,
    content_format: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Content-Format number; --text 0, --hex 42, --json 50", show_default=False),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="Send it so many times, over one session")] = 1,
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Most seconds to wait for each response")] = 10.0,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell of the DTLS session too, on standard error")] = False,
    psk_identity: dtls.PskIdentity = None,
    psk_key: dtls.PskKey = None,
    psk_key_hex: dtls.PskKeyHex = None,
    psk_key_file: dtls.PskKeyFile = None,
    cert: dtls.Cert = None,
    key: dtls.Key = None,
    key_password: dtls.KeyPassword = None,
    ca: dtls.Ca = None,
    insecure: dtls.Insecure = False,
    server_name: dtls.ServerName = None,
    cid_length: dtls.CidLength = None,
    session: dtls.SessionFile = None,
    suite: dtls.Suite = None,
) -> None:
    """Send a payload, as a device would.

    Goes over plain CoAP or, to a coaps:// URL, over DTLS, with a pre-shared key or a certificate. Prints the
    response: its code, then its diagnostic payload. Exit code 0 for 2.xx, 1 for every other response, where none
    comes in time, and where the handshake fails, which is explained.
    """
    from gateway.coap.client import Request

    parts = check_url(url)
    body = _body(text, json, hex, file)
    if content_format is not None:
        body = body._replace(content_format=content_format)
    request = Request(url, body.payload, body.content_format, Code[method.name], confirmable=not non)
    options = dtls.DtlsOptions(
        psk_identity=psk_identity,
        psk_key=psk_key,
        psk_key_hex=psk_key_hex,
        psk_key_file=psk_key_file,
        cert=cert,
        key=key,
        key_password=key_password,
        ca=ca,
        insecure=insecure,
        server_name=server_name,
        cid_length=cid_length,
        session=session,
        suite=suite,
    )
    sending = _Sending(request, parts, options, count, timeout, verbose)
    raise typer.Exit(0 if asyncio.run(sending.run()) else 1)


@dataclass(frozen=True, slots=True)
class _Sending:
    """One run of the command."""

    request: "Request"
    parts: SplitResult
    options: dtls.DtlsOptions
    count: int
    timeout_s: float
    verbose: bool

    async def run(self) -> bool:
        """Send, and print each response; whether all of them were 2.xx. Raises UnavailableError where one is missing.

        The first response's time includes the handshake.
        """
        loop = asyncio.get_running_loop()
        all_well = True
        deadline_s = loop.time() + self.timeout_s
        async with self._plain() if self.parts.scheme == "coap" else self._secure() as client:
            for _ in range(self.count):
                try:
                    async with asyncio.timeout_at(deadline_s):
                        response = await client.request(self.request)
                except TimeoutError:
                    raise self._no_response(f"within {self.timeout_s:g} s") from None
                except UnavailableError as error:
                    raise self._no_response(f"({error.message})") from None
                print_line(response.code)
                if response.payload:
                    print_line(_readable(response.payload))
                all_well = all_well and response.is_success
                deadline_s = loop.time() + self.timeout_s
        return all_well

    @asynccontextmanager
    async def _plain(self) -> AsyncIterator["Client"]:
        from gateway.coap.client import Client

        self.options.refuse()
        client = await Client.over_udp()
        try:
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def _secure(self) -> AsyncIterator["Client"]:
        from gateway.cli.dtls_way import way_of
        from gateway.cli.session_file import load_session, store_session
        from gateway.coap.client import CarriedClient
        from gateway.listeners.dtls_client import DtlsClient

        host, port = unquote(self.parts.hostname or ""), self.parts.port or COAPS_PORT
        config, binding = way_of(self.options, host)
        file, binding = self.options.session, f"{host}:{port}".encode() + binding
        known = load_session(file, binding, config, time.time()) if file else None
        carrier = await DtlsClient.connect(host, port, config, timeout_s=self.timeout_s, resumption=known)
        try:
            if file:
                store_session(file, binding, carrier.resumption)
            if self.verbose:
                _tell(carrier)
            client = CarriedClient(carrier.send, most_bytes=carrier.most_bytes)
            carrier.on_data, carrier.on_end = client.receive, client.end
            try:
                yield client
            except UnavailableError as error:
                if not carrier.ended_by_server:
                    raise
                raise UnavailableError(
                    f"no response from {self.request.url}: the server ended the session", hint=_ENDED
                ) from error
            finally:
                await client.close()
        finally:
            await carrier.close()

    def _no_response(self, why: str) -> UnavailableError:
        hint = "is the gateway running, and on this address and port? (gateway check)"
        if self.parts.scheme == "coaps":
            hint = "the DTLS session was there, so address and credentials are right: see the server's log; try again"
        elif self.parts.port in _dtls_ports():
            hint = f"is this the DTLS port? use coaps://\n{hint}"
        return UnavailableError(f"no response from {self.request.url} {why}", hint=hint)


def _tell(carrier: "DtlsClient") -> None:
    """Say what was agreed on."""
    association = carrier.association
    assert association is not None
    assert association.writer.protection is not None
    print_note(f"suite: {association.suite.name}")
    kind = "resumed session" if association.resumed else "full handshake"
    print_note(f"handshake: {kind}, {carrier.handshake_s * 1000:.1f} ms")
    for whose, cid in (("the server's", association.writer.protection.cid), ("ours", association.cid)):
        print_note(f"connection ID, {whose}: {cid.hex() or 'none'}")
    leaf = carrier.server_certificate
    if leaf is not None:
        expiry = time_text(int(leaf.not_valid_after_utc.timestamp() * 1000))
        print_note(f"server certificate: {leaf.subject.rfc4514_string()}, until {expiry}")
    elif association.principal is not None:
        print_note(f"server: {association.principal.subject or association.principal.name}")


def _dtls_ports() -> set[int]:
    """Where DTLS is likely to be spoken."""
    try:
        return {COAPS_PORT, load_settings().coap_dtls_bind_port}
    except ConfigurationError:  # sending needs no settings, so their mistakes are not its concern
        return {COAPS_PORT}


def check_url(url: str) -> SplitResult:
    """The parts of a URL; raises UsageError for what is none of a CoAP resource."""
    hint = "write it like coap://127.0.0.1/i/ROUTING_KEY (gateway integration show NAME prints it)"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL: {error}", hint=hint) from None
    if parts.scheme not in ("coap", "coaps"):
        raise UsageError(f"{url!r} is no coap:// or coaps:// URL", hint=hint)
    if not parts.hostname or port == 0 or parts.fragment or parts.username is not None:
        raise UsageError(f"{url!r} is no URL of a CoAP resource (RFC 7252 §6.1)", hint=hint)
    return parts


def _body(text: str | None, json: str | None, hex: str | None, file: Path | None) -> Body:
    """The payload of the one option that is given; raises UsageError for none and for several."""
    if [text, json, hex, file].count(None) != 3:
        raise UsageError("a payload is needed, and only one", hint="give one of --text, --json, --hex and --file")
    if text is not None:
        return Body(text.encode("utf-8", "surrogateescape"), TEXT_PLAIN)
    if json is not None:
        return Body(check_json(json), APPLICATION_JSON)
    if hex is not None:
        return Body(parse_hex(hex), OCTET_STREAM)
    assert file is not None
    return Body(read_file(file, limit_bytes=PAYLOAD_BYTES_MAX), None)


def _readable(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload.hex(" ")
