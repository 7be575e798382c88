"""The contract that tests hold messages to finds what ThingsBoard would not take."""

import orjson
import pytest

from gateway.model import JsonValue

from .mqtt_packets import V5, Connect, Publish
from .mqtt_sessions import (
    ATTRIBUTES,
    CONNECT,
    DISCONNECT,
    MAX_PAYLOAD_BYTES,
    RPC,
    TELEMETRY,
    Contract,
    Sample,
    Session,
    judge,
)

CONNECTED = (CONNECT, {"device": "a", "type": "t"})
SAMPLE = {"ts": 1, "values": {"n": 1}}


def taken(*messages: tuple[str, JsonValue]) -> Contract:
    """A contract that has seen these messages."""
    contract = Contract()
    for topic, document in messages:
        contract.take(topic, document if isinstance(document, bytes) else orjson.dumps(document))
    return contract


def session(*messages: tuple[str, JsonValue], qos: int = 1) -> Session:
    """A session in which these were sent and acknowledged."""
    made = Session(Connect(V5, "", 30, True, None, None))
    for number, (topic, document) in enumerate(messages):
        made.add(Publish(topic, orjson.dumps(document), qos, number, False))
        if qos:
            made.acknowledge(number, 0)
    return made


def test_what_is_as_it_must_be_is_kept() -> None:
    contract = taken(
        CONNECTED,
        (TELEMETRY, {"a": [SAMPLE, {"ts": 2, "values": {"n": [None]}}]}),
        (ATTRIBUTES, {"a": {"fw": "1"}}),
        (RPC, {"device": "a", "id": 1, "data": {}}),
        (DISCONNECT, {"device": "a"}),
    )
    assert contract.violations == []
    assert contract.telemetry == {"a": [Sample(1, {"n": 1}), Sample(2, {"n": [None]})]}
    assert contract.attributes == {"a": [{"fw": "1"}]}
    assert contract.types == {"a": "t"}
    assert contract.disconnects == ["a"]


@pytest.mark.parametrize(
    "message",
    [
        ("v1/gateway/other", {"a": 1}),
        (TELEMETRY, b"{"),
        (TELEMETRY, []),
        (TELEMETRY, {}),
        (TELEMETRY, {"b": [SAMPLE]}),
        (TELEMETRY, {"a": SAMPLE}),
        (TELEMETRY, {"a": []}),
        (TELEMETRY, {"a": [{"ts": 1.5, "values": {"n": 1}}]}),
        (TELEMETRY, {"a": [{"ts": True, "values": {"n": 1}}]}),
        (TELEMETRY, {"a": [{"ts": 0, "values": {"n": 1}}]}),
        (TELEMETRY, {"a": [{"ts": 1, "values": {}}]}),
        (TELEMETRY, {"a": [{"ts": 1, "values": {"n": None}}]}),
        (TELEMETRY, {"a": [{"n": 1}]}),
        (ATTRIBUTES, {"b": {"fw": "1"}}),
        (ATTRIBUTES, {"a": {}}),
        (CONNECT, {"device": "b"}),
        (CONNECT, {"device": "", "type": "t"}),
        (CONNECT, {"device": "b", "type": 1}),
        (DISCONNECT, {"device": "b"}),
        (RPC, {"device": "a"}),
    ],
)
def test_what_thingsboard_would_not_take_is_found(message: tuple[str, JsonValue]) -> None:
    assert len(taken(CONNECTED, message).violations) >= 1


def test_a_device_has_to_be_connected_again_after_its_disconnect_and_in_each_session() -> None:
    data = (TELEMETRY, {"a": [SAMPLE]})
    assert taken(CONNECTED, data, (DISCONNECT, {"device": "a"}), data).violations != []
    assert judge([session(CONNECTED, data), session(CONNECTED, data)]).violations == []
    assert judge([session(CONNECTED, data), session(data)]).violations != []


@pytest.mark.parametrize(("size", "found"), [(MAX_PAYLOAD_BYTES, 0), (MAX_PAYLOAD_BYTES + 1, 1)])
def test_a_payload_may_have_65536_bytes(size: int, found: int) -> None:
    payload = orjson.dumps({"a": {"x": ""}}).replace(b'""', b'"%b"' % (b"x" * (size - 14)))
    assert len(payload) == size
    assert len(taken(CONNECTED, (ATTRIBUTES, payload)).violations) == found


def test_messages_must_ask_for_an_acknowledgement_and_count_only_with_it() -> None:
    assert judge([session(CONNECTED, qos=0)]).violations != []
    one = session(CONNECTED, (TELEMETRY, {"a": [SAMPLE]}))
    one.messages[-1].reason = None
    assert judge([one]).telemetry == {}
