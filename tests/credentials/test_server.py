"""The server's credentials, as the variables name them: where they come from, and what the operator is told."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.credentials.server import ServerCredentials, load_server_credentials
from tests.credentials.stores import (
    ALIAS,
    KEY_PASSWORD,
    OTHER_PASSWORD,
    STORE_PASSWORD,
    Stores,
    cert_pem,
    key_pem,
    p12,
    refusal_of,
    settings_of,
    unprivileged,
    write,
)
from tests.dtls.certificates import DAY_S, NOW_S, YEAR_S, authority, server

ROOT = authority("Root")
SERVER = server(issuer=ROOT)
KEYSTORE: dict[str, Any] = {"coap_dtls_credentials_type": "KEYSTORE"}
END_S = int(NOW_S + YEAR_S)
"""The last moment at which the certificates are valid."""


@pytest.fixture
def pem(tmp_path: Path) -> dict[str, Any]:
    """Settings that name a chain and its key, encrypted with ThingsBoard's default password."""
    return {
        "coap_dtls_pem_cert": write(tmp_path / "coapserver.pem", cert_pem(SERVER, ROOT)),
        "coap_dtls_pem_key": write(tmp_path / "coapserver_key.pem", key_pem(SERVER, KEY_PASSWORD)),
    }


def load(now_s: float = NOW_S, **values: Any) -> ServerCredentials:
    return load_server_credentials(settings_of(**values), now_s=now_s)


def refused(**values: Any) -> str:
    return refusal_of(lambda: load(**values)).message


# -- PEM -----------------------------------------------------------------------------------------


def test_pem_is_where_credentials_come_from_by_default(pem: dict[str, Any]) -> None:
    found = load(**pem)
    assert found.identity.chain == (SERVER.der, ROOT.der)
    assert found.certificate == SERVER.certificate
    assert found.source == str(pem["coap_dtls_pem_cert"])
    assert (found.findings, found.notes) == ((), ())
    assert found.files == tuple(pem.values())


def test_a_default_password_that_is_not_needed_is_a_note_and_no_finding(pem: dict[str, Any]) -> None:
    write(pem["coap_dtls_pem_key"], key_pem(SERVER))
    found = load(**pem)
    assert found.findings == ()
    (note,) = found.notes
    assert note.startswith("COAP_DTLS_PEM_KEY_PASSWORD is not needed, and ignored")


def test_a_key_in_the_certificates_file_is_used_and_the_other_file_is_watched_all_the_same(
    pem: dict[str, Any],
) -> None:
    pem["coap_dtls_pem_key"].unlink()
    write(pem["coap_dtls_pem_cert"], cert_pem(SERVER) + key_pem(SERVER))
    found = load(**pem)
    assert found.files == tuple(pem.values())
    assert f"COAP_DTLS_PEM_KEY={pem['coap_dtls_pem_key']}: there is no such file" in found.notes[0]


def test_messages_of_pem_files_name_the_variables(pem: dict[str, Any]) -> None:
    certificate, key = pem.values()
    assert refused(**pem, coap_dtls_pem_key_password=OTHER_PASSWORD) == (
        f"COAP_DTLS_PEM_KEY={key}: the private key can't be decrypted: COAP_DTLS_PEM_KEY_PASSWORD is wrong"
    )
    write(key, key_pem(server()))
    assert refused(**pem) == (
        f"COAP_DTLS_PEM_KEY={key}: the key does not fit any of the 2 certificates in COAP_DTLS_PEM_CERT={certificate}"
    )
    write(key, key_pem(ROOT))
    assert refused(**pem) == (
        f"COAP_DTLS_PEM_KEY={key}: the key is the CA's that issued the certificate, not the certificate's own"
    )


@pytest.mark.parametrize("name", ["coap_dtls_pem_cert", "coap_dtls_pem_key"])
def test_a_file_that_can_not_be_had_is_refused_with_its_variable(open_folder: Path, name: str) -> None:
    pem: dict[str, Any] = {
        "coap_dtls_pem_cert": write(open_folder / "c.pem", cert_pem(SERVER), 0o644),
        "coap_dtls_pem_key": write(open_folder / "k.pem", key_pem(SERVER), 0o644),
    }
    where = f"{name.upper()}={pem[name]}"
    pem[name].chmod(0)
    with unprivileged():
        assert refused(**pem) == f"{where}: may not be read by this user"
    pem[name].unlink()
    missing = refusal_of(lambda: load(**pem))
    assert missing.message == f"{where}: there is no such file"
    assert "gateway certs server" in missing.hint
    pem[name].mkdir()
    assert refused(**pem) == f"{where}: is a folder"


# -- keystores -----------------------------------------------------------------------------------


def test_thingsboards_keystore_variables_alone_are_enough_and_that_is_a_finding(stores: Stores) -> None:
    found = load(coap_dtls_key_store=stores["server.jks"], now_s=_today_s(stores))
    assert found.source == f"{stores['server.jks']}, alias serveralias"
    assert found.files == (stores["server.jks"],)
    inferred = [finding for finding in found.findings if "COAP_DTLS_CREDENTIALS_TYPE is not set" in finding]
    assert len(inferred) == 1
    said = load(coap_dtls_key_store=stores["server.jks"], now_s=_today_s(stores), **KEYSTORE)
    assert set(found.findings) - set(said.findings) == set(inferred)


