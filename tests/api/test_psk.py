"""Pre-shared keys over HTTP: a key comes out at most once."""

import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.credentials.keyfile import KeyFile
from gateway.credentials.psk import PskSealer
from gateway.model import Role
from tests.api.rig import Api


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def kept_key(api: Api, identity: str) -> bytes:
    with api.catalogue() as catalogue:
        sealed = catalogue.credentials.psk(identity)
    assert sealed is not None
    return PskSealer(KeyFile.load(api.settings.key_file)).open(identity, sealed)


def test_a_generated_key_is_shown_once_and_is_the_one_that_is_kept(api: Api) -> None:
    made = api.ok("POST", "/psk", json={"identity": "gw-7"})
    assert made["key"].encode() == bytes.fromhex(made["key_hex"]) == kept_key(api, "gw-7")
    assert (made["replaced"], made["weak"]) == (False, False)
    listed = api.get("/psk")
    assert listed["items"] == [{"identity": "gw-7", "added_ts": listed["items"][0]["added_ts"]}]
    assert made["key"] not in str(listed)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"key": "0123456789abcdef"}, b"0123456789abcdef"),
        ({"key_hex": "00:ff 01 02 03 04 05 06"}, b"\0\xff\1\2\3\4\5\6"),
    ],
)
def test_a_key_that_is_given_is_kept_and_not_given_back(api: Api, given: dict[str, str], key: bytes) -> None:
    made = api.ok("POST", "/psk", json={"identity": "gw-7", **given})
    assert (made["key"], made["key_hex"]) == (None, None)
    assert made["weak"] == (len(key) < 16)
    assert kept_key(api, "gw-7") == key


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"identity": ""}, "identity"),
        ({"identity": "a\\b"}, "identity"),
        ({"identity": "i" * 129}, "identity"),
        ({"key": "tiny"}, "key"),
        ({"key": "k" * 65}, "key"),
        ({"key_hex": "zz"}, "key_hex"),
        ({"key": "0123456789abcdef", "key_hex": "00"}, "key_hex"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_without_the_key(
    api: Api, given: dict[str, str], field: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    refusal = api.problem("POST", "/psk", 422, json={"identity": "gw-7", **given})
    assert [error["field"] for error in refusal["errors"]] == [field]
    for secret in ("tiny", "k" * 65, "zz", "0123456789abcdef"):
        assert secret not in str(refusal)
        assert secret not in caplog.text


def test_a_key_is_replaced_only_where_that_is_asked_for(api: Api) -> None:
    api.ok("POST", "/psk", json={"identity": "gw-7"})
    assert api.fields("POST", "/psk", json={"identity": "gw-7"}) == ["identity"]
    made = api.ok("POST", "/psk", json={"identity": "gw-7", "replace": True})
    assert made["replaced"]
    assert kept_key(api, "gw-7") == made["key"].encode()


def test_identities_are_listed_searched_and_removed(api: Api) -> None:
    for n in range(5):
        api.ok("POST", "/psk", json={"identity": f"plant/{n}"})
    page = api.get("/psk", limit=2)
    assert ([one["identity"] for one in page["items"]], page["next"]) == (["plant/0", "plant/1"], "plant/1")
    page = api.get("/psk", limit=3, after=page["next"])
    assert ([one["identity"] for one in page["items"]], page["next"]) == (["plant/2", "plant/3", "plant/4"], None)
    assert len(api.get("/psk", search="t/3")["items"]) == 1
    api.ok("DELETE", "/psk/plant%2F3")
    assert api.get("/psk", search="t/3")["items"] == []
    api.problem("DELETE", "/psk/plant%2F3", 404)


def test_a_viewer_makes_and_removes_none(api: Api) -> None:
    api.problem("POST", "/psk", 403, json={"identity": "gw-7"}, role=Role.VIEWER)
    api.problem("DELETE", "/psk/gw-7", 403, role=Role.VIEWER)


def test_a_key_file_that_is_lost_is_a_matter_of_configuration(api: Api) -> None:
    api.ok("POST", "/psk", json={"identity": "gw-7"})
    api.settings.key_file.unlink()
    refusal: Any = api.problem("POST", "/psk", 409, json={"identity": "gw-8"})
    assert "key file" in refusal["detail"]
