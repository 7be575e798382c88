"""The record of an uplink that its converter failed on."""

import orjson
import pytest

from gateway.model import FailedUplink, Principal
from gateway.storage import failed_uplinks


@pytest.mark.parametrize(
    "principal",
    [None, Principal("psk", "gw-7"), Principal("x509", "gw-7", sans=("gw-7.example", "urn:dev:1"))],
)
@pytest.mark.parametrize("payload", [b"", b"\x00\xff", "Bärlin".encode(), bytes(range(256))])
def test_what_is_written_down_comes_back(principal: Principal | None, payload: bytes) -> None:
    metadata = {"Option:uri": "/i/k", "site": 'Bärlin\n"'}
    record = failed_uplinks.encode("meters", 1_700, principal, payload, metadata, "it broke")
    assert failed_uplinks.decode(orjson.loads(record)) == FailedUplink(
        "meters", 1_700, principal, payload, metadata, "it broke"
    )


def test_a_certificate_is_kept_by_what_an_identity_binding_looks_at() -> None:
    whole = Principal("x509", "gw-7", subject="CN=gw-7", sans=("a",), fingerprint="00", issuer="CN=CA", serial="01")
    fields = failed_uplinks.principal_fields(whole)
    assert failed_uplinks.principal_of(fields) == Principal("x509", "gw-7", sans=("a",))
