"""Which clients' certificates and public keys are trusted, beside what is in COAP_DTLS_TRUST_STORE."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.api.auth import Admin, Viewer
from gateway.api.backend import BackendOfApp
from gateway.api.paging import Limit, Offset, Page, page_of
from gateway.api.problems import about
from gateway.integrations.endpoints import NAME_CHARACTERS_MAX, check_name
from gateway.operations.trust import add_trusted, read_trusted
from gateway.presentation.trust import as_json

PEM_CHARACTERS_MAX = 512 << 10
"""Longest text with certificates, in characters."""

router = APIRouter(prefix="/trust", tags=["credentials"])


class TrustedFields(BaseModel):
    """Something that clients are trusted by."""

    name: str
    kind: Literal["ca", "device", "key"]
    fingerprint: str = Field(description="SHA-256, in hex")
    subject: str | None = Field(description="Null of a public key, as are issuer and end")
    issuer: str | None
    expires_ts: int | None = Field(description="The end of its validity, in milliseconds since 1970")
    expired: bool
    added_ts: int = Field(description="When it was added, in milliseconds since 1970")


class NewTrusted(BaseModel):
    """Certificates or a public key to be trusted."""

    pem: str = Field(max_length=PEM_CHARACTERS_MAX, description="Certificates, or a public key")
    kind: Literal["ca", "device"] | None = Field(
        None, description="ca: what it issued is trusted; device: it alone is; left out: as the certificate says"
    )
    name: str | None = Field(
        None, max_length=NAME_CHARACTERS_MAX, description="What to call it; where left out, by its CN or fingerprint"
    )


class AddedTrusted(TrustedFields):
    """Something that is trusted now."""

    already: bool = Field(description="Whether it was trusted before")


class Additions(BaseModel):
    """What is trusted now of what was sent."""

    items: list[AddedTrusted]


@router.get("")
def list_trusted(user: Viewer, backend: BackendOfApp, limit: Limit = 100, offset: Offset = 0) -> Page[TrustedFields]:
    """What is trusted, by name."""
    with backend.catalogue() as catalogue:
        trusted = catalogue.credentials.trusted()
    items = [TrustedFields.model_validate(as_json(one)) for one in trusted[offset : offset + limit]]
    return page_of(items, offset=offset, total=len(trusted))


@router.post("", status_code=201)
def create_trusted(user: Admin, new: NewTrusted, backend: BackendOfApp) -> Additions:
    """Trust certificates or a public key, all of them or none. What is trusted already stays as it is."""
    if new.name is not None:
        check_name("certificate", new.name)
    with about("pem"):
        found = read_trusted(new.pem.encode(), "the text", kind=new.kind, name=new.name)
    with backend.catalogue() as catalogue, about("pem"):
        additions = add_trusted(catalogue, found, kind=new.kind, name=new.name)
    return Additions(
        items=[AddedTrusted.model_validate({**as_json(one.trusted), "already": one.already}) for one in additions]
    )


@router.delete("/{name:path}", status_code=204)
def delete_trusted(user: Admin, name: str, backend: BackendOfApp) -> None:
    """Trust something no longer, by its name or fingerprint; the sessions that it vouches for end."""
    with backend.catalogue() as catalogue:
        catalogue.credentials.remove_trusted(name)
