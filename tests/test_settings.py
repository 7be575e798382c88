"""Settings: every bound, where values come from, and what a mistake looks like."""

import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.errors import ConfigurationError
from gateway.model import Security, SecurityMode
from gateway.settings import CredentialsType, LogFormat, RateLimit, Settings, load_settings, parse_rate_limits

EXAMPLE = Path(__file__).parents[1] / ".env.example"

BOUNDS: dict[str, tuple[int, int | None]] = {
    "COAP_BIND_PORT": (1, 65535),
    "COAP_TIMEOUT": (1, None),
    "COAP_PIGGYBACK_TIMEOUT": (1, None),
    "COAP_DTLS_BIND_PORT": (1, 65535),
    "COAP_DTLS_RETRANSMISSION_TIMEOUT_MS": (1, None),
    "COAP_DTLS_CONNECTION_ID_LENGTH": (0, 255),
    "COAP_DTLS_MAX_TRANSMISSION_UNIT": (64, 65507),
    "TB_COAP_X509_DTLS_SESSION_INACTIVITY_TIMEOUT": (1, None),
    "TB_COAP_X509_DTLS_SESSION_REPORT_TIMEOUT": (1, None),
    "TB_TRANSPORT_SSL_CERTIFICATE_RELOAD_CHECK_INTERVAL_SECONDS": (1, None),
    "GATEWAY_DTLS_SESSIONS": (1, None),
    "GATEWAY_DTLS_HANDSHAKES": (1, None),
    "GATEWAY_DTLS_HANDSHAKE_RATE": (1, None),
    "GATEWAY_DTLS_LOCKOUT_FAILURES": (0, None),
    "GATEWAY_DTLS_LOCKOUT_SECONDS": (1, None),
    "GATEWAY_WORKERS": (0, 256),
    "GATEWAY_MAX_BODY_BYTES": (1, 16 << 20),
    "GATEWAY_COMMIT_INTERVAL_MS": (0, 10_000),
    "GATEWAY_COMMIT_BATCH": (1, 65536),
    "GATEWAY_SPOOL_MAX_BYTES": (1 << 16, None),
    "GATEWAY_DEDUP_ENTRIES": (1024, None),
    "GATEWAY_BRIDGE_RATE": (1, None),
    "GATEWAY_HISTORY_DAYS": (0, None),
    "GATEWAY_HISTORY_ROWS": (0, None),
    "GATEWAY_QUARANTINE_ROWS": (0, None),
    "GATEWAY_QUARANTINE_BYTES": (1 << 16, None),
    "GATEWAY_EVENTS_ROWS": (1, 1_000_000),
    "GATEWAY_EVENTS_DAYS": (1, None),
    "GATEWAY_JAVASCRIPT_TIME_LIMIT_MS": (1, 10_000),
    "GATEWAY_JAVASCRIPT_MEMORY_LIMIT_BYTES": (1 << 20, 1 << 30),
    "GATEWAY_PYTHON_TIME_BUDGET_MS": (1, 10_000),
    "TB_MQTT_MAX_MESSAGE_BYTES": (1024, 16 << 20),
    "TB_MQTT_WINDOW": (2, 1000),
    "TB_MQTT_ACK_TIMEOUT_MS": (100, None),
    "TB_MQTT_KEEP_ALIVE_SECONDS": (5, 65_535),
    "TB_DEVICE_IDLE_SECONDS": (1, None),
    "GATEWAY_HTTP_SINK_MAX_BODY_BYTES": (1024, 64 << 20),
    "GATEWAY_HTTP_SINK_TIMEOUT_MS": (100, None),
    "GATEWAY_JSONL_SINK_MAX_BYTES": (1024, None),
    "GATEWAY_JSONL_SINK_FILES": (0, 1000),
    "GATEWAY_HTTP_BIND_PORT": (1, 65535),
    "GATEWAY_HTTP_SESSION_HOURS": (1, 8760),
    "GATEWAY_HTTP_LOCKOUT_FAILURES": (1, None),
    "GATEWAY_HTTP_LOCKOUT_SECONDS": (1, None),
}
"""The lowest and the highest value of each number; None: as high as one likes."""

