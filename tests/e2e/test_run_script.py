"""`scripts/run` as a newcomer meets it: what it prints can be pasted, and a second run prints the same."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.ports import free_port, free_tcp_port

from .harness import PATIENCE_S, eventually

ROOT = Path(__file__).parents[2]


class Script:
    """The script in a folder of its own, with the packages of this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(
            ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("benchmarks", "__pycache__")
        )
        (folder / "certs").mkdir()
        shutil.copy(ROOT / "pyproject.toml", folder)
        self._borrow_packages()
        known = ("COAP_", "TB_", "GATEWAY_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(known)}
        self.process: subprocess.Popen[bytes] | None = None

    def _borrow_packages(self) -> None:
        """An environment that looks as if the script had installed it (scripts/prepare); it must not touch ours."""
        ours, theirs = ROOT / ".venv", self.folder / ".venv"
        (theirs / "bin").mkdir(parents=True)
        for name in ("bin/python", "bin/gateway", "lib", "pyvenv.cfg"):
            (theirs / name).symlink_to(ours / name)
        (theirs / ".installed").write_text((ROOT / "pyproject.toml").read_text() + "[console,jks]")

    def start(self, **settings: str) -> str:
        """Run it until it listens; gives what it printed."""
        output = self.folder / "output"
        with output.open("wb") as file:
            self.process = subprocess.Popen(
                ["bash", "scripts/run"],
                cwd=self.folder,
                env=self.environment | settings,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        eventually(lambda: "listens on" in output.read_text(), f"it listens: {output.read_text()}", patience_s=60)
        return output.read_text()

    def stop(self) -> None:
        """As Ctrl+C does."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(PATIENCE_S)

    def paste(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as in another terminal."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@pytest.fixture
def script(tmp_path: Path) -> "Script":
    return Script(tmp_path)


def commands(printed: str) -> list[str]:
    """The commands to send with, as they are printed."""
    found = re.findall(r"^ +(?:text +|json +|binary +)?(.*(?:gateway send|coap-client-\w+) .*)$", printed, re.MULTILINE)
    assert len(found) == 10
    return found


def test_each_command_that_is_printed_works_in_another_terminal_and_a_second_run_prints_the_same(
    script: Script,
) -> None:
    ports = {
        "COAP_BIND_PORT": str(free_port()),
        "COAP_DTLS_BIND_PORT": str(free_port()),
        "GATEWAY_HTTP_BIND_PORT": str(free_tcp_port()),
        "GATEWAY_WORKERS": "1",
    }
    try:
        told = script.start(**ports)
        printed = commands(told)
        (console_url,) = re.findall(r"^In the browser:  (\S+)$", told, re.MULTILINE)
        assert console_url == f"http://127.0.0.1:{ports['GATEWAY_HTTP_BIND_PORT']}"
        assert urlopen(f"{console_url}/livez", timeout=PATIENCE_S).status == 200
        for command in printed:
            done = script.paste(command)
            assert done.returncode == 0, (command, done)
            assert done.stdout == ("2.01 Created\n" if "gateway send" in command else ""), (command, done)
            assert done.stderr == "", (command, done)
        shown = script.paste(".venv/bin/gateway device show SN-001").stdout
        assert "25.7" in shown
        assert "demo-device" in shown
        assert (script.folder / ".env").read_text().count(ports["COAP_DTLS_BIND_PORT"]) == 1
        assert script.paste(".venv/bin/gateway integration update demo-json --identity-binding none").returncode == 0
        script.stop()
        assert commands(script.start()) == printed
    finally:
        script.stop()


def test_an_env_file_that_is_there_is_left_alone_and_what_it_lacks_is_said(script: Script) -> None:
    mine = f"GATEWAY_WORKERS=1\nCOAP_BIND_PORT={free_port()}\nCOAP_DTLS_BIND_PORT={free_port()}\n"
    mine += f"GATEWAY_HTTP_BIND_PORT={free_tcp_port()}\n"
    (script.folder / ".env").write_text(mine)
    try:
        printed = script.start()
        (export,) = re.findall(r"^  (export .*)   # not in your \.env$", printed, re.MULTILINE)
        assert (script.folder / ".env").read_text() == mine
        assert script.paste(f"{export}; .venv/bin/gateway check").returncode == 0
        assert script.paste(f"{export}; {commands(printed)[-2]}").stdout == "2.01 Created\n"
    finally:
        script.stop()
