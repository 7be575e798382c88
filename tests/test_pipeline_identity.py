"""Who sent an uplink: told to the converter, stored with the report, deciding what may be written."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ForbiddenError
from gateway.metrics import FORBIDDEN_TOTAL, UPLINKS_TOTAL
from gateway.model import Code, Integration, Outcome, Principal, Security, SecurityMode

from .pipelines import RECEIVED_MS, Flow, Waiting, flow, integration

PSK = Principal("psk", "sensor-1", credential="digest")
X509 = Principal("x509", "sensor-1", subject="CN=sensor-1,O=Example", sans=("a.example",), fingerprint="ab" * 32)
RPK = Principal("rpk", "cd" * 32, fingerprint="cd" * 32)
IDENTITY_KEYS = {"principal", "principalType", "pskIdentity", "certificateSubject", "certificateFingerprint"}


async def stored(made: Flow, principal: Principal | None, payload: bytes = b"SN-001") -> Outcome:
    """Send an uplink in a principal's session and wait for its outcome."""
    ticket = Waiting()
    at_once = made.handler(security=Security.DTLS, principal=principal)(payload, RECEIVED_MS, ticket)
    if at_once is not None:
        return at_once
    await made.until(lambda: ticket.outcomes)
    return ticket.outcomes[0]


def bound(binding: str = "none", **fields: Any) -> list[Integration]:
    return [integration(security_mode=SecurityMode.MIXED, identity_binding=binding, **fields)]


@pytest.mark.parametrize(
    ("principal", "told"),
    [
        (PSK, {"principal": "sensor-1", "principalType": "psk", "pskIdentity": "sensor-1"}),
        (
            X509,
            {
                "principal": "sensor-1",
                "principalType": "x509",
                "certificateSubject": "CN=sensor-1,O=Example",
                "certificateFingerprint": "ab" * 32,
            },
        ),
        (
            RPK,
            {
                "principal": "cd" * 32,
                "principalType": "rpk",
                "certificateSubject": "",
                "certificateFingerprint": "cd" * 32,
            },
        ),
        (None, {}),
    ],
    ids=["psk", "x509", "rpk", "nobody"],
)
def test_the_converter_is_told_who_it_is_and_the_report_keeps_the_name(
    tmp_path: Path, principal: Principal | None, told: dict[str, str]
) -> None:
    async def check() -> None:
        async with flow(tmp_path / "spool.db") as made:
            made.load(bound())
            assert (await stored(made, principal)).code is Code.CREATED
            (report,) = made.stored()
            assert report.principal == (principal.name if principal else None)
            assert {key: value for key, value in report.attributes.items() if key in IDENTITY_KEYS} == told

    asyncio.run(check())


def test_nothing_of_the_integration_passes_for_an_identity(tmp_path: Path) -> None:
    async def check() -> None:
        async with flow(tmp_path / "spool.db") as made:
            made.load(bound(metadata={"principal": "forged", "pskIdentity": "forged", "site": "B"}))
            await stored(made, PSK)
            (report,) = made.stored()
            assert report.attributes["principal"] == report.attributes["pskIdentity"] == "sensor-1"
            assert report.attributes["site"] == "B"

    asyncio.run(check())


def test_what_a_principal_may_not_write_is_refused_whole_and_counted(tmp_path: Path) -> None:
    async def check() -> None:
        async with flow(tmp_path / "spool.db") as made:
            made.load(bound("name"))
            assert (await stored(made, PSK, b"sensor-1")).code is Code.CREATED
            refused = await stored(made, PSK, b"sensor-2")
            assert refused == Outcome(Code.FORBIDDEN, '"sensor-1" may not write as "sensor-2"')
            assert [report.name for report in made.stored()] == ["sensor-1"]
            assert made.counted(FORBIDDEN_TOTAL, "meters") == 1
            assert made.counted(UPLINKS_TOTAL, "meters", "4.03") == 1

    asyncio.run(check())


@pytest.mark.parametrize("fields", [{"require_principal": True}, {"identity_binding": "name"}])
def test_where_an_identity_is_needed_a_request_without_is_refused_and_counted(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    async def check() -> None:
        async with flow(tmp_path / "spool.db") as made:
            made.load([integration(security_mode=SecurityMode.MIXED, **fields)])
            for security in Security:
                with pytest.raises(ForbiddenError) as caught:
                    made.handler(security=security)
                assert caught.value.outcome.code is Code.FORBIDDEN
            assert made.counted(FORBIDDEN_TOTAL, "meters") == 2

    asyncio.run(check())
