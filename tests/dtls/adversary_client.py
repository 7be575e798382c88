"""A hostile client."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from gateway.dtls.association import Association
from gateway.dtls.codes import (
    UNCOMPRESSED_POINT,
    ExtensionType,
    HandshakeType,
)
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import AssociationClosed
from gateway.dtls.keyexchange import (
    GROUPS,
    SCHEMES,
    PrivateKey,
    common_scheme,
    ephemeral_key,
    psk_premaster,
    sign,
)
from gateway.dtls.messages import (
    Certificate,
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
from gateway.dtls.record import records_of
from gateway.dtls.suites import CipherSuite
from gateway.dtls.wire import Reader, numbers, vector

from .adversary import Adversary
from .certificates import Issued
from .peers import CCM_8, PSK, PSK_CCM_8, device_certificate, server_config

NEEDED = server_config(client_auth=ClientAuth.NEEDED)
"""A server that wants a certificate."""


class HostileClient(Adversary):
    """A client; the side under test is a server."""

    is_client = True

    def __init__(
        self,
        server: Config | Endpoint,
        suite: CipherSuite = CCM_8,
        *,
        certificate: Issued | None = None,
        address: bytes = b"client",
        cid: bytes | None = None,
        now_s: float = 0.0,
    ) -> None:
        endpoint = Endpoint(server) if isinstance(server, Config) else server
        super().__init__(endpoint, address, cid=cid, now_s=now_s)
        self.suite = suite
        self.certificate = certificate
        self.hello = ClientHello(
            random=self.client_random,
            session_id=b"",
            cookie=b"",
            cipher_suites=(suite.number,),
            compression_methods=b"\0",
            extensions={
                ExtensionType.SUPPORTED_GROUPS: numbers(2, 2, GROUPS),
                ExtensionType.EC_POINT_FORMATS: bytes((1, UNCOMPRESSED_POINT)),
                ExtensionType.SIGNATURE_ALGORITHMS: numbers(2, 2, SCHEMES),
                ExtensionType.EXTENDED_MASTER_SECRET: b"",
                ExtensionType.RENEGOTIATION_INFO: b"\0",
            },
        )
        if cid is not None:
            self.hello.extensions[ExtensionType.CONNECTION_ID] = vector(1, cid)

    def change_hello(self, extensions: Mapping[int, bytes | None] | None = None, **fields: Any) -> Self:
        """Say another hello than the usual one. An extension that is None is left out."""
        changed = self.hello.extensions | dict(extensions or {})
        kept = {number: data for number, data in changed.items() if data is not None}
        self.hello = replace(self.hello, extensions=kept, **fields)
        self.client_random = self.hello.random
        return self

    def ask_for_cookie(self) -> bytes:
        """Say hello without a cookie and take the one that we are given."""
        self._restart_listening()
        self.begin_flight()
        body = replace(self.hello, cookie=b"").encode()
        self.say(HandshakeType.CLIENT_HELLO, body, sequence=0, counts=False)
        return HelloVerifyRequest.parse(self.body(HandshakeType.HELLO_VERIFY_REQUEST)).cookie

    def greet(self, *, body: bytes | None = None) -> Self:
        """Say hello, with a cookie, and take the server's flight, if it answers with one. `body` replaces the hello."""
        self.hello = replace(self.hello, cookie=self.ask_for_cookie())
        return self.greet_again(body=body)

    def greet_again(self, *, body: bytes | None = None) -> Self:
        """Say the hello with its cookie."""
        self.transcript.clear()
        self.next_sequence = 1
        self.begin_flight()
        self.say(HandshakeType.CLIENT_HELLO, self.hello.encode() if body is None else body)
        self.begin_flight()
        if self.latest(HandshakeType.SERVER_HELLO) is not None:
            self._take_flight()
        return self

    def _take_flight(self) -> None:
        first = max(at for at, message in enumerate(self.heard) if message.type == HandshakeType.SERVER_HELLO)
        self.transcript += b"".join(message.encode() for message in self.heard[first:])
        self.server_hello = ServerHello.parse(self.heard[first].body)
        self.server_random = self.server_hello.random
        self.extended = ExtensionType.EXTENDED_MASTER_SECRET in self.server_hello.extensions

    def _peer_cid(self) -> bytes:
        data = self.server_hello.extensions.get(ExtensionType.CONNECTION_ID)
        return b"" if data is None else Reader(data).vector(1)

    @property
    def group(self) -> int:
        """The group that the server chose."""
        return self._parameters().group

    def _parameters(self) -> EcdhParameters:
        exchange = self.suite.key_exchange
        body = self.body(HandshakeType.SERVER_KEY_EXCHANGE)
        parameters = ServerKeyExchange.parse(body, psk=exchange.is_psk, ecdhe=True).ecdh
        assert parameters is not None
        return parameters

    def certify(self, chain: tuple[bytes, ...] | None = None) -> None:
        """Send a Certificate: ours, or this chain."""
        if chain is None:
            chain = self.certificate.chain() if self.certificate else ()
        self.say(HandshakeType.CERTIFICATE, Certificate(chain).encode())

    def exchange_keys(
        self, *, identity: bytes = PSK.identity, key: bytes = PSK.key, point: bytes | None = None, tell: bool = True
    ) -> None:
        """Send a ClientKeyExchange, and agree on keys; only the latter where it is not to `tell`."""
        exchange = self.suite.key_exchange
        shared: bytes | None = None
        if exchange.is_ecdhe:
            ours = ephemeral_key(self.group)
            shared = ours.exchange(self._parameters().point)
            point = ours.point if point is None else point
        message = ClientKeyExchange(identity if exchange.is_psk else None, point)
        if tell:
            self.say(HandshakeType.CLIENT_KEY_EXCHANGE, message.encode())
        self.derive(psk_premaster(key, shared) if exchange.is_psk else shared or b"")

    def verify(self, *, signed: bytes | None = None, scheme: int | None = None, key: PrivateKey | None = None) -> None:
        """Send a CertificateVerify over what was said so far, or over something else; claiming a scheme."""
        assert self.certificate is not None
        key = key or self.certificate.key
        usual = common_scheme(key, SCHEMES)
        assert usual is not None
        signature = sign(key, usual, bytes(self.transcript) if signed is None else signed)
        if scheme is not None:
            signature = Signature(scheme, signature.value)
        self.say(HandshakeType.CERTIFICATE_VERIFY, CertificateVerify(signature).encode())

    def answer(self) -> Self:
        """The whole flight, as it should be."""
        if self.latest(HandshakeType.CERTIFICATE_REQUEST) is not None:
            self.certify()
        self.exchange_keys()
        if self.certificate is not None and self.latest(HandshakeType.CERTIFICATE_REQUEST) is not None:
            self.verify()
        self.change_cipher_spec()
        self.finish()
        return self

    def resume(self, earlier: "HostileClient", *, ticket: bytes = b"") -> Self:
        """Begin an abbreviated handshake with an earlier session, by ticket or else by session ID."""
        self.change_hello({ExtensionType.SESSION_TICKET: ticket}, session_id=earlier.server_hello.session_id or b"id")
        self.suite, self.master = earlier.suite, earlier.master
        self.greet()
        return self

    def go_on(self) -> Self:
        """Agree on the keys of an abbreviated handshake, and take the server's Finished into the transcript."""
        self.derive(b"", master=self.master)
        protected = [datagram for datagram in self.datagrams if datagram]
        for record in (
            record for datagram in protected for record in records_of(datagram, len(self.offered_cid or b""))
        ):
            opened = self.read.open(record) if self.read and record.epoch else None
            if opened is not None:
                self.transcript += opened[1]
        return self

    @property
    def ticket(self) -> bytes:
        """The ticket that we were given."""
        return NewSessionTicket.parse(self.body(HandshakeType.NEW_SESSION_TICKET)).ticket


