"""`scripts/generate-certs`, without the environment that `scripts/prepare` would install."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.credentials.issuing import alternative_names
from gateway.credentials.pem import read_certificates

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script in a checkout of its own, where everything is prepared already."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "generate-certs", tmp_path / "scripts")
    (tmp_path / "scripts" / "prepare").write_text(f"cd {shlex.quote(str(tmp_path))}\npython={sys.executable}\n")
    return tmp_path / "scripts" / "generate-certs"


def run(script: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run([script, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def server_names(script: Path) -> list[str]:
    file = script.parents[1] / "certs" / "coapserver.pem"
    return alternative_names(read_certificates(file.read_bytes(), str(file))[0])


def test_everything_for_a_first_try_is_made_once(script: Path) -> None:
    said = run(script)
    certs = script.parents[1] / "certs"
    assert {path.name for path in certs.iterdir()} == {
        "ca.pem",
        "ca_key.pem",
        "coapserver.pem",
        "coapserver_key.pem",
        "coapserver.jks",
        "coapserver.p12",
        "client-device-1.pem",
        "client-device-1_key.pem",
        "issued.jsonl",
    }
    assert "coap-client-openssl -m post -c certs/client-device-1.pem " in said
    before = {path.name: path.read_bytes() for path in certs.iterdir()}
    assert "made" not in run(script).split()
    assert {path.name: path.read_bytes() for path in certs.iterdir()} == before


def test_arguments_are_further_names_of_the_server(script: Path) -> None:
    run(script, "gateway.example")
    assert server_names(script) == ["localhost", "127.0.0.1", "::1", "gateway.example"]
    run(script)
    assert "--renew" in run(script, "192.0.2.7", code=78)
    run(script, "192.0.2.7", "--renew")
    assert server_names(script) == ["localhost", "127.0.0.1", "::1", "192.0.2.7"]
