"""Both sides of the DTLS that is measured: who they are, what they agree on, and a client to drive a server with."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benchmarks.servers import BenchError
from gateway.dtls.client import Resumption
from gateway.dtls.codes import NamedGroup
from gateway.dtls.config import ClientAuth, Config, Identity, PskCredential
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import DataReceived, HandshakeCompleted
from gateway.dtls.suites import BY_NAME
from gateway.dtls.tickets import TicketKeys
from gateway.dtls.trust import TrustPolicy
from gateway.listeners.batch_socket import BATCH, Datagram

SERVER = b"server"
REQUEST = bytes(range(100))
"""What a record to the server holds: as long as the tutorial's JSON with its CoAP header."""
RESPONSE = bytes(range(20))

MTU = 1024
CONNECTION_ID_BYTES = 8

AT_A_TIME = 50
"""So many handshakes are under way at a time, and their flights come to the server interleaved."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a handshake agrees on."""

    suite: str
    client_certificate: bool = False
    connection_id: bool = False


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server, a device and their CA, all with P-256 keys; and a pre-shared key."""

    authority: x509.Certificate
    server: Identity
    device: Identity
    psk: PskCredential = field(default=PskCredential(b"device-1", bytes(range(16))))

    @classmethod
    def make(cls) -> "Credentials":
        """New ones, valid for so long that the gateway has nothing to say about it."""
        key = ec.generate_private_key(ec.SECP256R1())
        authority = _certificate("Benchmark CA", key, "Benchmark CA", key, None)
        server = _identity("gateway", key, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]))
        device = _identity("device-1", key, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]))
        return cls(authority, server, device)


def _identity(name: str, ca_key: ec.EllipticCurvePrivateKey, purpose: x509.ExtendedKeyUsage) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(name, key, "Benchmark CA", ca_key, purpose)
    return Identity((certificate.public_bytes(Encoding.DER),), key)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    purpose: x509.ExtendedKeyUsage | None,
) -> x509.Certificate:
    """A certificate with what RFC 7925 §4.4 asks of one; a CA's where it has no purpose."""
    now = datetime.now(UTC)
    is_ca = purpose is None
    usage = x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if purpose is not None:
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


class Server(Protocol):
    """A DTLS server for many peers, whose work is measured."""

    def receive(self, datagrams: Sequence[Datagram]) -> list[Datagram]:
        """Take datagrams of handshakes; gives the answers."""

    def answer_requests(self, datagrams: Sequence[Datagram]) -> list[Datagram]:
        """Decrypt a record of an established peer in each, and answer `RESPONSE`."""


class GatewayServer:
    """The gateway's engine."""

    def __init__(self, case: Case, credentials: Credentials) -> None:
        self.endpoint = Endpoint(
            Config(
                identities=(credentials.server,),
                trust=TrustPolicy([credentials.authority]),
                client_auth=ClientAuth.NEEDED if case.client_certificate else ClientAuth.NONE,
                psk_enabled=True,
                psk_key_of={credentials.psk.identity: credentials.psk.key}.get,
                tickets=TicketKeys(),
                connection_id_bytes=CONNECTION_ID_BYTES if case.connection_id else None,
                mtu=MTU,
            )
        )

    def receive(self, datagrams: Sequence[Datagram]) -> list[Datagram]:
        return self._exchange(datagrams, None)

    def answer_requests(self, datagrams: Sequence[Datagram]) -> list[Datagram]:
        return self._exchange(datagrams, RESPONSE)

    def _exchange(self, datagrams: Sequence[Datagram], response: bytes | None) -> list[Datagram]:
        """What the owner of an endpoint does, round by round."""
        endpoint = self.endpoint
        answers: list[Datagram] = []
        for start in range(0, len(datagrams), BATCH):
            batch = datagrams[start : start + BATCH]
            received = endpoint.receive_datagrams(batch, time.monotonic(), time.time())
            while endpoint.next_event() is not None:
                pass
            if response is not None:
                for association, _ in received:
                    endpoint.send(association, response)
            answers += endpoint.datagrams_to_send()
            endpoint.next_timeout()
        return answers


def client_config(
    case: Case, credentials: Credentials, *, connection_id_bytes: int | None, psk: PskCredential | None = None
) -> Config:
    """What a client goes by."""
    return Config(
        suites=(BY_NAME[case.suite],),
        groups=(NamedGroup.SECP256R1,),
        identities=(credentials.device,) if case.client_certificate else (),
        trust=TrustPolicy([credentials.authority]),
        client_psk=psk or credentials.psk,
        connection_id_bytes=connection_id_bytes,
        mtu=MTU,
    )


class Clients:
    """Clients of a server, each with an address of its own. They are the gateway's engine too."""

    def __init__(self, case: Case, credentials: Credentials) -> None:
        own_bytes = CONNECTION_ID_BYTES if case.connection_id else None
        self._config = client_config(case, credentials, connection_id_bytes=own_bytes)
        self._case = case
        self._count = 0
        self._clients: dict[bytes, Endpoint] = {}
        """The latest ones, by address."""

    def begin(self, count: int, resumption: Resumption | None = None) -> None:
        """Make new clients, which begin a handshake."""
        self._clients = {}
        for _ in range(count):
            self._count += 1
            client = self._clients[b"client %d" % self._count] = Endpoint(self._config)
            client.connect(SERVER, time.monotonic(), resumption=resumption)

    def datagrams(self) -> list[Datagram]:
        """What the latest clients want to send."""
        return [
            (datagram, address)
            for address, client in self._clients.items()
            for datagram, _ in client.datagrams_to_send()
        ]

    def take(self, datagrams: Sequence[Datagram]) -> None:
        """Give the latest clients datagrams of the server."""
        now_s, wall_s = time.monotonic(), time.time()
        for datagram, address in datagrams:
            self._clients[address].receive_datagram(datagram, SERVER, now_s, wall_s)

    def connect(self, server: Server, count: int, resumption: Resumption | None = None) -> tuple[Resumption, float]:
        """Make handshakes of new clients. Gives how to resume a session, and the CPU time in seconds of the server."""
        cpu_s = 0.0
        for made in range(0, count, AT_A_TIME):
            self.begin(min(AT_A_TIME, count - made), resumption)
            while datagrams := self.datagrams():
                begun_s = time.process_time()
                answers = server.receive(datagrams)
                cpu_s += time.process_time() - begun_s
                self.take(answers)
            completed = [self._check_completed(client, resumption) for client in self._clients.values()]
        return completed[-1], cpu_s

    def _check_completed(self, client: Endpoint, resumption: Resumption | None) -> Resumption:
        event = client.next_event()
        if not isinstance(event, HandshakeCompleted) or event.resumption is None:
            raise BenchError(f"the handshake failed: {event}")
        if event.association.suite.name != self._case.suite or event.association.resumed != (resumption is not None):
            raise BenchError(f"the handshake agreed on something else: {event.association}")
        return event.resumption

    def requests(self, each: int) -> list[Datagram]:
        """So many records of each of the latest clients."""
        for client in self._clients.values():
            (association,) = client.associations()
            for _ in range(each):
                client.send(association, REQUEST)
        return self.datagrams()

    def check_answers(self, answers: Sequence[Datagram], each: int) -> None:
        """Raises BenchError unless each of the latest clients has so many right answers."""
        self.take(answers)
        for client in self._clients.values():
            received = 0
            while (event := client.next_event()) is not None:
                received += isinstance(event, DataReceived) and event.data == RESPONSE
            if received != each:
                raise BenchError(f"{received} right answers to {each} requests")
