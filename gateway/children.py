"""What the supervisor's child processes have in common: their environment, their end, how soon one is started again."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import gateway
from gateway.settings import Settings

STOP_PATIENCE_S: Final = 3.0
"""How long a process may take to end when it is asked to, before it is killed."""

STEADY_S: Final = 5.0
"""A process is started again at once, but after a pause where it has lived for less than this twice in a row."""

RESTART_PAUSE_S: Final = 1.0

_log = logging.getLogger(__name__)


async def start(
    module: str, arguments: Sequence[str], sockets: Sequence[socket.socket], settings: Settings
) -> asyncio.subprocess.Process:
    """Start a module of this package as a process that has these sockets. Raises OSError."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # no module is taken from the current folder
        "-m",
        module,
        *arguments,
        pass_fds=[sock.fileno() for sock in sockets],
        env=_environment(settings),
    )


async def wait_for_end(process: asyncio.subprocess.Process, name: str, stopping: asyncio.Event) -> int:
    """Wait until it has ended; when all is to stop, have it end. Gives its exit code."""
    asked = asyncio.create_task(stopping.wait())
    ended = asyncio.create_task(process.wait())
    await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not ended.done():
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait({ended}, timeout=STOP_PATIENCE_S)
        if not ended.done():
            _log.error("%s did not stop within %.0f s and is killed", name, STOP_PATIENCE_S)
            process.kill()
    return await ended


class Restarts:
    """When a process that ended unasked is started again."""

    def __init__(self, pause_max_s: float = RESTART_PAUSE_S) -> None:
        """The pause doubles from one to the next, up to `pause_max_s`."""
        self._pause_max_s = pause_max_s
        self._next_pause_s = 0.0

    async def wait(self, lived_s: float, stopping: asyncio.Event) -> None:
        """Wait where it has to, or until all is to stop."""
        if lived_s >= STEADY_S:
            self._next_pause_s = 0.0
            return
        pause_s = self._next_pause_s
        self._next_pause_s = min(max(2 * pause_s, RESTART_PAUSE_S), self._pause_max_s)
        if pause_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause_s)

    def slow_down(self) -> None:
        """Wait before the next start in any case: there was something amiss that may pass."""
        self._next_pause_s = self._next_pause_s or RESTART_PAUSE_S


def ending(code: int) -> str:
    """How a process ended, in words."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as they are here, whatever has become of `.env`; and this very package."""
    names = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in names}
    package_folder = str(Path(gateway.__file__).parents[1])
    path = os.pathsep.join(filter(None, (package_folder, os.environ.get("PYTHONPATH"))))
    return {**inherited, **settings.as_environment(), "PYTHONPATH": path}
