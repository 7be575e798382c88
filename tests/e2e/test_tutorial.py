"""ThingsBoard's tutorial with the real client, over the whole gateway."""

from collections.abc import Callable

import pytest

from .harness import BINARY, JSON, TEXT, Gateway, coap_client

PAYLOADS = {"text": (TEXT, "text/plain"), "json": (JSON, "application/json"), "binary": (BINARY, "42")}


@pytest.mark.parametrize("flags", [[], ["-N"]], ids=["CON", "NON"])
@pytest.mark.parametrize("name", ["text", "json", "binary"])
def test_a_tutorial_payload_arrives_as_sn_001(gateway: Gateway, name: str, flags: list[str]) -> None:
    url = gateway.add_demo(name)
    gateway.start()
    payload, content_type = PAYLOADS[name]
    # 2.01 without a payload: the client prints nothing.
    assert coap_client("-m", "post", "-t", content_type, *flags, url, payload=payload) == ""
    device = gateway.device("SN-001", "--history", "temperature")
    assert device["kind"] == "device"
    assert device["type"] == "default"
    assert {key: sample["value"] for key, sample in device["telemetry"].items()} == {
        "temperature": 25.7,
        "humidity": 69,
    }
    assert [sample["value"] for sample in device["history"]] == [25.7]


def test_put_is_as_good_as_post(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    assert coap_client("-m", "put", url, payload=JSON) == ""
    assert gateway.device("SN-001")["telemetry"]["humidity"]["value"] == 69


def test_the_gateways_own_client_sends_too(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    assert "2.01" in gateway.command("send", url, "--json", JSON.decode())
    assert "2.01" in gateway.command("send", url, "--json", JSON.decode(), "--non")
    assert "4.04" in gateway.command("send", url[:-4] + "none", "--json", JSON.decode(), code=1)
    assert gateway.device("SN-001")["type"] == "default"


def test_an_upload_of_20_kb_comes_in_blocks(gateway: Gateway) -> None:
    url = gateway.add_integration(
        "sizes", "return {deviceName: 'big', telemetry: {bytes: payload.length, last: payload[payload.length - 1]}};"
    )
    gateway.start()
    assert coap_client("-m", "post", "-b", "1024", url, payload=b"x" * 19_999 + b"!") == ""
    telemetry = gateway.device("big")["telemetry"]
    assert telemetry["bytes"]["value"] == 20_000
    assert telemetry["last"]["value"] == ord("!")


def test_ipv6_and_several_workers_serve_alike(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(COAP_BIND_ADDRESS="::", GATEWAY_WORKERS="2")
    gateway.add_demo("json")
    gateway.start()
    path = "/".join(gateway.json("integration", "show", "json")["endpoints"][0].split("/")[3:])
    for host in ("127.0.0.1", "[::1]", "127.0.0.9"):
        assert coap_client("-m", "post", f"coap://{host}:{gateway.port}/{path}", payload=JSON) == ""
    assert len(gateway.device("SN-001", "--history", "humidity")["history"]) == 3
