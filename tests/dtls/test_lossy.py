"""Handshakes over a bad network: loss × reordering × duplication × MTU × client authentication, seeded.

The clock is simulated. Each flight may be sent `TRANSMISSIONS` times, more than the default of 6: at a loss of 30 % and
an MTU of 100 bytes a flight of a dozen datagrams is whole after some eight transmissions only. Every handshake must
complete up to a loss of 30 %, and above that complete or fail cleanly: no side is left in between for longer than its
transmissions take, and when the network is good again the client gets in.
"""

from dataclasses import dataclass, replace

import pytest

from gateway.dtls.association import Association
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.suites import CipherSuite
from gateway.dtls.tickets import TicketKeys

from .pair import SERVER, Network, Pair
from .peers import CCM_8, PSK_CCM_8, certified_client, client_config, server_config

TRANSMISSIONS = 14
LONGEST_S = 60.0 * TRANSMISSIONS * 3
"""Three flights of the client's, of which each transmission is followed by a minute of silence at most."""

LOSSES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
MTUS = (100, 200, 400, 800, 1400)


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    loss: float
    reordering: float
    duplication: float
    mtu: int
    client_auth: ClientAuth

    def __str__(self) -> str:
        bad = [name for name, value in (("reordered", self.reordering), ("doubled", self.duplication)) if value]
        return "-".join([f"loss{self.loss:.0%}", *bad, f"MTU{self.mtu}", self.client_auth.name])


TABLE = [
    Case(loss, reordering, duplication, mtu, client_auth)
    for loss in LOSSES
    for reordering in (0.0, 0.3)
    for duplication in (0.0, 0.3)
    for mtu in MTUS
    for client_auth in (ClientAuth.NONE, ClientAuth.NEEDED)
]


def lossy_pair(case: Case, seed: int, suite: CipherSuite = CCM_8, **changes: object) -> Pair:
    common = {"mtu": case.mtu, "max_transmissions": TRANSMISSIONS, **changes}
    client: Config = replace(client_config(suite), **common)  # type: ignore[arg-type]
    if case.client_auth is not ClientAuth.NONE:
        client = replace(client, identities=certified_client().identities)
    server: Config = replace(server_config(client_auth=case.client_auth), tickets=TicketKeys(), **common)  # type: ignore[arg-type]
    return Pair(client, server, network(case, seed))


def network(case: Case, seed: int) -> Network:
    return Network(loss=case.loss, reordering=case.reordering, duplication=case.duplication, seed=seed)


def settle(pair: Pair, case: Case) -> bool:
    """Run a handshake to its end, whichever; true where both sides completed it."""
    sent_before, began_s = len(pair.sent), pair.now_s
    before = pair.client.associations() + pair.server.associations()
    pair.run(2 * LONGEST_S)
    assert pair.now_s - began_s <= LONGEST_S
    assert pair.client.next_timeout() is None
    assert pair.server.next_timeout() is None
    assert not pair.client._attempts
    assert not pair.server._attempts
    hellos = sum(1 for datagram, _ in pair.sent[sent_before:] if datagram[0] == 22 and datagram[13] == 1)
    assert hellos <= 2 * TRANSMISSIONS  # of each of the two hellos
    completed = all(
        [one for one in endpoint.associations() if one not in before] for endpoint in (pair.client, pair.server)
    )
    assert completed or case.loss > 0.3, pair.failures
    assert all(failure.alert is None for failure in pair.failures)  # it is silence that ends a handshake
    return completed


def check_in_the_clear(pair: Pair, completed: bool) -> Association:
    """That both sides talk to each other when the network is good again, after a new handshake where that is needed."""
    pair.network = Network()
    if not completed:
        pair.client_events.clear()
        pair.server_events.clear()
        pair.establish()
    pair.exchange()
    return pair.server_association


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_a_handshake_over_a_bad_network(case: Case) -> None:
    pair = lossy_pair(case, seed=TABLE.index(case))
    pair.connect()
    association = check_in_the_clear(pair, settle(pair, case))
    assert (association.principal is not None) is (case.client_auth is ClientAuth.NEEDED)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"loss{loss:.0%}")
@pytest.mark.parametrize("cid", [None, 8], ids=["no CID", "CID"])
def test_a_psk_handshake_over_a_bad_network_and_its_resumption(loss: float, cid: int | None) -> None:
    for seed in range(10):
        case = Case(loss, 0.3, 0.3, 200, ClientAuth.NONE)
        pair = lossy_pair(case, seed, PSK_CCM_8, connection_id_bytes=cid)
        pair.connect()
        check_in_the_clear(pair, settle(pair, case))
        pair.network = network(case, seed)
        pair.connect(pair.resumption)
        completed = settle(pair, case)
        assert check_in_the_clear(pair, completed).resumed is completed


def test_the_same_seed_gives_the_same_outcome() -> None:
    case = Case(0.3, 0.3, 0.3, 300, ClientAuth.NEEDED)
    outcomes = []
    for _ in range(2):
        pair = lossy_pair(case, seed=7, suite=PSK_CCM_8)
        pair.connect()
        pair.run()
        outcomes.append((pair.now_s, [(len(datagram), destination) for datagram, destination in pair.sent]))
    assert outcomes[0] == outcomes[1]


def test_the_default_number_of_transmissions_is_enough_at_a_loss_of_a_tenth() -> None:
    for seed in range(50):
        pair = Pair(certified_client(CCM_8), server_config(client_auth=ClientAuth.NEEDED), Network(loss=0.1, seed=seed))
        pair.establish()


def test_a_server_that_is_not_there_is_given_up_after_six_transmissions() -> None:
    pair = Pair(client_config(), server_config(), Network(loss=1.0))
    pair.connect()
    pair.run()
    assert len(pair.sent) == 6
    assert pair.now_s == 1 + 2 + 4 + 8 + 16 + 32
    (failure,) = pair.failures
    assert (failure.address, failure.alert, failure.reason) == (SERVER, None, "the peer does not answer")
