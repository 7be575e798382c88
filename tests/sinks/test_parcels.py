"""Reports packed into messages: all of them, in order, and never more than a message may have."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import JsonValue, StoredReport, same_json
from gateway.sinks.parcels import Kind, Limits, Parcel, connect_payload, pack
from gateway.sinks.sink import Record

from .records import RECEIVED_MS, record, records

ROOMY = Limits(connect=60_000, telemetry=60_000, attributes=60_000, cause="TB_MQTT_MAX_MESSAGE_BYTES=65536")


def limits(most_bytes: int) -> Limits:
    """The same for all kinds of message, but `connect`, whose limit is never smaller than the setting's least."""
    return Limits(connect=900, telemetry=most_bytes, attributes=most_bytes, cause="TB_MQTT_MAX_MESSAGE_BYTES=1024")


def packed(given_records: Sequence[Record], most: Limits = ROOMY) -> list[Parcel]:
    """The parcels, which must cover all records one after the other."""
    parcels = list(pack(given_records, most))
    place = 0
    for parcel in parcels:
        assert parcel.start == place < parcel.end
        place = parcel.end
    assert place == len(given_records)
    return parcels


def contents(parcel: Parcel) -> list[tuple[Kind, Any]]:
    """The messages of a parcel, read."""
    return [(message.kind, orjson.loads(message.payload)) for message in parcel.messages]


def test_reports_of_several_devices_share_a_message() -> None:
    (parcel,) = packed(records(3))
    assert contents(parcel) == [
        (
            Kind.TELEMETRY,
            {f"SN-00{n}": [{"ts": RECEIVED_MS + n, "values": {"temperature": 25.7}}] for n in range(3)},
        )
    ]
    assert parcel.devices == {"SN-000": "default", "SN-001": "default", "SN-002": "default"}


def test_reports_of_one_device_stand_together_in_their_order() -> None:
    one = [record(n, name="SN-001", telemetry=[(n, {"t": n}), (n + 100, {"t": -n})]) for n in range(1, 4)]
    (parcel,) = packed(one)
    ((_, telemetry),) = contents(parcel)
    assert [sample["ts"] for sample in telemetry["SN-001"]] == [1, 101, 2, 102, 3, 103]


def test_attributes_have_a_message_of_their_own_behind_the_telemetry() -> None:
    (parcel,) = packed([record(attributes={"model": "A", "fw": "1.0"})])
    assert [kind for kind, _ in contents(parcel)] == [Kind.TELEMETRY, Kind.ATTRIBUTES]
    assert contents(parcel)[1][1] == {"SN-000": {"model": "A", "fw": "1.0"}}


def test_an_attribute_that_stays_the_same_is_told_once_in_a_message() -> None:
    told = [{"model": "A", "n": 1}, {"n": 1.0, "fw": "2"}, {"model": "A"}]
    (parcel,) = packed([record(n, name="SN-001", telemetry=[], attributes=values) for n, values in enumerate(told)])
    assert contents(parcel) == [(Kind.ATTRIBUTES, {"SN-001": {"model": "A", "n": 1, "fw": "2"}})]


def test_an_attribute_that_changes_begins_another_parcel() -> None:
    told = [record(n, name="SN-001", attributes={"on": n > 1}) for n in range(3)]
    first, second = packed([*told, record(9, attributes={"on": False})])
    assert (first.start, first.end, second.start, second.end) == (0, 2, 2, 4)
    assert contents(first)[1] == (Kind.ATTRIBUTES, {"SN-001": {"on": False}})
    assert contents(second)[1] == (Kind.ATTRIBUTES, {"SN-001": {"on": True}, "SN-009": {"on": False}})


def test_true_and_one_are_different_values() -> None:
    assert len(packed([record(n, name="SN-001", attributes={"a": value}) for n, value in enumerate((True, 1))])) == 2


def test_a_report_without_data_tells_of_its_device_alone() -> None:
    (parcel,) = packed([record(telemetry=[])])
    assert not parcel.messages
    assert parcel.devices == {"SN-000": "default"}


