"""Operators' commands on delivery, with the whole gateway: spool, check, quarantine, device show."""

import json
import time

import orjson

from tests.brokers import Broker, Checker
from tests.mqtt_packets import PAYLOAD_FORMAT_INVALID
from tests.mqtt_sessions import ATTRIBUTES, RPC, TELEMETRY, judge
from tests.scripted_mqtt import ACCEPT, Acknowledge, ScriptedServer

from .delivery import HELD, enters, numbers, thingsboard
from .harness import Gateway, coap_client, eventually
from .secure import MakeGateway
from .test_delivery import broker as broker  # fixtures
from .test_delivery import send
from .test_delivery import server as server


def sink_line(gateway: Gateway, code: int = 0) -> str:
    """What `gateway check` says of ThingsBoard."""
    lines = gateway.command("check", code=code).splitlines()
    return next(line for line in lines if line[1:].startswith(" sink thingsboard"))


def test_through_an_outage_status_drain_and_check_tell_how_it_stands(make_gateway: MakeGateway, broker: Broker) -> None:
    broker.stop()
    gateway = make_gateway(**thingsboard(broker.port))
    url = gateway.add_integration("meters", HELD)
    gateway.start()
    send(gateway, url, *(f"a {number}" for number in range(20)))
    enters(gateway, "unreachable")
    assert sink_line(gateway).startswith("~ sink thingsboard, unreachable: ")
    left = gateway.command("spool", "drain", "--timeout", "0.5", code=1)
    assert "error: thingsboard: 20 of 20 uplinks are not delivered after 0.5 s; it is unreachable" in left
    status = {one["name"]: one for one in gateway.json("spool", "status")}
    assert (status["devices"]["waiting_uplinks"], status["thingsboard"]["waiting_uplinks"]) == (0, 20)
    broker.start()
    assert gateway.command("spool", "drain").startswith("Drained: devices, thingsboard. ")
    assert sink_line(gateway).endswith("connected by the gateway that runs; 0 uplinks wait")


def test_what_a_stopped_gateway_left_is_drained_without_it(make_gateway: MakeGateway, broker: Broker) -> None:
    broker.stop()
    gateway = make_gateway(**thingsboard(broker.port, GATEWAY_WORKERS="2"))
    url = gateway.add_integration("meters", HELD)
    gateway.start()
    send(gateway, url, *(f"a {number}" for number in range(20)))
    gateway.kill()
    assert "unreachable" in gateway.command("spool", "drain", "--timeout", "1", code=1)
    broker.start()
    with Checker(broker) as checker:
        assert gateway.command("spool", "drain").startswith("Drained: devices, thingsboard. Uplinks delivered: 2")
        eventually(lambda: numbers(checker.contract, "a") == list(range(20)), "all arrive, in order")
        gateway.start()
        send(gateway, url, "a 20")
        eventually(lambda: numbers(checker.contract, "a") == list(range(21)), "each once, and the next behind them")
    assert checker.contract.violations == []


def test_a_refused_report_is_shown_and_sent_again_to_thingsboard_alone(
    make_gateway: MakeGateway, server: ScriptedServer
) -> None:
    refusal = Acknowledge(PAYLOAD_FORMAT_INVALID, "no such notes")
    server.judge = lambda publish: refusal if publish.topic == TELEMETRY and b"poison" in publish.payload else ACCEPT
    gateway = make_gateway(**thingsboard(server.port))
    url = gateway.add_integration("meters", HELD)
    gateway.start()
    for payload in ("a 1", "a 2 poison", "a 3"):
        send(gateway, url, payload)
        time.sleep(0.002)  # each at a time of its own
    eventually(lambda: gateway.json("quarantine", "list"), "the refused one is in the quarantine")
    shown = gateway.json("quarantine", "show", "1")
    assert (shown["sink"], json.loads(shown["payload"])["deviceName"]) == ("thingsboard", "a")
    assert "no such notes" in shown["error"]
    eventually(lambda: numbers(judge(server.sessions), "a") == [1, 3], "the rest has arrived")
    server.judge = lambda publish: ACCEPT
    assert "goes to thingsboard again: a" in gateway.command("quarantine", "replay", "--all")
    gateway.command("spool", "drain")
    contract = judge(server.sessions)
    assert contract.violations == []
    assert numbers(contract, "a") == [1, 3, 2]
    assert gateway.json("quarantine", "list") == []
    history = gateway.device("a", "--history", "n")["history"]
    assert [sample["value"] for sample in history] == [1, 2, 3]


def test_device_show_has_what_thingsboard_sent(make_gateway: MakeGateway, broker: Broker) -> None:
    gateway = make_gateway(**thingsboard(broker.port))
    url = gateway.add_demo("json")
    gateway.start()
    assert coap_client("-m", "post", url, payload=b'{"deviceName": "a", "deviceType": "t"}') == ""
    enters(gateway, "connected")
    call = {"id": 7, "method": "reboot", "params": {}}
    with Checker(broker) as checker:

        def answered() -> bool:  # sent again: it may not have subscribed yet
            checker.publish(ATTRIBUTES, orjson.dumps({"device": "a", "data": {"interval": 60}}))
            checker.publish(RPC, orjson.dumps({"device": "a", "data": call}))
            return bool(checker.contract.rpc_answers)

        eventually(answered, "it is answered")
    shown = gateway.device("a")
    assert shown["shared_attributes"]["interval"]["value"] == 60
    assert shown["last_rpc"]["value"] == call
    assert '"method": "reboot"' in gateway.command("device", "show", "a")
