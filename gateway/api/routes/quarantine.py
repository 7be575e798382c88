"""Uplinks that a converter failed on and reports that a receiver refused: look at them, try again, delete them."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from gateway.api.auth import Admin, Viewer
from gateway.api.backend import Backend, BackendOfApp
from gateway.api.json_values import sound
from gateway.api.paging import ID_MAX, LIMIT_MAX, Limit, Page
from gateway.errors import GatewayError
from gateway.model import StoredReport
from gateway.operations.quarantine import PORTION_UPLINKS, refused_report, selected
from gateway.operations.sinks import wanted_sinks
from gateway.presentation.quarantine import as_json, outcome_as_json
from gateway.storage.quarantine import QuarantinedUplink

BUDGET_S: Final = 20.0
"""After so many seconds no further portion is begun; the answer says where it goes on."""

LISTED_BYTES: Final = 4 << 20
"""Most bytes of uplinks in one list: a payload may have megabytes."""

router = APIRouter(prefix="/quarantine", tags=["quarantine"])

Id = Annotated[int, Path(ge=1, le=ID_MAX)]


class QuarantinedFields(BaseModel):
    """An uplink in the quarantine."""

    id: int
    received_ts: int = Field(description="When it was received, in milliseconds since 1970")
    integration: str
    principal: str | None
    principal_type: Literal["psk", "x509", "rpk"] | None
    payload_format: str = Field(description="What the payload is shown as: json, text, cbor or hex")
    payload: str
    payload_hex: str
    metadata: dict[str, str]
    error: str
    sink: str | None = Field(
        description="The sink whose receiver refused a report, which the payload is then; null: a converter failed"
    )


class Choice(BaseModel):
    """Which uplinks: by ids, of an integration, or all."""

    ids: list[Annotated[int, Field(ge=1, le=ID_MAX)]] | None = Field(None, max_length=PORTION_UPLINKS)
    integration: str | None = Field(None, max_length=255)
    all: bool = False
    after: int = Field(
        0, ge=0, le=ID_MAX, description="Not by ids: only those behind this id; `next` of the answer before"
    )


class ReplayChoice(Choice):
    """Which uplinks are to be run again."""

    dry_run: bool = Field(False, description="Only say what would become of them")


class Outcome(BaseModel):
    """What became of an uplink that was run again."""

    id: int
    integration: str
    sink: str | None
    names: list[str] = Field(description="The devices and assets that were written, or would be")
    error: str | None
    was_there: bool = Field(description="False where somebody else took it out meanwhile, and nothing was stored")


class Replayed(BaseModel):
    """What became of uplinks that were run again."""

    items: list[Outcome]
    replayed: int = Field(description="How many succeeded, or would")
    failed: int = Field(description="How many still fail, and are kept")
    next: int | None = Field(description="Ask again with `after` for the following ones; null where there are none")


class Deleted(BaseModel):
    """How many uplinks were deleted."""

    deleted: int
    next: int | None = Field(description="Ask again with `after` for the following ones; null where there are none")


@router.get("")
def list_quarantine(
    user: Viewer,
    backend: BackendOfApp,
    integration: Annotated[str | None, Query(max_length=255, description="Only those of this integration")] = None,
    after: Annotated[int, Query(ge=0, le=ID_MAX, description="Only those behind this id")] = 0,
    limit: Limit = 100,
) -> Page[QuarantinedFields]:
    """Uplinks in the quarantine, the oldest first. There may be fewer than `limit` where they are long."""
    with backend.quarantine() as view:
        uplinks = view.uplinks(integration=integration, after=after, limit=limit, bytes=LISTED_BYTES)
        total = view.size(integration=integration)
        more = bool(uplinks) and bool(view.uplinks(integration=integration, after=uplinks[-1].id, limit=1))
    items = [_fields(one) for one in uplinks]
    return Page(items=items, total=total, next=items[-1].id if more else None)


@router.post("/replay")
def replay_quarantine(user: Admin, choice: ReplayChoice, backend: BackendOfApp) -> Replayed:
    """Run uplinks again through today's converters. What succeeds is stored as of its first receipt, and leaves.

    A report that a sink's receiver refused is sent to that sink again.
    """
    sinks = {wanted.name for wanted in wanted_sinks(backend.settings)}
    items: list[Outcome] = []

    def replay(portion: list[QuarantinedUplink]) -> None:
        outcomes = {one.id: one.outcome for one in backend.runs.replay([one.id for one in portion if one.sink is None])}
        outcomes |= {one.id: refused_report(one, sinks) for one in portion if one.sink is not None}
        done = {id: found for id, found in outcomes.items() if not isinstance(found, GatewayError)}
        released = done.keys() if choice.dry_run or not done else set(_release(backend, done))
        for one in portion:
            shape = outcome_as_json(one, outcomes.get(one.id, []), one.id in released)
            items.append(Outcome.model_validate(sound(shape)))

    following = _by_portions(choice, backend, replay)
    failed = sum(1 for item in items if item.error is not None)
    gone = sum(1 for item in items if not item.was_there)
    return Replayed(items=items, replayed=len(items) - failed - gone, failed=failed, next=following)


@router.post("/delete")
def delete_quarantine(user: Admin, choice: Choice, backend: BackendOfApp) -> Deleted:
    """Delete uplinks for good."""
    deleted = 0

    def delete(portion: list[QuarantinedUplink]) -> None:
        nonlocal deleted
        deleted += len(_release(backend, {one.id: [] for one in portion}))

    following = _by_portions(choice, backend, delete)
    return Deleted(deleted=deleted, next=following)


@router.get("/{id}")
def show_quarantined(user: Viewer, id: Id, backend: BackendOfApp) -> QuarantinedFields:
    """An uplink: what came in, with which metadata, and what the converter said."""
    with backend.quarantine() as view:
        return _fields(view.uplink(id))


@router.delete("/{id}", status_code=204)
def delete_quarantined(user: Admin, id: Id, backend: BackendOfApp) -> None:
    """Delete an uplink for good."""
    with backend.quarantine() as view:
        view.uplink(id)
    _release(backend, {id: []})


def _by_portions(choice: Choice, backend: Backend, do: Callable[[list[QuarantinedUplink]], None]) -> int | None:
    """Do something with each portion of what was chosen, as long as the budget lasts; gives where it goes on."""
    end_s = time.monotonic() + BUDGET_S
    done = 0
    with backend.quarantine() as view:
        for portion in selected(view, choice.ids, choice.integration, all=choice.all, after=choice.after):
            if not portion:
                continue
            do(portion)
            done += len(portion)
            spent = done + PORTION_UPLINKS > LIMIT_MAX or time.monotonic() >= end_s
            if spent and not choice.ids:
                return portion[-1].id
    return None


def _release(backend: Backend, converted: Mapping[int, Sequence[StoredReport]]) -> list[int]:
    """Have the gateway take uplinks out and store their reports; gives the ids of those that were still there."""
    return list(backend.ask("release", [(id, list(map(tuple, reports))) for id, reports in converted.items()]))


def _fields(one: QuarantinedUplink) -> QuarantinedFields:
    return QuarantinedFields.model_validate(sound(as_json(one)))
