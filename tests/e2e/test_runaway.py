"""Scripts that run away keep no other integration's devices from service."""

import select
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
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

ANSWERED_WITHIN_S = 5.0
"""Bound of the healthy integration's 99th percentile while the others come to be blocked, at a limit of 100 ms a call:
as long as they come. Unblocked, they would ask for six times the time there is, and the wait would be far longer.
Usual is less than one, on a machine that is not busy.
"""

NEARLY_QUIET_S = 1.0
"""What it may be more than before the runaways came, once they are blocked, on a machine with other work to do."""


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


def pause(seconds: float) -> float:
    """Wait while devices send; gives the time."""
    time.sleep(seconds)
    return time.monotonic()


def test_runaway_scripts_are_blocked_and_a_healthy_integration_goes_on(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, source in {"healthy": HEALTHY, "recursing": RECURSING, **RUNAWAY}.items():
        gateway.add_integration(name, source, "--routing-key", name)
    gateway.start()
    (worker,) = gateway.worker_pids()
    healthy = Device(gateway, "healthy", HEALTHY_PER_S)
    bad = [Device(gateway, name, RUNAWAY_PER_S) for name in ("recursing", *RUNAWAY)]
    begun_s = time.monotonic()
    with sending(healthy):
        fired_s = pause(QUIET_S)
        with sending(*bad):
            blocked_s = pause(UNDER_FIRE_S)
            ended_s = pause(BLOCKED_S)

    quiet_s, under_fire_s, after_s = (
        healthy.p99_s(*times) for times in ((begun_s, fired_s), (fired_s, blocked_s), (blocked_s, ended_s))
    )
    with capsys.disabled():
        print(
            f"\nhealthy integration's p99: {quiet_s * 1000:.1f} ms quiet, {under_fire_s * 1000:.1f} ms while four "
            f"runaways are hit {RUNAWAY_PER_S} times a second, {after_s * 1000:.1f} ms once they are blocked"
        )
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
