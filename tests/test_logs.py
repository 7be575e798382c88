"""What a line of the log looks like, as text and as JSON, whatever it is about."""

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.logs import FIELD_CHARACTERS, about, configure_logging
from gateway.model import Principal
from gateway.settings import Settings

Say = Callable[..., str]
"""Logs an error with these arguments; gives what was written."""


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The handlers and hooks of pytest are put back."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = before
    root.setLevel(level)


def written(format_: str, message: str, *arguments: object, **options: Any) -> str:
    """What an error with these arguments looks like."""
    configure_logging(Settings(_env_file=None, gateway_log_format=format_), "worker-0")
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    stream = io.StringIO()
    handler.setStream(stream)
    logging.getLogger("gateway.test").error(message, *arguments, **options)
    handler.close()
    return stream.getvalue()


def test_text_has_time_level_process_message_and_fields() -> None:
    extra = about(peer="192.0.2.1:4711", principal=Principal("psk", "gw-7"), integration="meters", code="4.00")
    line = written("text", "request %s", "refused", extra=extra)
    assert line[24:] == (
        " ERROR worker-0: request refused peer=192.0.2.1:4711 principal=gw-7 integration=meters code=4.00\n"
    )
    assert (line[10], line[23]) == ("T", "Z")


def test_json_has_each_field_under_a_key_of_its_own() -> None:
    extra = about(claimed=Principal("psk", "gw 7"), converter="c", error='say "x"')
    line = json.loads(written("json", "it failed", extra=extra))
    del line["time"]
    assert line == {
        "level": "ERROR",
        "process": "worker-0",
        "logger": "gateway.test",
        "message": "it failed",
        "claimed": "gw 7",
        "converter": "c",
        "error": 'say "x"',
    }


def test_what_is_not_known_is_left_out() -> None:
    assert about() == {"fields": {}}
    assert written("text", "it failed", extra=about(peer="", principal=None)).endswith("worker-0: it failed\n")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "a"),
        ("a b", '"a b"'),
        ('say "x"', '"say \\"x\\""'),
        ("x principal=admin", '"x principal=admin"'),
        ("one\ntwo", '"one\\ntwo"'),
        ("\x1b[31m", '"\\u001b[31m"'),
        ("\u2028", '"\\u2028"'),
        ("gerät", "gerät"),
        ("\udc80", '"\\udc80"'),
    ],
)
def test_a_field_can_not_pass_for_another_one_nor_break_its_line(value: str, shown: str) -> None:
    assert written("text", "refused", extra=about(error=value)).endswith(f"refused error={shown}\n")


@pytest.mark.parametrize("format_", ["text", "json"])
@given(message=st.text(), value=st.text(min_size=1))
def test_whatever_is_said_it_is_one_line_that_can_be_encoded(format_: str, message: str, value: str) -> None:
    line = written(format_, "%s", message, extra=about(error=value))
    assert line.encode().endswith(b"\n")
    assert line[:-1].isprintable()


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_stack_does_not_break_its_line_and_says_where_it_happened(format_: str) -> None:
    try:
        raise ZeroDivisionError("a\nbug")
    except ZeroDivisionError:
        line = written(format_, "it\nfailed", exc_info=True)
    assert line.count("\n") == 1
    assert "ZeroDivisionError: a\\nbug" in line
    assert "test_logs.py" in line


@pytest.mark.parametrize(
    ("characters", "kept"), [(FIELD_CHARACTERS, FIELD_CHARACTERS), (FIELD_CHARACTERS + 1, FIELD_CHARACTERS - 1)]
)
def test_a_long_field_is_cut(characters: int, kept: int) -> None:
    (value,) = about(error="x" * characters)["fields"].values()
    assert value.rstrip("…") == "x" * kept
    assert len(value) == FIELD_CHARACTERS


def test_the_level_is_the_one_of_the_settings() -> None:
    configure_logging(Settings(_env_file=None, gateway_log_level="WARNING"), "gateway")
    assert not logging.getLogger("gateway.test").isEnabledFor(logging.INFO)
    assert logging.getLogger("gateway.test").isEnabledFor(logging.WARNING)


CRASH = """
import threading
from gateway.logs import configure_logging
from gateway.settings import Settings
configure_logging(Settings(_env_file=None, gateway_log_format="json"), "worker-0")
def fail():
    raise ZeroDivisionError("a bug")
thread = threading.Thread(target=fail, name="writer")
thread.start()
thread.join()
fail()
"""


def test_a_crash_is_a_line_like_any_other() -> None:
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    first, second = map(json.loads, done.stderr.splitlines())
    assert (first["level"], first["message"]) == ("CRITICAL", "the thread writer has ended by a bug")
    assert (second["level"], second["message"]) == ("CRITICAL", "this process ends by a bug")
    assert "ZeroDivisionError: a bug" in first["exception"]
    assert "ZeroDivisionError: a bug" in second["exception"]
