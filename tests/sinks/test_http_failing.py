"""The sink `http`, where the receiver answers 500: at one report while it takes others, or at whatever comes."""

import asyncio
import json
import random
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from aiohttp import web

from gateway.sinks import runner
from gateway.sinks.handover import NO_LIMIT
from gateway.sinks.http import FAILURES, FURTHER_FAILURES, NEIGHBOURS
from gateway.sinks.sink import Record, RefusedRecords, Sink, SinkError, Trouble
from tests.sinks.http_sinks import deliver, sink_for
from tests.sinks.receivers import Posted, Receiver, receiving
from tests.sinks.records import Taken, records
from tests.sinks.spools import stored
from tests.sinks.test_runner import Running


class Failing:
    """A receiver that keeps what it takes, and fails at some reports, or at all."""

    def __init__(self, poison: Collection[str] = (), status: int = 500, **headers: str) -> None:
        self.poison = set(poison)
        self.is_down = False
        self.kept: list[str] = []
        self._status = status
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def __call__(self, posted: Posted) -> web.StreamResponse:
        if posted.body == b"[]":
            return web.Response()
        if self.is_down or self.poison.intersection(posted.ids):
            return web.Response(status=self._status, text="KeyError: 'unit'", headers=self._headers)
        self.kept += posted.ids
        return web.Response()


async def attempts(sink: Sink, what: list[Record], most: int) -> tuple[Taken, list[Exception]]:
    """Deliver as the runner does: after a failure the rest again, in another session; until it ends or is refused."""
    taken, errors = Taken(), list[Exception]()
    while taken.count < len(what) and len(errors) < most:
        done = taken.count
        try:
            await deliver(sink, what[done:], lambda count, done=done: taken(done + count))  # type: ignore[arg-type]
        except SinkError as error:
            errors.append(error)
        except RefusedRecords as refused:
            errors.append(refused)
            taken(done + refused.end)
    return taken, errors


def run(receiver: Failing, what: list[Record], most: int = 100) -> tuple[Receiver, Taken, list[Exception]]:
    async def scenario() -> tuple[Receiver, Taken, list[Exception]]:
        async with receiving(receiver) as at:
            return at, *await attempts(sink_for(at.url), what, most)

    return asyncio.run(scenario())


def kinds(errors: list[Exception]) -> list[str]:
    return [error.trouble if isinstance(error, SinkError) else "refused" for error in errors]


@pytest.mark.parametrize("place", [0, 1, 7, 12, 18])
def test_the_report_that_it_fails_at_is_refused_when_it_takes_others(place: int) -> None:
    what = records(20)
    receiver = Failing([what[place].id])
    _, taken, errors = run(receiver, what)
    assert kinds(errors) == [Trouble.BUSY] * (FAILURES - 1) + ["refused"]
    assert str(errors[-1]) == f"500 Internal Server Error: KeyError: 'unit' ({FAILURES} times, and it takes others)"
    assert taken.count == 20
    # In order; only the one that spoke against it comes twice.
    kept = list(dict.fromkeys(receiver.kept))
    assert kept == [one.id for number, one in enumerate(what) if number != place]
    assert len(receiver.kept) == len(kept) + 1


def test_what_is_before_it_is_not_sent_again() -> None:
    what = records(20)
    receiver = Failing([what[13].id])
    run(receiver, what, most=1)
    assert receiver.kept == [one.id for one in what[:13]]


def test_while_it_takes_nothing_nothing_is_refused() -> None:
    what, receiver = records(40), Failing()
    receiver.is_down = True
    _, taken, errors = run(receiver, what, most=3 * FAILURES)
    assert kinds(errors) == [Trouble.BUSY] * 3 * FAILURES
    assert taken.steps == []


def test_a_report_that_nothing_waits_behind_is_tried_again_for_ever() -> None:
    (alone,) = records(1)
    _, _, errors = run(Failing([alone.id]), [alone], most=3 * FAILURES)
    assert kinds(errors) == [Trouble.BUSY] * 3 * FAILURES


def test_the_last_one_is_refused_when_another_one_comes() -> None:
    async def scenario() -> list[str]:
        what, receiver = records(2), Failing()
        receiver.poison = {what[0].id}
        async with receiving(receiver) as at:
            sink = sink_for(at.url)
            _, first = await attempts(sink, what[:1], FAILURES)
            _, then = await attempts(sink, what, 100)
        return kinds(first) + kinds(then)

    assert asyncio.run(scenario()) == [Trouble.BUSY] * FAILURES + ["refused"]


