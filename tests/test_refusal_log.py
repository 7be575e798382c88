"""What the log says of requests that were refused, wherever in their way that was."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.coap.codec import OptionNumber, Type, encode_message
from gateway.errors import NotFoundError
from gateway.log_folding import LINES_PER_SECOND
from gateway.model import Code, Outcome, Principal
from gateway.refusal_log import RefusalLog

from .coap.rig import Rig
from .pipelines import PEER, RECEIVED_MS, Flow, Waiting, flow, integration, python
from .storage.spools import stalled

WHO = Principal("psk", "gw-7")
FAILING = 'def decode(payload, metadata):\n    raise ValueError("no\\nnumber")'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


@pytest.fixture(autouse=True)
def _all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str, Any]]:
    """Level, message and fields of each line."""
    return [(record.levelno, record.message, getattr(record, "fields", {})) for record in caplog.records]


def send(it: Flow, payload: bytes, **request: Any) -> Waiting:
    ticket = Waiting()
    it.handler(**request)(payload, RECEIVED_MS, ticket)
    return ticket


@pytest.mark.parametrize(
    ("code", "warn", "level"),
    [
        (Code.NOT_FOUND, False, logging.INFO),
        (Code.BAD_REQUEST, True, logging.WARNING),
        (Code.SERVICE_UNAVAILABLE, False, logging.WARNING),
    ],
)
def test_a_refusal_is_a_line_with_who_where_and_why(
    caplog: pytest.LogCaptureFixture, code: Code, warn: bool, level: int
) -> None:
    outcome = Outcome(code, "so it is")
    RefusalLog().refused(outcome, peer=PEER, principal=WHO, integration="meters", warn=warn)
    fields = {
        "peer": PEER,
        "principal": "gw-7",
        "integration": "meters",
        "code": code.dotted,
        "error": "so it is",
    }
    assert lines(caplog) == [(level, "request refused", fields)]


def test_a_converter_s_failure_is_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load(converters=[python(FAILING)])
            ticket = send(it, b"x", principal=WHO)
            await it.until(lambda: ticket.outcomes)

    asyncio.run(scenario())
    ((level, message, fields),) = lines(caplog)
    assert (level, message) == (logging.WARNING, "request refused")
    assert (fields["peer"], fields["principal"], fields["integration"], fields["code"]) == (
        PEER,
        "gw-7",
        "meters",
        "4.00",
    )
    assert fields["error"] == "ValueError: no number (line 2)"


def test_what_a_device_does_wrong_is_no_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            send(it, b"")
            it.load([integration(identity_binding="name")])
            send(it, b"SN-001", principal=WHO)

    asyncio.run(scenario())
    assert [(level, fields["code"], fields.get("principal")) for level, _, fields in lines(caplog)] == [
        (logging.INFO, "4.00", None),
        (logging.INFO, "4.03", "gw-7"),
    ]


def test_what_is_stored_and_what_makes_no_report_is_no_line(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load(converters=[python("def decode(payload, metadata):\n    return []")])
            send(it, b"x")
            it.load()
            await it.outcome()

    asyncio.run(scenario())
    assert lines(caplog) == []


def test_what_waits_too_long_for_the_disk_is_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with flow(path, coap_timeout=50, coap_piggyback_timeout=20) as it:
            with stalled(path):
                ticket = send(it, b"x")
                await it.until(lambda: ticket.outcomes)

    asyncio.run(scenario())
    assert [(level, fields["peer"], fields["code"]) for level, _, fields in lines(caplog)] == [
        (logging.WARNING, PEER, "5.03")
    ]


def test_a_flood_of_refusals_is_bounded_and_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now_s = [5.0]

    async def scenario() -> None:
        async with flow(path) as it:
            it.pipeline.refusals = RefusalLog(clock_s=lambda: now_s[0])
            handle, ticket = it.handler(), Waiting()
            for _ in range(LINES_PER_SECOND + 3):
                handle(b"", RECEIVED_MS, ticket)
            now_s[0] += 1
            it.pipeline.refusals.catch_up()

    asyncio.run(scenario())
    assert len(caplog.messages) == LINES_PER_SECOND + 1
    assert caplog.messages[-1] == "… and 3 more lines about refused requests"


def test_a_request_for_what_is_not_there_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.answer = NotFoundError("no integration has this path")
    rig.one_answer(encode_message(Type.CON, Code.POST, 1, b"", [(OptionNumber.URI_PATH, b"x")], b"x"))
    assert [(level, fields["code"], fields["error"]) for level, _, fields in lines(caplog)] == [
        (logging.INFO, "4.04", "no integration has this path")
    ]
