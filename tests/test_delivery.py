"""Delivery: what it follows in the catalogue."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from gateway.delivery import Delivery
from gateway.metrics import Metrics
from gateway.model import Converter, Integration, JsonValue, Language
from gateway.settings import Settings
from gateway.storage.catalogue import FILE_NAME, Catalogue
from gateway.storage.device_view import DeviceView
from gateway.storage.spool import spool_path
from tests.storage.reports import report
from tests.storage.spools import writer

WAIT_S = 10.0
CONVERTER = Converter("c", Language.JAVASCRIPT, "return {};", update_only_keys=("t",))


class Running:
    """A delivery at work on a data directory, and what comes of it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        asyncio.run(self._make_spool())
        self._stored = 0
        self._begin_ms = time.time_ns() // 1_000_000
        settings = Settings(_env_file=None, gateway_data_dir=data_dir, gateway_workers=1)
        self.delivery = Delivery(settings, on_delivered=lambda worker, batch: None, new_metrics=Metrics)

    async def _make_spool(self) -> None:
        async with writer(spool_path(self.data_dir, 0)):
            pass

    def take(self, ts: int, value: JsonValue) -> None:
        """Store a report as a worker does, and wait until it is delivered."""
        self._stored += 1
        body = orjson.dumps([tuple(report("a", [(self._begin_ms + ts, {"t": value})]))])
        with contextlib.closing(sqlite3.connect(spool_path(self.data_dir, 0))) as connection, connection:
            connection.execute("INSERT INTO batches (bytes, body) VALUES (?, ?)", (len(body), body))
        until(lambda: self._delivered() == self._stored)

    def _delivered(self) -> int:
        with contextlib.closing(sqlite3.connect(self.data_dir / "devices.db")) as connection:
            rows = connection.execute("SELECT batch FROM positions").fetchall()
        return int(rows[0][0]) if rows else 0

    @property
    def times(self) -> list[int]:
        """When the device's history has a value, in milliseconds since the beginning."""
        with DeviceView(self.data_dir) as view:
            return [sample.ts - self._begin_ms for sample in view.history("a", "t")]


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    it = Running(tmp_path)
    it.delivery.start()
    yield it
    it.delivery.stop(1.0)


def test_update_only_keys_are_followed_while_it_runs(tmp_path: Path) -> None:
    with Catalogue(tmp_path) as catalogue:
        catalogue.add_converter(CONVERTER)
        catalogue.add_integration(Integration("meters", "c", "key"))
        running = Running(tmp_path)
        running.delivery.start()
        try:
            running.take(10, 1)
            running.take(20, 1)
            assert running.times == [10]
            catalogue.update_converter("c", replace(CONVERTER, update_only_keys=()))
            taken = [20]

            def is_written() -> bool:
                taken.append(taken[-1] + 10)
                running.take(taken[-1], 1)
                return taken[-1] in running.times

            until(is_written)
        finally:
            running.delivery.stop(1.0)


def test_without_any_integration_everything_is_written(running: Running) -> None:
    running.take(10, 1)
    running.take(20, 1)
    assert running.times == [10, 20]


def test_a_catalogue_that_can_not_be_read_keeps_no_report_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    with caplog.at_level(logging.ERROR):
        running = Running(tmp_path)
        running.delivery.start()
        running.take(10, 1)
        running.delivery.stop(1.0)
    assert running.times == [10]
    assert [record.message.split(",")[0] for record in caplog.records] == ["the catalogue can't be used"]
