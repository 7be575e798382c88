"""What a converter returned, validated: `gateway.converters.results`."""

import enum
import json
from collections import OrderedDict
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.converters import results
from gateway.converters.results import reports_of
from gateway.errors import ConverterError
from gateway.model import Code, DeviceReport, JsonValue, Timeseries

from .rig import RECEIVED_MS, TUTORIAL_REPORT


def telemetry_of(telemetry: JsonValue) -> Timeseries:
    (report,) = reports_of({"deviceName": "d", "telemetry": telemetry}, RECEIVED_MS)
    return report.telemetry


def attributes_of(attributes: JsonValue) -> dict[str, JsonValue]:
    (report,) = reports_of({"deviceName": "d", "attributes": attributes}, RECEIVED_MS)
    return report.attributes


def refusal(result: JsonValue) -> str:
    with pytest.raises(ConverterError) as caught:
        reports_of(result, RECEIVED_MS)
    assert caught.value.coap_code is Code.BAD_REQUEST
    return caught.value.message


def refusal_of_telemetry(telemetry: JsonValue) -> str:
    return refusal({"deviceName": "d", "telemetry": telemetry})


# -- what is accepted ------------------------------------------------------------------------------


def test_the_tutorials_result_becomes_one_report_at_the_time_of_receipt() -> None:
    result = {
        "deviceName": "SN-001",
        "deviceType": "default",
        "telemetry": {"temperature": 25.7, "humidity": 69},
    }
    assert reports_of(result, RECEIVED_MS) == [TUTORIAL_REPORT]


def test_the_contracts_example_becomes_a_device_and_an_asset() -> None:
    result = [
        {
            "deviceName": "SN-111",
            "deviceType": "thermostat",
            "customerName": "C",
            "groupName": "G",
            "attributes": {"model": "A"},
            "telemetry": [{"ts": 1527863043000, "values": {"battery": 3.99}}],
        },
        {
            "assetName": "OF-123",
            "assetType": "office",
            "telemetry": {"ts": 1527863041000, "values": {"t": 27.05}},
        },
    ]
    assert reports_of(result, RECEIVED_MS) == [
        DeviceReport("device", "SN-111", "thermostat", "C", "G", {"model": "A"}, [(1527863043000, {"battery": 3.99})]),
        DeviceReport("asset", "OF-123", "office", None, None, {}, [(1527863041000, {"t": 27.05})]),
    ]


def test_an_empty_array_says_nothing() -> None:
    assert reports_of([], RECEIVED_MS) == []


def test_a_tuple_is_an_array() -> None:
    assert [report.name for report in reports_of(({"deviceName": "a"}, {"deviceName": "b"}), RECEIVED_MS)] == ["a", "b"]
    assert telemetry_of({"position": (1, (2, 3))}) == [(RECEIVED_MS, {"position": [1, [2, 3]]})]


@pytest.mark.parametrize("absent", [{}, {"deviceType": None}, {"deviceType": ""}])
def test_the_type_is_default_where_there_is_none(absent: dict[str, JsonValue]) -> None:
    (report,) = reports_of({"deviceName": "d", **absent}, RECEIVED_MS)
    assert report.type == "default"


def test_null_and_empty_customer_and_group_count_as_absent() -> None:
    result = {"deviceName": "d", "assetName": None, "customerName": "", "groupName": None, "attributes": None}
    assert reports_of(result, RECEIVED_MS) == [DeviceReport("device", "d", "default", None, None, {}, [])]


def test_a_device_does_not_take_the_type_of_an_asset() -> None:
    (report,) = reports_of({"deviceName": "d", "assetType": "office"}, RECEIVED_MS)
    assert (report.kind, report.type) == ("device", "default")


def test_keys_that_the_format_does_not_know_are_ignored() -> None:
    (report,) = reports_of({"deviceName": "d", "label": float("nan"), 7: object()}, RECEIVED_MS)
    assert report.name == "d"


def test_telemetry_may_mix_flat_maps_and_samples_with_a_time() -> None:
    assert telemetry_of([{"ts": 5, "values": {"a": 1}}, {"b": 2}]) == [(5, {"a": 1}), (RECEIVED_MS, {"b": 2})]


@pytest.mark.parametrize("ts", [0, 1527863043000, 1527863043000.0, results.MAX_TS_MS])
def test_a_time_in_whole_milliseconds_is_taken_as_an_integer(ts: float) -> None:
    ((taken, _),) = telemetry_of({"ts": ts, "values": {"a": 1}})
    assert taken == ts
    assert type(taken) is int


def test_a_map_with_ts_but_without_values_is_flat_as_in_thingsboard() -> None:
    assert telemetry_of({"ts": 5, "t": 1}) == [(RECEIVED_MS, {"ts": 5, "t": 1})]


def test_a_map_with_nothing_but_an_object_of_values_has_the_time_of_receipt() -> None:
    assert telemetry_of({"values": {"t": 1}}) == [(RECEIVED_MS, {"t": 1})]


