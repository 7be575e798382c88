"""What a client can tell of a handshake that failed: how far it came, what was said in the clear, what was presented.

The engine believes nothing in the clear, and has little to say of a handshake that comes to no end. To a person in
search of the cause it is worth telling all the same.
"""

from collections.abc import Sequence
from contextlib import suppress
from enum import IntEnum

from gateway.dtls.alerts import AlertError, DecodeError
from gateway.dtls.codes import AlertLevel, ContentType, HandshakeType
from gateway.dtls.config import Trust
from gateway.dtls.fragments import Fragment, fragments_in
from gateway.dtls.keyexchange import PublicKey
from gateway.dtls.messages import ServerHello
from gateway.dtls.record import Record, records_of
from gateway.dtls.suites import SUITES, CipherSuite
from gateway.dtls.trust import TrustPolicy
from gateway.dtls.trust_certificates import decode_chain
from gateway.model import Principal


class Stage(IntEnum):
    """How far a server let a client come."""

    NOTHING = 0
    """No answer."""
    COOKIE = 1
    """It asked for its cookie (HelloVerifyRequest)."""
    HELLO = 2
    """It chose a cipher suite (ServerHello)."""
    HELLO_DONE = 3
    """It waits for the client's key exchange (ServerHelloDone)."""


_STAGES = {
    int(HandshakeType.HELLO_VERIFY_REQUEST): Stage.COOKIE,
    int(HandshakeType.SERVER_HELLO): Stage.HELLO,
    int(HandshakeType.SERVER_HELLO_DONE): Stage.HELLO_DONE,
}


class Witness:
    """Looks on at what a server sends in the clear. Nothing of it is authentic."""

    def __init__(self) -> None:
        self.stage = Stage.NOTHING
        self.suite: CipherSuite | None = None
        self.asks_for_certificate = False
        """Whether the server asked for a client certificate."""
        self.alert: int | None = None
        """The number of the last fatal alert; close_notify counts too, for it ends a handshake."""

    def see(self, datagram: bytes) -> None:
        """Look at a datagram of the server's; never raises."""
        for record in records_of(datagram, 0):
            if record.epoch == 0:
                self._see_record(record)

    def _see_record(self, record: Record) -> None:
        content = record.fragment
        if (
            record.type == ContentType.ALERT
            and len(content) == 2
            and (content[0] == AlertLevel.FATAL or not content[1])
        ):
            self.alert = content[1]
        elif record.type == ContentType.HANDSHAKE:
            with suppress(DecodeError):
                for fragment in fragments_in(content):
                    self._see_fragment(fragment)

    def _see_fragment(self, fragment: Fragment) -> None:
        self.stage = max(self.stage, _STAGES.get(fragment.type, Stage.NOTHING))
        if fragment.type == HandshakeType.CERTIFICATE_REQUEST:
            self.asks_for_certificate = True
        elif fragment.type == HandshakeType.SERVER_HELLO and len(fragment.data) == fragment.length:
            self.suite = SUITES.get(ServerHello.parse(fragment.data).cipher_suite)


class RecordingTrust:
    """A `Trust` that keeps what a server presents, and what another one says of it.

    Where there is no other one, every server certificate that can be read is accepted; its holder still has to show
    that it has the key.
    """

    def __init__(self, judge: Trust | None) -> None:
        self._judge = judge
        self.chain: tuple[bytes, ...] = ()
        """DER, the server's own certificate first; empty while it has presented none."""
        self.refusal: AlertError | None = None
        """Why the certificates that were presented last are not trusted."""

    def server_principal(self, chain: Sequence[bytes], now_s: float, *, server_name: str | None) -> Principal:
        """See `Trust`."""
        self.chain, self.refusal = tuple(chain), None
        try:
            if self._judge is None:
                fingerprint = decode_chain(chain)[0].fingerprint
                return Principal("x509", fingerprint, fingerprint=fingerprint)
            return self._judge.server_principal(chain, now_s, server_name=server_name)
        except AlertError as refusal:
            self.refusal = refusal
            raise

    def client_principal(self, chain: Sequence[bytes], now_s: float) -> Principal:
        """See `Trust`."""
        return (self._judge or TrustPolicy()).client_principal(chain, now_s)

    def raw_key_principal(self, key: bytes) -> Principal:
        """See `Trust`."""
        return (self._judge or TrustPolicy()).raw_key_principal(key)

    @staticmethod
    def raw_public_key(key: bytes) -> PublicKey:
        """See `Trust`."""
        return TrustPolicy.raw_public_key(key)

    @staticmethod
    def public_key(chain: Sequence[bytes]) -> PublicKey:
        """See `Trust`."""
        return TrustPolicy.public_key(chain)
