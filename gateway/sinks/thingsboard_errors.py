"""What MQTT, TLS and the network say went wrong, as trouble that a user of ThingsBoard can cure."""

import os
import socket
import ssl
from collections.abc import Mapping
from typing import Final

from gateway.sinks.mqtt import Ended, Refused
from gateway.sinks.sink import SinkError, Trouble

UNSUPPORTED_VERSION: Final = 0x84
BAD_CLIENT_ID: Final = 0x85
BAD_CREDENTIALS: Final = 0x86
NOT_AUTHORIZED: Final = 0x87
BANNED: Final = 0x8A
BAD_AUTHENTICATION_METHOD: Final = 0x8C
SESSION_TAKEN_OVER: Final = 0x8E
PACKET_TOO_LARGE: Final = 0x95
QUOTA_EXCEEDED: Final = 0x97
"""Reason codes of MQTT 5 (§2.4)."""

_CREDENTIALS: Final = frozenset({BAD_CLIENT_ID, BAD_CREDENTIALS, NOT_AUTHORIZED, BANNED, BAD_AUTHENTICATION_METHOD})
_BUSY: Final = frozenset(
    {
        0x88,  # server unavailable
        0x89,  # server busy
        0x8B,  # server shutting down
        0x93,  # receive maximum exceeded
        0x96,  # message rate too high
        QUOTA_EXCEEDED,
        0x9F,  # connection rate exceeded
    }
)

_CREDENTIALS_HINT: Final = (
    "set TB_ACCESS_TOKEN to the access token of the gateway's device in ThingsBoard, or TB_USERNAME, TB_PASSWORD and "
    "TB_CLIENT_ID to its MQTT Basic credentials, or TB_CLIENT_CERT and TB_CLIENT_KEY to its X.509 certificate"
)
_GATEWAY_HINT: Final = 'is the device marked "Is gateway" in ThingsBoard? See docs/thingsboard.md'
_REACH_HINT: Final = "see whether TB_HOST and TB_PORT are right and ThingsBoard is running; it is tried again"
_PORT_HINT: Final = (
    "see whether TB_PORT is a port of MQTT, and TB_TLS is true where that is MQTT over TLS, which ThingsBoard has on "
    "8883; an old server may want TB_MQTT_VERSION=3.1.1"
)
_AGAIN_HINT: Final = "what was not acknowledged is sent again"
_BUSY_HINT: Final = "it is tried again; see the rate limits of the tenant profile in ThingsBoard"
_CA_HINT: Final = "set TB_CA_FILE to the certificate of the CA that issued the server's"

_HOST_MISMATCH: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""

_CERTIFICATE_ALERTS: Final[Mapping[str, str]] = {
    "CERTIFICATE_REQUIRED": "it wants a certificate of ours",
    "BAD_CERTIFICATE": "it does not like our certificate",
    "UNSUPPORTED_CERTIFICATE": "it does not like our certificate",
    "CERTIFICATE_REVOKED": "our certificate is revoked",
    "CERTIFICATE_EXPIRED": "our certificate has expired",
    "CERTIFICATE_UNKNOWN": "it does not like our certificate",
    "UNKNOWN_CA": "it does not know the CA of our certificate",
    "ACCESS_DENIED": "it does not let us in",
}
"""TLS alerts by which a server says that it does not accept the client (RFC 8446 §6.2)."""


def why_not_connected(error: OSError | Refused | Ended, host: str) -> SinkError:
    """Why there is no connection."""
    if isinstance(error, Refused):
        return _refused(error)
    if isinstance(error, Ended):
        if error.error is not None:
            return why_not_connected(error.error, host)
        return SinkError(Trouble.UNREACHABLE, f"no MQTT session with it: {error.text}", hint=_PORT_HINT)
    if isinstance(error, ssl.SSLError):
        return _tls(error, host)
    if isinstance(error, socket.gaierror):
        return _unreachable(f"the address of {host} is not known: {error.strerror}")
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return SinkError(Trouble.UNREACHABLE, "no MQTT session with it: it closes the connection", hint=_PORT_HINT)
    return _unreachable(f"no connection: {os.strerror(error.errno) if error.errno else error}")


