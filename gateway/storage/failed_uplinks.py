"""How an uplink that its converter failed on is written down: a record of its own kind in a spool's batch.

It stands between `StoredReport`s, which are arrays too; what tells it apart is its fourth field.
"""

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from gateway.model import FailedUplink, Principal

FAILED: Final = "failed"
"""Stands where a report has `device` or `asset`."""


def encode(
    integration: str,
    received_ms: int,
    principal: Principal | None,
    payload: bytes,
    metadata: Mapping[str, str],
    error: str,
) -> bytes:
    """The record, as JSON."""
    return orjson.dumps(
        (
            integration,
            received_ms,
            principal_fields(principal),
            FAILED,
            b64encode(payload).decode(),
            dict(metadata),
            error,
        )
    )


def decode(record: Sequence[Any]) -> FailedUplink:
    """What `encode` wrote down."""
    integration, received_ms, principal, _, payload, metadata, error = record
    return FailedUplink(integration, received_ms, principal_of(principal), a2b_base64(payload), metadata, error)


def principal_fields(principal: Principal | None) -> tuple[str, str, tuple[str, ...]] | None:
    """What of a principal decides which devices it may write."""
    return None if principal is None else (principal.kind, principal.name, principal.sans)


def principal_of(fields: Sequence[Any] | None) -> Principal | None:
    """The principal of `principal_fields`."""
    if fields is None:
        return None
    kind, name, sans = fields
    return Principal(kind, name, sans=tuple(sans))
