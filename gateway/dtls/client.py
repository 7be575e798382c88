"""The client's side of a handshake (RFC 5246 §7.4, RFC 6347 §4.2)."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.dtls.alerts import AlertError, DecodeError
from gateway.dtls.codes import (
    DTLS_1_2,
    NULL_COMPRESSION,
    UNCOMPRESSED_POINT,
    AlertDescription,
    CertificateType,
    ContentType,
    ExtensionType,
    HandshakeType,
)
from gateway.dtls.config import Config, Identity
from gateway.dtls.flight import RecordWriter
from gateway.dtls.fragments import Fragment, HandshakeMessage
from gateway.dtls.handshake import Handshake
from gateway.dtls.handshake_states import Event, Signal, State
from gateway.dtls.keyexchange import EphemeralKey, PublicKey, common_scheme, ephemeral_key, psk_premaster, sign, verify
from gateway.dtls.messages import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    ClientKeyExchange,
    HelloVerifyRequest,
    NewSessionTicket,
    RawPublicKey,
    ServerHello,
    ServerKeyExchange,
)
from gateway.dtls.suites import CipherSuite, KeyExchange
from gateway.dtls.tickets import Session
from gateway.dtls.wire import Reader, numbers, vector

COOKIE_TRIES = 3
"""How often a hello is sent with a cookie before another is believed."""

_FRAGMENT_LENGTHS = {512: 1, 1024: 2, 2048: 3, 4096: 4}


@dataclass(frozen=True, slots=True)
class Resumption:
    """What a client keeps of a session in order to resume it."""

    session: Session
    session_id: bytes = b""
    ticket: bytes = field(default=b"", repr=False)


class ClientHandshake(Handshake):
    """Our handshake with one server."""

    is_client = True

    def __init__(
        self, config: Config, writer: RecordWriter, *, own_cid: bytes, resumption: Resumption | None = None
    ) -> None:
        """Begin; the first flight is ready to be sent."""
        super().__init__(config, writer, next_receive=0, next_send=0)
        self._offered_cid = own_cid
        self._resumption = resumption
        self.resumption: Resumption | None = None
        """How to resume this session, once it is complete."""
        self.client_random = secrets.token_bytes(32)
        self._server_key: PublicKey | None = None
        self._server_certificate_type = CertificateType.X509
        self._client_certificate_type = CertificateType.X509
        self._request: CertificateRequest | None = None
        self._shared: bytes | None = None
        self._ephemeral: EphemeralKey | None = None
        self._session_id = b""
        self._expects_ticket = False
        self._ticket = b""
        self._other_cookie = b""
        self._hello = self._make_hello()
        self._begin_flight()
        self._send(HandshakeType.CLIENT_HELLO, self._hello.encode())
        self._await(State.START)

    @property
    def transitions(self) -> Mapping[tuple[State, Event], Callable[..., None]]:
        return _TRANSITIONS

    # -- flights 1 and 3 -------------------------------------------------------------------------

    def _usable_suites(self) -> tuple[CipherSuite, ...]:
        return tuple(
            suite
            for suite in self.config.suites
            if (self.config.client_psk is not None if suite.key_exchange.is_psk else self.config.trust is not None)
        )

    def _make_hello(self) -> ClientHello:
        config = self.config
        suites = self._usable_suites()
        extensions = {
            int(ExtensionType.RENEGOTIATION_INFO): b"\0",
            int(ExtensionType.EXTENDED_MASTER_SECRET): b"",
            int(ExtensionType.SESSION_TICKET): self._resumption.ticket if self._resumption else b"",
        }
        if any(suite.key_exchange.is_ecdhe for suite in suites):
            extensions[ExtensionType.SUPPORTED_GROUPS] = numbers(2, 2, config.groups)
            extensions[ExtensionType.EC_POINT_FORMATS] = bytes((1, UNCOMPRESSED_POINT))
        if not all(suite.key_exchange.is_psk for suite in suites):
            extensions[ExtensionType.SIGNATURE_ALGORITHMS] = numbers(2, 2, config.schemes)
            if config.server_name is not None and not _is_address(config.server_name):
                name = b"\0" + vector(2, config.server_name.encode("idna"))
                extensions[ExtensionType.SERVER_NAME] = vector(2, name)
            if config.raw_public_keys:
                types = numbers(1, 1, (CertificateType.RAW_PUBLIC_KEY, CertificateType.X509))
                extensions[ExtensionType.SERVER_CERTIFICATE_TYPE] = types
                extensions[ExtensionType.CLIENT_CERTIFICATE_TYPE] = types
        if config.connection_id_bytes is not None:
            extensions[ExtensionType.CONNECTION_ID] = vector(1, self._offered_cid)
        if config.max_fragment_length:
            extensions[ExtensionType.MAX_FRAGMENT_LENGTH] = bytes((_FRAGMENT_LENGTHS[config.max_fragment_length],))
        return ClientHello(
            random=self.client_random,
            # With a ticket, an ID of ours lets us see that it was taken (RFC 5077 §3.4).
            session_id=self._offered_session_id(),
            cookie=b"",
            cipher_suites=tuple(suite.number for suite in suites),
            compression_methods=bytes((NULL_COMPRESSION,)),
            extensions=extensions,
        )

    def _offered_session_id(self) -> bytes:
        if self._resumption is None:
            return b""
        return self._resumption.session_id or secrets.token_bytes(32)

    def _on_hello_verify_request(self, body: bytes, now_s: float, wall_s: float) -> None:
        """Say hello again, with the cookie; neither hello nor request before this is in the transcript."""
        if not self._hello.cookie:
            cookie = HelloVerifyRequest.parse(body).cookie
            if not cookie:
                raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the cookie is empty")
            self._begin_flight()
            self._use_cookie(cookie)
        self._await_answer()

    def _use_cookie(self, cookie: bytes) -> None:
        self._hello = replace(self._hello, cookie=cookie)
        self.flight.items.clear()
        self.flight.add(ContentType.HANDSHAKE, 0, self._second_hello())

    def _second_hello(self) -> HandshakeMessage:
        return HandshakeMessage(HandshakeType.CLIENT_HELLO, 1, self._hello.encode())

    def _await_answer(self) -> None:
        self._transcript[:] = self._second_hello().encode()
        self._next_send = 2
        self.state = State.SERVER_HELLO

    def _receive_fragments(self, fragments: list[Fragment], record_sequence: int, now_s: float, wall_s: float) -> None:
        for fragment in fragments:
            if fragment.type == HandshakeType.HELLO_VERIFY_REQUEST and self._hello.cookie:
                # With another cookie, one of them is forged, or it answers a hello that is, in our name. The one that
                # comes first after our hello most likely answers it.
                with suppress(DecodeError):
                    self._other_cookie = self._other_cookie or HelloVerifyRequest.parse(fragment.data).cookie
            else:
                super()._receive_fragments([fragment], record_sequence, now_s, wall_s)

    def prepare_repetition(self) -> None:
        """Where nothing has come of our cookie, try the other that came meanwhile."""
        super().prepare_repetition()
        cookie, self._other_cookie = self._other_cookie, b""
        if self.flight.transmissions < COOKIE_TRIES or cookie in (b"", self._hello.cookie):
            return  # not sooner: which of two hellos the server answered can't be told
        if self._checkpoint.state is State.START:
            self._rewind()
            self._reassembler.next_message()  # the first HelloVerifyRequest
            self._reassembler.forget_ahead()  # what may have answered the other hello
            self._use_cookie(cookie)
            self._await_answer()

    # -- flight 4 --------------------------------------------------------------------------------

    def _on_server_hello(self, body: bytes, now_s: float, wall_s: float) -> None:
        hello = ServerHello.parse(body)
        if hello.version != DTLS_1_2:
            raise AlertError(AlertDescription.PROTOCOL_VERSION, f"the server's version is {hello.version:#06x}")
        suite = next((suite for suite in self._usable_suites() if suite.number == hello.cipher_suite), None)
        if suite is None or hello.compression_method != NULL_COMPRESSION:
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the server chose what was not offered")
        for extension in hello.extensions:
            if extension not in self._hello.extensions:
                raise AlertError(AlertDescription.UNSUPPORTED_EXTENSION, f"extension {extension} was not offered")
        self.suite, self.server_random, self._session_id = suite, hello.random, hello.session_id
        self.resumed, self.principal, self._request = False, None, None
        self._take_extensions(hello.extensions)
        resumption = self._resumption
        if resumption is not None and hello.session_id and hello.session_id == self._hello.session_id:
            self._go_on_with(resumption)
        elif suite.key_exchange is KeyExchange.PSK:
            self.state = State.OPTIONAL_SERVER_KEY_EXCHANGE
        elif suite.key_exchange is KeyExchange.ECDHE_PSK:
            self.state = State.SERVER_KEY_EXCHANGE
        else:
            self.state = State.SERVER_CERTIFICATE

    def _take_extensions(self, answers: Mapping[int, bytes]) -> None:
        if answers.get(ExtensionType.RENEGOTIATION_INFO, b"\0") != b"\0":
            raise AlertError(AlertDescription.HANDSHAKE_FAILURE, "renegotiation is refused")
        self.extended = ExtensionType.EXTENDED_MASTER_SECRET in answers
        if self.config.require_extended_master_secret and not self.extended:
            raise AlertError(AlertDescription.HANDSHAKE_FAILURE, "the server has no extended_master_secret")
        self.own_cid = self.peer_cid = None
        if ExtensionType.CONNECTION_ID in answers:
            reader = Reader(answers[ExtensionType.CONNECTION_ID])
            self.peer_cid, self.own_cid = reader.vector(1), self._offered_cid
            reader.finish()
        if ExtensionType.MAX_FRAGMENT_LENGTH in answers:
            if answers[ExtensionType.MAX_FRAGMENT_LENGTH] != self._hello.extensions[ExtensionType.MAX_FRAGMENT_LENGTH]:
                raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "another max_fragment_length than asked for")
            self.writer.most_content = self.config.max_fragment_length
        self._expects_ticket = ExtensionType.SESSION_TICKET in answers
        self._server_certificate_type = self._certificate_type(answers, ExtensionType.SERVER_CERTIFICATE_TYPE)
        self._client_certificate_type = self._certificate_type(answers, ExtensionType.CLIENT_CERTIFICATE_TYPE)

    def _certificate_type(self, answers: Mapping[int, bytes], extension: ExtensionType) -> CertificateType:
        value = answers.get(extension, bytes((CertificateType.X509,)))
        if len(value) != 1 or value[0] not in (CertificateType.X509, CertificateType.RAW_PUBLIC_KEY):
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the server chose an unknown certificate type")
        return CertificateType(value[0])

    def _go_on_with(self, resumption: Resumption) -> None:
        """The abbreviated handshake (RFC 5246 §7.3): the server's Finished comes first."""
        session = resumption.session
        if session.suite is not self.suite or session.extended_master_secret != self.extended:
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the resumed session was another one")
        self.resumed, self.session, self.principal = True, session, session.principal
        self._use_master(session.master_secret)
        self.state = State.SESSION_TICKET if self._expects_ticket else State.CHANGE_CIPHER_SPEC

    def _on_certificate(self, body: bytes, now_s: float, wall_s: float) -> None:
        trust = self.config.trust
        assert trust is not None
        if self._server_certificate_type is CertificateType.RAW_PUBLIC_KEY:
            key = RawPublicKey.parse(body).key
            self.principal, self._server_key = trust.raw_key_principal(key), trust.raw_public_key(key)
        else:
            chain = Certificate.parse(body).chain
            if not chain:
                raise AlertError(AlertDescription.HANDSHAKE_FAILURE, "the server sent no certificate")
            self.principal = trust.server_principal(chain, wall_s, server_name=self.config.server_name)
            self._server_key = trust.public_key(chain)
        self.state = State.SERVER_KEY_EXCHANGE

    def _on_server_key_exchange(self, body: bytes, now_s: float, wall_s: float) -> None:
        assert self.suite is not None
        exchange = self.suite.key_exchange
        message = ServerKeyExchange.parse(body, psk=exchange.is_psk, ecdhe=exchange.is_ecdhe)
        if message.ecdh is not None:
            if message.ecdh.group not in self.config.groups:
                raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the server chose a group that was not offered")
            self._ephemeral = ephemeral_key(message.ecdh.group)
            self._shared = self._ephemeral.exchange(message.ecdh.point)
        if message.signature is not None:
            assert self._server_key is not None
            assert message.ecdh is not None
            if message.signature.scheme not in self.config.schemes:
                raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "a signature scheme that was not offered")
            verify(
                self._server_key,
                message.signature,
                self.client_random + self.server_random + message.ecdh.encode(),
            )
        self.state = State.SERVER_HELLO_DONE if exchange.is_psk else State.CERTIFICATE_REQUEST

    def _on_certificate_request(self, body: bytes, now_s: float, wall_s: float) -> None:
        self._request = CertificateRequest.parse(body)
        self.state = State.SERVER_HELLO_DONE

    def _on_hello_done(self, body: bytes, now_s: float, wall_s: float) -> None:
        if body:
            raise AlertError(AlertDescription.DECODE_ERROR, "ServerHelloDone is not empty")
        self._begin_flight()
        identity = self._send_certificate() if self._request is not None else None
        self._send_key_exchange()
        if identity is not None:
            assert self._request is not None
            scheme = common_scheme(identity.key, self._request.signature_schemes)
            assert scheme is not None
            signature = sign(identity.key, scheme, bytes(self._transcript))
            self._send(HandshakeType.CERTIFICATE_VERIFY, CertificateVerify(signature).encode())
        self._send_change_cipher_spec_and_finished()
        self._await(State.SESSION_TICKET if self._expects_ticket else State.CHANGE_CIPHER_SPEC)

    # -- flight 5 --------------------------------------------------------------------------------

    def _send_certificate(self) -> Identity | None:
        """Send the first certificate of ours that the server can verify, or an empty one."""
        assert self._request is not None
        identity = next(
            (one for one in self.config.identities if common_scheme(one.key, self._request.signature_schemes)), None
        )
        if self._client_certificate_type is CertificateType.RAW_PUBLIC_KEY:
            body = RawPublicKey(identity.public_key_info if identity else b"").encode()
        else:
            body = Certificate(identity.chain if identity else ()).encode()
        self._send(HandshakeType.CERTIFICATE, body)
        return identity

    def _send_key_exchange(self) -> None:
        assert self.suite is not None
        exchange, credential = self.suite.key_exchange, self.config.client_psk
        point = self._ephemeral.point if exchange.is_ecdhe and self._ephemeral else None
        identity = credential.identity if exchange.is_psk and credential else None
        self._send(HandshakeType.CLIENT_KEY_EXCHANGE, ClientKeyExchange(identity, point).encode())
        if exchange is KeyExchange.PSK or exchange is KeyExchange.ECDHE_PSK:
            assert credential is not None
            self._derive_master(psk_premaster(credential.key, self._shared if exchange.is_ecdhe else None))
        else:
            assert self._shared is not None
            self._derive_master(self._shared)

    # -- flight 6 --------------------------------------------------------------------------------

    def _on_ticket(self, body: bytes, now_s: float, wall_s: float) -> None:
        self._ticket = NewSessionTicket.parse(body).ticket
        self.state = State.CHANGE_CIPHER_SPEC

    def _on_change_cipher_spec(self, body: bytes, now_s: float, wall_s: float) -> None:
        self.state = State.FINISHED

    def _on_finished(self, body: bytes, now_s: float, wall_s: float) -> None:
        self._check_finished(body)
        self.state = State.DONE

    def _after(self, event: Event, wall_s: float) -> None:
        if self.state is not State.DONE:
            return
        if self.resumed:
            self._begin_flight()
            self._send_change_cipher_spec_and_finished()
            assert self.session is not None
        else:
            self.session = self._session(wall_s)
            self.flight.deadline_s = None
        ticket = self._ticket or (self._resumption.ticket if self.resumed and self._resumption else b"")
        self.resumption = Resumption(self.session, b"" if ticket else self._session_id, ticket)


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


