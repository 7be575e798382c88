"""One DTLS session with one server, on a socket of its own: the client's side of `gateway send`."""

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from cryptography import x509

from gateway.credentials.explanations import Failure, Speaker, Stake, describe, explain
from gateway.dtls.association import Association
from gateway.dtls.client import Resumption
from gateway.dtls.config import Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import AssociationClosed, DataReceived, Event, HandshakeCompleted, HandshakeFailed
from gateway.dtls.trust_certificates import decode
from gateway.dtls.witness import RecordingTrust, Stage, Witness
from gateway.errors import UnavailableError

ALERT_PATIENCE_S = 1.0
"""How long after an alert in the clear the handshake may still go on. Anyone could have sent that alert; but where
nothing better comes, it is believed, for a person waits."""

_FINAL_ERRORS = frozenset((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH))

_Address: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]

_SERVER = b"server"
"""The one address that the endpoint knows: the socket is connected."""


class HandshakeError(UnavailableError):
    """A handshake failed: what happened, its likely cause, and the cure as hint."""

    def __init__(self, server: str, failure: Failure, witness: Witness, chain: tuple[bytes, ...]) -> None:
        cause, cure = explain(failure)
        super().__init__(
            f"the DTLS handshake with {server} failed: {describe(failure)}\nlikely cause: {cause}", hint=cure
        )
        self.failure = failure
        self.witness = witness
        self.chain = chain
        """What the server had presented by then: DER, its own certificate first."""


