"""`gateway integration`: the ways in for devices."""

import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import uuid4

import typer

from gateway.cli.inputs import parse_metadata
from gateway.cli.output import (
    Format,
    FormatOption,
    print_fields,
    print_json,
    print_line,
    print_note,
    print_table,
    program,
    time_text,
)
from gateway.integrations.debug_mode import end_of, mode_at
from gateway.integrations.endpoints import check_integration, endpoint_urls
from gateway.integrations.identity import NONE
from gateway.model import DebugMode, Integration, SecurityMode
from gateway.presentation.commands import commands_of
from gateway.presentation.integration import as_json
from gateway.settings import Settings, load_settings

if TYPE_CHECKING:
    from gateway.storage.catalogue import Catalogue

T = TypeVar("T")

app = typer.Typer(help="Integrations: the ways in for devices.", no_args_is_help=True)


def _security_mode(text: str) -> SecurityMode:
    """A security mode in whatever case; typer's own way writes those that there are in lower case."""
    for mode in SecurityMode:
        if mode == text.upper():
            return mode
    raise typer.BadParameter(f"{text!r} is none of {', '.join(map(repr, map(str, SecurityMode)))}")


Name = Annotated[str, typer.Argument(help="The integration's name")]
ConverterHelp = "Name of its uplink converter"
SecurityModeOption = typer.Option(
    help="Which listeners take its uplinks",
    parser=_security_mode,
    metavar=f"[{'|'.join(SecurityMode)}]",
    autocompletion=lambda: list(map(str, SecurityMode)),
)
PathPrefixHelp = "Path before /i/ROUTING_KEY, such as api/v2"
MetadataHelp = "KEY=VALUE that its converter gets with each uplink; may be repeated"
IdentityBindingHelp = (
    "Which devices a client may write: none (any), name (the one that bears its identity's name), "
    "or a pattern such as '{name}-*'"
)
RequirePrincipalOption = typer.Option(
    "--require-principal/--no-require-principal",
    help="Whether only clients with an identity may write: a pre-shared key or a certificate",
)
DebugOption = typer.Option(
    "--debug",
    help="Which uplinks leave an event, see gateway events: off, failures, or all, which ends after 15 minutes",
    case_sensitive=False,
)


@app.command()
def create(
    name: Name,
    converter: Annotated[str, typer.Option(help=ConverterHelp)],
    security_mode: Annotated[SecurityMode, SecurityModeOption] = SecurityMode.NO_SECURE,
    path_prefix: Annotated[str, typer.Option(help=PathPrefixHelp)] = "",
    routing_key: Annotated[
        str | None, typer.Option(help="Last segment of its endpoint", show_default="a new UUID")
    ] = None,
    metadata: Annotated[list[str] | None, typer.Option(help=MetadataHelp)] = None,
    identity_binding: Annotated[str, typer.Option(help=IdentityBindingHelp)] = NONE,
    require_principal: Annotated[bool, RequirePrincipalOption] = False,
    debug: Annotated[DebugMode, DebugOption] = DebugMode.OFF,
    disabled: Annotated[bool, typer.Option("--disabled", help="Create it, but take no uplinks yet")] = False,
    format: FormatOption = Format.TABLE,
) -> None:
    """Create an integration; a running gateway serves it when this ends."""
    settings = load_settings()
    integration = Integration(
        name=name,
        converter=converter,
        routing_key=str(uuid4()) if routing_key is None else routing_key,
        enabled=not disabled,
        security_mode=security_mode,
        path_prefix=path_prefix,
        metadata=parse_metadata(metadata or []),
        identity_binding=identity_binding,
        require_principal=require_principal,
        debug_mode=debug,
        debug_until_ms=end_of(debug, _now_ms()),
    )
    check_integration(integration, settings)
    with open_catalogue(settings) as catalogue:
        catalogue.add_integration(integration)
    _print_changed(integration, settings, format, "created")


@app.command("list")
def list_(format: FormatOption = Format.TABLE) -> None:
    """List all integrations."""
    settings = load_settings()
    with open_catalogue(settings) as catalogue:
        integrations = catalogue.integrations()
    if format is Format.JSON:
        print_json([as_json(integration, settings) for integration in integrations])
        return
    print_table(
        ("name", "enabled", "security mode", "converter", "endpoints"),
        (
            (i.name, _yes_no(i.enabled), i.security_mode, i.converter, " ".join(endpoint_urls(i, settings)))
            for i in integrations
        ),
    )


@app.command()
def show(name: Name, format: FormatOption = Format.TABLE) -> None:
    """Show one integration and its endpoint URLs."""
    settings = load_settings()
    with open_catalogue(settings) as catalogue:
        integration = catalogue.integration(name)
    if format is Format.JSON:
        print_json(as_json(integration, settings))
        return
    urls = endpoint_urls(integration, settings)
    fields = {
        "name": integration.name,
        "enabled": _yes_no(integration.enabled),
        "security mode": integration.security_mode,
        "routing key": integration.routing_key,
        "path prefix": integration.path_prefix,
        "converter": integration.converter,
        "identity binding": integration.identity_binding,
        "require principal": _yes_no(integration.require_principal),
        "debug": _debug_text(integration),
        "metadata": ", ".join(f"{key}={value}" for key, value in integration.metadata.items()),
    }
    print_fields(fields | {"endpoint" if n == 0 else f"endpoint {n + 1}": url for n, url in enumerate(urls)})


