"""The part of a converter's page where it is tried on a payload, at each change of either."""

import asyncio
import json
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import Final

from nicegui import ui

from gateway.console.client import ApiProblem
from gateway.console.forms import Form, Pairs
from gateway.console.pages.converter_templates import Sample
from gateway.console.session import Session
from gateway.console.times import moment
from gateway.console.widgets import Text, badge, choice, code_block, note, panel, problem_note, text
from gateway.model import JsonValue

PAUSE_S: Final = 0.35
"""How long somebody has to rest from typing before it is tried."""

OUTPUT_CHARACTERS_MAX: Final = 20_000
REPORTS_MAX: Final = 20
VALUES_MAX: Final = 60
"""Most that is shown of a result; the device gets all of it."""

FORMATS: Final = {"text": "Text", "json": "JSON", "hex": "Hex", "cbor": "CBOR"}
_NOTATION: Final = {
    "text": "",
    "json": "",
    "hex": "Two digits a byte, such as 53 4e 2d",
    "cbor": "In diagnostic notation (RFC 8949): {\"temperature\": 25.7, 1: h'00ff'}",
}


class Trial:
    """A payload with its metadata, and what the converter makes of it."""

    def __init__(
        self,
        session: Session,
        source: Callable[[], tuple[str, str]],
        mark: Callable[[int | None], None],
        integrations: list[str],
    ) -> None:
        """`source` gives language and source as they are now; `mark` shows the line of an error, None for none."""
        self._session = session
        self._source = source
        self._mark = mark
        self._number = 0
        self._form = Form()
        with panel("Try it"):
            self._inputs(integrations)
        with panel():
            with ui.element("div").classes("panel-title"):
                text("Result")
                self._verdict = badge("not tried yet")
                ui.element("div").classes("space")
                self._view = ui.toggle({"reports": "Reports", "output": "Output"}, value="reports")
                self._view.props("dense unelevated no-caps").on_value_change(lambda: self._show_result())
            self._result = ui.element("div").classes("result")
        self._answer: JsonValue = None

    def _inputs(self, integrations: list[str]) -> None:
        self._format = ui.toggle(FORMATS, value="json").props("dense unelevated no-caps")
        self._format.on_value_change(lambda: self._changed_format())
        self._payload = self._form.add("payload", ui.textarea().props("autogrow input-class=mono aria-label=Payload"))
        self._payload.on_value_change(self.soon)
        with ui.expansion("Metadata").props("dense").classes("more"):
            chosen = {"": "none", **{name: name for name in integrations}}
            self._integration = self._form.add("integration", choice(chosen, "As if it came by the integration", ""))
            self._integration.on_value_change(self.soon)
            self._pairs_place = ui.element("div")
            with self._pairs_place:
                self._pairs = self._make_pairs({})

    def _make_pairs(self, given: dict[str, str]) -> Pairs:
        pairs = self._form.add_pairs("metadata", Pairs("Beside what an uplink has anyway", given))
        pairs.on_change(self.soon)
        return pairs

    def fields(self) -> dict[str, JsonValue]:
        """The payload and its metadata, as the API takes them."""
        return {
            "payload": self._payload.value or "",
            "payload_format": self._format.value,
            "integration": self._integration.value or None,
            "metadata": self._pairs.value,
        }

    def take_sample(self, sample: Sample) -> None:
        """Try it on this one."""
        self._format.value = sample.payload_format
        self._payload.value = sample.payload

    async def take_likely(self, samples: Sequence[Sample]) -> None:
        """Try it on the first of these that it takes, on the last where it takes none."""
        language, source = self._source()
        for sample in samples:
            fields: dict[str, JsonValue] = {"payload": sample.payload, "payload_format": sample.payload_format}
            told = await self._session.api.post("/converters/test", {"language": language, "source": source, **fields})
            if not told["error"]:
                break
        self.take_sample(sample)

    def take_case(self, case: JsonValue) -> None:
        """Try it on an example case."""
        payload = b64decode(case["payload"])
        self._format.value, self._payload.value = _written(payload)
        self._pairs_place.clear()
        with self._pairs_place:
            self._pairs = self._make_pairs(case["metadata"])

    async def soon(self) -> None:
        """Try it as soon as nothing has changed for a moment; of several answers the newest counts."""
        self._number += 1
        number = self._number
        await asyncio.sleep(PAUSE_S)
        if number != self._number:
            return
        language, source = self._source()
        try:
            answer = await self._session.api.post(
                "/converters/test", {"language": language, "source": source, **self.fields()}
            )
        except ApiProblem as problem:
            if number == self._number:
                self._refused(problem)
            return
        if number == self._number:
            self._form.clear()
            self._answer = answer
            self._mark(answer["error"]["line"] if answer["error"] else None)
            self._show_verdict(answer)
            self._show_result()

    def _changed_format(self) -> None:
        self._payload.props["hint"] = _NOTATION[self._format.value]
        ui.timer(0, self.soon, once=True)

    def _refused(self, problem: ApiProblem) -> None:
        """The payload is none, say, or too many are being tried."""
        self._form.clear()
        self._answer = None
        self._verdict.text = "not tried"
        self._verdict.classes(replace="badge warn")
        self._result.clear()
        if set(problem.errors) <= {"payload", "integration", "metadata"} and problem.errors:
            self._form.show(problem)
            return
        with self._result:
            problem_note(problem)

    def _show_verdict(self, answer: JsonValue) -> None:
        error = answer["error"]
        if error:
            self._verdict.text = f"error in line {error['line']}" if error["line"] else "error"
            self._verdict.classes(replace="badge bad")
            return
        count = len(answer["reports"])
        took = f" · {answer['duration_us'] / 1000:.2f} ms" if answer["duration_us"] is not None else ""
        self._verdict.text = (f"{count} report" if count == 1 else f"{count} reports") + took
        self._verdict.classes(replace="badge good")

    def _show_result(self) -> None:
        answer = self._answer
        self._result.clear()
        if answer is None:
            return
        with self._result:
            if answer["error"]:
                note(answer["error"]["message"], "", "bad")
            if self._view.value == "output" or answer["error"]:
                if answer["output"] is not None:
                    code_block(_pretty(answer["output"]))
            else:
                self._show_reports(answer["reports"])

    def _show_reports(self, reports: list[JsonValue]) -> None:
        for report in reports[:REPORTS_MAX]:
            _show_report(report, self._session)
        if len(reports) > REPORTS_MAX:
            text(f"and {len(reports) - REPORTS_MAX} more", "muted")