def test_a_sample_without_values_is_left_out() -> None:
    (parcel,) = packed([record(telemetry=[(1, {}), (2, {"t": 3})]), record(1, telemetry=[(1, {})])])
    assert contents(parcel) == [(Kind.TELEMETRY, {"SN-000": [{"ts": 2, "values": {"t": 3}}]})]


def test_what_the_api_cannot_carry_is_counted() -> None:
    mixed = [
        record(0, kind="asset", customer="C"),
        record(1, customer="C", group="G"),
        record(2, group="G"),
        record(3, kind="asset"),
    ]
    (parcel,) = packed(mixed)
    assert (parcel.assets, parcel.customers, parcel.groups) == (2, 1, 2)
    assert list(parcel.devices) == ["SN-001", "SN-002"]


def test_assets_alone_make_a_parcel_without_messages() -> None:
    (parcel,) = packed([record(n, kind="asset") for n in range(3)])
    assert (parcel.messages, parcel.devices, parcel.assets) == ([], {}, 3)


def test_no_records_make_no_parcel() -> None:
    assert packed([]) == []


@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_a_message_is_filled_to_its_last_byte(spare: int) -> None:
    three = records(3, attributes={"model": "A"})
    (whole,) = packed(three)
    telemetry, attributes = (len(message.payload) for message in whole.messages)
    assert len(packed(three, ROOMY._replace(telemetry=telemetry + spare))) == (2 if spare < 0 else 1)
    assert len(packed(three, ROOMY._replace(attributes=attributes + spare))) == (2 if spare < 0 else 1)


def test_a_report_larger_than_a_message_is_cut_by_samples() -> None:
    large = record(1, telemetry=[(n, {"text": "x" * 100}) for n in range(1, 31)])
    before, cut, behind = packed([record(0), large, record(2)], limits(1000))
    assert (cut.start, cut.end, cut.refusal) == (1, 2, "")
    assert len(cut.messages) > 3
    assert [sample["ts"] for _, told in contents(cut) for sample in told["SN-001"]] == list(range(1, 31))
    assert (before.end, behind.start) == (1, 2)


def test_a_sample_larger_than_a_message_is_cut_by_keys() -> None:
    values = {f"key{n}": "x" * 100 for n in range(30)}
    (parcel,) = packed([record(telemetry=[(7, values)], attributes=values)], limits(1000))
    together: dict[Kind, dict[str, JsonValue]] = {Kind.TELEMETRY: {}, Kind.ATTRIBUTES: {}}
    for kind, told in contents(parcel):
        if kind is Kind.TELEMETRY:
            (sample,) = told["SN-000"]
            assert sample["ts"] == 7
            together[kind].update(sample["values"])
        else:
            together[kind].update(told["SN-000"])
    assert together == {Kind.TELEMETRY: values, Kind.ATTRIBUTES: values}


@pytest.mark.parametrize("where", ["telemetry", "attributes"])
def test_a_value_larger_than_a_message_is_refused_and_nothing_of_its_report_sent(where: str) -> None:
    values = {"small": 1, "large": "x" * 2000}
    bad = record(1, attributes=values) if where == "attributes" else record(1, telemetry=[(1, values)])
    before, refused, behind = packed([record(0), bad, record(2)], limits(1000))
    assert (refused.start, refused.end, refused.messages, refused.devices) == (1, 2, [], {})
    assert "'large', whose value takes 2010 bytes," in refused.refusal
    assert "TB_MQTT_MAX_MESSAGE_BYTES=1024" in refused.refusal
    assert before.messages and behind.messages and not before.refusal and not behind.refusal


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_a_single_value_may_fill_a_message_to_its_last_byte(more: int, fits: bool) -> None:
    overhead = len(b'{"SN-000":[{"ts":1,"values":{"v":""}}]}')
    (parcel,) = packed([record(telemetry=[(1, {"v": "x" * (1000 - overhead + more)})])], limits(1000))
    assert bool(parcel.messages) is fits
    assert bool(parcel.refusal) is not fits


