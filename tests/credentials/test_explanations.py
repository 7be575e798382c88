"""Each row of the table of failed handshakes, against a server that fails that way: the engine, or GnuTLS.

What neither can be brought to say comes from a script.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.credentials.explanations import SILENCE, TABLE, Failure, Speaker, Stake, describe, explain
from gateway.credentials.writing import certificates_pem, key_pem
from gateway.dtls.codes import AlertDescription as Alert
from gateway.dtls.codes import SignatureScheme
from gateway.dtls.config import ClientAuth, Config, Identity, PskCredential
from gateway.dtls.suites import BY_NAME
from gateway.dtls.trust import TrustPolicy
from gateway.dtls.witness import Stage
from gateway.listeners import dtls_client
from tests.dtls.certificates import DAY_S, Issued, Options, authority, crl, device, new_key, server
from tests.interop.loop import serving
from tests.interop.process import running, wait_until_bound
from tests.listeners.dtls_rig import alert, cookie, failure_of, old_server_hello, scripted
from tests.ports import free_port

Serving = Callable[[], AbstractContextManager[int]]

NAME = "gateway.example"
NOW_S = time.time()
LATELY = Options(not_before_s=NOW_S - 9 * DAY_S, not_after_s=NOW_S - DAY_S)
TODAY = Options(not_before_s=NOW_S - 10 * DAY_S, not_after_s=NOW_S + 2 * DAY_S)
FOR_CLIENTS = Options(purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,))
CA = authority("CA", **TODAY)
NAMESAKE = authority("CA", **TODAY)
SERVER = server(NAME, issuer=CA, **TODAY)
DEVICE = device("device-1", issuer=CA, **TODAY)
PSK = PskCredential(b"sensor-7", b"a key of 16 byte")
PSK_ONLY = tuple(suite for suite in BY_NAME.values() if suite.key_exchange.is_psk)


def identity(issued: Issued) -> Identity:
    return Identity(issued.chain(), issued.key)


def client(*identities: Identity, **settings: Any) -> Config:
    """A client that trusts the CA."""
    usual: dict[str, Any] = {
        "identities": identities,
        "trust": TrustPolicy([CA.certificate]),
        "server_name": NAME,
        "retransmission_timeout_s": 0.1,
    }
    return Config(**(usual | settings))


def psk_client(credential: PskCredential = PSK) -> Config:
    return client(trust=None, client_psk=credential)


def engine(**settings: Any) -> Serving:
    """The engine as server; it knows the CA, and the PSK."""

    @contextmanager
    def start() -> Iterator[int]:
        usual: dict[str, Any] = {
            "identities": (identity(SERVER),),
            "trust": TrustPolicy([CA.certificate]),
            "client_auth": ClientAuth.WANTED,
            "psk_enabled": True,
            "psk_key_of": {PSK.identity: PSK.key}.get,
        }
        with serving(Config(**(usual | settings))) as loop:
            yield loop.port

    return start


def program(*arguments: str) -> Serving:
    """A foreign server; PORT stands for its port."""

    @contextmanager
    def start() -> Iterator[int]:
        port = free_port()
        with running(*(argument.replace("PORT", str(port)) for argument in arguments)):
            wait_until_bound(port)
            yield port

    return start


def saying(number: int) -> Serving:
    """A script that answers every hello with an alert."""
    return lambda: scripted(lambda hello: [alert(number)])


def files(folder: Path) -> tuple[str, str]:
    """The server's certificate and key as files."""
    (folder / "server.pem").write_bytes(certificates_pem([SERVER.certificate]))
    (folder / "server.key").write_bytes(key_pem(SERVER.key, None))
    return str(folder / "server.pem"), str(folder / "server.key")


