"""Datagrams as one forges them who knows the protocol, the addresses, and all that is public, but sees no answer."""

import heapq
import random
from collections.abc import Callable

from gateway.dtls.codes import AlertLevel, ContentType, ExtensionType, HandshakeType, NamedGroup
from gateway.dtls.config import Config
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.keyexchange import GROUPS, SCHEMES, ephemeral_key
from gateway.dtls.messages import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    ClientKeyExchange,
    EcdhParameters,
    HelloVerifyRequest,
    NewSessionTicket,
    ServerHello,
    ServerKeyExchange,
    Signature,
)
from gateway.dtls.record import record_header
from gateway.dtls.suites import SUITES, CipherSuite
from gateway.dtls.wire import numbers

from .pair import CLIENT, SERVER, Network, Pair
from .peers import PSK, device_certificate, server_certificate

POINTS = {group: [ephemeral_key(group).point for _ in range(4)] for group in GROUPS}


class Forger:
    """Makes forged datagrams, for the server or for the client of a handshake with a suite."""

    def __init__(self, seed: int, suite: CipherSuite, target: bytes, *, cid_bytes: int = 0) -> None:
        self._random = random.Random(seed)
        self._suite = suite
        self._cid_bytes = cid_bytes
        self._bodies = self._to_server() if target == SERVER else self._to_client()

    def datagram(self) -> bytes:
        """One more: mostly of one record, sometimes of several."""
        return b"".join(self._record() for _ in range(self._random.choice((1, 1, 1, 2, 4))))

    def _record(self) -> bytes:
        chosen = self._random.random()
        if chosen < 0.6:
            return self._plain(ContentType.HANDSHAKE, self._handshake())
        if chosen < 0.7:
            return self._plain(ContentType.CHANGE_CIPHER_SPEC, b"\1")
        if chosen < 0.8:
            return self._plain(ContentType.ALERT, bytes((self._random.choice(list(AlertLevel)), self._number(0, 115))))
        if chosen < 0.95:
            return self._protected()
        return self._plain(ContentType.APPLICATION_DATA, self._bytes(40))

    def _plain(self, content_type: int, content: bytes) -> bytes:
        number = self._random.choice((self._number(0, 12), self._number(0, 12), (1 << 48) - 1))
        return record_header(content_type, 0, number, len(content)) + content

    def _protected(self) -> bytes:
        content_type = self._random.choice((ContentType.HANDSHAKE, ContentType.ALERT, ContentType.APPLICATION_DATA))
        sealed = self._bytes(self._random.choice((24, 40, 48)))
        if self._cid_bytes and self._random.random() < 0.5:
            header = record_header(ContentType.TLS12_CID, 1, self._number(0, 5), len(sealed))
            return header[:11] + self._bytes(self._cid_bytes) + header[11:] + sealed
        return record_header(content_type, 1, self._number(0, 5), len(sealed)) + sealed

    def _handshake(self) -> bytes:
        message_type = self._random.choice(list(self._bodies))
        make = self._random.choice((self._bodies[message_type], self._bodies[message_type], self._noise))
        body = make()
        sequence = 0 if message_type == HandshakeType.HELLO_VERIFY_REQUEST else self._number(0, 7)
        message = HandshakeMessage(message_type, sequence, body)
        if self._random.random() < 0.3:
            start = self._number(0, len(body))
            return message.fragment(start, self._number(0, len(body) - start))
        return message.encode()

    # -- bodies ----------------------------------------------------------------------------------

    def _to_server(self) -> dict[int, Callable[[], bytes]]:
        return {
            HandshakeType.CLIENT_HELLO: self._client_hello,
            HandshakeType.CERTIFICATE: self._certificate,
            HandshakeType.CLIENT_KEY_EXCHANGE: self._client_key_exchange,
            HandshakeType.CERTIFICATE_VERIFY: lambda: CertificateVerify(self._signature()).encode(),
            HandshakeType.FINISHED: lambda: self._bytes(12),
            99: self._noise,
        }

    def _to_client(self) -> dict[int, Callable[[], bytes]]:
        return {
            HandshakeType.HELLO_REQUEST: lambda: b"",
            HandshakeType.HELLO_VERIFY_REQUEST: lambda: HelloVerifyRequest(self._bytes(self._number(1, 32))).encode(),
            HandshakeType.SERVER_HELLO: self._server_hello,
            HandshakeType.CERTIFICATE: self._certificate,
            HandshakeType.SERVER_KEY_EXCHANGE: self._server_key_exchange,
            HandshakeType.CERTIFICATE_REQUEST: lambda: CertificateRequest((64,), SCHEMES).encode(),
            HandshakeType.SERVER_HELLO_DONE: lambda: b"",
            HandshakeType.NEW_SESSION_TICKET: lambda: NewSessionTicket(3600, self._bytes(50)).encode(),
            HandshakeType.FINISHED: lambda: self._bytes(12),
        }

    def _client_hello(self) -> bytes:
        return ClientHello(
            random=self._bytes(32),
            session_id=self._bytes(self._random.choice((0, 32))),
            cookie=self._bytes(self._random.choice((0, 16, 20))),
            cipher_suites=tuple(SUITES),
            compression_methods=b"\0",
            extensions={
                ExtensionType.EXTENDED_MASTER_SECRET: b"",
                ExtensionType.SUPPORTED_GROUPS: numbers(2, 2, GROUPS),
            },
        ).encode()

    def _server_hello(self) -> bytes:
        return ServerHello(
            random=self._bytes(32),
            session_id=b"",
            cipher_suite=self._suite.number,
            extensions={ExtensionType.EXTENDED_MASTER_SECRET: b""},
        ).encode()

    def _certificate(self) -> bytes:
        chains = ((), (self._bytes(300),), device_certificate().chain(), server_certificate().chain())
        return Certificate(self._random.choice(chains)).encode()

    def _client_key_exchange(self) -> bytes:
        exchange = self._suite.key_exchange
        identity = self._random.choice((PSK.identity, self._bytes(8))) if exchange.is_psk else None
        return ClientKeyExchange(identity, self._point(NamedGroup.X25519) if exchange.is_ecdhe else None).encode()

    def _server_key_exchange(self) -> bytes:
        exchange = self._suite.key_exchange
        group = self._random.choice(GROUPS)
        return ServerKeyExchange(
            b"" if exchange.is_psk else None,
            EcdhParameters(group, self._point(group)) if exchange.is_ecdhe else None,
            None if exchange.is_psk else self._signature(),
        ).encode()

    def _point(self, group: int) -> bytes:
        return self._random.choice(POINTS[NamedGroup(group)])

    def _signature(self) -> Signature:
        return Signature(self._random.choice(SCHEMES), self._bytes(71))

    def _noise(self) -> bytes:
        return self._bytes(self._number(0, 200))

    def _bytes(self, length: int) -> bytes:
        return self._random.randbytes(length)

    def _number(self, lowest: int, highest: int) -> int:
        return self._random.randint(lowest, highest)


class UnderAttack(Pair):
    """A client and a server, and someone who sends in the name of one to the other."""

    def __init__(self, client: Config, server: Config, network: Network, forger: Forger, target: bytes) -> None:
        super().__init__(client, server, network)
        self._forger = forger
        self._target = target

    def attack(self, times: int, within_s: float) -> None:
        """Have so many forged datagrams arrive, at times of which any is as likely as any other."""
        moments = random.Random(self.network.seed + 1)
        for _ in range(times):
            self._number += 1
            arrival_s = self.now_s + moments.random() * within_s
            heapq.heappush(self._flying, (arrival_s, self._number, self._forger.datagram(), self._target))

    @property
    def peers_agree(self) -> bool:
        """Whether client and server have an association with each other, and data gets through."""
        servers = [one for one in self.server.associations() if one.address == CLIENT]
        if not self.client.associations() or not servers:
            return False
        self.network = Network()
        self.run(60.0)
        before = [len(data) for data in self.received()]
        self.client.send(self.client.associations()[-1], b"up")
        self.server.send(servers[-1], b"down")
        self.run(60.0)
        to_client, to_server = self.received()
        return to_client[before[0] :] == [b"down"] and to_server[before[1] :] == [b"up"]