def test_a_name_and_type_that_do_not_fit_are_refused() -> None:
    odd = record(1, name="\x01" * 100, type="\x02" * 100)
    assert len(connect_payload(odd.report.name, odd.report.type)) > limits(1000).connect
    _, refused, _ = packed([record(0), odd, record(2)], limits(1000))
    assert refused.refusal.startswith("its name and type would not fit")


NAMES = st.sampled_from(["A", "B", 'quo"te', "Gerät", "\x01", "日本"])
KEYS = st.sampled_from(["t", "humidity", 'k"', "größe", "\n"])
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
VALUES = st.dictionaries(KEYS, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=5)
REPORTS = st.builds(
    StoredReport,
    integration=st.just("demo"),
    received_ms=st.just(RECEIVED_MS),
    principal=st.none(),
    kind=st.sampled_from(["device", "device", "device", "asset"]),
    name=NAMES,
    type=st.sampled_from(["default", "thermostat"]),
    customer=st.sampled_from([None, "C"]),
    group=st.sampled_from([None, "G"]),
    attributes=VALUES,
    telemetry=st.lists(st.tuples(st.integers(0, 10**12), VALUES), max_size=4),
)


@given(st.lists(REPORTS, max_size=30), st.integers(120, 700))
def test_unpacking_gives_each_device_what_was_packed_and_nothing_else(
    reports: list[StoredReport], most_bytes: int
) -> None:
    most = limits(most_bytes)
    parcels = packed([Record("s", 1, n, report) for n, report in enumerate(reports)], most)
    refused = {parcel.start for parcel in parcels if parcel.refusal}
    kept = [report for n, report in enumerate(reports) if n not in refused and report.kind == "device"]
    samples: dict[str, list[tuple[int, str, JsonValue]]] = defaultdict(list)
    attributes: dict[str, list[tuple[str, JsonValue]]] = defaultdict(list)
    for parcel in parcels:
        for kind, payload in parcel.messages:
            assert len(payload) <= (most.telemetry if kind is Kind.TELEMETRY else most.attributes)
            for name, told in orjson.loads(payload).items():
                assert told and name in parcel.devices
                if kind is Kind.TELEMETRY:
                    samples[name] += [(one["ts"], *pair) for one in told for pair in one["values"].items()]
                else:
                    attributes[name] += told.items()
    for name in {report.name for report in kept} | samples.keys() | attributes.keys():
        own = [report for report in kept if report.name == name]
        told_of = [(ts, *pair) for report in own for ts, values in report.telemetry for pair in values.items()]
        assert samples[name] == told_of
        assert_last_told(attributes[name], [pair for report in own for pair in report.attributes.items()])


def assert_last_told(told: list[tuple[str, JsonValue]], reported: list[tuple[str, JsonValue]]) -> None:
    """Each attribute's values came in their order, but that one which stays the same need not be told again."""
    for key in {key for key, _ in reported} | {key for key, _ in told}:
        assert without_repetitions(key, told) == without_repetitions(key, reported)


def without_repetitions(key: str, pairs: list[tuple[str, JsonValue]]) -> list[JsonValue]:
    found: list[JsonValue] = []
    for other, value in pairs:
        if other == key and not (found and same_json(found[-1], value)):
            found.append(value)
    return found


@given(st.lists(REPORTS, max_size=30), st.integers(120, 700))
def test_a_parcel_has_one_message_of_each_kind_unless_it_is_one_large_report(
    reports: list[StoredReport], most_bytes: int
) -> None:
    for parcel in packed([Record("s", 1, n, report) for n, report in enumerate(reports)], limits(most_bytes)):
        kinds = [message.kind for message in parcel.messages]
        assert kinds in ([], [Kind.TELEMETRY], [Kind.ATTRIBUTES], [Kind.TELEMETRY, Kind.ATTRIBUTES]) or (
            parcel.end == parcel.start + 1
        )
