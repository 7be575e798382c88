"""Streams of server-sent events: how events are written, and how many streams there may be.

A stream ends when the server stops, and after a while, so that its user is asked for anew: browsers open it again by
themselves (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import orjson
from starlette.responses import StreamingResponse

from gateway.errors import RateLimitedError
from gateway.model import JsonValue

CONTENT_TYPE: Final = "text/event-stream"

STREAMS_MAX: Final = 32
"""Most streams at a time."""

STREAM_S: Final = 600.0
"""How long a stream lasts at the most."""

HEARTBEAT_S: Final = 5.0
"""A stream that has nothing to say says a comment this often, so that nobody on the way takes it for dead."""

_HEARTBEAT: Final = b": \n\n"
_RETRY: Final = b"retry: 1000\n\n"
"""After so many milliseconds a browser opens a stream again that has ended."""

Next: TypeAlias = Callable[[], Awaitable[bytes]]
"""Waits for the next event, as `event` writes it. May be cancelled while it waits, when its stream ends."""


def event(name: str, data: JsonValue) -> bytes:
    """An event on the wire."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))


class Streams:
    """The streams of one app; belongs to its loop."""

    def __init__(
        self, streams_max: int = STREAMS_MAX, stream_s: float = STREAM_S, heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        self._streams_max = streams_max
        self._stream_s = stream_s
        self._heartbeat_s = heartbeat_s
        self._stopping = asyncio.Event()
        self.count = 0
        """How many there are."""

    def respond(self, next_event: Next) -> StreamingResponse:
        """A stream of events. Raises RateLimitedError where there are too many streams."""
        if self.count >= self._streams_max:
            raise RateLimitedError(
                f"there are {self.count} streams already", hint="close one, or ask without a stream", max_age_s=5
            )
        return StreamingResponse(self._events(next_event), media_type=CONTENT_TYPE, headers={"X-Accel-Buffering": "no"})

    def stop(self) -> None:
        """End all of them, and those that come: a server that stops waits for its connections."""
        self._stopping.set()

    async def _events(self, next_event: Next) -> AsyncIterator[bytes]:
        if self.count >= self._streams_max:  # another one began since it was let in
            return
        self.count += 1
        until_s = time.monotonic() + self._stream_s
        stopping = asyncio.create_task(self._stopping.wait())
        coming: asyncio.Future[bytes] | None = None
        try:
            yield _RETRY
            while not stopping.done() and (left_s := until_s - time.monotonic()) > 0:
                if coming is None:
                    coming = asyncio.ensure_future(next_event())
                waited_for: set[asyncio.Future[Any]] = {stopping, coming}
                await asyncio.wait(
                    waited_for, timeout=min(self._heartbeat_s, left_s), return_when=asyncio.FIRST_COMPLETED
                )
                if coming.done():
                    said, coming = coming.result(), None
                    yield said
                elif not stopping.done():
                    yield _HEARTBEAT
        finally:
            self.count -= 1
            stopping.cancel()
            if coming is not None:
                coming.cancel()
