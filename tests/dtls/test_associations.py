"""Which association a record is for: by connection ID, or else by address."""

from gateway.dtls.association import Association
from gateway.dtls.associations import Associations
from gateway.dtls.flight import RecordWriter
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import ReplayWindow
from gateway.model import Principal

from .peers import PSK_CCM_8


def one(address: bytes, cid: bytes = b"", principal: Principal | None = None) -> Association:
    protection = RecordProtection(PSK_CCM_8.aead, bytes(16), bytes(4), cid)
    return Association(
        address=address,
        suite=PSK_CCM_8,
        principal=principal,
        is_client=False,
        resumed=False,
        read=protection,
        window=ReplayWindow(),
        writer=RecordWriter(most_content=100, protection=protection),
        last_flight=None,
        last_seen_s=0.0,
    )


def of(*added: Association) -> Associations:
    associations = Associations()
    for association in added:
        associations.add(association)
    return associations


def test_an_association_is_found_by_its_connection_id_and_at_its_address() -> None:
    plain, with_cid = one(b"a"), one(b"b", b"cid")
    associations = of(plain, with_cid)
    assert associations.at(b"a") is plain
    assert associations.at(b"b") is with_cid
    assert associations.by_cid(b"cid") is with_cid
    assert associations.by_cid(b"") is None
    assert associations.at(b"c") is None
    assert [*associations] == [plain, with_cid]
    assert len(associations) == 2


def test_the_one_that_was_silent_for_longest_comes_first() -> None:
    first, second, third = one(b"1"), one(b"2"), one(b"3")
    associations = of(first, second, third)
    associations.heard_from(first)
    assert [*associations] == [second, third, first]


def test_one_with_a_connection_id_does_not_hide_one_without_at_the_same_address() -> None:
    plain, with_cid = one(b"a"), one(b"elsewhere", b"cid")
    associations = of(plain, with_cid)
    associations.move(with_cid, b"a")
    assert with_cid.address == b"a"
    assert associations.at(b"a") is plain
    assert associations.at(b"elsewhere") is None
    associations.remove(with_cid)
    assert associations.at(b"a") is plain
    assert associations.by_cid(b"cid") is None
    assert with_cid not in associations


def test_of_several_with_connection_ids_at_one_address_the_latest_is_known_there_and_all_by_their_ids() -> None:
    first, second, plain = one(b"a", b"1"), one(b"a", b"2"), one(b"a")
    associations = of(first, second)
    assert associations.at(b"a") is second
    associations.add(plain)
    assert associations.at(b"a") is plain
    assert (associations.by_cid(b"1"), associations.by_cid(b"2")) == (first, second)
    associations.remove(plain)
    assert associations.at(b"a") is None


def test_one_that_leaves_an_address_leaves_nothing_there() -> None:
    association = one(b"a", b"cid")
    associations = of(association)
    associations.move(association, b"b")
    assert associations.at(b"a") is None
    assert associations.at(b"b") is association


def test_those_without_identity_make_room_before_any_that_has_one() -> None:
    known, anonymous, later = one(b"1", principal=Principal("psk", "sensor")), one(b"2"), one(b"3")
    associations = of(known, anonymous, later)
    associations.heard_from(anonymous)
    assert associations.most_dispensable() is anonymous
    associations.remove(anonymous)
    assert associations.most_dispensable() is later
    associations.remove(later)
    assert associations.most_dispensable() is known
