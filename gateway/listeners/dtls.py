"""The listener for `coaps://`: a socket, the DTLS endpoint behind it, and the CoAP endpoint behind that.

To the CoAP endpoint a route is a session, not an address: messages are deduplicated by it and answered into it,
wherever its peer is by then.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence

from gateway.coap.bridge import MAX_MESSAGE_BYTES
from gateway.coap.discovery import Path
from gateway.coap.endpoint import Resolver, Route
from gateway.coap.requests import Arrived
from gateway.dtls.alerts import DecodeError
from gateway.dtls.association import Association
from gateway.dtls.connection_ids import shard_of_datagram
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import (
    AddressChanged,
    AssociationClosed,
    HandshakeCompleted,
    HandshakeFailed,
    HandshakeHint,
    HostLockedOut,
)
from gateway.listeners.batch_socket import BatchSocket, Datagram, address_text
from gateway.listeners.coap_server import make_coap_server
from gateway.listeners.dtls_policy import DtlsPolicy, Predicate
from gateway.listeners.relay import Relay
from gateway.listeners.session_files import Position, SessionFiles
from gateway.listeners.session_list import SessionList
from gateway.listeners.session_log import SessionLog
from gateway.metrics import (
    CERTIFICATE_EXPIRY,
    DATAGRAMS_DROPPED_TOTAL,
    DTLS_ADDRESS_CHANGES_TOTAL,
    DTLS_DROPPED_TOTAL,
    DTLS_HANDSHAKE_FAILURES_TOTAL,
    DTLS_HANDSHAKES_TOTAL,
    DTLS_HANDSHAKES_UNDER_WAY,
    DTLS_LOCKOUTS_TOTAL,
    DTLS_RELAYED_TOTAL,
    DTLS_SESSIONS,
    DTLS_SESSIONS_ENDED_TOTAL,
    DTLS_SESSIONS_RESTORED_TOTAL,
    Metrics,
)
from gateway.model import Principal, Security
from gateway.settings import Settings

_log = logging.getLogger(__name__)


class DtlsListener:
    """Serves CoAP over DTLS on one socket, for one worker of several."""

    def __init__(
        self,
        sock: socket.socket,
        settings: Settings,
        *,
        policy: DtlsPolicy,
        relay_ends: tuple[socket.socket, Sequence[socket.socket]],
        position: Position,
        resolve: Resolver,
        endpoints: Callable[[], Sequence[Path]],
        metrics: Metrics,
        arrived: Arrived = lambda security, now_s: None,
    ) -> None:
        """Take over a bound socket and the ends of the relay (`relay.Relay`); to be made in a running loop."""
        self._loop = asyncio.get_running_loop()
        self._socket = BatchSocket(sock)
        self._relay = Relay(*relay_ends, route_bytes=self._socket.route_bytes)
        self._policy = policy
        self._position = position
        self._cid_bytes = settings.coap_dtls_connection_id_length
        self._metrics = metrics
        self._log = SessionLog(self._name_of, policy.knows)
        self._dtls = Endpoint(policy.config)
        self._associations: dict[Route, Association] = {}
        self.sessions = SessionList(
            self._associations,
            worker=position.worker,
            name_of=self._name_of,
            idle_timeout_s=policy.config.idle_timeout_s,
        )
        self._ended: list[Route] = []
        """Sessions that are over, and have yet to be forgotten."""
        self._timer: asyncio.TimerHandle | None = None
        self._idle_check_s = settings.tb_coap_x509_dtls_session_report_timeout / 1000
        self._next_idle_check_s = time.monotonic() + self._idle_check_s
        self.endpoint, self._bridge = make_coap_server(
            settings,
            Security.DTLS,
            resolve=resolve,
            endpoints=endpoints,
            metrics=metrics,
            arrived=arrived,
            on_output=self._send_soon,
            peer_of=self._peer_of,
            principal_of=self._principal_of,
            room_of=self._room_of,
        )

    def start(self) -> None:
        """Begin to read."""
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._loop.add_reader(self._relay.fileno(), self._read_relay)

    async def close(self) -> None:
        """Stop reading, send what is ready, close the sockets. Sessions are not ended: see `save_sessions`."""
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_reader(self._relay.fileno())
        if self._timer is not None:
            self._timer.cancel()
        await self._bridge.close()
        self._send()
        self._socket.close()
        self._relay.close()
        self._log.finish()

    # -- datagrams -------------------------------------------------------------------------------

    def _read(self) -> None:
        datagrams = self._socket.receive()
        if self._position.workers > 1:
            datagrams = self._relayed(datagrams)
        self._receive(datagrams)

    def _read_relay(self) -> None:
        self._receive(self._relay.receive())

    def _relayed(self, datagrams: list[Datagram]) -> list[Datagram]:
        """Those that are ours or nobody's; those of other workers' sessions go there."""
        ours = []
        worker, workers, cid_bytes = self._position.worker, self._position.workers, self._cid_bytes
        for datagram in datagrams:
            owner = shard_of_datagram(datagram[0], cid_bytes, workers)
            if owner is None or owner == worker:
                ours.append(datagram)
            else:
                sent = self._relay.send(owner, datagram)
                self._metrics.count(DTLS_RELAYED_TOTAL, "handed over" if sent else "lost")
        return ours

    def _receive(self, datagrams: Sequence[Datagram]) -> None:
        now_s, wall_ns = time.monotonic(), time.time_ns()
        received = self._dtls.receive_datagrams(datagrams, now_s, wall_ns / 1e9)
        self._take_events(now_s)
        if received:
            messages = [(data, association.handle) for association, data in received]
            self.endpoint.receive(messages, received_ms=wall_ns // 1_000_000, now_s=now_s)
        # Not before: what came ahead of a session's end has its principal still.
        for handle in self._ended:
            del self._associations[handle]
        self._ended.clear()
        self._send()

    def _send_soon(self) -> None:
        self._loop.call_soon(self._send)

    def _send(self) -> None:
        """Send what both endpoints have ready, and set the timer of the handshakes."""
        dtls, associations = self._dtls, self._associations
        for data, route in self.endpoint.datagrams_to_send():
            association = associations.get(route)
            if association is None or route in self._ended:
                self._metrics.count(DATAGRAMS_DROPPED_TOTAL, "the session has ended")
            else:
                dtls.send(association, data)
        datagrams = dtls.datagrams_to_send()
        if datagrams:
            self._socket.send(datagrams)
        due_s = dtls.next_timeout()
        if due_s is not None and (self._timer is None or due_s < self._timer.when()):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(due_s, self._handle_timeout)

    def _handle_timeout(self) -> None:
        self._timer = None
        self._dtls.handle_timeout(time.monotonic())
        self._receive(())

    # -- sessions --------------------------------------------------------------------------------

    def _take_events(self, now_s: float) -> None:
        while (event := self._dtls.next_event()) is not None:
            match event:
                case HandshakeCompleted(association):
                    self._associations[association.handle] = association
                    principal = association.principal
                    kind = "resumed" if association.resumed else "full"
                    self._metrics.count(DTLS_HANDSHAKES_TOTAL, principal.kind if principal else "none", kind)
                    self._log.completed(event, now_s)
                case HandshakeFailed(_, alert):
                    self._metrics.count(DTLS_HANDSHAKE_FAILURES_TOTAL, alert.name.lower() if alert else "none")
                    self._log.failed(event, now_s)
                case HandshakeHint():
                    self._log.hinted(event, now_s)
                case HostLockedOut():
                    self._metrics.count(DTLS_LOCKOUTS_TOTAL)
                    self._log.locked_out(event, now_s)
                case AssociationClosed(association, reason):
                    self._ended.append(association.handle)
                    self._metrics.count(DTLS_SESSIONS_ENDED_TOTAL, reason)
                    self._log.closed(event, now_s)
                case AddressChanged():
                    self._metrics.count(DTLS_ADDRESS_CHANGES_TOTAL)
                    self._log.moved(event, now_s)

    def _principal_of(self, route: Route) -> Principal | None:
        association = self._associations.get(route)
        return association.principal if association is not None else None

    def _room_of(self, route: Route) -> int:
        association = self._associations.get(route)
        return MAX_MESSAGE_BYTES if association is None else min(MAX_MESSAGE_BYTES, association.writer.most_content)

    def _peer_of(self, route: Route) -> str:
        association = self._associations.get(route)
        return self._name_of(association.address) if association is not None else ""

    def _name_of(self, address: bytes) -> str:
        return address_text(self._socket.peer(address))

    def look_after_sessions(self) -> None:
        """To be called now and then: sets the figures, and ends what has been silent for too long."""
        now_s = time.monotonic()
        self._log.catch_up(now_s)
        if now_s >= self._next_idle_check_s:
            self._next_idle_check_s = now_s + self._idle_check_s
            self._dtls.end_idle(now_s)
            self._receive(())
        self.measure()

    def measure(self) -> None:
        """Say how the sessions stand, and when certificates expire."""
        self._metrics.set(DTLS_SESSIONS, value=len(self._associations))
        self._metrics.set(DTLS_HANDSHAKES_UNDER_WAY, value=self._dtls.handshakes_under_way)
        for reason, count in self._dtls.dropped.items():
            self._metrics.set(DTLS_DROPPED_TOTAL, reason, value=count)
        for role, expiry_s in self._policy.certificates_expire.items():
            if expiry_s is None:
                self._metrics.unset(CERTIFICATE_EXPIRY, role)
            else:
                self._metrics.set(CERTIFICATE_EXPIRY, role, value=expiry_s)

    def end_session(self, association: Association) -> None:
        """End a session and tell its peer, which can't resume it; with its credentials it may begin another one."""
        self._dtls.close(association, "ended by an operator")
        self._receive(())

    def refuse_resumption(self, sessions: Sequence[tuple[bytes, float]]) -> None:
        """Have these be resumed no more: see `DtlsPolicy.refuse_resumption`."""
        self._policy.refuse_resumption(sessions)
        for tag, _ in sessions:
            self._dtls.give_up_resuming(tag)
        self._receive(())

    def follow_catalogue(self) -> None:
        """Go by what the catalogue says now. Raises GatewayError where it can't be read."""
        self._go_by_policy(self._policy.follow_catalogue())

    @property
    def files_are_usable(self) -> bool:
        """Whether all could be read when they were last followed."""
        return self._policy.files_are_usable

    def follow_files(self) -> None:
        """Go by what certificates and trust store are now."""
        self._go_by_policy(self._policy.follow_files())

    def _go_by_policy(self, endings: Sequence[Predicate]) -> None:
        self._dtls.reconfigure(self._policy.config)
        for has_ended in endings:
            self._dtls.end_where(has_ended, "its credential is no longer trusted")
        if endings:
            self._receive(())

    # -- restarts --------------------------------------------------------------------------------

    def restore_sessions(self, files: SessionFiles) -> None:
        """Go on with the sessions of before the restart, those that are still trusted."""
        try:
            taken = files.take(self._position)
        except OSError as error:
            _log.error("the sessions of before can't be read, devices have to resume them: %s", error.strerror)
            return
        if taken is None:
            return
        saved_ms, state = taken
        now_s = time.monotonic()
        # Their silence went on while nobody listened.
        age_s = max(0.0, time.time() - saved_ms / 1000)
        try:
            restored = self._dtls.import_state(state, files.key(saved_ms), now_s - age_s)
        except DecodeError as error:
            _log.error("the sessions of before can't be used, devices have to begin new ones: %s", error)
            return
        for association in self._dtls.associations():
            self._associations[association.handle] = association
        self._dtls.end_where(self._policy.would_refuse, "its credential is no longer trusted")
        self._dtls.end_idle(now_s)
        self._receive(())
        self._metrics.count(DTLS_SESSIONS_RESTORED_TOTAL, by=restored)
        _log.info("%d sessions go on", len(self._associations))

    def save_sessions(self, files: SessionFiles) -> None:
        """Keep the sessions for after a restart. To be called after `close`: no record may be sent once they are."""
        if not self._associations:
            return
        saved_ms = time.time_ns() // 1_000_000
        try:
            files.save(self._position, self._dtls.export_state(files.key(saved_ms), time.monotonic()), saved_ms)
        except OSError as error:
            _log.error("the sessions can't be kept, devices have to resume them: %s", error.strerror)