def anonymous(suite: CipherSuite = CCM_8, server: Config | None = None) -> HostileClient:
    """A client without a certificate that said hello and got the server's flight."""
    return HostileClient(server or server_config(), suite).greet()


def certified(server: Config | None = None) -> HostileClient:
    """The same with a certificate, to a server that needs one."""
    return HostileClient(server or NEEDED, certificate=device_certificate()).greet()


def established(server: Endpoint | None = None, **changes: Any) -> HostileClient:
    """A client that got in, as it should."""
    client = HostileClient(server or Endpoint(server_config()), PSK_CCM_8, **changes).greet().answer()
    assert client.established
    return client


def association_of(client: HostileClient) -> Association:
    """The server's association with it."""
    (association,) = (one for one in client.endpoint.associations() if one.address == client.address)
    return association


def still_works(client: HostileClient) -> bool:
    """Whether both directions work, and the address is the old one."""
    association = association_of(client)
    delivered, heard = len(client.delivered), len(client.data)
    client.send_data(b"up")
    client.endpoint.send(association, b"down")
    client.listen()
    return client.delivered[delivered:] == [b"up"] and client.data[heard:] == [b"down"]


def closed(client: HostileClient) -> list[AssociationClosed]:
    """The associations that ended, as far as its server told while it listened."""
    return [event for event in client.events if isinstance(event, AssociationClosed)]
