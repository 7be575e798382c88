"""How commands and the API ask the running gateway for what only it can do: a Unix socket in the data directory.

One request a connection, one JSON object a line: `{"command": name, "of": what}`, and back `{"answer": …}` or
`{"error": message, "kind": of error, "hint": text}`. The socket has mode 0600: who may use it may also write the
databases. Which commands there are is for the supervisor to say; what each takes and gives stands where it is asked.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import orjson

from gateway.errors import ConfigurationError, GatewayError, NotFoundError, UnavailableError, UsageError
from gateway.model import JsonValue

SOCKET_FILE: Final = "gateway.sock"
"""The socket in the data directory."""

MESSAGE_BYTES: Final = 256 << 20
"""Longest request or answer, in bytes."""

ANSWER_PATIENCE_S: Final = 60.0
"""How long a command waits for the answer."""

Command: TypeAlias = Callable[[JsonValue], Awaitable[JsonValue]]
"""Does what is asked. Raises GatewayError, which comes out where it was asked; ValueError, TypeError or KeyError where
what it is given is not what it takes."""

Commands: TypeAlias = Mapping[str, Command]


class HasCommands(Protocol):
    """A part of the gateway that can be asked for something."""

    @property
    def commands(self) -> Commands:
        """What, by its name."""


_KINDS: Final = {kind.__name__: kind for kind in (NotFoundError, UsageError, ConfigurationError, UnavailableError)}

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def serving(data_dir: Path, commands: Commands) -> AsyncIterator[None]:
    """Answer commands. Raises ConfigurationError where the socket can't be made; the data directory's lock is held."""
    with _address(data_dir) as address:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)  # a gateway that was killed leaves its own
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(address)
            os.chmod(address, 0o600)  # nobody can connect before it listens
        except OSError as error:
            raise ConfigurationError(
                f"{data_dir / SOCKET_FILE} can't be made: {error.strerror}",
                hint="set GATEWAY_DATA_DIR to a folder on a local disk that this user can write",
            ) from error
        server = await asyncio.start_unix_server(
            lambda reader, writer: _answer(reader, writer, commands), sock=sock, limit=MESSAGE_BYTES
        )
        try:
            yield
        finally:
            server.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commands: Commands) -> None:
    try:
        line = await reader.readline()
        if line:
            writer.write(orjson.dumps(await _do(line, commands)) + b"\n")
            await writer.drain()
    except (OSError, ValueError) as error:  # it has gone, or sends more than anyone asks for
        _log.warning("a command could not be answered: %s", error)
    finally:
        writer.close()


async def _do(line: bytes, commands: Commands) -> dict[str, Any]:
    try:
        request = orjson.loads(line)
        return {"answer": await commands[request["command"]](request["of"])}
    except GatewayError as error:
        kind = next((name for name, kind in _KINDS.items() if isinstance(error, kind)), UnavailableError.__name__)
        return {"error": error.message, "kind": kind, "hint": error.hint}
    except (ValueError, TypeError, KeyError):
        _log.debug("a command was refused", exc_info=True)
        return {
            "error": "the gateway does not know this command",
            "kind": UsageError.__name__,
            "hint": "use the command of its own version",
        }


def ask(data_dir: Path, command: str, of: JsonValue = None) -> JsonValue:
    """Have the running gateway do something; gives its answer, None where no gateway runs.

    So no command answers with null. Raises the error that the command raised; UnavailableError where the gateway can't
    be reached, or ends before it answers: it may have done it or not.
    """
    request = orjson.dumps({"command": command, "of": of}) + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        if not _connect(sock, data_dir):
            return None
        try:
            sock.sendall(request)
            with sock.makefile("rb") as answers:
                answer = answers.readline()
        except OSError:
            answer = b""
    return _said(answer)


async def ask_soon(data_dir: Path, command: str, of: JsonValue = None) -> JsonValue:
    """`ask` for a running loop."""
    return await asyncio.to_thread(ask, data_dir, command, of)


def _connect(sock: socket.socket, data_dir: Path) -> bool:
    sock.settimeout(ANSWER_PATIENCE_S)
    try:
        with _address(data_dir) as address:
            sock.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    except OSError as error:
        raise UnavailableError(
            f"the gateway can't be reached by {data_dir / SOCKET_FILE}: {error.strerror}",
            hint="run the command as the gateway's user",
        ) from error
    return True


def _said(answer: bytes) -> JsonValue:
    if not answer.endswith(b"\n"):
        raise UnavailableError(
            "the gateway ended before it answered", hint="run the command again: what is done is not done twice"
        )
    said = orjson.loads(answer)
    if "error" in said:
        raise _KINDS[said["kind"]](said["error"], hint=said["hint"])
    return said["answer"]


@contextlib.contextmanager
def _address(data_dir: Path) -> Iterator[str]:
    """The socket's path, short however long the data directory's is: the kernel takes 107 bytes (unix(7))."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET_FILE}"
    finally:
        os.close(folder)
