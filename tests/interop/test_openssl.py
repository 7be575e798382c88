"""The engine and the `openssl` program, in both roles."""

from contextlib import AbstractContextManager
from typing import Unpack

import pytest

from gateway.dtls.codes import AlertDescription
from gateway.dtls.config import ClientAuth
from gateway.dtls.events import HandshakeCompleted
from gateway.dtls.suites import CipherSuite
from gateway.dtls.tickets import TicketKeys
from tests.dtls.certificates import KeyKind
from tests.ports import free_port

from .credentials import KEYS, PSK_IDENTITY, PSK_KEY, SERVER_NAME
from .loop import serving
from .matrix import Case, Lab
from .process import Process, running
from .tries import (
    CCM_8,
    ECDHE_PSK,
    GCM,
    PSK,
    PSK_CCM_8,
    RSA_GCM,
    SUITES,
    Command,
    Expected,
    Options,
    Settings,
    Who,
    as_client,
    as_server,
    assert_is,
    check,
    refused,
    suite_for,
    typed,
)

CLIENT, SERVER = "openssl s_client", "openssl s_server"
GROUPS = ("X25519", "P-256", "P-384")


def openssl_name(suite: str | CipherSuite) -> str:
    """What OpenSSL calls a suite."""
    name = suite if isinstance(suite, str) else suite.name
    for ours, theirs in (("_WITH", ""), ("AES_", "AES"), ("CCM_8", "CCM8"), ("POLY1305_SHA256", "POLY1305")):
        name = name.replace(ours, theirs)
    return name.replace("_", "-")


def s_client(expected: Expected, *options: str) -> Command:
    """OpenSSL's client. Where a session is to be resumed, a file keeps it."""

    def start(lab: Lab, port: int, handshake: int) -> AbstractContextManager[Process]:
        session = lab.folder / "session"
        return running(
            *("openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}"),
            *("-CAfile", lab.credentials.ca, "-verify_return_error", "-verify_hostname", SERVER_NAME),
            *("-cipher", f"{openssl_name(expected.suite)}:@SECLEVEL=0"),
            *_client_credentials(lab, expected.who),
            *(("-sess_in" if handshake else "-sess_out", session) if expected.resumption else ()),
            *(("-no_ticket",) if expected.resumption == "session ID" else ()),
            *options,
        )

    return start


def s_server(expected: Expected, *options: str, key: KeyKind = "p256") -> Command:
    """OpenSSL's server. It insists on a client's certificate where the client shall have one."""

    def start(lab: Lab, port: int, handshake: int) -> AbstractContextManager[Process]:
        credentials = lab.credentials
        if expected.who.kind == "psk":
            own: tuple[object, ...] = ("-nocert", "-psk_identity", PSK_IDENTITY, "-psk", PSK_KEY.hex())
        else:
            own = ("-cert", credentials.certificate(f"server-{key}"), "-key", credentials.key(f"server-{key}"))
        return running(
            *("openssl", "s_server", "-dtls1_2", "-port", port, "-CAfile", credentials.ca, *own),
            *("-cipher", f"{openssl_name(expected.suite)}:@SECLEVEL=0"),
            *(("-Verify", "3", "-verify_return_error") if expected.who.kind == "x509" else ()),
            *(("-no_ticket",) if expected.resumption == "session ID" else ()),
            *options,
        )

    return start


def _client_credentials(lab: Lab, who: Who) -> tuple[object, ...]:
    if who.kind == "psk":
        return ("-psk_identity", PSK_IDENTITY, "-psk", PSK_KEY.hex())
    if who.kind == "nobody":
        return ()
    issuer = ("-cert_chain", lab.credentials.certificate("intermediate")) if who.key == "p384" else ()
    return ("-cert", lab.credentials.certificate(who.file), "-key", lab.credentials.key(who.file), *issuer)


def client(
    suite: str | CipherSuite, *options: str, settings: Settings | None = None, **unusual: Unpack[Options]
) -> Case:
    """OpenSSL's client gets on with the engine."""
    wanted = Expected(CLIENT, suite, **unusual)
    return as_server(wanted, s_client(wanted, *options), settings=settings)


def server(suite: str | CipherSuite, *options: str, key: KeyKind = "p256", **unusual: Unpack[Options]) -> Case:
    """The engine gets on with OpenSSL's server."""
    wanted = Expected(SERVER, suite, **unusual)
    return as_client(wanted, s_server(wanted, *options, key=key), exchange=typed)


def _refusals() -> list[Case]:
    wrong_key = Expected(CLIENT, PSK_CCM_8, PSK, besides="wrong key")
    unknown = Expected(CLIENT, PSK_CCM_8, PSK, besides="unknown identity")
    nobody = Expected(CLIENT, GCM, besides="a certificate is needed")
    stranger = Expected(CLIENT, GCM, Who("x509"), besides="of another CA")
    other_suite = Expected(CLIENT, RSA_GCM, besides="the server has no such suite")

    def untrusted(lab: Lab, port: int, handshake: int) -> AbstractContextManager[Process]:
        own = ("-cert", lab.credentials.certificate("stranger"), "-key", lab.credentials.key("stranger"))
        return s_client(nobody, *map(str, own))(lab, port, handshake)

    return [
        refused(
            wrong_key, s_client(wrong_key, "-psk", "00" * 16), AlertDescription.DECRYPT_ERROR, "alert decrypt error"
        ),
        refused(
            unknown, s_client(unknown, "-psk_identity", "who"), AlertDescription.DECRYPT_ERROR, "alert decrypt error"
        ),
        refused(
            nobody,
            s_client(nobody),
            AlertDescription.HANDSHAKE_FAILURE,
            "alert handshake failure",
            settings={"client_auth": ClientAuth.NEEDED},
        ),
        refused(stranger, untrusted, AlertDescription.UNKNOWN_CA, "alert unknown ca"),
        refused(
            other_suite,
            s_client(other_suite),
            AlertDescription.HANDSHAKE_FAILURE,
            "alert handshake failure",
            server_suite=GCM,
        ),
    ]


