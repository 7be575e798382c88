"""From a request to a durable report: what is answered, what is stored, and when."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BadRequestError, GatewayError, MethodNotAllowedError, NotFoundError
from gateway.metrics import CONVERSION_ERRORS_TOTAL, SPOOL_BYTES, SPOOL_COMMITS_TOTAL, UPLINKS_TOTAL
from gateway.model import Code, Converter, Language, Outcome, Principal, Security

from .pipelines import CREATED, RECEIVED_MS, RETRY_AFTER_S, WAIT_S, Flow, Waiting, flow, integration, python
from .storage.spools import deliveries, fill_disk, make_room, stalled

JAVASCRIPT = "return {deviceName: String.fromCharCode.apply(null, payload), telemetry: {t: 1.5}};"
MANY = 'def decode(payload, metadata):\n    return [{"deviceName": name} for name in payload.decode().split()]'
PADDED = 'def decode(payload, metadata):\n    return {"deviceName": "d", "attributes": {"padding": "x" * 10_000}}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


# -- stored, then answered ---------------------------------------------------------------------------


@pytest.mark.parametrize("language", [Language.PYTHON, Language.JAVASCRIPT])
def test_an_uplink_is_stored_before_it_is_answered_2_01(path: Path, language: Language) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load(converters=[python() if language is Language.PYTHON else Converter("c", language, JAVASCRIPT)])
            found: list[str] = []
            at_once, ticket = it.send(b"SN-001")
            ticket.on_outcome = lambda: found.extend(report.name for report in it.stored())
            assert at_once is None
            await it.until(lambda: ticket.outcomes)
            assert ticket.outcomes == [CREATED]
            assert ticket.acknowledged == 0
            assert found == ["SN-001"]
            assert it.counted(UPLINKS_TOTAL, "meters", "2.01") == 1
            assert it.counted(SPOOL_COMMITS_TOTAL, "ok") == 1
            it.pipeline.measure()
            assert it.counted(SPOOL_BYTES) == it.pipeline.spool.bytes > 0

    asyncio.run(scenario())


def test_what_is_stored_says_where_and_when_it_came_from(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            ticket = Waiting()
            it.handler(principal=Principal("psk", "device-7"))(b"SN-001", RECEIVED_MS, ticket)
            it.handler()(b"SN-002", RECEIVED_MS + 1, ticket)
            await it.until(lambda: len(ticket.outcomes) == 2)
            first, second = it.stored()
            assert first[:6] == ("meters", RECEIVED_MS, "device-7", "device", "SN-001", "default")
            assert (second.received_ms, second.principal) == (RECEIVED_MS + 1, None)

    asyncio.run(scenario())


def test_all_reports_of_an_uplink_are_stored_together(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load(converters=[python(MANY)])
            assert await it.outcome(b"a b c") == CREATED
            assert [report.name for report in it.stored()] == ["a", "b", "c"]
            assert it.counted(UPLINKS_TOTAL, "meters", "2.01") == 1

    asyncio.run(scenario())


def test_an_uplink_without_reports_is_answered_at_once(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load(converters=[python(MANY)])
            assert it.send(b" ")[0] == CREATED
            assert it.stored() == []

    asyncio.run(scenario())


# -- refused -----------------------------------------------------------------------------------------


def test_an_empty_payload_is_4_00(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            assert it.send(b"")[0] == Outcome(Code.BAD_REQUEST, "the payload is empty")
            assert it.counted(UPLINKS_TOTAL, "meters", "4.00") == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def decode(payload, metadata):\n    return 1 // 0", ["ZeroDivisionError", "line 2"]),
        ("def decode(payload, metadata):\n    return {}", ["deviceName"]),
        ("def decode(payload, metadata):\n    pass", ["return"]),
        (
            "def decode(p, m):\n    return {'deviceName': 'd', 'telemetry': [{'t': 1}, {'ts': -1, 'values': {}}]}",
            ["telemetry[1].ts"],
        ),
        ("def decode(p, m):\n    return {'deviceName': 'd', 'attributes': {'a': float('nan')}}", ["attributes"]),
        ("def decode(p, m):\n    return {'deviceName': 'd', 'attributes': {'a': 2**64}}", ["attributes"]),
        ("def decode(p, m):\n    return {'deviceName': 'd', 'attributes': {'a': '\\ud800'}}", ["attributes"]),
        ("def decode(p, m):\n    return {'deviceName': '\\ud800'}", ["deviceName"]),
    ],
)
def test_what_a_converter_fails_on_is_4_00_with_the_reason(path: Path, source: str, words: list[str]) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load(converters=[python(source)])
            outcome = await it.outcome()
            assert outcome.code is Code.BAD_REQUEST
            assert all(word in outcome.diagnostic for word in words)
            assert it.counted(CONVERSION_ERRORS_TOTAL, "meters") == 1
            assert it.stored() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"path": ("i", "unknown")}, NotFoundError),
        ({"method": Code.GET}, MethodNotAllowedError),
        ({"security": Security.DTLS}, BadRequestError),
    ],
)
def test_what_has_no_integration_is_refused_before_the_payload(
    path: Path, request_: dict[str, Any], error: type[GatewayError]
) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            with pytest.raises(error):
                it.handler(**request_)

    asyncio.run(scenario())


def test_an_integration_over_its_rate_is_4_29_with_max_age(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, gateway_integration_rate_limit="2:3600") as it:
            it.load([integration(), integration("others")])
            assert [it.send()[0] for _ in range(2)] == [None, None]
            refused, _ = it.send()
            assert refused is not None
            assert refused.code is Code.TOO_MANY_REQUESTS
            assert 1790 <= (refused.max_age_s or 0) <= 1800
            assert it.send(name="others")[0] is None
            assert it.counted(UPLINKS_TOTAL, "meters", "4.29") == 1

    asyncio.run(scenario())


def test_a_device_over_its_rate_is_4_29_and_others_are_not(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, gateway_device_rate_limit="1:3600") as it:
            assert it.send(b"a")[0] is None
            refused, _ = it.send(b"a")
            assert refused is not None
            assert (refused.code, refused.max_age_s) == (Code.TOO_MANY_REQUESTS, 3600)
            assert "device a" in refused.diagnostic
            assert it.send(b"b")[0] is None

    asyncio.run(scenario())


@pytest.mark.parametrize("share", [1, 2])
def test_a_full_spool_is_5_03_with_max_age_until_it_is_trimmed(path: Path, share: int) -> None:
    bound = (1 << 17) // share

    async def scenario() -> None:
        async with flow(path, share, gateway_spool_max_bytes=1 << 17) as it:
            it.load(converters=[python(PADDED)])
            assert await it.outcome() == CREATED
            size = it.pipeline.spool.bytes
            for _ in range(bound // size - 1):
                assert await it.outcome() == CREATED
            full = await it.outcome()
            assert (full.code, full.max_age_s) == (Code.SERVICE_UNAVAILABLE, RETRY_AFTER_S)
            assert "full" in full.diagnostic
            assert it.counted(UPLINKS_TOTAL, "meters", "5.03") == 1
            it.pipeline.spool.trim(deliveries(path)[0].batch_id)
            before = it.pipeline.spool.bytes
            await it.until(lambda: it.pipeline.spool.bytes < before)
            assert await it.outcome() == CREATED

    asyncio.run(scenario())


def test_a_failed_commit_is_5_03_and_the_next_one_may_succeed(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load(converters=[python(PADDED.replace("10_000", "100_000"))])
            fill_disk(it.pipeline.spool)
            failed = await it.outcome()
            assert (failed.code, failed.max_age_s) == (Code.SERVICE_UNAVAILABLE, RETRY_AFTER_S)
            assert it.counted(SPOOL_COMMITS_TOTAL, "failed") == 1
            assert it.counted(UPLINKS_TOTAL, "meters", "5.03") == 1
            make_room(it.pipeline.spool)
            assert await it.outcome() == CREATED
            assert len(it.stored()) == 1

    asyncio.run(scenario())


def test_while_it_shuts_down_it_answers_5_03_and_finishes_what_it_took(path: Path) -> None:
    async def scenario() -> None:
        it = Flow(path)
        with stalled(path):
            _, taken = it.send(b"taken")
            await asyncio.sleep(0)
            closing = asyncio.create_task(it.pipeline.close())
            await asyncio.sleep(0)
            refused, _ = it.send(b"refused")
        assert refused is not None
        assert (refused.code, refused.max_age_s) == (Code.SERVICE_UNAVAILABLE, RETRY_AFTER_S)
        assert "shutting down" in refused.diagnostic
        await asyncio.wait_for(closing, WAIT_S)
        assert taken.outcomes == [CREATED]
        assert [report.name for report in it.stored()] == ["taken"]

    asyncio.run(scenario())


# -- slow disks --------------------------------------------------------------------------------------


def test_what_waits_longer_than_the_piggyback_time_out_is_acknowledged(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, coap_piggyback_timeout=30) as it:
            with stalled(path):
                _, first = it.send(b"first")
                await asyncio.sleep(0)
                _, second = it.send(b"second")
                await it.until(lambda: first.acknowledged and second.acknowledged)
                assert first.outcomes == second.outcomes == []
                _, third = it.send(b"third")
                assert third.acknowledged == 0  # its own time begins only now
                await it.until(lambda: third.acknowledged)
            await it.until(lambda: third.outcomes)
            assert first.outcomes == second.outcomes == third.outcomes == [CREATED]

    asyncio.run(scenario())


@pytest.mark.parametrize("piggyback_ms", [10, 60_000])
def test_what_waits_longer_than_coap_timeout_is_5_03(path: Path, piggyback_ms: int) -> None:
    async def scenario() -> None:
        async with flow(path, coap_piggyback_timeout=piggyback_ms, coap_timeout=50) as it:
            with stalled(path):
                sent_s = time.monotonic()
                _, ticket = it.send()
                await it.until(lambda: ticket.outcomes)
                assert time.monotonic() - sent_s >= 0.05
                assert ticket.outcomes[0].code is Code.SERVICE_UNAVAILABLE
                assert ticket.outcomes[0].max_age_s == RETRY_AFTER_S
                assert (ticket.acknowledged > 0) == (piggyback_ms == 10)
            assert await it.outcome(b"next") == CREATED

    asyncio.run(scenario())


def test_what_is_answered_in_time_is_never_acknowledged_before(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, coap_piggyback_timeout=5000) as it:
            tickets = [it.send(b"%d" % number)[1] for number in range(50)]
            await it.until(lambda: all(ticket.outcomes for ticket in tickets))
            assert [ticket.acknowledged for ticket in tickets] == [0] * 50

    asyncio.run(scenario())
