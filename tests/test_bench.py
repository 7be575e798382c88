"""The benchmark runs and counts rightly. What it measures is not looked at: this machine may be busy."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "scripts" / "bench"

BOUND_S = 90
"""Usual is less than ten, on a machine that is not busy."""

BROWSER_BOUND_S = 110
"""With a browser that opens every page of the console."""


def bench(tmp_path: Path, *arguments: str, bound_s: float = BOUND_S) -> subprocess.CompletedProcess[str]:
    command = [str(BENCH), "--quick", "--json", str(tmp_path / "results.json"), "--data-dir", str(tmp_path / "data")]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=bound_s, check=False)


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


@pytest.mark.timeout(BOUND_S + 5)
def test_it_measures_uplinks_over_dtls_beside_plain_ones(tmp_path: Path) -> None:
    process = bench(tmp_path, "secure", "--only", "psk-con", "--only", "python-con")

    assert process.returncode == 0, process.stderr
    assert "PSK session with connection ID, JSON through Python, stored, CON, CPU per request" in process.stdout
    assert "times the worker's CPU time of one over plain CoAP" in process.stdout
    measured = results(tmp_path)
    assert set(measured) == {"python-con", "psk-con", "psk-con-cid"}
    for result in measured.values():
        assert_sound(result)
        assert result["failures"] == {}


@pytest.mark.timeout(BOUND_S + 5)
def test_it_measures_uplinks_over_dtls_without_confirmation_and_through_javascript(tmp_path: Path) -> None:
    process = bench(tmp_path, "secure", "--only", "psk-non", "--only", "psk-javascript")

    assert process.returncode == 0, process.stderr
    measured = results(tmp_path)
    assert set(measured) == {"psk-non", "psk-javascript"}
    for result in measured.values():
        assert_sound(result)


@pytest.mark.timeout(BOUND_S + 5)
def test_it_measures_handshakes_with_the_running_gateway(tmp_path: Path) -> None:
    process = bench(tmp_path, "secure", "--only", "handshake", "--only", "resumption")

    assert process.returncode == 0, process.stderr
    measured = results(tmp_path)
    assert set(measured) == {"handshake-psk", "handshake-ecdhe", "handshake-client", "resumption"}
    for result in measured.values():
        assert result["count"] > 0
        assert result["per_s"] > 0
        assert result["cpu_us"] > 0


@pytest.mark.timeout(BOUND_S + 5)
def test_it_measures_the_memory_of_idle_sessions_in_a_whole_worker(tmp_path: Path) -> None:
    process = bench(tmp_path, "secure", "--only", "idle")

    assert process.returncode == 0, process.stderr
    assert "idle session, client certificate" in process.stdout
    measured = results(tmp_path)
    assert set(measured) == {"idle-psk", "idle-client"}
    for result in measured.values():
        assert result["sessions"] > 0
        assert result["resident_bytes"] > 0


@pytest.mark.timeout(BOUND_S + 5)
def test_it_compares_latency_under_a_flood_of_hellos_with_that_of_quiet_rounds(tmp_path: Path) -> None:
    process = bench(tmp_path, "secure", "--only", "flood")

    assert process.returncode == 0, process.stderr
    assert "ClientHellos a second, to the quiet one" in process.stdout
    measured = results(tmp_path)
    assert set(measured) == {"flood-forged", "flood-half-open"}
    for result in measured.values():
        assert result["hellos_per_s"] > 0
        for rounds in (result["quiet"], result["flooded"]):
            assert rounds["answers"] > 0
            assert rounds["p50_us"] <= rounds["p99_us"]


@pytest.mark.timeout(BOUND_S + 5)
def test_it_measures_the_call_of_a_converter(tmp_path: Path) -> None:
    process = bench(tmp_path, "converters", "--only", "python", "--only", "javascript", "--only", "tbel-json")

    assert process.returncode == 0, process.stderr
    assert "JSON through JavaScript: " in process.stdout
    measured = results(tmp_path)
    kinds = ("json", "text", "binary", "cbor")
    assert set(measured) == {f"{language}-{kind}" for language in ("python", "javascript") for kind in kinds} | {
        "tbel-json"
    }
    for result in measured.values():
        assert result["per_round"] > 0
        assert 0 < min(result["rounds_us"]) <= result["median_us"] <= max(result["rounds_us"])


@pytest.mark.timeout(BOUND_S + 5)
def test_it_measures_delivery_to_mosquitto_beside_paho(tmp_path: Path) -> None:
    process = bench(tmp_path, "delivery")

    assert process.returncode == 0, process.stderr
    assert "spool to Mosquitto, sink alone: " in process.stdout
    assert "memory for a second backlog: " in process.stdout
    measured = results(tmp_path)
    assert set(measured) == {"alone", "with-view", "second", "paho-packed", "paho-single"}
    for result in measured.values():
        assert 0 < result["records"] <= 20_480
        assert result["records_per_s"] > 0
        assert result["cpu_us"] > 0
    assert measured["second"]["peak_bytes"] >= measured["with-view"]["peak_bytes"] > 0


@pytest.mark.timeout(BROWSER_BOUND_S + 5)
def test_it_compares_latency_with_the_console_open_and_scraped_with_that_of_quiet_rounds(tmp_path: Path) -> None:
    process = bench(tmp_path, "console", "--only", "open-500", "--only", "http-off", bound_s=BROWSER_BOUND_S)

    assert process.returncode == 0, process.stderr
    assert "p99 with the console open and scraped at 500 uplinks/s, to that without: " in process.stdout
    measured = results(tmp_path)
    assert set(measured) == {"open-500", "cost", "http-off"}
    assert measured["http-off"]["children"] == ["gateway.worker"]
    assert sum(seen["scrapes"] for seen in measured["cost"]["seen"]) > 0
    for side in (*measured["open-500"]["quiet"], *measured["open-500"]["open"]):
        assert side["answers"] > 0
        assert side["failures"] == 0
        assert side["p50_us"] <= side["p99_us"]


@pytest.mark.parametrize(
    "scenario", [("uplinks", "python-non"), ("secure", "flood-half-open"), ("delivery", "with-view")]
)
def test_it_leaves_no_data_and_no_process_behind(tmp_path: Path, scenario: tuple[str, str]) -> None:
    suite, name = scenario
    bench(tmp_path, suite, "--only", name)

    assert list((tmp_path / "data").iterdir()) == []
    marker = str(tmp_path)
    processes = [path for kind in ("environ", "cmdline") for path in Path("/proc").glob(f"[0-9]*/{kind}")]
    assert [path for path in processes if _mentions(path, marker)] == []


def _mentions(file: Path, marker: str) -> bool:
    try:
        return marker in file.read_text(errors="replace")
    except OSError:  # ended meanwhile
        return False


def test_an_unknown_scenario_is_a_clear_error(tmp_path: Path) -> None:
    process = bench(tmp_path, "--only", "nothing")

    assert process.returncode == 2
    assert process.stderr.endswith("scripts/bench: no scenario is called nothing\n")
    assert not (tmp_path / "results.json").exists()
