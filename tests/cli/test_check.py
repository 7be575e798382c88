"""`gateway check`."""

import fcntl
import socket
import sqlite3
from collections.abc import Iterator
from itertools import pairwise

import pytest

from gateway.supervisor import LOCK_FILE
from tests.cli.conftest import Cli
from tests.ports import free_port


@pytest.fixture
def port(cli: Cli) -> int:
    """A free port, which the settings name."""
    found = free_port("0.0.0.0")
    cli.set(COAP_BIND_PORT=str(found))
    return found


@pytest.fixture
def running(cli: Cli) -> Iterator[None]:
    """A gateway holds the data directory's lock, as far as anybody can tell."""
    cli.data_dir.mkdir()
    with (cli.data_dir / LOCK_FILE).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def failures(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("x ")]


def test_where_all_is_well_every_line_is_a_tick_and_the_exit_is_0(cli: Cli, port: int) -> None:
    cli.converter()
    cli.ok("integration", "create", "meters", "--converter", "tutorial", "--routing-key", "k")
    out = cli.ok("check").out
    assert out.splitlines()[0].startswith("√ settings: all ")
    assert out.splitlines()[1:] == [
        f"√ data directory {cli.data_dir}: writable",
        f"√ plain listener, UDP port {port} on 0.0.0.0: free",
        '√ converter "tutorial" (javascript): compiles',
        f'√ integration "meters": coap://127.0.0.1:{port}/i/k',
    ]


def test_a_fresh_machine_passes_and_nothing_is_created(cli: Cli, port: int) -> None:
    out = cli.ok("check").out
    assert f"√ data directory {cli.data_dir}: will be created" in out
    assert "~ catalogue: empty yet" in out
    assert not cli.data_dir.exists()


def test_every_wrong_setting_is_a_cross_and_the_exit_is_78(cli: Cli) -> None:
    cli.set(COAP_BIND_PORT="0", GATEWAY_WORKERS="many")
    result = cli("check")
    assert (result.code, result.err) == (78, "")
    assert [line.partition(":")[0] for line in failures(result.out)] == [
        "x COAP_BIND_PORT=0",
        "x GATEWAY_WORKERS=many",
    ]


def test_a_dotenv_that_can_not_be_read_is_a_cross(cli: Cli) -> None:
    cli.write(".env", b"COAP_DTLS_KEY_ALIAS=\xfc\n")
    result = cli("check")
    assert (result.code, result.err) == (78, "")
    (line,) = failures(result.out)
    assert ".env" in line


def test_a_slip_in_a_variables_name_is_a_warning_that_names_the_right_one(cli: Cli, port: int) -> None:
    cli.set(COAP_BIND_PROT="1", coap_dtls_enable="true")
    cli.write(".env", "GATEWAY_WORKER=2\nTB_COAP_X509_DTLS_SESION_REPORT_TIMEOUT=1\n")
    lines = cli.ok("check").out.splitlines()
    found = {line.split()[1]: cure.strip() for line, cure in pairwise(lines) if "no setting" in line}
    assert found == {
        "COAP_BIND_PROT": "did you mean COAP_BIND_PORT?",
        "COAP_DTLS_ENABLE": "did you mean COAP_DTLS_ENABLED?",
        "GATEWAY_WORKER": "did you mean GATEWAY_WORKERS?",
        "TB_COAP_X509_DTLS_SESION_REPORT_TIMEOUT": "did you mean TB_COAP_X509_DTLS_SESSION_REPORT_TIMEOUT?",
    }


def test_variables_of_others_are_not_taken_for_slips(cli: Cli, port: int) -> None:
    cli.set(TB_DB_HOST="h", TB_QUEUE_TYPE="kafka", COAP_ENABLED="true", GATEWAY_INTERFACE="cgi")
    cli.set(TB_TRANSPORT_TYPE="remote", COAP_PORT="1", BIND_PORT="1", GATEWAY_HOME="/")
    assert "no setting" not in cli.ok("check").out


def test_a_data_directory_that_is_a_file_fails(cli: Cli, port: int) -> None:
    cli.set(GATEWAY_DATA_DIR=cli.write("file", ""))
    result = cli("check")
    assert result.code == 78
    assert failures(result.out)[0].startswith("x data directory file: ")
    assert "GATEWAY_DATA_DIR" in result.out


