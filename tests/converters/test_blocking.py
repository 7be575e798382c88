"""Converters that run into their limits again and again, and slow ones: `gateway.converters.blocking`."""

import logging

import pytest

from gateway.converters import Decoder, compile_converter
from gateway.converters.blocking import BLOCKED_S, LOG_INTERVAL_S, MAX_FAILURES, BlockingDecoder, SlowCalls, watched
from gateway.errors import ConverterError, UnavailableError
from gateway.metrics import CONVERTER_BLOCKS_TOTAL, CONVERTER_OVER_BUDGET_TOTAL, Metrics
from gateway.model import Code, Converter, Language

from .rig import RECEIVED_MS

WELL, ENDLESS, GREEDY, WRONG = b"w", b"e", b"g", b"x"

MISBEHAVING = """
var kind = String.fromCharCode(payload[0]);
if (kind === "e") for (;;);
if (kind === "g") for (var a = []; ; ) a.push(new Array(1000).fill(0));
if (kind === "x") throw new Error("wrong");
return { deviceName: "d" };
"""


class Bench:
    """A decoder that can be blocked, and its clock."""

    def __init__(self, source: str = MISBEHAVING) -> None:
        self.now_s = 1000.0
        self.metrics = Metrics()
        compiled = compile_converter(
            Converter("c", Language.JAVASCRIPT, source), time_limit_ms=20, memory_limit_bytes=1 << 20
        )
        self.decoder = BlockingDecoder(compiled, "c", self.metrics, clock_s=lambda: self.now_s)
        self.decode = self.decoder.bind({})

    def send(self, *payloads: bytes) -> list[str]:
        """What became of them: `ok`, `limit`, `wrong`, or the Max-Age of a refusal."""
        return [self._outcome(payload) for payload in payloads]

    def _outcome(self, payload: bytes) -> str:
        try:
            self.decode(payload, RECEIVED_MS)
        except UnavailableError as error:
            assert error.outcome.code is Code.SERVICE_UNAVAILABLE
            assert error.message == "the converter is blocked: it ran into its limits 3 times in a row"
            return str(error.max_age_s)
        except ConverterError as error:
            return "wrong" if "wrong" in error.message else "limit"
        return "ok"

    def changes(self, change: str) -> int:
        return self.metrics.counters[(CONVERTER_BLOCKS_TOTAL, "c", change)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("payload", [ENDLESS, GREEDY])
def test_failures_by_limit_in_a_row_block_for_a_while(bench: Bench, payload: bytes) -> None:
    assert bench.send(payload, payload, WELL, payload, payload) == ["limit", "limit", "ok", "limit", "limit"]
    assert bench.changes("blocked") == 0
    assert bench.send(payload, WELL, payload) == ["limit", "60", "60"]
    assert bench.changes("blocked") == 1


def test_the_answer_says_how_many_seconds_are_left_rounded_up(bench: Bench) -> None:
    bench.send(*[ENDLESS] * MAX_FAILURES)
    for later_s, max_age in ((0.5, "60"), (29.5, "30"), (29.99, "1")):
        bench.now_s += later_s
        assert bench.send(WELL) == [max_age]
    bench.now_s += 0.01
    assert bench.send(WELL) == ["ok"]


def test_after_the_block_the_row_begins_anew(bench: Bench) -> None:
    bench.send(*[ENDLESS] * MAX_FAILURES)
    bench.now_s += BLOCKED_S
    assert bench.changes("unblocked") == 0, "it is told when an uplink finds it out"
    assert bench.send(ENDLESS, ENDLESS, WELL) == ["limit", "limit", "ok"]
    assert bench.changes("unblocked") == 1
    assert bench.send(ENDLESS, ENDLESS, ENDLESS, WELL) == ["limit", "limit", "limit", "60"]
    assert (bench.changes("blocked"), bench.changes("unblocked")) == (2, 1)


def test_an_ordinary_failure_neither_blocks_nor_ends_a_row(bench: Bench) -> None:
    assert bench.send(*[WRONG] * 10) == ["wrong"] * 10
    assert bench.send(ENDLESS, WRONG, ENDLESS, WRONG, GREEDY, WELL)[-2:] == ["limit", "60"]


def test_all_bindings_of_a_converter_are_blocked_at_once(bench: Bench) -> None:
    other = bench.decoder.bind({"integrationName": "other"})
    bench.send(*[ENDLESS] * MAX_FAILURES)
    with pytest.raises(UnavailableError):
        other(WELL, RECEIVED_MS)


def test_another_converter_is_not_blocked_with_it(bench: Bench) -> None:
    bench.send(*[ENDLESS] * MAX_FAILURES)
    assert Bench().send(WELL) == ["ok"]


def test_block_and_its_end_are_a_line_each(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.send(*[ENDLESS] * 10)
    bench.now_s += BLOCKED_S
    bench.send(WELL, WELL)
    error = "the converter took longer than 20 ms (line 3, column 14)"
    assert [(record.levelname, record.message, getattr(record, "fields", None)) for record in caplog.records] == [
        (
            "WARNING",
            "converter c is blocked for 60 s: it ran into its limits 3 times in a row",
            {"converter": "c", "error": error},
        ),
        ("INFO", "converter c is no longer blocked", {"converter": "c"}),
    ]


def test_deep_recursion_is_no_failure_by_limit() -> None:
    bench = Bench("var f = () => f(); f();")
    assert bench.send(*[WELL] * 5) == ["limit"] * 5
    assert bench.changes("blocked") == 0


# -- slow Python -----------------------------------------------------------------------------------

SLEEPY = """
import time

def decode(payload, metadata):
    if payload == b"slow":
        time.sleep(0.005)
    if metadata:
        raise ValueError("no")
    return {"deviceName": "d"}
"""


def sleepy(metrics: Metrics, budget_ms: int) -> Decoder:
    converter = Converter("c", Language.PYTHON, SLEEPY)
    compiled = compile_converter(converter, time_limit_ms=100, memory_limit_bytes=1 << 20)
    return watched(compiled, converter, python_budget_ms=budget_ms, metrics=metrics)


@pytest.mark.parametrize("metadata", [{}, {"fail": "yes"}])
def test_a_python_call_over_its_budget_is_counted_and_logged(
    metadata: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    decode = sleepy(metrics, 4).bind(metadata)
    try:
        decode(b"slow", RECEIVED_MS)
    except ConverterError as error:
        assert error.message == "ValueError: no (line 8)"
    assert metrics.counters == {(CONVERTER_OVER_BUDGET_TOTAL, "c"): 1}
    (line,) = caplog.messages
    assert line.startswith("converter c took ")
    assert line.endswith(" ms, its budget is 4 ms: all devices of this worker waited")
    assert 5 <= float(line.split()[3]) < 1000


def test_a_python_call_within_its_budget_is_not(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    decode = sleepy(metrics, 10_000).bind({})
    decode(b"slow", RECEIVED_MS)
    decode(b"quick", RECEIVED_MS)
    assert metrics.counters == {}
    assert caplog.messages == []


def test_slow_calls_are_all_counted_but_a_line_comes_only_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    now_s = [0.0]
    metrics = Metrics()
    calls = SlowCalls("c", 0.01, metrics, clock_s=lambda: now_s[0])
    for at_s in (0.0, 1.0, LOG_INTERVAL_S - 0.1, LOG_INTERVAL_S, LOG_INTERVAL_S + 1, 3 * LOG_INTERVAL_S):
        now_s[0] = at_s
        calls.report(0.0123)
    assert metrics.counters[(CONVERTER_OVER_BUDGET_TOTAL, "c")] == 6
    said = "converter c took 12.3 ms, its budget is 10 ms: all devices of this worker waited"
    assert caplog.messages == [
        said,
        said + " (2 more such calls since the last line)",
        said + " (1 more such calls since the last line)",
    ]


@pytest.mark.parametrize(("language", "source"), [(Language.JAVASCRIPT, "for (;;);")])
def test_what_has_limits_is_watched_for_them(language: Language, source: str) -> None:
    converter = Converter("c", language, source)
    compiled = compile_converter(converter, time_limit_ms=10, memory_limit_bytes=1 << 20)
    decode = watched(compiled, converter, python_budget_ms=10, metrics=Metrics()).bind({})
    for _ in range(MAX_FAILURES):
        with pytest.raises(ConverterError):
            decode(b"x", RECEIVED_MS)
    with pytest.raises(UnavailableError):
        decode(b"x", RECEIVED_MS)
