"""Integrations: the ways in for devices."""

import time
from dataclasses import replace
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.api.auth import Admin, Viewer
from gateway.api.backend import Backend, BackendOfApp
from gateway.api.paging import Limit, Offset, Page, Search, named_like, page_of
from gateway.errors import NotFoundError, UsageError
from gateway.integrations.debug_mode import end_of
from gateway.integrations.endpoints import NAME_CHARACTERS_MAX, check_integration
from gateway.integrations.identity import BINDING_CHARACTERS_MAX, NONE
from gateway.model import DebugMode, Integration, SecurityMode
from gateway.presentation.commands import commands_of
from gateway.presentation.integration import as_json
from gateway.storage.catalogue import Catalogue

METADATA_KEYS_MAX = 1_000
"""Most key-values of one integration."""

router = APIRouter(prefix="/integrations", tags=["integrations"])

Name = Annotated[str, Field(max_length=NAME_CHARACTERS_MAX)]
RoutingKey = Annotated[str, Field(max_length=255, description="Last segment of its endpoint")]
PathPrefix = Annotated[str, Field(max_length=255, description="Path before /i/ROUTING_KEY, such as api/v2")]
Metadata = Annotated[
    dict[str, str], Field(max_length=METADATA_KEYS_MAX, description="What its converter gets with each uplink")
]
Binding = Annotated[
    str,
    Field(
        max_length=BINDING_CHARACTERS_MAX,
        description="Which devices a client may write: none (any), name, or a pattern such as {name}-*",
    ),
]


class IntegrationFields(BaseModel):
    """An integration."""

    name: str
    enabled: bool
    security_mode: SecurityMode
    routing_key: str
    path_prefix: str
    converter: str
    metadata: dict[str, str]
    identity_binding: str
    require_principal: bool
    debug: DebugMode
    debug_until_ts: int | None = Field(description="When debugging of all ends by itself, in milliseconds since 1970")
    endpoints: list[str] = Field(description="The URLs that devices use")


class NewIntegration(BaseModel):
    """An integration to be made."""

    name: Name
    converter: Name = Field(description="The name of its uplink converter")
    security_mode: SecurityMode = SecurityMode.NO_SECURE
    routing_key: RoutingKey | None = Field(None, description="Where it is left out, a new UUID")
    path_prefix: PathPrefix = ""
    metadata: Metadata = {}
    identity_binding: Binding = NONE
    require_principal: bool = Field(False, description="Whether only clients with an identity may write")
    debug: DebugMode = DebugMode.OFF
    enabled: bool = True


class IntegrationChange(BaseModel):
    """What is to be changed of an integration; what is left out or null stays."""

    name: Name | None = None
    converter: Name | None = None
    security_mode: SecurityMode | None = None
    routing_key: RoutingKey | None = None
    path_prefix: PathPrefix | None = None
    metadata: Metadata | None = Field(None, description="Takes the place of all that there is")
    identity_binding: Binding | None = None
    require_principal: bool | None = None
    debug: DebugMode | None = None
    enabled: bool | None = None


class DebugChange(BaseModel):
    """Which uplinks leave an event."""

    mode: DebugMode = Field(description="`all` ends after 15 minutes, and leaves `failures`")


class Command(BaseModel):
    """A command that sends ThingsBoard's tutorial payload."""

    url: str
    credential: Literal["none", "psk", "x509"] = Field(description="What the device shows for itself")
    tool: Literal["coap-client", "gateway"]
    command: str = Field(description="Ready for the shell; what is not known, such as a key, is named in capitals")


class Commands(BaseModel):
    """Commands for each way into an integration."""

    items: list[Command]


@router.get("")
def list_integrations(
    user: Viewer, backend: BackendOfApp, search: Search = "", limit: Limit = 100, offset: Offset = 0
) -> Page[IntegrationFields]:
    """Integrations, by name."""
    with backend.catalogue() as catalogue:
        found = named_like(search, catalogue.integrations())
    items = [_fields(one, backend) for one in found[offset : offset + limit]]
    return page_of(items, offset=offset, total=len(found))


