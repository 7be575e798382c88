"""A command line to test: the real `main`, on a data directory and a current folder of its own."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.settings import Settings

DECODER = """
var data = JSON.parse(String.fromCharCode.apply(null, payload));
var result = {deviceName: data.deviceName, deviceType: data.deviceType,
              telemetry: {temperature: data.temperature, humidity: data.humidity}};
return result;
"""
"""A JavaScript decoder, the body of a function, that takes ThingsBoard's JSON payload."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


class Cli:
    """Runs commands in this process, or in one of their own."""

    def __init__(self, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._capture = capture
        self._monkeypatch = monkeypatch
        self.folder = folder
        """The current folder."""
        self.data_dir = folder / "data"

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run `gateway` with these arguments in this process."""
        self._monkeypatch.setattr(sys, "argv", ["gateway", *arguments])  # it shows commands as it was called itself
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self._capture.readouterr()
        code = main(arguments)
        captured = self._capture.readouterr()
        return Result(code, captured.out, captured.err)

    def ok(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run a command that is expected to succeed and to have nothing to complain of."""
        result = self(*arguments, stdin=stdin)
        assert (result.code, result.err) == (0, ""), result
        return result

    def process(self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> Result:
        """Run `python -m gateway` with these arguments, as a user would."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            input=stdin,
            capture_output=True,
            env={**os.environ, **(environment or {})},
            timeout=60,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def write(self, name: str, content: str | bytes) -> str:
        """A file in the current folder; returns its name."""
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def set(self, **variables: str) -> None:
        """Set variables of the environment."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def converter(self, name: str = "tutorial") -> str:
        """Create a converter that compiles; returns its name."""
        file = self.write("decoder.js", DECODER)
        self.ok("converter", "create", name, "--language", "javascript", "--file", file)
        return name


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """A command line with nothing set but a data directory of its own, which does not exist yet, and no API."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("GATEWAY_HTTP_ENABLED", "false")  # its port may be another test's
    return Cli(capsys, monkeypatch, tmp_path)
