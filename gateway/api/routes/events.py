"""Debug events: what went into converters, and what came out."""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, NamedTuple

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from gateway.api import streams
from gateway.api.auth import Viewer
from gateway.api.backend import Backend, BackendOfApp
from gateway.api.json_values import sound
from gateway.api.paging import ID_MAX, Limit, Page
from gateway.errors import GatewayError
from gateway.model import JsonValue
from gateway.presentation.event import as_json, is_wanted
from gateway.storage.events import Event

POLL_S: Final = 0.25
"""How often a stream looks for new events."""

RETRY_S: Final = 5.0
"""How long to wait where the events can't be read."""

PORTION: Final = 500
"""Most events that are read in one go."""

SCANNED_MAX: Final = 5_000
"""Most events that are looked through for one page of a device's."""

router = APIRouter(prefix="/events", tags=["events"])

IntegrationQuery = Annotated[str | None, Query(max_length=255, description="Only uplinks of this integration")]
DeviceQuery = Annotated[
    str | None,
    Query(
        max_length=255, description="Only uplinks of this device: a name that was written, a principal or an address"
    ),
]
ErrorsQuery = Annotated[bool, Query(description="Only uplinks that failed")]


class EventFields(BaseModel):
    """What became of one uplink."""

    id: int
    ts: int = Field(description="When it was received, in milliseconds since 1970")
    integration: str
    peer: str = Field(description="The device's address")
    principal: str | None
    payload_format: str = Field(description="What the payload is shown as: json, text, cbor or hex")
    payload: str
    payload_hex: str
    payload_bytes: int = Field(description="Its whole length; what is shown may be its beginning")
    metadata: dict[str, str]
    out: JsonValue = Field(description="What the decoder returned; a text where it was too long and is cut")
    error: str | None
    duration_ms: float
    names: list[str] = Field(description="The devices and assets that were written")


@router.get("")
def list_events(
    user: Viewer,
    backend: BackendOfApp,
    integration: IntegrationQuery = None,
    device: DeviceQuery = None,
    errors: ErrorsQuery = False,
    after: Annotated[int, Query(ge=0, le=ID_MAX, description="Only those that came after the one with this id")] = 0,
    before: Annotated[
        int | None, Query(ge=0, le=ID_MAX, description="Only those that came before; `next` of the answer before")
    ] = None,
    limit: Limit = 100,
) -> Page[EventFields]:
    """Events, the newest first. With `device` a page may have fewer than there are; `next` goes on behind it."""
    wanted = partial(_is_wanted, integration, device, errors)
    found: list[Event] = []
    at = ID_MAX if before is None else before
    portion_size = limit + 1 if device is None else PORTION
    scanned, ended = 0, False
    with backend.events() as view:
        while len(found) <= limit and scanned < SCANNED_MAX and not ended:
            portion = view.page(integration=integration, failed_only=errors, after=after, before=at, limit=portion_size)
            found += filter(wanted, portion)
            scanned += len(portion)
            ended = len(portion) < portion_size
            at = portion[-1].id if portion else at
    if len(found) > limit:
        return Page(items=[_fields(event) for event in found[:limit]], total=None, next=found[limit - 1].id)
    return Page(items=[_fields(event) for event in found], total=None, next=None if ended else at)


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `event`, whose data is an event as GET /events has it and whose id is "
            "the event's, and `problem`, with `detail` and `hint`",
            "content": {streams.CONTENT_TYPE: {"schema": {"type": "string"}}},
        }
    },
)
async def stream_events(
    user: Viewer,
    backend: BackendOfApp,
    integration: IntegrationQuery = None,
    device: DeviceQuery = None,
    errors: ErrorsQuery = False,
    last_event_id: Annotated[
        str | None, Header(max_length=20, pattern="^[0-9]*$", description="Go on behind the event with this id")
    ] = None,
) -> StreamingResponse:
    """Events as they come. A stream lasts ten minutes at most; browsers open it again, and miss nothing."""
    last = min(int(last_event_id), ID_MAX) if last_event_id else None
    return backend.streams.respond(_Tail(backend, last, partial(_is_wanted, integration, device, errors)).next)


class _Found(NamedTuple):
    events: list[Event]
    last: int


class _Tail:
    """Follows the events for one stream. It may be cancelled at any of its waits."""

    def __init__(self, backend: Backend, last: int | None, is_wanted: Callable[[Event], bool]) -> None:
        """`last`: the id to go on behind; None: that of the last event there is."""
        self._backend = backend
        self._last = last
        self._is_wanted = is_wanted
        self._waiting: deque[Event] = deque()

    async def next(self) -> bytes:
        """Wait for the next event, and write it."""
        while not self._waiting:
            try:
                found = await asyncio.to_thread(self._read, self._last)
            except GatewayError as error:  # a disk that is full for a moment, say
                await asyncio.sleep(RETRY_S)
                return streams.event("problem", {"detail": error.message, "hint": error.hint})
            self._last = found.last
            self._waiting.extend(filter(self._is_wanted, found.events))
            if not found.events:
                await asyncio.sleep(POLL_S)
        event = self._waiting.popleft()
        return b"id: %d\n" % event.id + streams.event("event", sound(as_json(event)))

    def _read(self, last: int | None) -> _Found:
        with self._backend.events() as view:
            if last is None:
                return _Found([], view.last_id())
            events = view.after(last, limit=PORTION)
        return _Found(events, events[-1].id if events else last)


def _is_wanted(integration: str | None, device: str | None, errors: bool, event: Event) -> bool:
    return is_wanted(event, integration, device, errors=errors)


def _fields(event: Event) -> EventFields:
    return EventFields.model_validate(sound(as_json(event)))
