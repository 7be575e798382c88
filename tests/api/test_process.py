"""The API's process: its start, its end, and that nobody else minds."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gateway.binding import BIND_PATIENCE_S
from gateway.children import STOP_PATIENCE_S
from tests.api.conftest import LISTENS, Served
from tests.e2e.harness import JSON, PATIENCE_S, Gateway, eventually


def alive(pid: int) -> bool:
    """Whether a process runs, or waits to be asked how it ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_first_password_is_in_a_file_until_the_first_log_in_and_in_no_log(served: Served) -> None:
    file = served.data_dir / "first-password"
    assert f"the first log-in at {served.url}: user admin, password in {file}, which is deleted then" in served.log
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert served.stop() == 0
    served.start()
    assert served.log.count("the first log-in") == 2
    assert served.first_password not in served.log
    assert served.browser().get("/api/v1/me").json()["role"] == "admin"
    assert not file.exists()
    assert served.stop() == 0
    served.start()
    assert served.log.count("the first log-in") == 2
    assert served.browser().get("/api/v1/me").status_code == 200


def test_the_first_password_is_shown_on_a_terminal(make_served: Callable[..., Served]) -> None:
    served = make_served()
    controller, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve"], env=served.environment, stderr=terminal, stdout=subprocess.DEVNULL
    )
    os.close(terminal)
    try:
        shown = b""
        while b"the REST API is at" not in shown:
            shown += os.read(controller, 4096)
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        os.close(controller)
    assert f"user admin, password {served.first_password}\r\n" in shown.decode()


def test_where_the_first_password_is_is_said_whatever_the_level_and_as_json_where_the_log_is(
    make_served: Callable[..., Served],
) -> None:
    served = make_served(GATEWAY_LOG_LEVEL="ERROR", GATEWAY_LOG_FORMAT="json")
    served.launch()
    eventually(lambda: "password" in served.log, "it is said")
    line = json.loads(served.log.splitlines()[0])
    assert line["message"].startswith("the first log-in at ")


