"""Draining: where a gateway runs it is watched, elsewhere the delivery runs here, under the gateway's lock."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from gateway.cli.spool_backlog import Backlog
from gateway.cli.spool_watch import Drained, watch
from gateway.command_socket import ask
from gateway.delivery import DEVICE_VIEW, Delivery
from gateway.errors import ConfigurationError, UnavailableError
from gateway.metrics import Metrics
from gateway.model import JsonValue
from gateway.operations.sinks import wanted_sinks
from gateway.settings import Settings
from gateway.supervisor import exclusive

LOCK_PATIENCE_S: Final = 5.0
"""How long a gateway may take that is just starting or stopping."""

GOODBYE_S: Final = 3.0
"""How long sinks may take to end when everything is delivered."""

Choose: TypeAlias = Callable[[Sequence[str]], list[str]]
"""The sinks to wait for, of those that there are."""


def drained(settings: Settings, choose: Choose, *, timeout_s: float) -> Drained:
    """Wait until what is in the spools now is delivered, for at most `timeout_s`.

    Raises what `choose` raises, and ConfigurationError or UnavailableError where files, lock or sinks can't be used.
    """
    began_s = time.monotonic()
    data_dir = settings.gateway_data_dir
    while True:
        told = ask(data_dir, "sinks")
        if told is not None:
            backlog = Backlog(data_dir, choose([status["name"] for status in told]))
            return watch(backlog, lambda: _told(settings), deadline_s=began_s + timeout_s)
        backlog = Backlog(data_dir, choose([DEVICE_VIEW, *(one.name for one in wanted_sinks(settings))]))
        if not any(backlog.total.values()):
            return Drained(backlog.total, backlog.total, {})
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(exclusive(data_dir))
            except ConfigurationError:
                if time.monotonic() >= began_s + LOCK_PATIENCE_S:
                    raise
                continue  # one that is just starting or stopping; taking the lock has waited already
            return _deliver(settings, backlog, deadline_s=began_s + timeout_s)


def _told(settings: Settings) -> Sequence[Mapping[str, JsonValue]] | None:
    """What the running gateway tells; it may end and be started again meanwhile."""
    told: Sequence[Mapping[str, JsonValue]] | None = None
    with contextlib.suppress(UnavailableError):
        told = ask(settings.gateway_data_dir, "sinks")
    return told


def _deliver(settings: Settings, backlog: Backlog, *, deadline_s: float) -> Drained:
    """Run the delivery until the backlog is delivered. Spools are trimmed by their workers, at the next start."""
    delivery = Delivery(settings, on_delivered=lambda worker, batch: None, new_metrics=Metrics)
    delivery.start()
    patience_s = 0.0
    try:
        result = watch(backlog, delivery.statuses, deadline_s=deadline_s)
        patience_s = GOODBYE_S if result.is_complete else 0.0
    finally:
        delivery.stop(patience_s)
    result.left = backlog.left()  # the last ones may just have been confirmed
    return result
