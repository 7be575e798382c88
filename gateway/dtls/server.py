"""The server's side of a handshake (RFC 5246 §7.4, RFC 6347 §4.2), from a ClientHello whose cookie held."""

import secrets
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from gateway.dtls.alerts import AlertError, DecodeError
from gateway.dtls.codes import (
    DTLS_1_2,
    EMPTY_RENEGOTIATION_INFO_SCSV,
    NULL_COMPRESSION,
    UNCOMPRESSED_POINT,
    AlertDescription,
    CertificateType,
    ClientCertificateType,
    ExtensionType,
    HandshakeType,
    NamedGroup,
)
from gateway.dtls.config import ClientAuth, Config, Identity
from gateway.dtls.flight import RecordWriter
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.handshake import Handshake
from gateway.dtls.handshake_states import Event, Signal, State
from gateway.dtls.keyexchange import (
    EphemeralKey,
    common_scheme,
    ephemeral_key,
    psk_premaster,
    psk_principal,
    sign,
    verify,
)
from gateway.dtls.messages import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    ClientKeyExchange,
    EcdhParameters,
    NewSessionTicket,
    RawPublicKey,
    ServerHello,
    ServerKeyExchange,
    Signature,
)
from gateway.dtls.offers import check_point_formats, offered_numbers
from gateway.dtls.sessions import SessionCache
from gateway.dtls.suites import CipherSuite, KeyExchange
from gateway.dtls.tickets import TICKET_LIFETIME_S, Session
from gateway.dtls.wire import Reader, vector

_UNKNOWN_PSK_BYTES = 16

MAX_TICKET_BYTES = 512
"""Larger tickets, of principals with many names, are not handed out: the hello that brings one back must fit a
datagram, for in fragments it gets no answer."""