def test_what_failed_once_is_delivered_in_halves() -> None:
    receiver, what = Failing(), records(8)
    receiver.is_down = True

    def recovers(posted: Posted) -> web.StreamResponse:
        answer = receiver(posted)
        receiver.is_down = receiver.is_down and posted.body == b"[]"
        return answer

    async def scenario() -> Taken:
        async with receiving(recovers) as at:
            return await deliver(sink_for(at.url), what)

    assert asyncio.run(scenario()).steps == [4, 8]
    assert receiver.kept == [one.id for one in what]


def test_failures_at_different_reports_do_not_add_up() -> None:
    what = records(FAILURES)
    receiver = Failing()

    async def scenario() -> list[Exception]:
        errors = list[Exception]()
        async with receiving(receiver) as at:
            sink = sink_for(at.url)
            for one in what:
                receiver.poison = {one.id}
                _, failed = await attempts(sink, what[what.index(one) :], 1)
                errors += failed
        return errors

    assert kinds(asyncio.run(scenario())) == [Trouble.BUSY] * FAILURES


@pytest.mark.parametrize("first", [0, 3])
def test_a_row_of_them_is_refused_one_by_one(first: int) -> None:
    what = records(30)
    bad = {one.id for one in what[first : first + 6]}
    receiver = Failing(bad)
    _, taken, errors = run(receiver, what)
    busy = Trouble.BUSY
    assert kinds(errors) == [*[busy] * (FAILURES - 1), "refused", *[*[busy] * (FURTHER_FAILURES - 1), "refused"] * 5]
    assert taken.count == 30
    assert list(dict.fromkeys(receiver.kept)) == [one.id for one in what if one.id not in bad]


@pytest.mark.parametrize("count", [NEIGHBOURS - 1, NEIGHBOURS, NEIGHBOURS + 1, 10 * NEIGHBOURS])
def test_so_is_a_long_row(count: int) -> None:
    what = records(count + 2 * NEIGHBOURS * 10)
    receiver = Failing([one.id for one in what[:count]])
    at, _, errors = run(receiver, what, most=FAILURES)
    assert kinds(errors)[-1] == "refused"
    (spoke,) = receiver.kept[:1]
    assert len(at.batches) < 100
    if count <= NEIGHBOURS:  # those behind it are asked about as they come
        assert spoke == what[count].id


def test_one_that_is_mended_while_it_is_judged_is_taken() -> None:
    what, receiver = records(3), Failing()
    receiver.is_down = True

    def recovers(posted: Posted) -> web.StreamResponse:
        if posted.body != b"[]" and posted.ids == [what[1].id]:  # which is asked about to judge the first
            receiver.is_down = False
        return receiver(posted)

    async def scenario() -> tuple[Taken, list[Exception]]:
        async with receiving(recovers) as at:
            return await attempts(sink_for(at.url), what, 100)

    taken, errors = asyncio.run(scenario())
    assert kinds(errors) == [Trouble.BUSY] * (FAILURES - 1)
    assert taken.steps == [1, 3]
    assert receiver.kept == [what[number].id for number in (1, 0, 1, 2)]


@pytest.mark.parametrize("status", [501, 502, 503, 504])
def test_other_failures_blame_no_report(status: int) -> None:
    what = records(4)
    at, taken, errors = run(Failing([what[1].id], status), what, most=2 * FAILURES)
    assert kinds(errors) == [Trouble.BUSY] * 2 * FAILURES
    assert taken.steps == []
    assert len(at.batches) == 2 * FAILURES  # whole, each time


def test_neither_does_one_that_says_when_to_come_again() -> None:
    what = records(4)
    at, _, errors = run(Failing([what[1].id], Retry_After="7"), what, most=2 * FAILURES)
    assert [error.retry_after_s for error in errors if isinstance(error, SinkError)] == [7.0] * 2 * FAILURES
    assert len(at.batches) == 2 * FAILURES


def test_after_an_outage_it_is_as_patient_as_at_first() -> None:
    what, receiver = records(6), Failing()
    receiver.poison = {what[0].id}

    async def scenario() -> list[Exception]:
        async with receiving(receiver) as at:
            sink = sink_for(at.url)
            _, first = await attempts(sink, what[:2], 100)
            receiver.is_down = True
            _, down = await attempts(sink, what[2:], FURTHER_FAILURES)
            receiver.is_down = False
            receiver.poison = {what[4].id}
            _, then = await attempts(sink, what[2:], 100)
            return first[-1:] + down + then

    assert kinds(asyncio.run(scenario())) == [
        *("refused", *[Trouble.BUSY] * FURTHER_FAILURES),
        *([Trouble.BUSY] * (FAILURES - 1) + ["refused"]),
    ]


