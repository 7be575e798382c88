"""Whether the workers serve what the catalogue says.

They look at it four times a second. Who has changed it and wants to go on with what is new, such as a script that
creates an integration and sends to it, has them look at once by the command `follow_catalogue`: when that answers,
`{"workers": how many}`, each of them does, and what was taken away is out of force.
"""

import asyncio

from gateway.command_socket import Commands
from gateway.model import JsonValue
from gateway.questions import Questions


class Following:
    """Of all workers. Belongs to the supervisor's loop."""

    def __init__(self, workers: int, questions: Questions) -> None:
        self._workers = workers
        self._questions = questions

    @property
    def commands(self) -> Commands:
        """What can be asked of it by the command socket."""
        return {"follow_catalogue": self._follow}

    async def _follow(self, of: JsonValue) -> JsonValue:
        asked = (self._questions.ask(worker, {"follow_catalogue": True}) for worker in range(self._workers))
        return {"workers": sum(answer is True for answer in await asyncio.gather(*asked))}