_TRANSITIONS: Final[Mapping[tuple[State, Event], Callable[..., None]]] = {
    (State.START, HandshakeType.HELLO_VERIFY_REQUEST): ClientHandshake._on_hello_verify_request,
    (State.START, HandshakeType.SERVER_HELLO): ClientHandshake._on_server_hello,
    (State.SERVER_HELLO, HandshakeType.SERVER_HELLO): ClientHandshake._on_server_hello,
    (State.SERVER_CERTIFICATE, HandshakeType.CERTIFICATE): ClientHandshake._on_certificate,
    (State.SERVER_KEY_EXCHANGE, HandshakeType.SERVER_KEY_EXCHANGE): ClientHandshake._on_server_key_exchange,
    # Plain PSK needs no ServerKeyExchange (RFC 4279 §2).
    (State.OPTIONAL_SERVER_KEY_EXCHANGE, HandshakeType.SERVER_KEY_EXCHANGE): ClientHandshake._on_server_key_exchange,
    (State.OPTIONAL_SERVER_KEY_EXCHANGE, HandshakeType.SERVER_HELLO_DONE): ClientHandshake._on_hello_done,
    (State.CERTIFICATE_REQUEST, HandshakeType.CERTIFICATE_REQUEST): ClientHandshake._on_certificate_request,
    (State.CERTIFICATE_REQUEST, HandshakeType.SERVER_HELLO_DONE): ClientHandshake._on_hello_done,
    (State.SERVER_HELLO_DONE, HandshakeType.SERVER_HELLO_DONE): ClientHandshake._on_hello_done,
    (State.SESSION_TICKET, HandshakeType.NEW_SESSION_TICKET): ClientHandshake._on_ticket,
    (State.CHANGE_CIPHER_SPEC, Signal.CHANGE_CIPHER_SPEC): ClientHandshake._on_change_cipher_spec,
    (State.FINISHED, HandshakeType.FINISHED): ClientHandshake._on_finished,
}
