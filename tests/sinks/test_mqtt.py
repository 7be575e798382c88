"""A connection to an MQTT server: what it tells that aiomqtt keeps to itself, and how it begins and ends."""

import asyncio
import inspect
import socket
import ssl
from pathlib import Path

import aiomqtt
import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from gateway.sinks import mqtt
from gateway.sinks.mqtt import Connection, Ended, Refused, Server
from gateway.sinks.mqtt_wire import MOST_INCOMING_BYTES
from tests import mqtt_packets
from tests.brokers import Certificates
from tests.mqtt_packets import NOT_AUTHORIZED, V5, V311
from tests.scripted_mqtt import Acknowledge, Close, Ignore, ScriptedServer
from tests.threaded_server import ThreadedServer

from .thingsboard_rig import HOST, TOKEN, run, server_at, until

VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


class Heard:
    """Remembers what comes over a connection."""

    def __init__(self) -> None:
        self.acknowledgements: list[tuple[int, int, str]] = []
        self.messages: list[tuple[str, bytes]] = []
        self.ends: list[Ended] = []

    def acknowledged(self, packet_id: int, reason: int, text: str) -> None:
        self.acknowledgements.append((packet_id, reason, text))

    def received(self, topic: str, payload: bytes) -> None:
        self.messages.append((topic, payload))

    def ended(self, end: Ended) -> None:
        self.ends.append(end)


