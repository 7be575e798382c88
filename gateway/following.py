"""Whether the gateway goes by what the catalogue and its files say.

Workers and the delivery look at the catalogue four times a second, at files as often as is set. Who has changed
something and wants to go on with what is new, such as a script that creates an integration and sends to it, has them
look at once, by two commands:

- `follow_catalogue` answers `{"workers": how many}` when each of them serves what the catalogue says, and what was
  taken away is out of force;
- `follow_files` has them look at certificates, trust stores and revocation lists too.

Both fail with UnavailableError where somebody takes too long, or can't use the catalogue or a file.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from gateway.command_socket import Commands
from gateway.errors import UnavailableError
from gateway.model import JsonValue
from gateway.questions import ANSWER_PATIENCE_S, Questions


class Following:
    """Of all workers and the delivery. Belongs to the supervisor's loop."""

    def __init__(self, workers: int, questions: Questions, follow_in_delivery: Callable[[], Awaitable[None]]) -> None:
        self._workers = workers
        self._questions = questions
        self._follow_in_delivery = follow_in_delivery

    @property
    def commands(self) -> Commands:
        """What can be asked of it by the command socket."""
        return {
            "follow_catalogue": lambda of: self._follow("catalogue"),
            "follow_files": lambda of: self._follow("files"),
        }

    async def _follow(self, what: Literal["catalogue", "files"]) -> JsonValue:
        asked = [self._questions.ask(worker, {"follow": what}) for worker in range(self._workers)]
        delivery = [self._deliver_by_it()] if what == "catalogue" else []
        answers = await asyncio.gather(*asked, *delivery, return_exceptions=True)
        for worker, answer in enumerate(answers):
            if isinstance(answer, BaseException):
                raise answer
            if answer is False:
                raise UnavailableError(f"worker {worker} can't follow", hint="see its log")
        return {"workers": answers.count(True)}

    async def _deliver_by_it(self) -> None:
        try:
            await asyncio.wait_for(self._follow_in_delivery(), ANSWER_PATIENCE_S)
        except TimeoutError:
            raise UnavailableError(
                f"the delivery has not answered for {ANSWER_PATIENCE_S:.0f} s", hint="try again; see the log"
            ) from None