def _show_report(report: JsonValue, session: Session) -> None:
    kind = "device" if "deviceName" in report else "asset"
    with ui.element("div").classes("report"):
        with ui.element("div").classes("bar"):
            text(report[f"{kind}Name"], "strong")
            badge(report[f"{kind}Type"])
            if kind == "asset":
                badge("asset", "accent")
            for name in ("customerName", "groupName"):
                if name in report:
                    badge(f"{name.removesuffix('Name')} {report[name]}")
        rows = [
            (key, value, moment(sample["ts"], session.zone) if "ts" in sample else "time of receipt")
            for sample in report.get("telemetry", ())
            for key, value in sample["values"].items()
        ]
        rows += [(key, value, "attribute") for key, value in report.get("attributes", {}).items()]
        with ui.element("table").classes("plain"), ui.element("tbody"):
            for key, value, when in rows[:VALUES_MAX]:
                with ui.element("tr"):
                    Text("td", key)
                    Text("td", _short(value)).classes("num strong")
                    Text("td", when).classes("right muted small")
        if len(rows) > VALUES_MAX:
            text(f"and {len(rows) - VALUES_MAX} more values", "muted")


def _written(payload: bytes) -> tuple[str, str]:
    """A payload as somebody would write it: its form, and the text."""
    try:
        told = payload.decode()
    except UnicodeDecodeError:
        return "hex", payload.hex(" ")
    if not all(character.isprintable() or character in "\r\n\t" for character in told):
        return "hex", payload.hex(" ")
    return ("json" if told.lstrip().startswith(("{", "[")) else "text"), told


def _pretty(value: JsonValue) -> str:
    written = json.dumps(value, indent=2, ensure_ascii=False)
    return written if len(written) <= OUTPUT_CHARACTERS_MAX else f"{written[:OUTPUT_CHARACTERS_MAX]} …"


def _short(value: JsonValue) -> str:
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return written if len(written) <= 200 else f"{written[:200]} …"
