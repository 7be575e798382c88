"""The engine and GnuTLS's programs, in both roles."""

from contextlib import AbstractContextManager
from typing import Unpack

import pytest

from gateway.dtls.codes import AlertDescription
from gateway.dtls.suites import CipherSuite
from tests.dtls.certificates import KeyKind

from .credentials import KEYS, PSK_IDENTITY, PSK_KEY, SERVER_NAME
from .matrix import Case, Lab
from .process import Process, running
from .tries import (
    CCM_8,
    ECDHE_PSK,
    GCM,
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
    refused,
    suite_for,
)

CLIENT, SERVER = "gnutls-cli", "gnutls-serv"
GROUPS = {"X25519": "GROUP-X25519", "P-256": "GROUP-SECP256R1", "P-384": "GROUP-SECP384R1"}


def priority(suite: str | CipherSuite, *more: str, groups: str = "GROUP-ALL") -> str:
    """GnuTLS's priority string for one suite."""
    name = suite if isinstance(suite, str) else suite.name
    exchange, _, cipher = name.partition("_WITH_")
    cipher = cipher.removesuffix("_SHA256").removesuffix("_SHA384")
    parts = (
        "VERS-DTLS1.2",
        exchange.replace("_", "-"),
        cipher.replace("_", "-"),
        "AEAD",
        "SIGN-ALL",
        "COMP-NULL",
        groups,
    )
    return ":".join(("NONE", *(f"+{part}" for part in parts), *more))


def gnutls_cli(expected: Expected, *options: str, more: tuple[str, ...] = (), groups: str = "GROUP-ALL") -> Command:
    """GnuTLS's client; where a session is to be resumed, it does so by itself."""

    def start(lab: Lab, port: int, handshake: int) -> AbstractContextManager[Process]:
        types = ("+CTYPE-CLI-RAWPK", "+CTYPE-SRV-RAWPK") if expected.who.kind == "rpk" else ()
        return running(
            *("gnutls-cli", "--udp", "--port", port, "--disable-sni"),
            *("--priority", priority(expected.suite, *types, *more, groups=groups)),
            *_client_credentials(lab, expected.who),
            *(("--resume",) if expected.resumption else ()),
            *(("--noticket",) if expected.resumption == "session ID" else ()),
            *options,
            "127.0.0.1",
        )

    return start


def gnutls_serv(expected: Expected, *options: str, key: KeyKind = "p256", groups: str = "GROUP-ALL") -> Command:
    """GnuTLS's server. It insists on a client's certificate or raw public key where the client shall have one."""

    def start(lab: Lab, port: int, handshake: int) -> AbstractContextManager[Process]:
        kind = expected.who.kind
        types = ("+CTYPE-CLI-RAWPK", "+CTYPE-SRV-RAWPK") if kind == "rpk" else ()
        return running(
            *("gnutls-serv", "--udp", "--port", port, "--echo"),
            *("--priority", priority(expected.suite, *types, groups=groups)),
            *_server_credentials(lab, kind, key),
            *(("--require-client-cert",) if kind in ("x509", "rpk") else ("--disable-client-cert",)),
            *(("--verify-client-cert",) if kind == "x509" else ()),
            *(("--noticket",) if expected.resumption == "session ID" else ()),
            *options,
        )

    return start


def _client_credentials(lab: Lab, who: Who) -> tuple[object, ...]:
    credentials = lab.credentials
    trust = ("--x509cafile", credentials.ca, "--verify-hostname", SERVER_NAME)
    match who.kind:
        case "psk":
            return ("--pskusername", PSK_IDENTITY, "--pskkey", PSK_KEY.hex())
        case "x509":
            return (
                *trust,
                "--x509certfile",
                credentials.certificate(who.file),
                "--x509keyfile",
                credentials.key(who.file),
            )
        case "rpk":  # it has no way to say which server's key is trusted
            key, public_key = credentials.key(who.file), credentials.public_key(who.file)
            return ("--insecure", "--rawpkkeyfile", key, "--rawpkfile", public_key)
        case _:
            return trust


