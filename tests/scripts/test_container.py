"""The container's file: two stages that fit together, a user that is not root, and what its steps make runs."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway import __version__
from gateway.settings import Settings

TOP = Path(__file__).parents[2]
FOLDER = TOP / "scripts" / "container"


class Step(NamedTuple):
    """An instruction of a Containerfile (Containerfile(5))."""

    name: str
    arguments: str

    @property
    def words(self) -> list[str]:
        """The arguments, without options, as an array or as words."""
        if self.arguments.startswith("["):
            words: list[str] = json.loads(self.arguments)
            return words
        return [word for word in shlex.split(self.arguments) if not word.startswith("--")]


def read_stages() -> list[list[Step]]:
    """The steps of each stage; what stands before the first one is a stage of its own."""
    text = (FOLDER / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    stages: list[list[Step]] = [[]]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            stages.append([])
        stages[-1].append(Step(name, arguments.strip()))
    return stages


GLOBAL, BUILD, FINAL = read_stages()


def only(stage: list[Step], name: str) -> Step:
    """The one instruction of a name."""
    (step,) = (step for step in stage if step.name == name)
    return step


def environment() -> dict[str, str]:
    return dict(word.split("=", 1) for word in only(FINAL, "ENV").words)


def test_both_stages_have_the_same_python() -> None:
    # What is installed in one is copied into the other.
    assert only(GLOBAL, "ARG").arguments.startswith("PYTHON=3.")
    assert only(BUILD, "FROM").arguments == "docker.io/library/python:${PYTHON}-bookworm AS build"
    assert only(FINAL, "FROM").arguments == "docker.io/library/python:${PYTHON}-slim-bookworm"
    copies = [step.arguments for step in FINAL if step.name == "COPY"]
    assert copies[0] == "--from=build /opt/gateway /opt/gateway"


def test_all_that_is_copied_is_there() -> None:
    sources = [word for step in BUILD if step.name == "COPY" for word in step.words[:-1]]
    sources += [
        word for step in FINAL if step.name == "COPY" and "--from" not in step.arguments for word in step.words[:-1]
    ]
    assert sources
    for source in sources:
        assert (TOP / source).exists(), source


def test_it_does_not_run_as_root_and_its_data_is_its_user_s() -> None:
    user, _, group = only(FINAL, "USER").arguments.partition(":")
    assert int(user) > 0
    assert int(group) > 0
    folder = environment()["GATEWAY_DATA_DIR"]
    (made,) = (step.arguments for step in FINAL if step.name == "RUN")
    assert made == f"install --directory --owner={user} --group={group} --mode=0700 {folder}"
    assert only(FINAL, "VOLUME").words == [folder]


def test_its_ports_and_variables_are_the_settings() -> None:
    fields = Settings.model_fields
    own: dict[str, Any] = {
        name.lower(): value for name, value in environment().items() if not name.startswith("PYTHON")
    }
    assert own.keys() <= fields.keys()
    settings = Settings(_env_file=None, **own)
    assert only(FINAL, "EXPOSE").words == [
        f"{settings.coap_bind_port}/udp",
        f"{settings.coap_dtls_bind_port}/udp",
        f"{settings.gateway_http_bind_port}/tcp",
    ]
    assert settings.coap_bind_address == "0.0.0.0"


def test_it_stops_by_the_signal_that_the_gateway_takes() -> None:
    assert only(FINAL, "STOPSIGNAL").arguments == "SIGTERM"
    assert only(FINAL, "ENTRYPOINT").words == ["/opt/gateway/bin/gateway"]
    assert only(FINAL, "CMD").words == ["serve"]


# -- what its steps make ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first stage's steps, in a folder: gives the environment that they make, as `/opt/gateway`.

    The dependencies come from the environment of the tests, for installing them takes minutes.
    """
    root = tmp_path_factory.mktemp("image")
    source = root / "source"
    for step in BUILD:
        if step.name == "COPY":
            *names, target = step.words
            for name in names:
                place = source / target if (TOP / name).is_dir() else source / target / name
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(TOP / name, place) if (TOP / name).is_dir() else shutil.copy(TOP / name, place)
        elif step.name == "RUN":
            command = step.arguments.replace("/wheels", str(root / "wheels")).replace("/opt/", f"{root}/opt/")
            command = command.replace("[${EXTRAS}]", "").replace("--no-cache-dir", "--quiet")
            if "pip install" in command:
                command = command.replace("pip install", "pip install --no-deps")
            command = re.sub(r"^python ", f"{shlex.quote(sys.executable)} ", command)
            done = subprocess.run(
                command, shell=True, cwd=source, capture_output=True, text=True, timeout=110, check=False
            )
            assert done.returncode == 0, done.stderr
    environment = root / "opt" / "gateway"
    (packages,) = (environment / "lib").glob("python*/site-packages")
    # Such a line adds the folder alone: the package under test, which is installed there by a link, is not found by it.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of it, in another folder, with the variables of the image."""
    variables = {**environment(), "GATEWAY_DATA_DIR": str(folder / "data"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(arguments, cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_the_wheel_alone_is_a_gateway(installed: Path, tmp_path: Path) -> None:
    program = str(installed / "bin" / "gateway")
    version = run(installed, tmp_path, program, "--version")
    assert (version.returncode, version.stdout) == (0, f"gateway {__version__}\n")
    where = run(installed, tmp_path, str(installed / "bin" / "python"), "-c", "import gateway; print(gateway.__file__)")
    assert where.stdout.startswith(str(installed))


def test_the_wheel_s_gateway_finds_that_it_could_run(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, str(installed / "bin" / "gateway"), "check")
    assert "√ settings: all" in done.stdout, done.stderr
    assert "√ data directory" in done.stdout


def test_the_wheel_has_every_file_of_the_package(installed: Path) -> None:
    (package,) = (installed / "lib").glob("python*/site-packages/gateway")
    source = installed.parents[1] / "source" / "gateway"
    there = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    assert {path for path in wanted if "__pycache__" not in path.parts} - there == set()


# -- the health check ---------------------------------------------------------------------------------


class Answering(BaseHTTPRequestHandler):
    """Answers /livez with a status."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/livez" else 404)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers /livez."""
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def alive(port: int) -> int:
    """The health check's exit code."""
    script, variables = (
        str(FOLDER / "alive.py"),
        {"GATEWAY_HTTP_BIND_PORT": str(port), "http_proxy": "http://192.0.2.1"},
    )
    return subprocess.run(
        [sys.executable, script], env=variables, capture_output=True, timeout=30, check=False
    ).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 1), (503, 1)])
def test_it_is_healthy_where_livez_answers_200(
    port: int, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    monkeypatch.setattr(Answering, "status", status)
    assert alive(port) == code


def test_it_is_not_healthy_where_nobody_answers(port: int) -> None:
    assert alive(1) == 1


def test_the_health_check_is_the_script() -> None:
    check = only(FINAL, "HEALTHCHECK").arguments
    assert json.loads(check[check.index("CMD ") + 4 :]) == ["/opt/gateway/bin/python", "/opt/gateway/alive.py"]
    assert "COPY scripts/container/alive.py /opt/gateway/alive.py" in (FOLDER / "Containerfile").read_text()
