"""What a handshake waits for, and what moves it on: the columns of both roles' tables."""

from enum import Enum, auto
from typing import TypeAlias

from gateway.dtls.codes import HandshakeType


class State(Enum):
    """What a handshake waits for; both roles'."""

    START = auto()
    SERVER_HELLO = auto()
    SERVER_CERTIFICATE = auto()
    SERVER_KEY_EXCHANGE = auto()
    OPTIONAL_SERVER_KEY_EXCHANGE = auto()
    CERTIFICATE_REQUEST = auto()
    """Or else SERVER_HELLO_DONE."""
    SERVER_HELLO_DONE = auto()
    CLIENT_CERTIFICATE = auto()
    CLIENT_KEY_EXCHANGE = auto()
    CERTIFIED_KEY_EXCHANGE = auto()
    """Of a client that sent a certificate, so that CERTIFICATE_VERIFY must follow."""
    CERTIFICATE_VERIFY = auto()
    SESSION_TICKET = auto()
    CHANGE_CIPHER_SPEC = auto()
    FINISHED = auto()
    DONE = auto()


class Signal(Enum):
    """What is no handshake message, yet moves a handshake on. No number: ChangeCipherSpec's is Finished's too."""

    CHANGE_CIPHER_SPEC = auto()


Event: TypeAlias = HandshakeType | Signal
