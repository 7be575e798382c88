"""Binds the gateway's ports, before anything starts: the listeners', and that of the REST API."""

import errno
import resource
import socket
import time
from collections.abc import Callable
from typing import Final, TypeVar

from gateway.errors import ConfigurationError
from gateway.listeners.batch_socket import bind_group
from gateway.listeners.relay import relay_pair
from gateway.listeners.tcp_socket import listen_tcp
from gateway.settings import Settings
from gateway.worker import WorkerSockets

BIND_PATIENCE_S: Final = 2.0
"""How long a port may stay taken at the start: workers of a gateway that was killed need a moment to notice."""

T = TypeVar("T")


def raise_file_limit() -> None:
    """Have as many open files as this process may: each worker holds a way to each other."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def bind_worker_sockets(settings: Settings) -> list[WorkerSockets]:
    """Bind the listeners, and connect the workers with each other. Raises ConfigurationError."""
    count = settings.workers
    plain: list[socket.socket] = []
    dtls: list[socket.socket] = []
    if settings.plain_listener:
        plain = _bind_listener(settings.coap_bind_address, settings.coap_bind_port, count, "COAP")
    if settings.dtls_listener:
        dtls = _bind_listener(settings.coap_dtls_bind_address, settings.coap_dtls_bind_port, count, "COAP_DTLS")
    try:
        relays = [relay_pair() for _ in dtls]
    except OSError as error:
        raise _out_of_descriptors(count) from error
    return [
        WorkerSockets(
            plain=plain[index] if plain else None,
            dtls=dtls[index] if dtls else None,
            relay_reading=relays[index][1] if relays else None,
            relay_writing=tuple(writing for writing, _ in relays),
        )
        for index in range(count)
    ]


def bind_http_socket(settings: Settings) -> socket.socket:
    """Listen on the API's port. Raises ConfigurationError."""
    host, port = settings.gateway_http_bind_address, settings.gateway_http_bind_port
    try:
        return _patiently(lambda: listen_tcp(host, port))
    except OSError as error:
        cure = _cure(error.errno, port, "GATEWAY_HTTP", "ss -ltnp")
        raise ConfigurationError(
            f"TCP {host} port {port} can't be bound: {error.strerror}",
            hint=f"{cure}; or serve no API, with GATEWAY_HTTP_ENABLED=false",
        ) from error


def _bind_listener(host: str, port: int, count: int, variables: str) -> list[socket.socket]:
    try:
        return _patiently(lambda: bind_group(host, port, count))
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise _out_of_descriptors(count) from error
        raise ConfigurationError(
            f"UDP {host} port {port} can't be bound: {error.strerror}",
            hint=_cure(error.errno, port, variables, "ss -ulnp"),
        ) from error


def _patiently(bind: Callable[[], T]) -> T:
    deadline_s = time.monotonic() + BIND_PATIENCE_S
    while True:
        try:
            return bind()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline_s:
                raise
            time.sleep(0.05)


def _out_of_descriptors(workers: int) -> ConfigurationError:
    return ConfigurationError(
        f"{workers} workers need more open files than this process may have",
        hint=f"ulimit -n {16 * workers + 256} (systemd: LimitNOFILE), or fewer workers (GATEWAY_WORKERS)",
    )


def _cure(code: int | None, port: int, variables: str, lister: str) -> str:
    if code == errno.EADDRINUSE:
        return f"see who holds it with `{lister} 'sport = :{port}'`, or choose another with {variables}_BIND_PORT"
    if code == errno.EADDRNOTAVAIL:
        return f"set {variables}_BIND_ADDRESS to an address of this machine, or to 0.0.0.0"
    if code == errno.EACCES:
        return f"choose a port from 1024 on with {variables}_BIND_PORT"
    return f"set {variables}_BIND_ADDRESS and {variables}_BIND_PORT"