def _renegotiation() -> Case:
    expected = Expected(CLIENT, GCM, besides="wants to renegotiate")

    def run(lab: Lab) -> None:
        with serving(lab.credentials.server(GCM)) as server, s_client(expected)(lab, server.port, 0) as peer:
            check(server.wait_for(HandshakeCompleted).association, expected, resumed=False)
            peer.expect("Verify return code")
            peer.say("R")
            peer.expect("RENEGOTIATING(?s:.*)no renegotiation")

    return Case(expected.row("server"), run, result="refused: no_renegotiation")


def _reboot() -> Case:
    expected = Expected(CLIENT, GCM, Who("x509"), besides="dies, and comes again from the same port")

    def run(lab: Lab) -> None:
        config = lab.credentials.server(GCM, client_auth=ClientAuth.NEEDED)
        client = s_client(expected, "-bind", f"127.0.0.1:{free_port()}")
        with serving(config) as server:
            for _ in range(2):
                with client(lab, server.port, 0) as peer:
                    association = server.wait_for(HandshakeCompleted).association
                    assert_is(association.principal, expected.who, lab)
                    peer.say("1 hello")
                    peer.expect("echo: 1 hello")

    return Case(expected.row("server"), run)


def _many_names() -> Case:
    """With a session too large for a ticket, the next hello would come in fragments, and get no answer."""
    expected = Expected(CLIENT, GCM, Who("x509"), besides="many names in the certificate: gets no ticket")

    def run(lab: Lab) -> None:
        credentials = lab.credentials
        config = credentials.server(GCM, client_auth=ClientAuth.NEEDED, tickets=TicketKeys())
        own = ("-cert", str(credentials.certificate("many-names")), "-key", str(credentials.key("many-names")))
        with serving(config) as server, s_client(expected, *own)(lab, server.port, 0) as peer:
            check(server.wait_for(HandshakeCompleted).association, expected, resumed=False)
            peer.expect("Extended master secret: yes")
            assert "session ticket" not in peer.output

    return Case(expected.row("server"), run)


CASES = [
    *(client(suite, who=PSK) if suite.startswith("PSK") else client(suite) for suite in SUITES),
    client(ECDHE_PSK, who=PSK),
    *(client(suite_for(key), who=Who("x509", key), settings={"key": key}) for key in KEYS),
    *(client(GCM, "-groups", group, besides=f"group {group}") for group in GROUPS),
    client(GCM, settings={"client_auth": ClientAuth.WANTED}, besides="a certificate is wanted"),
    client(RSA_GCM, "-sigalgs", "RSA+SHA256:ECDSA+SHA256", besides="signed with rsa_pkcs1_sha256"),
    client(RSA_GCM, "-sigalgs", "RSA-PSS+SHA256:ECDSA+SHA256", besides="signed with rsa_pss_rsae_sha256"),
    client(RSA_GCM, "-client_sigalgs", "RSA+SHA256", who=Who("x509", "rsa2048"), besides="signs with rsa_pkcs1_sha256"),
    client(GCM, "-mtu", "256", who=Who("x509"), settings={"mtu": 256}, besides="MTU 256 on both sides"),
    client(GCM, "-maxfraglen", "512", who=Who("x509"), besides="max_fragment_length 512"),
    client(CCM_8, who=Who("x509"), resumption="ticket"),
    client(CCM_8, who=Who("x509"), resumption="session ID"),
    client(PSK_CCM_8, who=PSK, resumption="ticket"),
    client(PSK_CCM_8, who=PSK, resumption="session ID"),
    _reboot(),
    _many_names(),
    *_refusals(),
    _renegotiation(),
    *(
        server(suite, who=PSK)
        if suite.startswith("PSK")
        else server(suite, key="rsa2048" if suite.startswith("ECDHE_RSA") else "p256")
        for suite in SUITES
    ),
    server(ECDHE_PSK, who=PSK),
    # s_server takes an Ed25519 key of its own for TLS only.
    *(server(suite_for(key), key="p256" if key == "ed25519" else key, who=Who("x509", key)) for key in KEYS),
    *(server(GCM, "-groups", group, besides=f"group {group}") for group in GROUPS),
    server(GCM, "-listen", besides="asks for a cookie"),
    server(GCM, "-mtu", "256", who=Who("x509"), besides="server's MTU 256"),
    server(CCM_8, resumption="ticket"),
    server(CCM_8, resumption="session ID"),
    server(PSK_CCM_8, who=PSK, resumption="ticket"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_engine_and_openssl_get_on(case: Case, lab: Lab) -> None:
    case.run(lab)
