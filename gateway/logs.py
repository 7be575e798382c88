"""Logging: one line per event on stderr, as text or as JSON, with who and what it is about in fields of their own.

No line is broken by what it says: everything that would is escaped, stacks and hostile text alike. What others wrote
(a diagnostic of a converter, say) belongs into a field, where it can't pass for another one.
"""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final

from gateway.log_folding import FoldingHandler
from gateway.model import Principal
from gateway.settings import LogFormat, Settings

FIELD_CHARACTERS: Final = 500
"""Of a longer field, a line has no more than this beginning, in characters."""

_log = logging.getLogger(__name__)

_BARE: Final = re.compile(r"[^\s\"=\\]+")


def about(
    *,
    peer: str = "",
    principal: Principal | None = None,
    claimed: Principal | None = None,
    integration: str = "",
    converter: str = "",
    code: str = "",
    error: str = "",
) -> dict[str, Mapping[str, str]]:
    """The `extra` of a line that is about somebody or something; what is empty or None is left out.

    `peer` is an address with its port; `principal` owns the session, `claimed` is who a peer said that it was and has
    not shown; `code` is a response code such as `4.04`; `error` is a text that may come from anyone.
    """
    fields = {
        "peer": peer,
        "principal": principal.name if principal else "",
        "claimed": claimed.name if claimed else "",
        "integration": integration,
        "converter": converter,
        "code": code,
        "error": error,
    }
    return {"fields": {name: _cut(value) for name, value in fields.items() if value}}


def configure_logging(settings: Settings, process: str) -> None:
    """Log to stderr as the settings say, crashes too; `process` names who speaks, such as `worker-0`."""
    handler = FoldingHandler(sys.stderr)
    handler.setFormatter(_Json(process) if settings.gateway_log_format is LogFormat.JSON else _Text(process))
    logging.basicConfig(level=settings.gateway_log_level, handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    sys.excepthook = _log_crash
    threading.excepthook = _log_crash_of_thread


def one_line(text: str) -> str:
    """`text` with everything escaped that would break a line or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class _Formatter(logging.Formatter):
    """Times in UTC, with milliseconds."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def _fields(self, record: logging.LogRecord) -> dict[str, str]:
        """What the line is about, and the stack of an exception."""
        fields = dict(getattr(record, "fields", {}))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return fields


class _Text(_Formatter):
    """`2026-01-31T12:00:00.000Z INFO worker-0: message peer=192.0.2.1:4711 error="what it said"`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {self._process}: {one_line(record.getMessage())}"
        return " ".join([line, *(f"{name}={_quoted(value)}" for name, value in self._fields(record).items())])


class _Json(_Formatter):
    """An object per line: time, level, process, logger, message, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": self.formatTime(record),
                "level": record.levelname,
                "process": self._process,
                "logger": record.name,
                "message": record.getMessage(),
                **self._fields(record),
            }
        )


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _log.critical("this process ends by a bug", exc_info=(kind, error, trace))


def _log_crash_of_thread(crash: threading.ExceptHookArgs) -> None:
    name = crash.thread.name if crash.thread else "unknown"
    if crash.exc_value is not None:
        trace = (crash.exc_type, crash.exc_value, crash.exc_traceback)
        _log.critical("the thread %s has ended by a bug", name, exc_info=trace)


def _cut(value: str) -> str:
    return value if len(value) <= FIELD_CHARACTERS else value[: FIELD_CHARACTERS - 1] + "…"


def _quoted(value: str) -> str:
    """A field's value in a line of text: as it is, or as a JSON string where it could be taken for anything else."""
    return value if _BARE.fullmatch(value) and value.isprintable() else one_line(json.dumps(value, ensure_ascii=False))
