"""Each row of ThingsBoard's response code table that needs no DTLS, as the real client sees it."""

from collections.abc import Callable, Iterator

import pytest

from .harness import JSON, Gateway, coap_client, eventually


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str]]:
    """A gateway with the tutorial's JSON integration, and its endpoint."""
    gateway = Gateway(tmp_path_factory.mktemp("codes"), {"GATEWAY_MAX_BODY_BYTES": "4096"})
    url = gateway.add_demo("json")
    gateway.start()
    yield gateway, url
    gateway.kill()


def post(url: str, payload: bytes = JSON, *flags: str) -> str:
    return coap_client("-m", "post", *flags, url, payload=payload)


def test_2_01_for_an_uplink(running: tuple[Gateway, str]) -> None:
    assert "2.01" in coap_client("-m", "post", "-v", "7", running[1], payload=JSON)


@pytest.mark.parametrize("method", ["get", "delete", "fetch", "patch", "ipatch"])
def test_4_05_for_another_method_on_an_endpoint(running: tuple[Gateway, str], method: str) -> None:
    assert coap_client("-m", method, running[1]).startswith("4.05")


def test_4_04_for_an_unknown_routing_key_and_path(running: tuple[Gateway, str]) -> None:
    gateway, url = running
    assert post(url[:-1] + "z").startswith("4.04")
    assert post(f"coap://127.0.0.1:{gateway.port}/nothing/here").startswith("4.04")


def test_4_00_for_an_empty_payload(running: tuple[Gateway, str]) -> None:
    assert "4.00 the payload is empty" in coap_client("-m", "post", running[1])


def test_4_00_with_the_reason_for_a_malformed_payload(running: tuple[Gateway, str]) -> None:
    answer = post(running[1], b"no json")
    assert answer.startswith("4.00")
    assert "SyntaxError" in answer


def test_4_00_with_the_path_for_a_bad_result(running: tuple[Gateway, str]) -> None:
    gateway, _ = running
    url = gateway.add_integration(
        "bad", "return {deviceName: 'a', telemetry: [{ts: 1, values: {}}, {ts: 'x', values: {}}]};"
    )
    answer = post(url)
    assert answer.startswith("4.00")
    assert "telemetry[1].ts" in answer


def test_4_13_for_a_body_over_the_limit(running: tuple[Gateway, str]) -> None:
    assert post(running[1], b"x" * 5000, "-b", "512").startswith("4.13")


def test_4_02_for_an_unknown_critical_option(running: tuple[Gateway, str]) -> None:
    assert post(running[1], JSON, "-O", "2049,0x01").startswith("4.02")
    assert post(running[1], JSON, "-O", "2048,0x01") == ""


def test_4_00_names_mode_and_scheme_on_the_wrong_listener(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.command("converter", "create", "c", "--language", "javascript", "--file", "-", text="return [];")
    # The variable is not set for the running gateway, as after a change of configuration.
    gateway.environment["COAP_DTLS_ENABLED"] = "true"
    created = gateway.json("integration", "create", "secure", "--converter", "c", "--security-mode", "DTLS")
    del gateway.environment["COAP_DTLS_ENABLED"]
    gateway.start()
    answer = post(f"coap://127.0.0.1:{gateway.port}/i/{created['routing_key']}")
    assert answer.startswith("4.00")
    assert "DTLS" in answer
    assert "coaps://" in answer


def test_4_29_with_max_age_over_the_rate(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(GATEWAY_DEVICE_RATE_LIMIT="2:3600")
    url = gateway.add_demo("json")
    gateway.start()
    assert post(url) == ""
    assert post(url) == ""
    answer = coap_client("-m", "post", "-v", "7", url, payload=JSON)
    assert "4.29" in answer
    assert "Max-Age:1800" in answer


def test_5_03_with_max_age_when_the_spool_is_full(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(GATEWAY_SPOOL_MAX_BYTES=str(1 << 16))
    url = gateway.add_integration("big", "return {deviceName: 'a', attributes: {text: 'x'.repeat(30000)}};")
    gateway.start()
    with gateway.held_database("devices.db"):
        assert post(url) == ""
        assert post(url) == ""
        answer = coap_client("-m", "post", "-v", "7", url, payload=JSON)
        assert "5.03" in answer
        assert "Max-Age:5" in answer
    eventually(lambda: post(url) == "", "there is room again")