def _server_credentials(lab: Lab, kind: str, key: KeyKind) -> tuple[object, ...]:
    credentials, own = lab.credentials, f"server-{key}"
    if kind == "psk":
        return ("--pskpasswd", credentials.psk_file)
    if kind == "rpk":
        return ("--rawpkkeyfile", credentials.key(own), "--rawpkfile", credentials.public_key(own))
    own_files = ("--x509certfile", credentials.certificate(own), "--x509keyfile", credentials.key(own))
    return ("--x509cafile", credentials.ca, *own_files)


def client(
    suite: str | CipherSuite,
    *options: str,
    more: tuple[str, ...] = (),
    groups: str = "GROUP-ALL",
    settings: Settings | None = None,
    **unusual: Unpack[Options],
) -> Case:
    """GnuTLS's client gets on with the engine."""
    wanted = Expected(CLIENT, suite, **unusual)
    return as_server(wanted, gnutls_cli(wanted, *options, more=more, groups=groups), settings=settings, at_once=True)


def server(
    suite: str | CipherSuite,
    *options: str,
    key: KeyKind = "p256",
    groups: str = "GROUP-ALL",
    **unusual: Unpack[Options],
) -> Case:
    """The engine gets on with GnuTLS's server."""
    wanted = Expected(SERVER, suite, **unusual)
    return as_client(wanted, gnutls_serv(wanted, *options, key=key, groups=groups), exchange=echoed)


def _refusals() -> list[Case]:
    wrong_key = Expected(CLIENT, PSK_CCM_8, PSK, besides="wrong key")
    old = Expected(CLIENT, GCM, besides="without extended_master_secret")
    return [
        refused(
            wrong_key,
            gnutls_cli(wrong_key, "--pskkey", "00" * 16),
            AlertDescription.DECRYPT_ERROR,
            r"Received alert \[51\]",
        ),
        refused(
            old,
            gnutls_cli(old, more=("%NO_SESSION_HASH",)),
            AlertDescription.HANDSHAKE_FAILURE,
            r"Received alert \[40\]",
        ),
    ]


CASES = [
    *(client(suite, who=PSK) if suite.startswith("PSK") else client(suite) for suite in SUITES),
    # gnutls-cli dies of ECDHE_PSK, behind the handshake, when it describes the session: the server's role shows it.
    *(client(suite_for(key), who=Who("x509", key), settings={"key": key}) for key in KEYS),
    *(client(suite_for(key), who=Who("rpk", key), settings={"key": key}) for key in KEYS),
    *(client(GCM, groups=f"{group}:+GROUP-SECP256R1", besides=f"group {name}") for name, group in GROUPS.items()),
    client(GCM, "--mtu", "256", who=Who("x509"), settings={"mtu": 256}, besides="MTU 256 on both sides"),
    client(GCM, "--recordsize", "512", who=Who("x509"), besides="max_fragment_length 512"),
    client(
        GCM,
        more=("%NO_SESSION_HASH",),
        settings={"require_extended_master_secret": False},
        besides="without extended_master_secret, which is not required",
    ),
    client(CCM_8, who=Who("x509"), resumption="ticket"),
    client(CCM_8, who=Who("x509"), resumption="session ID"),
    client(CCM_8, who=Who("rpk"), resumption="ticket"),
    client(PSK_CCM_8, who=PSK, resumption="ticket"),
    client(PSK_CCM_8, who=PSK, resumption="session ID"),
    *_refusals(),
    *(
        server(suite, who=PSK)
        if suite.startswith("PSK")
        else server(suite, key="rsa2048" if suite.startswith("ECDHE_RSA") else "p256")
        for suite in SUITES
    ),
    server(ECDHE_PSK, who=PSK),
    *(server(suite_for(key), key=key, who=Who("x509", key)) for key in KEYS),
    *(server(suite_for(key), key=key, who=Who("rpk", key)) for key in KEYS),
    *(server(GCM, groups=group, besides=f"group {name}") for name, group in GROUPS.items()),
    server(GCM, "--mtu", "256", who=Who("x509"), besides="server's MTU 256"),
    server(CCM_8, resumption="ticket"),
    server(CCM_8, resumption="session ID"),
    server(PSK_CCM_8, who=PSK, resumption="ticket"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_engine_and_gnutls_get_on(case: Case, lab: Lab) -> None:
    case.run(lab)
