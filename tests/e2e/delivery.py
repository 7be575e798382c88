"""What the tests of delivery share: gateways that deliver to a broker, and what is known of how they do."""

from pathlib import Path
from typing import Any

from gateway.command_socket import ask
from tests.mqtt_proxy import Proxy
from tests.mqtt_sessions import Contract, judge

from .harness import Gateway, eventually

TOKEN = "A1-TEST-TOKEN"
"""The access token, which is the user's name in MQTT."""

HELD = """
var parts = String.fromCharCode.apply(String, payload).split(" ");
return {deviceName: parts[0], deviceType: "meter", telemetry: {n: Number(parts[1]), note: parts[2] || "none"}};
"""
"""A converter for `DEVICE NUMBER [NOTE]`."""


def thingsboard(port: int, **settings: str) -> dict[str, str]:
    """The settings that have a gateway deliver to that port of this machine."""
    return {"TB_HOST": "127.0.0.1", "TB_PORT": str(port), "TB_ACCESS_TOKEN": TOKEN, **settings}


def sink_status(gateway: Gateway, name: str = "thingsboard", data_dir: Path | None = None) -> dict[str, Any]:
    """How a sink is doing; empty while nobody answers."""
    answer = ask(data_dir or gateway.data_dir, "sinks")
    return next((dict(sink) for sink in answer or () if sink["name"] == name), {})


def enters(gateway: Gateway, state: str, name: str = "thingsboard") -> dict[str, Any]:
    """Wait until a sink is in a state; gives its status."""
    eventually(lambda: sink_status(gateway, name).get("state") == state, f"{name} is {state}: {gateway.log}")
    return sink_status(gateway, name)


def numbers(contract: Contract, device: str, key: str = "n") -> list[int]:
    """What arrived of a device, in its order, repetitions too."""
    return [sample.values[key] for sample in contract.telemetry.get(device, ())]


def delivered(proxy: Proxy) -> Contract:
    """What arrived through a proxy, which is as ThingsBoard wants it."""
    contract = judge(proxy.sessions)
    assert contract.violations == []
    return contract
