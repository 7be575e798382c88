"""Real processes for tests of what happens between them."""

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

CONTEXT = multiprocessing.get_context("spawn")
"""Fresh interpreters: nothing of this process's connections is inherited."""

WAIT_S = 30.0
"""Longer than anything here takes; a test that waits for it has failed."""


@contextmanager
def process(target: Callable[..., object], *arguments: Any) -> Iterator[BaseProcess]:
    """Run `target` in a process of its own; at the end it must have ended, by itself or by the test's signal."""
    child = CONTEXT.Process(target=target, args=arguments)
    child.start()
    try:
        yield child
        child.join(WAIT_S)
        assert child.exitcode is not None, "the process did not end"
    finally:
        if child.is_alive():
            child.kill()
        child.join(WAIT_S)
        child.close()
