"""A proxy between the gateway and a broker: bytes go through unchanged, and what they say is kept.

What arrived can't be told by a subscriber alone where the broker is killed: the broker may lose what it took. By the
contract a message arrived when its PUBACK went to the gateway, and that is seen here.
"""

import asyncio
from collections.abc import Callable

from .mqtt_packets import (
    SUCCESS,
    Kind,
    Packet,
    PacketReader,
    parse_connect,
    parse_puback,
    parse_publish,
    parse_subscribe,
)
from .mqtt_sessions import Session
from .threaded_server import HOST, ThreadedServer

_CHUNK_BYTES = 1 << 16


class Proxy(ThreadedServer):
    """A port of its own in front of a broker's, which may come and go."""

    def __init__(self, broker_port: int) -> None:
        super().__init__()
        self.sessions: list[Session] = []
        """In the order in which they began."""
        self.refused = 0
        """Connections that came while there was no broker."""
        self._broker_port = broker_port

    @property
    def accepted(self) -> list[Session]:
        """The sessions that the broker agreed to."""
        return [session for session in self.sessions if session.accepted]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection until one side ends it."""
        try:
            broker_reader, broker_writer = await asyncio.open_connection(HOST, self._broker_port)
        except OSError:
            self.refused += 1
            return
        carried = _Carried(self.sessions)
        both = [
            asyncio.create_task(_copy(reader, broker_writer, carried.from_client)),
            asyncio.create_task(_copy(broker_reader, writer, carried.from_broker)),
        ]
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in both:
                task.cancel()
            broker_writer.transport.abort()  # at once: the server's end may cancel the wait below
            carried.end()
            await asyncio.gather(*both, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        note(data)
        writer.write(data)
        await writer.drain()


class _Carried:
    """Reads along in both directions of a connection."""

    def __init__(self, sessions: list[Session]) -> None:
        self._sessions = sessions
        self._session: Session | None = None
        self._client, self._broker = PacketReader(), PacketReader()

    def from_client(self, data: bytes) -> None:
        """Note what the gateway says, before the broker hears it."""
        for packet in self._client.feed(data):
            self._take(packet)

    def from_broker(self, data: bytes) -> None:
        """Note what the broker says, before the gateway hears it."""
        session = self._session
        assert session is not None, "a broker that speaks first"
        for packet in self._broker.feed(data):
            if packet.kind == Kind.CONNACK:
                session.accepted = packet.body[1] == SUCCESS
            elif packet.kind == Kind.PUBACK:
                session.acknowledge(*parse_puback(packet))

    def end(self) -> None:
        """Note that the connection is over."""
        if self._session is not None:
            self._session.open = False

    def _take(self, packet: Packet) -> None:
        session = self._session
        if session is None:
            self._session = Session(parse_connect(packet))
            self._sessions.append(self._session)
        elif packet.kind == Kind.PUBLISH:
            session.add(parse_publish(packet, session.connect.version))
        elif packet.kind == Kind.SUBSCRIBE:
            session.subscriptions += parse_subscribe(packet, session.connect.version)[1]