CHOICES: dict[str, tuple[str, ...]] = {
    "COAP_SECURITY_MODE": ("NO SECURE", "DTLS", "MIXED"),
    "COAP_DTLS_MAX_FRAGMENT_LENGTH": ("0", "512", "1024", "2048", "4096"),
    "COAP_DTLS_CREDENTIALS_TYPE": ("PEM", "KEYSTORE"),
    "COAP_DTLS_KEY_STORE_TYPE": ("JKS", "PKCS12"),
    "COAP_DTLS_CLIENT_AUTH": ("NONE", "WANTED", "NEEDED"),
    "GATEWAY_LOG_LEVEL": ("DEBUG", "INFO", "WARNING", "ERROR"),
    "GATEWAY_LOG_FORMAT": ("text", "json"),
}

LOWEST = [(name, low) for name, (low, _) in BOUNDS.items()]
HIGHEST = [(name, high) for name, (_, high) in BOUNDS.items() if high is not None]


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the gateway is set, and the current folder is empty."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def value_of(variable: str) -> object:
    return getattr(load_settings(), variable.lower())


def mistakes() -> list[str]:
    """The lines that the settings as they stand are refused with."""
    with pytest.raises(ConfigurationError) as raised:
        load_settings()
    assert raised.value.exit_code == 78
    return raised.value.message.splitlines()


# -- bounds --------------------------------------------------------------------------------------


def test_every_number_has_its_bounds_in_this_test() -> None:
    numbers = {
        name.upper() for name, field in Settings.model_fields.items() if type(field.default) is int
    } - CHOICES.keys()
    assert numbers == BOUNDS.keys()


