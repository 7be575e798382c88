"""`gateway certs authority|server|client|list|revoke`."""

import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509

from gateway.cli.certs import LOCAL_NAMES
from gateway.credentials.choices import DAYS_MAX
from gateway.credentials.folder import CertificateFolder, Options
from gateway.credentials.issuing import alternative_names
from gateway.credentials.server import load_server_credentials
from gateway.credentials.trust_files import load_trust_files
from gateway.settings import load_settings
from tests.cli.conftest import Cli
from tests.credentials.stores import keytool, openssl

DAY_S = 86_400


def certificate(file: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(Path(file).read_bytes())[0]


def contents(folder: str = "certs") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def changes(out: str) -> dict[str, str]:
    """File → what became of it."""
    lines = [line.split() for line in out.splitlines() if line.startswith(("made", "kept", "renewed"))]
    return {words[1].removesuffix(":").removeprefix("certs/"): words[0] for words in lines}


def command(out: str, program: str) -> list[str]:
    """The printed command that starts with these words, as a shell would split it."""
    (line,) = [line for line in out.splitlines() if line.strip().startswith(program)]
    return shlex.split(line)


def variables(out: str) -> dict[str, str]:
    """The printed variables, as a shell would set them."""
    pairs = [shlex.split(line)[0].partition("=") for line in out.splitlines() if line.startswith("  COAP_")]
    return {name: value for name, _, value in pairs}


def test_one_command_makes_all_that_a_server_needs(cli: Cli) -> None:
    made = cli.ok("certs", "server", "gateway.example", "192.0.2.7")
    assert changes(made.out) == dict.fromkeys(
        ["ca.pem", "ca_key.pem", "coapserver.pem", "coapserver_key.pem", "coapserver.jks", "coapserver.p12"], "made"
    )
    assert alternative_names(certificate("certs/coapserver.pem")) == ["gateway.example", "192.0.2.7", *LOCAL_NAMES]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path("certs").iterdir()}
    assert modes == {
        "issued.jsonl": 0o644,
        "ca.pem": 0o644,
        "ca_key.pem": 0o600,
        "coapserver.pem": 0o644,
        "coapserver_key.pem": 0o600,
        "coapserver.jks": 0o600,
        "coapserver.p12": 0o600,
    }
    assert stat.S_IMODE(Path("certs").stat().st_mode) == 0o700
    assert "On devices: certs/ca.pem\n" in made.out
    until = certificate("certs/coapserver.pem").not_valid_after_utc
    assert f"valid until {until:%Y-%m-%d}" in made.out


def test_without_names_the_server_is_this_host(cli: Cli) -> None:
    cli.ok("certs", "server")
    names = alternative_names(certificate("certs/coapserver.pem"))
    assert names[:3] == ["localhost", "127.0.0.1", "::1"]


@pytest.mark.parametrize("folder", ["certs", "a folder/with 'quotes'"])
def test_the_gateway_takes_the_variables_that_are_printed(cli: Cli, folder: str) -> None:
    out = cli.ok("certs", "server", "localhost", "--folder", folder).out
    printed = variables(out)
    assert printed.pop("COAP_SECURITY_MODE") == "MIXED"
    keystore = {name: printed.pop(name) for name in list(printed) if "KEY_STORE" in name or "TYPE" in name}
    assert set(printed) == {"COAP_DTLS_PEM_CERT", "COAP_DTLS_PEM_KEY", "COAP_DTLS_TRUST_STORE"}
    expected = certificate(f"{folder}/coapserver.pem")
    cli.write(".env", "".join(f"{line.strip()}\n" for line in out.splitlines() if line.startswith("  COAP_DTLS_PEM")))
    assert load_server_credentials(load_settings(), now_s=time.time()).certificate == expected
    cli.set(**printed)
    settings = load_settings()
    assert load_trust_files(settings).anchors == (certificate(f"{folder}/ca.pem"),)
    cli.set(**keystore)
    found = load_server_credentials(load_settings(), now_s=time.time())
    assert (found.certificate, found.findings) == (expected, ())


def test_keytool_lists_both_keystores_with_thingsboards_alias_and_password(cli: Cli) -> None:
    cli.ok("certs", "server", "localhost")
    for file in ("coapserver.jks", "coapserver.p12"):
        listed = keytool(Path("certs"), "-list", "-keystore", file, "-storepass", "server_ks_password")
        assert b"serveralias" in listed and b"PrivateKeyEntry" in listed


