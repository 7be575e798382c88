"""The server's keystores: the same certificate and key as in the PEM files, as the gateway and keytool read them."""

import stat
from pathlib import Path

import pytest

from gateway.credentials.folder import CertificateFolder, Change, Issued, Options
from gateway.credentials.server import load_server_credentials
from gateway.credentials.server_keystores import write_keystores
from gateway.errors import ConfigurationError
from gateway.settings import CredentialsType, Settings
from tests.credentials.stores import keytool, settings_of

NOW_S = 1_750_000_000.0


def make_server(folder: Path, *, renew: bool = False) -> Issued:
    certificates = CertificateFolder(folder, NOW_S, "server_key_password")
    certificates.authority(Options(100))
    return certificates.server(["localhost"], (), Options(100, renew=renew))


def write(issued: Issued, settings: Settings) -> dict[str, Change]:
    return {path.name: change for path, change in write_keystores(issued, settings)}


def test_the_gateway_loads_the_same_identity_from_pem_jks_and_pkcs12(tmp_path: Path) -> None:
    issued = make_server(tmp_path)
    assert write(issued, settings_of()) == {"coapserver.jks": Change.MADE, "coapserver.p12": Change.MADE}
    pem = settings_of(coap_dtls_pem_cert=issued.certificate_file, coap_dtls_pem_key=issued.key_file)
    expected = load_server_credentials(pem, now_s=NOW_S)
    assert expected.certificate == issued.certificate
    assert expected.findings == ()
    for file in ("coapserver.jks", "coapserver.p12"):
        assert stat.S_IMODE((tmp_path / file).stat().st_mode) == 0o600
        store = settings_of(coap_dtls_credentials_type=CredentialsType.KEYSTORE, coap_dtls_key_store=tmp_path / file)
        found = load_server_credentials(store, now_s=NOW_S)
        assert found.identity.chain == expected.identity.chain
        assert found.identity.public_key_info == expected.identity.public_key_info
        assert found.findings == ()


def test_a_second_run_keeps_them_and_a_renewed_certificate_goes_into_both(tmp_path: Path) -> None:
    write(make_server(tmp_path), settings_of())
    before = [(tmp_path / file).read_bytes() for file in ("coapserver.jks", "coapserver.p12")]
    assert set(write(make_server(tmp_path), settings_of()).values()) == {Change.KEPT}
    assert [(tmp_path / file).read_bytes() for file in ("coapserver.jks", "coapserver.p12")] == before
    renewed = make_server(tmp_path, renew=True)
    assert set(write(renewed, settings_of()).values()) == {Change.RENEWED}
    (tmp_path / "coapserver.p12").unlink()
    assert write(renewed, settings_of()) == {"coapserver.jks": Change.KEPT, "coapserver.p12": Change.MADE}


def test_alias_and_passwords_are_those_of_the_settings(tmp_path: Path) -> None:
    settings = settings_of(
        coap_dtls_key_alias="Front-Door",
        coap_dtls_key_store_password="pässword one",
        coap_dtls_key_password="password two",
        coap_dtls_credentials_type=CredentialsType.KEYSTORE,
        coap_dtls_key_store=tmp_path / "coapserver.jks",
    )
    issued = make_server(tmp_path)
    write(issued, settings)
    assert load_server_credentials(settings, now_s=NOW_S).certificate == issued.certificate
    assert set(write(issued, settings).values()) == {Change.KEPT}


@pytest.mark.parametrize("file", ["coapserver.jks", "coapserver.p12"])
def test_a_keystore_that_is_not_ours_is_not_replaced(tmp_path: Path, file: str) -> None:
    names = ("-alias", "serveralias", "-dname", "CN=mine", "-storepass", "server_ks_password")
    keytool(tmp_path, "-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-keystore", file, *names)
    before = (tmp_path / file).read_bytes()
    with pytest.raises(ConfigurationError, match=rf"{file}' holds a certificate of another authority") as error:
        write(make_server(tmp_path), settings_of())
    assert error.value.hint == "move it away: then it is made anew"
    assert (tmp_path / file).read_bytes() == before


@pytest.mark.parametrize("file", ["coapserver.jks", "coapserver.p12"])
def test_a_keystore_with_other_passwords_is_not_replaced(tmp_path: Path, file: str) -> None:
    issued = make_server(tmp_path)
    write(issued, settings_of(coap_dtls_key_store_password="another"))
    (tmp_path / ({"coapserver.jks", "coapserver.p12"} - {file}).pop()).unlink()
    before = (tmp_path / file).read_bytes()
    with pytest.raises(ConfigurationError, match="COAP_DTLS_KEY_STORE_PASSWORD is wrong") as error:
        write(issued, settings_of())
    assert error.value.hint.endswith("; or move it away: then it is made anew")
    assert (tmp_path / file).read_bytes() == before
