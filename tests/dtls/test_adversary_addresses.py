"""Whose records and hellos are whose: connection IDs, addresses that change or are claimed, peers that reboot."""

import pytest

from gateway.dtls.codes import AlertDescription, ContentType
from gateway.dtls.config import ClientAuth
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.events import AddressChanged
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import record_header

from .adversary_client import HostileClient, association_of, closed, established, still_works
from .peers import PSK_CCM_8, device_certificate, server_config

ELSEWHERE = b"elsewhere"


# -- connection IDs -------------------------------------------------------------------------------------


def sealed(client: HostileClient, cid: bytes, data: bytes = b"data", number: int = 1) -> bytes:
    """A record under the client's keys, with another connection ID than agreed on, or none."""
    assert client.write is not None
    protection = RecordProtection(client.suite.aead, client.write.key, client.write.iv, cid)
    return protection.seal(ContentType.APPLICATION_DATA, 1, number, data)


def test_a_peer_with_a_connection_id_must_use_it() -> None:
    client = established(cid=b"mine")
    client.deliver(sealed(client, b""))
    assert client.delivered == []
    assert still_works(client)


def test_a_peer_without_a_connection_id_must_use_none() -> None:
    client = established()
    assert association_of(client).cid == b""
    for cid in (b"", bytes(8)):
        header = record_header(ContentType.TLS12_CID, 1, 1, 24)
        client.deliver(header[:11] + cid + header[11:] + bytes(24))
        client.deliver(sealed(client, bytes(8)))
    assert client.delivered == []
    assert still_works(client)


@pytest.mark.parametrize("length", [1, 7, 9, 20])
def test_a_connection_id_of_another_length_is_none(length: int) -> None:
    client = established(cid=b"mine")
    client.deliver(sealed(client, (association_of(client).cid * 3)[:length]))
    assert client.delivered == []


def test_the_connection_id_of_another_peer_is_of_no_use() -> None:
    server = Endpoint(server_config())
    other, client = established(server, address=b"other", cid=b"its"), established(server, cid=b"mine")
    client.deliver(sealed(client, association_of(other).cid))
    assert client.delivered == []
    assert association_of(other).address == b"other"


def test_a_finished_with_another_connection_id_does_not_complete_a_handshake() -> None:
    for cid in (b"", bytes(8), bytes(7)):
        client = HostileClient(server_config(), PSK_CCM_8, cid=b"mine").greet()
        client.exchange_keys()
        client.change_cipher_spec()
        assert client.write is not None
        client.write = RecordProtection(client.suite.aead, client.write.key, client.write.iv, cid)
        client.finish()
        client.repeat()
        assert not client.established


def test_a_connection_id_of_no_bytes_is_as_none() -> None:
    client = established(cid=b"")
    assert association_of(client).writer.protection is not None
    assert still_works(client)


def test_an_address_changes_with_a_record_that_is_newer_than_all_before_and_with_no_other() -> None:
    client = established(cid=b"mine")
    association = association_of(client)
    older = client.record(ContentType.APPLICATION_DATA, b"older", epoch=1)
    newer = client.record(ContentType.APPLICATION_DATA, b"newer", epoch=1)
    client.deliver(newer)
    client.deliver(older, address=ELSEWHERE)  # authentic, and late or held back: its data counts, its address does not
    assert client.delivered == [b"newer", b"older"]
    assert association.address == client.address
    for replay in (older, newer):
        client.deliver(replay, address=ELSEWHERE)
    forged = client.record(ContentType.APPLICATION_DATA, b"forged", epoch=1)
    client.deliver(forged[:-1] + bytes((forged[-1] ^ 1,)), address=ELSEWHERE)
    assert association.address == client.address
    assert not [event for event in client.events if isinstance(event, AddressChanged)]
    client.deliver(forged, address=ELSEWHERE)
    assert association.address == ELSEWHERE