def test_a_client_gets_a_certificate_and_commands_that_are_ready(cli: Cli) -> None:
    out = cli.ok("certs", "client", "device-1", "--san", "urn:dev:ops:1", "--san", "d.example").out
    assert "On the device: certs/client-device-1.pem, certs/client-device-1_key.pem and certs/ca.pem\n" in out
    files = ["certs/client-device-1.pem", "certs/client-device-1_key.pem", "certs/ca.pem"]
    url = "coaps://127.0.0.1/i/ROUTING_KEY"
    payload = "device-1,default,temperature,25.7,humidity,69"
    assert command(out, "coap-client-openssl") == [
        *("coap-client-openssl", "-m", "post", "-c", files[0], "-j", files[1], "-R", files[2]),
        *("-e", payload, url),
    ]  # fmt: skip
    assert command(out, "gateway send") == [
        *("gateway", "send", url, "--cert", files[0], "--key", files[1], "--ca", files[2], "--text", payload)
    ]
    assert alternative_names(certificate(files[0])) == ["urn:dev:ops:1", "d.example"]
    assert openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", files[2], files[0]) == b"%s: OK\n" % (
        files[0].encode()
    )


def test_the_commands_survive_a_shell_and_name_the_gateways_own_address(cli: Cli) -> None:
    cli.set(GATEWAY_BASE_URL="coap://gateway.example", COAP_DTLS_BIND_PORT="5685")
    out = cli.ok("certs", "client", "Pumpe $(id)", "--folder", "my certs").out
    words = command(out, "coap-client-openssl")
    assert words[words.index("-c") + 1] == "my certs/client-Pumpe $(id).pem"
    assert words[words.index("-e") + 1].startswith("Pumpe $(id),default,")
    assert words[-1] == "coaps://gateway.example:5685/i/ROUTING_KEY"


def test_coap_client_openssl_takes_the_files_of_the_printed_command(cli: Cli) -> None:
    words = command(cli.ok("certs", "client", "device-1").out, "coap-client-openssl")
    # Nobody listens there: the files are read before anything is sent, and an unreadable one is said.
    words[-1] = "coaps://127.0.0.1:9/i/x"
    done = subprocess.run([*words, "-B", "1"], capture_output=True, text=True, timeout=30, check=False)
    said = (done.stdout + done.stderr).lower()
    assert "unable to" not in said and "usage" not in said and "cannot" not in said, said


def test_a_second_run_keeps_everything_and_says_so(cli: Cli) -> None:
    first = cli.ok("certs", "server").out + cli.ok("certs", "client", "device-1").out
    before = contents()
    second = cli.ok("certs", "server").out + cli.ok("certs", "client", "device-1").out
    assert contents() == before
    assert set(changes(first).values()) == {"made"}
    assert set(changes(second).values()) == {"kept"}
    cli.ok("certs", "authority")
    assert contents() == before


def test_what_has_expired_is_renewed_by_the_next_run(cli: Cli) -> None:
    past_s = time.time() - 3 * DAY_S
    folder = CertificateFolder(Path("certs"), past_s)
    Path("certs").mkdir()
    folder.authority(Options(3650))
    folder.server(["a.example"], (), Options(2))
    folder.client("device-1", (), Options(2))
    out = cli.ok("certs", "server").out
    assert "renewed  certs/coapserver.pem: server 'a.example' (a.example), valid until " in out
    assert ", for it had expired\n" in out
    assert changes(cli.ok("certs", "client", "device-1").out) == {
        "client-device-1.pem": "renewed",
        "client-device-1_key.pem": "renewed",
    }
    assert changes(cli.ok("certs", "client", "device-1").out)["client-device-1.pem"] == "kept"


def test_an_expired_authority_is_an_error_that_names_its_cure(cli: Cli) -> None:
    Path("certs").mkdir()
    CertificateFolder(Path("certs"), time.time() - 3 * DAY_S).authority(Options(2))
    for arguments in (["authority"], ["server"], ["client", "device-1"]):
        refused = cli("certs", *arguments)
        assert refused.code == 78
        assert refused.err == (
            "error: the authority 'certs/ca.pem' has expired\nhint: gateway certs authority --renew\n"
        )
    key = contents()["ca_key.pem"]
    assert changes(cli.ok("certs", "authority", "--renew").out) == {"ca.pem": "renewed", "ca_key.pem": "kept"}
    assert contents()["ca_key.pem"] == key
    cli.ok("certs", "client", "device-1")


