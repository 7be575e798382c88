"""User code run apart: whatever it does, whoever asked goes on."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.errors import ConverterError, GatewayError, UnavailableError, UsageError
from gateway.model import Converter, ConverterCase, Delivery, FailedUplink, Integration, Language
from gateway.operations import converter_runs
from gateway.operations.converter_runs import ConverterRuns
from gateway.operations.converters import SOURCE_BYTES_MAX
from gateway.settings import Settings
from gateway.storage.catalogue import Catalogue
from gateway.storage.devices import DeviceStore

RECEIVED_MS = 1_700_000_000_000
DECODER = "return {deviceName: String.fromCharCode.apply(null, payload), telemetry: {n: payload.length}};"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, gateway_data_dir=tmp_path / "data")


@pytest.fixture
def runs(settings: Settings) -> ConverterRuns:
    return ConverterRuns(settings)


def javascript(source: str, *cases: ConverterCase) -> Converter:
    return Converter("c", Language.JAVASCRIPT, source, cases=cases)


def python(source: str) -> Converter:
    return Converter("c", Language.PYTHON, source)


def test_a_payload_is_tried_and_what_comes_out_is_what_the_command_line_shows(runs: ConverterRuns) -> None:
    trial = runs.try_payload(javascript(DECODER), b"SN-1", {}, RECEIVED_MS)
    assert trial["error"] is None
    assert trial["output"] == {"deviceName": "SN-1", "telemetry": {"n": 4}}
    assert trial["reports"] == [
        {
            "deviceName": "SN-1",
            "deviceType": "default",
            "telemetry": [{"ts": RECEIVED_MS, "values": {"n": 4}}],
        }
    ]


def test_metadata_reaches_the_decoder(runs: ConverterRuns) -> None:
    source = "return {deviceName: metadata.site};"
    assert runs.try_payload(javascript(source), b"x", {"site": "Berlin"}, 0)["output"] == {"deviceName": "Berlin"}


def test_every_language_runs_there(runs: ConverterRuns) -> None:
    tbel = Converter("c", Language.TBEL, 'return {deviceName: decodeToString(payload), "attributes": {a: 1}};')
    assert runs.try_payload(tbel, b"SN-2", {}, 0)["error"] is None
    source = "def decode(payload, metadata):\n    return {'deviceName': payload.decode()}"
    assert runs.try_payload(python(source), b"SN-3", {}, 0)["error"] is None


def test_a_failure_has_its_line_and_column(runs: ConverterRuns) -> None:
    trial = runs.try_payload(javascript("var a = 1;\nreturn nothing.at.all;"), b"x", {}, 0)
    assert trial["error"]["line"] == 2
    assert trial["reports"] is None


def test_a_source_that_does_not_compile_is_an_error_with_its_place(runs: ConverterRuns) -> None:
    with pytest.raises(ConverterError, match=r"line 2"):
        runs.try_payload(javascript("var a = 1;\nvar = ;"), b"x", {}, 0)


def test_python_that_never_ends_is_ended(runs: ConverterRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converter_runs, "TRY_S", 0.7)
    begun_s = time.monotonic()
    with pytest.raises(ConverterError, match="did not end within"):
        runs.try_payload(python("def decode(payload, metadata):\n    while True: pass"), b"x", {}, 0)
    assert time.monotonic() - begun_s < 10


def test_what_it_has_started_ends_with_it(runs: ConverterRuns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(converter_runs, "TRY_S", 1.5)
    told = tmp_path / "pid"
    source = (
        "import os, time\n"
        "def decode(payload, metadata):\n"
        "    child = os.fork()\n"
        "    if child: open(payload.decode(), 'w').write(str(child))\n"
        "    while True: time.sleep(1)\n"
    )
    with pytest.raises(ConverterError, match="did not end within"):
        runs.try_payload(python(source), str(told).encode(), {}, 0)
    deadline_s = time.monotonic() + 10
    while _is_alive(int(told.read_text())):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # its parent, which is whoever reaps orphans, may not have looked yet


def test_python_that_ends_the_process_is_an_error(runs: ConverterRuns) -> None:
    with pytest.raises(ConverterError, match=r"ended before it answered \(exit code 3\)"):
        runs.try_payload(python("import os\ndef decode(payload, metadata):\n    os._exit(3)"), b"x", {}, 0)


def test_what_a_converter_prints_does_not_get_into_the_answer(runs: ConverterRuns) -> None:
    source = "import os\ndef decode(payload, metadata):\n    print('{'); os.write(1, b'['); return {'deviceName': 'a'}"
    assert runs.try_payload(python(source), b"x", {}, 0)["output"] == {"deviceName": "a"}


def test_memory_is_bounded(runs: ConverterRuns) -> None:
    source = "def decode(payload, metadata):\n    return {'deviceName': 'a' * (4 << 30)}"
    assert "MemoryError" in runs.try_payload(python(source), b"x", {}, 0)["error"]["message"]


def test_nothing_of_this_process_is_changed(runs: ConverterRuns) -> None:
    runs.try_payload(python("import os\nos.environ['LEFT_BEHIND'] = '1'\ndef decode(p, m): return []"), b"x", {}, 0)
    assert "LEFT_BEHIND" not in os.environ


@pytest.mark.parametrize("waiting", [0, 1])
def test_beyond_what_may_run_and_wait_it_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, waiting: int, tmp_path: Path
) -> None:
    monkeypatch.setattr(converter_runs, "PARALLEL", 1)
    monkeypatch.setattr(converter_runs, "WAITING_MAX", waiting)
    monkeypatch.setattr(converter_runs, "ROOM_S", 0.1)
    runs = ConverterRuns(settings)
    begun, go_on = tmp_path / "begun", tmp_path / "go-on"
    source = (
        "import os, time\n"
        "def decode(payload, metadata):\n"
        f"    open({str(begun)!r}, 'w').close()\n"
        f"    while not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
        "    return []\n"
    )
    with ThreadPoolExecutor(1) as others:
        slow = others.submit(runs.try_payload, python(source), b"x", {}, 0)
        deadline_s = time.monotonic() + 10
        while not begun.exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        with pytest.raises(UnavailableError, match="other converters are being tried"):
            runs.try_payload(javascript(DECODER), b"x", {}, 0)
        go_on.touch()
        assert slow.result()["error"] is None
    assert runs.try_payload(javascript(DECODER), b"x", {}, 0)["error"] is None


def test_cases_are_tried_all_together(runs: ConverterRuns) -> None:
    good = ConverterCase("good", b"SN-1", {}, {"deviceName": "SN-1", "telemetry": {"n": 4}})
    bad = ConverterCase("bad", b"SN-1", {}, {"deviceName": "SN-2"})
    trials = runs.try_cases(javascript(DECODER, good, bad))
    assert [(trial["case"], trial["passed"]) for trial in trials] == [("good", True), ("bad", False)]
    assert trials[1]["difference"]


def test_a_check_refuses_what_does_not_compile_fails_a_case_or_is_too_long(runs: ConverterRuns) -> None:
    runs.check(javascript(DECODER))
    with pytest.raises(ConverterError):
        runs.check(javascript("return {"))
    failing = javascript(DECODER, ConverterCase("bad", b"a", {}, {"deviceName": "b"}))
    with pytest.raises(ConverterError, match="case 'bad' fails"):
        runs.check(failing)
    runs.check(failing, force=True)
    runs.check(javascript("//" + "x" * (SOURCE_BYTES_MAX - 2)))
    with pytest.raises(UsageError, match="longer than"):
        runs.check(javascript("//" + "x" * (SOURCE_BYTES_MAX - 1)))


def test_a_portion_of_the_quarantine_is_run_again_and_stays_where_it_is(
    runs: ConverterRuns, settings: Settings
) -> None:
    source = f"if (payload.length == 3) throw new Error('no');\n{DECODER}"
    with Catalogue(settings.gateway_data_dir) as catalogue:
        catalogue.add_converter(javascript(source))
        catalogue.add_integration(Integration("meters", "c", "k"))
    with DeviceStore(settings.gateway_data_dir) as store:
        failed = [FailedUplink("meters", RECEIVED_MS, None, one, {}, "broke") for one in (b"SN-1", b"bad")]
        store.apply("spool-0", [Delivery(1, [], failed)])
    good, bad = runs.replay([1, 2])
    assert not isinstance(good.outcome, GatewayError)
    ((name, received_ms),) = [(report.name, report.received_ms) for report in good.outcome]
    assert (name, received_ms) == ("SN-1", RECEIVED_MS)
    assert isinstance(bad.outcome, ConverterError)
    assert "no" in bad.outcome.message
    assert len(runs.replay([1, 2])) == 2
    assert runs.replay([7]) == []
