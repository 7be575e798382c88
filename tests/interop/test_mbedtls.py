"""The engine and Mbed TLS (through python-mbedtls), in both roles."""

from typing import Unpack

import pytest

from gateway.dtls.suites import CipherSuite
from tests.dtls.certificates import KeyKind

from .credentials import PSK_IDENTITY, PSK_KEY
from .matrix import Case, Lab
from .tries import (
    CCM_8,
    ECDHE_PSK,
    PSK,
    PSK_CCM_8,
    SUITES,
    Command,
    Expected,
    Options,
    Settings,
    Who,
    as_client,
    as_server,
    echoed,
    script,
    suite_for,
)

PEER = "Mbed TLS"
KEYS: tuple[KeyKind, ...] = ("p256", "p384", "rsa2048")
"""It has no Ed25519."""


def peer(role: str, expected: Expected, key: KeyKind = "p256") -> Command:
    """The script in the other role than the engine."""

    def arguments(lab: Lab, port: int) -> list[object]:
        suite = expected.suite if isinstance(expected.suite, str) else expected.suite.name
        kind = expected.who.kind
        name = f"server-{key}" if role == "server" else expected.who.file
        certificate, private_key = lab.credentials.certificate(name), lab.credentials.key(name)
        none = kind == "psk" or (role == "client" and kind == "nobody")
        own = ("-", "-") if none else (certificate, private_key)
        psk = (PSK_IDENTITY, PSK_KEY.decode()) if kind == "psk" else ("-", "-")
        # Only a server that has a trust store asks for certificates, and then it needs one.
        trust = "-" if role == "server" and kind == "nobody" else lab.credentials.ca
        return [role, port, f"TLS-{suite.replace('_', '-')}", trust, *own, *psk]

    return script("mbedtls_peer", arguments)


def client(suite: str | CipherSuite, *, settings: Settings | None = None, **unusual: Unpack[Options]) -> Case:
    """Mbed TLS's client gets on with the engine."""
    wanted = Expected(PEER, suite, **unusual)
    return as_server(wanted, peer("client", wanted), settings=settings, says=False)


def server(suite: str | CipherSuite, *, key: KeyKind = "p256", **unusual: Unpack[Options]) -> Case:
    """The engine gets on with Mbed TLS's server, which asks for a cookie."""
    wanted = Expected(PEER, suite, **unusual)
    return as_client(wanted, peer("server", wanted, key), exchange=echoed)


CASES = [
    *(client(suite, who=PSK) if suite.startswith("PSK") else client(suite) for suite in SUITES),
    client(ECDHE_PSK, who=PSK),
    *(client(suite_for(key), who=Who("x509", key), settings={"key": key}) for key in KEYS),
    server(PSK_CCM_8, who=PSK),
    server(ECDHE_PSK, who=PSK),
    server(CCM_8),
    *(server(suite_for(key), key=key, who=Who("x509", key)) for key in KEYS),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_engine_and_mbedtls_get_on(case: Case, lab: Lab) -> None:
    case.run(lab)
