"""The settings of the REST API and the console."""

from pydantic import BaseModel, Field

from gateway.settings.fields import HttpUrl, IpAddress


class HttpSettings(BaseModel):
    """Where the REST API and, where it is installed, the console are served."""

    gateway_http_enabled: bool = Field(True, description="REST API, metrics and, where it is installed, the console")
    gateway_http_bind_address: IpAddress = Field(
        "127.0.0.1", description="Their address; put a proxy that speaks TLS before any other than 127.0.0.1"
    )
    gateway_http_bind_port: int = Field(8080, ge=1, le=65535, description="Their TCP port")
    gateway_http_public_url: HttpUrl = Field(
        "",
        description="How browsers reach them through a proxy, such as https://gateway.example.com; where not set, by "
        "the bind address",
    )
    gateway_http_session_hours: int = Field(
        12, ge=1, le=8760, description="How long a log-in lasts, in hours; API tokens have a life of their own"
    )
    gateway_http_lockout_failures: int = Field(
        10, ge=1, description="Failed log-ins of one user or from one address after which they are refused for a while"
    )
    gateway_http_lockout_seconds: int = Field(60, ge=1, description="How long, in seconds")
