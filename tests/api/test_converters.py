"""Converters over HTTP: made, replaced, imported, exported."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.api.paging import LIMIT_MAX
from gateway.api.routes.converters import IMPORTED_MAX
from gateway.model import Converter, Language, Role
from tests.api.rig import DECODER, Api

TBEL = "var r = {deviceName: decodeToString(payload), telemetry: {a: 1}}; return r;"


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def created(api: Api, name: str = "c", source: str = DECODER, language: str = "javascript", **more: Any) -> Any:
    return api.ok("POST", "/converters", json={"name": name, "language": language, "source": source, **more})


def exported(name: str, source: str = TBEL, **more: Any) -> dict[str, Any]:
    """A converter as ThingsBoard exports it."""
    configuration = {"scriptLang": "TBEL", "tbelDecoder": source, "decoder": "", "updateOnlyKeys": ["model"]}
    return {"name": name, "type": "UPLINK", "configuration": configuration, **more}


def test_one_is_made_and_comes_back(api: Api) -> None:
    made = created(api, update_only_keys=["model", "model"])
    assert made == {
        "name": "c",
        "language": "javascript",
        "source": DECODER,
        "update_only_keys": ["model"],
        "cases": [],
    }
    assert api.get("/converters/c") == made


def test_a_list_says_who_uses_them_and_has_no_sources(api: Api) -> None:
    api.integration("meters")
    created(api, "unused", "return [];")
    listed = api.get("/converters")
    assert listed["items"] == [
        {
            "name": "meters",
            "language": "javascript",
            "lines": len(DECODER.splitlines()),
            "case_count": 0,
            "used_by": ["meters"],
        },
        {"name": "unused", "language": "javascript", "lines": 1, "case_count": 0, "used_by": []},
    ]
    assert api.get("/converters", limit=1)["next"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("language", "cobol"),
        ("source", "return {"),
        ("update_only_keys", [""]),
        ("update_only_keys", ["k" * 256]),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(api: Api, field: str, value: Any) -> None:
    new = {"name": "c", "language": "javascript", "source": "return [];", field: value}
    assert api.fields("POST", "/converters", json=new) == [field]
    assert api.get("/converters")["total"] == 0


@pytest.mark.parametrize("name", ["c/cases/b", "c/cases", "c/export", "c/commands/x", "c/debug"])
def test_a_name_that_a_path_would_take_for_another_ones_case_is_refused(api: Api, name: str) -> None:
    new = {"name": name, "language": "javascript", "source": "return [];"}
    assert api.fields("POST", "/converters", json=new) == ["name"]
    made = api.ok("POST", "/converters", json={**new, "name": name.replace("/", "/the ")})["name"]
    path = f"/converters/{quote(made, safe='')}"
    assert api.fields("PUT", path, json={"source": "return [];", "name": name}) == ["name"]


@pytest.mark.parametrize("case", ["a/cases", "a/cases/b", "a/export/b", "debug/commands"])
def test_a_case_with_such_a_name_is_refused_too(api: Api, case: str) -> None:
    created(api)
    given = {"payload": "SN-1", "payload_format": "text"}
    problem = api.problem("PUT", f"/converters/c/cases/{quote(case, safe='')}", 422, json=given)
    assert [error["field"] for error in problem["errors"]] == ["name"]
    assert "a name has no /cases" in problem["hint"]
    assert api.get("/converters/c")["cases"] == []


def test_a_syntax_error_is_refused_with_its_line(api: Api) -> None:
    new = {"name": "c", "language": "javascript", "source": "var a;\nvar = 1;"}
    assert "line 2" in api.problem("POST", "/converters", 422, json=new)["detail"]


def test_a_module_in_python_that_never_ends_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.operations.converter_runs.CASES_S", 0.7)
    new = {"name": "c", "language": "python", "source": "while True: pass"}
    assert "did not end" in api.problem("POST", "/converters", 422, json=new)["detail"]


def test_a_name_belongs_to_one(api: Api) -> None:
    created(api)
    new = {"name": "c", "language": "javascript", "source": "return [];"}
    assert api.fields("POST", "/converters", json=new) == ["name"]


def test_a_source_is_replaced_and_the_rest_stays(api: Api) -> None:
    made = created(api, update_only_keys=["model"])
    changed = api.ok("PUT", "/converters/c", json={"source": "return [];"})
    assert changed == {**made, "source": "return [];"}
    changed = api.ok("PUT", "/converters/c", json={"source": TBEL, "language": "tbel", "name": "d"})
    assert (changed["name"], changed["language"]) == ("d", "tbel")
    api.problem("GET", "/converters/c", 404)
    assert api.fields("PUT", "/converters/d", json={"source": "return {", "language": "javascript"}) == ["source"]
    api.problem("PUT", "/converters/nobody", 404, json={"source": "return [];"})


def test_a_renamed_one_keeps_its_integrations_and_cases(api: Api) -> None:
    api.integration("meters")
    created(api, "taken")
    api.ok("PUT", "/converters/meters/cases/one", json={"payload": "SN-1", "payload_format": "text"})
    assert api.fields("PUT", "/converters/meters", json={"source": DECODER, "name": "taken"}) == ["name"]
    assert api.fields("PUT", "/converters/meters", json={"source": DECODER, "name": ""}) == ["name"]
    assert api.get("/integrations/meters")["converter"] == "meters"
    renamed = api.ok("PUT", "/converters/meters", json={"source": DECODER, "name": "plant 1/meters"})
    assert ([one["name"] for one in renamed["cases"]], renamed["name"]) == (["one"], "plant 1/meters")
    assert api.get("/converters/plant%201%2Fmeters") == renamed
    assert api.get("/integrations/meters")["converter"] == "plant 1/meters"
    api.problem("GET", "/converters/meters", 404)


def test_until_it_is_renamed_a_hint_calls_it_as_it_is_called(api: Api) -> None:
    created(api)
    api.ok("PUT", "/converters/c/cases/one", json={"payload": "SN-1", "payload_format": "text", "expect_current": True})
    other = {"source": "return {deviceName: 'other'};", "name": "d"}
    assert "gateway converter test c " in api.problem("PUT", "/converters/c", 422, json=other)["hint"]


def test_some_are_found_by_a_part_of_their_name(api: Api) -> None:
    for name in ("Straße 1", "street_2", "street 3"):
        created(api, name, "return [];")
    assert [one["name"] for one in api.get("/converters", search="STRASSE")["items"]] == ["Straße 1"]
    assert [one["name"] for one in api.get("/converters", search="t_")["items"]] == ["street_2"]
    page = api.get("/converters", search="street", limit=1)
    assert ([one["name"] for one in page["items"]], page["total"], page["next"]) == (["street 3"], 2, 1)
    assert api.get("/converters", search="%") == {"items": [], "total": 0, "next": None}


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_a_list_goes_on_where_an_answer_is_full(api: Api, beyond: int) -> None:
    with api.catalogue() as catalogue:
        for number in range(LIMIT_MAX + beyond):
            catalogue.add_converter(Converter(f"c-{number:04}", Language.JAVASCRIPT, "return [];"))
    page = api.get("/converters", limit=LIMIT_MAX)
    assert (len(page["items"]), page["total"]) == (min(LIMIT_MAX, LIMIT_MAX + beyond), LIMIT_MAX + beyond)
    assert page["next"] == (LIMIT_MAX if beyond > 0 else None)
    if beyond > 0:
        rest = api.get("/converters", limit=LIMIT_MAX, offset=page["next"])
        assert ([one["name"] for one in rest["items"]], rest["next"]) == ([f"c-{LIMIT_MAX}"], None)


def test_a_source_that_fails_an_example_is_refused_unless_forced(api: Api) -> None:
    created(api)
    case = {"payload": "SN-1", "payload_format": "text", "expect_current": True}
    api.ok("PUT", "/converters/c/cases/one", json=case)
    other = {"source": "return {deviceName: 'other'};"}
    refusal = api.problem("PUT", "/converters/c", 422, json=other)
    assert "case 'one' fails" in refusal["detail"]
    assert api.ok("PUT", "/converters/c", json={**other, "force": True})["source"] == other["source"]


def test_one_that_is_used_is_not_deleted(api: Api) -> None:
    api.integration("meters")
    assert "meters" in api.problem("DELETE", "/converters/meters", 422)["detail"]
    created(api)
    api.ok("DELETE", "/converters/c")
    api.problem("DELETE", "/converters/c", 404)


# -- ThingsBoard's files -------------------------------------------------------------------------------


def test_what_thingsboard_exports_is_taken_over_and_told_what_is_left_out(api: Api) -> None:
    done = api.ok("POST", "/converters/import", json=exported("tb", debugMode=True))
    (one,) = done["items"]
    assert (one["converter"]["name"], one["converter"]["language"], one["replaced"]) == ("tb", "tbel", False)
    assert one["converter"]["update_only_keys"] == ["model"]
    assert "debug settings" in one["notes"][0]
    assert api.get("/converters/tb")["source"] == TBEL


def test_an_export_is_taken_over_elsewhere_as_it_was(api: Api) -> None:
    created(api, "plant/1", TBEL, "tbel")
    api.ok("PUT", "/converters/plant%2F1/cases/one", json={"payload": "a", "payload_format": "text"})
    response = api.call("GET", "/converters/plant%2F1/export", role=Role.VIEWER)
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"plant_1.json\"; filename*=UTF-8''plant%2F1.json"
    )
    kept = api.get("/converters/plant%2F1")
    api.ok("DELETE", "/converters/plant%2F1")
    done = api.ok("POST", "/converters/import", json=json.loads(response.content))
    assert done["items"][0]["converter"] == kept


def test_one_that_is_there_is_replaced_only_where_that_is_asked_for(api: Api) -> None:
    created(api, "tb")
    assert "exists already" in api.problem("POST", "/converters/import", 422, json=exported("tb"))["detail"]
    done = api.ok("POST", "/converters/import?replace=true", json=exported("tb"))
    assert done["items"][0]["replaced"]
    done = api.ok("POST", "/converters/import?name=other", json=exported("tb"))
    assert done["items"][0]["converter"]["name"] == "other"


def test_of_several_all_are_taken_or_none(api: Api) -> None:
    refusal = api.problem("POST", "/converters/import", 422, json=[exported("a"), exported("b", "return {{;")])
    assert "converter b" in refusal["detail"]
    assert api.get("/converters")["total"] == 0
    assert len(api.ok("POST", "/converters/import", json=[exported("a"), exported("b")])["items"]) == 2


def test_a_file_has_bounds(api: Api) -> None:
    many = [exported(f"c{n}", "return [];") for n in range(IMPORTED_MAX + 1)]
    assert "at most" in api.problem("POST", "/converters/import", 422, json=many)["hint"]
    assert len(api.ok("POST", "/converters/import", json=many[:-1])["items"]) == IMPORTED_MAX


@pytest.mark.parametrize("document", [None, 1, [], {}, {"name": "x"}, "text", [[]], {"data": []}])
def test_what_is_no_converter_is_refused(api: Api, document: Any) -> None:
    api.problem("POST", "/converters/import", 422, json=document)


def test_python_has_no_file_of_thingsboard(api: Api) -> None:
    created(api, "p", "def decode(payload, metadata): return []", "python")
    assert "python" in api.problem("GET", "/converters/p/export", 422)["detail"]
