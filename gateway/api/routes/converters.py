"""Uplink converters: what makes device reports of payloads."""

import json
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from gateway.api.auth import Admin, Viewer
from gateway.api.backend import BackendOfApp
from gateway.api.downloads import attachment
from gateway.api.paging import Limit, Offset, Page, Search, named_like, page_of
from gateway.api.problems import about
from gateway.api.routes.converter_trials import CaseFields
from gateway.converters.thingsboard_file import UPDATE_ONLY_KEYS_MAX, converter_file, read_converters
from gateway.errors import UsageError
from gateway.integrations.endpoints import NAME_CHARACTERS_MAX, check_name
from gateway.model import Converter, JsonValue, Language
from gateway.operations.converters import SOURCE_BYTES_MAX, check_update_only_keys, chosen_imports
from gateway.presentation.converter import as_json

IMPORTED_MAX: Final = 100
"""Most converters of one file."""

router = APIRouter(prefix="/converters", tags=["converters"])

Name = Annotated[str, Field(max_length=NAME_CHARACTERS_MAX)]
Source = Annotated[str, Field(max_length=SOURCE_BYTES_MAX)]
UpdateOnlyKeys = Annotated[
    list[str],
    Field(max_length=UPDATE_ONLY_KEYS_MAX, description="Keys that are written only where their value changes"),
]
Force = Annotated[bool, Field(description="Even where example cases fail with the new source")]


class ConverterSummary(BaseModel):
    """A converter in a list."""

    name: str
    language: Language
    lines: int
    case_count: int
    used_by: list[str] = Field(description="The integrations whose converter it is")


class ConverterFields(BaseModel):
    """A converter."""

    name: str
    language: Language
    source: str
    update_only_keys: list[str]
    cases: list[CaseFields]


class NewConverter(BaseModel):
    """A converter to be made."""

    name: Name
    language: Language
    source: Source
    update_only_keys: UpdateOnlyKeys = []


class ConverterChange(BaseModel):
    """What a converter is to be; its example cases stay."""

    name: Name | None = Field(None, description="Another name; its integrations follow")
    language: Language | None = Field(None, description="Where it is left out, as it was")
    source: Source
    update_only_keys: UpdateOnlyKeys | None = Field(None, description="Where they are left out, as they were")
    force: Force = False


class Imported(BaseModel):
    """A converter that was taken over from a file."""

    converter: ConverterFields
    replaced: bool
    notes: list[str] = Field(description="What of the file has no place here, and was left out")


class Imports(BaseModel):
    """The converters that were taken over."""

    items: list[Imported]


@router.get("")
def list_converters(
    user: Viewer, backend: BackendOfApp, search: Search = "", limit: Limit = 100, offset: Offset = 0
) -> Page[ConverterSummary]:
    """Converters, by name, without their sources."""
    with backend.catalogue() as catalogue:
        integrations, converters = catalogue.snapshot()
    found = named_like(search, converters)
    items = [
        ConverterSummary(
            name=one.name,
            language=one.language,
            lines=len(one.source.splitlines()),
            case_count=len(one.cases),
            used_by=[integration.name for integration in integrations if integration.converter == one.name],
        )
        for one in found[offset : offset + limit]
    ]
    return page_of(items, offset=offset, total=len(found))


@router.post("", status_code=201)
def create_converter(user: Admin, new: NewConverter, backend: BackendOfApp) -> ConverterFields:
    """Make a converter. It is compiled first: one with a syntax error is refused."""
    check_name("converter", new.name)
    with about("update_only_keys"):
        keys = check_update_only_keys(new.update_only_keys, "update_only_keys")
    converter = Converter(new.name, new.language, new.source, keys)
    with about("source"):
        backend.runs.check(converter)
    with backend.catalogue() as catalogue:
        catalogue.add_converter(converter)
    return _fields(converter)


@router.post("/import", status_code=201)
def import_converters(
    user: Admin,
    backend: BackendOfApp,
    document: Annotated[JsonValue, Body(description="What ThingsBoard exported: one converter, or an array of them")],
    name: Annotated[str | None, Query(max_length=NAME_CHARACTERS_MAX, description="Give it another name")] = None,
    language: Annotated[Language | None, Query(description="Take this one of its decoders")] = None,
    replace: Annotated[bool, Query(description="Replace converters of that name")] = False,
    force: Annotated[bool, Query(description="Even where example cases fail")] = False,
) -> Imports:
    """Take over uplink converters from ThingsBoard, all of them or none.

    Each is compiled first, and tried on its cases. One that is replaced keeps its cases, unless the file has some.
    """
    found = read_converters(json.dumps(document).encode(), language=language)
    if len(found) > IMPORTED_MAX:
        raise UsageError(f"the file has {len(found)} converters", hint=f"at most {IMPORTED_MAX} are taken at a time")
    with backend.catalogue() as catalogue:
        known = {converter.name: converter for converter in catalogue.converters()}
        converters = chosen_imports(found, known, name=name, replace_known=replace)
    backend.runs.check(*converters, force=force)
    with backend.catalogue() as catalogue:
        catalogue.import_converters(converters, replacing=known)
    return Imports(
        items=[
            Imported(converter=_fields(converter), replaced=converter.name in known, notes=list(one.notes))
            for converter, one in zip(converters, found, strict=True)
        ]
    )


@router.get(
    "/{name:path}/export",
    response_class=JSONResponse,
    responses={200: {"description": "The file", "content": {"application/json": {"schema": {"type": "object"}}}}},
)
def export_converter(user: Viewer, name: str, backend: BackendOfApp) -> JSONResponse:
    """A converter as the file that ThingsBoard imports, its example cases with it."""
    with backend.catalogue() as catalogue:
        content = converter_file(catalogue.converter(name))
    return JSONResponse(content, headers=attachment(f"{name}.json"))


@router.get("/{name:path}")
def show_converter(user: Viewer, name: str, backend: BackendOfApp) -> ConverterFields:
    """A converter with its source and its example cases."""
    with backend.catalogue() as catalogue:
        return _fields(catalogue.converter(name))


@router.put("/{name:path}")
def replace_converter(user: Admin, name: str, change: ConverterChange, backend: BackendOfApp) -> ConverterFields:
    """Replace a converter's source. It is compiled first, and refused where an example case fails with it."""
    with backend.catalogue() as catalogue:
        old = catalogue.converter(name)
    converter = _changed(old, change)
    with about("source"):
        backend.runs.check(replace(converter, name=name), force=change.force)  # hints call it as it is called yet
    with backend.catalogue() as catalogue:
        catalogue.update_converter(name, converter)
    return _fields(converter)


@router.delete("/{name:path}", status_code=204)
def delete_converter(user: Admin, name: str, backend: BackendOfApp) -> None:
    """Delete a converter that no integration uses."""
    with backend.catalogue() as catalogue:
        catalogue.remove_converter(name)


def _changed(old: Converter, change: ConverterChange) -> Converter:
    name = old.name if change.name is None else change.name
    check_name("converter", name)
    keys = old.update_only_keys
    if change.update_only_keys is not None:
        with about("update_only_keys"):
            keys = check_update_only_keys(change.update_only_keys, "update_only_keys")
    return replace(
        old, name=name, language=change.language or old.language, source=change.source, update_only_keys=keys
    )


def _fields(converter: Converter) -> ConverterFields:
    return ConverterFields.model_validate(as_json(converter))