@pytest.mark.parametrize(("status", "trouble"), [(429, Trouble.BUSY), (401, Trouble.REFUSED)])
def test_what_others_are_answered_counts(status: int, trouble: Trouble) -> None:
    what = records(40)

    def give(posted: Posted) -> web.StreamResponse:
        if posted.body == b"[]":
            return web.Response()
        if what[0].id in posted.ids:
            return web.Response(status=500)
        return web.Response(status=status, headers={"Retry-After": "600"})

    async def scenario() -> tuple[Receiver, list[Exception]]:
        async with receiving(give) as at:
            _, errors = await attempts(sink_for(at.url), what, FAILURES)
            return at, errors

    at, errors = asyncio.run(scenario())
    last = errors[-1]
    assert isinstance(last, SinkError)
    assert (last.trouble, last.retry_after_s) == (trouble, 600.0 if status == 429 else None)
    assert at.batches[-1].ids == [what[1].id]  # and no further one


def test_a_refusal_of_others_is_no_sign_that_they_are_taken() -> None:
    what = records(3)

    def give(posted: Posted) -> web.StreamResponse:
        if posted.body == b"[]":
            return web.Response()
        return web.Response(status=500 if what[0].id in posted.ids else 400)

    async def scenario() -> list[Exception]:
        async with receiving(give) as at:
            _, errors = await attempts(sink_for(at.url), what, 2 * FAILURES)
            return errors

    assert kinds(asyncio.run(scenario())) == [Trouble.BUSY] * 2 * FAILURES


@pytest.mark.parametrize("first_portion", [1, 2, NO_LIMIT])
def test_from_the_spool_to_the_quarantine(first_portion: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the connection was lost so often that portions are small."""
    monkeypatch.setattr(runner, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(runner, "LONGEST_PAUSE_S", 0.02)
    chance = random.Random(7)
    names = [f"SN-{number}" for number in range(300)]
    bad = set(chance.sample(names, 12)) | {"SN-0", "SN-150", "SN-151", "SN-298"}
    kept: list[str] = []

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)

    async def scenario() -> list[tuple[str, str]]:
        receiver = Failing()

        def give(posted: Posted) -> web.StreamResponse:
            found = [one["deviceName"] for one in json.loads(posted.body)]
            if bad.intersection(found):
                return web.Response(status=500)
            answer = receiver(posted)
            if answer.status == 200:
                kept.extend(found)
            return answer

        async with receiving(give) as at:
            running = Running(tmp_path, sink_for(at.url, gateway_http_sink_max_body_bytes=2048))  # type: ignore[arg-type]
            running.runner._handover._limit = first_portion
            running.spools.commit(0, [stored(name, number) for number, name in enumerate(names[:200])])
            running.spools.commit(0, [stored(name, number) for number, name in enumerate(names[200:])])
            receiver.is_down = True  # an outage to begin with, in which nothing is blamed
            running.start()
            try:
                await until(lambda: running.runner.status.state == "busy")
                await asyncio.sleep(0.3)
                assert running.quarantined == []
                receiver.is_down = False
                await until(lambda: running.runner.waiting().uplinks == 0)
            finally:
                await asyncio.to_thread(running.stop)
            return running.quarantined

    quarantined = asyncio.run(scenario())
    assert [name for name, _ in quarantined] == [name for name in names if name in bad]
    assert all(reason.startswith("500 Internal Server Error (") for _, reason in quarantined)
    # Some came twice; each has come after those before it.
    assert list(dict.fromkeys(reversed(kept))) == [name for name in reversed(names) if name not in bad]


def test_being_busy_now_and_then_ends_no_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that resets the connection at one report, and is busy at times, is found out all the same."""
    for pause in ("FIRST_PAUSE_S", "LONGEST_PAUSE_S", "SEARCH_PAUSE_S"):
        monkeypatch.setattr(runner, pause, 0.001)
    posts = 0

    def give(posted: Posted) -> web.StreamResponse:
        nonlocal posts
        if posted.body == b"[]":
            return web.Response()
        posts += 1
        if posts % 10 == 0:
            return web.Response(status=429)
        if any(one["deviceName"] == "SN-0" for one in json.loads(posted.body)):
            for transport in receivers[0].connections:
                assert isinstance(transport, asyncio.Transport)
                transport.abort()
        return web.Response()

    receivers: list[Receiver] = []

    async def scenario() -> list[str]:
        async with receiving(give) as at:
            receivers.append(at)
            running = Running(tmp_path, sink_for(at.url))  # type: ignore[arg-type]
            running.commit(0, 1000)
            running.start()
            try:
                async with asyncio.timeout(30):
                    while running.runner.waiting().uplinks:
                        await asyncio.sleep(0.01)
            finally:
                await asyncio.to_thread(running.stop)
            return [name for name, _ in running.quarantined]

    assert asyncio.run(scenario()) == ["SN-0"]