def test_a_key_named_values_beside_others_is_a_key_like_any() -> None:
    assert telemetry_of({"values": {"x": 1}, "t": 2}) == [(RECEIVED_MS, {"values": {"x": 1}, "t": 2})]
    assert telemetry_of({"values": 3}) == [(RECEIVED_MS, {"values": 3})]


def test_nulls_are_left_out_as_in_thingsboard_and_an_empty_sample_is_none() -> None:
    assert telemetry_of({"a": None, "b": False}) == [(RECEIVED_MS, {"b": False})]
    assert telemetry_of([{"a": None}, {}, {"ts": 5, "values": {}}]) == []
    assert attributes_of({"a": None}) == {}


def test_nested_objects_and_arrays_are_kept_with_their_nulls() -> None:
    nested = {"position": {"lat": 52.5, "path": [1, None, {"x": "y"}]}}
    assert attributes_of(nested) == nested


def test_the_largest_integers_of_64_bits_are_accepted() -> None:
    assert attributes_of({"min": -(2**63), "max": 2**63 - 1}) == {"min": -(2**63), "max": 2**63 - 1}


def test_what_the_converter_changes_later_does_not_change_the_report() -> None:
    values: dict[str, Any] = {"plain": 1}
    nested: dict[str, Any] = {"nested": {"list": [1]}}
    (report,) = reports_of({"deviceName": "d", "attributes": nested, "telemetry": values}, RECEIVED_MS)
    values["plain"] = float("nan")
    nested["nested"]["list"].append(2)
    assert report.telemetry == [(RECEIVED_MS, {"plain": 1})]
    assert report.attributes == {"nested": {"list": [1]}}


class Level(enum.IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()


class Number(float):
    __slots__ = ()


def test_subclasses_of_jsons_types_become_those_types() -> None:
    attributes = attributes_of(OrderedDict({Text("k"): Text("v"), "level": Level.HIGH, "f": Number(1.5)}))
    assert attributes == {"k": "v", "level": 3, "f": 1.5}
    assert [type(value) for value in attributes.values()] == [str, int, float]
    assert {type(key) for key in attributes} == {str}
    (report,) = reports_of(OrderedDict(deviceName=Text("d")), RECEIVED_MS)
    assert type(report.name) is str


def test_names_may_be_in_any_script() -> None:
    (report,) = reports_of({"deviceName": "Zähler 7 \N{THERMOMETER}", "attributes": {"größe": "日本"}}, RECEIVED_MS)
    assert report.name == "Zähler 7 \N{THERMOMETER}"
    assert report.attributes == {"größe": "日本"}


# -- what is refused, and in which words -----------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "the converter returned nothing: did you forget `return result`?"),
        ("SN-001", "the result must be an object or an array of objects, not a text"),
        (True, "the result must be an object or an array of objects, not a boolean"),
        (b"SN", "the result must be an object or an array of objects, not of type bytes"),
        ({}, "deviceName or assetName is missing"),
        ([{}], "deviceName or assetName is missing"),
        ([{"deviceName": "a"}, {}], "[1].deviceName or assetName is missing"),
        ([{"deviceName": "a"}, 7], "[1] must be an object, not a number"),
        ([None], "the result must be an object, not null"),
        (
            {"deviceName": "a", "assetName": "b"},
            "deviceName and assetName exclude each other: a report has one of the two",
        ),
        ({"deviceName": ""}, "deviceName is empty"),
        ({"assetName": 7}, "assetName must be a text, not a number"),
        ({"deviceName": "SN-001\0\0"}, "deviceName has the control character U+0000 in it"),
        ({"deviceName": "d", "deviceType": ["x"]}, "deviceType must be a text, not an array"),
        ({"deviceName": "d", "customerName": "c\n"}, "customerName has the control character U+000A in it"),
        ({"deviceName": "d", "groupName": {}}, "groupName must be a text, not an object"),
        ({"deviceName": "n" * 256}, "deviceName has 256 characters, 255 is the most"),
        ({"deviceName": "d\ud800"}, "deviceName holds half of a surrogate pair, U+D800"),
        ({"deviceName": "d", "attributes": [1]}, "attributes must be an object, not an array"),
        ([{"deviceName": "a"}, {"assetName": "b", "attributes": {"x": 1e999}}],
         "[1].attributes.x is inf, which JSON can't hold"),
    ],
)  # fmt: skip
def test_a_result_that_is_not_the_format_is_refused_with_its_path(result: JsonValue, message: str) -> None:
    assert refusal(result) == message