def test_other_names_are_refused_until_renewal_is_asked_for(cli: Cli) -> None:
    cli.ok("certs", "server", "a.example")
    before = contents()
    refused = cli("certs", "server", "b.example")
    assert (refused.code, contents()) == (78, before)
    assert refused.err == (
        "error: 'certs/coapserver.pem' is not for b.example\nhint: replace it, and its key: --renew\n"
    )
    renewed = cli.ok("certs", "server", "b.example", "--renew")
    assert changes(renewed.out) == dict.fromkeys(
        ["coapserver.pem", "coapserver_key.pem", "coapserver.jks", "coapserver.p12"], "renewed"
    )
    assert alternative_names(certificate("certs/coapserver.pem")) == ["b.example", *LOCAL_NAMES]


def test_what_ends_soon_and_what_others_can_read_gets_a_note(cli: Cli) -> None:
    cli.ok("certs", "client", "good", "--days", "31")
    soon = cli("certs", "client", "soon", "--days", "30")
    assert soon.err == "note: certs/client-soon.pem expires in 29 days: make it anew with --renew\n"
    Path("certs/client-good_key.pem").chmod(0o640)
    noted = cli("certs", "client", "good")
    assert noted.code == 0
    assert noted.err == ("note: certs/client-good_key.pem can be read by others: chmod 600 certs/client-good_key.pem\n")
    Path("certs/client-good_key.pem").chmod(0o600)
    Path("certs/ca_key.pem").chmod(0o644)
    noted = cli("certs", "client", "good")
    assert noted.err == "note: certs/ca_key.pem can be read by others: chmod 600 certs/ca_key.pem\n"


@pytest.mark.parametrize(("days", "code"), [(0, 2), (1, 0), (DAYS_MAX, 0), (DAYS_MAX + 1, 2)])
def test_days_have_bounds(cli: Cli, days: int, code: int) -> None:
    assert cli("certs", "authority", "--days", str(days)).code == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["client", "a/b"], "client name 'a/b' has a path separator in it"),
        (["client", ""], "name '' can't be in a certificate"),
        (["client", "a\nb"], "name 'a\\nb' can't be in a certificate"),
        (["client", "x" * 65], f"name '{'x' * 65}' can't be in a certificate"),
        (["client", "a_key"], "client 'a_key' would have the key's file of client 'a'"),
        (["client", "a", "--san", "b c"], "'b c' is neither a host name nor an IP address"),
        (["server", "b c"], "'b c' is neither a host name nor an IP address"),
        (["authority", "--name", "x" * 65], f"name '{'x' * 65}' can't be in a certificate"),
    ],
)
def test_names_that_can_not_be_are_usage_errors_and_no_certificate_is_made(
    cli: Cli, arguments: list[str], message: str
) -> None:
    refused = cli("certs", *arguments)
    assert refused.code == 2
    assert refused.err.startswith(f"error: {message}\nhint: ")
    assert not list(Path("certs").glob("*.pem")) or arguments[0] != "authority"
    assert not list(Path("certs").glob("client-*")) and not list(Path("certs").glob("coapserver*"))


def test_a_folder_that_can_not_be_written_is_an_error(cli: Cli) -> None:
    cli.write("file", "")
    refused = cli("certs", "authority", "--folder", "file")
    assert refused.code == 78
    assert refused.err == (
        "error: 'file' can't be written: Not a directory\n"
        "hint: let this user write there; to a command, --folder F names another folder\n"
    )


def test_an_encrypted_key_takes_the_password_of_the_settings(cli: Cli) -> None:
    cli.ok("certs", "server", "localhost", "--encrypt-key")
    assert b"ENCRYPTED" in contents()["coapserver_key.pem"]
    cli.set(COAP_DTLS_PEM_CERT="certs/coapserver.pem", COAP_DTLS_PEM_KEY="certs/coapserver_key.pem")
    assert load_server_credentials(load_settings(), now_s=time.time()).findings == ()
    cli.set(COAP_DTLS_PEM_KEY_PASSWORD="another")
    refused = cli("certs", "server")
    assert refused.code == 78
    assert "COAP_DTLS_PEM_KEY_PASSWORD is wrong" in refused.err


def test_no_secret_is_printed(cli: Cli) -> None:
    out = cli.ok("certs", "server", "--encrypt-key").out + cli.ok("certs", "client", "device-1").out
    for secret in ("server_key_password", "server_ks_password", "PRIVATE"):
        assert secret not in out


def test_without_pyjks_everything_else_is_written_and_the_cure_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jks", None)  # as Python has it of what can't be imported
    made = cli("certs", "server")
    assert made.code == 0
    assert made.err == "note: no JKS keystore is written, for pyjks is not installed: pip install pyjks\n"
    assert "coapserver.jks" not in changes(made.out) and "coapserver.p12" in changes(made.out)
    assert variables(made.out)["COAP_DTLS_KEY_STORE_TYPE"] == "PKCS12"


