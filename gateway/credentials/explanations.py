"""Why a handshake with a server failed, in words: what happened, its likely cause, its cure.

One table for all of it. A row stands for who gave up with which alert; where one alert has several causes, what was
at stake decides: the row of that comes first, then the one without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.dtls.codes import AlertDescription as Alert
from gateway.dtls.witness import Stage


class Speaker(StrEnum):
    """Who ended a handshake."""

    SERVER = "the server"
    CLIENT = "we"
    NOBODY = "nobody"
    """It timed out."""
    SYSTEM = "the operating system"
    """It says that nobody listens there."""


class Stake(StrEnum):
    """What decides among the causes of one alert."""

    PSK = "pre-shared key"
    """Of the client; the only ones that it offers are PSK suites."""
    CERTIFICATE = "certificate"
    """The client has one, and the server asked for it."""
    MISSING_CERTIFICATE = "missing certificate"
    """The server asked for one, and the client has none."""
    SERVER_CERTIFICATE = "server certificate"
    """It is about the server's alone, as far as the handshake came."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed handshake, as the client saw it."""

    speaker: Speaker
    alert: int | None
    """The number of the alert; None: it came to no end."""
    reason: str
    """What the engine, or the operating system, has to say."""
    stage: Stage
    stake: Stake
    authentic: bool = True
    """Whether the alert came protected; what is said in the clear could be anyone's."""

    @property
    def alert_name(self) -> str:
        """The alert's name as RFC 5246 §7.2 writes it, or its number."""
        return Alert(self.alert).name.lower() if self.alert in list(Alert) else f"number {self.alert}"


class Explanation(NamedTuple):
    """What is likely behind a failed handshake, and what to do."""

    cause: str
    cure: str


_Key = tuple[Speaker, Alert, Stake | None]

_SERVER, _CLIENT = Speaker.SERVER, Speaker.CLIENT

_CLIENT_CERTIFICATE = "gateway certs inspect FILE shows it, gateway certs client makes another"
_CLIENT_PSK = (
    "compare the identity: gateway psk list; set the key anew: gateway psk add IDENTITY --replace; "
    "a key in hex goes to --psk-key-hex, not to --psk-key"
)
_ODD = "see the server's log; a capture (docs/dtls.md) shows the messages"

