"""Foreign peers as processes: started, talked to, waited for, all within bounds."""

import contextlib
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .loop import PATIENCE_S

PEERS = Path(__file__).parent / "peers"
"""Scripts around libraries: a client or a server of each."""


class Process:
    """A running peer. What it prints, its errors too, is collected."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.arguments = arguments
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env={**os.environ, **environment},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self.output = ""

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until the peer has printed what matches."""
        deadline_s = time.monotonic() + PATIENCE_S
        while (match := re.search(pattern, self.output)) is None:
            assert self._read(deadline_s), f"no {pattern!r} {self}"
        return match

    def say(self, text: str) -> None:
        """Write a line to the peer's standard input."""
        self._stdin.write(f"{text}\n".encode())

    def hear_no_more(self) -> None:
        """Close the peer's standard input."""
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def read_rest(self) -> None:
        """Collect what it has printed so far."""
        while self._read(0.0):
            pass

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self.hear_no_more()
        self._stdout.close()

    def _read(self, deadline_s: float) -> bool:
        if not self._selector.select(max(0.0, deadline_s - time.monotonic())):
            return False
        text = os.read(self._stdout.fileno(), 65536)
        self.output += text.decode(errors="replace")
        return bool(text)

    def __str__(self) -> str:
        return f"from {' '.join(map(str, self.arguments))}:\n{self.output}"


@contextlib.contextmanager
def running(*arguments: object, environment: Mapping[str, str] | None = None) -> Iterator[Process]:
    """A peer, which is killed in the end."""
    process = Process([str(argument) for argument in arguments], environment or {})
    try:
        yield process
    except AssertionError as failure:
        process.read_rest()
        failure.add_note(str(process))
        raise
    finally:
        process.kill()


@contextlib.contextmanager
def running_script(name: str, *arguments: object) -> Iterator[Process]:
    """A peer of `peers/`, in this Python. Warnings of its libraries are not ours."""
    with running(sys.executable, "-W", "ignore", PEERS / f"{name}.py", *arguments) as process:
        yield process


def wait_until_bound(port: int) -> None:
    """Wait until a peer has opened its server socket, so that the first ClientHello is not lost."""
    deadline_s = time.monotonic() + PATIENCE_S
    wanted = f":{port:04X} "
    while not any(wanted in line.split(" rem")[0][:45] for line in _udp_sockets()):
        assert time.monotonic() < deadline_s, f"nobody opened UDP port {port}"
        time.sleep(0.01)


def _udp_sockets() -> list[str]:
    return [line for name in ("udp", "udp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
