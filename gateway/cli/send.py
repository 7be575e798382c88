"""`gateway send`: one CoAP request, as a device would send it."""

import asyncio
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

import typer

from gateway.cli.inputs import check_json, parse_hex, read_file
from gateway.cli.output import print_line
from gateway.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from aiocoap import Message

PAYLOAD_BYTES_MAX = 16 << 20
"""Largest payload that is sent, in bytes: what a gateway can be set to take at most."""

TEXT_PLAIN, OCTET_STREAM, APPLICATION_JSON = 0, 42, 50
"""CoAP content formats (RFC 7252 §12.3)."""


class Method(StrEnum):
    """The methods that an endpoint takes."""

    POST = "post"
    PUT = "put"


class Body(NamedTuple):
    """What is sent, and as what."""

    payload: bytes
    content_format: int | None


def send(
    url: Annotated[str, typer.Argument(help="Endpoint URL, such as coap://127.0.0.1/i/ROUTING_KEY")],
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
    timeout: Annotated[float, typer.Option(min=0.1, max=3600, help="Most seconds to wait for the response")] = 10.0,
) -> None:
    """Send a payload, as a device would.

    Goes over plain CoAP, and prints the response: its code, then its diagnostic payload. Exit code 0 for
    2.xx, 1 for every other response and where none comes in time.
    """
    _check_url(url)
    body = _body(text, json, hex, file)
    if content_format is not None:
        body = body._replace(content_format=content_format)
    response = asyncio.run(_request(url, method, body, non=non, timeout_s=timeout))
    print_line(str(response.code))
    if response.payload:
        print_line(_readable(response.payload))
    raise typer.Exit(0 if response.code.is_successful() else 1)


async def _request(url: str, method: Method, body: Body, *, non: bool, timeout_s: float) -> "Message":
    """The response to one request, block-wise where it is long; raises UnavailableError where none comes."""
    import aiocoap
    from aiocoap.error import Error

    message = aiocoap.Message(
        code=aiocoap.POST if method is Method.POST else aiocoap.PUT,
        uri=url,
        payload=body.payload,
        content_format=body.content_format,
        transport_tuning=aiocoap.Unreliable() if non else aiocoap.Reliable(),
    )
    context = await aiocoap.Context.create_client_context(transports=["udp6"])
    try:
        async with asyncio.timeout(timeout_s):
            return await context.request(message).response
    except TimeoutError:
        raise _no_response(url, f"within {timeout_s:g} s") from None
    except Error as error:
        raise _no_response(url, f"({_reason(error)})") from None
    finally:
        await context.shutdown()


def _reason(error: Exception) -> str:
    cause = error.__cause__
    return os.strerror(cause.errno) if isinstance(cause, OSError) and cause.errno else str(error)


def _no_response(url: str, why: str) -> UnavailableError:
    return UnavailableError(
        f"no response from {url} {why}",
        hint="is the gateway running, and on this address and port? (gateway check)",
    )


def _check_url(url: str) -> None:
    """Refuse what is no URL of a CoAP resource; raises UsageError."""
    hint = "write it like coap://127.0.0.1/i/ROUTING_KEY (gateway integration show NAME prints it)"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL: {error}", hint=hint) from None
    if parts.scheme == "coaps":
        raise UsageError("coaps:// is not available in this version", hint="send to a coap:// endpoint")
    if parts.scheme != "coap":
        raise UsageError(f"{url!r} is no coap:// URL", hint=hint)
    if not parts.hostname or port == 0 or parts.fragment or parts.username is not None:
        raise UsageError(f"{url!r} is no URL of a CoAP resource (RFC 7252 §6.1)", hint=hint)


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
