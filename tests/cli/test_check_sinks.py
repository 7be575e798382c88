"""What `gateway check` finds out of sinks: by connecting to them, or by asking the gateway that runs."""

import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli import check_sinks
from gateway.operations.sinks import wanted_sinks
from gateway.settings import Settings
from gateway.supervisor import LOCK_FILE
from tests.brokers import Broker, BrokerOptions, Certificates
from tests.cli.conftest import Cli
from tests.cli.test_spool import answering, told
from tests.mqtt_packets import NOT_AUTHORIZED
from tests.ports import free_port, free_tcp_port
from tests.scripted_mqtt import ScriptedServer

SERVER_BUSY = 0x89


@pytest.fixture
def server(cli: Cli) -> Iterator[ScriptedServer]:
    """A server that is set as ThingsBoard."""
    cli.set(COAP_BIND_PORT=str(free_port()), TB_HOST="127.0.0.1", TB_ACCESS_TOKEN="t")
    with ScriptedServer() as serving:
        cli.set(TB_PORT=str(serving.port))
        yield serving


@pytest.fixture
def running(cli: Cli) -> Iterator[None]:
    """A gateway holds the data directory's lock."""
    cli.data_dir.mkdir()
    with (cli.data_dir / LOCK_FILE).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def about_sinks(cli: Cli, *, code: int) -> list[str]:
    """The lines about sinks, each with its cure."""
    result = cli("check")
    assert result.code == code, result
    lines = result.out.splitlines()
    first = next(index for index, line in enumerate(lines) if line[1:].startswith((" sink ", " sinks:")))
    return lines[first:]


def test_without_sinks_there_is_nothing_to_say(cli: Cli) -> None:
    cli.set(COAP_BIND_PORT=str(free_port()))
    assert not [line for line in cli.ok("check").out.splitlines() if line[1:].startswith(" sink")]


def test_a_receiver_that_lets_us_in_is_a_tick_and_gets_nothing(cli: Cli, server: ScriptedServer) -> None:
    assert about_sinks(cli, code=0) == [f"√ sink thingsboard: mqtt://127.0.0.1:{server.port} lets us in"]
    (session,) = server.sessions
    assert session.messages == []
    assert not cli.data_dir.exists()


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_refused_credentials_fail(cli: Cli, server: ScriptedServer, version: str) -> None:
    server.welcome = lambda connect: NOT_AUTHORIZED[connect.version]
    cli.set(TB_MQTT_VERSION=version)
    line, cure = about_sinks(cli, code=78)
    where = f"mqtt://127.0.0.1:{server.port}"
    assert line.startswith(f"x sink thingsboard, refused: {where}: it does not accept our credentials")
    assert "TB_ACCESS_TOKEN" in cure


def test_a_receiver_that_is_not_there_is_a_warning_for_the_gateway_runs_without(cli: Cli) -> None:
    port = free_tcp_port()
    cli.set(COAP_BIND_PORT=str(free_port()), TB_HOST="127.0.0.1", TB_PORT=str(port), TB_ACCESS_TOKEN="t")
    line, cure = about_sinks(cli, code=0)
    assert line.startswith(f"~ sink thingsboard, unreachable: mqtt://127.0.0.1:{port}: ")
    assert "TB_HOST" in cure


def test_a_receiver_that_wants_us_later_is_a_warning(cli: Cli, server: ScriptedServer) -> None:
    server.welcome = lambda connect: SERVER_BUSY
    assert about_sinks(cli, code=0)[0].startswith("~ sink thingsboard, busy: ")


def test_a_receiver_that_says_nothing_is_left_in_time(
    cli: Cli, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_sinks, "CONNECT_S", 0.3)
    server.welcome = lambda connect: None
    began_s = time.monotonic()
    assert about_sinks(cli, code=0)[0].startswith("~ sink thingsboard, silent: ")
    assert time.monotonic() - began_s < 5