def test_a_revoked_client_is_on_a_list_that_the_gateway_reads(cli: Cli) -> None:
    cli.ok("certs", "client", "device-1")
    revoked = certificate("certs/client-device-1.pem")
    out = cli.ok("certs", "revoke", "device-1").out
    serial = f"{revoked.serial_number:x}"
    assert out.startswith(f"certs/client-device-1.pem: 'device-1', serial number {serial}, is revoked.\n")
    cli.set(**variables(out))
    (crl,) = load_trust_files(load_settings()).crls
    assert [entry.serial_number for entry in crl] == [revoked.serial_number]
    assert "was revoked before" in cli.ok("certs", "revoke", "certs/client-device-1.pem").out
    renewed = cli.ok("certs", "client", "device-1").out
    assert ", for it was revoked\n" in renewed
    checked = openssl(
        *("verify", "-crl_check", "-CAfile", "certs/ca.pem", "-CRLfile", "certs/ca.crl", "certs/client-device-1.pem")
    )
    assert checked == b"certs/client-device-1.pem: OK\n"


def test_what_was_issued_is_listed_with_its_state(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COAP_DTLS_CRL", "certs/ca.crl")
    past_s = time.time() - 3 * DAY_S
    Path("certs").mkdir()
    past = CertificateFolder(Path("certs"), past_s)
    past.authority(Options(3650))
    past.client("expired", (), Options(2))
    cli.ok("certs", "server", "localhost")
    cli.ok("certs", "client", "lost", "--san", "urn:dev:lost")
    cli.ok("certs", "revoke", "lost")
    shapes = cli.ok("certs", "list", "--format", "json").json
    assert [(one["name"], one["purpose"], one["state"]) for one in shapes] == [
        ("lost", "client", "revoked"),
        ("localhost", "server", "valid"),
        ("expired", "client", "EXPIRED"),
    ]
    assert [one["days_left"] for one in shapes[1:]] == [824, -2]
    lines = [line.split() for line in cli.ok("certs", "list").out.splitlines()[2:]]
    assert [line[0] for line in lines] == ["lost", "localhost", "expired"]
    assert lines[0][1:4] == [shapes[0]["serial"], "client", "urn:dev:lost"]
    assert lines[0][-4:-1] == ["revoked", "since", f"{time.strftime('%Y-%m-%d', time.gmtime())}"]
    assert (lines[1][-1], lines[2][-1]) == ("valid", "EXPIRED")
    (found,) = cli.ok("certs", "list", "--search", "DEV:LOST", "--format", "json").json
    assert found == shapes[0]
    limited = cli("certs", "list", "--limit", "2", "--format", "json")
    assert (limited.code, limited.json) == (0, shapes[:2])
    assert limited.err == "hint: only the first 2 are listed; --limit lists more, --search fewer\n"
    assert cli.ok("certs", "list", "--limit", "3", "--format", "json").json == shapes


@pytest.mark.parametrize("is_there", [False, True])
def test_a_list_takes_an_authority_and_makes_none(cli: Cli, is_there: bool) -> None:
    if is_there:
        Path("none").mkdir()
    for format in ("table", "json"):
        refused = cli("certs", "list", "--folder", "none", "--format", format)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err == "error: there is no authority in none\nhint: gateway certs authority\n"
    assert Path("none").exists() is is_there
    assert not is_there or not list(Path("none").iterdir())
    cli.ok("certs", "authority", "--folder", "none")
    assert cli.ok("certs", "list", "--folder", "none", "--format", "json").json == []


def test_a_torn_line_is_told_of(cli: Cli) -> None:
    cli.ok("certs", "client", "device-1")
    with Path("certs/issued.jsonl").open("ab") as file:
        file.write(b'{"serial":"')
    torn = cli("certs", "list", "--format", "json")
    assert [one["name"] for one in torn.json] == ["device-1"]
    assert torn.err == ("note: certs/issued.jsonl: passed over is what is torn, or no entry of a certificate: line 2\n")


def test_that_revocations_are_not_in_force_here_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("certs", "client", "device-1")
    assert cli.ok("certs", "list").err == ""
    assert "On the server, once, before a restart" in cli.ok("certs", "revoke", "device-1").out
    told = cli("certs", "list")
    assert (told.code, told.err.startswith("note: what is revoked is not in force here: set COAP_DTLS_CRL=")) == (
        0,
        True,
    )
    monkeypatch.setenv("COAP_BIND_PORT", "abc")
    told = cli("certs", "list")
    assert (told.code, "COAP_BIND_PORT" in told.err, "device-1" in told.out) == (0, True, True)
    monkeypatch.delenv("COAP_BIND_PORT")
    monkeypatch.setenv("COAP_DTLS_CRL", "certs/ca.crl")
    cli.ok("certs", "list")
    assert "goes by it now" in cli.ok("certs", "revoke", "device-1").out


def test_a_serial_number_is_enough_to_revoke(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.ok("certs", "client", "device-1")
    serial = f"{certificate('certs/client-device-1.pem').serial_number:x}"
    for file in Path("certs").glob("client-*"):
        file.unlink()
    out = cli.ok("certs", "revoke", "--serial", openssl_like(serial)).out
    assert out.startswith(f"'device-1', serial number {serial}, is revoked.\n")
    assert variables(out) == {"COAP_DTLS_CRL": "certs/ca.crl"}
    assert "was revoked before" in cli.ok("certs", "revoke", "--serial", serial).out
    monkeypatch.setenv("COAP_DTLS_CRL", "certs/ca.crl")
    (listed,) = cli.ok("certs", "list", "--format", "json").json
    assert listed["state"] == "revoked"


def openssl_like(serial: str) -> str:
    """As `openssl x509 -text` has it."""
    even = serial.zfill(len(serial) + len(serial) % 2).upper()
    return ":".join(even[at : at + 2] for at in range(0, len(even), 2))


def test_what_another_authority_issued_is_marked_and_not_revoked_here_even_by_force(cli: Cli) -> None:
    cli.ok("certs", "client", "device-1")
    serial = f"{certificate('certs/client-device-1.pem').serial_number:x}"
    for file in ("ca.pem", "ca_key.pem"):
        Path("certs", file).unlink()
    cli.ok("certs", "authority", "--name", "Another CA")
    (line,) = cli.ok("certs", "list").out.splitlines()[2:]
    assert line.rstrip().endswith("of another authority")
    (shape,) = cli.ok("certs", "list", "--format", "json").json
    assert (shape["state"], shape["revoked_ts"]) == ("of another authority", None)
    for force in ([], ["--force"]):
        refused = cli("certs", "revoke", "--serial", serial, *force)
        assert refused.code == 2
        assert refused.err == (
            f"error: the authority in certs has not issued 'device-1', serial number {serial}: another one has\n"
            "hint: revoke it where its authority is: --folder F\n"
        )
    assert not Path("certs/ca.crl").exists()


def test_a_serial_number_that_is_not_on_record_takes_force(cli: Cli) -> None:
    cli.ok("certs", "client", "device-1")
    Path("certs/issued.jsonl").unlink()  # as if it was issued before there was a record
    serial = f"{certificate('certs/client-device-1.pem').serial_number:x}"
    refused = cli("certs", "revoke", "--serial", serial)
    assert refused.code == 1
    assert refused.err.startswith(
        f"error: no certificate with the serial number {serial} is on record in certs\nhint: "
    )
    assert "--force" in refused.err
    assert not Path("certs/ca.crl").exists()
    out = cli.ok("certs", "revoke", "--serial", serial, "--force").out
    assert out.startswith(f"a certificate that is not on record, serial number {serial}, is revoked.\n")
    assert "was revoked before" in cli.ok("certs", "revoke", "device-1").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one certificate is revoked at a time"),
        (["device-1", "--serial", "1"], "one certificate is revoked at a time"),
        (["device-1", "--force"], "--force is for --serial"),
        (["--serial", "xyz"], "'xyz' is no serial number of a certificate"),
        (["--serial", ""], "'' is no serial number of a certificate"),
    ],
)
def test_what_does_not_name_one_certificate_revokes_none(cli: Cli, arguments: list[str], message: str) -> None:
    refused = cli("certs", "revoke", *arguments)
    assert (refused.code, refused.err.splitlines()[0]) == (2, f"error: {message}")
    assert not Path("certs").exists()


def test_what_is_not_there_or_not_ours_is_not_revoked(cli: Cli) -> None:
    cli.ok("certs", "authority")
    missing = cli("certs", "revoke", "device-1")
    assert (missing.code, missing.err.splitlines()[0]) == (78, "error: device-1: there is no such file")
    cli.ok("certs", "client", "device-1", "--folder", "other")
    foreign = cli("certs", "revoke", "other/client-device-1.pem")
    assert foreign.code == 2
    assert "has not issued 'CN=device-1'" in foreign.err
    assert not Path("certs/ca.crl").exists()
