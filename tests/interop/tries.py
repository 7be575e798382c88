"""How a foreign peer is tried, in either role: handshake, data in both directions, and again with resumption."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict

from gateway.coap.codec import Type, encode_message, parse_message
from gateway.dtls.association import Association
from gateway.dtls.codes import AlertDescription
from gateway.dtls.config import ClientAuth
from gateway.dtls.events import AssociationClosed, DataReceived, HandshakeCompleted, HandshakeFailed
from gateway.dtls.suites import BY_NAME, Aead, CipherSuite, KeyExchange
from gateway.dtls.tickets import TicketKeys
from gateway.model import Code, Principal
from tests.dtls.certificates import KeyKind
from tests.ports import free_port

from .credentials import KEY_NAMES, PSK_PRINCIPAL, SERVER_NAME
from .loop import Loop, calling, serving
from .matrix import Case, Lab, Row
from .process import Process, running, running_script, wait_until_bound

ECDHE_PSK = CipherSuite(
    0xCCAC, "ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", KeyExchange.ECDHE_PSK, Aead.CHACHA20_POLY1305
)
"""RFC 7905. None of the peers has one of the engine's ECDHE_PSK suites, which are of RFC 8442. This one, given to the
engine for the test alone, shows that it agrees with others on the key exchange; the rest of those suites is shown by
suites with the same record protection."""

CCM_8 = "ECDHE_ECDSA_WITH_AES_128_CCM_8"
GCM = "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
RSA_GCM = "ECDHE_RSA_WITH_AES_128_GCM_SHA256"
PSK_CCM_8 = "PSK_WITH_AES_128_CCM_8"
SUITES = [name for name in BY_NAME if not name.startswith("ECDHE_PSK")]
"""The engine's suites that OpenSSL, GnuTLS and Mbed TLS have too."""

TICKET, SESSION_ID = "ticket", "session ID"


def suite_for(key: KeyKind) -> str:
    """A suite for a server with that kind of key."""
    return RSA_GCM if key == "rsa2048" else GCM


class Who(NamedTuple):
    """How a client proves who it is."""

    kind: Literal["nobody", "psk", "x509", "rpk"]
    key: KeyKind = "p256"

    def __str__(self) -> str:
        match self.kind:
            case "nobody":
                return "none"
            case "psk":
                return "PSK"
            case "x509":
                return f"certificate, {KEY_NAMES[self.key]}"
            case "rpk":
                return f"raw public key, {KEY_NAMES[self.key]}"

    @property
    def file(self) -> str:
        """The name of its files among the credentials."""
        return f"client-{self.key}"


NOBODY, PSK = Who("nobody"), Who("psk")

Settings: TypeAlias = Mapping[str, Any]
Command: TypeAlias = Callable[[Lab, int, int], AbstractContextManager[Process]]
"""Starts a peer: takes the lab, a port, and how many handshakes there were already."""


Resumption: TypeAlias = Literal["", "ticket", "session ID"]


class Options(TypedDict, total=False):
    """What is not as usual; see `Expected`."""

    who: Who
    resumption: Resumption
    besides: str


class Expected(NamedTuple):
    """What a peer does: the row, and how that is seen."""

    peer: str
    suite: str | CipherSuite
    who: Who = NOBODY
    resumption: Resumption = ""
    besides: str = "–"

    def row(self, role: str) -> Row:
        """The row of the matrix."""
        name = self.suite if isinstance(self.suite, str) else self.suite.name
        besides = "not a suite of the engine's own" if self.suite is ECDHE_PSK else self.besides
        return Row(self.peer, role, name, str(self.who), self.resumption or "–", besides)


def as_server(
    expected: Expected,
    client: Command,
    *,
    settings: Settings | None = None,
    says: bool = True,
    answer: str = "echo: 1 hello",
    at_once: bool = False,
) -> Case:
    """A foreign client comes, and takes its leave with close_notify. `says`: it waits for a line to send. `at_once`:
    one process makes all handshakes."""

    def run(lab: Lab) -> None:
        config = lab.credentials.server(expected.suite, **{**_server_settings(expected), **(settings or {})})
        handshakes = 2 if expected.resumption else 1
        with serving(config) as server:
            for process in range(1 if at_once else handshakes):
                with client(lab, server.port, process) as peer:
                    for handshake in range(handshakes if at_once else 1):
                        association = server.wait_for(HandshakeCompleted).association
                        check(association, expected, resumed=process + handshake > 0)
                        assert_is(association.principal, expected.who, lab)
                    if says:
                        peer.say("1 hello")
                    peer.expect(answer)
                    peer.hear_no_more()
                    server.wait_for(AssociationClosed)

    return Case(expected.row("server"), run)