class RawServer(ThreadedServer):
    """Says these bytes to whoever has said something."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__()
        self.answers = answers
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await reader.read(1 << 16)
        for answer in self.answers:
            writer.write(answer)
            await writer.drain()
        await reader.read()


async def opened(server: Server) -> tuple[Connection, Heard]:
    heard = Heard()
    connection = Connection(server, heard)
    try:
        await connection.open()
    except BaseException:
        await connection.close(politely=False)
        raise
    return connection, heard


async def why_not(server: Server) -> Exception:
    with pytest.raises((OSError, Refused, Ended)) as raised:
        await opened(server)
    assert len(asyncio.all_tasks()) == 1, "something was left behind"
    return raised.value


# -- aiomqtt and paho ----------------------------------------------------------------------------


def test_the_insides_of_aiomqtt_and_paho_are_as_they_are_used() -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    assert {"packet"} <= client._in_packet.keys()
    assert [*inspect.signature(client._handle_pubackcomp).parameters] == ["cmd"]
    assert client._out_messages == {}
    for name in ("_create_socket", "_sock_close", "loop_read", "loop_write", "socket"):
        assert not inspect.signature(getattr(client, name)).parameters.keys() - {"max_packets"}, name
    replaced = {
        "_on_socket_open": ["client", "userdata", "sock"],
        "_on_socket_register_write": ["client", "userdata", "sock"],
        "_on_connect": ["client", "userdata", "flags", "reason_code", "properties"],
        "_on_disconnect": ["client", "userdata", "flags", "reason_code", "properties"],
        "_on_message": ["client", "userdata", "message"],
    }
    for name, parameters in replaced.items():
        assert [*inspect.signature(getattr(aiomqtt.Client, name)).parameters][1:] == parameters, name
        assert f"_client.{name[1:]} = self.{name}" in inspect.getsource(aiomqtt.Client.__init__), name
    for name in ("_client_connect", "_misc_loop", "_on_socket_close", "_on_socket_unregister_write"):
        assert callable(getattr(aiomqtt.Client, name)), name


# -- opening -------------------------------------------------------------------------------------


@VERSIONS
def test_the_server_is_told_who_we_are_and_to_remember_nothing(version: str) -> None:
    async def scenario() -> None:
        connection, _ = await opened(server_at(server.port, version=version, password="pw", keep_alive_s=17))
        await connection.close(politely=True)

    with ScriptedServer() as server:
        run(scenario())
        connect = server.sessions[0].connect
    assert connect == (V5 if version == "5" else V311, "gateway-test", 17, True, TOKEN, b"pw")


def test_what_mqtt_5_says_of_the_servers_limits_is_known() -> None:
    async def scenario() -> Connection:
        connection, _ = await opened(server_at(server.port))
        await connection.close(politely=True)
        return connection

    with ScriptedServer() as server:
        plain = run(scenario())
        server.connack_properties = bytes([0x21, 0, 10, 0x27, 0, 1, 0, 0, 0x24, 0])
        limited = run(scenario())
    assert (plain.receive_maximum, plain.maximum_packet_size, plain.maximum_qos) == (65_535, None, 2)
    assert (limited.receive_maximum, limited.maximum_packet_size, limited.maximum_qos) == (10, 65_536, 0)


@VERSIONS
@pytest.mark.parametrize("codes", [mqtt_packets.NOT_AUTHORIZED, mqtt_packets.BAD_CREDENTIALS])
def test_a_refusal_has_the_same_reason_in_both_versions(version: str, codes: dict[int, int]) -> None:
    with ScriptedServer() as server:
        server.welcome = lambda connect: codes[connect.version]
        error = run(why_not(server_at(server.port, version=version)))
    assert isinstance(error, Refused)
    assert error.reason == codes[V5]


def test_a_server_of_the_old_version_alone_is_known_by_its_answer() -> None:
    with RawServer(bytes([0x20, 2, 0, 1])) as server:  # CONNACK as MQTT 3.1.1 has it: unacceptable protocol version
        error = run(why_not(server_at(server.port)))
    assert isinstance(error, Refused)
    assert error.reason == 0x84


def test_nobody_there_is_an_os_error() -> None:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        error = run(why_not(server_at(sock.getsockname()[1])))
    assert isinstance(error, ConnectionRefusedError)


def test_an_unknown_host_is_an_address_error() -> None:
    assert isinstance(run(why_not(server_at(1883, host="nobody.invalid"))), socket.gaierror)


def test_a_server_that_closes_instead_of_answering_is_not_waited_for() -> None:
    with ScriptedServer() as server:
        server.welcome = lambda connect: NOT_AUTHORIZED[V311] if connect.version == V311 else 0
        with RawServer() as mute:
            mute.serve = _close_at_once  # type: ignore[method-assign]
            error = run(why_not(server_at(mute.port)))
    assert isinstance(error, Ended)
    assert error.text == "the server closed the connection"


async def _close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()
    await writer.wait_closed()


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.2)
    with ScriptedServer() as server:
        server.welcome = lambda connect: None
        error = run(why_not(server_at(server.port)))
    assert isinstance(error, TimeoutError)
    assert "does not answer as an MQTT server does" in str(error)


def test_a_server_that_does_not_shake_hands_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.2)
    with RawServer() as server:
        error = run(why_not(server_at(server.port, tls=ssl.create_default_context())))
    assert isinstance(error, TimeoutError)
    assert "does not answer as a TLS server does" in str(error)


def test_opening_may_be_given_up_at_any_time() -> None:
    async def scenario() -> None:
        connection = Connection(server_at(server.port), Heard())
        opening = asyncio.create_task(connection.open())
        await until(lambda: server.connections)
        opening.cancel()
        await asyncio.wait([opening])
        await connection.close(politely=True)
        assert opening.cancelled() and len(asyncio.all_tasks()) == 1

    with RawServer() as server:
        run(scenario())


def test_over_tls_the_servers_name_is_checked(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)

    async def scenario(name: str) -> str:
        context = ssl.create_default_context(cafile=certificates.ca)
        connection, heard = await opened(server_at(server.port, host=name, tls=context))
        connection.send("t", b"x" * 60_000)
        await until(lambda: heard.acknowledgements)
        server.send("down", b"y" * 60_000, 1)
        await until(lambda: heard.messages)
        await connection.close(politely=True)
        return heard.messages[0][0]

    with ScriptedServer(certificates.server_context()) as server:
        assert run(scenario("localhost")) == "down"
        assert run(scenario(HOST)) == "down"
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            run(scenario("127.1"))  # an address as well, by another name


# -- sending -------------------------------------------------------------------------------------


@VERSIONS
def test_each_message_is_acknowledged_to_the_listener(version: str) -> None:
    async def scenario() -> None:
        connection, heard = await opened(server_at(server.port, version=version))
        packet_ids = [connection.send("topic", str(n).encode()) for n in range(100)]
        await until(lambda: len(heard.acknowledgements) == 100)
        assert heard.acknowledgements == [(packet_id, 0, "") for packet_id in packet_ids]
        await connection.close(politely=True)

    with ScriptedServer() as server:
        run(scenario())
        assert [publish.payload for publish in server.publishes] == [str(n).encode() for n in range(100)]
        assert {publish.qos for publish in server.publishes} == {1}


def test_nothing_is_held_back_or_sent_again_by_paho() -> None:
    async def scenario() -> None:
        connection, _ = await opened(server_at(server.port))
        for _ in range(1000):
            connection.send("topic", b"x")
        await until(lambda: len(server.publishes) == 1000)
        await connection.close(politely=True)

    with ScriptedServer() as server:
        server.judge = lambda publish: Ignore()
        run(scenario())
        assert server.sessions[0].most_waiting == 1000
        assert not any(publish.repeated for publish in server.publishes)


def test_a_refusal_comes_with_its_reason_and_the_servers_words() -> None:
    async def scenario() -> list[tuple[int, int, str]]:
        connection, heard = await opened(server_at(server.port))
        connection.send("topic", b"x")
        await until(lambda: heard.acknowledgements)
        await connection.close(politely=True)
        return heard.acknowledgements

    with ScriptedServer() as server:
        server.judge = lambda publish: Acknowledge(0x97, "ten a second")
        assert run(scenario()) == [(1, 0x97, "Quota exceeded (0x97): ten a second")]


@pytest.mark.parametrize(
    ("reason", "words"),
    [(0x95, "Packet too large (0x95): 20?00"), (0xFF, "a reason that MQTT does not know (0xff): 20?00")],
)
def test_a_refusal_may_have_a_reason_that_mqtt_has_for_other_packets(reason: int, words: str) -> None:
    async def scenario() -> list[tuple[int, int, str]]:
        connection, heard = await opened(server_at(server.port))
        connection.send("topic", b"x")
        await until(lambda: heard.acknowledgements)
        await connection.close(politely=True)
        return heard.acknowledgements

    with ScriptedServer() as server:
        server.judge = lambda publish: Acknowledge(reason, "20\n00")
        assert run(scenario()) == [(1, reason, words)]


def test_no_matching_subscribers_is_no_refusal() -> None:
    async def scenario() -> list[tuple[int, int, str]]:
        connection, heard = await opened(server_at(server.port))
        connection.send("topic", b"x")
        await until(lambda: heard.acknowledgements)
        await connection.close(politely=True)
        return heard.acknowledgements

    with ScriptedServer() as server:
        server.judge = lambda publish: Acknowledge(0x10)
        assert run(scenario()) == [(1, 0x10, "")]


@pytest.mark.parametrize("packet_bytes", [2, 129, 130, 131, 16_386, 16_387, 16_388, 2_097_156, 2_097_157, 65_536])
def test_a_packet_of_the_servers_limit_is_no_larger_than_it(packet_bytes: int) -> None:
    remaining = mqtt._remaining_length(packet_bytes)
    assert remaining + header_bytes(remaining) <= packet_bytes
    assert remaining + 1 + header_bytes(remaining + 1) > packet_bytes


def header_bytes(remaining: int) -> int:
    return 1 + max(1, (remaining.bit_length() + 6) // 7)


@VERSIONS
def test_the_overhead_of_a_message_is_what_its_packet_has_besides_the_payload(version: str) -> None:
    async def scenario() -> int:
        connection, heard = await opened(server_at(server.port, version=version))
        connection.send("some/topic", b"x" * 100)
        await until(lambda: heard.acknowledgements)
        await connection.close(politely=True)
        return connection.overhead("some/topic")

    with ScriptedServer() as server:
        overhead = run(scenario())
    as_sent = mqtt_packets.publish(V5 if version == "5" else V311, "some/topic", b"x" * 100, 1)
    assert len(as_sent) == 2 + overhead + 100


# -- listening -----------------------------------------------------------------------------------


@VERSIONS
def test_what_is_subscribed_to_comes_to_the_listener_and_is_acknowledged(version: str) -> None:
    async def scenario() -> None:
        connection, heard = await opened(server_at(server.port, version=version))
        assert await connection.listen_to("wanted") == 1
        assert await connection.listen_to("forbidden") >= 0x80
        server.send("wanted", b"one", 1)
        server.send("wanted", b"", 0)
        await until(lambda: len(heard.messages) == 2 and server.acknowledged)
        assert heard.messages == [("wanted", b"one"), ("wanted", b"")]
        await connection.close(politely=True)

    with ScriptedServer() as server:
        server.grants = lambda topic: 0x80 if topic == "forbidden" else 1
        run(scenario())
        assert server.sessions[0].subscriptions == ["wanted", "forbidden"]
        assert server.acknowledged == [1]


# -- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("politely", [True, False])
def test_a_polite_end_is_a_disconnect(politely: bool) -> None:
    async def scenario() -> Heard:
        connection, heard = await opened(server_at(server.port))
        connection.send("topic", b"x")
        await until(lambda: heard.acknowledgements)
        await connection.close(politely=politely)
        await until(lambda: not server.sessions[0].open)
        return heard

    kinds: list[int] = []

    class Noting(ScriptedServer):
        def _take(self, packet: mqtt_packets.Packet, writer: asyncio.StreamWriter) -> bool:
            kinds.append(packet.kind)
            return super()._take(packet, writer)

    with Noting() as server:
        assert run(scenario()).ends == []
    goodbye = [mqtt_packets.Kind.DISCONNECT] if politely else []
    assert kinds == [mqtt_packets.Kind.CONNECT, mqtt_packets.Kind.PUBLISH, *goodbye]


@VERSIONS
def test_a_lost_connection_is_told_of(version: str) -> None:
    async def scenario() -> None:
        connection, heard = await opened(server_at(server.port, version=version))
        server.drop()
        await until(lambda: heard.ends)
        with pytest.raises(Ended):
            connection.send("topic", b"x")
        await connection.close(politely=True)
        assert len(heard.ends) == 1

    with ScriptedServer() as server:
        run(scenario())


@pytest.mark.parametrize(("reason", "words"), [(0x95, "Packet too large (0x95)"), (0, "Normal disconnection (0x00)")])
def test_a_servers_disconnect_comes_with_its_reason(reason: int, words: str) -> None:
    async def scenario() -> Ended:
        connection, heard = await opened(server_at(server.port))
        connection.send("topic", b"x")
        await until(lambda: heard.ends)
        await connection.close(politely=True)
        return heard.ends[0]

    with ScriptedServer() as server:
        server.judge = lambda publish: Close(reason)
        end = run(scenario())
    assert (end.reason, end.text) == (reason, words)


def test_a_server_that_falls_silent_is_found_out_by_the_keep_alive() -> None:
    async def scenario() -> Ended:
        connection, heard = await opened(server_at(server.port, keep_alive_s=1))
        await until(lambda: heard.ends)
        await connection.close(politely=True)
        return heard.ends[0]

    with RawServer(mqtt_packets.connack(V5)) as server:
        assert run(scenario()).text == "the server does not answer any more"


CONNACK = mqtt_packets.connack(V5)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xf0\x00",
        b"\x40\x06\x00\x01\x80\xff\xff\xff",
        b"\x30\xff\xff\xff\xff\xff",
        b"\x30\x04\x00\x09ab",
    ],
    ids=["type", "properties", "length", "topic"],
)
def test_what_is_no_mqtt_ends_the_connection(nonsense: bytes) -> None:
    async def scenario() -> None:
        connection, heard = await opened(server_at(server.port))
        connection.send("topic", b"x")
        await until(lambda: heard.ends or len(heard.acknowledgements) > 1)
        await connection.close(politely=True)
        assert "no MQTT" in heard.ends[0].text

    with RawServer(CONNACK, nonsense) as server:
        run(scenario())


@pytest.mark.parametrize(("more", "taken"), [(0, True), (1, False), (1 << 24, False)])
def test_the_largest_packet_that_is_taken_is_bounded(more: int, taken: bool) -> None:
    async def scenario() -> Heard:
        connection, heard = await opened(server_at(server.port))
        connection.send("topic", b"x")
        await until(lambda: heard.ends or heard.messages)
        await connection.close(politely=True)
        return heard

    overhead = len(b"\0\1t\0")
    message = mqtt_packets.publish(V5, "t", b"y" * (MOST_INCOMING_BYTES - overhead + more))
    with RawServer(CONNACK, message) as server:
        heard = run(scenario())
    assert bool(heard.messages) is taken
    assert taken or "a packet of more than 131072 bytes" in heard.ends[0].text


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=60))
def test_whatever_a_server_says_a_connection_opens_or_ends(said: bytes) -> None:
    async def scenario() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.05)
            heard = Heard()
            connection = Connection(server_at(server.port), heard)
            try:
                await connection.open()
            except (OSError, Refused, Ended):
                pass
            else:
                server.drop()
                await until(lambda: heard.ends)
            finally:
                await connection.close(politely=False)

    for first in (said, CONNACK + said):
        with RawServer(first) as server:
            run(scenario())
