"""The engine and pyOpenSSL, in both roles. Its OpenSSL is the one inside `cryptography`, younger than the system's."""

from typing import Unpack

import pytest

from tests.dtls.certificates import KeyKind

from .credentials import KEYS
from .matrix import Case, Lab
from .test_openssl import openssl_name
from .tries import (
    CCM_8,
    GCM,
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

PEER = "pyOpenSSL"
CERTIFICATE_SUITES = [suite for suite in SUITES if not suite.startswith("PSK")]
"""pyOpenSSL has no interface for PSK."""


def peer(role: str, expected: Expected, key: KeyKind = "p256") -> Command:
    """The script in the other role than the engine."""

    def arguments(lab: Lab, port: int) -> list[object]:
        name = f"server-{key}" if role == "server" else expected.who.file
        certificate, private_key = lab.credentials.certificate(name), lab.credentials.key(name)
        own = ("-", "-") if role == "client" and expected.who.kind == "nobody" else (certificate, private_key)
        ciphers = f"{openssl_name(expected.suite)}:@SECLEVEL=0"
        trust = "-" if role == "server" and expected.who.kind == "nobody" else lab.credentials.ca
        return [role, port, ciphers, trust, *own, int(bool(expected.resumption))]

    return script("pyopenssl_peer", arguments)


def client(suite: str, *, settings: Settings | None = None, **unusual: Unpack[Options]) -> Case:
    """pyOpenSSL's client gets on with the engine."""
    wanted = Expected(PEER, suite, **unusual)
    return as_server(wanted, peer("client", wanted), settings=settings, says=False, at_once=True)


def server(suite: str, *, key: KeyKind = "p256", **unusual: Unpack[Options]) -> Case:
    """The engine gets on with pyOpenSSL's server, which asks for a cookie."""
    wanted = Expected(PEER, suite, **unusual)
    return as_client(wanted, peer("server", wanted, key), exchange=echoed)


CASES = [
    *(client(suite) for suite in CERTIFICATE_SUITES),
    *(client(suite_for(key), who=Who("x509", key), settings={"key": key}) for key in KEYS),
    client(CCM_8, who=Who("x509"), resumption="ticket"),
    client(GCM, who=Who("x509", "p384"), resumption="session ID"),
    server(CCM_8),
    *(server(suite_for(key), key="p256" if key == "ed25519" else key, who=Who("x509", key)) for key in KEYS),
    server(CCM_8, who=Who("x509"), resumption="ticket"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_engine_and_pyopenssl_get_on(case: Case, lab: Lab) -> None:
    case.run(lab)