def test_a_certificate_that_is_not_trusted_fails_and_so_does_a_file_that_is_missing(cli: Cli, tmp_path: Path) -> None:
    own, other = Certificates(tmp_path / "own"), Certificates(tmp_path / "other")
    cli.set(COAP_BIND_PORT=str(free_port()), TB_HOST="127.0.0.1", TB_ACCESS_TOKEN="t")
    with Broker(tmp_path / "broker", BrokerOptions(certificates=own)) as broker:
        cli.set(TB_PORT=str(broker.port), TB_CA_FILE=str(other.ca))
        line, cure = about_sinks(cli, code=78)
        assert line.startswith("x sink thingsboard, untrusted: ")
        assert "TB_CA_FILE" in cure
        cli.set(TB_CA_FILE=str(own.ca))
        assert about_sinks(cli, code=0) == [f"√ sink thingsboard: mqtts://127.0.0.1:{broker.port} lets us in"]
        cli.set(TB_CA_FILE="missing.pem")
        line, _ = about_sinks(cli, code=78)
        assert line.startswith(
            f"x sink thingsboard, misconfigured: mqtts://127.0.0.1:{broker.port}: TB_CA_FILE=missing"
        )


def test_settings_that_make_no_sink_fail_and_the_others_are_still_tried(cli: Cli, server: ScriptedServer) -> None:
    cli.set(TB_USERNAME="u", GATEWAY_JSONL_SINK_PATH="out.jsonl")
    thingsboard, _, jsonl = about_sinks(cli, code=78)
    assert thingsboard.startswith("x sink thingsboard, misconfigured: TB_ACCESS_TOKEN and TB_USERNAME")
    assert jsonl == "√ sink jsonl: out.jsonl lets us in"
    assert server.sessions == []


def test_the_gateway_that_runs_is_asked_instead_of_pushed_out(cli: Cli, server: ScriptedServer, running: None) -> None:
    destination = f"mqtt://127.0.0.1:{server.port}"
    with answering(cli.data_dir, told("devices"), told("thingsboard", destination=destination, waiting_uplinks=1500)):
        assert about_sinks(cli, code=0) == [
            f"√ sink thingsboard: {destination}, connected by the gateway that runs; 1,500 uplinks wait"
        ]
    assert server.sessions == []


@pytest.mark.parametrize(
    ("trouble", "mark", "code"),
    [
        *((trouble, "x", 78) for trouble in ("refused", "untrusted", "misconfigured")),
        *((trouble, "~", 0) for trouble in ("unreachable", "busy", "silent")),
    ],
)
def test_the_trouble_of_the_gateway_that_runs_counts_as_ones_own(
    cli: Cli, server: ScriptedServer, running: None, trouble: str, mark: str, code: int
) -> None:
    error = {"trouble": trouble, "message": "so it is", "hint": "do this", "ts": 1}
    destination = f"mqtt://127.0.0.1:{server.port}"
    with answering(cli.data_dir, told("thingsboard", destination=destination, state=trouble, last_error=error)):
        line, cure = about_sinks(cli, code=code)
    assert line == f"{mark} sink thingsboard, {trouble}: {destination}: so it is; 0 uplinks wait"
    assert cure == "    do this"


def test_a_gateway_that_runs_with_other_settings_is_told_of(cli: Cli, server: ScriptedServer, running: None) -> None:
    cli.set(GATEWAY_JSONL_SINK_PATH="out.jsonl")
    with answering(cli.data_dir, told("devices"), told("thingsboard", destination="mqtt://other:1883")):
        thingsboard, cure, jsonl, _ = about_sinks(cli, code=0)
    assert thingsboard.startswith("~ sink thingsboard: the gateway that runs does not deliver to mqtt://127.0.0.1:")
    assert thingsboard.endswith(", but to mqtt://other:1883")
    assert "restart" in cure
    assert jsonl == "~ sink jsonl: the gateway that runs does not deliver to out.jsonl"


def test_a_gateway_that_is_just_starting_is_a_warning(cli: Cli, server: ScriptedServer, running: None) -> None:
    assert about_sinks(cli, code=0)[0] == "~ sinks: the gateway that runs does not answer yet"


def test_the_host_of_a_sink_that_is_looked_at_keeps_nothing(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, gateway_data_dir=tmp_path, tb_host="tb.example", tb_access_token="t")
    (wanted,) = wanted_sinks(settings)
    assert (wanted.name, wanted.destination, wanted.error) == ("thingsboard", "mqtt://tb.example:1883", None)
    assert list(tmp_path.iterdir()) == []