def test_an_error_of_a_keystore_that_was_inferred_says_why_there_is_one(tmp_path: Path) -> None:
    missing = refusal_of(lambda: load(coap_dtls_key_store=tmp_path / "s.jks"))
    assert missing.message == f"COAP_DTLS_KEY_STORE={tmp_path}/s.jks: there is no such file"
    cure, inference = missing.hint.splitlines()
    assert "gateway certs server" in cure
    assert inference.startswith("COAP_DTLS_CREDENTIALS_TYPE is not set")
    named = refusal_of(lambda: load(coap_dtls_key_store=tmp_path / "s.jks", **KEYSTORE))
    assert "COAP_DTLS_CREDENTIALS_TYPE" not in named.hint
    assert "gateway certs server" in named.hint


def test_an_error_in_a_keystore_that_is_there_says_so_only_where_pem_is_set_too(stores: Stores) -> None:
    wrong: dict[str, Any] = {
        "coap_dtls_key_store": stores["server.jks"],
        "coap_dtls_key_store_password": OTHER_PASSWORD,
    }
    assert refusal_of(lambda: load(**wrong)).hint == "set COAP_DTLS_KEY_STORE_PASSWORD"
    for name in ("coap_dtls_pem_cert", "coap_dtls_pem_key"):
        wrong_with_pem = wrong | {name: Path("s.pem")}
        cure, inference = refusal_of(partial(load, **wrong_with_pem)).hint.splitlines()
        assert cure == "set COAP_DTLS_KEY_STORE_PASSWORD"
        assert inference.startswith("COAP_DTLS_CREDENTIALS_TYPE is not set")


def test_a_file_named_jks_that_is_pkcs12_is_read_with_a_note(stores: Stores) -> None:
    note = f"COAP_DTLS_KEY_STORE={stores['coapserver.jks']}: is PKCS12 inside, and read as that"
    found = load(coap_dtls_key_store=stores["coapserver.jks"], **KEYSTORE)
    assert any(one.startswith(note) for one in found.notes)
    right = load(coap_dtls_key_store=stores["coapserver.jks"], coap_dtls_key_store_type="PKCS12", **KEYSTORE)
    assert not any("inside" in one for one in right.notes)
    other = load(coap_dtls_key_store=stores["server.jks"], coap_dtls_key_store_type="PKCS12", **KEYSTORE)
    assert any("is JKS inside" in one for one in other.notes)


def test_messages_of_keystores_name_the_variables(stores: Stores) -> None:
    store = {"coap_dtls_key_store": stores["server.jks"], **KEYSTORE}
    where = f"COAP_DTLS_KEY_STORE={stores['server.jks']}"
    assert refused(**store, coap_dtls_key_store_password=OTHER_PASSWORD) == (
        f"{where}: can't be opened: COAP_DTLS_KEY_STORE_PASSWORD is wrong, or the file is damaged"
    )
    assert refused(**store, coap_dtls_key_password=OTHER_PASSWORD) == (
        f"{where}, alias serveralias: the key can't be decrypted: COAP_DTLS_KEY_PASSWORD is wrong"
    )
    assert refused(**store, coap_dtls_key_alias="x") == f"{where}: there is no alias 'x'"
    assert refused(**store, coap_dtls_key_alias="root") == (
        f"{where}: no key is found under the alias 'root', but a certificate"
    )


# -- findings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now_s", "finding"),
    [
        (NOW_S - DAY_S - 1, "is not valid before 2025-06-14 15:06 UTC"),
        (NOW_S - DAY_S, None),
        (END_S - 30 * DAY_S, None),
        (END_S - 30 * DAY_S + 1, "expires in 29 days, on 2026-06-15 15:06 UTC"),
        (END_S, "expires in 0 days"),
        (END_S + 0.9, "expires in 0 days"),
        (END_S + 1, "expired on 2026-06-15 15:06 UTC"),
    ],
)
def test_what_the_dates_of_a_certificate_give_cause_for(pem: dict[str, Any], now_s: float, finding: str | None) -> None:
    write(pem["coap_dtls_pem_cert"], cert_pem(SERVER))
    found = load(now_s, **pem).findings
    assert len(found) == (finding is not None)
    if finding is not None:
        assert found[0].startswith(f"{pem['coap_dtls_pem_cert']}: the certificate 'CN=gateway.example' {finding}")


def test_an_expired_ca_in_the_chain_is_a_finding_too(tmp_path: Path) -> None:
    old = authority("Old", not_after_s=NOW_S - 1)
    new = server(issuer=old)
    both = write(tmp_path / "c.pem", cert_pem(new, old) + key_pem(new))
    (finding,) = load(coap_dtls_pem_cert=both, coap_dtls_pem_key=both).findings
    assert "'CN=Old' expired on" in finding


@pytest.mark.parametrize(
    ("mode", "told"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o620, True)]
)
def test_a_key_that_others_can_reach_is_a_finding_with_its_cure(
    pem: dict[str, Any], tmp_path: Path, mode: int, told: bool
) -> None:
    key = pem["coap_dtls_pem_key"]
    key.chmod(mode)
    pem["coap_dtls_pem_cert"].chmod(0o644)
    assert [finding.endswith(f"chmod 600 {key}") for finding in load(**pem).findings] == [True] * told
    store = write(tmp_path / "s.p12", p12(SERVER), mode)
    found = load(coap_dtls_key_store=store, **KEYSTORE).findings
    assert [finding.endswith(f"chmod 600 {store}") for finding in found] == [True] * told


def test_neither_key_nor_password_is_in_a_repr(pem: dict[str, Any]) -> None:
    text = repr(load(**pem))
    for secret in (KEY_PASSWORD, STORE_PASSWORD, "PrivateKey"):
        assert secret not in text
    assert ALIAS not in text


def _today_s(stores: Stores) -> float:
    return stores["server.jks"].stat().st_mtime + DAY_S
