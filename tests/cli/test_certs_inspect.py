"""`gateway certs inspect` and `gateway certs verify`."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.credentials.issuing import Authority, issue_crl, revocation_of
from tests.cli.conftest import Cli
from tests.credentials.stores import cert_pem, key_pem, openssl, write
from tests.dtls.certificates import DAY_S, Issued, Options, authority, device, server
from tests.ports import free_port

NOW_S = time.time()
VALID = Options(not_before_s=NOW_S - DAY_S, not_after_s=NOW_S + 100 * DAY_S)
EXPIRED = Options(not_before_s=NOW_S - 10 * DAY_S, not_after_s=NOW_S - DAY_S)
FUTURE = Options(not_before_s=NOW_S + DAY_S, not_after_s=NOW_S + 10 * DAY_S)
CRITICAL = VALID | Options(extensions=[(x509.PolicyConstraints(0, None), True)])
CA = authority("Plant CA", **VALID)
SENSOR = device("sensor-7", issuer=CA, **(VALID | Options(sans=[x509.DNSName("s7.example")])))


def pem(folder: Path, name: str, *issued: Issued) -> str:
    write(folder / name, cert_pem(*issued), 0o644)
    return name


def shown(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cli.ok("certs", "inspect", *arguments, "--format", "json").json
    return found


# -- inspect -------------------------------------------------------------------------------------


def test_a_certificate_is_shown_with_all_that_it_says(cli: Cli) -> None:
    (found,) = shown(cli, pem(cli.folder, "s.pem", SENSOR))
    begin, end = (datetime.fromtimestamp(int(VALID[name]), UTC) for name in ("not_before_s", "not_after_s"))
    said = openssl("x509", "-in", "s.pem", "-noout", "-fingerprint", "-sha256", "-serial").decode().split()
    serial, fingerprint = (
        next(word.split("=")[1] for word in said if word.startswith(name)) for name in ("serial", "Fingerprint")
    )
    assert found == {
        "file": "s.pem",
        "alias": None,
        "kind": "certificate",
        "subject": "CN=sensor-7",
        "issuer": "CN=Plant CA",
        "serial": serial.lower().lstrip("0"),
        "valid_from": f"{begin:%Y-%m-%dT%H:%M:%SZ}",
        "valid_until": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": 99,
        "state": "valid",
        "key": "EC secp256r1",
        "names": ["s7.example"],
        "ca": False,
        "path_length": None,
        "key_usage": ["digitalSignature"],
        "extended_key_usage": ["clientAuth"],
        "critical_and_not_understood": [],
        "fingerprint_sha256": fingerprint.replace(":", "").lower(),
        "key_in": [],
    }


def test_the_table_says_the_same_in_lines(cli: Cli) -> None:
    out = cli.ok("certs", "inspect", pem(cli.folder, "s.pem", SENSOR)).out
    fields = dict(line.split("  ", 1) for line in out.splitlines())
    assert {name: value.strip() for name, value in fields.items()}["names"] == "s7.example"
    assert "path length" not in fields and "alias" not in fields


@pytest.mark.parametrize(
    ("options", "state"),
    [(VALID, "valid"), (EXPIRED, "EXPIRED"), (FUTURE, "NOT YET VALID")],
    ids=["valid", "expired", "future"],
)
def test_validity_is_told_in_a_word(cli: Cli, options: Options, state: str) -> None:
    file = pem(cli.folder, "s.pem", device(issuer=CA, **options))
    (found,) = shown(cli, file)
    assert found["state"] == state
    assert f"state               {state}\n" in cli.ok("certs", "inspect", file).out


def test_whether_key_and_certificate_fit_is_told_for_both(cli: Cli) -> None:
    pem(cli.folder, "s.pem", SENSOR)
    pem(cli.folder, "ca.pem", CA)
    write(cli.folder / "s_key.pem", key_pem(SENSOR))
    certificate, key = shown(cli, "s.pem", "s_key.pem")
    assert (certificate["key_in"], key["certificate_in"]) == (["s_key.pem"], ["s.pem"])
    certificate, key = shown(cli, "ca.pem", "s_key.pem")
    assert (certificate["key_in"], key["certificate_in"]) == ([], [])
    assert cli.ok("certs", "inspect", "ca.pem", "s_key.pem").out.count("none of these files") == 2


def test_keystores_are_opened_with_the_passwords_of_the_settings_or_the_one_given(cli: Cli) -> None:
    cli.ok("certs", "server", "localhost")
    stores = ["certs/coapserver.jks", "certs/coapserver.p12"]
    for file in stores:
        certificate, key = shown(cli, file, "certs/coapserver_key.pem")[:2]
        assert (certificate["kind"], certificate["alias"]) == ("certificate", "serveralias")
        assert certificate["key_in"] == [f"{file} (alias serveralias)", "certs/coapserver_key.pem"]
        assert (key["kind"], key["state"]) == ("private key", "readable")
    cli.set(COAP_DTLS_KEY_STORE_PASSWORD="x", COAP_DTLS_TRUST_STORE_PASSWORD="x")
    for file in stores:
        refused = cli("certs", "inspect", file)
        assert refused.code == 78 and "--password" in refused.err
        shown(cli, file, "--password", "server_ks_password")


def test_an_encrypted_key_is_locked_until_its_password_is_given(cli: Cli) -> None:
    write(cli.folder / "k.pem", key_pem(SENSOR, "s3cret"))
    (locked,) = shown(cli, "k.pem")
    assert (locked["state"], locked["encrypted"], locked["key"]) == ("locked", True, None)
    assert "locked: give its password with --password" in cli.ok("certs", "inspect", "k.pem").out
    (opened,) = shown(cli, "k.pem", "--password", "s3cret")
    assert (opened["state"], opened["key"]) == ("readable", "EC secp256r1")


def test_a_revocation_list_is_shown_with_what_it_revokes(cli: Cli) -> None:
    crl = issue_crl(
        Authority(CA.certificate, CA.key),
        [revocation_of(SENSOR.certificate.serial_number, NOW_S)],
        number=1,
        days=10,
        now_s=NOW_S,
    )
    write(cli.folder / "ca.crl", crl.public_bytes(Encoding.PEM))
    write(cli.folder / "der.crl", crl.public_bytes(Encoding.DER))
    for found in shown(cli, "ca.crl", "der.crl"):
        assert (found["kind"], found["issuer"], found["state"]) == ("revocation list", "CN=Plant CA", "valid")
        assert (found["revoked"], found["revoked_serials"]) == (1, [f"{SENSOR.certificate.serial_number:x}"])


def test_names_in_certificates_steer_no_terminal(cli: Cli) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\x1b[2Jb\nstate  valid")])
    file = pem(cli.folder, "s.pem", device(issuer=CA, **(EXPIRED | Options(subject=name))))
    out = cli.ok("certs", "inspect", file).out
    assert "\x1b" not in out
    assert [line for line in out.splitlines() if line.startswith("state")] == ["state               EXPIRED"]


@pytest.mark.parametrize(("content", "message"), [(b"junk", "holds nothing that is known"), (None, "no such file")])
def test_what_can_not_be_shown_is_an_error(cli: Cli, content: bytes | None, message: str) -> None:
    if content is not None:
        cli.write("x.pem", content)
    refused = cli("certs", "inspect", "x.pem")
    assert refused.code == 78
    assert refused.err.startswith("error: x.pem: ") and message in refused.err


# -- verify --------------------------------------------------------------------------------------


def test_what_the_trust_store_vouches_for_is_accepted(cli: Cli) -> None:
    pem(cli.folder, "ca.pem", CA)
    cli.set(COAP_DTLS_TRUST_STORE="ca.pem")
    until = f"{datetime.fromtimestamp(NOW_S + 100 * DAY_S, UTC):%Y-%m-%d}"
    out = cli.ok("certs", "verify", pem(cli.folder, "s.pem", SENSOR)).out
    assert out == f"√ s.pem: accepted as client 'sensor-7', valid until {until}\n"


def test_what_the_catalogue_trusts_is_accepted(cli: Cli) -> None:
    alone = device("alone", **VALID)
    pem(cli.folder, "ca.pem", CA)
    pem(cli.folder, "s.pem", SENSOR)
    pem(cli.folder, "alone.pem", alone)
    for file in ("s.pem", "alone.pem"):
        assert cli("certs", "verify", file).code == 1
    assert not cli.data_dir.exists()
    cli.set(COAP_DTLS_ENABLED="true")
    cli.ok("trust", "add", "ca.pem")
    cli.ok("trust", "add", "alone.pem")
    for file in ("s.pem", "alone.pem"):
        cli.ok("certs", "verify", file)


def test_a_ca_that_is_given_counts_in_place_of_what_the_gateway_trusts(cli: Cli) -> None:
    pem(cli.folder, "ca.pem", CA)
    pem(cli.folder, "other.pem", authority("Other CA", **VALID))
    pem(cli.folder, "s.pem", SENSOR)
    cli.set(COAP_DTLS_TRUST_STORE="other.pem")
    cli.ok("certs", "verify", "s.pem", "--ca", "ca.pem")
    cli.set(COAP_DTLS_TRUST_STORE="ca.pem")
    assert cli("certs", "verify", "s.pem", "--ca", "other.pem").code == 1


def test_a_server_is_verified_as_a_server_where_that_is_asked_for(cli: Cli) -> None:
    pem(cli.folder, "ca.pem", CA)
    file = pem(cli.folder, "g.pem", server("gateway.example", issuer=CA, **VALID))
    refused = cli("certs", "verify", file, "--ca", "ca.pem")
    assert refused.code == 1
    assert "--purpose server" in refused.out.splitlines()[1]
    out = cli.ok("certs", "verify", file, "--ca", "ca.pem", "--purpose", "server").out
    assert out.startswith("√ g.pem: accepted as server 'gateway.example'")


@pytest.mark.parametrize(
    ("issued", "alert", "cure"),
    [
        (device(issuer=authority("Other CA", **VALID), **VALID), "unknown_ca", "gateway trust add"),
        (device(issuer=authority("Plant CA", **VALID), **VALID), "bad_certificate", "another key"),
        (device(issuer=CA, **EXPIRED), "certificate_expired", "--renew"),
        (device(issuer=CA, **FUTURE), "certificate_expired", "clock"),
        (server(issuer=CA, **VALID), "unsupported_certificate", "    gateway certs client NAME "),
        (device(issuer=CA, **CRITICAL), "certificate_unknown", "again"),
    ],
    ids=["unknown CA", "CA of the same name", "expired", "not yet valid", "server", "critical extension"],
)
def test_what_is_not_accepted_comes_with_the_alert_the_reason_and_the_cure(
    cli: Cli, issued: Issued, alert: str, cure: str
) -> None:
    pem(cli.folder, "ca.pem", CA)
    refused = cli("certs", "verify", pem(cli.folder, "s.pem", issued), "--ca", "ca.pem")
    assert (refused.code, refused.err) == (1, "")
    reason, hint = refused.out.splitlines()
    assert reason.startswith(f"x s.pem: {alert}: ")
    assert hint.startswith("    ") and cure in hint


@pytest.mark.parametrize(
    ("issued", "cure"),
    [(SENSOR, "gateway certs server makes"), (server(issuer=CA, **EXPIRED), "make it anew: gateway certs server ")],
    ids=["client", "expired"],
)
def test_the_cure_of_a_server_makes_a_server(cli: Cli, issued: Issued, cure: str) -> None:
    pem(cli.folder, "ca.pem", CA)
    refused = cli("certs", "verify", pem(cli.folder, "s.pem", issued), "--ca", "ca.pem", "--purpose", "server")
    assert refused.code == 1
    assert refused.out.splitlines()[1].startswith(f"    {cure}")


def test_revoked_certificates_are_refused_and_the_validity_switch_is_obeyed(cli: Cli) -> None:
    cli.ok("certs", "client", "device-1")
    cli.set(COAP_DTLS_TRUST_STORE="certs/ca.pem")
    cli.ok("certs", "verify", "certs/client-device-1.pem")
    cli.ok("certs", "revoke", "device-1")
    cli.set(COAP_DTLS_CRL="certs/ca.crl")
    refused = cli("certs", "verify", "certs/client-device-1.pem")
    assert refused.code == 1
    assert refused.out.splitlines()[0].startswith("x certs/client-device-1.pem: certificate_revoked: ")
    pem(cli.folder, "ca.pem", CA)
    expired = pem(cli.folder, "old.pem", device(issuer=CA, **EXPIRED))
    assert cli("certs", "verify", expired, "--ca", "ca.pem").code == 1
    cli.set(TB_COAP_X509_DTLS_SKIP_VALIDITY_CHECK_FOR_CLIENT_CERT="true")
    assert cli("certs", "verify", expired, "--ca", "ca.pem").code == 0


def test_a_chain_in_the_file_is_followed(cli: Cli) -> None:
    middle = authority("Middle", issuer=CA, **VALID)
    pem(cli.folder, "ca.pem", CA)
    leaf = device(issuer=middle, **VALID)
    assert cli("certs", "verify", pem(cli.folder, "leaf.pem", leaf), "--ca", "ca.pem").code == 1
    cli.ok("certs", "verify", pem(cli.folder, "chain.pem", leaf, middle), "--ca", "ca.pem")


def test_findings_about_the_trust_store_are_told_too(cli: Cli) -> None:
    pem(cli.folder, "ca.pem", CA, authority("Old CA", **EXPIRED))
    out = cli.ok("certs", "verify", pem(cli.folder, "s.pem", SENSOR), "--ca", "ca.pem").out
    assert out.splitlines()[1] == "~ the trusted certificate 'CN=Old CA' has expired"


def test_a_url_is_asked_for_what_it_presents(cli: Cli) -> None:
    unanswered = cli("certs", "verify", f"coaps://127.0.0.1:{free_port()}", "--timeout", "1")
    assert unanswered.code == 1
    assert unanswered.out.startswith("x ")
