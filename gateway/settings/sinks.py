"""The settings of the sinks: where reports go besides the embedded device view."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from gateway.settings.fields import HttpUrl, Port


class ThingsBoardSettings(BaseModel):
    """The sink `thingsboard`, which is on where TB_HOST is set: ThingsBoard's Gateway MQTT API."""

    tb_host: str = Field(
        "", description="ThingsBoard's host name or address; reports are delivered there where it is set"
    )
    tb_port: Port | None = Field(
        None, description="ThingsBoard's MQTT port; where not set, 1883, and 8883 where TB_TLS is true"
    )
    tb_access_token: SecretStr | None = Field(None, description="Access token of the gateway's device in ThingsBoard")
    tb_username: str = Field("", description="User name, where the device has MQTT Basic credentials")
    tb_password: SecretStr | None = Field(None, description="Password of MQTT Basic credentials")
    tb_client_id: str = Field("", description="Client id of MQTT Basic credentials; where not set, one is made up")
    tb_tls: bool = Field(False, description="Speak TLS; where one of the next three is set, it is spoken in any case")
    tb_ca_file: Path | None = Field(
        None, description="CAs that ThingsBoard's certificate is trusted by, PEM; where not set, the system's"
    )
    tb_client_cert: Path | None = Field(
        None, description="The gateway's certificate with its chain, PEM, where the device has X.509 credentials"
    )
    tb_client_key: Path | None = Field(
        None, description="Private key of TB_CLIENT_CERT, PEM; where not set, it is looked for in that file"
    )
    tb_client_key_password: SecretStr | None = Field(None, description="Password of that key, where it has one")
    tb_mqtt_version: Literal["3.1.1", "5"] = Field(
        "5", description="5, which tells why a message was refused, or 3.1.1"
    )
    tb_mqtt_max_message_bytes: int = Field(
        65_536, ge=1024, le=16 << 20, description="Largest MQTT message, in bytes; ThingsBoard takes 65536"
    )
    tb_mqtt_window: int = Field(
        32, ge=2, le=1000, description="Most messages on their way whose delivery is not recorded yet"
    )
    tb_mqtt_ack_timeout_ms: int = Field(
        30_000,
        ge=100,
        description="How long the acknowledgement of a message may take before the connection is made anew, in "
        "milliseconds",
    )
    tb_mqtt_keep_alive_seconds: int = Field(
        30, ge=5, le=65_535, description="How often an idle connection is tried out, in seconds"
    )
    tb_device_idle_seconds: int = Field(
        600, ge=1, description="Devices that were silent for so long are reported disconnected, in seconds"
    )


class HttpSinkSettings(BaseModel):
    """The sink `http`, which is on where GATEWAY_HTTP_SINK_URL is set."""

    gateway_http_sink_url: HttpUrl = Field(
        "", description="http:// or https:// URL that batches of reports are posted to, as JSON"
    )
    gateway_http_sink_token: SecretStr | None = Field(None, description="Bearer token for that URL")
    gateway_http_sink_ca_file: Path | None = Field(
        None, description="CAs that its certificate is trusted by, PEM; where not set, the system's"
    )
    gateway_http_sink_client_cert: Path | None = Field(
        None, description="Client certificate for it, PEM, with its chain"
    )
    gateway_http_sink_client_key: Path | None = Field(
        None, description="Private key of that certificate, PEM; where not set, it is looked for in that file"
    )
    gateway_http_sink_client_key_password: SecretStr | None = Field(
        None, description="Password of that key, where it has one"
    )
    gateway_http_sink_max_body_bytes: int = Field(
        1 << 20, ge=1024, le=64 << 20, description="Largest body that is posted, in bytes"
    )
    gateway_http_sink_timeout_ms: int = Field(
        30_000, ge=100, description="How long the answer may take before it is tried again, in milliseconds"
    )


class JsonlSinkSettings(BaseModel):
    """The sink `jsonl`, which is on where GATEWAY_JSONL_SINK_PATH is set."""

    gateway_jsonl_sink_path: str = Field(
        "", description="File that reports are written to, one JSON object a line; - for standard output"
    )
    gateway_jsonl_sink_max_bytes: int = Field(
        64 << 20,
        ge=1024,
        description="Where the file would become larger it is renamed to .1, .1 to .2 and so on, in bytes",
    )
    gateway_jsonl_sink_files: int = Field(
        5, ge=0, le=1000, description="Most renamed files that are kept; with 0, a full file is deleted"
    )
