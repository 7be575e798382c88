"""Floods of lines: what is written of them, and what is said of the rest."""

import io
import logging
import time
from collections.abc import Iterator

import pytest

from gateway.log_folding import (
    KINDS,
    LINES_PER_SECOND,
    LINES_PER_WINDOW,
    STACKS_PER_WINDOW,
    WINDOW_S,
    Folding,
    FoldingHandler,
    Kind,
    LineBound,
)
from gateway.logs import about

KIND = Kind("gateway.test", logging.WARNING, "it failed")


class Log:
    """A logger with a folding handler, and a clock that stands still."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.stream = io.StringIO()
        self.handler = FoldingHandler(self.stream, clock_s=lambda: self.now_s)
        self.logger = logging.Logger("gateway.test", logging.DEBUG)
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    made.handler.close()


def admitted(folding: Folding, kind: Kind, times: int, now_s: float) -> int:
    """How many of so many lines are written."""
    return sum(folding.admits(kind, now_s, most=3, message=lambda: "first") for _ in range(times))


@pytest.mark.parametrize(("lines", "written"), [(2, 2), (3, 3), (4, 3), (1000, 3)])
def test_the_first_lines_of_a_window_are_written(lines: int, written: int) -> None:
    assert admitted(Folding(), KIND, lines, 100.0) == written


@pytest.mark.parametrize(("after_s", "written"), [(WINDOW_S - 0.1, 0), (WINDOW_S, 3)])
def test_a_new_window_begins_when_the_last_one_is_over(after_s: float, written: int) -> None:
    folding = Folding()
    admitted(folding, KIND, 5, 100.0)
    folding.take(100.0 + after_s)
    assert admitted(folding, KIND, 5, 100.0 + after_s) == written


def test_what_was_left_out_is_told_once_when_its_window_is_over() -> None:
    folding = Folding()
    admitted(folding, KIND, 5, 100.0)
    admitted(folding, KIND._replace(level=logging.ERROR), 3, 104.0)
    assert folding.next_due_s() == 100.0 + WINDOW_S
    assert folding.take(109.9) == []
    assert folding.take(110.0) == [(KIND, 2, "first")]
    assert folding.take(200.0) == []
    assert folding.next_due_s() is None


def test_no_more_kinds_are_told_apart_than_there_is_room_for() -> None:
    folding = Folding()
    for number in range(KINDS):
        assert admitted(folding, KIND._replace(fields=(("peer", str(number)),)), 1, 100.0)
    others = [KIND._replace(fields=(("peer", f"other-{number}"),)) for number in range(1000)]
    assert sum(admitted(folding, kind, 1, 101.0) for kind in others) == 3
    assert [(kind.fields, lines) for kind, lines, _ in folding.take(111.0)] == [((), 997)]
    assert admitted(folding, others[0], 4, 112.0) == 3


def test_templates_that_are_different_each_time_have_a_bound_as_well() -> None:
    folding = Folding()
    written = sum(admitted(folding, KIND._replace(template=f"it is {n}"), 1, 100.0) for n in range(10 * KINDS))
    assert written == 2 * KINDS + 3
    assert [(kind.template, lines) for kind, lines, _ in folding.take(111.0)] == [("", 8 * KINDS - 3)]


def test_a_flood_is_a_bounded_number_of_lines_and_one_that_counts_the_rest(log: Log) -> None:
    for number in range(LINES_PER_WINDOW + 80):
        log.logger.warning("it failed for the %d. time", number)
    log.now_s += WINDOW_S
    log.logger.info("something else")
    assert len(log.lines) == LINES_PER_WINDOW + 2
    assert log.lines[-2:] == ["… 80 more of these in the last 10 s: it failed for the 20. time", "something else"]


def test_a_device_that_floods_does_not_hide_what_another_one_does(log: Log) -> None:
    for port in range(100):
        log.logger.info("refused", extra=about(peer=f"192.0.2.1:{port}", error=f"no. {port}"))
    log.logger.info("refused", extra=about(peer="192.0.2.2:4711"))
    assert len(log.lines) == LINES_PER_WINDOW + 1


def test_the_line_that_counts_says_what_it_is_about(log: Log) -> None:
    log.handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(fields)s %(message)s"))
    for _ in range(LINES_PER_WINDOW + 1):
        log.logger.warning("refused", extra=about(peer="192.0.2.1:5", integration="meters"))
    log.handler.close()
    assert log.lines[-1] == (
        "WARNING gateway.test {'peer': '192.0.2.1', 'integration': 'meters'} "
        "… 1 more of these in the last 10 s: refused"
    )


def test_of_lines_with_a_stack_there_are_fewer(log: Log) -> None:
    for _ in range(50):
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            log.logger.exception("a bug")
    assert log.lines.count("a bug") == STACKS_PER_WINDOW


def test_what_was_left_out_is_said_when_the_handler_is_closed(log: Log) -> None:
    for _ in range(LINES_PER_WINDOW + 7):
        log.logger.warning("it failed")
    log.handler.close()
    assert log.lines[-1] == "… 7 more of these in the last 10 s: it failed"
    log.handler.close()
    assert len(log.lines) == LINES_PER_WINDOW + 1


def test_what_was_left_out_is_said_also_where_nothing_else_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.log_folding.WINDOW_S", 0.05)
    stream = io.StringIO()
    handler = FoldingHandler(stream)
    logger = logging.Logger("gateway.test")
    logger.addHandler(handler)
    deadline_s = time.monotonic() + 10
    for _ in range(LINES_PER_WINDOW + 7):
        logger.warning("it failed")
    while "more of these" not in stream.getvalue():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    handler.close()


@pytest.mark.parametrize(
    ("events", "lines"), [(LINES_PER_SECOND, LINES_PER_SECOND), (LINES_PER_SECOND + 5, LINES_PER_SECOND)]
)
def test_a_line_bound_admits_so_many_in_a_second_and_says_the_rest_in_the_next(
    caplog: pytest.LogCaptureFixture, events: int, lines: int
) -> None:
    caplog.set_level(logging.INFO)
    bound = LineBound(logging.getLogger("gateway.test"), "refusals")
    assert sum(bound.admits(7.0 + number / 100) for number in range(events)) == lines
    assert caplog.messages == []
    assert bound.admits(8.0)
    bound.catch_up(9.0)
    assert caplog.messages == ["… and 5 more lines about refusals"] * (events > lines)


def test_at_the_end_a_line_bound_says_what_it_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bound = LineBound(logging.getLogger("gateway.test"), "refusals")
    for _ in range(LINES_PER_SECOND + 3):
        bound.admits(7.0)
    bound.finish()
    bound.finish()
    assert caplog.messages == ["… and 3 more lines about refusals"]
