"""An integration's shape in JSON."""

import time

from gateway.integrations.debug_mode import mode_at
from gateway.integrations.endpoints import endpoint_urls
from gateway.model import DebugMode, Integration, JsonValue
from gateway.settings import Settings


def as_json(integration: Integration, settings: Settings) -> dict[str, JsonValue]:
    """The shape that scripts rely on."""
    debug = mode_at(integration, time.time_ns() // 1_000_000)
    return {
        "name": integration.name,
        "enabled": integration.enabled,
        "security_mode": integration.security_mode.value,
        "routing_key": integration.routing_key,
        "path_prefix": integration.path_prefix,
        "converter": integration.converter,
        "metadata": dict(integration.metadata),
        "identity_binding": integration.identity_binding,
        "require_principal": integration.require_principal,
        "debug": debug.value,
        "debug_until_ts": integration.debug_until_ms if debug is DebugMode.ALL else None,
        "endpoints": endpoint_urls(integration, settings),
    }
