"""Certificates over HTTP: those that are there, and new ones for devices: found again by the record, and revoked."""

import logging
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key, pkcs12

from gateway.api.routes import certificates
from gateway.cli.main import main
from gateway.credentials.choices import KeyType
from gateway.credentials.writing import locked_folder
from gateway.errors import ConfigurationError
from gateway.model import Role
from gateway.operations import certificates as operations
from tests.api.rig import Api
from tests.credentials.stores import unprivileged
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
    """All but the record of what was issued."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "issued.jsonl"}


def listed(api: Api, **query: object) -> list[Any]:
    items: list[Any] = api.get("/certificates/clients", **query)["items"]
    return items


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


@pytest.mark.parametrize(("bound", "shown", "said"), [(1, 1, 1), (2, 2, 0), (3, 2, 0)])
def test_a_list_of_trust_anchors_that_ends_says_so(
    bound: int, shown: int, said: int, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "LIMIT_MAX", bound)
    api.ok("POST", "/trust", json={"pem": authority("Other").certificate.public_bytes(Encoding.PEM).decode()})
    told = api.get("/certificates")
    assert len(told["trust_anchors"]) == shown
    assert [one.startswith("of 2 trust anchors, the first 1 are listed") for one in told["findings"]] == [True] * said


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
    assert "gateway certs authority" in api.problem("POST", "/certificates/clients/1/revoke", 404)["hint"]
    assert api.get("/certificates/clients") == {
        "items": [],
        "total": 0,
        "next": None,
        "findings": ["there is no authority in certs: gateway certs authority"],
    }
    api.problem("GET", "/certificates/authority", 404)
    assert list(elsewhere.iterdir()) == []


def test_no_password_gets_into_the_log_or_an_answer(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    issued(api, password="correct horse")
    refusal = api.problem("POST", "/certificates/clients", 422, json={"name": "", "password": "correct horse"})
    assert "correct horse" not in str(refusal)
    assert "correct horse" not in caplog.text


# -- found again and revoked ---------------------------------------------------------------------------


def serial_of(content: bytes) -> str:
    return f"{x509.load_pem_x509_certificate(content).serial_number:x}"


def revoke(api: Api, serial: str) -> Any:
    return api.ok("POST", f"/certificates/clients/{serial}/revoke")


def test_what_was_issued_is_listed_the_newest_first_and_servers_are_not(api: Api) -> None:
    first = issued(api, alternative_names=["urn:dev:1"], days=7)
    second = issued(api, name="SN-2", format="pkcs12", password="correct horse")
    assert main(["certs", "client", "SN-3"]) == 0
    shown = listed(api)
    assert [one["name"] for one in shown] == ["SN-3", "SN-2", "SN-1"]
    assert {one["purpose"] for one in shown} == {"client"}
    certificate = x509.load_pem_x509_certificate(first)
    assert shown[2] | {"issued_ts": 0, "days_left": 0} == {
        "serial": serial_of(first),
        "purpose": "client",
        "name": "SN-1",
        "names": ["urn:dev:1"],
        "valid_from": f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "valid_until": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": 0,
        "state": "valid",
        "issued_ts": 0,
        "revoked_ts": None,
        "fingerprint_sha256": shown[2]["fingerprint_sha256"],
        "authority_sha256": shown[2]["authority_sha256"],
    }
    assert second


def test_a_list_is_searched_and_paged(api: Api) -> None:
    contents = [issued(api, name=f"pump-{number}", alternative_names=[f"p{number}.example"]) for number in range(5)]
    (one,) = listed(api, search="PUMP-3")
    assert one["name"] == "pump-3"
    fingerprint = ":".join(one["fingerprint_sha256"][at : at + 2] for at in range(0, 64, 2)).upper()
    for search in ("p3.EXAMPLE", one["serial"], serial_of(contents[3]).upper(), fingerprint):
        assert listed(api, search=search) == [one]
    for search in (":", "0x", "0x:"):
        assert listed(api, search=search) == []
    page = api.get("/certificates/clients", search="pump", limit=2, offset=2)
    assert [one["name"] for one in page["items"]] == ["pump-2", "pump-1"]
    assert (page["total"], page["next"]) == (5, 4)
    assert api.get("/certificates/clients", offset=5)["items"] == []
    assert api.fields("GET", "/certificates/clients", params={"search": "x" * 256}) == ["search"]


def test_a_serial_number_is_found_as_it_is_revoked(api: Api) -> None:
    serial = serial_of(issued(api))
    issued(api, name="SN-2")
    digits = serial.zfill(len(serial) + len(serial) % 2).upper()
    openssl = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    for written in (f"0x{serial}", f"0X{serial.upper()}", f"00{serial}", f"00:{openssl}", openssl):
        assert [one["serial"] for one in listed(api, search=written)] == [serial]
        assert revoke(api, written)["serial"] == serial
    assert [one["serial"] for one in listed(api, search=f"0x{serial[:20]}")] == [serial]
    assert listed(api, search=f"0x{serial[1:].lstrip('0')}") == []


def test_another_authority_s_certificates_are_marked_and_not_revoked(api: Api, folder: Path) -> None:
    before = serial_of(issued(api, name="before"))
    revoke(api, serial_of(issued(api, name="revoked")))
    for file in ("ca.pem", "ca_key.pem", "ca.crl"):
        (folder / file).rename(folder / f"old-{file}")
    assert main(["certs", "authority", "--name", "Another CA"]) == 0
    after = serial_of(issued(api, name="after"))
    states = {one["name"]: (one["state"], one["revoked_ts"]) for one in listed(api)}
    foreign = ("of another authority", None)
    assert states == {"after": ("valid", None), "revoked": foreign, "before": foreign}
    refused = api.problem("POST", f"/certificates/clients/{before}/revoke", 422)
    assert f"has not issued 'before', serial number {before}" in refused["detail"]
    assert "where its authority is" in refused["hint"]
    assert not (folder / "ca.crl").exists()
    # A number of theirs that is on the list, by force and without a record of it, says nothing of them either.
    (folder / "issued.jsonl").rename(folder / "kept")
    assert main(["certs", "revoke", "--serial", before, "--force"]) == 0
    (folder / "kept").rename(folder / "issued.jsonl")
    assert revoke(api, after)["state"] == "revoked"
    assert {one["name"]: one["state"] for one in listed(api)} == {
        "after": "revoked",
        "revoked": "of another authority",
        "before": "of another authority",
    }


def test_a_certificate_is_revoked_once_by_its_serial_number(api: Api, folder: Path) -> None:
    content = issued(api)
    serial = serial_of(content)
    api.problem("POST", f"/certificates/clients/{serial}/revoke", 403, role=Role.VIEWER)
    revoked = revoke(api, serial.upper())
    assert (revoked["serial"], revoked["state"], revoked["already"]) == (serial, "revoked", False)
    assert revoked["revoked_ts"] > 1_700_000_000_000
    again = revoke(api, serial)
    assert (again["already"], again["revoked_ts"]) == (True, revoked["revoked_ts"])
    (one,) = listed(api)
    assert (one["state"], one["revoked_ts"]) == ("revoked", revoked["revoked_ts"])
    crl = x509.load_pem_x509_crl((folder / "ca.crl").read_bytes())
    assert [f"{entry.serial_number:x}" for entry in crl] == [serial]


def test_no_server_s_certificate_and_none_that_is_not_on_record_is_revoked(api: Api, folder: Path) -> None:
    server = serial_of((folder / "coapserver.pem").read_bytes())
    for serial in (server, "12ab", "7" + "f" * 39):
        assert "--serial" in api.problem("POST", f"/certificates/clients/{serial}/revoke", 404)["hint"]
    for serial in ("0", "g", "8" + "0" * 39, "%F0%9F%94%91"):
        assert api.fields("POST", f"/certificates/clients/{serial}/revoke") == ["serial"]
    assert not (folder / "ca.crl").exists()


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"coap_dtls_crl": None}, "set COAP_DTLS_CRL=certs/ca.crl, and restart the gateway"),
        ({"coap_dtls_crl": "other.crl"}, "set COAP_DTLS_CRL=certs/ca.crl, or to a folder with all lists in it"),
        ({"coap_dtls_crl": "certs/ca.crl"}, ""),
        ({"coap_dtls_crl": "certs"}, ""),
        ({"coap_dtls_crl": "link.crl"}, ""),
        ({"coap_dtls_crl": "certs/ca.crl", "tb_transport_ssl_certificate_reload_enabled": False}, "SIGHUP"),
    ],
)
def test_whether_a_revocation_is_in_force_is_said_with_what_has_to_be_done(
    tmp_path: Path, folder: Path, settings: dict[str, Any], hint: str
) -> None:
    (tmp_path / "link.crl").symlink_to(folder / "ca.crl")
    api = Api(tmp_path, coap_security_mode="MIXED", **settings)
    serial = serial_of(issued(api))
    assert api.get("/certificates/clients")["findings"] == []
    revoked = revoke(api, serial)
    assert revoked["in_force"] is (hint == "")
    assert hint in revoked["hint"] and bool(revoked["hint"]) == bool(hint)
    findings = api.get("/certificates/clients")["findings"]
    assert [revoked["hint"] in one for one in findings] == ([True] if hint else [])


def test_a_torn_line_is_told_of_beside_the_rest(api: Api, folder: Path) -> None:
    issued(api)
    with (folder / "issued.jsonl").open("ab") as file:
        file.write(b'{"serial":"7')
    shown = api.get("/certificates/clients")
    assert [one["name"] for one in shown["items"]] == ["SN-1"]
    assert shown["findings"] == [
        "certs/issued.jsonl: passed over is what is torn, or no entry of a certificate: line 3"
    ]


def test_files_that_are_not_as_they_must_be_are_problems(api: Api, folder: Path) -> None:
    serial = serial_of(issued(api))
    (folder / "ca.crl").write_bytes(b"junk")
    for way in (("GET", "/certificates/clients"), ("POST", f"/certificates/clients/{serial}/revoke")):
        assert "move it away" in api.problem(*way, 409)["hint"]
    (folder / "ca.crl").unlink()
    (folder / "issued.jsonl").rename(folder / "kept")
    (folder / "issued.jsonl").mkdir()
    before = files(folder)
    api.problem("GET", "/certificates/clients", 409)
    api.problem("POST", f"/certificates/clients/{serial}/revoke", 409)
    api.problem("POST", "/certificates/clients", 409, json={"name": "SN-2"})
    assert files(folder) == before


def test_a_folder_that_may_not_be_written_or_seen_is_an_error(api: Api, folder: Path) -> None:
    serial = serial_of(issued(api))
    here = Path("certs")  # those above the current folder are closed to others
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    (folder / "ca_key.pem").chmod(0o644)
    writes: list[Callable[[], object]] = [
        lambda: operations.revoke_client(api.settings, serial, here),
        lambda: issue_to(api, here),
    ]
    for write in writes:
        with unprivileged(), pytest.raises(ConfigurationError, match="can't be written") as error:
            write()
        assert "let this user write there" in error.value.hint
    folder.chmod(0o700)
    reads: list[Callable[[Path], object]] = [operations.issued_certificates, operations.authority_pem]
    for read in reads:
        with unprivileged(), pytest.raises(ConfigurationError, match="may not be read by this user"):
            read(here)


def issue_to(api: Api, folder: Path) -> bytes:
    return operations.client_container(
        api.settings,
        "SN-2",
        [],
        days=1,
        key_type=KeyType.P256,
        container=operations.Container.PEM,
        password="",
        folder=folder,
    )


def test_another_command_at_the_folder_is_waited_for_and_then_told_of(
    api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "locked_folder", partial(locked_folder, patience_s=0))
    with locked_folder(folder):
        assert "another command" in api.problem("POST", "/certificates/clients", 503, json={"name": "SN-1"})["detail"]
    issued(api)


def test_many_at_a_time_are_all_on_record(api: Api) -> None:
    with ThreadPoolExecutor(4) as threads:
        contents = list(threads.map(lambda number: issued(api, name=f"SN-{number}"), range(12)))
    assert {one["serial"] for one in listed(api)} == set(map(serial_of, contents))
