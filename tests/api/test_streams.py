"""Streams of events: how they look, how many there may be, and that they end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.responses import StreamingResponse

from gateway.api.streams import Streams, event
from gateway.errors import RateLimitedError

PATIENCE_S = 5.0
HEARTBEAT = b": \n\n"


def chunks(response: StreamingResponse) -> AsyncIterator[bytes]:
    """What a stream says, without the server around it."""

    async def said() -> AsyncIterator[bytes]:
        async for chunk in response.body_iterator:
            assert isinstance(chunk, bytes)
            yield chunk

    return said()


async def numbers() -> bytes:
    await asyncio.sleep(0)
    return event("n", {"text": "two\nlines"})


async def never() -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


async def read(stream: AsyncIterator[bytes], count: int) -> list[bytes]:
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(stream) for _ in range(count)]


def test_an_event_is_one_line_of_json() -> None:
    assert event("overview", {"a": "two\nlines", "b": None}) == (
        b'event: overview\ndata: {"a":"two\\nlines","b":null}\n\n'
    )


def test_a_stream_says_when_to_come_back_and_then_what_there_is() -> None:
    async def check() -> None:
        response = Streams().respond(numbers)
        assert response.headers["content-type"].startswith("text/event-stream")
        said = await read(chunks(response), 3)
        assert said[0].startswith(b"retry: ")
        assert said[1:] == [event("n", {"text": "two\nlines"})] * 2

    asyncio.run(check())


def test_a_stream_with_nothing_to_say_shows_that_it_lives() -> None:
    async def check() -> None:
        asked = 0

        async def count() -> bytes:
            nonlocal asked
            asked += 1
            return await never()

        said = await read(chunks(Streams(heartbeat_s=0.01).respond(count)), 4)
        assert said[1:] == [HEARTBEAT] * 3
        assert asked == 1

    asyncio.run(check())


def test_there_are_so_many_and_one_more_when_one_has_gone() -> None:
    async def check() -> None:
        streams = Streams(streams_max=2)
        open_ones = [chunks(streams.respond(never)) for _ in range(2)]
        for one in open_ones:
            await anext(one)
        assert streams.count == 2
        with pytest.raises(RateLimitedError, match="2 streams"):
            streams.respond(never)
        await open_ones[0].aclose()  # type: ignore[attr-defined]
        async with asyncio.timeout(PATIENCE_S):
            while streams.count > 1:
                await asyncio.sleep(0)
        await anext(chunks(streams.respond(never)))

    asyncio.run(check())


def test_those_that_come_at_one_moment_are_not_too_many_either() -> None:
    async def check() -> None:
        streams = Streams(streams_max=2)
        several = [chunks(streams.respond(never)) for _ in range(5)]
        begun = 0
        for one in several:
            with contextlib.suppress(StopAsyncIteration):
                await anext(one)
                begun += 1
        assert begun == streams.count == 2

    asyncio.run(check())


def test_a_stream_ends_when_its_time_is_over() -> None:
    async def check() -> None:
        streams = Streams(stream_s=0.03, heartbeat_s=10.0)
        async with asyncio.timeout(PATIENCE_S):
            assert [one async for one in chunks(streams.respond(never))][1:] in ([], [HEARTBEAT])
        assert streams.count == 0

    asyncio.run(check())


def test_all_streams_end_when_the_server_does_and_none_begins() -> None:
    async def check() -> None:
        streams = Streams()
        cancelled = 0

        async def waits() -> bytes:
            nonlocal cancelled
            try:
                return await never()
            except asyncio.CancelledError:
                cancelled += 1
                raise

        tasks = [asyncio.create_task(_all(chunks(streams.respond(waits)))) for _ in range(3)]
        async with asyncio.timeout(PATIENCE_S):
            while streams.count < 3:
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            streams.stop()
            said = await asyncio.gather(*tasks)
            assert [len(one) for one in said] == [1] * 3
            assert len(await _all(chunks(streams.respond(waits)))) == 1
        assert streams.count == 0
        assert cancelled == 3

    asyncio.run(check())


async def _all(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [one async for one in stream]
