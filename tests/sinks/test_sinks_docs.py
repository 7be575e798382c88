"""Each example in docs/sinks.md does what the page says."""

import asyncio
import json
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, Field

from gateway.model import StoredReport
from gateway.settings import Settings
from gateway.settings.fields import Port
from gateway.sinks import registry
from gateway.sinks.as_json import as_json
from gateway.sinks.http_answers import Answer, check
from gateway.sinks.registry import MAKERS, make_sinks
from gateway.sinks.sink import Record, RefusedRecords, Sink, SinkError
from tests.sinks.receivers import TcpServer, receiving
from tests.sinks.records import CountingHost, Taken, ids, record, records, settings_of
from tests.threaded_server import HOST

PAGE = (Path(__file__).parents[2] / "docs" / "sinks.md").read_text(encoding="utf-8")


class Block(NamedTuple):
    language: str
    text: str


BLOCKS = [Block(*match) for match in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
RECEIVER, SETTINGS_OF_A_SINK, A_SINK = [block.text for block in BLOCKS if block.language == "python"]
STATUSES = re.findall(
    r"^\| ([^|]*\d[^|]*) \| (.*?) \|$", PAGE.split("What the answer means")[1].split("###")[0], re.MULTILINE
)
ANSWERED_S = 10.0


def deliver(sink: Sink, what: list[Record]) -> Taken:
    taken = Taken()

    async def scenario() -> None:
        async with asyncio.timeout(ANSWERED_S), sink.connect() as session:
            await session.deliver(what, taken)

    asyncio.run(scenario())
    return taken


def settings_from(env: str, folder: Path, **values: Any) -> Settings:
    (folder / "env").write_text(env)
    return Settings(_env_file=folder / "env", **values)


# -- the page as a whole -------------------------------------------------------------------------


def test_the_page_has_the_examples_that_it_should_have() -> None:
    assert [block.language for block in BLOCKS] == [
        *("json", "env", "http", "python", "env", "env", "python", "python"),
    ]


def test_the_page_names_every_sink_there_is() -> None:
    assert re.findall(r"^\| `(\w+)` \| `[A-Z_]+` \|", PAGE, re.MULTILINE) == list(MAKERS)


def test_the_settings_shown_make_the_sinks_that_they_are_shown_for(tmp_path: Path) -> None:
    made = []
    for block in BLOCKS:
        if block.language == "env":
            (sink,) = make_sinks(settings_from(block.text, tmp_path), lambda name: CountingHost())
            made.append((sink.name, sink.destination))
    assert made == [
        ("http", "https://reports.example.com/in"),
        ("jsonl", "/var/lib/gateway/reports.jsonl"),
        ("jsonl", "standard output"),
    ]


def test_a_report_looks_as_shown() -> None:
    shown = json.loads(next(block.text for block in BLOCKS if block.language == "json"))
    (sample,) = shown["telemetry"]
    report = StoredReport(
        integration=shown["integration"],
        received_ms=shown["receivedTs"],
        principal=shown["principal"],
        kind="device",
        name=shown["deviceName"],
        type=shown["deviceType"],
        customer=shown["customerName"],
        group=shown["groupName"],
        attributes=shown["attributes"],
        telemetry=[(sample["ts"], sample["values"])],
    )
    spool, batch, number = shown["id"].split("-")
    made = json.loads(as_json(Record(spool, int(batch), int(number), report)))
    assert list(made.items()) == list(shown.items())
    described = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)))
    assert made.keys() <= set(described)


# -- http ----------------------------------------------------------------------------------------


def test_a_batch_has_the_headers_that_are_shown() -> None:
    head, _, _ = next(block.text for block in BLOCKS if block.language == "http").partition("\n\n")
    request, *shown = head.splitlines()
    assert request == "POST /in HTTP/1.1"

    async def scenario() -> dict[str, str]:
        async with receiving() as receiver:
            url = receiver.url.replace("/reports", "/in")
            settings = settings_of(gateway_http_sink_url=url, gateway_http_sink_token="a-long-random-text")
            (sink,) = make_sinks(settings, lambda name: CountingHost())
            async with sink.connect() as session:
                await session.deliver(records(2), Taken())
            return dict(receiver.batches[0].headers)

    headers = asyncio.run(scenario())
    for name, value in (line.split(": ") for line in shown):
        assert len(headers[name]) == len(value) if name == "Idempotency-Key" else headers[name] == value


