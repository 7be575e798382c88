"""A user's code run apart: converters compiled, tried and run in a process of their own, with a time limit.

A converter in Python has no limits, and one in JavaScript may take seconds where the settings let it. Whoever serves
others meanwhile, as the API does, has it done here: the process is killed when its time is over.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import gateway
from gateway.errors import BadRequestError, ConverterError, GatewayError, UnavailableError, UsageError
from gateway.model import Converter, JsonValue, StoredReport
from gateway.operations.converters import SOURCE_BYTES_MAX
from gateway.presentation.converter import as_json
from gateway.settings import Settings

TRY_S: Final = 5.0
"""How long a trial on one payload may take, besides the time that the settings give to a call; in seconds."""

CASES_S: Final = 30.0
"""How long all example cases of a converter may take, in seconds."""

REPLAY_S: Final = 60.0
"""How long one portion of the quarantine may take, in seconds."""

PARALLEL: Final = 2
"""Most such processes at a time."""

WAITING_MAX: Final = 8
"""Most that wait for others to end: each keeps a thread of the API's, of which there are forty."""

ROOM_S: Final = 15.0
"""How long they wait, in seconds."""

ANSWER_BYTES_MAX: Final = 64 << 20
"""Longest answer that is taken, in bytes."""

_KINDS: Final = {kind.__name__: kind for kind in (BadRequestError, ConverterError, UsageError)}


class Replayed(NamedTuple):
    """What an uplink of the quarantine makes today: its reports, or why there are none."""

    id: int
    outcome: list[StoredReport] | GatewayError


class ConverterRuns:
    """Runs converters for many threads, a few at a time.

    Every method raises UnavailableError where others take too long, or no process can be started.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._room = threading.BoundedSemaphore(PARALLEL)
        self._places = threading.BoundedSemaphore(PARALLEL + WAITING_MAX)

    def try_payload(
        self, converter: Converter, payload: bytes, metadata: Mapping[str, str], received_ms: int
    ) -> dict[str, JsonValue]:
        """A trial, in its shape in JSON. Raises ConverterError where the source does not compile or does not end."""
        request = {
            "converter": as_json(converter) | {"cases": []},
            "payload": b64encode(payload).decode(),
            "metadata": dict(metadata),
            "received_ms": received_ms,
        }
        call_s = self._settings.gateway_javascript_time_limit_ms / 1000
        trial: dict[str, JsonValue] = self._run("try", request, TRY_S + call_s)
        return trial

    def try_cases(self, converter: Converter) -> list[JsonValue]:
        """Trials on all example cases, in their shape in JSON. Raises ConverterError as `try_payload`."""
        trials: list[JsonValue] = self._run("cases", {"converter": as_json(converter)}, CASES_S)
        return trials

    def check(self, *converters: Converter, force: bool = False) -> None:
        """Raises ConverterError where one of them does not compile or fails a case of its own, unless that is forced.

        UsageError for a source that is too long.
        """
        for converter in converters:
            if len(converter.source.encode()) > SOURCE_BYTES_MAX:
                raise UsageError(f"the source is longer than {SOURCE_BYTES_MAX} bytes", field="source")
        self._run("check", {"converters": [as_json(one) for one in converters], "force": force}, CASES_S)

    def replay(self, ids: Sequence[int]) -> list[Replayed]:
        """What today's converters make of uplinks of the quarantine; nothing is stored.

        One that is not there any more is left out. Raises ConverterError where they don't end in time.
        """
        data_dir = str(self._settings.gateway_data_dir.absolute())
        outcomes = self._run("replay", {"data_dir": data_dir, "ids": list(ids)}, REPLAY_S)
        return [
            Replayed(id, ConverterError(error) if error is not None else [StoredReport(*report) for report in reports])
            for id, reports, error in outcomes
        ]

    def _run(self, job: str, request: Mapping[str, JsonValue], limit_s: float) -> JsonValue:
        limits = (
            self._settings.gateway_javascript_time_limit_ms,
            self._settings.gateway_javascript_memory_limit_bytes,
        )
        content = json.dumps({**request, "job": job, "limits": limits, "limit_s": limit_s}).encode()
        with self._a_place():
            answer = _answer_of(content, limit_s)
        if "error" in answer:
            raise _KINDS.get(answer["kind"], UnavailableError)(answer["error"], hint=answer["hint"])
        return answer["answer"]

    @contextlib.contextmanager
    def _a_place(self) -> Iterator[None]:
        """Wait until one of the others has ended, where there are too many."""
        busy = UnavailableError("other converters are being tried", hint="try again in a moment", max_age_s=2)
        if not self._places.acquire(blocking=False):
            raise busy
        with contextlib.ExitStack() as stack:
            stack.callback(self._places.release)
            if not self._room.acquire(timeout=ROOM_S):
                raise busy
            stack.callback(self._room.release)
            yield


def _answer_of(request: bytes, limit_s: float) -> dict[str, JsonValue]:
    try:
        process = subprocess.Popen(
            # -P: no module is taken from the current folder
            (sys.executable, "-P", "-m", "gateway.operations.converter_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"no process for the converter: {error.strerror}", hint="see ulimit -u") from error
    with process:
        try:
            content, _ = process.communicate(request, timeout=limit_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise ConverterError(f"the converter did not end within {limit_s:g} s") from None
        except BaseException:
            _kill(process)
            raise
    if len(content) > ANSWER_BYTES_MAX:
        raise ConverterError(f"the converter's results have more than {ANSWER_BYTES_MAX} bytes")
    try:
        answer: dict[str, JsonValue] = json.loads(content)
    except (ValueError, RecursionError):
        raise ConverterError(f"the converter's process ended before it answered ({_ending(process)})") from None
    return answer


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started, which is of its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has just ended
        process.kill()


def _environment() -> dict[str, str]:
    """That of this process, and this very package."""
    package_folder = str(Path(gateway.__file__).parents[1])
    path = os.pathsep.join(filter(None, (package_folder, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def _ending(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
