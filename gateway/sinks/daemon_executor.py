"""Threads for a sink's address look-ups, which nobody can end: none of them holds up the gateway's end."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonExecutor(ThreadPoolExecutor):
    """Runs each call in a daemon thread of its own; `shutdown` waits for none.

    A `ThreadPoolExecutor` by name alone, since a loop takes no other: that one's threads are waited for when the loop
    is closed, and once more when Python ends, however long a resolver takes to give up.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """See `Executor`."""
        future: Future[T] = Future()
        Thread(target=_run, args=(future, partial(fn, *args, **kwargs)), name="address look-up", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor`; what is under way goes on."""


def _run(future: "Future[T]", call: Callable[[], T]) -> None:
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001  whoever waits for it has to hear of it
            future.set_exception(error)
