"""What ThingsBoard sends to a gateway: shared attributes and remote procedure calls. Read as from a stranger."""

from typing import Final, NamedTuple

import orjson

from gateway.model import JsonValue

MOST_BYTES: Final = 64 << 10
"""Longest message that is looked at: what ThingsBoard takes from others itself."""

MAX_NAME_LENGTH: Final = 255
"""Longest name of a device, in characters: what ThingsBoard's database takes."""


class SharedAttributes(NamedTuple):
    """Attributes of a device that were set in ThingsBoard."""

    device: str
    values: dict[str, JsonValue]


class Rpc(NamedTuple):
    """A remote procedure call to a device."""

    device: str
    id: int | str
    request: dict[str, JsonValue]
    """All of it, with `id`, `method` and `params`."""


def parse_shared_attributes(payload: bytes) -> SharedAttributes:
    """A message of `v1/gateway/attributes`. Raises ValueError."""
    return SharedAttributes(*_parse(payload))


def parse_rpc(payload: bytes) -> Rpc:
    """A message of `v1/gateway/rpc`. Raises ValueError."""
    device, request = _parse(payload)
    id_ = request.get("id")
    if not isinstance(id_, int | str) or isinstance(id_, bool):
        raise ValueError("data has no id")
    if not isinstance(request.get("method"), str):
        raise ValueError("data has no method")
    return Rpc(device, id_, request)


def answer_payload(rpc: Rpc, error: str) -> bytes:
    """The answer to a call that can't be carried out."""
    return orjson.dumps({"device": rpc.device, "id": rpc.id, "data": {"error": error}})


def _parse(payload: bytes) -> tuple[str, dict[str, JsonValue]]:
    if len(payload) > MOST_BYTES:
        raise ValueError(f"{len(payload)} bytes are more than {MOST_BYTES}")
    message = orjson.loads(payload)
    if not isinstance(message, dict):
        raise ValueError("it is no object")
    device, data = message.get("device"), message.get("data")
    if not isinstance(device, str) or not 0 < len(device) <= MAX_NAME_LENGTH:
        raise ValueError("it has no device")
    if not isinstance(data, dict):
        raise ValueError("it has no data")
    try:
        orjson.dumps(data)  # what is nested too deeply can be read, and could not be stored
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from None
    return device, data
