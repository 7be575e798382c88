"""`gateway check`: would the gateway run here, with these settings and this catalogue?

Each check is a generator of findings, and tries what the gateway itself would do: binds the port, compiles
the converter. A data directory that does not exist is not made.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

import typer
from pydantic_settings import DotEnvSettingsSource

from gateway.cli.findings import Finding, Mark
from gateway.cli.integration import open_catalogue
from gateway.cli.output import print_line
from gateway.errors import ConfigurationError, GatewayError, UsageError
from gateway.integrations.endpoints import check_integration, endpoint_urls
from gateway.model import Converter, Integration
from gateway.operations.converters import compile_for
from gateway.settings import Settings, load_settings

TYPO_SIMILARITY = 0.85
"""How alike an unknown variable must be to a known one to be taken for a slip (difflib's ratio): ThingsBoard
and others have variables of the same prefixes, and those are not meant."""

PREFIXES = ("COAP_", "GATEWAY_", "TB_")


def check() -> None:
    """Check whether the gateway would run here.

    Looks at settings, data directory, ports, credentials, converters, integrations and sinks. Exit code 78 where one
    fails.
    """
    failed = False
    for finding in findings():
        print_line(f"{finding.mark} {finding.text}")
        for line in finding.cure.splitlines():
            print_line(f"    {line}")
        failed = failed or finding.mark is Mark.FAILED
    raise typer.Exit(ConfigurationError.exit_code if failed else 0)


def findings() -> Iterator[Finding]:
    """Everything that there is to say, in the order in which it is found."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield from (Finding(Mark.FAILED, line) for line in error.message.splitlines())
        yield from check_variables()
        return
    yield Finding(Mark.OK, f"settings: all {len(Settings.model_fields)} are valid")
    yield from check_variables()
    running = supervisor_runs(settings.gateway_data_dir)
    yield from check_data_dir(settings.gateway_data_dir, running)
    yield from check_listeners(settings, running)
    if settings.dtls_listener:
        from gateway.cli.check_credentials import check_credentials

        yield from check_credentials(settings)
    yield from check_catalogue(settings)
    from gateway.cli.check_sinks import check_sinks

    yield from check_sinks(settings, running)


def check_variables() -> Iterator[Finding]:
    """Variables that nobody reads, and that look like a slip for one that is."""
    known = [name.upper() for name in Settings.model_fields]
    given = list(os.environ)
    # A .env that can't be read is a mistake in the settings, and said there.
    with suppress(OSError, UnicodeDecodeError):
        given += DotEnvSettingsSource(Settings).env_vars
    for name in sorted({name.upper() for name in given}.difference(known)):
        if not name.startswith(PREFIXES):
            continue
        nearest = get_close_matches(name, known, n=1, cutoff=TYPO_SIMILARITY)
        if nearest:
            yield Finding(Mark.WARNING, f"{name} is set, and is no setting", f"did you mean {nearest[0]}?")


def supervisor_runs(data_dir: Path) -> bool:
    """Whether a gateway runs on this data directory."""
    from gateway.supervisor import LOCK_FILE

    try:
        with (data_dir / LOCK_FILE).open("rb") as file:
            # Shared, so that two checks at a time don't take each other for a gateway.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no lock file, or one that can't be read: the check of the directory tells
    return False


def check_data_dir(data_dir: Path, running: bool) -> Iterator[Finding]:
    """Whether the SQLite files can be written."""
    # What serve would create is not created here: then its nearest ancestor must let it.
    folder = next(folder for folder in (data_dir, *data_dir.absolute().parents) if os.path.exists(folder))
    cure = "set GATEWAY_DATA_DIR to a folder that this user can write"
    if not folder.is_dir():
        yield Finding(Mark.FAILED, f"data directory {data_dir}: {folder} is no folder", cure)
        return
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield Finding(Mark.FAILED, f"data directory {data_dir}: {folder} can't be written: {error.strerror}", cure)
        return
    state = "writable" if data_dir.is_dir() else "will be created"
    yield Finding(Mark.OK, f"data directory {data_dir}: {state}{', a gateway is running on it' if running else ''}")


def check_listeners(settings: Settings, running: bool) -> Iterator[Finding]:
    """Whether each listener that is wanted can be had."""
    if settings.ports_collide:
        yield Finding(
            Mark.FAILED,
            f"COAP_BIND_PORT and COAP_DTLS_BIND_PORT are the same, {settings.coap_bind_port}",
            "choose another for one of them; 5683 and 5684 are usual",
        )
    if settings.plain_listener:
        yield _check_port("plain", settings.coap_bind_address, settings.coap_bind_port, "COAP", running)
    if settings.dtls_listener:
        address, port = settings.coap_dtls_bind_address, settings.coap_dtls_bind_port
        yield _check_port("DTLS", address, port, "COAP_DTLS", running)
    if settings.gateway_http_enabled:
        yield _check_http_port(settings, running)
    if not (settings.plain_listener or settings.dtls_listener):
        yield Finding(Mark.FAILED, "no listener is on: no device can reach the gateway", "set COAP_SERVER_ENABLED=true")


def _check_port(kind: str, address: str, port: int, variables: str, running: bool) -> Finding:
    where = f"{kind} listener, UDP port {port} on {address}"
    if running:
        # Not tried: it is taken, by that gateway.
        return Finding(Mark.OK, f"{where}: running")
    from gateway.listeners.batch_socket import bind_group

    try:
        for bound in bind_group(address, port, 1):
            bound.close()
    except OSError as error:
        return Finding(
            Mark.FAILED,
            f"{where}: {os.strerror(error.errno or 0)}",
            f"set {variables}_BIND_ADDRESS or {variables}_BIND_PORT to one that is free, or stop what holds it "
            f"(ss -ulpn 'sport = :{port}')",
        )
    return Finding(Mark.OK, f"{where}: free")


def _check_http_port(settings: Settings, running: bool) -> Finding:
    address, port = settings.gateway_http_bind_address, settings.gateway_http_bind_port
    where = f"REST API, TCP port {port} on {address}"
    if running:
        return Finding(Mark.OK, f"{where}: running")
    from gateway.listeners.tcp_socket import listen_tcp

    try:
        listen_tcp(address, port).close()
    except OSError as error:
        return Finding(
            Mark.FAILED,
            f"{where}: {os.strerror(error.errno or 0)}",
            "set GATEWAY_HTTP_BIND_ADDRESS or GATEWAY_HTTP_BIND_PORT to one that is free, stop what holds it "
            f"(ss -ltpn 'sport = :{port}'), or serve no API (GATEWAY_HTTP_ENABLED=false)",
        )
    return Finding(Mark.OK, f"{where}: free")


def check_catalogue(settings: Settings) -> Iterator[Finding]:
    """Whether every converter compiles and every integration can be served."""
    from gateway.storage.catalogue import FILE_NAME

    if not os.path.exists(settings.gateway_data_dir / FILE_NAME):
        yield Finding(Mark.WARNING, "catalogue: empty yet", "gateway converter create …, gateway integration create …")
        return
    try:
        with open_catalogue(settings) as catalogue:
            integrations, converters = catalogue.snapshot()
    except GatewayError as error:
        yield Finding(Mark.FAILED, f"catalogue: {error.message}", error.hint)
        return
    for converter in converters:
        yield _check_converter(converter, settings)
    names = {converter.name for converter in converters}
    for integration in integrations:
        yield _check_integration(integration, names, settings)
    if not any(integration.enabled for integration in integrations):
        yield Finding(Mark.WARNING, "no integration is enabled", "gateway integration create …")


def _check_converter(converter: Converter, settings: Settings) -> Finding:
    what = f'converter "{converter.name}" ({converter.language})'
    try:
        compile_for(converter, settings)
    except GatewayError as error:
        return Finding(Mark.FAILED, f"{what}: {error.message}", error.hint)
    return Finding(Mark.OK, f"{what}: compiles")


def _check_integration(integration: Integration, converters: set[str], settings: Settings) -> Finding:
    what = f'integration "{integration.name}"'
    if integration.converter not in converters:
        return Finding(
            Mark.FAILED,
            f'{what}: there is no converter "{integration.converter}"',
            f'gateway integration update "{integration.name}" --converter NAME',
        )
    try:
        check_integration(integration, settings)
    except UsageError as error:
        # What takes no uplinks can't miss any.
        mark = Mark.FAILED if integration.enabled else Mark.WARNING
        return Finding(mark, f"{what}: {error.message}", error.hint)
    state = "" if integration.enabled else "disabled, "
    return Finding(Mark.OK, f"{what}: {state}{' '.join(endpoint_urls(integration, settings))}")
