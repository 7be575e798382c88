"""Both roles against each other: each suite with each client authentication, connection ID and kind of resumption."""

from dataclasses import replace

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.dtls.client import Resumption
from gateway.dtls.codes import AlertDescription, ContentType, HandshakeType, NamedGroup
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.keyexchange import GROUPS
from gateway.dtls.record import records_of
from gateway.dtls.suites import BY_NAME, SUITES, CipherSuite
from gateway.dtls.tickets import TICKET_LIFETIME_S, TicketKeys
from gateway.model import Principal

from .certificates import KeyKind, device
from .pair import SERVER, WALL_S, Pair
from .peers import (
    CCM_8,
    CERTIFICATE_SUITES,
    PSK,
    PSK_CCM_8,
    PSK_SUITES,
    ca,
    certified_client,
    client_config,
    device_certificate,
    identity,
    server_certificate,
    server_config,
)

CID_LENGTHS = (None, 0, 1, 8, 20)
EVERY_CID = [(client, server) for client in CID_LENGTHS for server in CID_LENGTHS]
EACH_CID: list[tuple[int | None, int | None]] = [(None, 8), (0, 20), (1, 0), (8, 1), (20, None), (8, 8)]
"""Each length on either side: for all suites but the two that are mandatory, which get all pairs."""
AUTHENTICATIONS = [
    (ClientAuth.NONE, False),
    (ClientAuth.NONE, True),
    (ClientAuth.WANTED, False),
    (ClientAuth.WANTED, True),
    (ClientAuth.NEEDED, True),
]
TICKET, SESSION_ID, NO_RESUMPTION = "ticket", "session ID", "no resumption"
KEYS = TicketKeys(bytes(32))
KINDS: tuple[KeyKind, ...] = ("p256", "p384", "ed25519", "rsa2048")

suites = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
resumptions = pytest.mark.parametrize("resumption", [NO_RESUMPTION, TICKET, SESSION_ID])


def resumable(config: Config, resumption: str) -> Config:
    return replace(
        config,
        tickets=KEYS if resumption == TICKET else None,
        session_ids=10 if resumption == SESSION_ID else 0,
    )


def check(pair: Pair, suite: CipherSuite, principal_name: str | None, resumed: bool) -> None:
    """That both sides agree on what they have, and that it works."""
    client, server = pair.client_association, pair.server_association
    assert client.suite is server.suite is suite
    assert client.resumed is server.resumed is resumed
    assert (server.principal.name if server.principal else None) == principal_name
    if not suite.key_exchange.is_psk:
        assert client.principal is not None
        assert client.principal.kind == "x509"
    pair.exchange()


def check_cids(pair: Pair, client_bytes: int | None, server_bytes: int | None) -> None:
    client, server = pair.client_association, pair.server_association
    agreed = client_bytes is not None and server_bytes is not None
    assert len(client.cid) == (client_bytes or 0 if agreed else 0)
    assert len(server.cid) == (server_bytes or 0 if agreed else 0)
    assert client.writer.protection is not None
    assert server.writer.protection is not None
    assert (client.writer.protection.cid, server.writer.protection.cid) == (server.cid, client.cid)


def run_all_cids(client: Config, server: Config, suite: CipherSuite, name: str | None, resumption: str) -> None:
    for client_cid, server_cid in EVERY_CID if suite in (CCM_8, PSK_CCM_8) else EACH_CID:
        pair = Pair(
            replace(client, connection_id_bytes=client_cid),
            replace(resumable(server, resumption), connection_id_bytes=server_cid),
        ).establish()
        check(pair, suite, name, resumed=False)
        check_cids(pair, client_cid, server_cid)
        offered = pair.resumption
        assert bool(offered.ticket) is (resumption == TICKET)
        assert bool(offered.session_id) is (resumption == SESSION_ID)
        if resumption != NO_RESUMPTION:
            pair.establish(offered)
            check(pair, suite, name, resumed=True)
            check_cids(pair, client_cid, server_cid)


