"""The CoAP server behind a listener: the endpoint, and the bridge to aiocoap at its side."""

from collections.abc import Callable, Sequence

from gateway.coap.bridge import MAX_MESSAGE_BYTES, Bridge
from gateway.coap.discovery import Path
from gateway.coap.endpoint import Endpoint, PeerOf, PrincipalOf, Resolver, Route
from gateway.coap.exchanges import Exchanges
from gateway.coap.requests import Arrived
from gateway.metrics import Metrics
from gateway.model import Security
from gateway.settings import Settings


def make_coap_server(
    settings: Settings,
    security: Security,
    *,
    resolve: Resolver,
    endpoints: Callable[[], Sequence[Path]],
    metrics: Metrics,
    arrived: Arrived,
    on_output: Callable[[], None],
    peer_of: PeerOf,
    principal_of: PrincipalOf | None = None,
    room_of: Callable[[Route], int] = lambda route: MAX_MESSAGE_BYTES,
) -> tuple[Endpoint, Bridge]:
    """An endpoint with its bridge; to be made in a running loop. See `Endpoint` and `Bridge`."""
    exchanges = Exchanges(max_entries=settings.gateway_dedup_entries, metrics=metrics)
    endpoint = Endpoint(
        security=security,
        resolve=resolve,
        exchanges=exchanges,
        metrics=metrics,
        max_body_bytes=settings.gateway_max_body_bytes,
        on_output=on_output,
        principal_of=principal_of,
        peer_of=peer_of,
        arrived=arrived,
    )
    bridge = Bridge(
        endpoint,
        security=security,
        resolve=resolve,
        endpoints=endpoints,
        exchanges=exchanges,
        metrics=metrics,
        max_body_bytes=settings.gateway_max_body_bytes,
        piggyback_timeout_s=settings.coap_piggyback_timeout / 1000,
        messages_per_s=settings.gateway_bridge_rate,
        principal_of=principal_of or (lambda route: None),
        room_of=room_of,
    )
    endpoint.attach(bridge)
    return endpoint, bridge
