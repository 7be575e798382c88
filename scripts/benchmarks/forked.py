"""Work that is done in a process of its own, where the load generator belongs."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar

from benchmarks import servers
from benchmarks.servers import BenchError, Placement

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

CONTEXT = multiprocessing.get_context("fork")
"""With it a child has all that its parent has, keys for instance."""


def run(
    placement: Placement,
    bound_s: float,
    work: Callable[Arguments, Result],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Result:
    """Do it and wait for what it gives. Raises BenchError where it fails or takes longer than that."""
    receiving, sending = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_work, args=(placement, sending, lambda: work(*arguments, **named)))
    process.start()
    sending.close()
    try:
        if not receiving.poll(bound_s):
            raise BenchError(f"it did not end within {bound_s:.0f} s")
        done: Result | BenchError = receiving.recv()
    except EOFError:
        process.join()
        raise BenchError(f"it failed, exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        receiving.close()
    if isinstance(done, BenchError):
        raise done
    return done


def _work(placement: Placement, sending: Connection, work: Callable[[], object]) -> None:
    servers.prepare_generator(placement)
    try:
        done = work()
    except (BenchError, OSError) as error:
        done = BenchError(str(error))
    sending.send(done)