@resumptions
@pytest.mark.parametrize(
    ("client_auth", "has_certificate"),
    AUTHENTICATIONS,
    ids=[f"{auth.name}-{'with' if has else 'without'} certificate" for auth, has in AUTHENTICATIONS],
)
@pytest.mark.parametrize("suite", CERTIFICATE_SUITES, ids=lambda suite: suite.name)
def test_certificates_with_every_connection_id(
    suite: CipherSuite, client_auth: ClientAuth, has_certificate: bool, resumption: str
) -> None:
    client = certified_client(suite) if has_certificate else client_config(suite)
    name = "device-1" if has_certificate and client_auth is not ClientAuth.NONE else None
    run_all_cids(client, server_config(client_auth=client_auth), suite, name, resumption)


@resumptions
@pytest.mark.parametrize("suite", PSK_SUITES, ids=lambda suite: suite.name)
def test_pre_shared_keys_with_every_connection_id_whatever_is_asked_of_certificates(
    suite: CipherSuite, resumption: str
) -> None:
    run_all_cids(client_config(suite), server_config(client_auth=ClientAuth.NEEDED), suite, "device-1", resumption)


@pytest.mark.parametrize("suite", CERTIFICATE_SUITES, ids=lambda suite: suite.name)
def test_a_client_without_the_certificate_that_is_needed_is_refused(suite: CipherSuite) -> None:
    pair = Pair(client_config(suite), server_config(client_auth=ClientAuth.NEEDED))
    pair.connect()
    pair.run()
    assert not pair.completed
    assert pair.failures[-1].alert is AlertDescription.HANDSHAKE_FAILURE
    assert "no certificate" in pair.failures[-1].reason


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
@pytest.mark.parametrize("client_kind", KINDS)
@pytest.mark.parametrize("server_kind", KINDS)
def test_every_kind_of_key_in_every_group(server_kind: KeyKind, client_kind: KeyKind, group: NamedGroup) -> None:
    server = server_config(
        identities=(identity(server_certificate(server_kind)),), client_auth=ClientAuth.NEEDED, groups=(group,)
    )
    pair = Pair(certified_client(*CERTIFICATE_SUITES, kind=client_kind), server).establish()
    suite = BY_NAME["ECDHE_RSA_WITH_AES_128_GCM_SHA256"] if server_kind == "rsa2048" else CCM_8
    check(pair, suite, "device-1", resumed=False)
    assert pair.client_association.principal is not None
    assert pair.client_association.principal.fingerprint == server_certificate(server_kind).fingerprint
    assert pair.server_association.principal is not None
    assert pair.server_association.principal.fingerprint == device_certificate(client_kind).fingerprint


@pytest.mark.parametrize("client_kind", KINDS)
@pytest.mark.parametrize("server_kind", KINDS)
def test_raw_public_keys_both_ways(server_kind: KeyKind, client_kind: KeyKind) -> None:
    server = server_config(
        identities=(identity(server_certificate(server_kind)),), client_auth=ClientAuth.NEEDED, raw_public_keys=True
    )
    client = certified_client(*CERTIFICATE_SUITES, kind=client_kind, raw_public_keys=True)
    pair = Pair(client, resumable(server, TICKET)).establish()
    for association, peer in (
        (pair.client_association, server_certificate(server_kind)),
        (pair.server_association, device_certificate(client_kind)),
    ):
        assert association.principal is not None
        assert association.principal.kind == "rpk"
        assert len(association.principal.fingerprint or "") == 64
        assert not any(peer.der in datagram for datagram, _ in pair.sent)
    pair.exchange()
    pair.establish(pair.resumption)
    assert pair.server_association.resumed
    assert pair.server_association.principal is not None
    assert pair.server_association.principal.kind == "rpk"


@pytest.mark.parametrize(
    ("client_has", "server_has"), [(True, False), (False, True)], ids=["the client's alone", "the server's alone"]
)
def test_raw_public_keys_of_one_side_alone_give_certificates(client_has: bool, server_has: bool) -> None:
    client = certified_client(CCM_8, raw_public_keys=client_has)
    pair = Pair(client, server_config(client_auth=ClientAuth.NEEDED, raw_public_keys=server_has)).establish()
    check(pair, CCM_8, "device-1", resumed=False)


def test_a_server_with_raw_public_keys_still_wants_one_that_it_trusts() -> None:
    stranger = device_certificate("p256", "a stranger")
    client = client_config(CCM_8, identities=(identity(stranger),), raw_public_keys=True)
    pair = Pair(client, server_config(client_auth=ClientAuth.WANTED, raw_public_keys=True))
    pair.connect()
    pair.run()
    assert pair.failures[-1].alert is AlertDescription.UNKNOWN_CA


