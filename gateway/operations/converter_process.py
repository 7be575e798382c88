"""The process that runs a user's code for `gateway.operations.converter_runs`: one job in, one answer out, and its end.

It takes a JSON object on standard input, and answers with one on standard output: `{"answer": …}`, or
`{"error": message, "hint": text, "kind": of error}`.
"""

import json
import os
import resource
import signal
import sys
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, TypeAlias

from gateway.converters.cases import read_cases
from gateway.converters.trial import try_payload
from gateway.errors import ConverterError, GatewayError, NotFoundError
from gateway.model import Converter, JsonValue, Language
from gateway.operations.converters import compile_for, named, refuse_failing_cases, try_cases
from gateway.presentation.converter import case_trials_as_json, trial_as_json

if TYPE_CHECKING:
    from gateway.storage.quarantine import QuarantinedUplink, QuarantineView

MEMORY_BYTES_MAX: Final = 2 << 30
"""Most memory that the process may reserve, in bytes: enough for the largest that JavaScript can be given."""

NICENESS: Final = 10
"""A trial may wait for devices' uplinks, never the other way round."""

GRACE_S: Final = 2.0
"""So long after its time is over it ends by itself, in seconds."""

Job: TypeAlias = Callable[[Mapping[str, Any]], JsonValue]


class _Limits(NamedTuple):
    gateway_javascript_time_limit_ms: int
    gateway_javascript_memory_limit_bytes: int


def main() -> None:
    """Do the job that stands on standard input."""
    answers = _take_output()
    os.nice(NICENESS)
    _bound(resource.RLIMIT_AS, MEMORY_BYTES_MAX)
    _bound(resource.RLIMIT_CORE, 0)
    request = json.loads(sys.stdin.buffer.read())
    # Whoever kills it in time may have been killed itself.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + GRACE_S)
    answer: dict[str, JsonValue]
    try:
        answer = {"answer": _JOBS[request["job"]](request)}
    except GatewayError as error:
        answer = {"error": error.message, "hint": error.hint, "kind": type(error).__name__}
    with answers:
        answers.write(json.dumps(answer).encode())
    os._exit(0)  # whatever threads and handlers a user's code has left behind


def _bound(what: int, most: int) -> None:
    """Lower a limit of this process for good; one that is lower stays."""
    _, hard = resource.getrlimit(what)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (bound, bound))


def _take_output() -> BinaryIO:
    """Standard output for the answer alone: what a converter prints goes nowhere."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _try(request: Mapping[str, Any]) -> JsonValue:
    converter = _converter(request["converter"])
    decoder = compile_for(converter, _limits(request))
    payload = b64decode(request["payload"])
    return trial_as_json(try_payload(decoder, payload, request["metadata"], request["received_ms"]), converter.source)


def _cases(request: Mapping[str, Any]) -> JsonValue:
    return case_trials_as_json(try_cases(_converter(request["converter"]), _limits(request)))


def _check(request: Mapping[str, Any]) -> JsonValue:
    limits = _limits(request)
    for fields in request["converters"]:
        converter = _converter(fields)
        try:
            refuse_failing_cases(converter, limits, force=request["force"])
        except ConverterError as error:
            raise named(error, converter) if len(request["converters"]) > 1 else error from None
    return len(request["converters"])


def _replay(request: Mapping[str, Any]) -> JsonValue:
    from gateway.operations.quarantine import TodaysConverters
    from gateway.storage.catalogue import Catalogue
    from gateway.storage.quarantine import QuarantineView

    data_dir = Path(request["data_dir"])
    with Catalogue(data_dir) as catalogue:
        converters = TodaysConverters(_limits(request), *catalogue.snapshot())
    with QuarantineView(data_dir) as view:
        uplinks = [one for id in request["ids"] if (one := _uplink(view, id)) is not None]
    outcomes = ((one.id, converters.convert(one)) for one in uplinks)
    return [
        (id, None, outcome.message) if isinstance(outcome, GatewayError) else (id, outcome, None)
        for id, outcome in outcomes
    ]


def _uplink(view: "QuarantineView", id: int) -> "QuarantinedUplink | None":
    """None where somebody else has taken it out meanwhile."""
    try:
        return view.uplink(id)
    except NotFoundError:
        return None


def _converter(fields: Mapping[str, Any]) -> Converter:
    cases = read_cases(fields["cases"], "cases")
    return Converter(fields["name"], Language(fields["language"]), fields["source"], cases=cases)


def _limits(request: Mapping[str, Any]) -> _Limits:
    return _Limits(*request["limits"])


_JOBS: Final[Mapping[str, Job]] = {"try": _try, "cases": _cases, "check": _check, "replay": _replay}

if __name__ == "__main__":
    main()
