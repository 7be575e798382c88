"""Integrations over HTTP."""

from pathlib import Path
from typing import Any

import pytest

from gateway.integrations.debug_mode import ALL_LASTS_MS
from gateway.model import Converter, Language, SecurityMode
from tests.api.rig import Api


@pytest.fixture
def api(tmp_path: Path) -> Api:
    api = Api(tmp_path, coap_security_mode="MIXED", gateway_base_url="coap://gw.example")
    with api.catalogue() as catalogue:
        catalogue.add_converter(Converter("c", Language.JAVASCRIPT, "return [];"))
    return api


def created(api: Api, name: str = "meters", **fields: Any) -> Any:
    return api.ok("POST", "/integrations", json={"name": name, "converter": "c", **fields})


def test_one_is_made_with_all_that_can_be_said_and_comes_back_so(api: Api) -> None:
    new: dict[str, Any] = {
        "routing_key": "k-1",
        "security_mode": "MIXED",
        "path_prefix": "api/v2",
        "metadata": {"site": "Berlin"},
        "identity_binding": "{name}-*",
        "require_principal": True,
        "debug": "failures",
        "enabled": False,
    }
    made = created(api, **new)
    assert made == {
        "name": "meters",
        "converter": "c",
        **new,
        "debug_until_ts": None,
        "endpoints": ["coap://gw.example/api/v2/i/k-1", "coaps://gw.example/api/v2/i/k-1"],
    }
    assert api.get("/integrations/meters") == made
    assert api.get("/integrations") == {"items": [made], "total": 1, "next": None}


def test_what_is_left_out_is_as_the_command_line_has_it(api: Api) -> None:
    made = created(api)
    assert (made["security_mode"], made["identity_binding"], made["debug"]) == ("NO SECURE", "none", "off")
    assert made["enabled"]
    assert len(made["routing_key"]) == 36


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", " padded"),
        ("name", "n" * 256),
        ("converter", "nobody"),
        ("routing_key", "a b"),
        ("path_prefix", "/api"),
        ("path_prefix", ".well-known"),
        ("security_mode", "NONE"),
        ("identity_binding", "x"),
        ("metadata", {"": "x"}),
        ("metadata", {f"k{n}": "" for n in range(1001)}),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(api: Api, field: str, value: Any) -> None:
    new = {"name": "meters", "converter": "c", field: value}
    assert api.fields("POST", "/integrations", json=new) == [field]
    created(api)
    assert api.fields("PATCH", "/integrations/meters", json={field: value}) == [field]


def test_a_security_mode_that_no_listener_carries_is_refused(tmp_path: Path) -> None:
    api = Api(tmp_path, coap_security_mode="NO SECURE")
    api.integration("c")
    assert api.fields("POST", "/integrations", json={"name": "n", "converter": "c", "security_mode": "DTLS"}) == [
        "security_mode"
    ]


def test_a_name_and_a_routing_key_belong_to_one(api: Api) -> None:
    created(api, routing_key="k")
    assert api.fields("POST", "/integrations", json={"name": "meters", "converter": "c"}) == ["name"]
    new = {"name": "other", "converter": "c", "routing_key": "k"}
    assert api.fields("POST", "/integrations", json=new) == ["routing_key"]


def test_a_change_leaves_the_rest(api: Api) -> None:
    made = created(api, metadata={"site": "Berlin"})
    changed = api.ok("PATCH", "/integrations/meters", json={"name": "gauges", "metadata": {"a": "b"}, "enabled": None})
    assert changed == {**made, "name": "gauges", "metadata": {"a": "b"}}
    api.problem("GET", "/integrations/meters", 404)


def test_switching_off_works_for_what_the_settings_do_not_allow_any_more(tmp_path: Path) -> None:
    api = Api(tmp_path, coap_security_mode="NO SECURE")
    api.integration("old", security_mode=SecurityMode.DTLS)
    assert not api.ok("PATCH", "/integrations/old", json={"enabled": False})["enabled"]
    assert api.fields("PATCH", "/integrations/old", json={"enabled": True}) == ["security_mode"]


def test_debugging_of_all_ends_by_itself(api: Api) -> None:
    created(api)
    changed = api.ok("POST", "/integrations/meters/debug", json={"mode": "all"})
    assert changed["debug"] == "all"
    assert changed["debug_until_ts"] > ALL_LASTS_MS
    changed = api.ok("POST", "/integrations/meters/debug", json={"mode": "failures"})
    assert (changed["debug"], changed["debug_until_ts"]) == ("failures", None)
    assert api.fields("POST", "/integrations/meters/debug", json={"mode": "loud"}) == ["mode"]


def test_deleted_it_is_gone(api: Api) -> None:
    created(api)
    assert api.ok("DELETE", "/integrations/meters") is None
    api.problem("DELETE", "/integrations/meters", 404)
    assert api.get("/integrations")["items"] == []


def test_names_may_have_slashes_and_spaces_in_them(api: Api) -> None:
    made = created(api, name="plant 1/hall ü")
    path = "/integrations/plant%201%2Fhall%20%C3%BC"
    assert api.get(path) == made
    assert api.get(f"{path}/commands")["items"]
    api.ok("DELETE", path)


def test_a_list_goes_on_where_it_ended(api: Api) -> None:
    for n in range(5):
        created(api, name=f"i{n}")
    first = api.get("/integrations", limit=2)
    assert ([one["name"] for one in first["items"]], first["total"], first["next"]) == (["i0", "i1"], 5, 2)
    last = api.get("/integrations", limit=2, offset=4)
    assert ([one["name"] for one in last["items"]], last["next"]) == (["i4"], None)
    assert api.get("/integrations", offset=9)["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "limit=x", f"offset={1 << 63}"])
def test_a_list_has_bounds(api: Api, query: str) -> None:
    assert api.fields("GET", f"/integrations?{query}") == [query.partition("=")[0]]


def test_commands_try_each_way_in(api: Api) -> None:
    created(api, routing_key="k", security_mode="MIXED")
    found = api.get("/integrations/meters/commands")["items"]
    assert [(one["credential"], one["tool"]) for one in found] == [
        ("none", "coap-client"),
        ("none", "gateway"),
        ("psk", "coap-client"),
        ("psk", "gateway"),
        ("x509", "coap-client"),
        ("x509", "gateway"),
    ]
    assert found[0]["command"] == (
        "coap-client-notls -m post -e 'SN-001,default,temperature,25.7,humidity,69' coap://gw.example/i/k"
    )
    assert "-u IDENTITY -k KEY" in found[2]["command"]
    assert "--cert client.pem --key client_key.pem --ca ca.pem" in found[5]["command"]
    assert all(one["url"] in one["command"] for one in found)


def test_commands_are_of_the_device_and_identity_that_are_asked_for(api: Api) -> None:
    created(api, security_mode="DTLS", identity_binding="name")
    assert "NAME-OF-THE-DEVICE" in api.get("/integrations/meters/commands")["items"][0]["command"]
    found = api.get("/integrations/meters/commands", identity="it's", device="SN-7")["items"]
    assert found[0]["command"].startswith("""coap-client-openssl -m post -u 'it'"'"'s' -k KEY -e 'SN-7,""")
