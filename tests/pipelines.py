"""A pipeline to test, with its spool and requests that wait."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

from gateway.coap.endpoint import Handler
from gateway.metrics import Metrics
from gateway.model import (
    Code,
    Converter,
    FailedUplink,
    Integration,
    Language,
    Outcome,
    Request,
    Security,
    StoredReport,
)
from gateway.pipeline import Pipeline
from gateway.settings import Settings

from .storage.spools import deliveries

WAIT_S = 10.0
RECEIVED_MS = 1_700_000_000_000
RETRY_AFTER_S = 5
PEER = "192.0.2.1:49152"
CREATED = Outcome(Code.CREATED)

ECHO = 'def decode(payload, metadata):\n    return {"deviceName": payload.decode(), "attributes": metadata}'
"""A converter whose device is the payload, and whose attributes are the metadata."""


def python(source: str = ECHO, name: str = "c") -> Converter:
    return Converter(name, Language.PYTHON, source)


def integration(name: str = "meters", **fields: Any) -> Integration:
    return Integration(**{"name": name, "converter": "c", "routing_key": f"{name}-key", **fields})


class Waiting:
    """A request's ticket, which keeps what it is told."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.outcomes: list[Outcome] = []
        self.on_outcome: Callable[[], None] = lambda: None

    def acknowledge(self) -> None:
        self.acknowledged += 1

    def complete(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.on_outcome()

    def peer(self) -> str:
        return PEER


class Flow:
    """A pipeline with its spool."""

    def __init__(self, path: Path, share: int = 1, **settings: Any) -> None:
        self.path = path
        self.metrics = Metrics()
        self.pipeline = Pipeline(Settings(_env_file=None, **settings), path, share=share, metrics=self.metrics)
        self.load()

    def load(self, integrations: Iterable[Integration] = (), converters: Iterable[Converter] = ()) -> None:
        self.pipeline.load(list(integrations) or [integration()], list(converters) or [python()])

    def handler(self, name: str = "meters", **request: Any) -> Handler:
        path = ("i", f"{name}-key")
        return self.pipeline.resolve(
            Request(**{"security": Security.PLAIN, "method": Code.POST, "path": path, **request})
        )

    def send(self, payload: bytes = b"SN-001", name: str = "meters") -> tuple[Outcome | None, Waiting]:
        """Hand in an uplink; gives the outcome that is known at once, and the ticket."""
        ticket = Waiting()
        return self.handler(name)(payload, RECEIVED_MS, ticket), ticket

    async def outcome(self, payload: bytes = b"SN-001", name: str = "meters") -> Outcome:
        """How an uplink ends."""
        at_once, ticket = self.send(payload, name)
        if at_once is None:
            await self.until(lambda: ticket.outcomes)
            return ticket.outcomes[0]
        assert ticket.outcomes == []
        return at_once

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what the writer or a timer does; fails after a while."""
        deadline_s = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < deadline_s, "it did not happen"
            await asyncio.sleep(0.002)

    def stored(self) -> list[StoredReport]:
        return [report for delivery in deliveries(self.path) for report in delivery.reports]

    def failed(self) -> list[FailedUplink]:
        return [uplink for delivery in deliveries(self.path) for uplink in delivery.failed]

    def counted(self, name: str, *labels: str) -> float:
        return self.metrics.snapshot().get((name, *labels), 0)


@contextlib.asynccontextmanager
async def flow(path: Path, share: int = 1, **settings: Any) -> AsyncIterator[Flow]:
    made = Flow(path, share, **settings)
    try:
        yield made
    finally:
        await made.pipeline.close()
