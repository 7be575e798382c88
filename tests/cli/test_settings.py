"""`gateway settings`."""

from gateway.settings import Settings
from tests.cli.conftest import Cli


def test_json_is_every_variable_with_value_source_and_description(cli: Cli) -> None:
    rows = cli.ok("settings", "--format", "json").json
    assert [row["name"] for row in rows] == [name.upper() for name in Settings.model_fields]
    assert all(list(row) == ["name", "value", "source", "description"] for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert by_name["COAP_BIND_PORT"] == {
        "name": "COAP_BIND_PORT",
        "value": 5683,
        "source": "default",
        "description": "UDP port of the plain listener",
    }
    assert by_name["COAP_SERVER_ENABLED"]["value"] is True
    assert by_name["COAP_SECURITY_MODE"]["value"] is None
    assert by_name["COAP_DTLS_PEM_CERT"]["value"] == "coapserver.pem"
    assert by_name["GATEWAY_LOG_FORMAT"]["value"] == "text"


def test_the_source_is_where_the_value_in_force_comes_from(cli: Cli) -> None:
    cli.write(".env", "COAP_BIND_PORT=5700\nCOAP_TIMEOUT=5000\ngateway_workers=2\nCOAP_BIND_ADDRESS=\n")
    cli.set(COAP_BIND_PORT="5800", COAP_TIMEOUT="", coap_piggyback_timeout="400")
    rows = {row["name"]: row for row in cli.ok("settings", "--format", "json").json}
    found = {name: (row["value"], row["source"]) for name, row in rows.items()}
    assert found["COAP_BIND_PORT"] == (5800, "environment")
    assert found["COAP_TIMEOUT"] == (5000, ".env")
    assert found["GATEWAY_WORKERS"] == (2, ".env")
    assert found["COAP_PIGGYBACK_TIMEOUT"] == (400, "environment")
    assert found["COAP_BIND_ADDRESS"] == ("0.0.0.0", "default")
    assert found["GATEWAY_DATA_DIR"] == (str(cli.data_dir), "environment")


def test_secrets_are_masked_whatever_they_are(cli: Cli) -> None:
    cli.set(COAP_DTLS_KEY_STORE_PASSWORD="hunter2", TB_ACCESS_TOKEN="hunter2")
    as_json = cli.ok("settings", "--format", "json")
    secrets = {row["name"]: row["value"] for row in as_json.json if row["value"] == "******"}
    assert secrets.keys() >= {"COAP_DTLS_KEY_STORE_PASSWORD", "COAP_DTLS_PEM_KEY_PASSWORD", "TB_ACCESS_TOKEN"}
    table = cli.ok("settings")
    for result in (as_json, table):
        assert "hunter2" not in result.out
        assert "server_key_password" not in result.out
    assert "••••••" in table.out


def test_the_table_has_a_line_for_each_variable_that_is_not_cut(cli: Cli) -> None:
    lines = cli.ok("settings").out.splitlines()
    assert len(lines) == 2 + len(Settings.model_fields)
    cells = [line.split(maxsplit=3) for line in lines if line.startswith("COAP_SERVER_ENABLED ")]
    assert [[*cell[:3], cell[3].strip()] for cell in cells] == [
        ["COAP_SERVER_ENABLED", "true", "default", "The plain CoAP listener"]
    ]