@pytest.mark.parametrize(
    ("telemetry", "message"),
    [
        (5, "telemetry must be an object or an array of objects, not a number"),
        ([{"a": 1}, "b"], "telemetry[1] must be an object, not a text"),
        ({"ts": 5, "values": None}, "telemetry.values must be an object, not null"),
        ({"a": float("nan")}, "telemetry.a is nan, which JSON can't hold"),
        ({"a b": [1, {"c": float("-inf")}]}, 'telemetry["a b"][1].c is -inf, which JSON can\'t hold'),
        ({"a": Number("nan")}, "telemetry.a is nan, which JSON can't hold"),
        ({"a": 2**63}, "telemetry.a is an integer that does not fit 64 bits"),
        ({"a": [-(2**63) - 1]}, "telemetry.a[0] is an integer that does not fit 64 bits"),
        ({"a": b"\0"}, "telemetry.a is of type bytes, which JSON does not have"),
        ({"a": {1, 2}}, "telemetry.a is of type set, which JSON does not have"),
        ({"a": [datetime(2026, 1, 1)]}, "telemetry.a[0] is of type datetime, which JSON does not have"),
        ({"a": Decimal("1.5")}, "telemetry.a is of type Decimal, which JSON does not have"),
        ({"": 1}, "telemetry has an empty key"),
        ({1: 1}, "telemetry has a key that is a number; keys must be texts"),
        ({"a": {None: 1}}, "telemetry.a has a key that is null; keys must be texts"),
        ({"k" * 256: 1}, "telemetry has a key of 256 characters, 255 is the most"),
        ({"\ud800": 1}, "telemetry has a key that holds half of a surrogate pair, U+D800"),
        ({"a": "\udfff"}, "telemetry.a holds half of a surrogate pair, U+DFFF"),
        ({"a": ["x", "\udfff"]}, "telemetry.a[1] holds half of a surrogate pair, U+DFFF"),
    ],
)  # fmt: skip
def test_telemetry_that_is_not_the_format_is_refused_with_its_path(telemetry: JsonValue, message: str) -> None:
    assert refusal_of_telemetry(telemetry) == message


@pytest.mark.parametrize(
    ("ts", "shown"),
    [
        (1.5, "1.5"),
        (-1, "-1"),
        (results.MAX_TS_MS + 1, "253402300800000"),
        (1e300, "1e+300"),
        (10**400, "a number"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (True, "True"),
        (None, "null"),
        ("1527863043000", "'1527863043000'"),
        ([5], "an array"),
    ],
)
def test_a_time_that_is_not_whole_milliseconds_is_refused(ts: JsonValue, shown: str) -> None:
    message = refusal_of_telemetry([{"a": 1}, {"ts": ts, "values": {"a": 1}}])
    expected = "telemetry[1].ts must be whole milliseconds since 1970, from 0 to 253402300799999, not "
    assert message == expected + shown


def test_a_value_that_contains_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert "is nested more than 32 deep" in refusal_of_telemetry({"a": circle})


def test_the_path_of_a_deep_value_leaves_out_its_middle() -> None:
    value: JsonValue = float("nan")
    for _ in range(20):
        value = {"a_long_name_of_a_key": value}
    message = refusal_of_telemetry({"a": value})
    assert message.startswith("telemetry.a.a_long_name_of_a_key.")
    assert message.endswith(".a_long_name_of_a_key is nan, which JSON can't hold")
    assert len(message) < 160


def test_a_value_whose_parts_multiply_is_refused() -> None:
    bomb: list[Any] = []
    for _ in range(20):
        bomb = [bomb] * 10
    assert "more than 10000 values within one value" in refusal_of_telemetry({"a": bomb})


def test_bounds_are_refused_with_their_numbers() -> None:
    assert refusal([{"deviceName": "d"}] * 10_001) == "the result has 10001 reports, 10000 is the most"
    assert refusal_of_telemetry([{}] * 100_001) == "telemetry has 100001 samples, 100000 is the most"
    many = {f"k{i}": i for i in range(10_001)}
    assert refusal_of_telemetry(many) == "telemetry has 10001 keys, 10000 is the most"
    many["nested"] = {}  # type: ignore[assignment]
    assert refusal({"deviceName": "d", "attributes": many}) == "attributes has 10002 keys, 10000 is the most"


# -- whatever comes --------------------------------------------------------------------------------

any_text = st.text(st.characters(exclude_categories=()), max_size=8)
keys = st.one_of(
    st.sampled_from(["ts", "values", "a"]), any_text, st.text("ab", min_size=250, max_size=260), st.integers()
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    any_text,
    st.binary(max_size=3),
    st.sampled_from([Level.HIGH, Text("t"), Number("inf"), {1}, object()]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.tuples(inner, inner), st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)
reports = st.fixed_dictionaries(
    {},
    optional={
        "deviceName": st.one_of(any_text, values),
        "assetName": values,
        "deviceType": st.one_of(any_text, values),
        "customerName": values,
        "groupName": any_text,
        "attributes": st.one_of(st.dictionaries(keys, values, max_size=3), values),
        "telemetry": st.one_of(st.lists(st.dictionaries(keys, values, max_size=3), max_size=3), values),
    },
)


@settings(max_examples=500, deadline=None)
@given(st.one_of(values, reports, st.lists(reports, max_size=3)))
def test_any_value_gives_reports_that_json_can_hold_or_a_converter_error(result: JsonValue) -> None:
    try:
        accepted = reports_of(result, RECEIVED_MS)
    except ConverterError as error:
        assert len(error.message) <= 256
        error.message.encode()
        return
    for report in accepted:
        assert orjson.loads(orjson.dumps(tuple(report))) == json.loads(json.dumps(report))
        assert report.name
        assert all(type(ts) is int and 0 <= ts <= results.MAX_TS_MS and sample for ts, sample in report.telemetry)