S, C = Speaker.SERVER, Speaker.CLIENT
CASES: dict[tuple[Speaker, Alert, Stake | None], tuple[Serving, Config]] = {
    (S, Alert.HANDSHAKE_FAILURE, Stake.MISSING_CERTIFICATE): (engine(client_auth=ClientAuth.NEEDED), client()),
    (S, Alert.HANDSHAKE_FAILURE, Stake.CERTIFICATE): (
        engine(client_auth=ClientAuth.NEEDED, schemes=(SignatureScheme.ECDSA_SECP256R1_SHA256,)),
        client(identity(device(issuer=CA, **(TODAY | Options(key="ed25519"))))),
    ),
    (S, Alert.HANDSHAKE_FAILURE, Stake.PSK): (engine(psk_enabled=False), psk_client()),
    (S, Alert.HANDSHAKE_FAILURE, None): (engine(suites=PSK_ONLY), client()),
    (S, Alert.UNKNOWN_CA, None): (engine(), client(identity(device(**TODAY)))),
    (S, Alert.CERTIFICATE_EXPIRED, None): (engine(), client(identity(device(issuer=CA, **LATELY)))),
    (S, Alert.CERTIFICATE_REVOKED, None): (
        engine(trust=TrustPolicy([CA.certificate], crls=[crl(CA, [DEVICE], next_update_s=NOW_S + DAY_S)])),
        client(identity(DEVICE)),
    ),
    (S, Alert.BAD_CERTIFICATE, None): (
        engine(),
        client(identity(device(issuer=NAMESAKE, **(TODAY | Options(key_ids=False))))),
    ),
    (S, Alert.UNSUPPORTED_CERTIFICATE, None): (engine(), client(identity(server(issuer=CA, **TODAY)))),
    (S, Alert.CERTIFICATE_UNKNOWN, None): (
        engine(),
        client(identity(device("device\N{RIGHT-TO-LEFT OVERRIDE}", issuer=CA, **TODAY))),
    ),
    (S, Alert.DECRYPT_ERROR, Stake.PSK): (engine(), psk_client(replace(PSK, key=b"wrong"))),
    (S, Alert.DECRYPT_ERROR, None): (engine(), client(Identity(DEVICE.chain(), new_key()))),
    (S, Alert.UNKNOWN_PSK_IDENTITY, None): (saying(Alert.UNKNOWN_PSK_IDENTITY), psk_client()),
    (S, Alert.BAD_RECORD_MAC, Stake.PSK): (saying(Alert.BAD_RECORD_MAC), psk_client()),
    (C, Alert.UNKNOWN_CA, None): (engine(), client(trust=TrustPolicy([authority("Another", **TODAY).certificate]))),
    (C, Alert.CERTIFICATE_EXPIRED, None): (engine(identities=(identity(server(issuer=CA, **LATELY)),)), client()),
    (C, Alert.CERTIFICATE_UNKNOWN, None): (engine(), client(server_name="another.example")),
    (C, Alert.BAD_CERTIFICATE, None): (
        engine(identities=(identity(server(issuer=NAMESAKE, **(TODAY | Options(key_ids=False)))),)),
        client(),
    ),
    (C, Alert.UNSUPPORTED_CERTIFICATE, None): (
        engine(identities=(identity(server(issuer=CA, **(TODAY | FOR_CLIENTS))),)),
        client(),
    ),
    (C, Alert.CERTIFICATE_REVOKED, None): (
        engine(),
        client(trust=TrustPolicy([CA.certificate], crls=[crl(CA, [SERVER], next_update_s=NOW_S + DAY_S)])),
    ),
    (C, Alert.DECRYPT_ERROR, None): (engine(identities=(Identity(SERVER.chain(), new_key()),)), client()),
}
FOREIGN = {(C, Alert.PROTOCOL_VERSION, None), (C, Alert.HANDSHAKE_FAILURE, None)}
SCRIPTED = sorted(
    (alert for speaker, alert, stake in TABLE if (speaker, alert, stake) not in CASES and speaker is S), key=int
)


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtls_client, "ALERT_PATIENCE_S", 0.05)


def check(serving: Serving, config: Config, key: tuple[Speaker, Alert, Stake | None]) -> None:
    with serving() as port:
        error = failure_of(port, config)
    speaker, number, _ = key
    assert (error.failure.speaker, error.failure.alert) == (speaker, number), error.message
    cause, cure = TABLE[key]
    assert error.message.endswith(f"\nlikely cause: {cause}")
    assert error.hint == cure
    assert number.name.lower() in error.message


@pytest.mark.parametrize("key", CASES, ids=lambda key: " ".join(str(part) for part in key if part))
def test_a_handshake_that_fails_is_explained_by_its_row(key: tuple[Speaker, Alert, Stake | None]) -> None:
    check(*CASES[key], key)


@pytest.mark.parametrize("number", SCRIPTED, ids=lambda number: number.name)
def test_an_alert_that_the_engine_never_sends_is_explained_too(number: Alert) -> None:
    check(saying(number), client(), (S, number, None))


def test_a_server_with_dtls_1_0_alone_is_explained() -> None:
    old = scripted(lambda hello: [old_server_hello(hello)])
    check(lambda: old, client(), (C, Alert.PROTOCOL_VERSION, None))


def test_a_server_without_extended_master_secret_is_explained(tmp_path: Path) -> None:
    certificate, key = files(tmp_path)
    gnutls = (
        "gnutls-serv",
        "--udp",
        "--port",
        "PORT",
        "--disable-client-cert",
        "--priority",
        "NORMAL:%NO_SESSION_HASH",
    )
    start = program(*gnutls, "--x509certfile", certificate, "--x509keyfile", key)
    check(start, client(), (C, Alert.HANDSHAKE_FAILURE, None))


def test_every_row_of_the_table_is_tried() -> None:
    assert set(TABLE) == set(CASES) | FOREIGN | {(S, number, None) for number in SCRIPTED}


def test_silence_is_explained_by_how_far_it_came() -> None:
    with scripted(lambda hello: []) as port:
        nothing = failure_of(port, client(), timeout_s=0.2)
    with scripted(lambda hello: [cookie(hello)]) as port:
        asked = failure_of(port, client(), timeout_s=0.2)
    assert nothing.hint == SILENCE[Stage.NOTHING, None].cure
    assert "no end within 0.2 s" in nothing.message
    assert asked.hint == SILENCE[Stage.COOKIE, None].cure


@pytest.mark.parametrize("number", [0, 10, 40, 116, 200, 255])
def test_there_is_an_explanation_for_every_alert_at_every_stage(number: int) -> None:
    for speaker in Speaker:
        for stage in Stage:
            for stake in Stake:
                failure = Failure(speaker, number, "reason", stage, stake)
                assert all(explain(failure))
                assert describe(failure)


def test_an_alert_without_a_name_is_told_by_its_number() -> None:
    failure = Failure(Speaker.SERVER, 200, "", Stage.NOTHING, Stake.PSK, authentic=False)
    assert describe(failure) == "the server sent alert number 200 (in the clear, so not authentic)"
