"""Pre-shared keys of devices, by identity."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, SecretStr

from gateway.api.auth import Admin, Viewer
from gateway.api.backend import BackendOfApp
from gateway.api.paging import Limit, Search
from gateway.api.problems import about
from gateway.credentials.psk import IDENTITY_BYTES_MAX, KEY_BYTES_MAX
from gateway.errors import UsageError
from gateway.operations.psk import add_psk

router = APIRouter(prefix="/psk", tags=["credentials"])


class PskFields(BaseModel):
    """A pre-shared key, without the key."""

    identity: str
    added_ts: int = Field(description="When it was added or last replaced, in milliseconds since 1970")


class Psks(BaseModel):
    """A part of the identities that have a key, by name."""

    items: list[PskFields]
    total: None = None
    next: str | None = Field(description="Ask with it as `after` for the following ones; null where there are none")


class NewPsk(BaseModel):
    """An identity to be given a key: as text, in hex, or one that is generated."""

    identity: str = Field(max_length=IDENTITY_BYTES_MAX, description="What the device calls itself in its handshake")
    key: SecretStr | None = Field(None, max_length=KEY_BYTES_MAX, description="The key as text")
    key_hex: SecretStr | None = Field(None, max_length=3 * KEY_BYTES_MAX, description="The key in hex")
    replace: bool = Field(False, description="Replace a key that is there; its sessions end")


class AddedPsk(BaseModel):
    """An identity that was given a key."""

    identity: str
    key: str | None = Field(description="Where it was generated: it is shown only now")
    key_hex: str | None = Field(description="The same in hex")
    replaced: bool
    weak: bool = Field(description="Whether it is shorter than it should be")


@router.get("")
def list_psks(
    user: Viewer,
    backend: BackendOfApp,
    search: Search = "",
    after: Annotated[str, Query(max_length=IDENTITY_BYTES_MAX, description="Only those behind this identity")] = "",
    limit: Limit = 100,
) -> Psks:
    """The identities that have a pre-shared key, by name; the keys are shown by nothing."""
    with backend.catalogue() as catalogue:
        psks = catalogue.credentials.psks(search=search, limit=limit + 1, after=after)
    items = [PskFields(identity=psk.identity, added_ts=psk.added_ms) for psk in psks[:limit]]
    return Psks(items=items, next=items[-1].identity if len(psks) > limit else None)


@router.post("", status_code=201)
def create_psk(user: Admin, new: NewPsk, backend: BackendOfApp) -> AddedPsk:
    """Give an identity a pre-shared key. One that is generated is in this answer, and in no other."""
    with about("identity"), backend.catalogue() as catalogue:
        added = add_psk(catalogue, backend.settings, new.identity, _given_key(new), replace=new.replace)
    generated = added.generated
    return AddedPsk(
        identity=new.identity,
        key=None if generated is None else generated.decode(),
        key_hex=None if generated is None else generated.hex(),
        replaced=added.replaced,
        weak=added.weak,
    )


@router.delete("/{identity:path}", status_code=204)
def delete_psk(user: Admin, identity: str, backend: BackendOfApp) -> None:
    """Remove an identity's pre-shared key; the sessions that it vouches for end."""
    with backend.catalogue() as catalogue:
        catalogue.credentials.remove_psk(identity)


def _given_key(new: NewPsk) -> bytes | None:
    """The key of the one field that is given; None where none is. The errors don't show it."""
    if new.key is not None and new.key_hex is not None:
        raise UsageError("only one key can be given", hint="either as text or in hex", field="key_hex")
    if new.key is not None:
        return new.key.get_secret_value().encode()
    if new.key_hex is None:
        return None
    try:
        return bytes.fromhex(new.key_hex.get_secret_value().replace(":", " "))
    except ValueError:
        raise UsageError("it is not hexadecimal", hint="write two digits a byte", field="key_hex") from None
