"""The pipeline follows the catalogue, and tells converters where an uplink came from."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import NotFoundError
from gateway.model import Code, Converter, ConverterCase, Language, Request, Security, StoredReport
from gateway.pipeline import metadata_of

from .pipelines import CREATED, ECHO, RECEIVED_MS, Waiting, flow, integration, python

COUNTING = """
import json
calls = 0
def decode(payload, metadata):
    global calls
    calls += 1
    return {"deviceName": payload.decode(), "attributes": {"calls": calls, "version": VERSION}}
"""
"""A converter that keeps count in its globals."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool-0.db"


# -- the catalogue changes ---------------------------------------------------------------------------


def test_a_converter_is_swapped_while_running_and_others_keep_their_state(path: Path) -> None:
    def calls(reports: list[StoredReport]) -> list[tuple[object, object]]:
        return [(report.attributes["version"], report.attributes["calls"]) for report in reports]

    async def scenario() -> None:
        async with flow(path) as it:
            kept = python(COUNTING.replace("VERSION", "'kept'"), "kept")
            integrations = [integration(), integration("stable", converter="kept")]
            for version in (1, 2):
                it.load(integrations, [python(COUNTING.replace("VERSION", str(version))), kept])
                for name in ("meters", "meters", "stable"):
                    assert await it.outcome(name=name) == CREATED
            assert calls(it.stored()) == [(1, 1), (1, 2), ("kept", 1), (2, 1), (2, 2), ("kept", 2)]

    asyncio.run(scenario())


def test_a_converter_keeps_its_state_where_only_its_cases_or_update_only_keys_change(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            converter = python(COUNTING.replace("VERSION", "1"))
            case = ConverterCase("case", b"x", {}, {"deviceName": "x"})
            changed = (converter, replace(converter, cases=(case,)), replace(converter, update_only_keys=("fw",)))
            for one in changed:
                it.load([integration()], [one])
                assert await it.outcome() == CREATED
            assert [report.attributes["calls"] for report in it.stored()] == [1, 2, 3]

    asyncio.run(scenario())


def test_integrations_come_and_go(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            assert set(it.pipeline.endpoints()) == {("i", "meters-key")}
            it.load([integration("new", path_prefix="api")])
            assert set(it.pipeline.endpoints()) == {("api", "i", "new-key")}
            with pytest.raises(NotFoundError):
                it.handler()
            it.load([integration(enabled=False)])
            assert set(it.pipeline.endpoints()) == set()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "broken",
    [
        python("def decode(payload, metadata) return 1", "broken"),
        python("decode = 5", "broken"),
        Converter("broken", Language.JAVASCRIPT, "return {;"),
        Converter("broken", Language.TBEL, "return {;"),
    ],
)
def test_a_converter_that_cannot_be_compiled_answers_4_00_while_others_work(
    path: Path, broken: Converter, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load([integration("bad", converter="broken"), integration()], [broken, python()])
            outcome = await it.outcome(name="bad")
            assert outcome.code is Code.BAD_REQUEST
            assert "can't be used" in outcome.diagnostic
            assert "broken" in caplog.text
            assert [failed.payload for failed in it.failed()] == [b"SN-001"]
            assert await it.outcome() == CREATED
            it.load([integration("bad", converter="broken")], [python(ECHO, "broken")])
            assert await it.outcome(name="bad") == CREATED

    asyncio.run(scenario())


# -- metadata ----------------------------------------------------------------------------------------


def test_a_converter_is_told_what_thingsboard_tells_it_and_the_integrations_own(path: Path) -> None:
    async def scenario() -> None:
        async with flow(path) as it:
            it.load([integration("meters", path_prefix="api/v2", metadata={"building": "B 12"})])
            ticket = Waiting()
            it.handler(
                path=("api", "v2", "i", "meters-key"),
                query=("a=1", "b"),
                content_format=50,
                location_path=("x", "y"),
                location_query=("p=1", "q=2"),
            )(b"SN-001", RECEIVED_MS, ticket)
            await it.until(lambda: ticket.outcomes)
            assert it.stored()[0].attributes == {
                "Option:content-format": "50",
                "Option:uri": "/api/v2/i/meters-key?a=1&b",
                "Option:location-path": "x/y",
                "Option:location-query": "p=1&q=2",
                "integrationName": "meters",
                "building": "B 12",
            }

    asyncio.run(scenario())


def test_an_option_that_is_absent_is_an_empty_text() -> None:
    metadata = metadata_of(Request(Security.PLAIN, Code.POST, ("i", "k")), integration())
    assert metadata == {
        "Option:content-format": "",
        "Option:uri": "/i/k",
        "Option:location-path": "",
        "Option:location-query": "",
        "integrationName": "meters",
    }


def test_content_format_0_is_told_from_none() -> None:
    request = Request(Security.PLAIN, Code.POST, ("i", "k"), content_format=0)
    assert metadata_of(request, integration())["Option:content-format"] == "0"
