"""How a command asks the running gateway to write what only the gateway may: a Unix socket in the data directory.

One request a connection, one JSON object a line: `{"release": [[id, [report…]]…]}`, and back `{"released": [id…]}` or
`{"error": message, "hint": text}`. The socket has mode 0600: who may use it may also write the databases.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from gateway.errors import ConfigurationError, GatewayError, UnavailableError
from gateway.model import StoredReport

SOCKET_FILE: Final = "gateway.sock"
"""The socket in the data directory."""

MESSAGE_BYTES: Final = 256 << 20
"""Longest request, in bytes."""

ANSWER_PATIENCE_S: Final = 60.0
"""How long a command waits for the answer."""

Release: TypeAlias = Callable[[Mapping[int, Sequence[StoredReport]]], "Future[list[int]]"]
"""`DeviceStore.release`, done by whoever may; to be called in any thread."""

_log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def serving(data_dir: Path, release: Release) -> AsyncIterator[None]:
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
            lambda reader, writer: _answer(reader, writer, release), sock=sock, limit=MESSAGE_BYTES
        )
        try:
            yield
        finally:
            server.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, release: Release) -> None:
    try:
        line = await reader.readline()
        if line:
            writer.write(orjson.dumps(await _do(line, release)) + b"\n")
            await writer.drain()
    except (OSError, ValueError) as error:  # it has gone, or sends more than anyone asks for
        _log.warning("a command could not be answered: %s", error)
    finally:
        writer.close()


async def _do(line: bytes, release: Release) -> dict[str, Any]:
    try:
        wanted = orjson.loads(line)["release"]
        converted = {int(id): [StoredReport(*report) for report in reports] for id, reports in wanted}
    except (ValueError, TypeError, KeyError):
        return {"error": "the gateway does not know this command", "hint": "use the command of its own version"}
    try:
        return {"released": await asyncio.wrap_future(release(converted))}
    except GatewayError as error:
        return {"error": error.message, "hint": error.hint}


def ask_to_release(data_dir: Path, converted: Mapping[int, Sequence[StoredReport]]) -> list[int] | None:
    """Have the running gateway do `DeviceStore.release`; None where none listens.

    Raises UnavailableError where it can't do it, or ends before it answers: it may have done it or not.
    """
    request = orjson.dumps({"release": [(id, list(map(tuple, reports))) for id, reports in converted.items()]}) + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_PATIENCE_S)
        try:
            with _address(data_dir) as address:
                sock.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise UnavailableError(
                f"the gateway can't be reached by {data_dir / SOCKET_FILE}: {error.strerror}",
                hint="run the command as the gateway's user",
            ) from error
        try:
            sock.sendall(request)
            with sock.makefile("rb") as answers:
                answer = answers.readline()
        except OSError:
            answer = b""
    if not answer.endswith(b"\n"):
        raise UnavailableError(
            "the gateway ended before it answered", hint="run the command again: what is done is not done twice"
        )
    said = orjson.loads(answer)
    if "error" in said:
        raise UnavailableError(said["error"], hint=said["hint"])
    return list(said["released"])


@contextlib.contextmanager
def _address(data_dir: Path) -> Iterator[str]:
    """The socket's path, short however long the data directory's is: the kernel takes 107 bytes (unix(7))."""
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET_FILE}"
    finally:
        os.close(folder)
