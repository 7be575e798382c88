"""Delivery over the whole gateway: to the real Mosquitto, and to servers that behave as no real one can be made to."""

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from gateway.coap.codec import OptionNumber, Type, encode_message, parse_message
from gateway.model import Code
from tests.brokers import Broker, BrokerOptions, Certificates, Checker
from tests.mqtt_packets import NOT_AUTHORIZED, PAYLOAD_FORMAT_INVALID, QUOTA_EXCEEDED, SUCCESS, Publish
from tests.mqtt_sessions import DISCONNECT, RPC, TELEMETRY, judge
from tests.scripted_mqtt import ACCEPT, Acknowledge, Answer, Close, Ignore, ScriptedServer

from .delivery import HELD, TOKEN, enters, numbers, sink_status, thingsboard
from .harness import BINARY, JSON, TEXT, Gateway, coap_client, eventually
from .secure import MakeGateway

TUTORIAL = {"text": TEXT, "json": JSON, "binary": BINARY}
VERSIONS = ("3.1.1", "5")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A Mosquitto that takes anything from anybody, and runs."""
    with Broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that takes anything until it is told otherwise."""
    with ScriptedServer() as serving:
        yield serving


def send(gateway: Gateway, url: str, *payloads: str) -> None:
    """Send uplinks one after the other, each when the one before is acknowledged."""
    options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
    with gateway.client() as sock:
        for number, payload in enumerate(payloads):
            sock.send(encode_message(Type.CON, Code.POST, number, b"", options, payload.encode()))
            assert parse_message(sock.recv(2048)).code == Code.CREATED


def arrive(server: ScriptedServer, device: str, wanted: list[int]) -> None:
    """Wait until a device's samples have arrived at a scripted server, each once and in order."""
    eventually(lambda: len(numbers(judge(server.sessions), device)) >= len(wanted), f"{wanted} of {device}")
    contract = judge(server.sessions)
    assert contract.violations == []
    assert numbers(contract, device) == wanted


def quarantined(gateway: Gateway) -> list[str]:
    """The errors for which uplinks or reports are in the quarantine."""
    return [one["error"] for one in gateway.json("quarantine", "list")]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tutorials_payloads_arrive_with_the_right_connect(
    make_gateway: MakeGateway, broker: Broker, version: str
) -> None:
    gateway = make_gateway(**thingsboard(broker.port, TB_MQTT_VERSION=version))
    urls = {name: gateway.add_demo(name) for name in TUTORIAL}
    gateway.start()
    with Checker(broker) as checker:
        for name, payload in TUTORIAL.items():
            assert coap_client("-m", "post", urls[name], payload=payload) == ""
        eventually(lambda: len(checker.contract.telemetry["SN-001"]) == 3, "three samples arrive")
    assert checker.contract.violations == []
    assert checker.contract.types == {"SN-001": "default"}
    assert [sample.values for sample in checker.contract.telemetry["SN-001"]] == [
        {"temperature": 25.7, "humidity": 69}
    ] * 3
    times = [sample.ts for sample in checker.contract.telemetry["SN-001"]]
    assert times == sorted(times)


def test_attributes_arrive_beside_telemetry(make_gateway: MakeGateway, broker: Broker) -> None:
    gateway = make_gateway(**thingsboard(broker.port))
    attributes, telemetry = '{fw: "1.0", modes: [1, {a: null}]}', "{t: 1}"
    source = f'return {{deviceName: "SN-7", deviceType: "meter", attributes: {attributes}, telemetry: {telemetry}}};'
    url = gateway.add_integration("meters", source)
    gateway.start()
    with Checker(broker) as checker:
        send(gateway, url, "x")
        eventually(lambda: checker.contract.attributes["SN-7"] and checker.contract.telemetry["SN-7"], "both arrive")
    assert checker.contract.violations == []
    assert checker.contract.attributes["SN-7"] == [{"fw": "1.0", "modes": [1, {"a": None}]}]
    assert checker.contract.types == {"SN-7": "meter"}


def test_what_waits_arrives_when_the_right_credentials_are_there(make_gateway: MakeGateway, tmp_path: Path) -> None:
    gateway = make_gateway()
    url = gateway.add_integration("meters", HELD)
    with Broker(tmp_path / "broker", BrokerOptions(users={"gateway": "right", "checker": "x"})) as broker:
        gateway.environment |= {**thingsboard(broker.port), "TB_USERNAME": "gateway", "TB_PASSWORD": "wrong"}
        del gateway.environment["TB_ACCESS_TOKEN"]
        gateway.start()
        send(gateway, url, "a 1", "a 2")
        status = enters(gateway, "refused")
        assert "credentials" in status["last_error"]["message"]
        assert "TB_USERNAME" in status["last_error"]["hint"]
        assert status["waiting_uplinks"] == 2
        assert "does not accept our credentials" in gateway.log
        assert "wrong" not in gateway.log
        assert gateway.stop() == 0
        gateway.environment["TB_PASSWORD"] = "right"
        with Checker(broker, user="checker") as checker:
            gateway.start()
            eventually(lambda: numbers(checker.contract, "a") == [1, 2], "both arrive")
            eventually(lambda: sink_status(gateway)["waiting_uplinks"] == 0, "nothing waits any more")
    assert checker.contract.violations == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_refused_token_is_told_from_a_server_that_is_not_there(
    make_gateway: MakeGateway, server: ScriptedServer, version: str
) -> None:
    server.welcome = lambda connect: SUCCESS if connect.username == TOKEN else NOT_AUTHORIZED[connect.version]
    gateway = make_gateway(**thingsboard(server.port, TB_MQTT_VERSION=version, TB_ACCESS_TOKEN="old"))
    gateway.start()
    assert "TB_ACCESS_TOKEN" in enters(gateway, "refused")["last_error"]["hint"]
    gateway.stop()
    gateway.environment["TB_ACCESS_TOKEN"] = TOKEN
    gateway.start()
    enters(gateway, "connected")
    gateway.stop()
    gateway.environment["TB_PORT"] = "1"
    gateway.start()
    assert "TB_PORT" in enters(gateway, "unreachable")["last_error"]["hint"]