def statuses_of(cell: str) -> Iterator[int]:
    """`401, 403`, `200 … 299`, `any 3xx`, and `any other 4xx, such as 400`, which has those that no other has."""
    if match := re.fullmatch(r"(\d+) … (\d+)", cell):
        yield from range(int(match[1]), int(match[2]) + 1)
        return
    yield from map(int, re.findall(r"\b\d{3}\b", cell))
    yield from (
        status
        for digit in re.findall(r"any (\d)xx", cell)
        for status in range(int(digit) * 100, int(digit) * 100 + 100)
    )


def outcome_of(status: int) -> str:
    try:
        check(Answer(status, None, "", ""), 0, 1)
    except RefusedRecords:
        return "refused: halves"
    except SinkError as error:
        if status == 500:
            return "by halves"
        return {"busy": "Retry-After", "refused": "`refused`", "misconfigured": "`misconfigured`"}[error.trouble]
    return "count as delivered"


def test_each_status_means_what_the_page_says() -> None:
    meant = {status: meaning for cell, meaning in STATUSES for status in statuses_of(cell)}
    other = STATUSES[-1]
    assert other[0].startswith("any other 4xx")
    for status in range(200, 600):
        assert outcome_of(status) in meant.get(status, other[1]), status


@contextmanager
def running_receiver(folder: Path) -> Iterator[int]:
    """The page's receiver, in a process of its own; its port."""
    (folder / "receiver.py").write_text(RECEIVER)
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "receiver.py", str(port)]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as process:
        try:
            yield port
        finally:
            process.kill()


def test_the_receiver_keeps_each_report_once(tmp_path: Path) -> None:
    env = next(block.text for block in BLOCKS if block.language == "env")
    with running_receiver(tmp_path) as port:

        def sink_with(**values: Any) -> Sink:
            settings = settings_from(env, tmp_path, gateway_http_sink_url=f"http://{HOST}:{port}/in", **values)
            (sink,) = make_sinks(settings, lambda name: CountingHost())
            return sink

        wait_for(port)
        deliver(sink_with(), records(5))
        deliver(sink_with(gateway_http_sink_max_body_bytes=1024), records(8))
        with pytest.raises(SinkError, match="401"):
            deliver(sink_with(gateway_http_sink_token="another"), records(9))
    with sqlite3.connect(tmp_path / "reports.db") as store:
        found = [name for (name,) in store.execute("SELECT id FROM reports ORDER BY rowid")]
    store.close()
    assert found == ids(records(8))


def wait_for(port: int) -> None:
    """Until the receiver listens."""

    async def connect() -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return

    asyncio.run(asyncio.wait_for(connect(), ANSWERED_S))


# -- a new sink ----------------------------------------------------------------------------------


@pytest.fixture
def lines_sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The page's sink, registered as the page says; makes it for a port."""
    space: dict[str, Any] = {"BaseModel": BaseModel, "Field": Field, "Port": Port, "__name__": "lines_settings"}
    exec(SETTINGS_OF_A_SINK, space)
    extended: Any = type("ExtendedSettings", (space["LinesSinkSettings"], Settings), {})
    module = ModuleType("lines")
    exec(A_SINK, module.__dict__)
    monkeypatch.setattr(registry, "MAKERS", {**MAKERS, "lines": module.make})

    def make(**values: Any) -> list[Sink]:
        return list(make_sinks(extended(_env_file=None, **values), lambda name: CountingHost()))

    yield make


async def line_receiver(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes all but SN-002, and goes away at SN-004."""
    while line := await reader.readline():
        name = json.loads(line)["deviceName"]
        if name == "SN-004":
            return
        writer.write(b"never\n" if name == "SN-002" else b"ok\n")
        await writer.drain()


def test_the_new_sink_delivers_refuses_and_fails_as_the_protocol_asks(lines_sink: Any) -> None:
    async def scenario() -> None:
        with TcpServer(line_receiver) as server:
            (sink,) = lines_sink(gateway_lines_sink_host=HOST, gateway_lines_sink_port=server.port)
            assert sink.destination == f"{HOST}:{server.port}"
            async with sink.connect() as session:
                taken = Taken()
                await session.deliver(records(2), taken)
                assert taken.steps == [1, 2]
                with pytest.raises(RefusedRecords, match="never") as refused:
                    await session.deliver([record(1), record(2), record(3)], Taken())
                assert (refused.value.start, refused.value.end) == (1, 2)
                with pytest.raises(SinkError, match="lost"):
                    await session.deliver([record(3), record(4)], Taken())
        with pytest.raises(SinkError, match="no connection"):
            async with sink.connect():
                pass

    asyncio.run(asyncio.wait_for(scenario(), ANSWERED_S))
    assert lines_sink() == []
