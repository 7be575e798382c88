"""The servers that tests deliver to do what is asked of them, and see what goes through them."""

from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from .brokers import HOST, Broker, BrokerOptions, Checker, end_client
from .e2e.harness import eventually
from .mqtt_packets import QUOTA_EXCEEDED, V5, V311, Kind, PacketReader, publish
from .mqtt_proxy import Proxy
from .mqtt_sessions import CONNECT
from .scripted_mqtt import ACCEPT, Acknowledge, Answer, Close, Ignore, ScriptedServer

DEVICE = b'{"device":"a","type":"t"}'


class Client:
    """A foreign client."""

    def __init__(self, port: int, version: int) -> None:
        self.lost: list[Any] = []
        self.heard: list[bytes] = []
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion(version), reconnect_on_failure=False
        )
        self._client.on_disconnect = lambda client, data, flags, reason, more: self.lost.append(reason)
        self._client.on_message = lambda client, data, message: self.heard.append(bytes(message.payload))
        self._client.connect(HOST, port)
        self._client.loop_start()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        end_client(self._client)

    def publish(self, payload: bytes, topic: str = CONNECT) -> paho.MQTTMessageInfo:
        return self._client.publish(topic, payload, qos=1)

    def subscribe(self, topic: str) -> None:
        self._client.subscribe(topic, qos=1)


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=300)), min_size=1, max_size=5), st.data())
def test_packets_are_found_however_the_stream_is_cut(messages: list[tuple[str, bytes]], data: st.DataObject) -> None:
    stream = b"".join(publish(V5, topic, payload, 7) for topic, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader = PacketReader()
    packets = [
        packet
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for packet in reader.feed(stream[begin:end])
    ]
    assert [packet.kind for packet in packets] == [Kind.PUBLISH] * len(messages)
    assert [
        packet.body[-len(payload) :] if payload else b"" for packet, (_, payload) in zip(packets, messages, strict=True)
    ] == [payload for _, payload in messages]


@pytest.mark.parametrize("version", [V311, V5])
def test_the_proxy_sees_sessions_messages_and_their_acknowledgements(tmp_path: Path, version: int) -> None:
    with (
        Broker(tmp_path, BrokerOptions(max_message_bytes=100)) as broker,
        Checker(broker) as checker,
        Proxy(broker.port) as proxy,
    ):
        with Client(proxy.port, version) as client:
            client.publish(DEVICE).wait_for_publish(5)
            client.publish(bytes(101)).wait_for_publish(5)
        with Client(proxy.port, version) as client:
            eventually(lambda: len(proxy.accepted) == 2, "the second session")
            broker.kill()
            eventually(lambda: client.lost, "the client notices")
        broker.start()
        with Client(proxy.port, version) as client:
            client.publish(DEVICE).wait_for_publish(5)
        eventually(lambda: len(proxy.accepted) == 3, "three sessions")
        first, _, third = proxy.accepted
        assert [message.publish.payload for message in first.messages] == [DEVICE, bytes(101)]
        assert [message.arrived for message in first.messages] == [True, version == V311]
        assert [message.arrived for message in third.messages] == [True]
        eventually(lambda: checker.messages, "the subscriber has it")


@pytest.mark.parametrize("version", [V311, V5])
def test_a_scripted_server_answers_as_it_is_told(version: int) -> None:
    with ScriptedServer() as server:
        answers: dict[bytes, Answer] = {
            b"poison": Acknowledge(QUOTA_EXCEEDED),
            b"silence": Ignore(),
            b"end": Close(QUOTA_EXCEEDED),
        }
        server.judge = lambda publish: answers.get(publish.payload, ACCEPT)
        with Client(server.port, version) as client:
            client.subscribe("v1/gateway/rpc")
            eventually(lambda: server.sessions and server.sessions[0].subscriptions, "it is subscribed")
            server.send("v1/gateway/rpc", b"call", packet_id=3)
            eventually(lambda: client.heard == [b"call"] and server.acknowledged == [3], "it hears")
            for payload in (b"fine", b"poison"):
                client.publish(payload).wait_for_publish(5)
            client.publish(b"silence")
            client.publish(b"end")
            eventually(lambda: client.lost, "it is cut off")
        reasons = [message.reason for message in server.sessions[0].messages]
        assert reasons == [0, QUOTA_EXCEEDED if version == V5 else 0, None, None]
        assert server.sessions[0].most_waiting == 2
