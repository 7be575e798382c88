"""How sinks stand where no gateway runs: what their positions and the spools say."""

import time
from pathlib import Path

from gateway.cli.spool_backlog import positions_of
from gateway.delivery import DEVICE_VIEW
from gateway.model import JsonValue
from gateway.operations.sinks import wanted_sinks
from gateway.settings import Settings
from gateway.sinks.sink import Trouble
from gateway.sinks.status import STOPPED, LastError, SinkStatus, waiting_for
from gateway.storage.device_schema import FILE_NAME as DEVICES_FILE


def statuses_without_gateway(settings: Settings) -> list[dict[str, JsonValue]]:
    """In the shape of `Delivery.statuses`: the device view first, then the sinks that the settings ask for.

    Raises ConfigurationError where a file can't be read.
    """
    data_dir = settings.gateway_data_dir
    told = [_status(data_dir, DEVICE_VIEW, DEVICES_FILE, None)]
    for one in wanted_sinks(settings):
        error = None
        if one.error is not None:
            now_ms = time.time_ns() // 1_000_000
            error = LastError(Trouble.MISCONFIGURED, one.error.message, one.error.hint, now_ms)
        told.append(_status(data_dir, one.name, one.destination, error))
    return told


def _status(data_dir: Path, name: str, destination: str, error: LastError | None) -> dict[str, JsonValue]:
    sink = None if name == DEVICE_VIEW else name
    waiting = waiting_for(data_dir, sink, positions_of(data_dir, name))
    status = SinkStatus(
        name=name,
        destination=destination,
        state=STOPPED,
        since_ms=0,
        delivered=0,
        refused=0,
        rate_per_s=0.0,
        last_error=error,
    )
    return status.as_json(waiting) | {"since_ts": None}  # nobody has written down since when
