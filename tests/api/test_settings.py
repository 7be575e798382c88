"""Settings over HTTP."""

from pathlib import Path

import pytest

from gateway.settings import Settings, load_settings
from tests.api.rig import Api


def test_every_setting_is_there_with_secrets_masked(tmp_path: Path) -> None:
    api = Api(tmp_path, coap_dtls_pem_key_password="correct horse")
    listed = api.get("/settings")
    assert listed["total"] == len(listed["items"]) == len(Settings.model_fields)
    found = {one["name"]: one for one in listed["items"]}
    assert found["COAP_DTLS_PEM_KEY_PASSWORD"]["value"] == "******"
    assert "correct horse" not in str(listed)
    assert found["COAP_BIND_PORT"]["value"] == 5683
    assert found["GATEWAY_DATA_DIR"]["value"] == str(tmp_path / "data")
    assert all(one["description"] for one in found.values())


def test_where_a_value_comes_from_is_told_though_the_gateway_passes_all_of_them_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("COAP_TIMEOUT=9000\n")
    given = load_settings().as_environment() | {"GATEWAY_DATA_DIR": str(tmp_path / "data"), "COAP_BIND_PORT": "5700"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    api = Api(tmp_path, coap_bind_port=5700, coap_timeout=9000)
    found = {one["name"]: one["source"] for one in api.get("/settings")["items"]}
    assert found["COAP_BIND_PORT"] == "environment"
    assert found["COAP_TIMEOUT"] == ".env"
    assert found["COAP_DTLS_BIND_PORT"] == "default"
