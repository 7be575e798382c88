"""The log of a running gateway: a device is followed in it, floods are folded, and no secret is in it."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.credentials.stores import STORE_PASSWORD

from .harness import JSON, Gateway, eventually
from .secure import PSK_FLAGS, PSK_IDENTITY, PSK_KEY, coaps_client, endpoints, secure

TOKEN = "ThingsBoardAccessToken"


def lines(gateway: Gateway) -> list[dict[str, Any]]:
    """The log's objects."""
    return [json.loads(line) for line in gateway.log.splitlines()]


def test_a_device_is_followed_by_address_principal_and_integration(make_gateway: Callable[..., Gateway]) -> None:
    gateway = secure(make_gateway(GATEWAY_LOG_FORMAT="json"))
    gateway.add_integration("meters", "return JSON.parse(String.fromCharCode.apply(String, payload));",
                            "--security-mode", "MIXED")  # fmt: skip
    gateway.start()
    url = endpoints(gateway, "meters")["coaps"]
    coaps_client("openssl", url, "-u", PSK_IDENTITY, "-k", "not its key, surely")
    assert "4.00" in coaps_client("openssl", url, *PSK_FLAGS, payload=b"oops")
    assert "4.04" in coaps_client("openssl", f"{url}-of-another-one", *PSK_FLAGS)
    eventually(lambda: gateway.log.count('" from ') or gateway.log.count("ended: ") >= 2, "both sessions have ended")
    (claim,) = [line for line in lines(gateway) if line.get("claimed") == PSK_IDENTITY]
    assert claim["message"].startswith("handshake with")
    assert "principal" not in claim
    own = [line for line in lines(gateway) if line.get("principal") == PSK_IDENTITY]
    first = [line for line in own if line["peer"] == own[0]["peer"]]
    assert [line["message"].partition(" of psk")[0].partition(" from ")[0] for line in first] == [
        f"psk '{PSK_IDENTITY}' has a session",
        "request refused",
        "the session",
    ]
    refused = first[1]
    assert (refused["level"], refused["integration"], refused["code"]) == ("WARNING", "meters", "4.00")
    assert "SyntaxError" in refused["error"]
    (missed,) = [line for line in own if line.get("code") == "4.04"]
    assert (missed["level"], missed["error"]) == ("INFO", "no integration has this path")


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_flood_is_folded_and_what_is_left_out_is_said(make_gateway: Callable[..., Gateway], format_: str) -> None:
    gateway = make_gateway(GATEWAY_LOG_FORMAT=format_)
    gateway.start()
    with gateway.client() as sock:
        for mid in range(2000):
            sock.send(b"\x40\x02" + mid.to_bytes(2, "big") + b"\xb7" + b"\n\x1b[31m\r" + b"\xffx")
            sock.recv(100)
    assert gateway.stop() == 0
    assert "\x1b" not in gateway.log
    log = gateway.log.replace("\\u2026", "…")  # as JSON has it
    summaries = re.findall(r"… (?:and )?(\d+) more (?:lines about refused requests|of these in the last 10 s)", log)
    refused = [line for line in log.splitlines() if "request refused" in line and "…" not in line]
    assert 20 <= len(refused) <= 20 * 4
    assert len(refused) + sum(map(int, summaries)) == 2000


def test_no_secret_is_in_the_log(make_gateway: Callable[..., Gateway]) -> None:
    gateway = secure(
        make_gateway(
            GATEWAY_LOG_LEVEL="DEBUG",
            TB_ACCESS_TOKEN=TOKEN,
            COAP_DTLS_KEY_STORE_PASSWORD=STORE_PASSWORD,
            COAP_DTLS_KEY_PASSWORD="KeyPassword",
            COAP_DTLS_CREDENTIALS_TYPE="PEM",
        )
    )
    gateway.add_integration("named", "return {deviceName: 'd'};", "--security-mode", "DTLS")
    gateway.start()
    url = endpoints(gateway, "named")["coaps"]
    assert coaps_client("openssl", url, *PSK_FLAGS, payload=JSON) == ""
    wrong = "a wrong key, with which it fails"
    coaps_client("openssl", url, "-u", PSK_IDENTITY, "-k", wrong)
    coaps_client("openssl", url, "-u", "nobody", "-k", wrong)
    (gateway.folder / ".env").write_text(f"TB_ACCESS_TOKEN=another-{TOKEN}\n")
    eventually(lambda: gateway.log.count("handshake with") >= 2, "both failures are told")
    assert gateway.stop() == 0
    key_file = (gateway.data_dir / "gateway.key").read_text().strip()
    private_key = (gateway.folder / "coapserver_key.pem").read_text().splitlines()[1]
    for secret in (PSK_KEY, wrong, TOKEN, STORE_PASSWORD, "KeyPassword", key_file, private_key):
        for form in (secret, secret.encode().hex()):
            assert form.lower() not in gateway.log.lower()
