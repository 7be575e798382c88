"""What ThingsBoard sends is read as from a stranger."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import JsonValue
from gateway.sinks.thingsboard_incoming import (
    MAX_NAME_LENGTH,
    MOST_BYTES,
    Rpc,
    SharedAttributes,
    answer_payload,
    parse_rpc,
    parse_shared_attributes,
)


def message(device: JsonValue = "SN-001", **data: JsonValue) -> bytes:
    return orjson.dumps({"device": device, "data": data})


def test_shared_attributes_have_a_device_and_values() -> None:
    assert parse_shared_attributes(message(a=1, b={"c": [None]})) == SharedAttributes(
        "SN-001", {"a": 1, "b": {"c": [None]}}
    )


def test_a_call_has_a_device_an_id_and_all_of_the_request() -> None:
    request = {"id": 4, "method": "m", "params": [1], "more": None}
    assert parse_rpc(message(**request)) == Rpc("SN-001", 4, request)


@pytest.mark.parametrize("id_", [0, -1, 2**63, "4f", ""])
def test_an_answer_has_the_id_of_its_call(id_: JsonValue) -> None:
    answer = orjson.loads(answer_payload(parse_rpc(message(id=id_, method="m")), "no"))
    assert answer == {"device": "SN-001", "id": id_, "data": {"error": "no"}}


@pytest.mark.parametrize("id_", [None, True, 1.5, [1], {}])
def test_a_call_without_a_proper_id_is_none(id_: JsonValue) -> None:
    with pytest.raises(ValueError, match="no id"):
        parse_rpc(message(id=id_, method="m"))


@pytest.mark.parametrize("method", [None, 1, {}])
def test_a_call_without_a_method_is_none(method: JsonValue) -> None:
    with pytest.raises(ValueError, match="no method"):
        parse_rpc(message(id=1, method=method))


def test_our_own_answer_is_no_call() -> None:
    with pytest.raises(ValueError, match="no id"):
        parse_rpc(answer_payload(Rpc("SN-001", 4, {}), "no"))


@pytest.mark.parametrize(
    ("length", "good"), [(0, False), (1, True), (MAX_NAME_LENGTH, True), (MAX_NAME_LENGTH + 1, False)]
)
def test_a_devices_name_is_bounded(length: int, good: bool) -> None:
    payload = message("x" * length)
    if good:
        assert parse_shared_attributes(payload).device == "x" * length
    else:
        with pytest.raises(ValueError, match="no device"):
            parse_shared_attributes(payload)


@pytest.mark.parametrize(("more", "good"), [(-1, True), (0, True), (1, False)])
def test_a_message_is_bounded(more: int, good: bool) -> None:
    payload = message(x="y" * (MOST_BYTES - len(message(x="")) + more))
    assert len(payload) == MOST_BYTES + more
    if good:
        parse_shared_attributes(payload)
    else:
        with pytest.raises(ValueError, match="65537 bytes"):
            parse_shared_attributes(payload)


def test_what_is_nested_too_deeply_to_be_stored_is_refused() -> None:
    with pytest.raises(ValueError, match=r"[Rr]ecursion"):
        parse_shared_attributes(b'{"device":"d","data":{"a":' + b"[" * 300 + b"]" * 300 + b"}}")


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(), st.text()),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["device", "data", "id", "method"]), inner),
        ).map(orjson.dumps),
    )
)
def test_anything_else_is_a_value_error(payload: bytes) -> None:
    for parse in (parse_shared_attributes, parse_rpc):
        try:
            device, *_ = parse(payload)
        except ValueError:
            continue
        assert 0 < len(device) <= MAX_NAME_LENGTH
