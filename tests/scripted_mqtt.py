"""An MQTT server whose answers a test scripts: what a real broker can't be made to say.

    with ScriptedServer() as server:
        server.judge = lambda publish: Acknowledge(QUOTA_EXCEEDED) if b"poison" in publish.payload else Acknowledge()
        …                                   # the client connects to 127.0.0.1, server.port
        assert server.sessions[0].messages[0].arrived

What is set may be set anew while it serves; a judge is called in the server's thread.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from . import mqtt_packets as mqtt
from .mqtt_packets import SUCCESS, Connect, Kind, Packet, PacketReader, Publish
from .mqtt_sessions import Session
from .threaded_server import ThreadedServer

_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Answer with a PUBACK. MQTT 3.1.1 has no reasons: there it is an acknowledgement whatever the reason."""

    reason: int = SUCCESS
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ignore:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection, behind a DISCONNECT where there is a reason and the version knows such a packet."""

    reason: int | None = None


Answer: TypeAlias = Acknowledge | Ignore | Close

ACCEPT = Acknowledge()


class ScriptedServer(ThreadedServer):
    """Serves any number of clients, one after the other or at once."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.judge: Callable[[Publish], Answer] = lambda publish: ACCEPT
        """How a message is answered."""
        self.welcome: Callable[[Connect], int | None] = lambda connect: SUCCESS
        """The code that a CONNECT is answered with, such as `NOT_AUTHORIZED[connect.version]`; None: no answer."""
        self.connack_properties = b""
        """What MQTT 5 may say in a CONNACK, as bytes: `bytes([0x21, 0, 10])` is a Receive Maximum of 10."""
        self.grants: Callable[[str], int] = lambda topic: 1
        """The code that a subscription gets."""
        self.sessions: list[Session] = []
        """In the order in which they began."""
        self.connections = 0
        """How many there were, even of those who said nothing."""
        self.acknowledged: list[int] = []
        """The packet identifiers of what clients acknowledged of `send`."""
        self._clients: dict[asyncio.StreamWriter, Session] = {}

    @property
    def publishes(self) -> list[Publish]:
        """All messages that came, of all sessions."""
        return [message.publish for session in self.sessions for message in session.messages]

    def send(self, topic: str, payload: bytes, packet_id: int = 0) -> None:
        """Send a message to all clients there are, of QoS 1 where it has a packet identifier."""
        self.run(self._send(topic, payload, packet_id))

    async def _send(self, topic: str, payload: bytes, packet_id: int) -> None:
        for writer, session in self._clients.items():
            writer.write(mqtt.publish(session.connect.version, topic, payload, packet_id))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a client as it is scripted."""
        self.connections += 1
        packets = PacketReader()
        try:
            while data := await reader.read(_CHUNK_BYTES):
                for packet in packets.feed(data):
                    if not self._take(packet, writer):
                        await writer.drain()
                        writer.close()
                        await writer.wait_closed()
                        return
                await writer.drain()
        finally:
            if (session := self._clients.pop(writer, None)) is not None:
                session.open = False

    def _take(self, packet: Packet, writer: asyncio.StreamWriter) -> bool:
        """Answer a packet; whether the connection goes on."""
        session = self._clients.get(writer)
        if session is None:
            return self._greet(mqtt.parse_connect(packet), writer)
        version = session.connect.version
        if packet.kind == Kind.PUBLISH:
            return self._answer(mqtt.parse_publish(packet, version), session, writer)
        if packet.kind == Kind.SUBSCRIBE:
            packet_id, topics = mqtt.parse_subscribe(packet, version)
            session.subscriptions += topics
            writer.write(mqtt.suback(version, packet_id, bytes(map(self.grants, topics))))
        elif packet.kind == Kind.PINGREQ:
            writer.write(mqtt.pingresp())
        elif packet.kind == Kind.PUBACK:
            self.acknowledged.append(mqtt.parse_puback(packet).packet_id)
        return packet.kind != Kind.DISCONNECT

    def _greet(self, connect: Connect, writer: asyncio.StreamWriter) -> bool:
        session = self._clients[writer] = Session(connect)
        self.sessions.append(session)
        code = self.welcome(connect)
        if code is None:
            return True
        session.accepted = code == SUCCESS
        writer.write(mqtt.connack(connect.version, code, self.connack_properties))
        return session.accepted

    def _answer(self, publish: Publish, session: Session, writer: asyncio.StreamWriter) -> bool:
        session.add(publish)
        answer, version = self.judge(publish), session.connect.version
        match answer:
            case Acknowledge(reason, text):
                if publish.qos:
                    session.acknowledge(publish.packet_id, reason if version == mqtt.V5 else SUCCESS)
                    writer.write(mqtt.puback(version, publish.packet_id, reason, text))
            case Close(reason):
                if reason is not None and version == mqtt.V5:
                    writer.write(mqtt.disconnect(reason))
                return False
            case Ignore():
                pass
        return True