def test_a_client_with_raw_public_keys_and_no_key_sends_an_empty_one() -> None:
    client = client_config(CCM_8, raw_public_keys=True)
    pair = Pair(client, server_config(client_auth=ClientAuth.WANTED, raw_public_keys=True)).establish()
    assert pair.server_association.principal is None


# -- resumption that is refused ------------------------------------------------------------------


def refused(pair: Pair, config: Config, offered: Resumption, *, suite: CipherSuite | None = None) -> None:
    """That the server goes on with a full handshake instead."""
    sessions = pair.server._sessions
    pair.server = Endpoint(config)
    pair.server._sessions = sessions
    pair.establish(offered)
    association = pair.server_association
    assert not association.resumed
    assert not pair.client_association.resumed
    assert association.suite is (suite or CCM_8)
    pair.exchange()


@pytest.mark.parametrize("resumption", [TICKET, SESSION_ID])
class TestResumptionIsRefusedAndAFullHandshakeFollows:
    def before(self, resumption: str, *, has_certificate: bool = True, **changes: object) -> tuple[Pair, Config]:
        config = resumable(server_config(client_auth=ClientAuth.WANTED, **changes), resumption)
        client = certified_client if has_certificate else client_config
        return Pair(client(CCM_8, BY_NAME["ECDHE_ECDSA_WITH_AES_128_CCM"]), config).establish(), config

    def test_where_the_principal_is_not_trusted_any_more(self, resumption: str) -> None:
        pair, config = self.before(resumption)
        asked: list[Principal] = []

        def still_trusted(principal: Principal) -> bool:
            asked.append(principal)
            return False

        refused(pair, replace(config, still_trusted=still_trusted), pair.resumption)
        assert [principal.name for principal in asked] == ["device-1"]

    def test_where_the_suite_is_gone(self, resumption: str) -> None:
        pair, config = self.before(resumption)
        other = BY_NAME["ECDHE_ECDSA_WITH_AES_128_CCM"]
        refused(pair, replace(config, suites=(other,)), pair.resumption, suite=other)

    def test_where_the_client_does_not_offer_the_suite(self, resumption: str) -> None:
        pair, config = self.before(resumption)
        offered, other = pair.resumption, BY_NAME["ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
        pair.client = Endpoint(certified_client(other))
        refused(pair, config, offered, suite=other)

    def test_where_the_session_had_no_extended_master_secret(self, resumption: str) -> None:
        pair, config = self.before(resumption)
        offered = pair.resumption
        weaker = replace(offered.session, extended_master_secret=False)
        if resumption == TICKET:
            offered = replace(offered, session=weaker, ticket=KEYS.seal(weaker, pair.wall_s))
        else:
            pair.server._sessions.put(offered.session_id, weaker)
        refused(pair, config, offered)

    def test_where_the_session_is_a_day_old(self, resumption: str) -> None:
        pair, config = self.before(resumption)
        pair.wall_s = WALL_S + TICKET_LIFETIME_S
        refused(pair, config, pair.resumption)

    def test_where_the_server_does_not_know_it(self, resumption: str) -> None:
        pair, config = self.before(resumption)
        offered = pair.resumption
        pair.server._sessions._sessions.clear()
        refused(pair, replace(config, tickets=TicketKeys() if resumption == TICKET else None), offered)

    def test_where_a_certificate_is_needed_now_that_was_not(self, resumption: str) -> None:
        pair, config = self.before(resumption, has_certificate=False)
        offered = pair.resumption
        pair.client = Endpoint(certified_client(CCM_8))
        refused(pair, replace(config, client_auth=ClientAuth.NEEDED), offered)


def test_a_session_is_resumed_many_times_but_not_for_longer() -> None:
    pair = Pair(client_config(PSK_CCM_8), resumable(server_config(), TICKET)).establish()
    for _ in range(3):
        pair.now_s += TICKET_LIFETIME_S / 4
        pair.establish(pair.resumption)
        assert pair.server_association.resumed
    pair.now_s += TICKET_LIFETIME_S / 4
    pair.establish(pair.resumption)
    assert not pair.server_association.resumed


def test_a_ticket_of_one_server_is_taken_by_another_with_the_same_secret() -> None:
    pair = Pair(client_config(PSK_CCM_8), resumable(server_config(), TICKET)).establish()
    pair.server = Endpoint(server_config(tickets=TicketKeys(bytes(32))))
    pair.establish(pair.resumption)
    assert pair.server_association.resumed


def test_a_principal_with_too_many_names_gets_no_ticket() -> None:
    """A hello that would not fit a datagram gets no answer."""
    names = [x509.DNSName(f"device-1.subsidiary-{number}.example") for number in range(30)]
    talkative = identity(device(issuer=ca(), sans=names))
    client = client_config(CCM_8, identities=(talkative,))
    pair = Pair(client, resumable(server_config(client_auth=ClientAuth.NEEDED), TICKET)).establish()
    assert not pair.resumption.ticket
    pair.establish(pair.resumption)
    assert not pair.server_association.resumed
    pair.exchange()


# -- sizes ---------------------------------------------------------------------------------------


def is_client_hello(datagram: bytes) -> bool:
    return datagram[0] == ContentType.HANDSHAKE and datagram[13] == HandshakeType.CLIENT_HELLO


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(list(SUITES.values())),
    st.integers(64, 1500),
    st.integers(64, 1500),
    st.sampled_from([0, 512, 1024, 2048, 4096]),
)
def test_every_datagram_keeps_to_the_mtu_and_every_record_to_its_limit(
    suite: CipherSuite, client_mtu: int, server_mtu: int, limit: int
) -> None:
    """But a ClientHello, which is in one piece always: see `Flight.datagrams`."""
    client = certified_client(suite, mtu=client_mtu, max_fragment_length=limit)
    server = resumable(server_config(client_auth=ClientAuth.NEEDED, mtu=server_mtu), TICKET)
    pair = Pair(client, server).establish()
    pair.establish(pair.resumption)
    assert pair.server_association.resumed
    for datagram, destination in pair.sent:
        if not is_client_hello(datagram):
            assert len(datagram) <= (client_mtu if destination == SERVER else server_mtu)
            for record in records_of(datagram, 8):
                assert len(record.fragment) <= (limit or 1 << 14) + (25 if record.epoch else 0)
    pair.exchange()