def test_a_server_by_another_ca_gets_nothing_until_its_ca_is_trusted(make_gateway: MakeGateway, tmp_path: Path) -> None:
    own, other = Certificates(tmp_path / "own"), Certificates(tmp_path / "other")
    certificate, key = own.client("gateway")
    options = BrokerOptions(certificates=own, requires_certificate=True)
    with Broker(tmp_path / "broker", options) as broker, Checker(broker) as checker:
        gateway = make_gateway(
            **thingsboard(
                broker.port, TB_CA_FILE=str(other.ca), TB_CLIENT_CERT=str(certificate), TB_CLIENT_KEY=str(key)
            )
        )
        url = gateway.add_integration("meters", HELD)
        gateway.start()
        send(gateway, url, "a 1")
        assert "TB_CA_FILE" in enters(gateway, "untrusted")["last_error"]["hint"]
        gateway.stop()
        assert checker.messages == []
        gateway.environment["TB_CA_FILE"] = str(own.ca)
        gateway.start()
        eventually(lambda: numbers(checker.contract, "a") == [1], "it arrives")
    assert checker.contract.violations == []


def test_a_server_that_accepts_and_never_acknowledges_is_told_and_left(
    make_gateway: MakeGateway, server: ScriptedServer
) -> None:
    server.judge = lambda publish: Ignore()
    gateway = make_gateway(**thingsboard(server.port, TB_MQTT_ACK_TIMEOUT_MS="300"))
    url = gateway.add_integration("meters", HELD)
    gateway.start()
    send(gateway, url, "a 1", "a 2")
    eventually(lambda: server.connections >= 2, "it connects anew")
    eventually(lambda: "has acknowledged nothing for 0.3 s" in gateway.log, "it says so")
    assert sink_status(gateway)["waiting_uplinks"] == 2
    server.judge = lambda publish: ACCEPT
    arrive(server, "a", [1, 2])


def test_a_server_that_never_answers_the_connect_is_left(make_gateway: MakeGateway, server: ScriptedServer) -> None:
    server.welcome = lambda connect: None
    gateway = make_gateway(**thingsboard(server.port, TB_MQTT_ACK_TIMEOUT_MS="300"))
    url = gateway.add_integration("meters", HELD)
    gateway.start()
    send(gateway, url, "a 1")
    eventually(lambda: server.connections >= 2, "it connects anew")
    server.welcome = lambda connect: SUCCESS
    server.drop()
    arrive(server, "a", [1])


def test_a_server_over_its_quota_gets_it_all_later(make_gateway: MakeGateway, server: ScriptedServer) -> None:
    server.judge = lambda publish: Acknowledge(QUOTA_EXCEEDED, "too many messages")
    gateway = make_gateway(**thingsboard(server.port))
    url = gateway.add_integration("meters", HELD)
    gateway.start()
    send(gateway, url, "a 1", "a 2", "b 1")
    enters(gateway, "busy")
    assert "too many messages" in gateway.log
    server.judge = lambda publish: ACCEPT
    arrive(server, "a", [1, 2])
    arrive(server, "b", [1])
    assert quarantined(gateway) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_value_larger_than_a_message_goes_to_the_quarantine_and_the_rest_goes_on(
    make_gateway: MakeGateway, broker: Broker, version: str
) -> None:
    gateway = make_gateway(**thingsboard(broker.port, TB_MQTT_VERSION=version))
    source = (
        'var [n, length] = String.fromCharCode.apply(String, payload).split(" ").map(Number);'
        'return {deviceName: "a", deviceType: "t", telemetry: {n: n, rest: "x".repeat(length)}};'
    )
    url = gateway.add_integration("large", source)
    gateway.start()
    with Checker(broker) as checker:
        send(gateway, url, "1 0", "2 65536", "3 65000", "4 0")
        eventually(lambda: numbers(checker.contract, "a") == [1, 3, 4], "the others arrive")
    assert checker.contract.violations == []
    (error,) = quarantined(gateway)
    assert "'rest'" in error
    assert "TB_MQTT_MAX_MESSAGE_BYTES" in error


