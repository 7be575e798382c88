"""What a user does, with nothing but HTTP and the devices' own clients, on a gateway that runs."""

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Served
from tests.e2e.harness import PATIENCE_S, TEXT, eventually

DECODER = """
var parts = String.fromCharCode.apply(null, payload).trim().split(",");
return {deviceName: parts[0], telemetry: {temperature: Number(parts[3]), humidity: Number(parts[5])}};
"""
BROKEN = "throw new Error('not today');"


class User:
    """Somebody with an admin's token."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.client = served.script()

    def __call__(self, method: str, path: str, **request: Any) -> Any:
        response = self.client.request(method, f"/api/v1{path}", **request)
        assert response.is_success, response.text
        is_json = response.content and response.headers["content-type"] == "application/json"
        return response.json() if is_json else response.content

    def has_device(self, name: str) -> bool:
        return self.client.get(f"/api/v1/devices/{name}").status_code == 200

    def send(self, url: str, *options: str, device: str) -> str:
        """Send the tutorial's payload as a device does; fails where it is not taken."""
        text = f"{device},default,temperature,25.7,humidity,69"
        return self.served.command("send", url, "--text", text, *options)


@pytest.fixture
def user(served: Served) -> User:
    return User(served)


def coap_client(url: str) -> str:
    """What libcoap's client hears of a POST of the tutorial's payload."""
    command = ["coap-client-notls", "-m", "post", "-f", "-", url]
    return subprocess.run(command, input=TEXT, capture_output=True, timeout=PATIENCE_S, check=True).stderr.decode()


def test_from_a_converter_to_a_device_and_back_from_quarantine(user: User) -> None:
    payload = {"language": "javascript", "source": DECODER, "payload": TEXT.decode(), "payload_format": "text"}
    assert user("POST", "/converters/test", json=payload)["reports"][0]["deviceName"] == "SN-001"
    user("POST", "/converters", json={"name": "tutorial", "language": "javascript", "source": DECODER})
    made = user("POST", "/integrations", json={"name": "meters", "converter": "tutorial", "debug": "all"})
    (url,) = made["endpoints"]

    eventually(lambda: not coap_client(url) and user.has_device("SN-001"), "the uplink is taken")
    telemetry = user("GET", "/devices/SN-001")["telemetry"]
    assert (telemetry["temperature"]["value"], telemetry["humidity"]["value"]) == (25.7, 69)
    history = user("GET", "/devices/SN-001/history", params={"key": "temperature"})["items"]
    assert {sample["value"] for sample in history} == {25.7}
    eventually(lambda: user("GET", "/events", params={"device": "SN-001"})["items"], "the event is there")

    user("PUT", "/converters/tutorial", json={"source": BROKEN})
    eventually(lambda: "4.00" in coap_client(url), "the broken converter is used")
    eventually(lambda: user("GET", "/quarantine")["total"], "the uplink is in the quarantine")
    (kept, *_) = user("GET", "/quarantine")["items"]
    assert "not today" in kept["error"]
    failures = {"errors": "true"}
    eventually(lambda: user("GET", "/events", params=failures)["items"], "the failure's event is there")
    assert "not today" in user("GET", "/events", params=failures)["items"][0]["error"]

    assert user("POST", "/quarantine/replay", json={"all": True})["replayed"] == 0
    user("PUT", "/converters/tutorial", json={"source": DECODER})
    assert user("POST", "/quarantine/replay", json={"ids": [kept["id"]]})["items"][0]["names"] == ["SN-001"]
    assert kept["received_ts"] in [
        sample["ts"] for sample in user("GET", "/devices/SN-001/history", params={"key": "temperature"})["items"]
    ]
    user("POST", "/quarantine/delete", json={"all": True})
    assert user("GET", "/quarantine")["total"] == 0


def test_a_stream_shows_an_uplink_as_it_comes(user: User) -> None:
    user("POST", "/converters", json={"name": "c", "language": "javascript", "source": DECODER})
    made = user("POST", "/integrations", json={"name": "meters", "converter": "c", "debug": "all"})
    (url,) = made["endpoints"]
    stop = threading.Event()

    def send() -> None:
        while not stop.wait(0.2):
            coap_client(url)

    sender = threading.Thread(target=send)
    with user.client.stream("GET", "/api/v1/events/stream") as response:
        sender.start()
        try:
            data = next(line for line in response.iter_lines() if line.startswith("data: "))
        finally:
            stop.set()
            sender.join()
    event = json.loads(data.removeprefix("data: "))
    assert event["names"] == ["SN-001"]


def test_a_device_gets_in_with_what_the_api_has_given_it(make_served: Callable[..., Served], tmp_path: Path) -> None:
    served = make_served(
        COAP_SECURITY_MODE="MIXED",
        COAP_DTLS_PEM_CERT="certs/coapserver.pem",
        COAP_DTLS_PEM_KEY="certs/coapserver_key.pem",
        COAP_DTLS_TRUST_STORE="certs/ca.pem",
    )
    served.command("certs", "server")
    served.start()
    user = User(served)
    user("POST", "/converters", json={"name": "c", "language": "javascript", "source": DECODER})
    new = {"name": "meters", "converter": "c", "security_mode": "DTLS", "identity_binding": "name"}
    (url,) = user("POST", "/integrations", json=new)["endpoints"]

    key = user("POST", "/psk", json={"identity": "gw-7"})["key"]
    by_key = ("--psk-identity", "gw-7", "--psk-key", key)
    eventually(lambda: not _fails(user, url, *by_key, device="gw-7"), "the key is good")
    eventually(lambda: user.has_device("gw-7"), "the device is there")
    assert user("GET", "/devices/gw-7")["principal"] == "gw-7"

    bundle, ca = served.folder / "bundle.pem", served.folder / "fetched.pem"
    bundle.write_bytes(user("POST", "/certificates/clients", json={"name": "gw-8"}))
    ca.write_bytes(user("GET", "/certificates/authority"))
    user.send(url, "--cert", str(bundle), "--ca", str(ca), device="gw-8")
    eventually(lambda: user.has_device("gw-8"), "the device is there")
    assert len(user("GET", "/certificates")["server"]["chain"]) == 1

    user("DELETE", "/psk/gw-7")
    eventually(lambda: _fails(user, url, *by_key, device="gw-7"), "the key is good for nothing")


def _fails(user: User, url: str, *options: str, device: str) -> bool:
    try:
        user.send(url, *options, device=device)
    except AssertionError:
        return True
    return False


def test_stopped_it_ends_at_once_though_a_stream_is_open(user: User) -> None:
    with user.client.stream("GET", "/api/v1/events/stream") as response:
        next(response.iter_lines())
        user.served.stop()
        with pytest.raises(httpx.HTTPError):
            user.client.get("/livez")
