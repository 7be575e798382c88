"""Certificates over HTTP: those that are there, and new ones for devices, which are kept nowhere."""

import logging
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from gateway.cli.main import main
from gateway.model import Role
from tests.api.rig import Api
from tests.dtls.certificates import authority


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with an authority and a server's certificate in it, as the commands make them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path / "data"))
    assert main(["certs", "authority"]) == 0
    assert main(["certs", "server", "gw.example"]) == 0
    return tmp_path / "certs"


@pytest.fixture
def api(tmp_path: Path, folder: Path) -> Api:
    return Api(
        tmp_path,
        coap_security_mode="MIXED",
        coap_dtls_pem_cert=folder / "coapserver.pem",
        coap_dtls_pem_key=folder / "coapserver_key.pem",
        coap_dtls_trust_store=folder / "ca.pem",
    )


def issued(api: Api, **fields: object) -> bytes:
    response = api.call("POST", "/certificates/clients", json={"name": "SN-1", **fields})
    assert response.status_code == 201, response.text
    return response.content


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# -- those that are there ------------------------------------------------------------------------------


def test_the_server_s_chain_and_whom_clients_are_trusted_by_are_shown_with_their_end(api: Api) -> None:
    api.ok("POST", "/trust", json={"pem": authority("Other").certificate.public_bytes(Encoding.PEM).decode()})
    shown = api.get("/certificates")
    assert "coapserver.pem" in shown["server"]["source"]
    (leaf,) = shown["server"]["chain"]
    assert "gw.example" in leaf["names"]
    assert leaf["state"] == "valid"
    assert leaf["days_left"] in (824, 825)
    assert [one["source"] for one in shown["trust_anchors"]] == ["COAP_DTLS_TRUST_STORE", "Other"]
    assert all(one["ca"] for one in shown["trust_anchors"])
    assert shown["findings"] == []


def test_what_is_wrong_with_files_is_said_beside_the_rest(tmp_path: Path, folder: Path) -> None:
    api = Api(
        tmp_path,
        coap_security_mode="MIXED",
        coap_dtls_pem_cert=folder / "missing.pem",
        coap_dtls_trust_store=folder / "none.pem",
    )
    shown = api.get("/certificates")
    assert (shown["server"], shown["trust_anchors"]) == (None, [])
    assert len(shown["findings"]) == 2


def test_without_dtls_there_is_no_server_s_certificate(tmp_path: Path) -> None:
    assert Api(tmp_path).get("/certificates") == {"server": None, "trust_anchors": [], "findings": []}


def test_the_authority_s_certificate_can_be_fetched(api: Api, folder: Path) -> None:
    response = api.call("GET", "/certificates/authority", role=Role.VIEWER)
    assert response.content == (folder / "ca.pem").read_bytes()
    assert response.headers["content-disposition"].startswith('attachment; filename="ca.pem"')


# -- new ones ------------------------------------------------------------------------------------------


def test_a_pem_file_has_the_key_and_a_certificate_of_the_authority(api: Api, folder: Path) -> None:
    before = files(folder)
    content = issued(api, alternative_names=["urn:dev:1"], days=7, key_type="p384")
    key = load_pem_private_key(content, None)
    certificate = x509.load_pem_x509_certificate(content)
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=SN-1"
    authority_certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    certificate.verify_directly_issued_by(authority_certificate)
    assert files(folder) == before


def test_openssl_takes_it_for_a_client(api: Api, folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "client.pem"
    bundle.write_bytes(issued(api))
    verify = ["openssl", "verify", "-purpose", "sslclient", "-CAfile", str(folder / "ca.pem"), str(bundle)]
    assert subprocess.run(verify, capture_output=True, check=True, timeout=60).stdout.endswith(b": OK\n")


def test_a_key_in_pem_may_have_a_password(api: Api) -> None:
    content = issued(api, password="correct horse")
    assert b"ENCRYPTED PRIVATE KEY" in content
    assert load_pem_private_key(content, b"correct horse")


def test_a_pkcs12_file_has_the_authority_too_and_needs_a_password(api: Api) -> None:
    store = pkcs12.load_pkcs12(issued(api, format="pkcs12", password="ü" * 20), ("ü" * 20).encode())
    assert store.key is not None
    assert store.cert is not None
    assert store.cert.certificate.subject.rfc4514_string() == "CN=SN-1"
    assert len(store.additional_certs) == 1
    new = {"name": "SN-1", "format": "pkcs12"}
    assert api.fields("POST", "/certificates/clients", json=new) == ["password"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "n" * 65),
        ("alternative_names", ["not a name"]),
        ("alternative_names", ["a.example"] * 101),
        ("days", 0),
        ("days", 36_501),
        ("key_type", "dsa"),
        ("format", "jks"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(api: Api, field: str, value: object) -> None:
    assert api.fields("POST", "/certificates/clients", json={"name": "SN-1", field: value}) == [field]


def test_a_viewer_issues_none_and_without_an_authority_nobody_does(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.problem("POST", "/certificates/clients", 403, json={"name": "SN-1"}, role=Role.VIEWER)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert "gateway certs authority" in api.problem("POST", "/certificates/clients", 404, json={"name": "a"})["hint"]
    api.problem("GET", "/certificates/authority", 404)
    assert list(elsewhere.iterdir()) == []


def test_no_password_gets_into_the_log_or_an_answer(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    issued(api, password="correct horse")
    refusal = api.problem("POST", "/certificates/clients", 422, json={"name": "", "password": "correct horse"})
    assert "correct horse" not in str(refusal)
    assert "correct horse" not in caplog.text
