"""What others take to hand the same records to the same broker: paho, the client that most Python programs use."""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.delivery_backlog import BATCH, reports
from benchmarks.servers import HOST, BenchError
from gateway.model import JsonValue

WINDOW = 32
"""Messages under way, as of the gateway."""

QUEUE = 256
"""Most messages that are handed to paho ahead: each acknowledgement costs it time for each that waits."""

BOUND_S = 120.0
TOPIC = "v1/gateway/telemetry"


@dataclass(frozen=True, slots=True)
class Published:
    """How long it took a peer."""

    records: int
    seconds: float
    cpu_s: float


def batches(records: int) -> list[bytes]:
    """Batches as they lie in a spool."""
    return [orjson.dumps([tuple(one) for one in reports(first, BATCH)]) for first in range(0, records, BATCH)]


def packed(bodies: Iterable[bytes]) -> Iterator[bytes]:
    """A message for each batch: the least that anyone has to do who packs."""
    for body in bodies:
        devices: dict[str, list[dict[str, JsonValue]]] = {}
        for *_, name, _, _, _, _, telemetry in orjson.loads(body):
            devices.setdefault(name, []).extend({"ts": ts, "values": values} for ts, values in telemetry)
        yield orjson.dumps(devices)


def single(records: int) -> list[bytes]:
    """A message for each record."""
    return [
        orjson.dumps({report.name: [{"ts": ts, "values": values} for ts, values in report.telemetry]})
        for report in reports(0, records)
    ]


def publish(port: int, records: int, count: int, payloads: Iterable[bytes]) -> Published:
    """Publish so many messages by QoS 1, in this process, and wait until all are acknowledged."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(WINDOW)
    left, done = [count], threading.Event()
    room = threading.Semaphore(QUEUE)

    def acknowledged(*_: object) -> None:
        room.release()
        left[0] -= 1
        if not left[0]:
            done.set()

    client.on_publish = acknowledged
    client.connect(HOST, port)
    client.loop_start()
    begun_s, cpu_s = time.perf_counter(), time.process_time()
    for payload in payloads:
        room.acquire()
        client.publish(TOPIC, payload, qos=1)
    if not done.wait(BOUND_S):
        raise BenchError(f"paho had {left[0]} messages left after {BOUND_S:.0f} s")
    published = Published(records, time.perf_counter() - begun_s, time.process_time() - cpu_s)
    client.disconnect()
    client.loop_stop()
    return published
