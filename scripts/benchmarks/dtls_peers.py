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

SERVER = b"server"
REQUEST = bytes(range(100))
"""What a record to the server holds: as long as the tutorial's JSON with its CoAP header."""
RESPONSE = bytes(range(20))

MTU = 1024
CONNECTION_ID_BYTES = 8

_MOST_TURNS = 8
"""A handshake with cookie takes three."""


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
        """New ones, valid for a day."""
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
        .not_valid_after(now + timedelta(days=1))
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

    def receive(self, address: bytes, datagrams: Sequence[bytes]) -> Sequence[bytes]:
        """Take the datagrams of a peer's flight; gives the answers."""

    def answer_requests(self, address: bytes, records: Sequence[bytes]) -> list[bytes]:
        """Decrypt each record of an established peer and answer `RESPONSE`; gives the answers."""


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

    def receive(self, address: bytes, datagrams: Sequence[bytes]) -> Sequence[bytes]:
        endpoint = self.endpoint
        now_s, wall_s = time.monotonic(), time.time()
        for datagram in datagrams:
            endpoint.receive_datagram(datagram, address, now_s, wall_s)
        while endpoint.next_event() is not None:
            pass
        endpoint.next_timeout()
        return [datagram for datagram, _ in endpoint.datagrams_to_send()]

    def answer_requests(self, address: bytes, records: Sequence[bytes]) -> list[bytes]:
        endpoint = self.endpoint
        now_s, wall_s = time.monotonic(), time.time()
        answers = []
        for record in records:
            endpoint.receive_datagram(record, address, now_s, wall_s)
            event = endpoint.next_event()
            if isinstance(event, DataReceived) and len(event.data) == len(REQUEST):
                endpoint.send(event.association, RESPONSE)
            for answer, _ in endpoint.datagrams_to_send():
                answers.append(answer)
        return answers


class Client:
    """Clients of a server, one after the other, each with an address of its own. They are the gateway's engine too."""

    def __init__(self, case: Case, credentials: Credentials) -> None:
        self._config = Config(
            suites=(BY_NAME[case.suite],),
            groups=(NamedGroup.SECP256R1,),
            identities=(credentials.device,) if case.client_certificate else (),
            trust=TrustPolicy([credentials.authority]),
            client_psk=credentials.psk,
            connection_id_bytes=CONNECTION_ID_BYTES if case.connection_id else None,
            mtu=MTU,
        )
        self._case = case
        self._number = 0
        self.address = b""
        """The latest client's."""
        self._endpoint = Endpoint(self._config)

    def hello(self) -> bytes:
        """A new client's first ClientHello."""
        self._number += 1
        self.address = b"client %d" % self._number
        self._endpoint = Endpoint(self._config)
        self._endpoint.connect(SERVER, time.monotonic())
        ((datagram, _),) = self._endpoint.datagrams_to_send()
        return datagram

    def connect(self, server: Server, resumption: Resumption | None = None) -> tuple[Resumption | None, float]:
        """Make a new client's handshake. Gives how to resume it, and the CPU time in seconds that the server took."""
        self._number += 1
        self.address = b"client %d" % self._number
        self._endpoint = Endpoint(self._config)
        self._endpoint.connect(SERVER, time.monotonic(), resumption=resumption)
        cpu_s = 0.0
        for _ in range(_MOST_TURNS):
            flight = [datagram for datagram, _ in self._endpoint.datagrams_to_send()]
            if not flight:
                break
            begun_s = time.process_time()
            answers = server.receive(self.address, flight)
            cpu_s += time.process_time() - begun_s
            for answer in answers:
                self._endpoint.receive_datagram(answer, SERVER, time.monotonic(), time.time())
        event = self._endpoint.next_event()
        if not isinstance(event, HandshakeCompleted):
            raise BenchError(f"the handshake failed: {event}")
        if event.association.suite.name != self._case.suite or event.association.resumed != (resumption is not None):
            raise BenchError(f"the handshake agreed on something else: {event.association}")
        return event.resumption, cpu_s

    def requests(self, count: int) -> list[bytes]:
        """Records of the latest client."""
        (association,) = self._endpoint.associations()
        for _ in range(count):
            self._endpoint.send(association, REQUEST)
        return [datagram for datagram, _ in self._endpoint.datagrams_to_send()]

    def check_answers(self, answers: Sequence[bytes], count: int) -> None:
        """Raises BenchError unless each of `count` requests of the latest client was answered as it should be."""
        for answer in answers:
            self._endpoint.receive_datagram(answer, SERVER, time.monotonic(), time.time())
        received = 0
        while (event := self._endpoint.next_event()) is not None:
            received += isinstance(event, DataReceived) and event.data == RESPONSE
        if received != count:
            raise BenchError(f"{received} right answers to {count} requests")

    def check_cookie(self, answers: Sequence[bytes]) -> None:
        """Raises BenchError unless the server asked the latest client for a cookie."""
        for answer in answers:
            self._endpoint.receive_datagram(answer, SERVER, time.monotonic(), time.time())
        if not self._endpoint.datagrams_to_send():
            raise BenchError("the server did not ask for a cookie")
