"""Outages: what was acknowledged arrives whatever ends in the meantime, in order, and little of it twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.mqtt_proxy import Proxy
from tests.mqtt_sessions import Session, samples_of

from .delivery import delivered, sink_status, thingsboard
from .harness import eventually
from .secure import MakeGateway
from .small_disk import SmallDisk
from .uplinks import CONVERTER, DEVICE_TYPE, Fleet, Uplink

UPLINKS = 100_000
DEVICES = 40
WINDOW = 8
MESSAGE_BYTES = 4096
ARRIVAL_PATIENCE_S = 60.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Mosquitto that runs."""
    with Broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def proxy(broker: Broker) -> Iterator[Proxy]:
    """What the gateway connects to, in front of the broker."""
    with Proxy(broker.port) as serving:
        yield serving


def small_messages(proxy: Proxy, **settings: str) -> dict[str, str]:
    """Settings by which there are many messages, and often some of them under way."""
    return thingsboard(proxy.port, TB_MQTT_WINDOW=str(WINDOW), TB_MQTT_MAX_MESSAGE_BYTES=str(MESSAGE_BYTES), **settings)


def has_all(proxy: Proxy, fleet: Fleet) -> None:
    """Wait until everything that was acknowledged to the devices has arrived."""
    follower = _Follower(proxy)
    eventually(lambda: fleet.acknowledged <= follower.arrived(), "all arrives", ARRIVAL_PATIENCE_S)


class _Follower:
    """Reads what a proxy saw, each message once it was answered."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._arrived: set[Uplink] = set()
        self._read: Counter[int] = Counter()

    def arrived(self) -> set[Uplink]:
        """What has arrived by now."""
        for index, session in enumerate(list(self._proxy.sessions)):
            done = session.messages[self._read[index] :]
            for message in done:
                if message.reason is None and session.open:
                    break
                self._read[index] += 1
                if message.arrived:
                    self._arrived.update(Uplink(name, sample.values["n"]) for name, sample in samples_of(message))
        return self._arrived


def in_order_and_rarely_twice(sessions: list[Session]) -> None:
    """Each device's uplinks arrive in their order; what comes twice was on its way when a connection ended."""
    newest: dict[str, int] = {}
    times: dict[Uplink, int] = {}
    carried_by: dict[Uplink, tuple[int, int]] = {}
    for number, session in enumerate(sessions):
        repeated: set[tuple[int, int]] = set()
        sent: dict[Uplink, tuple[int, int]] = {}
        for place, message in enumerate(session.messages):
            for device, sample in samples_of(message):
                uplink = Uplink(device, sample.values["n"])
                assert times.setdefault(uplink, sample.ts) == sample.ts, "a repetition overwrites the same point"
                assert uplink not in sent, "nothing is sent twice in a session"
                sent[uplink] = (number, place)
                if uplink in carried_by:
                    repeated.add(carried_by[uplink])
                else:
                    assert uplink.number > newest.get(device, -1), f"{uplink} comes behind {newest[device]}"
                    newest[device] = uplink.number
        assert len(repeated) <= WINDOW, f"session {number} repeats what {len(repeated)} messages had"
        assert session.most_waiting <= WINDOW
        carried_by |= sent


@pytest.mark.timeout(240)
def test_every_acknowledged_uplink_of_100_000_arrives_through_stops_and_kills_of_broker_and_gateway(
    make_gateway: MakeGateway, broker: Broker, proxy: Proxy
) -> None:
    gateway = make_gateway(**small_messages(proxy), GATEWAY_HISTORY_DAYS="0")
    url = gateway.add_integration("count", CONVERTER, language="python")
    gateway.start()
    with Fleet(gateway, url, devices=DEVICES, enough=UPLINKS) as fleet:
        fleet.until(10_000)
        broker.stop()
        fleet.until(25_000)
        gateway.kill()
        gateway.start()
        fleet.until(35_000)
        broker.start()
        eventually(lambda: delivering(proxy), "it delivers again")
        proxy.drop()
        fleet.until(55_000)
        broker.kill()
        fleet.until(70_000)
        broker.start()
        eventually(lambda: delivering(proxy), "it delivers again")
        gateway.kill()
        gateway.start()
        fleet.finish()
        has_all(proxy, fleet)
    contract = delivered(proxy)
    assert set(contract.types.values()) == {DEVICE_TYPE}
    assert set(fleet.refused) <= {"5.03"}  # by workers that end, their supervisor gone
    in_order_and_rarely_twice(proxy.sessions)


def delivering(proxy: Proxy) -> bool:
    """Whether the newest session is open, and something arrived in it."""
    session = proxy.sessions[-1] if proxy.sessions else None
    return session is not None and session.open and any(message.arrived for message in session.messages[:100])


@pytest.mark.timeout(180)
def test_a_full_disk_is_answered_5_03_and_what_was_acknowledged_arrives_when_there_is_room(
    make_gateway: MakeGateway, broker: Broker, proxy: Proxy
) -> None:
    gateway = make_gateway(**small_messages(proxy), GATEWAY_HISTORY_DAYS="0")
    url = gateway.add_integration("count", CONVERTER, language="python")
    broker.stop()
    disk = SmallDisk(gateway, 48 << 20)
    disk.start()
    with Fleet(gateway, url, devices=DEVICES, enough=UPLINKS) as fleet:
        fleet.until(500)
        disk.fill(leave_bytes=1 << 20)
        eventually(lambda: fleet.refused["5.03"] > 100, "uplinks are refused")
        broker.start()  # what arrives can't be put on record while there is no room
        before = len(fleet.acknowledged)
        eventually(lambda: proxy.accepted, "it connects")
        disk.make_room()
        fleet.until(before + 5000)
        fleet.paused = True
        has_all(proxy, fleet)
    assert set(fleet.refused) == {"5.03"}
    assert gateway.worker_pids()
    delivered(proxy)
    in_order_and_rarely_twice(proxy.sessions)


@pytest.mark.timeout(120)
def test_a_spool_that_is_full_in_an_outage_is_answered_5_03_and_takes_uplinks_again_when_the_broker_is_back(
    make_gateway: MakeGateway, broker: Broker, proxy: Proxy
) -> None:
    bound = 1 << 20
    gateway = make_gateway(**small_messages(proxy), GATEWAY_SPOOL_MAX_BYTES=str(bound))
    url = gateway.add_integration("count", CONVERTER, language="python")
    broker.stop()
    gateway.start()
    with Fleet(gateway, url, devices=DEVICES, enough=UPLINKS) as fleet:
        eventually(lambda: fleet.refused["5.03"] > 100, "uplinks are refused")
        assert (
            0.9 < sink_status(gateway)["waiting_bytes"] / bound < 1.01
        )  # a batch of its own is counted when it is there
        stored = len(fleet.acknowledged)
        assert (gateway.data_dir / "spool-0.db").stat().st_size < 8 * bound
        broker.start()
        fleet.until(stored + 5000)
        fleet.paused = True
        has_all(proxy, fleet)
    assert set(fleet.refused) == {"5.03"}
    delivered(proxy)
    in_order_and_rarely_twice(proxy.sessions)
