"""Every command in docs/certificates.md works, in the order in which a reader meets it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "certificates.md"


@pytest.mark.timeout(240)
def test_the_commands_of_the_page_on_certificates_work(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gateway").write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
    (tmp_path / "bin" / "gateway").chmod(0o755)
    (tmp_path / "work").mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("COAP_", "TB_", "GATEWAY_"))
    }
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
    environment["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "".join(blocks)],
        cwd=tmp_path / "work",
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    marks = [line for line in done.stdout.splitlines() if line.startswith(("√", "x ", "~"))]
    assert len(marks) == 6 and all(line.startswith("√") for line in marks), marks
    assert done.stdout.count("Entry type: PrivateKeyEntry") == 2
