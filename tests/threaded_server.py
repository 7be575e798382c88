"""A TCP server on a free loopback port, in a thread of its own, so that tests of any kind can have it."""

import asyncio
import contextlib
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar

HOST: Final = "127.0.0.1"
_PATIENCE_S: Final = 10.0

T = TypeVar("T")


class ThreadedServer(ABC):
    """Serves while its context lasts. What went wrong in a connection's task fails the test at the end."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = 0
        self.errors: list[BaseException] = []
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry on a connection until its end. ConnectionError, TimeoutError and a cut stream are no faults."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._open())
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_S)
        self._loop.close()
        if error is None and self.errors:
            raise self.errors[0]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    def drop(self) -> None:
        """Cut the connections there are, as a network does."""
        self.run(self._drop())

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        for listening in self._server.sockets:
            self._loop.remove_reader(listening)
        # One that was accepted a moment ago gets its task in some turns of the loop. Were the server closed by
        # then, asyncio would forget the connection without closing it.
        while asyncio.all_tasks() - {asyncio.current_task()}:
            await self._drop()
            await asyncio.sleep(0)
        self._server.close()
        await self._server.wait_closed()

    async def _drop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self.serve(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:  # not passed on: asyncio's own server would log it
            pass
        except Exception as error:  # noqa: BLE001  told to whoever runs the server
            self.errors.append(error)
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(ConnectionError):
                writer.transport.abort()
