"""A hostile server."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from gateway.dtls.client import Resumption
from gateway.dtls.codes import (
    ExtensionType,
    HandshakeType,
    NamedGroup,
    SignatureScheme,
)
from gateway.dtls.config import Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.keyexchange import (
    GROUPS,
    SCHEMES,
    EphemeralKey,
    PrivateKey,
    common_scheme,
    ephemeral_key,
    psk_premaster,
    sign,
)
from gateway.dtls.messages import (
    Certificate,
    CertificateRequest,
    ClientHello,
    ClientKeyExchange,
    EcdhParameters,
    HelloVerifyRequest,
    ServerHello,
    ServerKeyExchange,
    Signature,
)
from gateway.dtls.suites import CipherSuite
from gateway.dtls.wire import Reader, vector

from .adversary import Adversary
from .certificates import Issued
from .peers import CCM_8, PSK, client_config, server_certificate


class HostileServer(Adversary):
    """A server; the side under test is a client."""

    is_client = False

    def __init__(
        self,
        client: Config | None = None,
        suite: CipherSuite = CCM_8,
        *,
        certificate: Issued | None = None,
        cid: bytes | None = None,
    ) -> None:
        super().__init__(Endpoint(client or client_config(suite)), b"server", cid=cid)
        self.suite = suite
        self.certificate = certificate or server_certificate()
        self.ephemeral: EphemeralKey | None = None
        self.request: CertificateRequest | None = None

    def meet(self, *, with_cookie: bool = True, resumption: Resumption | None = None) -> Self:
        """Have the client say hello, and hand it a cookie."""
        self.endpoint.connect(self.address, self.now_s, resumption=resumption)
        self.listen()
        self.hello = ClientHello.parse(self.body(HandshakeType.CLIENT_HELLO))
        if with_cookie:
            self.say(HandshakeType.HELLO_VERIFY_REQUEST, HelloVerifyRequest(b"cookie").encode(), counts=False)
            self.begin_flight()
            self.hello = ClientHello.parse(self.body(HandshakeType.CLIENT_HELLO))
            assert self.hello.cookie == b"cookie"
        self.client_random = self.hello.random
        self.transcript[:] = self.heard[-1].encode()
        self.greeting = ServerHello(
            random=self.server_random,
            session_id=b"",
            cipher_suite=self.suite.number,
            extensions={ExtensionType.EXTENDED_MASTER_SECRET: b"", ExtensionType.RENEGOTIATION_INFO: b"\0"},
        )
        if self.offered_cid is not None:
            self.greeting.extensions[ExtensionType.CONNECTION_ID] = vector(1, self.offered_cid)
        return self

    def greet(self, extensions: Mapping[int, bytes | None] | None = None, **fields: Any) -> None:
        """Send a ServerHello, with changes. An extension that is None is left out."""
        changed = self.greeting.extensions | dict(extensions or {})
        kept = {number: data for number, data in changed.items() if data is not None}
        self.greeting = replace(self.greeting, extensions=kept, **fields)
        self.extended = ExtensionType.EXTENDED_MASTER_SECRET in kept
        self.say(HandshakeType.SERVER_HELLO, self.greeting.encode())

    def certify(self, chain: tuple[bytes, ...] | None = None) -> None:
        """Send a Certificate: ours, or this chain."""
        self.say(HandshakeType.CERTIFICATE, Certificate(self.certificate.chain() if chain is None else chain).encode())

    def offer_key(
        self,
        *,
        group: int = NamedGroup.SECP256R1,
        point: bytes | None = None,
        signed: bytes | None = None,
        scheme: int | None = None,
        key: PrivateKey | None = None,
    ) -> None:
        """Send a ServerKeyExchange. Only the group's number changes with `group` where it is none that we know."""
        self.ephemeral = ephemeral_key(group if group in GROUPS else NamedGroup.SECP256R1)
        ecdh = EcdhParameters(group, self.ephemeral.point if point is None else point)
        if self.suite.key_exchange.is_psk:
            self.say(HandshakeType.SERVER_KEY_EXCHANGE, ServerKeyExchange(b"", ecdh).encode())
            return
        key = key or self.certificate.key
        usual = common_scheme(key, SCHEMES)
        assert usual is not None
        signature = sign(
            key, usual, self.client_random + self.server_random + ecdh.encode() if signed is None else signed
        )
        if scheme is not None:
            signature = Signature(scheme, signature.value)
        self.say(HandshakeType.SERVER_KEY_EXCHANGE, ServerKeyExchange(None, ecdh, signature).encode())

    def ask_for_certificate(self, schemes: tuple[int, ...] = tuple(SignatureScheme)) -> None:
        """Send a CertificateRequest."""
        self.say(HandshakeType.CERTIFICATE_REQUEST, CertificateRequest((64, 1), schemes).encode())

    def done(self, body: bytes = b"") -> None:
        """Send ServerHelloDone."""
        self.say(HandshakeType.SERVER_HELLO_DONE, body)

    def present(self) -> Self:
        """The whole flight, as it should be."""
        self.greet()
        if not self.suite.key_exchange.is_psk:
            self.certify()
        if self.suite.key_exchange.is_ecdhe:
            self.offer_key()
        self.done()
        return self

    def agree(self, *, psk: bytes = PSK.key) -> Self:
        """Take the client's flight, and agree on keys."""
        exchange = self.suite.key_exchange
        message = ClientKeyExchange.parse(
            self.body(HandshakeType.CLIENT_KEY_EXCHANGE), psk=exchange.is_psk, ecdhe=exchange.is_ecdhe
        )
        shared = None
        if exchange.is_ecdhe:
            assert self.ephemeral is not None
            assert message.ecdh_point is not None
            shared = self.ephemeral.exchange(message.ecdh_point)
        first = max(at for at, one in enumerate(self.heard) if one.type == HandshakeType.CLIENT_HELLO) + 1
        until_keys = [one.encode() for one in self.heard[first:]]
        last = max(at for at, one in enumerate(self.heard[first:]) if one.type == HandshakeType.CLIENT_KEY_EXCHANGE)
        self.transcript += b"".join(until_keys[: last + 1])
        self.derive(psk_premaster(psk, shared) if exchange.is_psk else shared or b"")
        self.transcript += b"".join(until_keys[last + 1 :])
        self.take_finished()
        self.begin_flight()
        return self

    def _peer_cid(self) -> bytes:
        data = self.hello.extensions.get(ExtensionType.CONNECTION_ID) if self.offered_cid is not None else None
        return b"" if data is None else Reader(data).vector(1)


def met(suite: CipherSuite = CCM_8, **changes: Any) -> HostileServer:
    """A server that a client has said hello to, cookie and all."""
    return HostileServer(client_config(suite, **changes), suite).meet()
