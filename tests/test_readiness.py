"""Whether the gateway can take uplinks."""

import asyncio

from gateway.model import JsonValue
from gateway.readiness import Readiness


def answer(readiness: Readiness) -> JsonValue:
    return asyncio.run(_asked(readiness))


async def _asked(readiness: Readiness) -> JsonValue:
    return await readiness.commands["ready"](None)


def test_it_is_ready_when_all_workers_listen() -> None:
    readiness = Readiness(2)
    assert answer(readiness) == {
        "ready": False,
        "reasons": ["worker 0 does not listen", "worker 1 does not listen"],
    }
    readiness.worker_serves(1)
    assert answer(readiness) == {"ready": False, "reasons": ["worker 0 does not listen"]}
    readiness.worker_serves(0)
    assert answer(readiness) == {"ready": True, "reasons": []}
    readiness.worker_ended(1)
    assert answer(readiness) == {"ready": False, "reasons": ["worker 1 does not listen"]}


def test_it_is_not_ready_while_a_spool_cannot_be_written() -> None:
    readiness = Readiness(1)
    readiness.worker_serves(0)
    readiness.spool_is(0, "no room left")
    assert answer(readiness) == {"ready": False, "reasons": ["no room left"]}
    readiness.spool_is(0, "")
    assert answer(readiness)["ready"]


def test_what_was_wrong_with_a_workers_spool_ends_with_the_worker() -> None:
    readiness = Readiness(1)
    readiness.spool_is(0, "no room left")
    readiness.worker_ended(0)
    readiness.worker_serves(0)
    assert answer(readiness)["ready"]
