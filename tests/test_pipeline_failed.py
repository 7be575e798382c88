"""Uplinks that a converter fails on: stored durably, then answered 4.00, and no burden for the others."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.metrics import QUARANTINED_TOTAL, UPLINKS_TOTAL
from gateway.model import Code, FailedUplink, Principal, Security, SecurityMode
from gateway.storage.spool import FAILED_SHARE

from .pipelines import CREATED, RECEIVED_MS, Flow, Waiting, flow, integration, python
from .storage.spools import fill_disk, make_room, stalled

PICKY = """
def decode(payload, metadata):
    if payload.startswith(b"bad"):
        raise ValueError("I don't like it")
    return {"deviceName": payload.decode()}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


def load(it: Flow, **fields: Any) -> None:
    it.load([integration(metadata={"site": "B"}, **fields)], [python(PICKY)])


def test_it_is_stored_before_it_is_answered_4_00(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it)
            found: list[bytes] = []
            at_once, ticket = it.send(b"bad")
            ticket.on_outcome = lambda: found.extend(uplink.payload for uplink in it.failed())
            assert at_once is None
            await it.until(lambda: ticket.outcomes)
            ((outcome),) = ticket.outcomes
            assert outcome.code is Code.BAD_REQUEST
            assert "I don't like it" in outcome.diagnostic
            assert found == [b"bad"]
            assert it.counted(QUARANTINED_TOTAL, "meters", "kept") == 1
            assert it.counted(UPLINKS_TOTAL, "meters", "4.00") == 1
            assert it.counted(UPLINKS_TOTAL, "meters", "2.01") == 0

    asyncio.run(scenario())


def test_what_is_stored_is_all_that_it_takes_to_try_again(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it, security_mode=SecurityMode.DTLS)
            ticket = Waiting()
            whose = Principal("x509", "gw-7", sans=("a", "b"), subject="CN=gw-7", fingerprint="0f")
            it.handler(principal=whose, security=Security.DTLS)(b"bad\xff", RECEIVED_MS, ticket)
            await it.until(lambda: ticket.outcomes)
            ((uplink),) = it.failed()
            assert uplink == FailedUplink(
                "meters",
                RECEIVED_MS,
                Principal("x509", "gw-7", sans=("a", "b")),
                b"bad\xff",
                uplink.metadata,
                "ValueError: I don't like it (line 4)",
            )
            assert uplink.metadata["site"] == "B"
            assert uplink.metadata["certificateSubject"] == "CN=gw-7"

    asyncio.run(scenario())


def test_it_shares_a_commit_with_others_and_each_is_answered_for_itself(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it)
            tickets = [it.send(payload)[1] for payload in (b"a", b"bad", b"c")]
            await it.until(lambda: all(ticket.outcomes for ticket in tickets))
            assert [ticket.outcomes[0].code for ticket in tickets] == [Code.CREATED, Code.BAD_REQUEST, Code.CREATED]
            assert it.counted(UPLINKS_TOTAL, "meters", "2.01") == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("setting", [{"gateway_integration_rate_limit": "1:3600"}, {}])
def test_an_empty_payload_and_one_over_a_rate_limit_are_not_kept(path: Path, setting: dict[str, Any]) -> None:
    async def scenario() -> None:
        async with flow(path, **setting) as it:
            load(it)
            assert await it.outcome(b"a") == CREATED
            refused, _ = it.send(b"bad" if setting else b"")
            assert refused is not None
            assert refused.code is (Code.TOO_MANY_REQUESTS if setting else Code.BAD_REQUEST)
        assert it.failed() == []

    asyncio.run(scenario())


def test_without_a_quarantine_it_is_answered_at_once(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, gateway_quarantine_rows=0) as it:
            load(it)
            refused, _ = it.send(b"bad")
            assert refused is not None
            assert refused.code is Code.BAD_REQUEST
        assert it.failed() == []

    asyncio.run(scenario())


def test_beyond_their_share_they_are_answered_and_counted_but_not_kept_and_others_go_on(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, gateway_spool_max_bytes=1 << 16) as it:
            load(it)
            large = b"bad" + b"x" * ((1 << 16) // FAILED_SHARE)
            refused, _ = it.send(large)
            assert refused is not None
            assert refused.code is Code.BAD_REQUEST
            assert it.counted(QUARANTINED_TOTAL, "meters", "no room") == 1
            assert await it.outcome(b"a") == CREATED
        assert it.failed() == []

    asyncio.run(scenario())


def test_where_the_commit_fails_it_is_5_03_like_others_so_that_it_comes_again(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            load(it)
            fill_disk(it.pipeline.spool)
            failed = await it.outcome(b"bad" + b"x" * 100_000)
            assert failed.code is Code.SERVICE_UNAVAILABLE
            assert it.counted(QUARANTINED_TOTAL, "meters", "not stored") == 1
            assert it.counted(UPLINKS_TOTAL, "meters", "5.03") == 1
            make_room(it.pipeline.spool)
            assert (await it.outcome(b"bad")).code is Code.BAD_REQUEST

    asyncio.run(scenario())


def test_behind_a_slow_disk_it_is_acknowledged_and_then_given_up(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path, coap_piggyback_timeout=20, coap_timeout=100) as it:
            load(it)
            with stalled(path):
                _, ticket = it.send(b"bad")
                await it.until(lambda: ticket.outcomes)
            assert ticket.acknowledged
            assert ticket.outcomes[0].code is Code.SERVICE_UNAVAILABLE

    asyncio.run(scenario())


def test_while_it_shuts_down_it_is_5_03(path: Path) -> None:
    async def scenario() -> None:
        it = Flow(path)
        load(it)
        closing = asyncio.create_task(it.pipeline.close())
        await asyncio.sleep(0)
        refused, _ = it.send(b"bad")
        assert refused is not None
        assert refused.code is Code.SERVICE_UNAVAILABLE
        await closing

    asyncio.run(scenario())
