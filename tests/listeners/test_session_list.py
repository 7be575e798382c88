"""Sessions as operators see them: by portions, each within its time, whatever is searched for."""

import time
from typing import Any

import pytest

from gateway.dtls.association import Association
from gateway.dtls.flight import RecordWriter
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import ReplayWindow
from gateway.listeners.session_list import NAME_CHARACTERS, PORTION_SESSIONS, SessionList
from gateway.model import Principal
from tests.dtls.peers import PSK_CCM_8

IDLE_S = 3600.0


def association(number: int, principal: Principal | None = None, *, cid: bytes | None = None) -> Association:
    own = number.to_bytes(4, "big") if cid is None else cid
    return Association(
        address=b"192.0.2.1:%d" % (10_000 + number),
        suite=PSK_CCM_8,
        principal=principal or Principal("psk", f"SN-{number:05}"),
        is_client=False,
        resumed=False,
        read=RecordProtection(PSK_CCM_8.aead, bytes(16), bytes(4), own),
        window=ReplayWindow(),
        writer=RecordWriter(most_content=512),
        last_flight=None,
        last_seen_s=time.monotonic() - 5,
        established_s=time.monotonic() - 60,
    )


class Clock:
    """Each look at it takes a while."""

    def __init__(self, step_s: float) -> None:
        self.now_s = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def listed(count: int = 0, *others: Association, step_s: float = 0.0, worker: int = 0) -> SessionList:
    """A list of so many sessions, and these."""
    associations = [*(association(number) for number in range(count)), *others]
    return SessionList(
        {one.handle: one for one in associations},
        worker=worker,
        name_of=lambda address: address.decode(),
        idle_timeout_s=IDLE_S,
        clock_s=Clock(step_s),
    )


def portion(it: SessionList, search: str = "", limit: int = 1000, after: str = "") -> Any:
    return it.portion(search=search, limit=limit, after=after)


def names(it: SessionList, search: str = "", limit: int = 1000) -> tuple[list[str], int]:
    """The principals of all portions, and how many portions there were."""
    found: list[str] = []
    portions, after = 0, ""
    while True:
        part = portion(it, search, limit, after)
        found += [one["principal"] for one in part["items"]]
        portions += 1
        if part["next"] is None:
            return found, portions
        after = part["next"]


def test_a_session_is_told_with_all_that_an_operator_needs() -> None:
    whose = Principal("x509", "gw-7", fingerprint="ab" * 32, credential="never shown")
    it = listed(0, association(7, whose), worker=3)
    (one,) = portion(it)["items"]
    now_ms = time.time() * 1000
    established_ms, heard_ms, expires_ms = (one.pop(f"{what}_ts") for what in ("established", "last_heard", "expires"))
    assert established_ms == pytest.approx(now_ms - 60_000, abs=2000)
    assert heard_ms == pytest.approx(now_ms - 5_000, abs=2000)
    assert expires_ms - heard_ms == IDLE_S * 1000
    assert one.pop("id").startswith("3-")
    assert one == {
        "worker": 3,
        "address": "192.0.2.1:10007",
        "principal": "gw-7",
        "principal_type": "x509",
        "certificate_fingerprint": "ab" * 32,
        "cipher_suite": PSK_CCM_8.name,
        "connection_id": "00000007",
        "resumed": False,
    }


def test_a_session_without_identity_and_connection_id_says_so() -> None:
    nobody = association(1, cid=b"")
    nobody.principal = None
    (one,) = portion(listed(0, nobody))["items"]
    assert (one["principal"], one["principal_type"], one["certificate_fingerprint"], one["connection_id"]) == (
        None,
    ) * 4


def test_portions_have_each_session_once_in_their_order() -> None:
    it = listed(501)
    found, portions = names(it)
    assert found == [f"SN-{number:05}" for number in range(501)]
    assert portions == -(-501 // PORTION_SESSIONS)
    assert names(it, limit=100) == (found, 6)


@pytest.mark.parametrize("count", [PORTION_SESSIONS - 1, PORTION_SESSIONS, PORTION_SESSIONS + 1])
def test_the_last_portion_says_that_it_is(count: int) -> None:
    found, portions = names(listed(count))
    assert (len(found), portions) == (count, 1 if count <= PORTION_SESSIONS else 2)


def test_there_may_be_none() -> None:
    assert portion(listed()) == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("SN-00042", ["SN-00042"]),
        ("sn-0004", [f"SN-0004{digit}" for digit in range(10)]),
        ("192.0.2.1:10007", ["SN-00007"]),
        ("0000002a", ["SN-00042"]),
        ("0000002A", ["SN-00042"]),
        ("cdcdcd", ["gw-7"]),
        ("nobody", []),
    ],
)
def test_a_search_looks_at_name_address_connection_id_and_fingerprint(search: str, found: list[str]) -> None:
    it = listed(100, association(500, Principal("x509", "gw-7", fingerprint="cd" * 32)))
    assert names(it, search)[0] == found


def test_a_search_stops_when_its_time_is_over_and_goes_on_behind() -> None:
    it = listed(10_000, step_s=0.0006)  # two looks are more than a portion has
    first = portion(it, "SN-09999")
    assert first["items"] == []
    assert first["next"] is not None
    found, portions = names(it, "SN-09999")
    assert found == ["SN-09999"]
    assert portions > 100


def test_an_ended_session_is_no_place_to_lose_the_others() -> None:
    associations = {one.handle: one for one in map(association, range(10))}
    it = SessionList(associations, worker=0, name_of=bytes.decode, idle_timeout_s=IDLE_S)
    part = portion(it, limit=5)
    gone = it.find(part["next"])
    assert gone is not None
    del associations[gone.handle]
    left = [one["principal"] for one in portion(it, after=part["next"])["items"]]
    assert left == [f"SN-0000{number}" for number in range(5, 10)]


def test_an_id_finds_its_session_and_none_of_another_process() -> None:
    it, successor = listed(3), listed(3)
    for one in portion(it)["items"]:
        session = it.find(one["id"])
        assert session is not None
        assert session.principal is not None
        assert session.principal.name == one["principal"]
        assert it.as_json(session)["id"] == one["id"]
        assert successor.find(one["id"]) is None


@pytest.mark.parametrize(
    "id", ["", "0", "0-", "0-abcd-1", "0-{run}-", "0-{run}-x", "0-{run}-²", "0-{run}--1", "0-{run}-" + "9" * 40]
)
def test_what_is_no_id_finds_nothing(id: str) -> None:
    it = listed(3)
    run = portion(it)["items"][0]["id"].split("-")[1]
    assert it.find(id.replace("{run}", run)) is None
    assert len(portion(it, after=id.replace("{run}", run))["items"]) == 3


def test_a_name_as_long_as_a_certificate_allows_does_not_make_the_message_too_long() -> None:
    it = listed(0, association(1, Principal("x509", "ü" * 100_000)))
    assert portion(it)["items"][0]["principal"] == "ü" * NAME_CHARACTERS
