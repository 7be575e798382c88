"""Shapes in JSON of a converter, of what became of a payload in it, and of its cases."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.errors import ConverterError
from gateway.model import Converter, JsonValue

if TYPE_CHECKING:
    from gateway.converters.trial import CaseTrial, Trial


def as_json(converter: Converter) -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    from gateway.converters.cases import case_as_json

    return {
        "name": converter.name,
        "language": converter.language.value,
        "source": converter.source,
        "update_only_keys": list(converter.update_only_keys),
        "cases": [case_as_json(case) for case in converter.cases],
    }


def trial_as_json(trial: "Trial", source: str) -> dict[str, JsonValue]:
    """The shape that scripts rely on, of a trial on a payload."""
    from gateway.converters.trial import reports_as_json

    return {
        "output": trial.output,
        "reports": reports_as_json(trial.reports, received_ms=-1) if trial.error is None else None,
        "duration_us": round(trial.duration_us, 1),
        "error": None if trial.error is None else error_as_json(trial.error, source),
    }


def failure_as_json(error: ConverterError, source: str) -> dict[str, JsonValue]:
    """The same, of a trial that did not come to a call, because the source does not compile."""
    return {"output": None, "reports": None, "duration_us": None, "error": error_as_json(error, source)}


def error_as_json(error: ConverterError, source: str) -> dict[str, JsonValue]:
    """What is wrong, and where in the source."""
    from gateway.converters.trial import place_of

    place = place_of(error, source)
    return {
        "message": error.message,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }


def case_trials_as_json(trials: "Sequence[CaseTrial]") -> list[JsonValue]:
    """The shape that scripts rely on, of trials on example cases."""
    return [
        {
            "case": trial.case.name,
            "passed": not trial.wrong,
            "error": trial.wrong or None,
            "difference": list(trial.difference),
        }
        for trial in trials
    ]
