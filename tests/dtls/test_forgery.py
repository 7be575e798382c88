"""Handshakes while someone sends forged datagrams in the peer's name (security rule 7), and associations after them.

Each trial is seeded: 50 forged datagrams, some of several records, at random moments between the first hello and the
end, against a client that repeats its flights as RFC 6347 has it. What is counted is whether both sides are talking
to each other in the end, from that one handshake.
"""

from dataclasses import replace

import pytest

from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.events import AddressChanged, AssociationClosed
from gateway.dtls.suites import BY_NAME
from gateway.dtls.tickets import TicketKeys

from .forgery import Forger, UnderAttack
from .pair import CLIENT, SERVER, Network
from .peers import CCM_8, PSK_CCM_8, certified_client, client_config, server_config

TRIALS = 200
FORGED = 50
DELAY_S = 0.05
DENSE_S, SPREAD_S = 6 * DELAY_S, 3.0
"""All of it while the handshake would take place undisturbed, or over its repetitions as well."""

ECDHE_PSK = BY_NAME["ECDHE_PSK_WITH_AES_128_GCM_SHA256"]
NEEDED = server_config(client_auth=ClientAuth.NEEDED)
FORMS: list[tuple[Config, Config]] = [
    (client_config(PSK_CCM_8), server_config()),
    (client_config(PSK_CCM_8, connection_id_bytes=4), server_config()),
    (client_config(ECDHE_PSK), server_config()),
    (client_config(CCM_8), server_config()),
    (certified_client(CCM_8), NEEDED),
    (certified_client(CCM_8, mtu=250), replace(NEEDED, mtu=250)),
]


def pair_under_attack(seed: int, target: bytes, *, loss: float = 0.0) -> UnderAttack:
    client, server = FORMS[seed % len(FORMS)]
    cid_bytes = (server if target == SERVER else client).connection_id_bytes or 0
    forger = Forger(seed, client.suites[0], target, cid_bytes=cid_bytes)
    network = Network(loss=loss, delay_s=DELAY_S, seed=seed)
    return UnderAttack(client, replace(server, tickets=TicketKeys(bytes(32))), network, forger, target)


def survives(seed: int, target: bytes, within_s: float, *, loss: float = 0.0, resumed: bool = False) -> bool:
    """Whether the one handshake of a trial succeeds."""
    pair = pair_under_attack(seed, target, loss=loss)
    resumption = None
    if resumed:
        network, pair.network = pair.network, Network()
        resumption = pair.establish().resumption
        for endpoint in (pair.client, pair.server):
            endpoint.end_where(lambda association: True, "to be resumed")
        pair.run()
        pair.network = network
    pair.connect(resumption)
    pair.attack(FORGED, within_s)
    pair.run(700.0)
    return pair.peers_agree


def survivors(target: bytes, within_s: float, *, loss: float = 0.0, resumed: bool = False) -> int:
    return sum(survives(seed, target, within_s, loss=loss, resumed=resumed) for seed in range(TRIALS))


resumptions = pytest.mark.parametrize("resumed", [False, True], ids=["full", "resumed"])
moments = pytest.mark.parametrize("within_s", [DENSE_S, SPREAD_S], ids=["dense", "spread"])


@resumptions
@moments
def test_a_servers_handshakes_survive_forged_datagrams_from_the_clients_own_address(
    within_s: float, resumed: bool
) -> None:
    assert survivors(SERVER, within_s, resumed=resumed) >= 199


@resumptions
@pytest.mark.parametrize("within_s", [SPREAD_S, 10.0])
def test_nearly_all_survive_where_a_tenth_of_the_true_datagrams_is_lost_as_well(within_s: float, resumed: bool) -> None:
    assert survivors(SERVER, within_s, loss=0.1, resumed=resumed) >= 195


@resumptions
@pytest.mark.parametrize(("within_s", "fewest"), [(DENSE_S, 165), (SPREAD_S, 185)], ids=["dense", "spread"])
def test_most_of_a_clients_handshakes_survive_forged_datagrams_from_the_servers_own_address(
    within_s: float, fewest: int, resumed: bool
) -> None:
    """Not all: with a pre-shared key nothing in the server's flight is signed, and the client answers the first one."""
    assert survivors(CLIENT, within_s, resumed=resumed) >= fewest


@pytest.mark.parametrize("target", [SERVER, CLIENT], ids=["server", "client"])
def test_no_forged_datagram_ends_an_association_or_changes_its_address(target: bytes) -> None:
    for seed in range(4 * len(FORMS)):
        pair = pair_under_attack(seed, target)
        pair.establish()
        pair.exchange()
        associations = pair.client.associations() + pair.server.associations()
        addresses = [one.address for one in associations]
        pair.attack(200, 10.0)
        pair.run(20.0)
        for _ in range(100):
            pair.deliver(pair._forger.datagram(), target, source=b"somewhere else")
        pair.run(700.0)
        for events in (pair.client_events, pair.server_events):
            assert not [event for event in events if isinstance(event, (AssociationClosed, AddressChanged))]
        assert pair.client.associations() + pair.server.associations() == associations
        assert [one.address for one in associations] == addresses
        assert not pair.client._attempts
        assert not pair.server._attempts
        pair.exchange()


def test_a_client_that_lost_its_handshake_to_forgeries_gets_in_when_it_tries_again() -> None:
    lost = 0
    for seed in range(TRIALS):
        pair = pair_under_attack(seed, CLIENT)
        pair.connect()
        pair.attack(FORGED, DENSE_S)
        pair.run(700.0)
        if not pair.client.associations():
            lost += 1
            pair.connect()
            pair.run(700.0)
            assert pair.peers_agree
    assert lost > 0