def refused(
    expected: Expected,
    client: Command,
    alert: AlertDescription,
    seen: str,
    *,
    settings: Settings | None = None,
    server_suite: str | None = None,
) -> Case:
    """A foreign client comes and is not let in; it must understand why: `seen` is what it says. `server_suite`: other
    than what the client offers."""

    def run(lab: Lab) -> None:
        given = {**_server_settings(expected), "retransmission_timeout_s": 0.3, **(settings or {})}
        config = lab.credentials.server(server_suite or expected.suite, **given)
        with serving(config) as server, client(lab, server.port, 0) as peer:
            failed = server.wait_for(HandshakeFailed)
            assert failed.alert is alert, failed
            peer.expect(seen)

    return Case(expected.row("server"), run, result=f"refused: {alert.name.lower()}")


Exchange: TypeAlias = Callable[[Loop, Association, Process], None]


def as_client(
    expected: Expected,
    server: Command,
    *,
    settings: Settings | None = None,
    exchange: Exchange,
    port_of: Callable[[int], int] = lambda port: port,
) -> Case:
    """A foreign server is called. `port_of`: the port that serves DTLS, from the one that the server is told."""

    def run(lab: Lab) -> None:
        key = expected.who.key if expected.who.kind in ("x509", "rpk") else None
        given = {"raw_public_keys": expected.who.kind == "rpk", **(settings or {})}
        config = lab.credentials.client(expected.suite, key=key, **given)
        port, resumption = free_port(), None
        # One socket for all handshakes: what comes late of the session before must not disturb the next one.
        with server(lab, port, 0) as peer, calling(config) as client:
            wait_until_bound(port_of(port))
            for handshake in range(2 if expected.resumption else 1):
                client.connect(port_of(port), resumption)
                completed = client.wait_for(HandshakeCompleted)
                association, resumption = completed.association, completed.resumption
                check(association, expected, resumed=handshake > 0)
                if handshake == 0 and expected.resumption:
                    assert resumption is not None
                    assert bool(resumption.ticket) == (expected.resumption == TICKET)
                _assert_is_server(association, expected)
                exchange(client, association, peer)
                client.hang_up(association)

    return Case(expected.row("client"), run)


def echoed(client: Loop, association: Association, peer: Process) -> None:
    """The server sends everything back."""
    client.send(association, b"1 hello\n")
    assert client.wait_for(DataReceived).data == b"1 hello\n"


def typed(client: Loop, association: Association, peer: Process) -> None:
    """The server prints what comes, and sends what it is told on its standard input."""
    client.send(association, b"1 hello\n")
    peer.expect("1 hello")
    peer.say("2 world")
    assert client.wait_for(DataReceived).data == b"2 world\n"
    peer.output = ""


def requested(client: Loop, association: Association, peer: Process) -> None:
    """The server answers a CoAP request."""
    client.send(association, encode_message(Type.CON, Code.GET, 77, b"t"))
    response = parse_message(client.wait_for(DataReceived).data)
    assert (response.type, response.code, response.mid, response.token) == (Type.ACK, Code.CONTENT, 77, b"t")


def check(association: Association, expected: Expected, *, resumed: bool) -> None:
    """The association is of the expected suite, and came of a resumption where it had to."""
    wanted = expected.suite if isinstance(expected.suite, str) else expected.suite.name
    assert (association.suite.name, association.resumed) == (wanted, resumed)


def assert_is(principal: Principal | None, who: Who, lab: Lab) -> None:
    """The client is who it should be."""
    match who.kind:
        case "nobody":
            assert principal is None
        case "psk":
            assert principal == PSK_PRINCIPAL
        case "x509":
            assert principal is not None
            assert (principal.kind, principal.name) == ("x509", who.file)
        case "rpk":
            assert principal == lab.credentials.trust.raw_key_principal(
                lab.credentials.clients[who.key].public_key_info
            )


def _assert_is_server(association: Association, expected: Expected) -> None:
    principal = association.principal
    if association.suite.key_exchange.is_psk:
        assert principal is None
    elif expected.who.kind == "rpk":
        assert principal is not None
        assert principal.kind == "rpk"
    else:
        assert principal is not None
        assert (principal.kind, principal.name) == ("x509", SERVER_NAME)


def _server_settings(expected: Expected) -> dict[str, Any]:
    kind = expected.who.kind
    return {
        "client_auth": ClientAuth.NEEDED if kind in ("x509", "rpk") else ClientAuth.NONE,
        "raw_public_keys": kind == "rpk",
        "tickets": TicketKeys() if expected.resumption == TICKET else None,
        "session_ids": 10 if expected.resumption == SESSION_ID else 0,
    }


def program(arguments: Callable[[Lab, int], list[object]]) -> Command:
    """A peer that is a program, whose arguments depend on the lab and the port."""
    return lambda lab, port, _: running(*arguments(lab, port))


def script(name: str, arguments: Callable[[Lab, int], list[object]]) -> Command:
    """A peer that is one of the scripts."""
    return lambda lab, port, _: running_script(name, *arguments(lab, port))
