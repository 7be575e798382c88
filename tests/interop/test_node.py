"""The engine and node-coap-client, a DTLS client in TypeScript. Its ClientHello has no extensions whatever."""

import sys
from pathlib import Path

import pytest

from gateway.dtls.codes import AlertDescription

from .credentials import PSK_IDENTITY, PSK_KEY
from .matrix import Case, Lab
from .process import PEERS, running
from .tries import PSK, PSK_CCM_8, Command, Expected, as_server, refused

PEER = "node-coap-client"
MODULES = Path(sys.prefix) / "node" / "node_modules"
"""Where scripts/peers puts it."""

SUITES = (PSK_CCM_8, "PSK_WITH_AES_128_GCM_SHA256", "PSK_WITH_AES_256_GCM_SHA384")


def _client() -> Command:
    program = ("node", PEERS / "node_coap_client.js")
    environment = {"NODE_PATH": str(MODULES)}
    return lambda lab, port, _: running(*program, port, PSK_IDENTITY, PSK_KEY.decode(), environment=environment)


def client(suite: str) -> Case:
    """It gets on with an engine that does not require extended_master_secret."""
    expected = Expected(PEER, suite, PSK, besides="without extended_master_secret, which is not required")
    return as_server(
        expected,
        _client(),
        settings={"require_extended_master_secret": False},
        says=False,
        answer=f"hello psk {PSK_IDENTITY}",
    )


CASES = [
    *(client(suite) for suite in SUITES),
    refused(
        Expected(PEER, PSK_CCM_8, PSK, besides="without extended_master_secret"),
        _client(),
        AlertDescription.HANDSHAKE_FAILURE,
        "received fatal alert: handshake_failure",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_node_coap_client_gets_on_with_the_engine(case: Case, lab: Lab) -> None:
    case.run(lab)
