"""Converters tried: on a payload, and on the example cases that are kept with them. It all runs in other processes."""

import json
import time
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.api.auth import Admin, Viewer
from gateway.api.backend import Backend, BackendOfApp
from gateway.api.json_values import sound
from gateway.api.problems import about
from gateway.api.uplinks import UplinkFields, uplink_of
from gateway.converters.cases import CASES_MAX, case_as_json, check_json, check_number, check_payload
from gateway.converters.results import reports_of
from gateway.errors import ConverterError, NotFoundError, UsageError
from gateway.integrations.endpoints import check_name
from gateway.model import Converter, ConverterCase, JsonValue, Language
from gateway.operations.converters import SOURCE_BYTES_MAX
from gateway.presentation.converter import failure_as_json
from gateway.storage.catalogue import Catalogue

EXPECTED_BYTES_MAX = 1 << 18
"""Longest expected result of a case, in bytes of JSON."""

router = APIRouter(prefix="/converters", tags=["converters"])

Source = Annotated[str, Field(max_length=SOURCE_BYTES_MAX)]


class TrialRequest(UplinkFields):
    """A source, and a payload to try it on."""

    language: Language
    source: Source


class TrialError(BaseModel):
    """What is wrong, and where in the source; both count from 1."""

    message: str
    line: int | None
    column: int | None


class Trial(BaseModel):
    """What became of a payload."""

    output: JsonValue = Field(description="What the decoder returned; null where it did not come to its end")
    reports: list[JsonValue] | None = Field(description="The reports that this makes; null where it failed")
    duration_us: float | None = Field(description="The median time of a call, in microseconds")
    error: TrialError | None


class CaseFields(BaseModel):
    """An example case."""

    name: str
    payload: str = Field(description="In base64")
    metadata: dict[str, str]
    expected: JsonValue = Field(description="What the decoder shall return; null: anything that makes reports")


class Cases(BaseModel):
    """A converter's example cases."""

    items: list[CaseFields]
    total: int
    next: None = None


class NewCase(UplinkFields):
    """An example case to be kept."""

    expected: JsonValue = Field(None, description="What the decoder shall return; null: anything that makes reports")
    expect_current: bool = Field(False, description="Expect what the converter returns today")


class Unsaved(BaseModel):
    """A source that is not kept yet, to be tried in place of the converter's."""

    source: Source
    language: Language | None = None


class CaseTrial(BaseModel):
    """What became of an example case."""

    case: str
    passed: bool
    error: str | None
    difference: list[str] = Field(description="Lines of a diff, from what was expected to what came")


class CaseTrials(BaseModel):
    """What became of the example cases."""

    items: list[CaseTrial]
    error: TrialError | None = Field(description="Where the source does not compile, or does not end")


@router.post("/test")
def test_converter(user: Admin, request: TrialRequest, backend: BackendOfApp) -> Trial:
    """Try a source on a payload. That it fails is no problem of the request: the answer has the error with its line."""
    with backend.catalogue() as catalogue:
        uplink = uplink_of(request, catalogue)
    converter = Converter("test", request.language, request.source)
    return _try(backend, converter, uplink.payload, uplink.metadata, time.time_ns() // 1_000_000)


@router.get("/{name:path}/cases")
def list_cases(user: Viewer, name: str, backend: BackendOfApp) -> Cases:
    """A converter's example cases; there are at most 100."""
    with backend.catalogue() as catalogue:
        cases = catalogue.converter(name).cases
    return Cases(items=[_fields(case) for case in cases[:CASES_MAX]], total=len(cases))


@router.post("/{name:path}/cases/run")
def run_cases(user: Admin, name: str, backend: BackendOfApp, unsaved: Unsaved | None = None) -> CaseTrials:
    """Try a converter on its example cases, or a source that is not kept yet."""
    with backend.catalogue() as catalogue:
        converter = catalogue.converter(name)
    if unsaved is not None:
        converter = replace(converter, source=unsaved.source, language=unsaved.language or converter.language)
    try:
        trials = backend.runs.try_cases(converter)
    except ConverterError as error:
        failure = failure_as_json(error, converter.source)["error"]
        return CaseTrials(items=[], error=TrialError.model_validate(failure))
    return CaseTrials(items=[CaseTrial.model_validate(sound(trial)) for trial in trials], error=None)


@router.put("/{name:path}/cases/{case:path}")
def put_case(user: Admin, name: str, case: str, new: NewCase, backend: BackendOfApp) -> CaseFields:
    """Keep a payload, and the result that is expected; a case of that name is replaced."""
    check_name("converter", name)  # where a case has /cases in its name, that looks like a part of this one
    check_name("case", case)
    with backend.catalogue() as catalogue:
        converter = catalogue.converter(name)
        payload, metadata = uplink_of(new, catalogue)
    with about("payload"):
        check_payload(payload)
    added = ConverterCase(case, payload, metadata, _expected(new, converter, payload, metadata, backend))
    with backend.catalogue() as catalogue:
        _put(catalogue, name, added)
    return _fields(added)


@router.delete("/{name:path}/cases/{case:path}", status_code=204)
def delete_case(user: Admin, name: str, case: str, backend: BackendOfApp) -> None:
    """Forget an example case."""
    with backend.catalogue() as catalogue:
        converter = catalogue.converter(name)
        rest = tuple(one for one in converter.cases if one.name != case)
        if len(rest) == len(converter.cases):
            raise NotFoundError(f"converter {name!r} has no case {case!r}")
        catalogue.update_converter(name, replace(converter, cases=rest))


def _try(backend: Backend, converter: Converter, payload: bytes, metadata: dict[str, str], received_ms: int) -> Trial:
    try:
        trial = backend.runs.try_payload(converter, payload, metadata, received_ms)
    except ConverterError as error:
        trial = failure_as_json(error, converter.source)
    return Trial.model_validate(sound(trial))


def _expected(
    new: NewCase, converter: Converter, payload: bytes, metadata: dict[str, str], backend: Backend
) -> JsonValue:
    """What a case is to expect; raises UsageError where that is no result."""
    from gateway.converters.trial import CASE_RECEIVED_MS

    if new.expect_current:
        if new.expected is not None:
            raise UsageError("either `expected` or `expect_current`", field="expect_current")
        trial = _try(backend, converter, payload, metadata, CASE_RECEIVED_MS)
        if trial.error is not None:
            raise UsageError(f"the converter fails on it today: {trial.error.message}", field="expect_current")
        return trial.output
    if new.expected is None:
        return None
    with about("expected"):
        check_json(new.expected, "expected")
        if len(json.dumps(new.expected)) > EXPECTED_BYTES_MAX:
            raise UsageError(f"what is expected is longer than {EXPECTED_BYTES_MAX} bytes")
        try:
            reports_of(new.expected, CASE_RECEIVED_MS)
        except ConverterError as error:
            raise UsageError(
                f"it is no result of a converter: {error.message}",
                hint='it is what the decoder shall return, such as {"deviceName": …, "telemetry": {…}}',
            ) from None
    return new.expected


def _put(catalogue: Catalogue, name: str, case: ConverterCase) -> None:
    converter = catalogue.converter(name)
    others = tuple(one for one in converter.cases if one.name != case.name)
    check_number(len(others) + 1)
    catalogue.update_converter(name, replace(converter, cases=(*others, case)))


def _fields(case: ConverterCase) -> CaseFields:
    return CaseFields.model_validate(case_as_json(case))
