"""Scripts that run away keep no other integration's devices from service."""

import os
import select
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway.coap.codec import OptionNumber, Type, decode_uint, encode_message, parse_message
from gateway.model import Code

from .harness import Gateway

HEALTHY = "return { deviceName: String.fromCharCode.apply(String, payload), telemetry: { t: 1 } };"

RUNAWAY = {
    "looping": "for (;;);",
    "greedy": "var a = []; for (;;) a.push(new Array(1000).fill(0));",
    "backtracking": "/^(a+)+$/.test('a'.repeat(40) + 'b'); return [];",
}
"""What ends at a limit."""

RECURSING = "var f = () => f(); f();"
"""Fails at once, with an error of its own."""

RUNAWAY_PER_S = 20
HEALTHY_PER_S = 100

QUIET_S = 2.0
UNDER_FIRE_S = 5.0
BLOCKED_S = 3.0
"""How long each part of the test takes, in seconds."""

BLOCKING_CPU_S = 2.0
"""Bound of the worker's CPU time while the others come to be blocked, at a limit of 100 ms a call. On a machine that is
not busy nobody waits longer; after so long, a device repeats itself (RFC 7252 §4.8).
"""

BLOCKED_CPU_S = 1.0
"""Bound of its CPU time once they are blocked: unblocked, they would take all of it."""

ANSWERED_WITHIN_S = 5.0
"""Bound of the healthy integration's 99th percentile on a machine that runs other tests meanwhile: while they come."""

NEARLY_QUIET_S = 0.05
"""What it may be more than before the runaways came, once they are blocked."""


class Answer(NamedTuple):
    sent_s: float
    waited_s: float
    code: int
    max_age_s: int | None


class Device(threading.Thread):
    """Sends uplinks at even intervals, whatever becomes of them, until it is stopped; keeps the answers."""

    def __init__(self, gateway: Gateway, integration: str, per_s: float) -> None:
        super().__init__(daemon=True)
        self.integration = integration
        self.answers: list[Answer] = []
        self.sent: dict[bytes, float] = {}
        self._interval_s = 1 / per_s
        self._ended = threading.Event()
        self._socket = gateway.client()

    def run(self) -> None:
        next_s = time.monotonic()
        while not self._ended.is_set():
            now_s = time.monotonic()
            if now_s >= next_s:
                self._send(len(self.sent), now_s)
                next_s += self._interval_s
            else:
                self._receive(next_s - now_s)

    def _send(self, number: int, now_s: float) -> None:
        token = number.to_bytes(4)
        path = [(OptionNumber.URI_PATH, part.encode()) for part in ("i", self.integration)]
        self.sent[token] = now_s
        self._socket.send(encode_message(Type.NON, Code.POST, number & 0xFFFF, token, path, self.integration.encode()))

    def _receive(self, patience_s: float) -> None:
        if select.select([self._socket], [], [], patience_s)[0]:
            answer = parse_message(self._socket.recv(2048))
            sent_s = self.sent[answer.token]
            ages = [decode_uint(value) for number, value in answer.options if number == OptionNumber.MAX_AGE]
            waited_s = time.monotonic() - sent_s
            self.answers.append(Answer(sent_s, waited_s, answer.code, ages[0] if ages else None))

    def stop(self) -> None:
        """Send no more; wait for the answers that are still to come."""
        self._ended.set()
        self.join()
        deadline_s = time.monotonic() + 5
        while len(self.answers) < len(self.sent) and time.monotonic() < deadline_s:
            self._receive(0.1)
        self._socket.close()

    def p99_s(self, from_s: float, to_s: float) -> float:
        """99th percentile of the time that uplinks sent in between waited."""
        waited_s = [answer.waited_s for answer in self.answers if from_s <= answer.sent_s < to_s]
        return statistics.quantiles(waited_s, n=100)[98]


@contextmanager
def sending(*devices: Device) -> Iterator[None]:
    for device in devices:
        device.start()
    try:
        yield
    finally:
        for device in devices:
            device.stop()


class Moment(NamedTuple):
    at_s: float
    cpu_s: float
    """The CPU time that the worker has taken up to then."""


def moment(worker: int, *, after_s: float = 0) -> Moment:
    """How it stands when devices have been sending for so long."""
    time.sleep(after_s)
    fields = Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()
    return Moment(time.monotonic(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))


def test_runaway_scripts_are_blocked_and_a_healthy_integration_goes_on(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, source in {"healthy": HEALTHY, "recursing": RECURSING, **RUNAWAY}.items():
        gateway.add_integration(name, source, "--routing-key", name)
    gateway.start()
    (worker,) = gateway.worker_pids()
    healthy = Device(gateway, "healthy", HEALTHY_PER_S)
    bad = [Device(gateway, name, RUNAWAY_PER_S) for name in ("recursing", *RUNAWAY)]
    begun = moment(worker)
    with sending(healthy):
        fired = moment(worker, after_s=QUIET_S)
        with sending(*bad):
            blocked = moment(worker, after_s=UNDER_FIRE_S)
            ended = moment(worker, after_s=BLOCKED_S)

    quiet_s, under_fire_s, after_s = (
        healthy.p99_s(since.at_s, until.at_s) for since, until in ((begun, fired), (fired, blocked), (blocked, ended))
    )
    blocking_cpu_s, blocked_cpu_s = blocked.cpu_s - fired.cpu_s, ended.cpu_s - blocked.cpu_s
    with capsys.disabled():
        print(
            f"\nhealthy integration's p99: {quiet_s * 1000:.1f} ms quiet, {under_fire_s * 1000:.1f} ms while four "
            f"runaways are hit {RUNAWAY_PER_S} times a second, {after_s * 1000:.1f} ms once they are blocked; "
            f"the worker's CPU time: {blocking_cpu_s:.2f} s, then {blocked_cpu_s:.2f} s"
        )
    assert blocking_cpu_s < BLOCKING_CPU_S
    assert blocked_cpu_s < BLOCKED_CPU_S
    assert under_fire_s < ANSWERED_WITHIN_S
    assert after_s < quiet_s + NEARLY_QUIET_S
    for device in (healthy, *bad):
        assert len(device.answers) == len(device.sent), device.integration
    assert {answer.code for answer in healthy.answers} == {Code.CREATED}
    recursing, *runaways = bad
    assert {answer.code for answer in recursing.answers} == {Code.BAD_REQUEST}
    for device in runaways:
        check_blocked(device)
        assert gateway.log.count(f"converter {device.integration} is blocked for 60 s") == 1
    assert gateway.worker_pids() == [worker]


def check_blocked(device: Device) -> None:
    """Three uplinks ran into a limit; all others were refused, with the seconds that were left."""
    codes = Counter(answer.code for answer in device.answers)
    assert codes[Code.BAD_REQUEST] == 3, (device.integration, codes)
    assert set(codes) == {Code.BAD_REQUEST, Code.SERVICE_UNAVAILABLE}
    ages = [answer.max_age_s for answer in device.answers if answer.code == Code.SERVICE_UNAVAILABLE]
    assert all(age is not None and 60 - QUIET_S - UNDER_FIRE_S - BLOCKED_S < age <= 60 for age in ages)
    assert None not in ages and ages == sorted(ages, key=lambda age: -(age or 0))
