"""Every setting, read from the environment and from `.env`.

The names and defaults of `COAP_*` and `TB_*` are ThingsBoard's; `GATEWAY_*` are the gateway's own. A field's name
is its variable's name in lower case; its description ends up in `.env.example` and `gateway settings`.
"""

import ipaddress
import os
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.errors import ConfigurationError
from gateway.model import Security, SecurityMode
from gateway.settings.fields import CredentialsType, LogFormat, RateLimit, parse_rate_limits
from gateway.settings.http import HttpSettings
from gateway.settings.listeners import DtlsLimitsSettings, DtlsSettings, PlainSettings
from gateway.settings.own import GatewaySettings
from gateway.settings.sinks import HttpSinkSettings, JsonlSinkSettings, ThingsBoardSettings

__all__ = ["CredentialsType", "LogFormat", "RateLimit", "Settings", "load_settings", "parse_rate_limits"]

_KEYSTORE_FIELDS = frozenset(
    {
        "coap_dtls_key_store_type",
        "coap_dtls_key_store",
        "coap_dtls_key_store_password",
        "coap_dtls_key_password",
        "coap_dtls_key_alias",
    }
)


class Settings(
    # pydantic takes the last one's fields first
    HttpSettings,
    JsonlSinkSettings,
    HttpSinkSettings,
    ThingsBoardSettings,
    GatewaySettings,
    DtlsLimitsSettings,
    DtlsSettings,
    PlainSettings,
    BaseSettings,
):
    """The gateway's settings; build with `load_settings`, which reports mistakes one a line."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    @field_validator("gateway_commit_interval_ms")
    @classmethod
    def _commits_in_time(cls, interval_ms: int, info: ValidationInfo) -> int:
        timeout_ms = info.data.get("coap_timeout")  # absent where that is wrong itself
        if timeout_ms is not None and interval_ms >= timeout_ms:
            raise ValueError(
                f"must be less than COAP_TIMEOUT, which is {timeout_ms}: every uplink would be answered 5.03"
            )
        return interval_ms

    def as_environment(self) -> dict[str, str]:
        """The variables that make these very settings, for a process that must not have others."""
        values = {name.upper(): getattr(self, name) for name in type(self).model_fields}
        values["COAP_DTLS_CREDENTIALS_TYPE"] = self.credentials_type  # which depends on what was not set
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in values.items()
            if value is not None
        }

    @property
    def plain_listener(self) -> bool:
        """Whether `coap://` is served."""
        if self.coap_security_mode is None:
            return self.coap_server_enabled
        return self.coap_security_mode is not SecurityMode.DTLS

    @property
    def dtls_listener(self) -> bool:
        """Whether `coaps://` is served."""
        if self.coap_security_mode is None:
            return self.coap_dtls_enabled
        return self.coap_security_mode is not SecurityMode.NO_SECURE

    @property
    def credentials_type(self) -> CredentialsType:
        """Where the server's key comes from: the keystore too where only variables of a keystore are set.

        ThingsBoard's page on the integration sets those alone, while the type's default is PEM.
        """
        return CredentialsType.KEYSTORE if self.keystore_is_inferred else self.coap_dtls_credentials_type

    @property
    def keystore_is_inferred(self) -> bool:
        """Whether a keystore is used because its variables are set, though COAP_DTLS_CREDENTIALS_TYPE is not."""
        given = self.model_fields_set
        return "coap_dtls_credentials_type" not in given and bool(given & _KEYSTORE_FIELDS)

    @property
    def key_file(self) -> Path:
        """The file of the key that secrets at rest are encrypted with."""
        return self.gateway_key_file or self.gateway_data_dir / "gateway.key"

    @property
    def ports_collide(self) -> bool:
        """Whether both listeners want one and the same port."""
        both = self.plain_listener and self.dtls_listener and self.coap_bind_port == self.coap_dtls_bind_port
        addresses = {self.coap_bind_address, self.coap_dtls_bind_address}
        return both and (len(addresses) == 1 or not addresses.isdisjoint(("0.0.0.0", "::")))

    @property
    def workers(self) -> int:
        """How many packet processes run."""
        return self.gateway_workers or len(os.sched_getaffinity(0))

    @property
    def http_url(self) -> str:
        """Where browsers find the REST API and the console."""
        if self.gateway_http_public_url:
            return self.gateway_http_public_url.rstrip("/")
        return f"http://{_url_host(_reachable(self.gateway_http_bind_address))}:{self.gateway_http_bind_port}"

    def base_url(self, security: Security) -> str:
        """Scheme, host and, where it is not the scheme's own, port, as devices reach the listener."""
        plain = security is Security.PLAIN
        default_port = 5683 if plain else 5684
        address = self.coap_bind_address if plain else self.coap_dtls_bind_address
        port = self.coap_bind_port if plain else self.coap_dtls_bind_port
        host = _reachable(address)
        if self.gateway_base_url:
            parts = urlsplit(self.gateway_base_url)
            host = parts.hostname or host
            if plain:
                port = parts.port or port
        return f"{security}://{_url_host(host)}" + ("" if port == default_port else f":{port}")


def _reachable(address: str) -> str:
    """An address by which this machine reaches what is bound to that one."""
    return "127.0.0.1" if ipaddress.ip_address(address).is_unspecified else address


def _url_host(host: str) -> str:
    """As a URL has it: IPv6 in brackets, its zone escaped (RFC 6874 §2)."""
    return f"[{host.replace('%', '%25')}]" if ":" in host else host


def load_settings(env_file: str | None = ".env") -> Settings:
    """Read the environment and `.env`; raises ConfigurationError with one line per mistake."""
    try:
        return Settings(_env_file=env_file)
    except ValidationError as error:
        lines = []
        for mistake in error.errors():
            name = str(mistake["loc"][0]).upper()
            reason = mistake["msg"].removeprefix("Value error, ")
            lines.append(f"{name}={mistake['input']}: {reason[0].lower()}{reason[1:]}")
        raise ConfigurationError("\n".join(lines), hint="see .env.example for every variable") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f".env is not UTF-8 text (byte {error.start})", hint="save it with the encoding UTF-8"
        ) from None
    except OSError as error:
        raise ConfigurationError(f".env can't be read: {error.strerror}", hint="see its owner and mode") from None