@app.command()
def update(
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="Give it another name")] = None,
    converter: Annotated[str | None, typer.Option(help=ConverterHelp)] = None,
    security_mode: Annotated[SecurityMode | None, SecurityModeOption] = None,
    path_prefix: Annotated[str | None, typer.Option(help=f'{PathPrefixHelp}; "" for none')] = None,
    routing_key: Annotated[str | None, typer.Option(help="Last segment of its endpoint")] = None,
    metadata: Annotated[list[str] | None, typer.Option(help=f"{MetadataHelp}; other keys stay")] = None,
    remove_metadata: Annotated[list[str] | None, typer.Option(help="KEY to drop; may be repeated")] = None,
    identity_binding: Annotated[str | None, typer.Option(help=IdentityBindingHelp)] = None,
    require_principal: Annotated[bool | None, RequirePrincipalOption] = None,
    debug: Annotated[DebugMode | None, DebugOption] = None,
    enabled: Annotated[bool | None, typer.Option("--enabled/--disabled", help="Whether it takes uplinks")] = None,
    format: FormatOption = Format.TABLE,
) -> None:
    """Change what is given, and leave the rest; a running gateway has followed when this ends."""
    settings = load_settings()
    with open_catalogue(settings) as catalogue:
        old = catalogue.integration(name)
        pairs = {key: value for key, value in old.metadata.items() if key not in (remove_metadata or [])}
        integration = Integration(
            name=_given(new_name, old.name),
            converter=_given(converter, old.converter),
            routing_key=_given(routing_key, old.routing_key),
            enabled=_given(enabled, old.enabled),
            security_mode=_given(security_mode, old.security_mode),
            path_prefix=_given(path_prefix, old.path_prefix),
            metadata=pairs | parse_metadata(metadata or []),
            identity_binding=_given(identity_binding, old.identity_binding),
            require_principal=_given(require_principal, old.require_principal),
            debug_mode=_given(debug, old.debug_mode),
            debug_until_ms=old.debug_until_ms if debug is None else end_of(debug, _now_ms()),
        )
        check_integration(integration, settings)
        catalogue.update_integration(name, integration)
    _print_changed(integration, settings, format, "updated")


@app.command()
def enable(name: Name) -> None:
    """Take uplinks again."""
    settings = load_settings()
    with open_catalogue(settings) as catalogue:
        integration = replace(catalogue.integration(name), enabled=True)
        check_integration(integration, settings)
        catalogue.update_integration(name, integration)
    print_line(f'Integration "{name}" is enabled.')


@app.command()
def disable(name: Name) -> None:
    """Take no more uplinks: its endpoint is not found until it is enabled again."""
    with open_catalogue(load_settings()) as catalogue:
        # Not checked: switching off must work for what the settings no longer allow.
        catalogue.update_integration(name, replace(catalogue.integration(name), enabled=False))
    print_line(f'Integration "{name}" is disabled.')


@app.command()
def delete(name: Name) -> None:
    """Delete an integration; its devices and their data stay."""
    with open_catalogue(load_settings()) as catalogue:
        catalogue.remove_integration(name)
    print_line(f'Integration "{name}" is deleted.')


def open_catalogue(settings: Settings) -> AbstractContextManager["Catalogue"]:
    """The catalogue of the data directory, as `gateway.operations` opens it."""
    from gateway.operations.catalogue import open_catalogue

    return open_catalogue(settings.gateway_data_dir, on_late=_note_late)


def _note_late(why: str) -> None:
    print_note(f"note: this is stored, and followed by the running gateway when it can: {why}")


def note_dtls_off(settings: Settings) -> None:
    """Tell who prepares devices for DTLS that none could come in with it."""
    if not settings.dtls_listener:
        print_note("hint: the DTLS listener is off; COAP_SECURITY_MODE=MIXED turns it on")


def _print_changed(integration: Integration, settings: Settings, format: Format, verb: str) -> None:
    if format is Format.JSON:
        print_json(as_json(integration, settings))
        return
    urls = endpoint_urls(integration, settings)
    state = "" if integration.enabled else ", disabled"
    print_line(f'Integration "{integration.name}" is {verb}{state}. Devices POST or PUT to')
    for url in urls:
        print_line(f"  {url}")
    print_line("Try it:")
    for sample in commands_of(integration, settings, program=program()):
        if sample.credential != "x509":
            print_line(f"  {sample.command}")
    if integration.security_mode is not SecurityMode.NO_SECURE:
        print_line(f"A device that has no certificate needs a pre-shared key: {program()} psk add IDENTITY")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _debug_text(integration: Integration) -> str:
    mode = mode_at(integration, _now_ms())
    return f"all until {time_text(integration.debug_until_ms)}, then failures" if mode is DebugMode.ALL else mode


def _given(new: T | None, old: T) -> T:
    return old if new is None else new


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"