def why_ended(end: Ended) -> SinkError:
    """Why a connection ended that there was."""
    message = f"the connection is lost: {end.text}"
    if end.reason in _BUSY:
        return SinkError(Trouble.BUSY, message, hint=_BUSY_HINT)
    if end.reason in (NOT_AUTHORIZED, BANNED):
        return SinkError(Trouble.REFUSED, message, hint=_GATEWAY_HINT)
    if end.reason == SESSION_TAKEN_OVER:
        hint = "another client has connected with the same client id: give each gateway its own TB_CLIENT_ID"
        return SinkError(Trouble.UNREACHABLE, message, hint=hint)
    return SinkError(Trouble.UNREACHABLE, message, hint=_AGAIN_HINT)


def why_not_taken(reason: int, text: str) -> SinkError | None:
    """Why a message was not taken now; None where it is the message's own fault."""
    if reason in _BUSY:
        return SinkError(Trouble.BUSY, f"it takes no more now: {text}", hint=_BUSY_HINT)
    if reason == NOT_AUTHORIZED:
        return SinkError(Trouble.REFUSED, f"it does not let us write: {text}", hint=_GATEWAY_HINT)
    return None


def silent(timeout_s: float) -> SinkError:
    """Nothing was acknowledged for too long."""
    return SinkError(
        Trouble.SILENT,
        f"it has acknowledged nothing for {timeout_s:g} s",
        hint='see whether the device in ThingsBoard has the switch "Is gateway" on, and whether ThingsBoard is '
        "overloaded; TB_MQTT_ACK_TIMEOUT_MS says how long it may take",
    )


def takes_no_qos_1() -> SinkError:
    """The server can't acknowledge."""
    return SinkError(
        Trouble.SILENT,
        "it takes messages of QoS 0 alone, which it does not acknowledge",
        hint="change that in the server: nothing could be known to have arrived",
    )


def takes_too_little(packet_bytes: int) -> SinkError:
    """The server's limit leaves no room for what devices report."""
    return SinkError(
        Trouble.MISCONFIGURED,
        f"it takes packets of {packet_bytes} bytes at most",
        hint="raise that limit in the server: most reports would not fit",
    )


def _refused(error: Refused) -> SinkError:
    if error.reason in _CREDENTIALS:
        message = f"it does not accept our credentials: {error.text}"
        return SinkError(Trouble.REFUSED, message, hint=_CREDENTIALS_HINT)
    if error.reason in _BUSY:
        return SinkError(Trouble.BUSY, f"it takes no connection now: {error.text}", hint=_BUSY_HINT)
    if error.reason == UNSUPPORTED_VERSION:
        message = f"it does not speak the version of MQTT that we do: {error.text}"
        return SinkError(Trouble.MISCONFIGURED, message, hint="set TB_MQTT_VERSION=3.1.1")
    return _unreachable(f"it takes no connection: {error.text}")


def _tls(error: ssl.SSLError, host: str) -> SinkError:
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _HOST_MISMATCH:
            message = f"its certificate is for another host: {error.verify_message}"
            hint = f"set TB_HOST to a name that is in the certificate, or have {host} put into it"
            return SinkError(Trouble.UNTRUSTED, message, hint=hint)
        message = f"its certificate is not trusted: {error.verify_message}"
        return SinkError(Trouble.UNTRUSTED, message, hint=_CA_HINT)
    for alert, words in _CERTIFICATE_ALERTS.items():
        if reason.endswith(f"ALERT_{alert}"):
            return SinkError(Trouble.REFUSED, f"{words} ({reason})", hint=_CREDENTIALS_HINT)
    hint = "see whether TB_PORT is the port of MQTT over TLS, which ThingsBoard has on 8883"
    return SinkError(Trouble.UNREACHABLE, f"no TLS with it: {reason}", hint=hint)


def _unreachable(message: str) -> SinkError:
    return SinkError(Trouble.UNREACHABLE, message, hint=_REACH_HINT)
