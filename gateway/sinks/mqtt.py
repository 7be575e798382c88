"""A connection to an MQTT server: aiomqtt, and what it does not tell of.

The one file that touches the insides of aiomqtt and of paho beneath it, which is why the versions of both are held
narrowly. What is added to them:

- the reason codes of MQTT 5 in PUBACK, CONNACK and DISCONNECT, and what the server says of its limits in CONNACK;
- messages without a task, an event and a time-out for each: their acknowledgements come to a listener;
- opening without a thread for the connection, so that it can be given up at any time without leaving anything behind;
- a bound to what the server may send.

A connection is opened once and never again: paho would send again what it has not seen acknowledged, in an order of its
own. It has no queue either: how much is under way is its user's to say.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar

import aiomqtt
import paho.mqtt.client as paho
from aiohappyeyeballs import start_connection
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.sinks.mqtt_wire import MOST_INCOMING_BYTES, Wire, shake_hands

CONNECT_TIMEOUT_S: Final = 10.0
"""How long it may take until the server has said CONNACK."""

NEXT_ADDRESS_S: Final = 0.25
"""How long one address of a host may keep silent before the next is tried besides (RFC 8305 §5)."""

_GOODBYE_S: Final = 1.0
"""How long the server may take to receive a DISCONNECT."""

_FAILURE: Final = 0x80
"""Reason codes from here on say that something was not done (MQTT 5 §2.4)."""

_MOST_SAID: Final = 200
"""Most characters of a server's own words that are passed on."""

_PACKET_ID_BYTES: Final = 2
_LENGTH_BYTES: Final = 2
_NO_PROPERTIES_BYTES: Final = 1
_PUBACK_WITHOUT_PROPERTIES_BYTES: Final = 3

T = TypeVar("T")

_log = logging.getLogger(__name__)
_paho_log = logging.getLogger(f"{__name__}.paho")
_paho_log.setLevel(logging.CRITICAL)  # what it would say is told by exceptions


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to connect to, and as whom."""

    host: str
    port: int
    version: Literal["3.1.1", "5"]
    client_id: str
    username: str | None
    password: str | None = field(repr=False)
    keep_alive_s: int
    tls: ssl.SSLContext | None = None


class Refused(Exception):
    """The server answered CONNECT with no. Codes of MQTT 3.1.1 are given as those of MQTT 5 that mean the same."""

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Ended(Exception):
    """The connection is over."""

    def __init__(self, text: str, reason: int | None = None, error: OSError | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.reason = reason
        """Of the server's DISCONNECT, where it said one (MQTT 5)."""
        self.error = error
        """How the socket failed, where it did."""


class Listener(Protocol):
    """Who is told what comes over a connection. Called in the loop; must neither raise nor use the connection."""

    def acknowledged(self, packet_id: int, reason: int, text: str) -> None:
        """A message was answered by a PUBACK; `reason` is an MQTT 5 reason code, a failure from 0x80 on."""

    def received(self, topic: str, payload: bytes) -> None:
        """The server sent a message."""

    def ended(self, end: Ended) -> None:
        """The connection is over. Not called where its user closes it."""