class ServerHandshake(Handshake):
    """One client's handshake."""

    is_client = False

    def __init__(
        self,
        config: Config,
        writer: RecordWriter,
        message: HandshakeMessage,
        hello: ClientHello,
        *,
        own_cid: bytes,
        sessions: SessionCache,
        now_s: float,
        wall_s: float,
    ) -> None:
        """Begin with a ClientHello. Raises AlertError where nothing in it suits us."""
        super().__init__(config, writer, next_receive=message.sequence + 1, next_send=message.sequence)
        self._sessions = sessions
        self._hello = hello
        self._transcript += message.encode()
        self.client_random = hello.random
        self.server_random = secrets.token_bytes(32)
        self._extensions: dict[int, bytes] = {}
        self._identity: Identity | None = None
        self._ephemeral: EphemeralKey | None = None
        self._client_chain: tuple[bytes, ...] = ()
        self._client_signature: Signature | None = None
        self._signed_bytes = 0
        self._client_certificate_type = CertificateType.X509
        self._server_certificate_type = CertificateType.X509
        self._sends_ticket = False
        self._session_id = b""
        self._begin(own_cid, wall_s)

    @property
    def transitions(self) -> Mapping[tuple[State, Event], Callable[..., None]]:
        return _TRANSITIONS

    # -- flight 4 --------------------------------------------------------------------------------

    def _begin(self, own_cid: bytes, wall_s: float) -> None:
        hello = self._hello
        if hello.version > DTLS_1_2 or hello.version >> 8 != 0xFE:  # versions count downwards
            raise AlertError(AlertDescription.PROTOCOL_VERSION, f"the client's version is {hello.version:#06x}")
        if NULL_COMPRESSION not in hello.compression_methods:
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "the client insists on compression")
        self._negotiate_extensions(own_cid)
        self._begin_flight()
        session = self._resumable(wall_s)
        if session is not None:
            self._resume(session, wall_s)
            return
        self.suite = self._choose_suite()
        self._session_id = secrets.token_bytes(32) if self.config.session_ids and not self._sends_ticket else b""
        self._send_hello()
        self._send_key_material()
        asks = self._asks_for_certificate()
        if asks:
            self._send_certificate_request()
        self._send(HandshakeType.SERVER_HELLO_DONE, b"")
        self._await(State.CLIENT_CERTIFICATE if asks else State.CLIENT_KEY_EXCHANGE)

    def _negotiate_extensions(self, own_cid: bytes) -> None:
        offered, answers, config = self._hello.extensions, self._extensions, self.config
        renegotiation = offered.get(ExtensionType.RENEGOTIATION_INFO)
        if renegotiation not in (None, b"\0"):
            raise AlertError(AlertDescription.HANDSHAKE_FAILURE, "renegotiation is refused")
        if renegotiation is not None or EMPTY_RENEGOTIATION_INFO_SCSV in self._hello.cipher_suites:
            answers[ExtensionType.RENEGOTIATION_INFO] = b"\0"
        self.extended = ExtensionType.EXTENDED_MASTER_SECRET in offered
        if offered.get(ExtensionType.EXTENDED_MASTER_SECRET):
            raise DecodeError("extended_master_secret is not empty")
        if self.extended:
            answers[ExtensionType.EXTENDED_MASTER_SECRET] = b""
        elif config.require_extended_master_secret:
            raise AlertError(AlertDescription.HANDSHAKE_FAILURE, "the client does not offer extended_master_secret")
        if ExtensionType.CONNECTION_ID in offered and config.connection_id_bytes is not None:
            reader = Reader(offered[ExtensionType.CONNECTION_ID])
            self.peer_cid, self.own_cid = reader.vector(1), own_cid
            reader.finish()
            answers[ExtensionType.CONNECTION_ID] = vector(1, own_cid)
        if ExtensionType.MAX_FRAGMENT_LENGTH in offered:
            self._limit_fragments(offered[ExtensionType.MAX_FRAGMENT_LENGTH])
        self._sends_ticket = config.tickets is not None and ExtensionType.SESSION_TICKET in offered
        check_point_formats(offered)

    def _limit_fragments(self, value: bytes) -> None:
        if value not in (b"\1", b"\2", b"\3", b"\4"):
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "max_fragment_length is none of 1 to 4")
        self.writer.most_content = min(self.writer.most_content, 1 << (8 + value[0]))
        self._extensions[ExtensionType.MAX_FRAGMENT_LENGTH] = value

    def _choose_suite(self) -> CipherSuite:
        """The first of ours that the client offers and that can be served."""
        groups = offered_numbers(self._hello.extensions, ExtensionType.SUPPORTED_GROUPS)
        # Without the extension the choice is ours (RFC 8422 §4); everybody has P-256.
        common = [group for group in self.config.groups if group in (groups or (NamedGroup.SECP256R1,))]
        schemes = offered_numbers(self._hello.extensions, ExtensionType.SIGNATURE_ALGORITHMS) or ()
        for suite in self.config.suites:
            if suite.number not in self._hello.cipher_suites:
                continue
            if suite.key_exchange.is_ecdhe and not common:
                continue
            if suite.key_exchange.is_psk:
                if not self.config.psk_enabled:
                    continue
            elif not self._choose_identity(suite, schemes, groups):
                continue
            if suite.key_exchange.is_ecdhe:
                self._group = common[0]
                if ExtensionType.EC_POINT_FORMATS in self._hello.extensions:
                    self._extensions[ExtensionType.EC_POINT_FORMATS] = bytes((1, UNCOMPRESSED_POINT))
            return suite
        raise AlertError(
            AlertDescription.HANDSHAKE_FAILURE, "no cipher suite, group and signature scheme is common to both"
        )

    def _choose_identity(self, suite: CipherSuite, schemes: tuple[int, ...], groups: tuple[int, ...] | None) -> bool:
        allowed = [scheme for scheme in self.config.schemes if scheme in schemes]
        wants_rsa = suite.key_exchange is KeyExchange.ECDHE_RSA
        for identity in self.config.identities:
            scheme = common_scheme(identity.key, allowed)
            if scheme is None or wants_rsa != isinstance(identity.key, RSAPrivateKey):
                continue
            # The client's groups are the curves of certificates that it can verify, too (RFC 8422 §5.1).
            if groups is None or identity.curve in (None, *groups):
                self._identity, self._scheme = identity, scheme
                return True
        return False

    def _choose_certificate_types(self) -> None:
        """RFC 7250 §4.2: the first type of the client's preference that we can serve; X.509 where it says nothing."""
        for extension, is_server in (
            (ExtensionType.SERVER_CERTIFICATE_TYPE, True),
            (ExtensionType.CLIENT_CERTIFICATE_TYPE, False),
        ):
            data = self._hello.extensions.get(extension)
            if data is None or (not is_server and not self._asks_for_certificate()):
                continue
            reader = Reader(data)
            wanted = reader.numbers(1, 1)
            reader.finish()
            served = [int(CertificateType.X509)]
            if self.config.raw_public_keys:
                served.append(int(CertificateType.RAW_PUBLIC_KEY))
            chosen = next((number for number in wanted if number in served), None)
            if chosen is None:
                raise AlertError(AlertDescription.UNSUPPORTED_CERTIFICATE, "no certificate type is common to both")
            self._extensions[extension] = bytes((chosen,))
            if is_server:
                self._server_certificate_type = CertificateType(chosen)
            else:
                self._client_certificate_type = CertificateType(chosen)

    def _send_hello(self) -> None:
        assert self.suite is not None
        if not self.suite.key_exchange.is_psk and not self.resumed:
            self._choose_certificate_types()
        if self._sends_ticket:
            self._extensions[ExtensionType.SESSION_TICKET] = b""
        hello = ServerHello(
            random=self.server_random,
            session_id=self._session_id,
            cipher_suite=self.suite.number,
            extensions=self._extensions,
        )
        self._send(HandshakeType.SERVER_HELLO, hello.encode())

    def _send_key_material(self) -> None:
        """Certificate and ServerKeyExchange, as the suite has them."""
        assert self.suite is not None
        exchange = self.suite.key_exchange
        ecdh = None
        if exchange.is_ecdhe:
            self._ephemeral = ephemeral_key(self._group)
            ecdh = EcdhParameters(self._group, self._ephemeral.point)
        if exchange.is_psk:
            if ecdh is not None:  # plain PSK has nothing to say: no hint (RFC 4279 §2)
                self._send(HandshakeType.SERVER_KEY_EXCHANGE, ServerKeyExchange(b"", ecdh).encode())
            return
        assert self._identity is not None
        assert ecdh is not None
        if self._server_certificate_type is CertificateType.RAW_PUBLIC_KEY:
            body = RawPublicKey(self._identity.public_key_info).encode()
        else:
            body = Certificate(self._identity.chain).encode()
        self._send(HandshakeType.CERTIFICATE, body)
        signed = self.client_random + self.server_random + ecdh.encode()
        signature = sign(self._identity.key, self._scheme, signed)
        self._send(HandshakeType.SERVER_KEY_EXCHANGE, ServerKeyExchange(None, ecdh, signature).encode())

    def _asks_for_certificate(self) -> bool:
        assert self.suite is not None
        return not self.suite.key_exchange.is_psk and self.config.client_auth is not ClientAuth.NONE

    def _send_certificate_request(self) -> None:
        request = CertificateRequest(
            (ClientCertificateType.ECDSA_SIGN, ClientCertificateType.RSA_SIGN), self.config.schemes
        )
        self._send(HandshakeType.CERTIFICATE_REQUEST, request.encode())

    # -- flight 5 --------------------------------------------------------------------------------

    def _on_certificate(self, body: bytes, now_s: float, wall_s: float) -> None:
        if self._client_certificate_type is CertificateType.RAW_PUBLIC_KEY:
            key = RawPublicKey.parse(body).key
            self._client_chain = (key,) if key else ()
        else:
            self._client_chain = Certificate.parse(body).chain
        self.state = State.CERTIFIED_KEY_EXCHANGE if self._client_chain else State.CLIENT_KEY_EXCHANGE

    def _on_key_exchange(self, body: bytes, now_s: float, wall_s: float) -> None:
        assert self.suite is not None
        exchange, certified = self.suite.key_exchange, self.state is State.CERTIFIED_KEY_EXCHANGE
        message = ClientKeyExchange.parse(body, psk=exchange.is_psk, ecdhe=exchange.is_ecdhe)
        shared = None
        if exchange.is_ecdhe:
            assert self._ephemeral is not None
            assert message.ecdh_point is not None
            shared = self._ephemeral.exchange(message.ecdh_point)
        if exchange.is_psk:
            assert message.psk_identity is not None
            key = self._psk(message.psk_identity)
            self._derive_master(psk_premaster(key, shared))
            self.principal = psk_principal(message.psk_identity, key)
        else:
            assert shared is not None
            self._derive_master(shared)
        self.state = State.CERTIFICATE_VERIFY if certified else State.CHANGE_CIPHER_SPEC

    def _psk(self, identity: bytes) -> bytes:
        """The identity's key; an unknown one goes on with a random key and fails as a wrong key does (RFC 4279 §2)."""
        return self.config.psk_key_of(identity) or secrets.token_bytes(_UNKNOWN_PSK_BYTES)

    def _on_certificate_verify(self, body: bytes, now_s: float, wall_s: float) -> None:
        self._client_signature = CertificateVerify.parse(body).signature
        self._signed_bytes = len(self._transcript)
        self.state = State.CHANGE_CIPHER_SPEC

    def _on_change_cipher_spec(self, body: bytes, now_s: float, wall_s: float) -> None:
        self.state = State.FINISHED

    def _on_finished(self, body: bytes, now_s: float, wall_s: float) -> None:
        self._check_finished(body)
        if not self.resumed and self._asks_for_certificate():
            self._judge_client(wall_s)
        if self.credential_in_doubt and self.principal is not None and not self.config.still_trusted(self.principal):
            raise AlertError(AlertDescription.ACCESS_DENIED, "its credential was withdrawn during the handshake")
        self.state = State.DONE

    def _judge_client(self, wall_s: float) -> None:
        """Raises AlertError where the client's certificate is not trusted, or its key did not sign this handshake.

        Only now, when Finished has shown that certificate and signature are not someone else's forgeries: signatures
        are what costs most, and the verdict is final.
        """
        trust, chain, signature = self.config.trust, self._client_chain, self._client_signature
        if not chain:
            if self.config.client_auth is ClientAuth.NEEDED:
                raise AlertError(AlertDescription.HANDSHAKE_FAILURE, "the client has no certificate")
            return
        if trust is None:
            raise AlertError(AlertDescription.UNKNOWN_CA, "no authority is trusted for client certificates")
        assert signature is not None
        if signature.scheme not in self.config.schemes:
            raise AlertError(AlertDescription.ILLEGAL_PARAMETER, "a signature scheme that was not offered")
        if self._client_certificate_type is CertificateType.RAW_PUBLIC_KEY:
            principal, key = trust.raw_key_principal(chain[0]), trust.raw_public_key(chain[0])
        else:
            principal, key = trust.client_principal(chain, wall_s), trust.public_key(chain)
        verify(key, signature, bytes(self._transcript[: self._signed_bytes]))
        self.principal = principal

    # -- flight 6, and resumption ----------------------------------------------------------------

    def _after(self, event: Event, wall_s: float) -> None:
        if self.state is not State.DONE:
            return
        if self.resumed:
            self.flight.deadline_s = None
            return
        self.session = self._session(wall_s)
        if self._session_id:
            self._sessions.put(self._session_id, self.session)
        self._begin_flight()
        if self._sends_ticket:
            assert self.config.tickets is not None
            ticket = self.config.tickets.seal(self.session, wall_s)
            if len(ticket) > MAX_TICKET_BYTES:
                ticket = b""  # none after all (RFC 5077 §3.3)
            self._send(HandshakeType.NEW_SESSION_TICKET, NewSessionTicket(TICKET_LIFETIME_S, ticket).encode())
        self._send_change_cipher_spec_and_finished()

    def _resumable(self, wall_s: float) -> Session | None:
        """The session that the client wants to go on with, if it is one of ours and still welcome."""
        ticket = self._hello.extensions.get(ExtensionType.SESSION_TICKET, b"")
        session = None
        if ticket and self.config.tickets is not None:
            session = self.config.tickets.open(ticket, wall_s)
        elif self._hello.session_id:
            session = self._sessions.get(self._hello.session_id, wall_s)
        if session is None or not self.config.may_resume(session.tag):
            return None
        if session.extended_master_secret != self.extended:
            # RFC 7627 §5.3: one that had it must never go on without; the other way a full handshake follows.
            if session.extended_master_secret:
                raise AlertError(AlertDescription.HANDSHAKE_FAILURE, "resumption without extended_master_secret")
            return None
        suite, principal = session.suite, session.principal
        if suite not in self.config.suites or suite.number not in self._hello.cipher_suites:
            return None
        if suite.key_exchange.is_psk and not self.config.psk_enabled:
            return None
        if principal is None:
            return session if self.config.client_auth is not ClientAuth.NEEDED else None
        return session if self.config.still_trusted(principal) else None

    def _resume(self, session: Session, wall_s: float) -> None:
        """The abbreviated handshake (RFC 5246 §7.3): our Finished comes first."""
        self.resumed = True
        self.session, self.suite, self.principal = session, session.suite, session.principal
        self._session_id = self._hello.session_id
        self._sends_ticket = False
        self._send_hello()
        self._use_master(session.master_secret)
        self._send_change_cipher_spec_and_finished()
        self._await(State.CHANGE_CIPHER_SPEC)


_TRANSITIONS: Final[Mapping[tuple[State, Event], Callable[..., None]]] = {
    (State.CLIENT_CERTIFICATE, HandshakeType.CERTIFICATE): ServerHandshake._on_certificate,
    (State.CLIENT_KEY_EXCHANGE, HandshakeType.CLIENT_KEY_EXCHANGE): ServerHandshake._on_key_exchange,
    (State.CERTIFIED_KEY_EXCHANGE, HandshakeType.CLIENT_KEY_EXCHANGE): ServerHandshake._on_key_exchange,
    (State.CERTIFICATE_VERIFY, HandshakeType.CERTIFICATE_VERIFY): ServerHandshake._on_certificate_verify,
    (State.CHANGE_CIPHER_SPEC, Signal.CHANGE_CIPHER_SPEC): ServerHandshake._on_change_cipher_spec,
    (State.FINISHED, HandshakeType.FINISHED): ServerHandshake._on_finished,
}
