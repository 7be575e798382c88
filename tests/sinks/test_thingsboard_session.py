"""A session with ThingsBoard, against a server that answers as a test wants it to."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from gateway.errors import UnavailableError
from gateway.metrics import SINK_INCOMING_TOTAL, SINK_MESSAGES_TOTAL, SINK_NOT_CARRIED_TOTAL
from gateway.model import JsonValue
from gateway.sinks import thingsboard_session
from gateway.sinks.sink import Record, RefusedRecords, SinkError, Trouble
from gateway.sinks.thingsboard_session import IDLE_DEVICES, MOST_INCOMING, RPC_ERROR, ThingsBoardSession
from tests.mqtt_packets import (
    IMPLEMENTATION_SPECIFIC_ERROR,
    PACKET_TOO_LARGE,
    PAYLOAD_FORMAT_INVALID,
    QUOTA_EXCEEDED,
    Publish,
)
from tests.mqtt_sessions import ATTRIBUTES, CONNECT, DISCONNECT, RPC, TELEMETRY, Contract, judge
from tests.scripted_mqtt import ACCEPT, Acknowledge, Answer, Close, Ignore, ScriptedServer

from .records import Taken, record, records
from .thingsboard_rig import KeepingHost, run, session_with, trouble_of, until

VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


def large(number: int, size: int = 60_000) -> Record:
    """A record whose telemetry fills a message, so that each makes a parcel."""
    return record(number, telemetry=[(number + 1, {"text": "x" * size})])


def parcels(count: int) -> list[Record]:
    """As many records of one device as make so many parcels."""
    return [large(number)._replace(report=large(number).report._replace(name="SN-000")) for number in range(count)]


def telemetry_alone(answer: Callable[[int], Answer]) -> Callable[[Publish], Answer]:
    """Answers messages of telemetry by their number, and accepts all others."""
    count = 0

    def judge_one(publish: Publish) -> Answer:
        nonlocal count
        if publish.topic != TELEMETRY:
            return ACCEPT
        count += 1
        return answer(count - 1)

    return judge_one


def numbers(server: ScriptedServer) -> list[int]:
    """The numbers of the parcels that came, in their order."""
    found = [orjson.loads(publish.payload) for publish in server.publishes if publish.topic == TELEMETRY]
    return [sample["ts"] - 1 for told in found for samples in told.values() for sample in samples]


def kept_contract(server: ScriptedServer) -> Contract:
    contract = judge(server.sessions)
    assert contract.violations == []
    return contract


async def end_of(work: "asyncio.Task[None]") -> None:
    work.cancel()
    await asyncio.wait([work])


# -- devices and data ----------------------------------------------------------------------------


@VERSIONS
def test_a_device_is_connected_with_its_type_before_its_first_data_in_each_session(version: str) -> None:
    async def scenario() -> None:
        for _ in range(2):
            async with session_with(server.port, version=version) as session:
                for _ in range(2):
                    await session.deliver([record(1, type="thermostat", attributes={"a": 1}), record(2)], Taken())

    with ScriptedServer() as server:
        run(scenario())
    one_session = [CONNECT, CONNECT, TELEMETRY, ATTRIBUTES, TELEMETRY, ATTRIBUTES]
    assert [publish.topic for publish in server.publishes] == one_session * 2
    assert kept_contract(server).types == {"SN-001": "thermostat", "SN-002": "default"}


def test_a_report_without_data_connects_its_device_and_is_confirmed_by_that() -> None:
    async def scenario() -> Taken:
        taken = Taken()
        async with session_with(server.port) as session:
            await session.deliver([record(telemetry=[])], taken)
        return taken

    with ScriptedServer() as server:
        assert run(scenario()).count == 1
    assert [publish.payload for publish in server.publishes] == [b'{"device":"SN-000","type":"default"}']


def test_assets_customers_and_groups_are_counted_and_assets_are_confirmed_unsent() -> None:
    async def scenario() -> None:
        host, taken = KeepingHost(), Taken()
        async with session_with(server.port, host) as session:
            await session.deliver([record(n, kind="asset") for n in range(3)], taken)
            assert (taken.count, server.publishes) == (3, [])
            await session.deliver([record(1, customer="C", group="G"), record(2, group="G")], taken := Taken())
            assert taken.count == 2
        counted = [host.counted(SINK_NOT_CARRIED_TOTAL, what) for what in ("assets", "customers", "groups")]
        assert counted == [3, 1, 2]

    with ScriptedServer() as server:
        run(scenario())


def test_messages_are_counted_by_their_kind() -> None:
    async def scenario() -> KeepingHost:
        host = KeepingHost()
        async with session_with(server.port, host) as session:
            await session.deliver([record(n, attributes={"a": 1}) for n in range(3)], Taken())
        return host

    with ScriptedServer() as server:
        host = run(scenario())
    kinds = ("connect", "telemetry", "attributes", "disconnect", "rpc")
    assert [host.counted(SINK_MESSAGES_TOTAL, kind) for kind in kinds] == [3, 1, 1, 0, 0]


def test_nothing_to_deliver_is_delivered() -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            await session.deliver([], Taken())

    with ScriptedServer() as server:
        run(scenario())


def test_a_report_of_more_messages_than_the_window_gets_through() -> None:
    async def scenario() -> None:
        async with session_with(server.port, window=2, max_message_bytes=1024) as session:
            samples = [(n + 1, {"text": "x" * 500}) for n in range(40)]
            await session.deliver([record(0), record(1, telemetry=samples), record(2)], taken := Taken())
            assert taken.count == 3

    with ScriptedServer() as server:
        run(scenario())
    assert [sample.ts for sample in kept_contract(server).telemetry["SN-001"]] == list(range(1, 41))
    assert server.sessions[0].most_waiting <= 2


# -- the window ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "receive_maximum", "expected"), [(5, None, 5), (5, 3, 3), (5, 1, 1), (3, 5, 3), (2, None, 2)]
)
def test_no_more_messages_are_under_way_than_we_and_the_server_want(
    window: int, receive_maximum: int | None, expected: int
) -> None:
    async def scenario() -> None:
        async with session_with(server.port, window=window) as session:
            await session.deliver([record(0)], Taken())
            server.judge = lambda publish: Ignore()
            work = asyncio.create_task(session.deliver(parcels(20), Taken()))
            await until(lambda: len(server.publishes) == 2 + expected)
            await end_of(work)

    with ScriptedServer() as server:
        if receive_maximum is not None:
            server.connack_properties = bytes([0x21, 0, receive_maximum])
        run(scenario())
        assert server.sessions[0].most_waiting == expected


def test_a_full_window_drains_and_fills_again_until_all_is_delivered() -> None:
    async def scenario() -> None:
        async with session_with(server.port, window=4) as session:
            await session.deliver(parcels(100), taken := Taken())
            assert taken.count == 100
            assert len(taken.steps) > 1

    with ScriptedServer() as server:
        run(scenario())
        assert numbers(server) == list(range(100))
        assert server.sessions[0].most_waiting <= 4


def test_what_is_acknowledged_and_not_on_record_counts_as_under_way() -> None:
    async def scenario() -> None:
        async with session_with(server.port, window=4) as session:
            taken = Taken()
            work = asyncio.create_task(session.deliver(parcels(20), taken))
            await until(lambda: len(numbers(server)) == 4)
            await until(lambda: len(session._flight._waiting) == 1)
            assert (len(numbers(server)), taken.steps) == (4, [])
            await end_of(work)

    with ScriptedServer() as server:
        server.judge = telemetry_alone(lambda number: ACCEPT if number else Ignore())
        run(scenario())


def test_what_is_on_record_makes_room_only_when_it_is() -> None:
    async def scenario() -> None:
        async with session_with(server.port, window=3) as session:
            before: list[int] = []

            def taken(count: int) -> None:
                before.append(len(numbers(server)) - count)

            await session.deliver(parcels(30), taken)
            assert max(before) <= 3

    with ScriptedServer() as server:
        run(scenario())


def test_a_cancelled_delivery_makes_room_as_its_messages_are_acknowledged() -> None:
    async def scenario() -> None:
        async with session_with(server.port, window=4) as session:
            work = asyncio.create_task(session.deliver(parcels(20), taken := Taken()))
            await until(lambda: len(numbers(server)) == 4)
            await end_of(work)
            await session.deliver([record(1, kind="asset")], Taken())
            assert taken.steps == []

    with ScriptedServer() as server:
        server.judge = telemetry_alone(lambda number: Ignore())
        run(scenario())


def test_what_taken_raises_ends_the_delivery() -> None:
    async def scenario() -> None:
        def taken(count: int) -> None:
            raise UnavailableError("the disk is full", hint="make room")

        async with session_with(server.port) as session:
            with pytest.raises(UnavailableError, match="the disk is full"):
                await session.deliver(records(3), taken)
            await session.deliver(records(3), after := Taken())
            assert after.count == 3

    with ScriptedServer() as server:
        run(scenario())


# -- calls that overlap --------------------------------------------------------------------------


def test_calls_that_overlap_are_sent_and_recorded_one_after_the_other() -> None:
    async def scenario() -> None:
        order: list[tuple[str, int]] = []
        async with session_with(server.port, window=6) as session:
            all_of_it = parcels(60)
            calls = [
                session.deliver(all_of_it[n : n + 20], lambda count, n=n: order.append((f"from {n}", count)))  # type: ignore[misc]
                for n in (0, 20, 40)
            ]
            await asyncio.gather(*calls)
        assert order == sorted(order)
        assert {count for _, count in order if count == 20} == {20}

    with ScriptedServer() as server:
        run(scenario())
        assert numbers(server) == list(range(60))


def test_a_later_call_is_not_recorded_before_an_earlier_one() -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            first = asyncio.create_task(session.deliver(parcels(1), early := Taken()))
            await until(lambda: len(numbers(server)) == 1)
            second = asyncio.create_task(session.deliver(records(2), late := Taken()))
            await until(lambda: len(numbers(server)) == 3 and len(session._flight._waiting) == 1)
            assert (early.steps, late.steps) == ([], [])
            await end_of(first)
            error = await trouble_of(second)
            assert (error.trouble, late.steps) == (Trouble.BUSY, [])

    with ScriptedServer() as server:
        server.judge = telemetry_alone(lambda number: ACCEPT if number else Ignore())
        run(scenario())


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [PAYLOAD_FORMAT_INVALID, IMPLEMENTATION_SPECIFIC_ERROR, 0x80, 0x90])
def test_a_refused_message_names_its_records_and_those_before_are_confirmed(reason: int) -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            taken = Taken()
            with pytest.raises(RefusedRecords, match="no such thing") as raised:
                await session.deliver(parcels(6), taken)
            assert (raised.value.start, raised.value.end, taken.count) == (3, 4, 3)
            await session.deliver(parcels(6)[4:], taken := Taken())
            assert taken.count == 2

    with ScriptedServer() as server:
        server.judge = telemetry_alone(lambda number: Acknowledge(reason, "no such thing") if number == 3 else ACCEPT)
        run(scenario())


def test_many_records_in_a_refused_message_are_named_together() -> None:
    async def scenario() -> RefusedRecords:
        async with session_with(server.port) as session:
            with pytest.raises(RefusedRecords) as raised:
                await session.deliver([record(0, attributes={"a": 1}), record(1), record(2)], Taken())
            return raised.value

    with ScriptedServer() as server:
        server.judge = lambda publish: Acknowledge(0x99) if publish.topic == ATTRIBUTES else ACCEPT
        refused = run(scenario())
    assert (refused.start, refused.end) == (0, 3)
    assert "(attributes)" in refused.reason


def test_a_device_whose_connect_is_refused_is_connected_again_the_next_time() -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            with pytest.raises(RefusedRecords, match="connect"):
                await session.deliver([record(0)], Taken())
            server.judge = lambda publish: ACCEPT
            await session.deliver([record(0)], Taken())

    with ScriptedServer() as server:
        server.judge = lambda publish: Acknowledge(0x83) if publish.topic == CONNECT else ACCEPT
        run(scenario())
    assert [publish.topic for publish in server.publishes] == [CONNECT, TELEMETRY, CONNECT, TELEMETRY]


def test_a_record_that_fits_no_message_is_refused_unsent_when_those_before_are_confirmed() -> None:
    async def scenario() -> None:
        async with session_with(server.port, max_message_bytes=2000) as session:
            with pytest.raises(RefusedRecords) as raised:
                await session.deliver([record(0), large(1), record(2)], taken := Taken())
            assert (raised.value.start, raised.value.end, taken.count) == (1, 2, 1)
            assert "TB_MQTT_MAX_MESSAGE_BYTES=2000" in raised.value.reason

    with ScriptedServer() as server:
        run(scenario())
        assert numbers(server) == [record(0).report.telemetry[0][0] - 1]


def test_behind_a_record_that_fits_no_message_nothing_is_sent_only_to_be_sent_again() -> None:
    async def scenario() -> None:
        async with session_with(server.port, max_message_bytes=2000) as session:
            first = asyncio.create_task(session.deliver([record(0), large(1)], Taken()))
            second = asyncio.create_task(session.deliver([record(2)], Taken()))
            refused, behind = await asyncio.gather(first, second, return_exceptions=True)
            assert isinstance(refused, RefusedRecords) and isinstance(behind, SinkError)

    with ScriptedServer() as server:
        run(scenario())
        assert numbers(server) == [record(0).report.telemetry[0][0] - 1]


@pytest.mark.parametrize(
    ("reason", "trouble", "hint"),
    [
        (QUOTA_EXCEEDED, Trouble.BUSY, "rate limits"),
        (0x87, Trouble.REFUSED, "Is gateway"),
    ],
)
def test_a_server_that_does_not_take_more_ends_the_session(reason: int, trouble: Trouble, hint: str) -> None:
    async def scenario() -> None:
        async with session_with(server.port, window=2) as session:
            error = await trouble_of(session.deliver(parcels(20), taken := Taken()))
            assert (error.trouble, taken.count) == (trouble, 2)
            assert hint in error.hint and "slowly" in error.message
            assert await trouble_of(session.closed()) is error
            assert await trouble_of(session.deliver(records(1), Taken())) is error

    with ScriptedServer() as server:
        server.judge = telemetry_alone(lambda number: Acknowledge(reason, "slowly") if number == 2 else ACCEPT)
        run(scenario())


# -- lost and silent connections -----------------------------------------------------------------


@VERSIONS
def test_a_lost_connection_ends_what_is_under_way(version: str) -> None:
    async def scenario() -> None:
        async with session_with(server.port, version=version) as session:
            error = await trouble_of(session.deliver(parcels(20), taken := Taken()))
            assert (error.trouble, taken.count) == (Trouble.UNREACHABLE, 5)

    with ScriptedServer() as server:
        server.judge = telemetry_alone(lambda number: Close() if number == 5 else ACCEPT)
        run(scenario())


def test_a_lost_connection_is_noticed_while_there_is_nothing_to_deliver() -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            waiting = asyncio.create_task(session.closed())
            await session.deliver(records(1), Taken())
            assert not waiting.done()
            server.drop()
            assert (await trouble_of(waiting)).trouble is Trouble.UNREACHABLE

    with ScriptedServer() as server:
        run(scenario())


@pytest.mark.parametrize(
    ("reason", "trouble", "words"),
    [
        (0x8B, Trouble.BUSY, "Server shutting down"),
        (QUOTA_EXCEEDED, Trouble.BUSY, "Quota exceeded"),
        (0x87, Trouble.REFUSED, "Not authorized"),
        (0x8E, Trouble.UNREACHABLE, "Session taken over"),
        (0x83, Trouble.UNREACHABLE, "Implementation specific error"),
    ],
)
def test_the_servers_reason_for_disconnecting_is_told(reason: int, trouble: Trouble, words: str) -> None:
    async def scenario() -> SinkError:
        async with session_with(server.port) as session:
            return await trouble_of(session.deliver(records(1), Taken()))

    with ScriptedServer() as server:
        server.judge = lambda publish: Close(reason)
        error = run(scenario())
    assert error.trouble is trouble
    assert words in error.message


def test_a_packet_that_is_too_large_for_the_server_is_the_oldest_that_is_not_confirmed() -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            first = asyncio.create_task(session.deliver(parcels(6), taken := Taken()))
            second = asyncio.create_task(session.deliver(records(1), Taken()))
            with pytest.raises(RefusedRecords, match="Packet too large") as raised:
                await first
            assert (raised.value.start, raised.value.end, taken.count) == (3, 4, 3)
            assert (await trouble_of(second)).trouble is Trouble.UNREACHABLE
            assert (await trouble_of(session.closed())).trouble is Trouble.UNREACHABLE

    with ScriptedServer() as server:
        server.judge = telemetry_alone(lambda number: Close(PACKET_TOO_LARGE) if number == 3 else ACCEPT)
        run(scenario())


def test_a_server_that_acknowledges_nothing_is_silent() -> None:
    async def scenario() -> SinkError:
        async with session_with(server.port, ack_timeout_s=0.2) as session:
            return await trouble_of(session.deliver(records(1), Taken()))

    with ScriptedServer() as server:
        server.judge = lambda publish: Ignore()
        error = run(scenario())
    assert error.trouble is Trouble.SILENT
    assert "for 0.2 s" in error.message
    assert "TB_MQTT_ACK_TIMEOUT_MS" in error.hint


def test_a_server_that_forgets_one_message_is_silent_when_the_window_is_full() -> None:
    async def scenario() -> None:
        async with session_with(server.port, window=4, ack_timeout_s=0.2) as session:
            error = await trouble_of(session.deliver(parcels(20), taken := Taken()))
            assert (error.trouble, taken.count) == (Trouble.SILENT, 2)

    with ScriptedServer() as server:
        server.judge = telemetry_alone(lambda number: Ignore() if number == 2 else ACCEPT)
        run(scenario())


def test_a_server_that_is_slow_is_not_silent() -> None:
    def slowly(publish: Publish) -> Answer:
        time.sleep(0.05)
        return ACCEPT

    async def scenario() -> None:
        async with session_with(server.port, ack_timeout_s=0.3) as session:
            await session.deliver(parcels(12), Taken())

    with ScriptedServer() as server:
        server.judge = slowly
        run(scenario())


def test_silence_with_nothing_under_way_is_none() -> None:
    async def scenario() -> None:
        async with session_with(server.port, ack_timeout_s=0.1) as session:
            await session.deliver(records(1), Taken())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.closed(), 0.3)
            await session.deliver(records(1), Taken())

    with ScriptedServer() as server:
        run(scenario())


# -- what the server takes -----------------------------------------------------------------------


def test_messages_keep_to_the_servers_limit_where_it_is_smaller() -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            await session.deliver(records(100), Taken())
            with pytest.raises(RefusedRecords, match="takes packets of 2000 bytes at most"):
                await session.deliver([large(1, 2000)], Taken())

    with ScriptedServer() as server:
        server.connack_properties = bytes([0x27, *(2000).to_bytes(4, "big")])
        run(scenario())
        sizes = [len(publish.payload) for publish in server.publishes if publish.topic == TELEMETRY]
    assert len(sizes) > 2
    assert max(sizes) + len(TELEMETRY) + 2 + 2 + 1 + 3 <= 2000


@pytest.mark.parametrize(
    ("properties", "trouble"),
    [(bytes([0x27, 0, 0, 3, 0xFF]), Trouble.MISCONFIGURED), (bytes([0x24, 0]), Trouble.SILENT)],
    ids=["Maximum Packet Size 1023", "Maximum QoS 0"],
)
def test_a_server_that_can_take_no_reports_is_not_delivered_to(properties: bytes, trouble: Trouble) -> None:
    async def scenario() -> None:
        async with session_with(server.port):
            pass

    with ScriptedServer() as server:
        server.connack_properties = properties
        assert run(trouble_of(scenario())).trouble is trouble


# -- idle devices --------------------------------------------------------------------------------


class Clock:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def disconnected(server: ScriptedServer) -> list[str]:
    return [orjson.loads(publish.payload)["device"] for publish in server.publishes if publish.topic == DISCONNECT]


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thingsboard_session, "IDLE_INTERVAL_S", 0.01)


@pytest.mark.usefixtures("quickly")
def test_a_silent_device_is_disconnected_and_connected_again_when_it_speaks() -> None:
    async def scenario() -> None:
        clock = Clock()
        async with session_with(server.port, clock=clock, idle_s=60.0) as session:
            await session.deliver([record(0), record(1)], Taken())
            clock.now_s += 30
            await session.deliver([record(1)], Taken())
            clock.now_s += 30
            await until(lambda: disconnected(server))
            assert disconnected(server) == ["SN-000"]
            await session.deliver([record(0)], Taken())
            clock.now_s += 30
            await until(lambda: len(disconnected(server)) == 2)
            assert disconnected(server) == ["SN-000", "SN-001"]

    with ScriptedServer() as server:
        run(scenario())
    kept_contract(server)


@pytest.mark.usefixtures("quickly")
def test_few_devices_are_disconnected_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        clock = Clock()
        async with session_with(server.port, clock=clock, window=64) as session:
            await session.deliver(records(IDLE_DEVICES + 5), Taken())
            monkeypatch.setattr(thingsboard_session, "IDLE_INTERVAL_S", 3600.0)
            clock.now_s += 1000
            await until(lambda: len(disconnected(server)) == IDLE_DEVICES)
            await until(lambda: not session._flight._waiting)
            assert len(disconnected(server)) == IDLE_DEVICES

    with ScriptedServer() as server:
        run(scenario())


def test_no_device_is_disconnected_between_its_connect_and_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thingsboard_session, "IDLE_INTERVAL_S", 0.0005)

    async def scenario() -> None:
        clock = Clock()
        async with session_with(server.port, clock=clock, window=2) as session:
            for _ in range(20):
                work = asyncio.create_task(session.deliver(records(20), Taken()))
                while not work.done():
                    clock.now_s += 1000
                    await asyncio.sleep(0.0005)
                await work
                clock.now_s += 1000
                await until(lambda: len(session._devices) < 20)

    with ScriptedServer() as server:
        run(scenario())
    kept_contract(server)


# -- what ThingsBoard sends ----------------------------------------------------------------------


async def listening(session: ThingsBoardSession, server: ScriptedServer) -> None:
    await until(lambda: server.sessions and len(server.sessions[-1].subscriptions) == 2)


@VERSIONS
def test_shared_attributes_are_kept(version: str) -> None:
    async def scenario() -> None:
        host = KeepingHost()
        async with session_with(server.port, host, version=version) as session:
            await listening(session, server)
            server.send(ATTRIBUTES, b'{"device":"SN-001","data":{"interval":60,"deep":{"a":[1]}}}', 1)
            await until(lambda: host.attributes)
            assert host.attributes == [("SN-001", {"interval": 60, "deep": {"a": [1]}})]
            assert host.counted(SINK_INCOMING_TOTAL, "attributes") == 1

    with ScriptedServer() as server:
        run(scenario())
        assert server.sessions[0].subscriptions == [ATTRIBUTES, RPC]
        assert server.acknowledged == [1]


@VERSIONS
def test_a_call_is_kept_and_answered(version: str) -> None:
    request = {"id": 7, "method": "setValve", "params": {"open": True}}

    async def scenario() -> None:
        host = KeepingHost()
        async with session_with(server.port, host, version=version) as session:
            await listening(session, server)
            server.send(RPC, orjson.dumps({"device": "SN-001", "data": request}), 1)
            await until(lambda: server.publishes)
            assert host.rpcs == [("SN-001", request)]
            assert host.counted(SINK_INCOMING_TOTAL, "rpc") == host.counted(SINK_MESSAGES_TOTAL, "rpc") == 1

    with ScriptedServer() as server:
        run(scenario())
    assert kept_contract(server).rpc_answers == [{"device": "SN-001", "id": 7, "data": {"error": RPC_ERROR}}]


def test_a_refused_answer_to_a_call_is_no_reason_to_stop() -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            await listening(session, server)
            server.send(RPC, b'{"device":"SN-001","data":{"id":1,"method":"m"}}', 1)
            await until(lambda: server.publishes)
            await session.deliver(records(1), Taken())

    with ScriptedServer() as server:
        server.judge = lambda publish: Acknowledge(0x87) if publish.topic == RPC else ACCEPT
        run(scenario())


def test_nonsense_is_counted_and_ignored() -> None:
    nonsense: list[tuple[str, bytes]] = [
        (ATTRIBUTES, b""),
        (ATTRIBUTES, b"\xff\xfe"),
        (ATTRIBUTES, b'{"SN-001":{"our":"own"}}'),
        (RPC, b'{"device":"SN-001","data":{"id":1}}'),
        ("another/topic", b'{"device":"SN-001","data":{}}'),
    ]

    async def scenario() -> None:
        host = KeepingHost()
        async with session_with(server.port, host) as session:
            await listening(session, server)
            for topic, payload in nonsense:
                server.send(topic, payload, 1)
            server.send(ATTRIBUTES, b'{"device":"SN-001","data":{"x":"' + b"y" * 65_536 + b'"}}', 1)
            server.send(ATTRIBUTES, b'{"device":"last","data":{}}', 1)
            await until(lambda: host.attributes)
            assert (host.attributes, host.rpcs) == ([("last", {})], [])
            assert host.counted(SINK_INCOMING_TOTAL, "ignored") == len(nonsense)
            assert host.counted(SINK_INCOMING_TOTAL, "dropped") == 1
            await session.deliver(records(1), Taken())

    with ScriptedServer() as server:
        run(scenario())


def test_more_messages_than_can_be_looked_at_are_dropped() -> None:
    async def scenario() -> None:
        host = KeepingHost()
        async with session_with(server.port, host) as session:
            for number in range(MOST_INCOMING + 10):  # no turn of the loop in between: nobody looks at them
                session.received(ATTRIBUTES, orjson.dumps({"device": str(number), "data": {}}))
            await until(lambda: len(host.attributes) == MOST_INCOMING)
            assert host.counted(SINK_INCOMING_TOTAL, "dropped") == 10

    with ScriptedServer() as server:
        run(scenario())


def test_what_cannot_be_kept_is_logged_and_the_next_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    class FullHost(KeepingHost):
        def keep_shared_attributes(self, device: str, values: dict[str, JsonValue], received_ms: int) -> None:
            if device == "first":
                raise UnavailableError("sinks.db: the disk is full", hint="make room")
            super().keep_shared_attributes(device, values, received_ms)

    async def scenario() -> None:
        host = FullHost()
        async with session_with(server.port, host) as session:
            await listening(session, server)
            for name in ("first", "second"):
                server.send(ATTRIBUTES, orjson.dumps({"device": name, "data": {}}), 1)
            await until(lambda: host.attributes)
            assert host.attributes == [("second", {})]
            assert host.counted(SINK_INCOMING_TOTAL, "not kept") == 1

    with ScriptedServer() as server, caplog.at_level(logging.ERROR):
        run(scenario())
    assert "the disk is full; make room" in caplog.text


@VERSIONS
def test_a_refused_subscription_is_logged_and_reports_are_delivered(
    version: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with session_with(server.port, version=version) as session:
            await until(lambda: len(caplog.records) == 2)
            await session.deliver(records(1), taken := Taken())
            assert taken.count == 1

    with ScriptedServer() as server, caplog.at_level(logging.WARNING):
        server.grants = lambda topic: 0x80
        run(scenario())
    assert "ThingsBoard refuses the subscription to v1/gateway/rpc (0x80)" in caplog.text


def test_secrets_and_data_are_in_no_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            await session.deliver([record(0, telemetry=[(1, {"v": "SECRET-DATA"})])], Taken())

    with ScriptedServer() as server, caplog.at_level(logging.DEBUG):
        run(scenario())
    assert not any(secret in caplog.text for secret in ("SECRET-DATA", "A1-TEST-TOKEN"))


def test_sessions_leave_nothing_behind() -> None:
    async def scenario() -> None:
        async with session_with(server.port) as session:
            await session.deliver(records(3), Taken())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with ScriptedServer() as server:
        run(scenario())


def test_numbers_of_any_kind_arrive_as_they_are() -> None:
    values: dict[str, Any] = {"i": -(2**63), "f": 1e-300, "b": False, "s": "ß\u0000日", "n": {"a": [1, {"b": 2.5}]}}

    async def scenario() -> None:
        async with session_with(server.port) as session:
            await session.deliver([record(0, telemetry=[(5, values)], attributes=values)], Taken())

    with ScriptedServer() as server:
        run(scenario())
    contract = kept_contract(server)
    assert contract.telemetry["SN-000"] == [(5, values)]
    assert contract.attributes["SN-000"] == [values]