class DtlsClient(asyncio.DatagramProtocol):
    """A session with a server; made by `connect`."""

    def __init__(self, server: str, config: Config) -> None:
        """`server` is how messages call it."""
        loop = asyncio.get_running_loop()
        self._server = server
        self._trust = None if config.trust is None else RecordingTrust(config.trust)
        self._config = replace(config, trust=self._trust)
        self._endpoint = Endpoint(self._config)
        self.witness = Witness()
        self.association: Association | None = None
        self.resumption: Resumption | None = None
        """How to resume this session another time."""
        self.handshake_s = 0.0
        """How long the handshake took."""
        self.on_data: Callable[[bytes], None] = lambda data: None
        """Called with each record's content."""
        self.on_end: Callable[[str], None] = lambda reason: None
        """Called with the reason should the session end before `close`."""
        self.ended_by_server = False
        """Whether the server has ended the session; what the network says does not end it."""
        self._transport: asyncio.DatagramTransport | None = None
        self._begun_s = 0.0
        self._completed: asyncio.Future[None] = loop.create_future()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._doubt: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(
        cls, host: str, port: int, config: Config, *, timeout_s: float, resumption: Resumption | None = None
    ) -> "DtlsClient":
        """Resolve a host's name, and make a session with it, within `timeout_s` altogether.

        Where nobody listens at one of its addresses, the next one is tried. Raises HandshakeError, and
        UnavailableError for a name that can't be resolved.
        """
        server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        addresses = await _addresses(host, port, deadline_s, server)
        for last, (family, address) in ((one == addresses[-1], one) for one in addresses):
            client = cls(server, config)
            try:
                await client._begin(family, address, deadline_s, timeout_s, resumption)
                return client
            except HandshakeError as error:
                await client.close()
                if last or error.failure.speaker is not Speaker.SYSTEM:
                    raise
            except BaseException:
                await client.close()
                raise
        raise AssertionError("a name has at least one address")

    def send(self, data: bytes) -> None:
        """Send data as one record, of at most `most_bytes`; where the session is over, it is lost."""
        if self.association is not None:
            self._endpoint.send(self.association, data)
            self._act()

    @property
    def most_bytes(self) -> int:
        """The longest data that the server takes in one record."""
        assert self.association is not None
        return self.association.writer.most_content

    @property
    def presented(self) -> tuple[bytes, ...]:
        """The server's certificates, as DER; empty with a pre-shared key, and in a resumed session."""
        return self._trust.chain if self._trust else ()

    @property
    def server_certificate(self) -> x509.Certificate | None:
        """The first of `presented`."""
        return decode(self.presented[0]).certificate if self.presented else None

    async def close(self) -> None:
        """Tell the server that the session ends, and close the socket.

        It can be resumed all the same: RFC 5246 §7.2.1 asks for close_notify, and takes resumption only from sessions
        that ended with an error.
        """
        for timer in (self._timer, self._doubt):
            if timer is not None:
                timer.cancel()
        if self._transport is None:
            return
        if self.association is not None:
            association, self.association = self.association, None
            self._endpoint.close(association)
            for data, _ in self._endpoint.datagrams_to_send():
                self._transport.sendto(data)
        if not self._completed.cancel() and not self._completed.cancelled():
            self._completed.exception()  # which nobody may have waited for
        self._transport.close()
        await self._lost

    # -- the handshake ---------------------------------------------------------------------------

    async def _begin(
        self,
        family: socket.AddressFamily,
        address: _Address,
        deadline_s: float,
        timeout_s: float,
        resumption: Resumption | None,
    ) -> None:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(address)
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=sock)
        except OSError as error:
            sock.close()
            raise self._failed(Speaker.SYSTEM, None, error.strerror or str(error)) from None
        self._begun_s = time.monotonic()
        self._endpoint.connect(_SERVER, self._begun_s, resumption=resumption)
        try:
            async with asyncio.timeout_at(deadline_s):
                self._act()
                await self._completed
        except TimeoutError:
            raise self._timed_out(f"no end within {timeout_s:g} s") from None

    def _failed(self, speaker: Speaker, alert: int | None, reason: str, *, authentic: bool = True) -> HandshakeError:
        failure = Failure(speaker, alert, reason, self.witness.stage, self._stake, authentic)
        return HandshakeError(self._server, failure, self.witness, self.presented)

    @property
    def _stake(self) -> Stake:
        if self._config.client_psk is not None:
            return Stake.PSK
        if not self.witness.asks_for_certificate:
            return Stake.SERVER_CERTIFICATE
        return Stake.CERTIFICATE if self._config.identities else Stake.MISSING_CERTIFICATE

    def _timed_out(self, reason: str) -> HandshakeError:
        """What is best known of a handshake that came to no end."""
        refusal = self._trust.refusal if self._trust else None
        if refusal is not None:
            return self._failed(Speaker.CLIENT, refusal.description, refusal.reason)
        if self.witness.alert is not None:
            return self._failed(Speaker.SERVER, self.witness.alert, "", authentic=False)
        return self._failed(Speaker.NOBODY, None, reason)

    def _believe(self, stage: Stage) -> None:
        """Believe an alert in the clear, unless the handshake has gone on since."""
        self._doubt = None
        if self.witness.stage > stage:
            self.witness.alert = None
        elif not self._completed.done():
            self._completed.set_exception(self._timed_out(""))

    # -- the socket ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """See asyncio."""
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        self._lost.set_result(None)

    def datagram_received(self, data: bytes, address: object) -> None:
        """See asyncio."""
        if self.association is None:
            self.witness.see(data)
            if self.witness.alert is not None and self._doubt is None:
                loop = asyncio.get_running_loop()
                self._doubt = loop.call_later(ALERT_PATIENCE_S, self._believe, self.witness.stage)
        self._endpoint.receive_datagram(data, _SERVER, time.monotonic(), time.time())
        self._act()

    def error_received(self, error: Exception) -> None:
        """See asyncio: what ICMP says. A port that is closed will not open while we wait."""
        if not isinstance(error, OSError) or error.errno not in _FINAL_ERRORS:
            return
        reason = error.strerror or str(error)
        if not self._completed.done():
            self._completed.set_exception(self._failed(Speaker.SYSTEM, None, reason))
        elif self.association is not None:
            self.on_end(reason)

    def _act(self) -> None:
        """Do what the endpoint wants done: tell its events, send, wake it in time."""
        while (event := self._endpoint.next_event()) is not None:
            self._tell(event)
        if self._transport is None or self._transport.is_closing():
            return
        for data, _ in self._endpoint.datagrams_to_send():
            self._transport.sendto(data)
        if self._timer is not None:
            self._timer.cancel()
        due_s = self._endpoint.next_timeout()
        if due_s is not None:
            wait_s = max(0.0, due_s - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._wake)

    def _wake(self) -> None:
        self._endpoint.handle_timeout(time.monotonic())
        self._act()

    def _tell(self, event: Event) -> None:
        match event:
            case HandshakeCompleted(association, resumption):
                if not self._completed.done():
                    self.association, self.resumption = association, resumption
                    self.handshake_s = time.monotonic() - self._begun_s
                    self._completed.set_result(None)
            case HandshakeFailed():
                if not self._completed.done():
                    self._completed.set_exception(self._failure(event))
            case DataReceived(_, data):
                self.on_data(data)
            case AssociationClosed(association, reason):
                if association is self.association:
                    self.association = None
                    # An endpoint with one association has no reasons of its own to end it.
                    self.ended_by_server = True
                    self.on_end(reason)
            case _:
                pass

    def _failure(self, event: HandshakeFailed) -> HandshakeError:
        if event.alert is None:
            return self._timed_out(event.reason)
        speaker = Speaker.SERVER if event.by_peer else Speaker.CLIENT
        return self._failed(speaker, event.alert, event.reason)


async def _addresses(
    host: str, port: int, deadline_s: float, server: str
) -> list[tuple[socket.AddressFamily, _Address]]:
    try:
        async with asyncio.timeout_at(deadline_s):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "no host name"
        raise UnavailableError(
            f"{server} can't be found: {reason}", hint="check the name, or use an IP address"
        ) from None
    except TimeoutError:
        raise UnavailableError(f"{server} can't be found in time", hint="use an IP address") from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))
