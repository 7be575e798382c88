"""The sink `thingsboard`: reports go to ThingsBoard by its Gateway MQTT API (docs/thingsboard.md)."""

import ipaddress
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from gateway.errors import ConfigurationError
from gateway.settings import Settings
from gateway.sinks.mqtt import Connection, Ended, Refused, Server
from gateway.sinks.sink import Host, Session, Sink
from gateway.sinks.thingsboard_errors import why_not_connected
from gateway.sinks.thingsboard_session import SessionOptions, ThingsBoardSession
from gateway.sinks.tls import TlsFiles, client_context

PORT: Final = 1883
TLS_PORT: Final = 8883

PORTION_BYTES: Final = 1 << 20

_log = logging.getLogger(__name__)


def make(settings: Settings, host: Host) -> Sink | None:
    """The sink, where TB_HOST is set. Raises ConfigurationError."""
    if not settings.tb_host:
        return None
    _check_credentials(settings)
    return ThingsBoardSink(settings, host)


class ThingsBoardSink:
    """See `Sink`."""

    name = "thingsboard"
    overlap = 2
    portion_bytes = PORTION_BYTES

    def __init__(self, settings: Settings, host: Host) -> None:
        """Raises ConfigurationError where TB_HOST is no host."""
        self._settings = settings
        self._host = host
        self._has_warned = False
        self._tb_host = _host_name(settings.tb_host)
        self._tls = _speaks_tls(settings)
        self._port = settings.tb_port or (TLS_PORT if self._tls else PORT)
        self._client_id = settings.tb_client_id or f"gateway-{secrets.token_hex(8)}"
        shown = f"[{self._tb_host}]" if ":" in self._tb_host else self._tb_host
        self.destination = f"{'mqtts' if self._tls else 'mqtt'}://{shown}:{self._port}"

    def connect(self) -> AbstractAsyncContextManager[Session]:
        """See `Sink`."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Session]:
        self._warn_once()
        server = self._server()
        session = ThingsBoardSession(self._options(), self._host, lambda listener: Connection(server, listener))
        politely = False
        try:
            try:
                await session.open()
            except (OSError, Refused, Ended) as error:
                raise why_not_connected(error, self._tb_host) from None
            yield session
            politely = True
        finally:
            await session.close(politely=politely)

    def _warn_once(self) -> None:
        """Not where the sink is made: commands make one, too, just to look at it."""
        settings = self._settings
        has_some = settings.tb_access_token or settings.tb_username or settings.tb_client_id or settings.tb_client_cert
        if not has_some and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "there are no credentials for ThingsBoard, which always wants some: "
                "set TB_ACCESS_TOKEN to the access token of the gateway's device"
            )

    def _server(self) -> Server:
        """Files are read anew each time, so that mending them is enough. Raises SinkError."""
        settings = self._settings
        token, password = settings.tb_access_token, settings.tb_password
        return Server(
            host=self._tb_host,
            port=self._port,
            version=settings.tb_mqtt_version,
            client_id=self._client_id,
            username=token.get_secret_value() if token else settings.tb_username or None,
            password=password.get_secret_value() if password else None,
            keep_alive_s=settings.tb_mqtt_keep_alive_seconds,
            tls=client_context(_tls_files(settings)) if self._tls else None,
        )

    def _options(self) -> SessionOptions:
        settings = self._settings
        return SessionOptions(
            window=settings.tb_mqtt_window,
            max_message_bytes=settings.tb_mqtt_max_message_bytes,
            ack_timeout_s=settings.tb_mqtt_ack_timeout_ms / 1000,
            idle_s=settings.tb_device_idle_seconds,
        )


def _tls_files(settings: Settings) -> TlsFiles:
    password = settings.tb_client_key_password
    return TlsFiles(
        "TB_",
        settings.tb_ca_file,
        settings.tb_client_cert,
        settings.tb_client_key,
        password.get_secret_value().encode() if password else None,
    )


def _speaks_tls(settings: Settings) -> bool:
    return settings.tb_tls or any((settings.tb_ca_file, settings.tb_client_cert, settings.tb_client_key))


def _host_name(text: str) -> str:
    """A host name, or an address without the brackets that it may be written in."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        bare.encode("idna")
    except UnicodeError:
        valid = False
    else:
        valid = bare.isprintable() and not set(bare) & set(" /:@[]?#")
    if not valid:
        raise ConfigurationError(
            f"TB_HOST={text} is no host name",
            hint="give the name or address alone, such as thingsboard.example.com; the port goes into TB_PORT, and "
            "TB_TLS=true stands for mqtts://",
        )
    return bare


def _check_credentials(settings: Settings) -> None:
    if settings.tb_access_token and (settings.tb_username or settings.tb_password):
        raise ConfigurationError(
            "TB_ACCESS_TOKEN and TB_USERNAME or TB_PASSWORD exclude each other",
            hint="a device in ThingsBoard has an access token, or MQTT Basic credentials: unset the other",
        )
    if settings.tb_password and not settings.tb_username:
        raise ConfigurationError("TB_PASSWORD is set, and TB_USERNAME is not", hint="set TB_USERNAME as well")
    if settings.tb_client_key and not settings.tb_client_cert:
        raise ConfigurationError("TB_CLIENT_KEY is set, and TB_CLIENT_CERT is not", hint="set TB_CLIENT_CERT as well")
    if settings.tb_client_key_password and not settings.tb_client_cert:
        raise ConfigurationError(
            "TB_CLIENT_KEY_PASSWORD is set, and TB_CLIENT_CERT is not", hint="set TB_CLIENT_CERT as well"
        )
