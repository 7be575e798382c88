"""The process of the REST API and the console, as the supervisor has it: started, watched, started again.

It has the port's socket from here, so that what arrives while it is started again waits. Its end disturbs nobody else.
Over a Unix socket pair it says `{"ready": true}` and, each second, `{"alive": true}`; the pair's end is its end.
"""

import asyncio
import contextlib
import json
import logging
import socket
import sys
import time
from typing import Final

from gateway.children import Restarts, ending, start, wait_for_end
from gateway.credentials.passwords import generate_password, hash_password
from gateway.credentials.writing import write_secret
from gateway.settings import Settings
from gateway.storage.catalogue import Catalogue
from gateway.storage.user_store import FIRST_USER, first_password_file

SILENCE_S: Final = 30.0
"""One that says nothing for this long is stuck, and killed. Its start takes a while on a small computer."""

RESTART_PAUSE_MAX_S: Final = 30.0
"""Longest pause before it is started again: its start takes a second of a CPU that the workers need."""

_log = logging.getLogger(__name__)


class ApiProcess:
    """Belongs to the supervisor's loop."""

    def __init__(self, settings: Settings, sock: socket.socket) -> None:
        """`sock` listens on the API's port."""
        self._settings = settings
        self._socket = sock

    async def keep(self, stopping: asyncio.Event) -> None:
        """Have it run until the gateway stops."""
        restarts = Restarts(RESTART_PAUSE_MAX_S)
        while not stopping.is_set():
            started_s = time.monotonic()
            try:
                code = await self._run(stopping)
            except OSError as error:  # no more processes, descriptors or memory: it may pass
                _log.error("the API can't be started: %s", error.strerror)
                restarts.slow_down()
            else:
                if not stopping.is_set():
                    _log.error("the API's process ended unasked (%s); it is started again", ending(code))
            await restarts.wait(time.monotonic() - started_s, stopping)
        self._socket.close()

    async def _run(self, stopping: asyncio.Event) -> int:
        ours, theirs = socket.socketpair()
        with theirs:
            descriptors = ("--socket-fd", str(self._socket.fileno()), "--control-fd", str(theirs.fileno()))
            try:
                process = await start("gateway.api", descriptors, (self._socket, theirs), self._settings)
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_connection(sock=ours)
        listening = asyncio.create_task(self._listen(reader, process))
        code = await wait_for_end(process, "the API's process", stopping)
        await listening
        writer.close()
        return code

    async def _listen(self, reader: asyncio.StreamReader, process: asyncio.subprocess.Process) -> None:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), SILENCE_S)
            except ConnectionError:
                return
            except TimeoutError:
                _log.error("the API's process has been stuck for %.0f s and is killed", SILENCE_S)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                continue
            if not line:
                return
            if "ready" in json.loads(line):
                _log.info("the REST API is at %s", self._settings.http_url)


def welcome_first_user(settings: Settings) -> None:
    """Where there is no user yet, add an admin. The password stands in a file until the first log-in.

    The log says where, at each start, whatever its level; it has the password itself only where it is a terminal, for
    other logs are kept and sent on. Raises ConfigurationError where the file can't be written.
    """
    file = first_password_file(settings.gateway_data_dir)
    with Catalogue(settings.gateway_data_dir) as catalogue:
        if not catalogue.users.exist():
            password = generate_password()
            write_secret(file, f"{password}\n".encode())  # first: nobody can log in without it
            catalogue.users.add_first(FIRST_USER, hash_password(password))
            if sys.stderr.isatty():
                _say("the first log-in at %s: user %s, password %s", settings.http_url, FIRST_USER, password)
        if file.exists():
            _say(
                "the first log-in at %s: user %s, password in %s, which is deleted then (another password: "
                "gateway user password %s)",
                settings.http_url,
                FIRST_USER,
                file,
                FIRST_USER,
            )


def _say(text: str, *what: object) -> None:
    """A warning, whatever the log's level."""
    _log.handle(_log.makeRecord(_log.name, logging.WARNING, __file__, 0, text, what, None))