TABLE: Final[Mapping[_Key, Explanation]] = {
    # -- the server's alerts ---------------------------------------------------------------------
    (_SERVER, Alert.HANDSHAKE_FAILURE, Stake.MISSING_CERTIFICATE): Explanation(
        "the server insists on a client certificate",
        "give one with --cert and --key; or, on the gateway, set COAP_DTLS_CLIENT_AUTH=WANTED",
    ),
    (_SERVER, Alert.HANDSHAKE_FAILURE, Stake.CERTIFICATE): Explanation(
        "the client certificate could not be used: it was not sent for lack of a common signature scheme, "
        "or the server does not take it",
        f"use a key on P-256; {_CLIENT_CERTIFICATE}",
    ),
    (_SERVER, Alert.HANDSHAKE_FAILURE, Stake.PSK): Explanation(
        "the server takes no pre-shared keys, or none of the suites offered, or insists on other extensions",
        "leave --suite out; on the gateway, add the identity (gateway psk add IDENTITY); "
        "or try a certificate (--cert, --ca)",
    ),
    (_SERVER, Alert.HANDSHAKE_FAILURE, None): Explanation(
        "the server has no certificate, or shares no cipher suite, group and signature scheme with us",
        "leave --suite out; try a pre-shared key (--psk-identity, --psk-key); "
        "on the gateway, see its server certificate (gateway check)",
    ),
    (_SERVER, Alert.INSUFFICIENT_SECURITY, None): Explanation(
        "the server wants stronger cipher suites than those offered",
        "leave --suite out, or name one that the server has",
    ),
    (_SERVER, Alert.PROTOCOL_VERSION, None): Explanation(
        "the server does not speak DTLS 1.2", "set it to DTLS 1.2; 1.0 is forbidden (RFC 8996), 1.3 not spoken here"
    ),
    (_SERVER, Alert.UNKNOWN_CA, None): Explanation(
        "the server does not trust the CA that issued the client certificate",
        "on the gateway, trust it: gateway trust add ca.pem, or COAP_DTLS_TRUST_STORE; "
        "where an intermediate CA issued it, append that CA's certificate to the --cert file",
    ),
    (_SERVER, Alert.CERTIFICATE_EXPIRED, None): Explanation(
        "the client certificate, or a CA above it, has expired or is not valid yet by the server's clock",
        f"{_CLIENT_CERTIFICATE}; see that both clocks are right",
    ),
    (_SERVER, Alert.CERTIFICATE_REVOKED, None): Explanation(
        "the client certificate was revoked: it stands in a revocation list of the server (COAP_DTLS_CRL)",
        "use another one: gateway certs client NAME",
    ),
    (_SERVER, Alert.BAD_CERTIFICATE, None): Explanation(
        "the server can't read the client certificate, or its signature is wrong: "
        "a CA of the same name but with another key is trusted",
        f"compare the CAs; {_CLIENT_CERTIFICATE}",
    ),
    (_SERVER, Alert.UNSUPPORTED_CERTIFICATE, None): Explanation(
        "the client certificate is not one for clients (clientAuth in its extended key usage, "
        "digitalSignature in its key usage), or its key or signature is of a kind that the server does not take",
        "gateway certs client NAME makes one that is taken, with a key on P-256; "
        "gateway certs inspect FILE shows what this one has",
    ),
    (_SERVER, Alert.CERTIFICATE_UNKNOWN, None): Explanation(
        "the server refuses the client certificate for some other reason, such as a critical extension",
        f"see the server's log for the reason; {_CLIENT_CERTIFICATE}",
    ),
    (_SERVER, Alert.ACCESS_DENIED, None): Explanation(
        "the server knows this client and does not let it in", "see the server's log and its access rules"
    ),
    (_SERVER, Alert.UNKNOWN_PSK_IDENTITY, None): Explanation(
        "the server does not know the PSK identity",
        "compare it letter by letter: gateway psk list; add it: gateway psk add IDENTITY",
    ),
    (_SERVER, Alert.DECRYPT_ERROR, Stake.PSK): Explanation(
        "the pre-shared key is wrong, or the server does not know the identity; it does not tell which (RFC 4279 §2)",
        _CLIENT_PSK,
    ),
    (_SERVER, Alert.DECRYPT_ERROR, None): Explanation(
        "the key does not belong to the client certificate", "give --cert and --key that were made together"
    ),
    (_SERVER, Alert.BAD_RECORD_MAC, Stake.PSK): Explanation(
        "the pre-shared key is wrong, or belongs to another identity",
        _CLIENT_PSK,
    ),
    (_SERVER, Alert.BAD_RECORD_MAC, None): Explanation("the two sides came to different keys", _ODD),
    (_SERVER, Alert.UNEXPECTED_MESSAGE, None): Explanation(
        "the server lost track of the handshake", f"try again; {_ODD}"
    ),
    (_SERVER, Alert.RECORD_OVERFLOW, None): Explanation("a record was too long for the server", _ODD),
    (_SERVER, Alert.ILLEGAL_PARAMETER, None): Explanation(
        "the server does not accept something that was offered",
        f"try without --session, --cid-length none and without --suite; {_ODD}",
    ),
    (_SERVER, Alert.DECODE_ERROR, None): Explanation(
        "the server can't read a message of ours", f"try --cid-length none; {_ODD}"
    ),
    (_SERVER, Alert.UNSUPPORTED_EXTENSION, None): Explanation(
        "the server stumbles over an extension", f"try --cid-length none; {_ODD}"
    ),
    (_SERVER, Alert.INTERNAL_ERROR, None): Explanation("something went wrong inside the server", "see its log"),
    (_SERVER, Alert.USER_CANCELED, None): Explanation("the server gave up for reasons of its own", "see its log"),
    (_SERVER, Alert.CLOSE_NOTIFY, None): Explanation("the server ended the handshake: it shuts down", "try again"),
    # -- ours ------------------------------------------------------------------------------------
    (_CLIENT, Alert.UNKNOWN_CA, None): Explanation(
        "the server's certificate was not issued by a CA of the --ca file",
        "give the server's CA with --ca; gateway certs verify URL shows what the server presents",
    ),
    (_CLIENT, Alert.CERTIFICATE_EXPIRED, None): Explanation(
        "the server's certificate, or a CA above it, has expired or is not valid yet by the clock of this machine",
        "renew it on the server (gateway certs server); see that both clocks are right",
    ),
    (_CLIENT, Alert.CERTIFICATE_UNKNOWN, None): Explanation(
        "the server's certificate is for another name than the one called",
        "call the server by a name in its certificate, or name that with --server-name; "
        "gateway certs verify URL shows its names",
    ),
    (_CLIENT, Alert.BAD_CERTIFICATE, None): Explanation(
        "the server's certificate can't be read, or its signature is wrong: "
        "the CA of that name in the --ca file has another key",
        "get the server's CA anew; gateway certs verify URL shows what the server presents",
    ),
    (_CLIENT, Alert.UNSUPPORTED_CERTIFICATE, None): Explanation(
        "the server's certificate is not one for servers (serverAuth in its extended key usage, "
        "digitalSignature in its key usage), or its key or signature is too weak",
        "make one with gateway certs server",
    ),
    (_CLIENT, Alert.CERTIFICATE_REVOKED, None): Explanation(
        "the server's certificate was revoked", "make another one: gateway certs server"
    ),
    (_CLIENT, Alert.DECRYPT_ERROR, None): Explanation(
        "the server does not have the key of the certificate that it presents",
        "give the server key and certificate that were made together",
    ),
    (_CLIENT, Alert.HANDSHAKE_FAILURE, None): Explanation(
        "the server lacks the extended master secret (RFC 7627), or wants to renegotiate",
        "use a DTLS library from after 2015 on the server",
    ),
    (_CLIENT, Alert.PROTOCOL_VERSION, None): Explanation(
        "the server does not speak DTLS 1.2", "set it to DTLS 1.2; 1.0 is forbidden (RFC 8996), 1.3 not spoken here"
    ),
}
"""(who, alert, stake) → what is behind it. The stake None stands for all that have no row of their own."""

