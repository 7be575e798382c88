"""An uplink as a form describes it, for a converter to be tried on."""

import binascii
import json
from base64 import b64decode
from enum import StrEnum
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, Field

from gateway.converters.cbor_notation import encode as encode_cbor
from gateway.errors import NotFoundError, UsageError
from gateway.model import Integration, Principal
from gateway.operations.converters import metadata_for
from gateway.storage.catalogue import Catalogue


class PayloadForm(StrEnum):
    """How a payload is written down."""

    TEXT = "text"
    JSON = "json"
    HEX = "hex"
    BASE64 = "base64"
    CBOR = "cbor"


CONTENT_FORMATS: Final = {
    PayloadForm.TEXT: 0,
    PayloadForm.JSON: 50,
    PayloadForm.HEX: 42,
    PayloadForm.BASE64: 42,
    PayloadForm.CBOR: 60,
}
"""The Content-Format that a device would send it with (RFC 7252 §12.3, RFC 8949 §9.5)."""


class UplinkFields(BaseModel):
    """A payload, and what a converter is told besides it."""

    payload: str = Field(description="As `payload_format` says; CBOR in its diagnostic notation (RFC 8949 §8)")
    payload_format: PayloadForm = PayloadForm.JSON
    content_format: int | None = Field(
        None, ge=0, le=65535, description="Content-Format; where left out: text 0, json 50, hex and base64 42, cbor 60"
    )
    metadata: Annotated[dict[str, str], Field(max_length=1000)] = Field(
        {}, description="Beside what an uplink has anyway, or in its place"
    )
    integration: str | None = Field(None, max_length=255, description="By this integration: its path and key-values")
    principal: str | None = Field(None, max_length=255, description="In a DTLS session of this identity")
    principal_type: Literal["psk", "x509", "rpk"] = "psk"


class Uplink(NamedTuple):
    """What a converter is called with."""

    payload: bytes
    metadata: dict[str, str]


def uplink_of(fields: UplinkFields, catalogue: Catalogue) -> Uplink:
    """The payload, and its metadata as a request with it would have it. Raises UsageError with the field's name."""
    payload = _payload(fields.payload, fields.payload_format)
    content_format = fields.content_format
    if content_format is None:
        content_format = CONTENT_FORMATS[fields.payload_format]
    principal = None if fields.principal is None else Principal(fields.principal_type, fields.principal)
    metadata = metadata_for(
        _integration(fields.integration, catalogue), content_format=content_format, principal=principal
    )
    return Uplink(payload, metadata | fields.metadata)


def _integration(name: str | None, catalogue: Catalogue) -> Integration:
    if name is None:
        return Integration("test", "test", "test")
    try:
        return catalogue.integration(name)
    except NotFoundError as error:
        raise UsageError(error.message, hint=error.hint, field="integration") from None


def _payload(text: str, form: PayloadForm) -> bytes:
    try:
        match form:
            case PayloadForm.TEXT:
                return text.encode()
            case PayloadForm.JSON:
                json.loads(text)
                return text.encode()
            case PayloadForm.HEX:
                return bytes.fromhex(text.replace(":", " "))
            case PayloadForm.BASE64:
                digits = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
                return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
            case PayloadForm.CBOR:
                return encode_cbor(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"the payload is not JSON: {error}", field="payload") from None
    except (binascii.Error, ValueError, RecursionError):
        raise UsageError(f"the payload is not {_NAMES[form]}", hint=_HINTS.get(form, ""), field="payload") from None
    except UsageError as error:
        raise UsageError(error.message, hint=error.hint, field="payload") from None


_NAMES: Final = {
    PayloadForm.TEXT: "text",
    PayloadForm.JSON: "JSON: it is nested too deeply",
    PayloadForm.HEX: "hexadecimal",
    PayloadForm.BASE64: "base64",
    PayloadForm.CBOR: "CBOR: it is nested too deeply",
}
_HINTS: Final = {
    PayloadForm.HEX: 'write two digits a byte, such as "53 4e 2d"',
    PayloadForm.BASE64: "such as U04tMDAx for SN-001",
}
