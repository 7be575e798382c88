"""The sink `jsonl`: one JSON object a line, in a file or on standard output. `docs/sinks.md` says what it is like."""

import asyncio
import os
import select
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from gateway.errors import ConfigurationError
from gateway.settings import Settings
from gateway.sinks.as_json import as_json
from gateway.sinks.lines_file import LinesFile
from gateway.sinks.sink import Host, Record, Session, Sink, SinkError, Taken, Trouble

PORTION_BYTES: Final = 1 << 20
"""How much of a spool is written for one flush of the disk."""

STANDARD_OUTPUT: Final = "-"


def make(settings: Settings, host: Host) -> Sink | None:
    """The sink, where GATEWAY_JSONL_SINK_PATH is set. Raises ConfigurationError where there is no standard output."""
    path = settings.gateway_jsonl_sink_path
    if not path:
        return None
    if path != STANDARD_OUTPUT:
        file = LinesFile(Path(path), settings.gateway_jsonl_sink_max_bytes, settings.gateway_jsonl_sink_files)
        return FileSink(file, path)
    if sys.__stdout__ is None:  # its number may belong to any other file by now
        hint = "start the gateway with standard output, or name a file"
        raise ConfigurationError("GATEWAY_JSONL_SINK_PATH=-: standard output is closed", hint=hint)
    return OutputSink(sys.__stdout__.fileno())


class FileSink:
    """A file of lines, and the session that writes to it."""

    name = "jsonl"
    overlap = 1
    portion_bytes = PORTION_BYTES

    def __init__(self, file: LinesFile, destination: str) -> None:
        self._file = file
        self.destination = destination

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Session]:
        """Open the file; raises SinkError where it can't be had."""
        try:
            self._file.open()
            yield self
        finally:
            self._file.close()

    async def deliver(self, records: Sequence[Record], taken: Taken) -> None:
        """Write the records; `taken` when they are on the disk. Raises SinkError.

        Never waits in between: what is begun is ended, whoever cancels it. The loop is this sink's alone.
        """
        self._file.append([as_json(record) + b"\n" for record in records], taken)

    async def closed(self) -> None:
        """Never: a file can't be lost before something is written."""
        await asyncio.get_running_loop().create_future()


class OutputSink:
    """Standard output, or another descriptor that is open, and the session that writes to it.

    Its reader may be slow, or stand still: it is waited for without holding the gateway. Where that ends in the middle
    of a line, the rest of the line is what is written next.
    """

    name = "jsonl"
    destination = "standard output"
    overlap = 1
    portion_bytes = PORTION_BYTES

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._readiness = select.poll()
        self._readiness.register(descriptor, select.POLLOUT)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Session]:
        """It is there already."""
        yield self

    async def deliver(self, records: Sequence[Record], taken: Taken) -> None:
        """Write the records; `taken` when all are written. Raises SinkError where nobody reads any more."""
        try:
            await self._write(self._rest + b"".join([as_json(record) + b"\n" for record in records]))
        except BrokenPipeError:
            hint = "restart the gateway together with what reads it"
            raise SinkError(Trouble.UNREACHABLE, "nobody reads standard output any more", hint=hint) from None
        except OSError as error:
            hint = "see where standard output leads"
            message = f"standard output can't be written: {error.strerror}"
            raise SinkError(Trouble.UNREACHABLE, message, hint=hint) from error
        taken(len(records))

    async def closed(self) -> None:
        """Never: that nobody reads is noticed when something is written."""
        await asyncio.get_running_loop().create_future()

    async def _write(self, data: bytes) -> None:
        done, torn = 0, bool(self._rest)
        try:
            while done < len(data):
                if not self._readiness.poll(0):
                    await self._room()
                # So much is taken by a pipe that has room at all: more could hold us, for the pipe may be blocking.
                done += os.write(self._descriptor, data[done : done + select.PIPE_BUF])
                torn = not data.endswith(b"\n", 0, done)
        finally:
            self._rest = data[done : data.find(b"\n", done) + 1] if torn else b""

    async def _room(self) -> None:
        """Until there is room; only for what the system can wait for: a file always has some."""
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._descriptor, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._descriptor)