def test_an_error_of_the_process_is_a_line_of_the_log(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-m", "gateway.api", "--socket-fd", str(ours.fileno()), "--control-fd", "0"],
            env={**os.environ, "GATEWAY_HTTP_BIND_PORT": "none"},
            pass_fds=[ours.fileno()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert "GATEWAY_HTTP_BIND_PORT" in line


def test_where_there_is_a_user_no_password_is_made_up(make_served: Callable[..., Served]) -> None:
    served = make_served()
    password = served.json("user", "add", "ada", "--role", "admin")["password"]
    served.start()
    assert "password" not in served.log
    assert served.browser("ada", password).get("/api/v1/me").json()["user"] == "ada"


def test_a_taken_port_is_told_before_anything_starts(make_served: Callable[..., Served]) -> None:
    served = make_served()
    with socket.create_server(("127.0.0.1", served.http_port)):
        before_s = time.monotonic()
        served.launch()
        assert served.wait() == 78
        assert time.monotonic() - before_s >= BIND_PATIENCE_S
    assert f"TCP 127.0.0.1 port {served.http_port} can't be bound: Address already in use" in served.log
    assert "GATEWAY_HTTP_BIND_PORT" in served.log
    assert "listens on" not in served.log
    assert "first log-in" not in served.log


def test_without_the_api_there_is_no_process_and_no_user(make_served: Callable[..., Served]) -> None:
    served = make_served(GATEWAY_HTTP_ENABLED="false")
    Gateway.start(served)  # its own would wait for the API
    assert served.json("user", "list") == []
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", served.http_port)) != 0
    assert served.stop() == 0


def test_it_stops_within_its_time_with_requests_and_streams_open(served: Served) -> None:
    script = served.script()
    with script.stream("GET", "/api/v1/stream") as stream:
        assert next(stream.iter_bytes())
        before_s = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - before_s < STOP_PATIENCE_S
    assert "ERROR" not in served.log
    assert "is killed" not in served.log


def test_its_crash_disturbs_no_worker_and_it_comes_back(served: Served) -> None:
    served.add_demo("json")
    workers, api = served.worker_pids(), served.api_pid()
    os.kill(api, signal.SIGKILL)
    eventually(lambda: served.log.count(LISTENS) == 2, "it is started again")
    assert served.anybody().get("/livez").json() == {"status": "ok"}
    assert "the API's process ended unasked (signal SIGKILL)" in served.log
    assert served.worker_pids() == workers
    assert served.api_pid() != api


def test_what_arrives_while_it_is_started_again_is_answered(served: Served) -> None:
    os.kill(served.api_pid(), signal.SIGKILL)
    eventually(lambda: "ended unasked" in served.log, "it has ended")
    assert httpx.get(f"{served.url}/livez", timeout=20).status_code == 200


def test_log_ins_outlive_it(served: Served) -> None:
    browser = served.browser()
    os.kill(served.api_pid(), signal.SIGKILL)
    eventually(lambda: served.log.count(LISTENS) == 2, "it is started again")
    assert browser.get("/api/v1/me").status_code == 200


def test_it_ends_when_the_supervisor_is_gone(served: Served) -> None:
    api = served.api_pid()
    os.kill(served.pid, signal.SIGKILL)
    served.wait()
    eventually(lambda: not alive(api) or state_of(api) == "Z", "it has ended")


def state_of(pid: int) -> str:
    """As proc(5) has it; Z where it has ended and nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


@pytest.mark.parametrize(("public_url", "second"), [("", 429), ("https://gateway.example.com", 401)])
def test_whom_a_proxy_asks_for_is_believed_where_there_is_one(
    make_served: Callable[..., Served], public_url: str, second: int
) -> None:
    served = make_served(GATEWAY_HTTP_PUBLIC_URL=public_url, GATEWAY_HTTP_LOCKOUT_FAILURES="1")
    served.start()
    answers = [
        served.anybody().post(
            "/api/v1/login",
            json={"user": f"user-{number}", "password": "wrong"},
            headers={"X-Forwarded-For": f"192.0.2.{number}"},
        )
        for number in (1, 2)
    ]
    assert [answer.status_code for answer in answers] == [401, second]


def test_it_is_ready_when_all_workers_listen(served: Served) -> None:
    answer = served.anybody().get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})


def test_it_is_not_ready_while_a_worker_is_missing(served: Served) -> None:
    client = served.anybody()
    os.kill(served.worker_pid(0), signal.SIGKILL)
    reasons: list[str] = []

    def is_missed() -> bool:
        answer = client.get("/readyz")
        reasons.extend(answer.json()["reasons"])
        return answer.status_code == 503

    eventually(is_missed, "it is not ready")
    assert reasons[0] == "worker 0 does not listen"
    eventually(lambda: client.get("/readyz").status_code == 200, "it is ready again")


def test_it_is_not_ready_while_a_spool_cannot_be_written(make_served: Callable[..., Served]) -> None:
    served = make_served()
    url = served.add_demo("json")  # a worker that runs already would serve it a little later
    served.start()
    client = served.anybody()
    with served.held_database("spool-0.db"), served.client() as device:
        device.send(request(url, JSON))
        eventually(lambda: client.get("/readyz").status_code == 503, "it is not ready")
        (reason,) = client.get("/readyz").json()["reasons"]
        assert "spool-0.db can't be used now" in reason
    with served.client() as device:
        device.send(request(url, JSON, mid=2))
        eventually(lambda: client.get("/readyz").status_code == 200, "it is ready again")


def request(url: str, payload: bytes, mid: int = 1) -> bytes:
    """A confirmable POST to an endpoint of two path segments (RFC 7252 §3)."""
    first, second = (segment.encode() for segment in url.split("/")[3:])
    options = bytes((0xB0 | len(first),)) + first + bytes((0x0D, len(second) - 13)) + second
    return bytes((0x40, 0x02)) + mid.to_bytes(2, "big") + options + b"\xff" + payload
