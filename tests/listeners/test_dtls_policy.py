"""What handshakes go by, and how it follows the files and the catalogue."""

import errno
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.credentials.keyfile import KeyFile
from gateway.credentials.psk import PskSealer
from gateway.dtls.association import Association
from gateway.dtls.config import ClientAuth
from gateway.dtls.keyexchange import psk_digest
from gateway.errors import ConfigurationError, UnavailableError
from gateway.listeners.dtls_policy import DtlsPolicy, chosen_suites, load_key_file
from gateway.model import Principal
from gateway.settings import Settings
from gateway.storage.catalogue import Catalogue
from gateway.storage.credential_store import Trusted
from tests.dtls.certificates import DAY_S, Issued, authority, crl, device, server
from tests.dtls.pair import Pair
from tests.dtls.peers import PSK_CCM_8, client_config, server_config
from tests.e2e.secure import validity, write_certificate, write_key

KEY = b"a secret of 16 b"


class Store:
    """A folder with certificates, a key file and a catalogue; policies of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalogue = Catalogue(folder)
        self.key_file = KeyFile.open(folder / "gateway.key")
        self.sealer = PskSealer(self.key_file)
        self.serve_as(server("localhost", **validity(last_day=365)))

    def serve_as(self, one: Issued) -> None:
        write_certificate(self.folder / "coapserver.pem", one)
        write_key(self.folder / "coapserver_key.pem", one)

    def settings(self, **changes: Any) -> Settings:
        return Settings(
            _env_file=None,
            gateway_data_dir=self.folder,
            coap_dtls_pem_cert=self.folder / "coapserver.pem",
            coap_dtls_pem_key=self.folder / "coapserver_key.pem",
            **changes,
        )

    def policy(self, **changes: Any) -> DtlsPolicy:
        return DtlsPolicy(self.settings(**changes), self.catalogue, self.key_file)

    def add_psk(self, identity: str = "sensor-1", key: bytes = KEY, *, replace: bool = False) -> None:
        self.catalogue.credentials.add_psk(identity, self.sealer.seal(identity, key), replace=replace)

    def trust(self, one: Issued, kind: Any = "ca") -> None:
        self.catalogue.credentials.add_trusted(Trusted(kind, one.fingerprint[:8], one.fingerprint, one.der, 0))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.catalogue.close()


@pytest.fixture(scope="module")
def ca() -> Issued:
    return authority(**validity())


def session(principal: Principal | None) -> Association:
    association = Pair(client_config(PSK_CCM_8), server_config()).establish().server_association
    association.principal = principal
    return association


def psk_session(name: str = "sensor-1", key: bytes = KEY) -> Association:
    return session(Principal("psk", name, credential=psk_digest(key)))


def certified(policy: DtlsPolicy, one: Issued) -> Association:
    trust = policy.config.trust
    assert trust is not None
    return session(trust.client_principal(one.chain(), time.time()))


def ended(policy: DtlsPolicy, *some: Association) -> list[bool]:
    """Which of the sessions must end for what the catalogue says now."""
    endings = policy.follow_catalogue()
    return [any(has_ended(one) for has_ended in endings) for one in some]


# -- the configuration -------------------------------------------------------------------------------


def test_the_settings_are_what_the_engine_is_told(store: Store) -> None:
    config = store.policy(
        coap_dtls_client_auth="NEEDED",
        coap_dtls_connection_id_length=4,
        coap_dtls_max_transmission_unit=500,
        coap_dtls_max_fragment_length=512,
        coap_dtls_retransmission_timeout_ms=2500,
        gateway_dtls_sessions=10,
        gateway_dtls_handshakes=7,
        gateway_dtls_handshake_rate=3,
        gateway_dtls_lockout_failures=5,
        gateway_dtls_lockout_seconds=6,
        gateway_dtls_require_extended_master_secret=False,
        gateway_dtls_cipher_suites="PSK_WITH_AES_128_CCM_8",
        tb_coap_x509_dtls_session_inactivity_timeout=90_000,
    ).config
    assert config.client_auth is ClientAuth.NEEDED
    assert config.suites == (PSK_CCM_8,)
    assert (config.connection_id_bytes, config.mtu, config.max_fragment_length) == (4, 500, 512)
    assert (config.max_associations, config.max_handshakes) == (10, 7)
    assert (config.handshakes_per_second, config.lockout_failures, config.lockout_s) == (3, 5, 6)
    assert (config.retransmission_timeout_s, config.idle_timeout_s) == (2.5, 90.0)
    assert not config.require_extended_master_secret
    assert config.psk_enabled


def test_workers_share_the_bound_on_sessions_and_the_keys_of_tickets(store: Store) -> None:
    settings = store.settings(gateway_dtls_sessions=9)
    first, second = (
        DtlsPolicy(settings, store.catalogue, store.key_file, shard=shard, shards=2).config for shard in (0, 1)
    )
    assert first.max_associations == second.max_associations == 4
    assert (first.shard, second.shard) == (0, 1)
    pair = Pair(client_config(PSK_CCM_8), server_config(tickets=first.tickets)).establish()
    resumed = Pair(client_config(PSK_CCM_8), server_config(tickets=second.tickets)).establish(pair.resumption)
    assert resumed.server_association.resumed


@pytest.mark.parametrize("names", ["NULL", "PSK_WITH_AES_128_CCM_8,nothing", "psk_with_aes_128_ccm_8"])
def test_a_cipher_suite_that_there_is_not_is_refused(names: str) -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_DTLS_CIPHER_SUITES: there is no cipher suite"):
        chosen_suites(names)


def test_cipher_suites_keep_the_order_of_the_setting(store: Store) -> None:
    names = " TLS_PSK_WITH_AES_128_CCM_8 ,ECDHE_ECDSA_WITH_AES_128_CCM_8,, PSK_WITH_AES_128_CCM_8"
    assert [one.name for one in chosen_suites(names)] == ["PSK_WITH_AES_128_CCM_8", "ECDHE_ECDSA_WITH_AES_128_CCM_8"]
    assert len(chosen_suites("")) == 15


# -- pre-shared keys ---------------------------------------------------------------------------------


def test_a_key_is_found_by_its_identity_from_the_moment_it_is_added(store: Store) -> None:
    key_of = store.policy().config.psk_key_of
    assert key_of(b"sensor-1") is None
    store.add_psk()
    assert key_of(b"sensor-1") == KEY
    assert key_of(b"sensor-2") is None
    assert key_of(b"\xff") is None
    assert key_of(b"") is None


def test_a_key_that_was_encrypted_with_another_key_file_is_none_and_the_log_says_why(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    other = PskSealer(KeyFile.open(store.folder / "other.key"))
    store.catalogue.credentials.add_psk("sensor-1", other.seal("sensor-1", KEY))
    assert store.policy().config.psk_key_of(b"sensor-1") is None
    assert "the pre-shared key of 'sensor-1' can't be had" in caplog.text
    assert KEY.decode() not in caplog.text


def test_a_session_ends_when_its_key_is_removed_and_others_do_not(store: Store) -> None:
    store.add_psk()
    store.add_psk("sensor-2")
    policy = store.policy()
    some = (psk_session(), psk_session("sensor-2"), session(None))
    assert ended(policy, *some) == [False, False, False]
    store.catalogue.credentials.remove_psk("sensor-1")
    assert ended(policy, *some) == [True, False, False]
    assert ended(policy, *some) == [False, False, False]  # they are told once


def test_a_session_ends_when_its_key_is_replaced_unless_it_has_the_new_one(store: Store) -> None:
    store.add_psk()
    policy = store.policy()
    store.add_psk(key=b"another secret..", replace=True)
    assert ended(policy, psk_session(), psk_session(key=b"another secret..")) == [True, False]


def test_a_key_that_is_added_ends_nothing(store: Store) -> None:
    policy = store.policy()
    store.add_psk("new")
    assert policy.follow_catalogue() == []


def test_where_the_log_of_removals_does_not_reach_back_each_session_is_asked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_psk()
    store.add_psk("sensor-2")
    policy = store.policy()
    store.catalogue.credentials.remove_psk("sensor-1")
    removals = store.catalogue.credentials.psk_removals(0)
    monkeypatch.setattr(policy._credentials, "psk_removals", lambda after: removals._replace(identities=None))
    assert ended(policy, psk_session(), psk_session("sensor-2")) == [True, False]


def test_what_was_removed_before_the_start_is_of_no_interest(store: Store) -> None:
    store.add_psk()
    store.catalogue.credentials.remove_psk("sensor-1")
    assert store.policy().follow_catalogue() == []


# -- trust -------------------------------------------------------------------------------------------


def test_a_ca_a_device_and_a_raw_key_are_trusted_as_long_as_the_catalogue_has_them(store: Store, ca: Issued) -> None:
    pinned = device("pinned", **validity())
    policy = store.policy()
    before = policy.config.trust
    store.trust(ca)
    store.trust(pinned, "device")
    assert not policy.config.raw_public_keys
    policy.follow_catalogue()
    assert policy.config.trust is not before
    below, by_pin = certified(policy, device(issuer=ca, **validity())), certified(policy, pinned)
    assert ended(policy, below, by_pin) == [False, False]
    store.catalogue.credentials.remove_trusted(ca.fingerprint)
    assert ended(policy, below, by_pin, psk_session()) == [True, False, False]
    store.catalogue.credentials.remove_trusted(pinned.fingerprint)
    assert ended(policy, by_pin) == [True]


def test_what_fails_half_way_is_tried_again_as_a_whole(
    store: Store, ca: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_psk()
    store.trust(ca)
    policy = store.policy()
    below = certified(policy, device(issuer=ca, **validity()))
    store.catalogue.credentials.remove_psk("sensor-1")
    store.catalogue.credentials.remove_trusted(ca.fingerprint)

    def fails() -> list[Trusted]:
        raise UnavailableError("the disk fails")

    with monkeypatch.context() as patch:
        patch.setattr(policy._credentials, "trusted", fails)
        with pytest.raises(UnavailableError):
            policy.follow_catalogue()
    assert ended(policy, psk_session(), below) == [True, True]


def test_a_damaged_certificate_in_the_catalogue_does_not_count_and_the_others_do(
    store: Store, ca: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    store.trust(ca)
    store.catalogue.credentials.add_trusted(Trusted("ca", "damaged", "0" * 64, b"no certificate", 0))
    policy = store.policy()
    assert policy.still_trusts(certified(policy, device(issuer=ca, **validity())).principal or Principal("psk", ""))
    assert "'damaged' in the catalogue is damaged" in caplog.text


def test_raw_public_keys_are_offered_where_one_is_trusted(store: Store) -> None:
    one = device()
    from hashlib import sha256

    store.catalogue.credentials.add_trusted(
        Trusted("key", "sensor", sha256(one.public_key_info).hexdigest(), one.public_key_info, 0)
    )
    config = store.policy().config
    assert config.raw_public_keys
    assert config.trust is not None
    assert config.trust.raw_key_principal(one.public_key_info).kind == "rpk"


def test_what_an_operator_should_know_is_among_the_findings(store: Store) -> None:
    options = validity(-10, -1)
    write_certificate(store.folder / "old.pem", authority("Old CA", **options))
    findings = store.policy(coap_dtls_trust_store=store.folder / "old.pem").findings
    assert any("Old CA" in finding and "expired" in finding for finding in findings)


def test_a_revocation_list_of_a_ca_of_the_catalogue_is_one_of_a_trusted_ca(store: Store, ca: Issued) -> None:
    lists = store.folder / "crl.pem"
    lists.write_bytes(crl(ca, next_update_s=time.time() + DAY_S).public_bytes(Encoding.PEM))
    assert [one for one in store.policy(coap_dtls_crl=lists).findings if "signed by no trusted CA" in one]
    store.trust(ca)
    assert not [one for one in store.policy(coap_dtls_crl=lists).findings if "signed by no trusted CA" in one]


# -- files -------------------------------------------------------------------------------------------


def test_a_changed_certificate_is_used_from_then_on(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    policy = store.policy()
    before = policy.config.identities
    assert policy.follow_files() == []
    assert policy.config.identities == before
    renewed = server("renewed", **validity())
    store.serve_as(renewed)
    assert policy.follow_files() == []
    assert policy.config.identities[0].chain == (renewed.der,)
    assert "new handshakes use the certificate of now" in caplog.text


def test_a_certificate_that_can_not_be_used_leaves_the_old_one_and_is_tried_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    policy = store.policy()
    before = policy.config
    renewed = server("renewed", **validity())
    write_certificate(store.folder / "coapserver.pem", renewed)  # its key comes a moment later
    for _ in range(2):
        policy.follow_files()
        assert policy.config is before
    assert caplog.text.count("stays as it was") == 2
    write_key(store.folder / "coapserver_key.pem", renewed)
    policy.follow_files()
    assert policy.config.identities[0].chain == (renewed.der,)


def test_a_revocation_list_that_appears_ends_the_sessions_of_whom_it_revokes(store: Store, ca: Issued) -> None:
    write_certificate(store.folder / "ca.pem", ca)
    lists = store.folder / "crl.pem"

    def write(*revoked: Issued) -> None:
        lists.write_bytes(crl(ca, revoked, next_update_s=time.time() + DAY_S).public_bytes(Encoding.PEM))

    write()
    policy = store.policy(coap_dtls_trust_store=store.folder / "ca.pem", coap_dtls_crl=lists)
    lost, kept = (device(name, issuer=ca, **validity()) for name in ("lost", "kept"))
    some = [certified(policy, one) for one in (lost, kept)]
    write(lost)
    (ending,) = policy.follow_files()
    assert [ending(one) for one in some] == [True, False]
    lists.unlink()
    assert policy.follow_files() == []  # a list that is gone is an error, and revokes as before
    assert not policy.still_trusts(some[0].principal or Principal("psk", ""))


def test_a_missing_certificate_is_a_configuration_error(store: Store) -> None:
    (store.folder / "coapserver.pem").unlink()
    with pytest.raises(ConfigurationError, match=r"coapserver\.pem"):
        store.policy()


def test_a_key_log_that_can_not_be_written_or_that_others_can_read_is_a_configuration_error(store: Store) -> None:
    open_to_all = store.folder / "open.log"
    open_to_all.touch(0o644)
    link, pipe = store.folder / "link.log", store.folder / "pipe.log"
    link.symlink_to(store.folder / "elsewhere.log")
    os.mkfifo(pipe, 0o600)
    for path in (store.folder, open_to_all, link, pipe):
        with pytest.raises(ConfigurationError, match="GATEWAY_KEYLOG_FILE"):
            store.policy(gateway_keylog_file=path)


def test_a_key_log_on_a_full_disk_costs_a_line_in_the_log_and_no_handshake(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = store.policy(gateway_keylog_file=store.folder / "keys.log").config.key_log
    assert write is not None
    write("first")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    write("second")
    write("third")
    monkeypatch.undo()
    assert (store.folder / "keys.log").read_text() == "first\n"
    assert caplog.text.count("can't be written: No space left on device") == 1


# -- the key file ------------------------------------------------------------------------------------


def test_the_key_file_is_made_where_nothing_was_encrypted_yet(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, gateway_data_dir=tmp_path)
    with Catalogue(tmp_path) as catalogue:
        assert load_key_file(settings, catalogue.credentials, make=False) is None
        assert not settings.key_file.exists()
        assert load_key_file(settings, catalogue.credentials, make=True) is not None
        assert settings.key_file.stat().st_mode & 0o777 == 0o600


def test_it_is_never_made_anew_for_keys_that_another_one_encrypted(store: Store) -> None:
    settings = store.settings()
    store.add_psk()
    assert load_key_file(settings, store.catalogue.credentials, make=True) is not None
    settings.key_file.unlink()
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_key_file(settings, store.catalogue.credentials, make=True)
    KeyFile.open(settings.key_file)
    with pytest.raises(ConfigurationError, match="another key file"):
        load_key_file(settings, store.catalogue.credentials, make=True)
