"""`gateway check` of what DTLS needs: each part, sound and not."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.credentials.keyfile import KeyFile
from tests.cli.conftest import Cli
from tests.dtls.certificates import DAY_S, Issued, Options, authority, crl, server
from tests.e2e.secure import validity, write_certificate, write_key
from tests.ports import free_port


@pytest.fixture
def dtls(cli: Cli) -> Cli:
    """DTLS is on, on free ports, with a certificate in the current folder."""
    cli.set(
        COAP_SECURITY_MODE="MIXED",
        COAP_BIND_ADDRESS="127.0.0.1",
        COAP_BIND_PORT=str(free_port()),
        COAP_DTLS_BIND_ADDRESS="127.0.0.1",
        COAP_DTLS_BIND_PORT=str(free_port()),
    )
    serve_as(server("localhost", **validity(last_day=365)))
    return cli


def serve_as(one: Issued) -> None:
    write_certificate(Path("coapserver.pem"), one)
    write_key(Path("coapserver_key.pem"), one)


def lines(cli: Cli, mark: str, code: int = 0) -> Iterator[str]:
    result = cli("check")
    assert result.code == code, result
    return (line for line in result.out.splitlines() if line.startswith(mark))


def test_everything_sound_is_a_line_each(dtls: Cli) -> None:
    good = list(lines(dtls, "√"))
    assert any(line.startswith("√ DTLS listener, UDP port ") and line.endswith(": free") for line in good)
    assert any(line.startswith("√ server certificate: coapserver.pem, valid until 20") for line in good)
    assert "√ client certificates: WANTED; trusted are 0 by files and 0 by `gateway trust`; 0 revocation lists" in good
    assert f"√ key file {dtls.data_dir / 'gateway.key'}: will be created" in good
    assert "√ cipher suites: 15 are accepted" in good


def test_without_dtls_none_of_it_is_looked_at(dtls: Cli) -> None:
    dtls.set(COAP_SECURITY_MODE="NO SECURE")
    assert not [line for line in dtls("check").out.splitlines() if "certificate" in line or "key file" in line]


def test_a_missing_certificate_fails_and_names_the_command_that_makes_one(dtls: Cli) -> None:
    Path("coapserver.pem").unlink()
    (line,) = lines(dtls, "x", code=78)
    assert "coapserver.pem" in line
    assert "gateway certs server" in dtls("check").out


@pytest.mark.parametrize(("first_day", "last_day", "word"), [(-10, -1, "expired"), (1, 10, "is not valid before")])
def test_a_certificate_that_is_not_valid_now_is_a_warning(
    dtls: Cli, first_day: float, last_day: float, word: str
) -> None:
    serve_as(server("localhost", **validity(first_day, last_day)))
    assert [line for line in lines(dtls, "~") if word in line]


def test_a_key_that_others_can_read_is_a_warning_with_the_cure(dtls: Cli) -> None:
    Path("coapserver_key.pem").chmod(0o644)
    assert [line for line in lines(dtls, "~") if "chmod 600" in line]


def test_a_trust_store_that_can_not_be_used_fails_and_a_sound_one_is_counted(dtls: Cli) -> None:
    dtls.set(COAP_DTLS_TRUST_STORE="ca.pem")
    (line,) = lines(dtls, "x", code=78)
    assert "ca.pem" in line
    write_certificate(Path("ca.pem"), authority(**validity()))
    assert "√ client certificates: WANTED; trusted are 1 by files and 0 by `gateway trust`; 0 revocation lists" in list(
        lines(dtls, "√")
    )


def test_an_expired_ca_is_a_warning_unless_dates_are_skipped(dtls: Cli) -> None:
    options: Options = validity(-10, -1)
    assert options["not_after_s"] < options["not_before_s"] + 10 * DAY_S
    write_certificate(Path("ca.pem"), authority("Old CA", **options))
    dtls.set(COAP_DTLS_TRUST_STORE="ca.pem")
    assert [line for line in lines(dtls, "~") if "'CN=Old CA' has expired" in line]
    dtls.set(TB_COAP_X509_DTLS_SKIP_VALIDITY_CHECK_FOR_CLIENT_CERT="true")
    assert not [line for line in lines(dtls, "~") if "Old CA" in line]


def test_a_key_file_that_fits_is_said_to(dtls: Cli) -> None:
    dtls.ok("psk", "add", "sensor-1")
    assert f"√ key file {dtls.data_dir / 'gateway.key'}: fits, and nobody else can read it" in list(lines(dtls, "√"))


def test_a_key_file_that_is_missing_while_keys_are_encrypted_with_it_fails(dtls: Cli) -> None:
    dtls.ok("psk", "add", "sensor-1")
    (dtls.data_dir / "gateway.key").unlink()
    (line,) = lines(dtls, "x", code=78)
    assert "gateway.key does not exist" in line
    assert not (dtls.data_dir / "gateway.key").exists()


def test_another_key_file_fails(dtls: Cli) -> None:
    dtls.ok("psk", "add", "sensor-1")
    (dtls.data_dir / "gateway.key").unlink()
    KeyFile.open(dtls.data_dir / "gateway.key")
    (line,) = lines(dtls, "x", code=78)
    assert "another key file" in line


def test_a_cipher_suite_that_there_is_not_fails_and_lists_those_there_are(dtls: Cli) -> None:
    dtls.set(GATEWAY_DTLS_CIPHER_SUITES="TLS_PSK_WITH_AES_128_CCM_8, PSK_WITH_NULL")
    (line,) = lines(dtls, "x", code=78)
    assert line == "x GATEWAY_DTLS_CIPHER_SUITES: there is no cipher suite PSK_WITH_NULL"
    assert "PSK_WITH_AES_128_CCM_8" in dtls("check").out
    dtls.set(GATEWAY_DTLS_CIPHER_SUITES="TLS_PSK_WITH_AES_128_CCM_8")
    assert "√ cipher suites: 1 are accepted" in list(lines(dtls, "√"))


def test_a_dtls_port_that_is_taken_fails_and_names_its_variable(dtls: Cli) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        dtls.set(COAP_DTLS_BIND_PORT=str(other.getsockname()[1]))
        (line,) = lines(dtls, "x", code=78)
        assert line.startswith("x DTLS listener, UDP port ")
        assert "COAP_DTLS_BIND_PORT" in dtls("check").out


def test_what_is_trusted_by_the_catalogue_counts_too(dtls: Cli) -> None:
    ca = authority(**validity())
    write_certificate(Path("ca.pem"), ca)
    Path("ca.crl").write_bytes(crl(ca, next_update_s=validity()["not_after_s"]).public_bytes(Encoding.PEM))
    dtls.set(COAP_DTLS_CRL="ca.crl")
    assert [line for line in lines(dtls, "~") if "signed by no trusted CA" in line]
    dtls.ok("trust", "add", "ca.pem")
    assert not [line for line in lines(dtls, "~") if "signed by no trusted CA" in line]
    expected = "√ client certificates: WANTED; trusted are 0 by files and 1 by `gateway trust`; 1 revocation lists"
    assert expected in list(lines(dtls, "√"))


def test_where_certificates_are_needed_and_none_is_trusted_it_warns(dtls: Cli) -> None:
    dtls.set(COAP_DTLS_CLIENT_AUTH="NEEDED")
    assert "~ COAP_DTLS_CLIENT_AUTH=NEEDED, and no certificate is trusted" in list(lines(dtls, "~"))


def test_one_port_for_both_listeners_fails(dtls: Cli) -> None:
    dtls.set(COAP_BIND_PORT="5690", COAP_DTLS_BIND_PORT="5690")
    assert "x COAP_BIND_PORT and COAP_DTLS_BIND_PORT are the same, 5690" in list(lines(dtls, "x", code=78))
    dtls.set(COAP_DTLS_BIND_ADDRESS="127.0.0.2")
    assert not [line for line in dtls("check").out.splitlines() if "are the same" in line]


def test_an_expired_certificate_is_not_praised_first(dtls: Cli) -> None:
    serve_as(server("localhost", **validity(-10, -1)))
    assert not [line for line in lines(dtls, "√") if "server certificate" in line]