_IS_IT_RUNNING = (
    "is the gateway running, with COAP_SECURITY_MODE=MIXED, and on this port (COAP_DTLS_BIND_PORT)? (gateway check)"
)

_REFUSED = Explanation(
    "nothing listens on that port, or no network leads there",
    _IS_IT_RUNNING,
)

SILENCE: Final[Mapping[tuple[Stage, Stake | None], Explanation]] = {
    (Stage.NOTHING, None): Explanation(
        "no answer at all: wrong address or port, a firewall, or no DTLS there",
        f"{_IS_IT_RUNNING}\ndoes a firewall let UDP through, both ways?",
    ),
    (Stage.COOKIE, None): Explanation(
        "the server asked for its cookie and then fell silent: it does not like what is offered, or limits handshakes, "
        "or our second, longer datagram is lost",
        "see the server's log; wait a minute where many handshakes failed before; try a longer --timeout",
    ),
    (Stage.HELLO, None): Explanation(
        "part of the server's answer does not arrive: its datagrams may be too long for the network",
        "set COAP_DTLS_MAX_TRANSMISSION_UNIT to less on the gateway; try a longer --timeout",
    ),
    (Stage.HELLO_DONE, Stake.PSK): Explanation(
        "the server does not answer the key exchange: the pre-shared key is wrong, or the identity unknown",
        _CLIENT_PSK,
    ),
    (Stage.HELLO_DONE, None): Explanation(
        "the server does not answer the key exchange: it may not accept the client certificate, or datagrams are lost",
        "see the server's log; try a longer --timeout",
    ),
}
"""How far it came and what is at stake → why nothing more came."""

_UNKNOWN = Explanation("the two sides don't understand each other", _ODD)


def explain(failure: Failure) -> Explanation:
    """What is likely behind a failure, and what to do about it."""
    if failure.speaker is Speaker.SYSTEM:
        return _REFUSED
    if failure.speaker is Speaker.NOBODY or failure.alert is None:
        rows = (SILENCE.get((failure.stage, stake)) for stake in (failure.stake, None))
    elif failure.alert not in list(Alert):
        return _UNKNOWN
    else:
        key = failure.speaker, Alert(failure.alert)
        rows = (TABLE.get((*key, stake)) for stake in (failure.stake, None))
    return next(filter(None, rows), _UNKNOWN)


def describe(failure: Failure) -> str:
    """What happened, without a guess at why."""
    match failure.speaker:
        case Speaker.SERVER:
            clear = "" if failure.authentic else " (in the clear, so not authentic)"
            return f"the server sent alert {failure.alert_name}{clear}"
        case Speaker.CLIENT:
            return f"we ended it with alert {failure.alert_name}: {failure.reason}"
        case _:
            return failure.reason
