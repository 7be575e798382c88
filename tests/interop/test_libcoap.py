"""The engine and libcoap's programs, in both roles: CoAP over DTLS, with OpenSSL and with GnuTLS."""

from contextlib import AbstractContextManager
from typing import Unpack

import pytest

from gateway.dtls.codes import AlertDescription

from .credentials import PSK_IDENTITY, PSK_KEY
from .matrix import Case, Lab
from .process import Process, running
from .tries import CCM_8, GCM, PSK, PSK_CCM_8, Command, Expected, Options, Who, as_client, as_server, refused, requested

LIBRARIES = ("openssl", "gnutls")


def coap_client(expected: Expected, *options: object) -> Command:
    """A client that makes one request."""

    def start(lab: Lab, port: int, handshake: int) -> AbstractContextManager[Process]:
        return running(expected.peer, *_client_credentials(lab, expected.who), *options, f"coaps://127.0.0.1:{port}/x")

    return start


def coap_server(expected: Expected) -> Command:
    """A server; DTLS is on the next port. It insists on a client's certificate where the client shall have one."""

    def start(lab: Lab, port: int, handshake: int) -> AbstractContextManager[Process]:
        credentials = lab.credentials
        certificate = ("-c", credentials.certificate("server-p256"), "-j", credentials.key("server-p256"))
        options: dict[str, tuple[object, ...]] = {
            "psk": ("-k", PSK_KEY.decode(), "-h", "a hint"),
            "x509": (*certificate, "-C", credentials.ca),
            "nobody": (*certificate, "-n"),
            "rpk": ("-M", credentials.sec1("server-p256"), "-n"),
        }
        return running(expected.peer, "-A", "127.0.0.1", "-p", port, *options[expected.who.kind])

    return start


def _client_credentials(lab: Lab, who: Who) -> tuple[object, ...]:
    credentials = lab.credentials
    match who.kind:
        case "psk":
            return ("-u", PSK_IDENTITY, "-k", PSK_KEY.decode())
        case "x509":
            return ("-c", credentials.certificate(who.file), "-j", credentials.key(who.file), "-C", credentials.ca)
        case "rpk":  # it has no way to say which server's key is trusted
            return ("-n", "-M", credentials.sec1(who.file))
        case _:
            return ("-C", credentials.ca)


def client(library: str, suite: str, *options: object, **unusual: Unpack[Options]) -> Case:
    """libcoap's client gets on with the engine."""
    wanted = Expected(f"coap-client-{library}", suite, **unusual)
    name = {
        "nobody": "nobody",
        "psk": f"psk {PSK_IDENTITY}",
        "x509": f"x509 {wanted.who.file}",
        "rpk": "rpk [0-9a-f]{64}",
    }
    return as_server(wanted, coap_client(wanted, *options), says=False, answer=f"hello {name[wanted.who.kind]}")


def server(library: str, suite: str, **unusual: Unpack[Options]) -> Case:
    """The engine gets on with libcoap's server."""
    wanted = Expected(f"coap-server-{library}", suite, **unusual)
    return as_client(wanted, coap_server(wanted), exchange=requested, port_of=lambda port: port + 1)


def _refused(library: str) -> Case:
    wanted = Expected(f"coap-client-{library}", PSK_CCM_8, PSK, besides="wrong key")
    return refused(
        wanted, coap_client(wanted, "-v", "7", "-k", "wrong"), AlertDescription.DECRYPT_ERROR, "(?i)decrypt error"
    )


CASES = [
    *(
        case
        for library in LIBRARIES
        for case in (
            client(library, PSK_CCM_8, who=PSK),
            client(library, "PSK_WITH_AES_128_CCM", who=PSK),
            client(library, "PSK_WITH_AES_128_GCM_SHA256", who=PSK),
            client(library, CCM_8),
            client(library, CCM_8, who=Who("x509")),
            client(library, GCM, who=Who("x509", "ed25519")),
            client(library, "ECDHE_RSA_WITH_AES_256_GCM_SHA384", who=Who("x509", "rsa2048")),
            client(library, CCM_8, "-l", "2", who=Who("x509"), besides="client's 2nd datagram is lost"),
            _refused(library),
            server(library, PSK_CCM_8, who=PSK),
            server(library, CCM_8),
            server(library, CCM_8, who=Who("x509")),
        )
    ),
    client("gnutls", CCM_8, who=Who("rpk")),
    server("openssl", CCM_8, resumption="ticket"),
    server("gnutls", CCM_8, who=Who("rpk")),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_engine_and_libcoap_get_on(case: Case, lab: Lab) -> None:
    case.run(lab)