def test_a_data_directory_that_can_not_be_written_fails(cli: Cli, port: int) -> None:
    # Not even root can make a folder there.
    cli.set(GATEWAY_DATA_DIR="/proc/gateway")
    result = cli("check")
    assert result.code == 78
    (line,) = failures(result.out)
    assert line.startswith("x data directory /proc/gateway: /proc can't be written: ")


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::", "::1"])
def test_a_port_that_another_process_holds_fails_with_the_variable_to_change(cli: Cli, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as other:
        # As a worker's socket: whoever does not say the same must not get the port.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((address, 0))
        held = other.getsockname()[1]
        cli.set(COAP_BIND_PORT=str(held), COAP_BIND_ADDRESS=address)
        result = cli("check")
    assert result.code == 78
    assert failures(result.out) == [f"x plain listener, UDP port {held} on {address}: Address already in use"]
    assert "COAP_BIND_PORT" in result.out


def test_an_address_that_is_not_this_machines_fails(cli: Cli, port: int) -> None:
    cli.set(COAP_BIND_ADDRESS="192.0.2.1")
    result = cli("check")
    assert result.code == 78
    (line,) = failures(result.out)
    assert line == f"x plain listener, UDP port {port} on 192.0.2.1: Cannot assign requested address"


def test_the_port_of_the_gateway_that_runs_here_is_not_a_failure(cli: Cli, port: int, running: None) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as worker:
        worker.bind(("0.0.0.0", port))
        out = cli.ok("check").out
    assert f"√ plain listener, UDP port {port} on 0.0.0.0: running" in out
    assert f"√ data directory {cli.data_dir}: writable, a gateway is running on it" in out


def test_a_lock_file_that_nobody_holds_is_no_running_gateway(cli: Cli, port: int) -> None:
    cli.data_dir.mkdir()
    (cli.data_dir / LOCK_FILE).touch()
    assert ": free" in cli.ok("check").out


def test_without_any_listener_it_fails(cli: Cli) -> None:
    cli.set(COAP_SERVER_ENABLED="false")
    result = cli("check")
    assert result.code == 78
    assert failures(result.out) == ["x no listener is on: no device can reach the gateway"]


def test_a_converter_that_does_not_compile_fails_and_the_others_are_still_checked(cli: Cli, port: int) -> None:
    cli.converter("bad")
    cli.converter("good")
    cli.ok("integration", "create", "meters", "--converter", "good")
    with sqlite3.connect(cli.data_dir / "catalogue.db") as catalogue:
        catalogue.execute("UPDATE converters SET source = 'var = ;' WHERE name = 'bad'")
    catalogue.close()
    result = cli("check")
    assert result.code == 78
    (line,) = failures(result.out)
    assert line.startswith('x converter "bad" (javascript): ')
    assert '√ converter "good" (javascript): compiles' in result.out


def test_an_integration_that_no_listener_serves_fails_unless_it_is_disabled(cli: Cli, port: int) -> None:
    cli.set(COAP_DTLS_ENABLED="true")
    cli.converter()
    cli.ok("integration", "create", "meters", "--converter", "tutorial", "--security-mode", "DTLS")
    cli.set(COAP_DTLS_ENABLED="false")
    result = cli("check")
    assert result.code == 78
    assert [line for line in failures(result.out) if '"meters"' in line]
    cli.ok("integration", "disable", "meters")
    result = cli("check")
    assert result.code == 0
    assert '~ integration "meters": ' in result.out


def test_a_catalogue_that_is_no_database_fails(cli: Cli, port: int) -> None:
    cli.data_dir.mkdir()
    (cli.data_dir / "catalogue.db").write_bytes(b"this is not a database" * 100)
    result = cli("check")
    assert result.code == 78
    (line,) = failures(result.out)
    assert line.startswith("x catalogue: ")


def test_as_a_process_it_is_the_same(cli: Cli, port: int) -> None:
    assert cli.process("check").code == 0
    failed = cli.process("check", environment={"COAP_DTLS_ENABLED": "true"})
    assert (failed.code, failed.err) == (78, "")


def test_the_apis_port_is_looked_at_where_it_is_served(cli: Cli, port: int) -> None:
    assert "REST API" not in cli.ok("check").out
    with socket.create_server(("127.0.0.1", 0)) as held:
        taken = held.getsockname()[1]
        cli.set(GATEWAY_HTTP_ENABLED="true", GATEWAY_HTTP_BIND_PORT=str(taken))
        result = cli("check")
        assert result.code == 78
        assert f"x REST API, TCP port {taken} on 127.0.0.1: Address already in use" in result.out
        assert "GATEWAY_HTTP_BIND_PORT" in result.out
    assert f"√ REST API, TCP port {taken} on 127.0.0.1: free" in cli.ok("check").out


def test_the_apis_port_of_a_running_gateway_is_not_tried(cli: Cli, port: int, running: None) -> None:
    cli.set(GATEWAY_HTTP_ENABLED="true")
    assert "√ REST API, TCP port 8080 on 127.0.0.1: running" in cli.ok("check").out