def poison(answer: Answer) -> Callable[[Publish], Answer]:
    """A judge that answers so where telemetry has a note that says "poison"."""
    return lambda publish: answer if publish.topic == TELEMETRY and b"poison" in publish.payload else ACCEPT


def test_a_record_that_is_refused_by_a_reason_code_blocks_nothing(
    make_gateway: MakeGateway, server: ScriptedServer
) -> None:
    server.judge = poison(Acknowledge(PAYLOAD_FORMAT_INVALID, "such a note can't be kept"))
    _holds_back_poison(make_gateway(**thingsboard(server.port)), server, "such a note can't be kept")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("version", "reason"), [("3.1.1", None), ("5", PAYLOAD_FORMAT_INVALID)])
def test_a_record_at_which_the_server_closes_the_connection_each_time_blocks_nothing(
    make_gateway: MakeGateway, server: ScriptedServer, version: str, reason: int | None
) -> None:
    server.judge = poison(Close(reason))
    _holds_back_poison(make_gateway(**thingsboard(server.port, TB_MQTT_VERSION=version)), server, "")


def _holds_back_poison(gateway: Gateway, server: ScriptedServer, reason: str) -> None:
    """Among uplinks that wait for the server there are two that it won't take."""
    server.welcome = lambda connect: None
    url = gateway.add_integration("meters", HELD)
    gateway.start()
    bad = {7, 8, 30}
    send(gateway, url, *(f"a {number} {'poison' if number in bad else 'fine'}" for number in range(40)))
    server.welcome = lambda connect: SUCCESS
    server.drop()
    eventually(lambda: 39 in numbers(judge(server.sessions), "a"), "the last one arrives", 100)
    contract = judge(server.sessions)
    assert contract.violations == []
    first = list(dict.fromkeys(numbers(contract, "a")))
    assert first == [number for number in range(40) if number not in bad]
    eventually(lambda: len(quarantined(gateway)) == len(bad), "the bad ones are in the quarantine")
    assert all(reason in error for error in quarantined(gateway))
    assert sink_status(gateway)["refused"] == len(bad)
    assert sink_status(gateway)["waiting_uplinks"] == 0


def test_sinks_go_each_at_its_own_pace_through_kill_9(make_gateway: MakeGateway, tmp_path: Path) -> None:
    lines = tmp_path / "reports.jsonl"
    with Broker(tmp_path / "broker") as broker:
        broker.stop()
        gateway = make_gateway(**thingsboard(broker.port, GATEWAY_JSONL_SINK_PATH=str(lines)))
        url = gateway.add_integration("meters", HELD)
        gateway.start()
        send(gateway, url, *(f"a {number}" for number in range(50)))
        eventually(lambda: written(lines) == list(range(50)), "the file has all")
        eventually(lambda: sink_status(gateway, "jsonl").get("waiting_uplinks") == 0, "and that is on record")
        assert sink_status(gateway)["waiting_uplinks"] == 50
        gateway.kill()
        gateway.start()
        broker.start()
        with Checker(broker) as checker:
            send(gateway, url, *(f"a {number}" for number in range(50, 60)))
            eventually(lambda: numbers(checker.contract, "a") == list(range(60)), "the broker has all", 40)
        assert checker.contract.violations == []
        eventually(lambda: written(lines) == list(range(60)), "the file has the new ones too")


def written(file: Path) -> list[int]:
    """The numbers in a file of the sink `jsonl`, in their order."""
    reports = [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []
    return [sample["values"]["n"] for report in reports for sample in report["telemetry"]]


def test_devices_that_fall_silent_are_reported_disconnected_and_connected_again(
    make_gateway: MakeGateway, broker: Broker
) -> None:
    gateway = make_gateway(**thingsboard(broker.port, TB_DEVICE_IDLE_SECONDS="1"))
    url = gateway.add_integration("meters", HELD)
    gateway.start()
    with Checker(broker) as checker:
        send(gateway, url, "a 1")
        eventually(lambda: checker.contract.disconnects == ["a"], "it is disconnected")
        send(gateway, url, "a 2")
        eventually(lambda: numbers(checker.contract, "a") == [1, 2], "its next uplink arrives")
    assert checker.contract.violations == []
    assert [topic for topic, _ in checker.messages].count(DISCONNECT) == 1


def test_a_remote_procedure_call_is_answered_with_what_is_not_supported(
    make_gateway: MakeGateway, broker: Broker
) -> None:
    gateway = make_gateway(**thingsboard(broker.port))
    gateway.start()
    enters(gateway, "connected")
    with Checker(broker) as checker:
        call = orjson.dumps({"device": "a", "data": {"id": 7, "method": "reboot", "params": {}}})

        def answered() -> bool:  # asked again: it may not have subscribed yet
            checker.publish(RPC, call)
            return bool(checker.contract.rpc_answers)

        eventually(answered, "it is answered")
    answer = checker.contract.rpc_answers[0]
    assert (answer["device"], answer["id"]) == ("a", 7)
    assert "not supported yet" in answer["data"]["error"]
