"""Converters tried over HTTP: on payloads of every form, and on their example cases."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from gateway.converters.cases import CASE_PAYLOAD_BYTES_MAX, CASES_MAX
from gateway.model import Converter, ConverterCase, Language, Role
from tests.api.rig import DECODER, Api

BYTES = "return {deviceName: 'd', attributes: {bytes: Array.from(payload), metadata: metadata}};"


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def tried(api: Api, source: str = BYTES, payload: str = "SN-1", **more: Any) -> Any:
    request = {"language": "javascript", "source": source, "payload": payload, "payload_format": "text", **more}
    return api.ok("POST", "/converters/test", json=request)


@pytest.mark.parametrize(
    ("form", "payload", "expected", "content_format"),
    [
        ("text", "ü", "ü".encode(), "0"),
        ("json", '{"t": 1}', b'{"t": 1}', "50"),
        ("hex", "53 4e:2d", b"SN-", "42"),
        ("base64", "U04t", b"SN-", "42"),
        ("cbor", '{"t": 1}', b"\xa1\x61t\x01", "60"),
    ],
)
def test_a_payload_is_given_in_any_form(
    api: Api, form: str, payload: str, expected: bytes, content_format: str
) -> None:
    attributes = tried(api, payload=payload, payload_format=form)["output"]["attributes"]
    assert bytes(attributes["bytes"]) == expected
    assert attributes["metadata"]["Option:content-format"] == content_format


@pytest.mark.parametrize(
    ("form", "payload"),
    [("json", "{"), ("json", "[" * 100_000), ("hex", "5"), ("hex", "zz"), ("base64", "!"), ("cbor", "{"), ("xml", "")],
)
def test_a_payload_that_is_not_of_its_form_is_said_beside_the_field(api: Api, form: str, payload: str) -> None:
    request = {"language": "javascript", "source": BYTES, "payload": payload, "payload_format": form}
    assert api.fields("POST", "/converters/test", json=request) == ["payload_format" if form == "xml" else "payload"]


def test_metadata_is_that_of_an_uplink_with_what_is_given_over_it(api: Api) -> None:
    api.integration("meters", metadata={"site": "Berlin", "floor": "1"}, path_prefix="api")
    metadata = tried(
        api,
        integration="meters",
        metadata={"floor": "2"},
        content_format=7,
        principal="gw-7",
        principal_type="psk",
    )["output"]["attributes"]["metadata"]
    assert metadata["site"] == "Berlin"
    assert metadata["floor"] == "2"
    assert metadata["Option:uri"] == "/api/i/key-meters"
    assert metadata["Option:content-format"] == "7"
    assert metadata["pskIdentity"] == "gw-7"
    request = {"language": "javascript", "source": BYTES, "payload": "", "payload_format": "text", "integration": "x"}
    assert api.fields("POST", "/converters/test", json=request) == ["integration"]


def test_the_answer_has_the_reports_complete(api: Api) -> None:
    trial = tried(api, DECODER, metadata={"site": "B"})
    assert trial["error"] is None
    assert trial["duration_us"] > 0
    assert trial["reports"][0]["deviceName"] == "SN-1"
    assert trial["reports"][0]["telemetry"][0]["values"] == {"t": 1}


def test_a_failure_is_an_answer_with_its_place(api: Api) -> None:
    trial = tried(api, DECODER, "bad")
    assert trial["error"] == {"message": "Error: I don't like it (line 3, column 30)", "line": 3, "column": 30}
    assert (trial["output"], trial["reports"]) == (None, None)


def test_so_is_a_source_that_does_not_compile_and_a_result_that_is_none(api: Api) -> None:
    assert tried(api, "var a;\nvar = 1;")["error"]["line"] == 2
    trial = tried(api, "return 5;")
    assert trial["output"] == 5
    assert trial["error"]["message"]


def test_what_never_ends_is_ended(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "longer than 100 ms" in tried(api, "while (true) {}")["error"]["message"]
    monkeypatch.setattr("gateway.operations.converter_runs.TRY_S", 0.7)
    python = "def decode(payload, metadata):\n    while True: pass"
    assert "did not end" in tried(api, python, language="python")["error"]["message"]


def test_output_that_json_can_not_hold_is_named_or_replaced(api: Api) -> None:
    python = (
        "def decode(payload, metadata): return {'deviceName': 'd', 'a': '\\ud800', 'b': 1 << 80, 'c': float('inf')}"
    )
    output = tried(api, python, language="python")["output"]
    assert output["a"] == "\N{REPLACEMENT CHARACTER}"
    assert (output["b"], output["c"]) == ("<integer beyond 64 bits>", "<inf>")


def test_a_viewer_runs_nothing(api: Api) -> None:
    request = {"language": "python", "source": "", "payload": ""}
    assert api.problem("POST", "/converters/test", 403, json=request, role=Role.VIEWER)["type"] == "/problems/forbidden"
    api.problem("POST", "/converters/c/cases/run", 403, role=Role.VIEWER)


# -- example cases -------------------------------------------------------------------------------------


@pytest.fixture
def kept(api: Api) -> Api:
    with api.catalogue() as catalogue:
        catalogue.add_converter(Converter("c", Language.JAVASCRIPT, DECODER))
    return api


def test_a_case_is_kept_replaced_and_forgotten(kept: Api) -> None:
    case = {"payload": "SN-1", "payload_format": "text", "metadata": {"site": "B"}, "expected": {"deviceName": "x"}}
    made = kept.ok("PUT", "/converters/c/cases/a%2Fb", json=case)
    assert (made["name"], b64decode(made["payload"]), made["expected"]) == ("a/b", b"SN-1", {"deviceName": "x"})
    assert made["metadata"]["site"] == "B"
    assert kept.get("/converters/c/cases") == {"items": [made], "total": 1, "next": None}
    replaced = kept.ok("PUT", "/converters/c/cases/a%2Fb", json={**case, "expected": None})
    assert kept.get("/converters/c/cases")["items"] == [replaced]
    kept.ok("DELETE", "/converters/c/cases/a%2Fb")
    kept.problem("DELETE", "/converters/c/cases/a%2Fb", 404)


def test_what_comes_out_today_can_be_expected(kept: Api) -> None:
    case = {"payload": "SN-1", "payload_format": "text", "metadata": {"site": "B"}, "expect_current": True}
    made = kept.ok("PUT", "/converters/c/cases/one", json=case)
    assert made["expected"] == {"deviceName": "SN-1", "attributes": {"site": "B"}, "telemetry": {"t": 1}}
    assert kept.fields("PUT", "/converters/c/cases/two", json={**case, "payload": "bad"}) == ["expect_current"]
    assert kept.fields("PUT", "/converters/c/cases/two", json={**case, "expected": []}) == ["expect_current"]


@pytest.mark.parametrize("expected", [5, {"deviceName": 1}, {"deviceName": "x", "a": "y" * (1 << 18)}])
def test_what_no_decoder_may_return_can_not_be_expected(kept: Api, expected: Any) -> None:
    case = {"payload": "SN-1", "payload_format": "text", "expected": expected}
    assert kept.fields("PUT", "/converters/c/cases/one", json=case) == ["expected"]


def test_cases_have_bounds(kept: Api) -> None:
    case = {"payload": "00" * CASE_PAYLOAD_BYTES_MAX, "payload_format": "hex"}
    kept.ok("PUT", "/converters/c/cases/long", json=case)
    assert kept.fields("PUT", "/converters/c/cases/long", json={**case, "payload": case["payload"] + "00"}) == [
        "payload"
    ]
    cases = tuple(ConverterCase(f"c{n}", b"") for n in range(CASES_MAX - 1))
    with kept.catalogue() as catalogue:
        catalogue.update_converter("c", Converter("c", Language.JAVASCRIPT, DECODER, cases=cases))
    kept.ok("PUT", "/converters/c/cases/last", json={"payload": "", "payload_format": "text"})
    kept.problem("PUT", "/converters/c/cases/more", 422, json={"payload": "", "payload_format": "text"})
    assert kept.get("/converters/c/cases")["total"] == CASES_MAX


def test_cases_run_with_the_source_that_is_kept_or_with_another(kept: Api) -> None:
    case = {"payload": "SN-1", "payload_format": "text", "metadata": {"site": "B"}, "expect_current": True}
    kept.ok("PUT", "/converters/c/cases/one", json=case)
    (trial,) = kept.ok("POST", "/converters/c/cases/run")["items"]
    assert trial == {"case": "one", "passed": True, "error": None, "difference": []}
    other = kept.ok("POST", "/converters/c/cases/run", json={"source": "return {deviceName: 'other'};"})
    assert not other["items"][0]["passed"]
    assert other["items"][0]["difference"]
    broken = kept.ok("POST", "/converters/c/cases/run", json={"source": "var a;\nvar = 1;"})
    assert broken["error"]["line"] == 2