@pytest.mark.parametrize(("variable", "value"), LOWEST + HIGHEST)
def test_a_number_at_its_bound_is_taken(variable: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COAP_TIMEOUT", "60000")  # the commit interval must be below it
    monkeypatch.setenv(variable, str(value))
    assert value_of(variable) == value


@pytest.mark.parametrize(
    ("variable", "value"), [(name, low - 1) for name, low in LOWEST] + [(n, high + 1) for n, high in HIGHEST]
)
def test_a_number_beyond_its_bound_is_one_line_that_names_variable_value_and_bound(
    variable: str, value: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(value))
    low, high = BOUNDS[variable]
    bound = low if value < low else high
    (line,) = mistakes()
    assert re.fullmatch(rf"{variable}={value}: input should be (greater|less) than or equal to {bound}", line)


@pytest.mark.parametrize("variable", BOUNDS)
@pytest.mark.parametrize("value", ["many", "1.5", "0x10", "-"])
def test_what_is_no_number_is_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    (line,) = mistakes()
    assert line.startswith(f"{variable}={value}: ")
    assert "integer" in line


@pytest.mark.parametrize(("variable", "choice"), [(name, c) for name, cs in CHOICES.items() for c in cs])
def test_each_choice_is_taken(variable: str, choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, choice)
    assert str(value_of(variable)) == choice


@pytest.mark.parametrize("variable", CHOICES)
def test_anything_but_the_choices_is_refused_with_all_of_them(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "513")
    (line,) = mistakes()
    assert line.startswith(f"{variable}=513: ")
    assert all(choice in line for choice in CHOICES[variable])


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::", "::1", "2001:db8::1"])
@pytest.mark.parametrize("variable", ["COAP_BIND_ADDRESS", "COAP_DTLS_BIND_ADDRESS"])
def test_an_address_is_ipv4_or_ipv6(variable: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, address)
    assert value_of(variable) == address


def test_brackets_around_an_address_are_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COAP_BIND_ADDRESS", "[2001:DB8::1]")
    assert load_settings().coap_bind_address == "2001:db8::1"


@pytest.mark.parametrize("address", ["localhost", "256.0.0.1", "1.2.3", "0.0.0.0:5683"])
def test_a_host_name_is_no_bind_address(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COAP_BIND_ADDRESS", address)
    assert mistakes() == [f"COAP_BIND_ADDRESS={address}: must be an IPv4 or IPv6 address, such as 0.0.0.0 or ::"]


@pytest.mark.parametrize(
    "url", ["coap://gateway.example.com", "coap://gateway.example.com:5700", "coap://[2001:db8::1]:5700"]
)
def test_a_base_url_is_scheme_host_and_port(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BASE_URL", url)
    assert load_settings().gateway_base_url == url


@pytest.mark.parametrize(
    "url",
    ["gateway.example.com", "http://h", "coap://", "coap://h/path", "coap://h?q", "coap://h:0", "coap://h:65536"],
)
def test_anything_else_is_no_base_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_BASE_URL", url)
    assert mistakes() == [f"GATEWAY_BASE_URL={url}: must look like coap://host or coap://host:port"]


def test_rate_limits_are_pairs_of_count_and_seconds() -> None:
    assert parse_rate_limits("10:1, 300:60") == (
        RateLimit(count=10, seconds=1),
        RateLimit(count=300, seconds=60),
    )
    assert parse_rate_limits("") == ()


@pytest.mark.parametrize("limits", ["10", "10:", ":1", "0:1", "1:0", "-1:1", "1:1;2:2", "a:b"])
@pytest.mark.parametrize("variable", ["GATEWAY_INTEGRATION_RATE_LIMIT", "GATEWAY_DEVICE_RATE_LIMIT"])
def test_a_rate_limit_of_another_form_is_refused(variable: str, limits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, limits)
    assert mistakes() == [f"{variable}={limits}: must be COUNT:SECONDS pairs separated by commas, such as 10:1,300:60"]


# -- where values come from ----------------------------------------------------------------------


def test_every_mistake_gets_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COAP_BIND_PORT", "70000")
    monkeypatch.setenv("COAP_DTLS_ENABLED", "perhaps")
    Path(".env").write_text("GATEWAY_WORKERS=-1\n")
    lines = mistakes()
    assert [line.partition("=")[0] for line in lines] == [
        "COAP_BIND_PORT",
        "COAP_DTLS_ENABLED",
        "GATEWAY_WORKERS",
    ]


def test_the_defaults_are_thingsboards() -> None:
    settings = load_settings()
    assert settings.coap_bind_port == 5683
    assert settings.coap_dtls_bind_port == 5684
    assert settings.coap_dtls_credentials_type is CredentialsType.PEM
    assert settings.coap_dtls_key_store_password == SecretStr("server_ks_password")
    assert settings.gateway_log_format is LogFormat.TEXT


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(name.upper(), "")
    assert load_settings() == Settings.model_construct()


def test_dotenv_is_read_from_the_current_folder() -> None:
    Path(".env").write_text("COAP_BIND_PORT=5700 # moved\nCOAP_SECURITY_MODE=NO SECURE\n")
    settings = load_settings()
    assert settings.coap_bind_port == 5700
    assert settings.coap_security_mode is SecurityMode.NO_SECURE


def test_the_environment_outranks_dotenv(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("COAP_BIND_PORT=5700\nCOAP_TIMEOUT=5000\n")
    monkeypatch.setenv("COAP_BIND_PORT", "5800")
    settings = load_settings()
    assert (settings.coap_bind_port, settings.coap_timeout) == (5800, 5000)


def test_an_empty_variable_leaves_dotenv_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("COAP_BIND_PORT=5700\n")
    monkeypatch.setenv("COAP_BIND_PORT", "")
    assert load_settings().coap_bind_port == 5700


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("TB_QUEUE_TYPE=kafka\nSPRING_PROFILES_ACTIVE=x\n")
    monkeypatch.setenv("COAP_ENABLED", "maybe")
    assert load_settings() == Settings.model_construct()


def test_a_dotenv_that_is_not_utf_8_is_a_configuration_error() -> None:
    Path(".env").write_bytes("COAP_DTLS_KEY_ALIAS=schlüssel\n".encode("latin-1"))
    (line,) = mistakes()
    assert ".env" in line
    assert "UTF-8" in line


def test_secrets_are_not_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COAP_DTLS_KEY_STORE_PASSWORD", "hunter2")
    assert "hunter2" not in repr(load_settings())


# -- what follows from them ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "plain", "dtls"),
    [
        ({}, True, False),
        ({"COAP_DTLS_ENABLED": "true"}, True, True),
        ({"COAP_SERVER_ENABLED": "false"}, False, False),
        ({"COAP_SERVER_ENABLED": "false", "COAP_DTLS_ENABLED": "true"}, False, True),
        ({"COAP_SECURITY_MODE": "NO SECURE", "COAP_DTLS_ENABLED": "true"}, True, False),
        ({"COAP_SECURITY_MODE": "DTLS"}, False, True),
        ({"COAP_SECURITY_MODE": "MIXED", "COAP_SERVER_ENABLED": "false"}, True, True),
    ],
)
def test_the_security_mode_decides_which_listeners_run_and_without_it_the_switches_do(
    environment: dict[str, str], plain: bool, dtls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.plain_listener, settings.dtls_listener) == (plain, dtls)


@pytest.mark.parametrize(
    ("environment", "plain", "dtls"),
    [
        ({}, "coap://127.0.0.1", "coaps://127.0.0.1"),
        ({"COAP_BIND_PORT": "5700"}, "coap://127.0.0.1:5700", "coaps://127.0.0.1"),
        ({"COAP_BIND_ADDRESS": "192.0.2.1"}, "coap://192.0.2.1", "coaps://127.0.0.1"),
        ({"COAP_BIND_ADDRESS": "2001:db8::1"}, "coap://[2001:db8::1]", "coaps://127.0.0.1"),
        ({"GATEWAY_BASE_URL": "coap://g.example.com"}, "coap://g.example.com", "coaps://g.example.com"),
        ({"GATEWAY_BASE_URL": "coap://g:5700"}, "coap://g:5700", "coaps://g"),
        ({"GATEWAY_BASE_URL": "coap://[2001:db8::1]:5683"}, "coap://[2001:db8::1]", "coaps://[2001:db8::1]"),
    ],
)
def test_the_base_url_names_host_and_unusual_port(
    environment: dict[str, str], plain: str, dtls: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.base_url(Security.PLAIN) == plain
    assert settings.base_url(Security.DTLS) == dtls


def test_there_are_as_many_workers_as_cpus_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().workers == len(os.sched_getaffinity(0))
    monkeypatch.setenv("GATEWAY_WORKERS", "3")
    assert load_settings().workers == 3


# -- .env.example --------------------------------------------------------------------------------


def example_entries() -> dict[str, tuple[str, str]]:
    """Variable → (description, default) of `.env.example`."""
    found = re.findall(r"^# (.+)\n# ([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text(), flags=re.MULTILINE)
    assert len(found) == len({name for _, name, _ in found})
    return {name: (description, default) for description, name, default in found}


def test_the_example_has_every_variable_in_order_with_its_description() -> None:
    expected = [(name.upper(), field.description) for name, field in Settings.model_fields.items()]
    assert [(name, description) for name, (description, _) in example_entries().items()] == expected


def test_the_example_sets_nothing_as_it_stands() -> None:
    assert [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")] == []


def test_the_example_uncommented_gives_exactly_the_defaults() -> None:
    entries = example_entries()
    Path(".env").write_text("".join(f"{name}={default}\n" for name, (_, default) in entries.items()))
    assert load_settings() == Settings.model_construct()
    # What has a default is written out: an empty entry would pass the comparison above for every variable.
    assert {name.lower() for name, (_, default) in entries.items() if not default} == {
        name for name, field in Settings.model_fields.items() if field.default in (None, "")
    }


@pytest.mark.parametrize(
    ("ending", "unit"),
    [
        ("_MS", "in milliseconds"),
        ("_TIMEOUT", "in milliseconds"),
        ("_INTERVAL_SECONDS", "in seconds"),
        ("_DAYS", "in days"),
        ("_BODY_BYTES", "in bytes"),
        ("_LIMIT_BYTES", "in bytes"),
        ("_SPOOL_MAX_BYTES", "bytes"),
        ("_LENGTH", "in bytes"),
        ("_TRANSMISSION_UNIT", "in bytes"),
    ],
)
def test_every_time_and_size_says_its_unit(ending: str, unit: str) -> None:
    described = {name: text for name, (text, _) in example_entries().items() if name.endswith(ending)}
    assert described
    assert [name for name, text in described.items() if unit not in text] == []


@pytest.mark.parametrize(("interval", "right"), [("9999", True), ("10000", False)])
def test_a_commit_interval_must_leave_time_to_answer(
    monkeypatch: pytest.MonkeyPatch, interval: str, right: bool
) -> None:
    monkeypatch.setenv("GATEWAY_COMMIT_INTERVAL_MS", interval)
    monkeypatch.setenv("COAP_TIMEOUT", "10000")
    if right:
        assert load_settings().gateway_commit_interval_ms == 9999
    else:
        with pytest.raises(
            ConfigurationError, match="GATEWAY_COMMIT_INTERVAL_MS=10000: must be less than COAP_TIMEOUT"
        ):
            load_settings()