@pytest.mark.parametrize("limit", [512, 1024, 2048, 4096])
def test_a_negotiated_record_size_limit_binds_both_sides(limit: int) -> None:
    pair = Pair(client_config(PSK_CCM_8, max_fragment_length=limit), server_config()).establish()
    for endpoint, association in (
        (pair.client, pair.client_association),
        (pair.server, pair.server_association),
    ):
        endpoint.send(association, bytes(limit))
        with pytest.raises(ValueError, match=f"at most {limit} bytes"):
            endpoint.send(association, bytes(limit + 1))
    pair.run()
    assert pair.received() == ([bytes(limit)], [bytes(limit)])


def test_without_a_limit_a_record_holds_16_kib() -> None:
    pair = Pair(client_config(PSK_CCM_8), server_config()).establish()
    pair.client.send(pair.client_association, bytes(1 << 14))
    pair.run()
    assert pair.received()[1] == [bytes(1 << 14)]
    with pytest.raises(ValueError, match="at most 16384 bytes"):
        pair.client.send(pair.client_association, bytes((1 << 14) + 1))


def test_the_server_takes_the_first_suite_of_its_own_order() -> None:
    order = (BY_NAME["PSK_WITH_AES_128_GCM_SHA256"], PSK_CCM_8)
    pair = Pair(client_config(PSK_CCM_8, order[0]), server_config(suites=order)).establish()
    assert pair.server_association.suite is order[0]


def test_nobody_offers_what_it_can_not_do() -> None:
    without_psk = Pair(client_config(client_psk=None), server_config()).establish()
    assert not without_psk.server_association.suite.key_exchange.is_psk
    without_trust = Pair(client_config(trust=None), server_config()).establish()
    assert without_trust.server_association.suite.key_exchange.is_psk
    server_without_psk = Pair(client_config(), server_config(psk_enabled=False)).establish()
    assert not server_without_psk.server_association.suite.key_exchange.is_psk
    server_without_certificate = Pair(client_config(), server_config(identities=())).establish()
    assert server_without_certificate.server_association.suite.key_exchange.is_psk
    assert server_without_certificate.server_association.principal == Principal("psk", PSK.identity.decode())