class Connection(aiomqtt.Client):
    """One connection. `open` it, `send`, and `close` it in any case; of aiomqtt's own, `subscribe` may be used."""

    def __init__(self, server: Server, listener: Listener) -> None:
        v5 = server.version == "5"
        super().__init__(
            server.host,
            server.port,
            username=server.username,
            password=server.password,
            logger=_paho_log,
            identifier=server.client_id,
            protocol=aiomqtt.ProtocolVersion.V5 if v5 else aiomqtt.ProtocolVersion.V311,
            clean_session=None if v5 else True,  # v5: a clean start is what aiomqtt asks for the first time
            keepalive=server.keep_alive_s,
            max_queued_outgoing_messages=0,
            max_inflight_messages=0,
            properties=_introduction() if v5 else None,
        )
        self._client._handle_pubackcomp = self._take_puback  # type: ignore[method-assign]
        self._server = server
        self._listener = listener
        self._v5 = v5
        self._wire: Wire | None = None
        self._is_open = False
        self._over: asyncio.Future[Ended] = self._loop.create_future()
        self._stage = ""
        self.receive_maximum = 65_535
        """Most messages of QoS 1 that the server wants to have to acknowledge at a time (MQTT 5 §3.2.2.3.3)."""
        self.maximum_packet_size: int | None = None
        """Largest packet that the server takes, in bytes (MQTT 5 §3.2.2.3.6); None: it has not said."""
        self.maximum_qos = 2
        """Highest QoS that the server takes (MQTT 5 §3.2.2.3.4)."""

    async def open(self) -> None:
        """Connect, and wait for the server's yes. To be called once.

        Raises OSError (ssl.SSLError, socket.gaierror, TimeoutError and others), Refused, Ended.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                wire = self._wire = Wire(await self._dial())
                self._client._create_socket = lambda: wire  # type: ignore[method-assign]
                self._stage = "it takes connections, and does not answer as an MQTT server does"
                self._client_connect()  # nothing in it can block: the socket is there
                await self._connected
        except TimeoutError as error:
            raise TimeoutError(f"{self._stage} ({CONNECT_TIMEOUT_S:g} s)" if not error.args else str(error)) from None
        self._is_open = True

    def send(self, topic: str, payload: bytes) -> int:
        """Send a message of QoS 1; its packet identifier. Raises Ended."""
        info = self._client.publish(topic, payload, 1)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise Ended(paho.error_string(info.rc))
        return info.mid

    async def listen_to(self, topic: str) -> int:
        """Subscribe to a topic with QoS 1; the server's reason code. Raises aiomqtt.MqttError."""
        if self._v5:
            codes = await self.subscribe(topic, options=SubscribeOptions(qos=1, noLocal=True))
        else:
            codes = await self.subscribe(topic, qos=1)
        return max((code.value if isinstance(code, ReasonCode) else code for code in codes), default=_FAILURE)

    @property
    def longest_message(self) -> int | None:
        """What the server takes behind a packet's fixed header, in bytes; None: it has not said."""
        return None if self.maximum_packet_size is None else _remaining_length(self.maximum_packet_size)

    def overhead(self, topic: str) -> int:
        """What a message takes behind the fixed header besides its payload, in bytes (§3.3.2)."""
        return _LENGTH_BYTES + len(topic.encode()) + _PACKET_ID_BYTES + (_NO_PROPERTIES_BYTES if self._v5 else 0)

    async def close(self, *, politely: bool) -> None:
        """End the connection; politely: with a DISCONNECT, which may take a second.

        What is not acknowledged by then may be lost on the way.
        """
        was_open, self._is_open = self._is_open, False
        if politely and was_open and not self._over.done():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await asyncio.shield(self._over)
        self._client._sock_close()
        if self._wire is not None:
            self._wire.close()
        if self._misc_task is not None:
            self._misc_task.cancel()
            await asyncio.wait([self._misc_task])

    async def _dial(self) -> socket.socket:
        server, loop = self._server, self._loop
        self._stage = f"the address of {server.host} could not be found out in time"
        addresses = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
        self._stage = "nobody answers"
        sock = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_S, loop=loop)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.tls is None:
                return sock
            self._stage = "it takes connections, and does not answer as a TLS server does"
            sock = server.tls.wrap_socket(sock, server_hostname=server.host, do_handshake_on_connect=False)
            await shake_hands(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    # What follows replaces methods of aiomqtt. paho calls them in the loop, for nothing runs in a thread here.

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:
        """As aiomqtt's, but that no cancellation gets lost: Python 3.11's `wait_for` can swallow one."""
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await fut
        except TimeoutError:
            raise aiomqtt.MqttError("no answer in time") from None

    def _on_socket_open(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        self._loop.add_reader(sock.fileno(), self._attempt, self._read)
        self._misc_task = self._loop.create_task(self._misc_loop())

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:
        self._loop.add_writer(sock.fileno(), self._attempt, client.loop_write)

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  paho does not say what it raises at a server's nonsense
            _log.debug("the MQTT connection ends", exc_info=True)
            self._client._sock_close()
            self._end(Ended(f"the server sent what is no MQTT: {error}"))

    def _read(self) -> None:
        client, wire = self._client, self._wire
        assert wire is not None
        while True:
            client.loop_read()
            if client.socket() is None or not wire.pending():
                return

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if self._connected.done():
            return
        if reason_code.value >= _FAILURE:
            self._connected.set_exception(Refused(reason_code.value, _words(reason_code, properties)))
            return
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        self.maximum_packet_size = getattr(properties, "MaximumPacketSize", None)
        self.maximum_qos = getattr(properties, "MaximumQoS", self.maximum_qos)
        self._connected.set_result(None)

    def _take_puback(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        """As paho's, which ends the connection at reasons that MQTT has for other packets, though servers say them."""
        packet = self._client._in_packet["packet"]
        packet_id, reason = int.from_bytes(packet[:2], "big"), packet[2] if len(packet) > 2 else 0
        if cmd == "PUBACK" and self._client._out_messages.pop(packet_id, None) is not None:
            self._listener.acknowledged(packet_id, reason, _puback_words(packet) if reason >= _FAILURE else "")
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self._listener.received(message.topic, bytes(message.payload))

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        error = self._wire.error if self._wire is not None else None
        if flags.is_disconnect_packet_from_server:
            self._end(Ended(_words(reason_code, properties), reason_code.value))
        elif error is not None:
            self._end(Ended(error.strerror or str(error), error=error))
        elif reason_code == ReasonCode(PacketTypes.DISCONNECT, "Keep alive timeout"):
            self._end(Ended("the server does not answer any more"))
        elif reason_code == ReasonCode(PacketTypes.DISCONNECT, "Protocol error"):
            self._end(Ended("the server sent what is no MQTT"))
        else:
            self._end(Ended("the server closed the connection"))

    def _end(self, end: Ended) -> None:
        if not self._over.done():
            self._over.set_result(end)
        if not self._connected.done():
            self._connected.set_exception(end)
        elif self._is_open:
            self._is_open = False
            self._listener.ended(end)


def _introduction() -> Properties:
    """What is said of ourselves in CONNECT."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MOST_INCOMING_BYTES
    return properties


def _words(code: ReasonCode, properties: Properties | None) -> str:
    """A reason code in words, with the server's own if it says more."""
    return _worded(code.getName(), code.value, properties)


def _puback_words(packet: bytes | bytearray) -> str:
    """The same of a PUBACK: packet identifier, reason code, properties (§3.4.2)."""
    properties = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]
    if len(packet) > _PUBACK_WITHOUT_PROPERTIES_BYTES:
        properties.unpack(packet[_PUBACK_WITHOUT_PROPERTIES_BYTES:])  # type: ignore[no-untyped-call]
    name = next(iter(ReasonCode.names.get(packet[2], ["a reason that MQTT does not know"])))
    return _worded(name, packet[2], properties)


def _worded(name: str, reason: int, properties: Properties | None) -> str:
    said = getattr(properties, "ReasonString", "")[:_MOST_SAID]
    printable = "".join(character if character.isprintable() else "?" for character in said)  # it ends up in the log
    return f"{name} (0x{reason:02x}): {printable}" if printable else f"{name} (0x{reason:02x})"


def _remaining_length(packet_bytes: int) -> int:
    """The longest rest of a packet of so many bytes, behind a fixed header with its length of 1 to 4 bytes (§2.1.4)."""
    return max(min(packet_bytes - 1 - size, (1 << 7 * size) - 1) for size in range(1, 5))
