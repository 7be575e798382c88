"""What is done with uplinks in the quarantine: a dry run, a replay, deleting."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from nicegui import ui

from gateway.console.payloads import cut
from gateway.console.session import Session
from gateway.console.tables import LiveTable
from gateway.console.times import count
from gateway.console.widgets import Text, confirm, note, say_done
from gateway.model import JsonValue

REASONS_MAX: Final = 8
"""Most kinds of errors that are told apart."""

Choice = dict[str, JsonValue]
"""As the API takes it: ids, integration or all."""

Done = Callable[[], Awaitable[None]]


async def dry_run(session: Session, choice: Choice, what: str) -> None:
    """Say what a replay would come to."""
    with _result("Dry run") as shown:
        tally = await _run(session, {**choice, "dry_run": True}, shown.progress)
        shown.finish(tally, is_dry=True)


async def replay(session: Session, choice: Choice, what: str, done: Done) -> None:
    """Run them through today's converters, and say what it came to."""
    with _result(f"Replay {what}") as shown:
        tally = await _run(session, choice, shown.progress)
        shown.finish(tally, is_dry=False)
    await done()


async def delete(session: Session, choice: Choice, what: str, done: Done) -> None:
    """Delete them, once somebody has agreed."""
    if not await confirm(f"Delete {what}?", "What the devices sent is lost then; it can't be replayed.", do="Delete"):
        return
    deleted, following = 0, 0
    while True:
        told = await session.api.post("/quarantine/delete", {**choice, "after": following})
        deleted += told["deleted"]
        if told["next"] is None:
            break
        following = told["next"]
    say_done("1 is deleted." if deleted == 1 else f"{count(deleted)} are deleted.")
    await done()


class _Tally:
    def __init__(self) -> None:
        self.replayed = 0
        self.failed = 0
        self.names: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()


async def _run(session: Session, choice: Choice, progress: Callable[[_Tally], None]) -> _Tally:
    """All portions of it, as the API goes on."""
    tally = _Tally()
    following = 0
    while True:
        told = await session.api.post("/quarantine/replay", {**choice, "after": following})
        tally.replayed += told["replayed"]
        tally.failed += told["failed"]
        for one in told["items"]:
            tally.names.update(one["names"])
            if one["error"] is not None:
                tally.reasons[cut(one["error"], 300)] += 1
        progress(tally)
        if told["next"] is None:
            return tally
        following = told["next"]


class _result:
    """A dialog that tells how far it is, and what it came to; gone where it is refused."""

    def __init__(self, title: str) -> None:
        with ui.dialog() as self._dialog, ui.card().classes("dialog"):
            Text("h2", title)
            self._progress = ui.linear_progress(show_value=False).props("indeterminate rounded")
            self._told = Text("div", "It is running …").classes("muted")
            self._body = ui.element("div").classes("result")
            with ui.element("div").classes("actions"):
                ui.button("Close", on_click=self._dialog.close).props("outline color=secondary")
        self._dialog.on("hide", self._dialog.delete)

    def __enter__(self) -> "_result":
        self._dialog.open()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and not self._dialog.is_deleted:
            self._dialog.delete()

    def progress(self, tally: _Tally) -> None:
        """How far it is."""
        if not self._dialog.is_deleted:
            self._told.text = f"{count(tally.replayed + tally.failed)} so far"

    def finish(self, tally: _Tally, *, is_dry: bool) -> None:
        """What it came to."""
        if self._dialog.is_deleted:
            return
        self._progress.set_visibility(False)
        self._told.set_visibility(False)
        with self._body:
            if tally.replayed:
                verb = "would succeed" if is_dry else "succeeded, and left the quarantine"
                note(f"{count(tally.replayed)} {verb}", _names(tally.names), "good")
            if tally.failed:
                verb = "would still fail" if is_dry else "still failed, and stay"
                note(f"{count(tally.failed)} {verb}", "", "bad")
                reasons = LiveTable(("error", "(times)"), "")
                reasons.show([(reason, count(times)) for reason, times in tally.reasons.most_common(REASONS_MAX)])
            if not tally.replayed and not tally.failed:
                note("There was nothing to run.")


def _names(names: Counter[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(name for name, _ in names.most_common(5))
    return f"of {shown}" + (f" and {count(len(names) - 5)} more" if len(names) > 5 else "")
