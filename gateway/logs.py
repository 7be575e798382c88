"""Logging: one line per event on stderr, as text or as JSON."""

import json
import logging
import sys
import time

from gateway.settings import LogFormat, Settings


class _Text(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO gateway.worker: message`."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {process}: %(message)s")


class _Json(_Text):
    """An object per line: time, level, process, logger, message, and the stack of an exception."""

    def __init__(self, process: str) -> None:
        super().__init__(process)
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(settings: Settings, process: str) -> None:
    """Log to stderr as the settings say; `process` names who speaks, such as `worker-0`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(process) if settings.gateway_log_format is LogFormat.JSON else _Text(process))
    logging.basicConfig(level=settings.gateway_log_level, handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