@pytest.mark.parametrize("cid", [None, b"its"], ids=["found by address", "found by connection ID"])
def test_a_peer_that_claims_anothers_address_does_not_throw_it_out(cid: bytes | None) -> None:
    server = Endpoint(server_config())
    victim = established(server, cid=cid)
    insider = established(server, address=b"insider", cid=b"mine")
    insider.deliver(insider.record(ContentType.APPLICATION_DATA, b"I am here", epoch=1), address=victim.address)
    assert insider.delivered == [b"I am here"]
    assert len(server.associations()) == 2
    assert not closed(insider)
    before = len(victim.delivered)
    victim.send_data(b"so am I")
    assert victim.delivered[before:] == [b"so am I"]
    insider.send_data(b"back home")
    assert {one.address for one in server.associations()} == {victim.address, b"insider"}
    assert still_works(victim)


@pytest.mark.parametrize("concurrent", [False, True], ids=["one after another", "at once"])
def test_connection_ids_that_run_out_stall_nothing_and_are_never_given_twice(concurrent: bool) -> None:
    server = Endpoint(server_config(connection_id_bytes=1, handshakes_per_second=1000))
    clients = [HostileClient(server, PSK_CCM_8, address=b"client %d" % number, cid=b"c") for number in range(300)]
    if concurrent:
        for client in clients:
            client.greet()
    for client in clients:
        (client if concurrent else client.greet()).answer()
    associations = server.associations()
    assert len(associations) == 300
    cids = [one.cid for one in associations if one.cid]
    assert len(set(cids)) == len(cids) > 200
    assert not server._attempts.cids
    for client in clients:
        client.send_data(client.address)
        assert client.delivered == [client.address]


# -- ClientHellos from a known address ------------------------------------------------------------------


def test_spoofed_hellos_get_small_answers_and_disturb_nothing() -> None:
    server = Endpoint(server_config())
    victim = established(server)
    spoofer = HostileClient(server, address=victim.address)
    for number in range(1000):
        spoofer.change_hello(random=number.to_bytes(32, "big"), cookie=bytes(number % 33)).greet_again()
    assert all(len(datagram) == 44 for datagram in spoofer.datagrams)
    assert not server._attempts
    assert still_works(victim)


def test_a_handshake_that_someone_on_the_path_begins_leaves_the_association_alone() -> None:
    """It has a valid cookie, as who sees the answers can have; but no key."""
    server = Endpoint(server_config())
    victim = established(server)
    spoofer = HostileClient(server, PSK_CCM_8, address=victim.address).change_hello(random=bytes(32)).greet()
    assert len(server._attempts) == 1
    victim.endpoint.datagrams_to_send()
    assert still_works(victim)
    spoofer.exchange_keys(key=b"no idea")
    spoofer.change_cipher_spec()
    spoofer.finish()
    assert still_works(victim)
    spoofer.repeat()
    assert spoofer.alerts == [AlertDescription.DECRYPT_ERROR]
    assert still_works(victim)
    spoofer.change_hello(random=bytes(31) + b"\1").greet()
    spoofer.wait(600.0)
    assert not server._attempts
    assert still_works(victim)
    assert not closed(spoofer)


@pytest.mark.parametrize("cid", [None, b"mine"], ids=["without connection ID", "with connection ID"])
def test_a_device_that_rebooted_gets_in_again_and_replaces_what_it_was(cid: bytes | None) -> None:
    server = Endpoint(server_config())
    before = established(server, cid=cid)
    after = HostileClient(server, PSK_CCM_8, cid=cid).change_hello(random=bytes(32)).greet()
    assert still_works(before)
    after.answer()
    assert [event.reason for event in closed(after)] == ["replaced by a new handshake"]
    assert len(server.associations()) == 1
    assert still_works(after)


def test_a_device_that_a_nat_gave_anothers_address_does_not_throw_it_out() -> None:
    server = Endpoint(server_config(client_auth=ClientAuth.NEEDED))
    moved = HostileClient(server, certificate=device_certificate(name="device-2"), cid=b"its").greet().answer()
    assert moved.established
    newcomer = HostileClient(server, certificate=device_certificate(), cid=b"mine").change_hello(random=bytes(32))
    newcomer.greet().answer()
    assert len(server.associations()) == 2
    moved.address = ELSEWHERE
    moved.send_data(b"I was moved")
    assert moved.delivered == [b"I was moved"]