@router.post("", status_code=201)
def create_integration(user: Admin, new: NewIntegration, backend: BackendOfApp) -> IntegrationFields:
    """Make an integration; it is served when this is answered."""
    integration = Integration(
        name=new.name,
        converter=new.converter,
        routing_key=str(uuid4()) if new.routing_key is None else new.routing_key,
        enabled=new.enabled,
        security_mode=new.security_mode,
        path_prefix=new.path_prefix,
        metadata=new.metadata,
        identity_binding=new.identity_binding,
        require_principal=new.require_principal,
        debug_mode=new.debug,
        debug_until_ms=end_of(new.debug, _now_ms()),
    )
    check_integration(integration, backend.settings)
    with backend.catalogue() as catalogue:
        _check_converter(catalogue, integration.converter)
        catalogue.add_integration(integration)
    return _fields(integration, backend)


@router.get("/{name:path}/commands")
def list_commands(
    user: Viewer,
    name: str,
    backend: BackendOfApp,
    device: Annotated[str | None, Query(max_length=255, description="Send as this device")] = None,
    identity: Annotated[str | None, Query(max_length=255, description="With this PSK identity")] = None,
) -> Commands:
    """Commands that try each way in: with libcoap's client and with the gateway's own, by key and by certificate."""
    with backend.catalogue() as catalogue:
        integration = catalogue.integration(name)
    found = commands_of(integration, backend.settings, program="gateway", device=device, identity=identity)
    return Commands(items=[Command.model_validate(one._asdict()) for one in found])


@router.post("/{name:path}/debug")
def debug_integration(user: Admin, name: str, change: DebugChange, backend: BackendOfApp) -> IntegrationFields:
    """Say which uplinks leave an event."""
    with backend.catalogue() as catalogue:
        integration = replace(
            catalogue.integration(name), debug_mode=change.mode, debug_until_ms=end_of(change.mode, _now_ms())
        )
        catalogue.update_integration(name, integration)
    return _fields(integration, backend)


@router.get("/{name:path}")
def show_integration(user: Viewer, name: str, backend: BackendOfApp) -> IntegrationFields:
    """An integration and its endpoint URLs."""
    with backend.catalogue() as catalogue:
        return _fields(catalogue.integration(name), backend)


@router.patch("/{name:path}")
def update_integration(user: Admin, name: str, change: IntegrationChange, backend: BackendOfApp) -> IntegrationFields:
    """Change what is given, and leave the rest; it is in force when this is answered."""
    given = {field: value for field, value in change.model_dump().items() if value is not None}
    with backend.catalogue() as catalogue:
        integration = _changed(catalogue.integration(name), given)
        if given != {"enabled": False}:  # switching off must work for what the settings no longer allow
            check_integration(integration, backend.settings)
        _check_converter(catalogue, integration.converter)
        catalogue.update_integration(name, integration)
    return _fields(integration, backend)


@router.delete("/{name:path}", status_code=204)
def delete_integration(user: Admin, name: str, backend: BackendOfApp) -> None:
    """Delete an integration; its devices and their data stay."""
    with backend.catalogue() as catalogue:
        catalogue.remove_integration(name)


def _changed(integration: Integration, given: dict[str, Any]) -> Integration:
    debug = given.pop("debug", None)
    if debug is not None:
        integration = replace(integration, debug_mode=debug, debug_until_ms=end_of(debug, _now_ms()))
    return replace(integration, **given)


def _check_converter(catalogue: Catalogue, name: str) -> None:
    """A form names it, so that it is not the address that is wrong."""
    try:
        catalogue.converter(name)
    except NotFoundError as error:
        raise UsageError(error.message, hint=error.hint, field="converter") from None


def _fields(integration: Integration, backend: Backend) -> IntegrationFields:
    return IntegrationFields.model_validate(as_json(integration, backend.settings))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
