"""The benchmark runs and counts rightly. What it measures is not looked at: this machine may be busy."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "scripts" / "bench"

BOUND_S = 20


def bench(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BENCH), "--quick", "--json", str(tmp_path / "results.json"), "--data-dir", str(tmp_path / "data")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=BOUND_S, check=False)


def results(tmp_path: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    return {result["name"]: result for result in document["results"]}


def assert_sound(result: dict[str, Any]) -> None:
    for phase in (result["paced"], result["saturated"]):
        assert phase["succeeded"] > 0
        answered = phase["succeeded"] + phase["succeeded_after"] + sum(phase["other"].values())
        assert answered + phase["unanswered"] == phase["sent"]
        assert phase["p50_us"] <= phase["p99_us"]
    assert result["requests_per_s"] > 0
    assert result["saturated"]["resident_bytes"][0] > 0


@pytest.mark.timeout(BOUND_S + 5)
def test_it_measures_the_gateway_with_durable_storage(tmp_path: Path) -> None:
    process = bench(tmp_path, "--only", "python-con")

    assert process.returncode == 0, process.stderr
    assert "gateway, JSON through Python, stored, CON" in process.stdout
    assert "CPU per request" in process.stdout
    measured = results(tmp_path)["python-con"]
    assert_sound(measured)
    assert measured["failures"] == {}


@pytest.mark.timeout(BOUND_S + 5)
def test_it_compares_throughput_with_aiocoaps(tmp_path: Path) -> None:
    process = bench(tmp_path, "--only", "ack-non", "--only", "aiocoap-non")

    assert process.returncode == 0, process.stderr
    assert "throughput to aiocoap's, NON" in process.stdout
    measured = results(tmp_path)
    assert set(measured) == {"ack-non", "aiocoap-non"}
    assert_sound(measured["ack-non"])
    assert_sound(measured["aiocoap-non"])


@pytest.mark.timeout(BOUND_S + 5)
def test_it_measures_dtls_beside_pyopenssl(tmp_path: Path) -> None:
    process = bench(tmp_path, "dtls", "--only", "record-gcm", "--only", "resumption", "--only", "memory-psk")

    assert process.returncode == 0, process.stderr
    assert "record round trip, AES_128_GCM, to pyOpenSSL's" in process.stdout
    measured = results(tmp_path)
    memory = measured.pop("memory-psk")
    assert memory["associations"] > 0
    assert memory["resident_bytes"] > 0
    assert set(measured) == {
        "record-gcm",
        "record-gcm-pyopenssl",
        "record-gcm-cid",
        "resumption",
        "resumption-pyopenssl",
    }
    for result in measured.values():
        assert result["per_round"] > 0
        assert min(result["rounds_us"]) > 0
        assert min(result["rounds_us"]) <= result["median_us"] <= max(result["rounds_us"])


def test_it_leaves_no_data_and_no_process_behind(tmp_path: Path) -> None:
    bench(tmp_path, "--only", "python-non")

    assert list((tmp_path / "data").iterdir()) == []
    marker = str(tmp_path)
    left = [path for path in Path("/proc").glob("[0-9]*/environ") if _mentions(path, marker)]
    assert left == []


def _mentions(environment: Path, marker: str) -> bool:
    try:
        return marker in environment.read_text(errors="replace")
    except OSError:  # ended meanwhile
        return False


def test_an_unknown_scenario_is_a_clear_error(tmp_path: Path) -> None:
    process = bench(tmp_path, "--only", "nothing")

    assert process.returncode == 2
    assert process.stderr.endswith("scripts/bench: no scenario is called nothing\n")
    assert not (tmp_path / "results.json").exists()
