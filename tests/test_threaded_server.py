"""The server that tests of sinks run against."""

import asyncio
import contextlib
import gc
import socket

from tests.threaded_server import HOST, ThreadedServer


class Waiting(ThreadedServer):
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()


def test_a_connection_that_has_just_come_is_closed_with_the_server() -> None:
    for _ in range(50):  # where asyncio is caught in the middle of accepting is chance
        with contextlib.ExitStack() as clients, Waiting() as server:
            for _ in range(3):
                clients.enter_context(socket.create_connection((HOST, server.port)))
    gc.collect()
