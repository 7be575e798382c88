"""What the supervisor asks of workers, each question waiting for its answer."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.errors import UnavailableError
from gateway.model import JsonValue

ANSWER_PATIENCE_S: Final = 5.0
"""How long a worker may take to answer."""


class Questions:
    """Belongs to the supervisor's loop."""

    def __init__(self, tell: Callable[[int, Mapping[str, object]], bool]) -> None:
        """`tell(worker, message)` sends a message to a worker, and says whether that runs."""
        self._tell = tell
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[int, asyncio.Future[JsonValue]]] = {}
        """Those that were asked, by number, each with its worker."""

    async def ask(self, worker: int, question: Mapping[str, object]) -> JsonValue:
        """A worker's answer; None where it does not run. Raises UnavailableError where it takes too long."""
        number = next(self._numbers)
        answer: asyncio.Future[JsonValue] = asyncio.get_running_loop().create_future()
        self._waiting[number] = worker, answer
        try:
            if not self._tell(worker, {"ask": number, **question}):
                return None
            return await asyncio.wait_for(answer, ANSWER_PATIENCE_S)
        except TimeoutError:
            raise UnavailableError(
                f"worker {worker} has not answered for {ANSWER_PATIENCE_S:.0f} s", hint="try again; see its log"
            ) from None
        finally:
            del self._waiting[number]

    def take(self, message: Mapping[str, Any]) -> None:
        """Take a worker's answer."""
        _, answer = self._waiting.get(message["answer"], (0, None))
        if answer is not None and not answer.done():
            answer.set_result(message["of"])

    def worker_ended(self, worker: int) -> None:
        """A worker is no more, and answers nothing."""
        for asked, answer in self._waiting.values():
            if asked == worker and not answer.done():
                answer.set_result(None)
