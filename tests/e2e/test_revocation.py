"""A device whose certificate was issued by the API is kept out by its serial number, while the gateway runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import Served

from .harness import eventually
from .secure import NAMED, coaps_client, devices

SETTINGS = {
    "COAP_SECURITY_MODE": "MIXED",
    "COAP_DTLS_PEM_CERT": "certs/coapserver.pem",
    "COAP_DTLS_PEM_KEY": "certs/coapserver_key.pem",
    "COAP_DTLS_TRUST_STORE": "trusted.pem",
    "COAP_DTLS_CLIENT_AUTH": "NEEDED",
    "COAP_DTLS_CRL": "certs/ca.crl",
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A gateway that goes by its authority's revocation list, on which somebody is already."""
    served = Served(tmp_path, SETTINGS)
    served.command("certs", "server")
    served.command("certs", "client", "somebody")
    served.command("certs", "revoke", "somebody")
    shutil.copy(served.folder / "certs" / "ca.pem", served.folder / "trusted.pem")
    served.add_integration("named", NAMED, "--security-mode", "DTLS", "--routing-key", "named")
    served.start()
    yield served
    served.kill()


def test_a_certificate_of_the_api_is_revoked_by_its_serial_number(served: Served) -> None:
    api, url = served.script(), f"coaps://127.0.0.1:{served.dtls_port}/i/named"
    flags: dict[str, tuple[str, ...]] = {}
    for name in ("lost", "kept"):
        answer = api.post("/api/v1/certificates/clients", json={"name": name})
        assert answer.status_code == 201
        file = served.folder / f"{name}.pem"
        file.write_bytes(answer.content)
        flags[name] = ("-c", str(file), "-j", str(file), "-R", str(served.folder / "certs" / "ca.pem"))
        assert coaps_client("openssl", url, *flags[name], payload=name.encode()) == ""
    (lost,) = api.get("/api/v1/certificates/clients", params={"search": "lost"}).json()["items"]
    assert lost["state"] == "valid"

    revoked = api.post(f"/api/v1/certificates/clients/{lost['serial']}/revoke")
    assert revoked.status_code == 200
    assert (revoked.json()["state"], revoked.json()["in_force"], revoked.json()["hint"]) == ("revoked", True, "")

    refusal = f"certificate_revoked: 'CN=lost', serial number {lost['serial']}"
    assert "certificate revoked" in coaps_client("openssl", url, *flags["lost"], payload=b"too late")
    assert refusal in served.log
    assert coaps_client("openssl", url, *flags["kept"], payload=b"kept-2") == ""
    eventually(lambda: "kept-2" in devices(served), "what was accepted is in the view")
    states = {one["name"]: one["state"] for one in served.json("certs", "list")}
    assert states == {"localhost": "valid", "somebody": "revoked", "lost": "revoked", "kept": "valid"}


def test_where_the_gateway_can_not_follow_that_is_said(served: Served) -> None:
    api = served.script()
    assert api.post("/api/v1/certificates/clients", json={"name": "lost"}).status_code == 201
    (lost,) = api.get("/api/v1/certificates/clients").json()["items"][:1]
    trusted = served.folder / "trusted.pem"
    whole = trusted.read_bytes()
    trusted.write_bytes(whole[: len(whole) // 2])
    revoked = api.post(f"/api/v1/certificates/clients/{lost['serial']}/revoke").json()
    assert (revoked["state"], revoked["in_force"]) == ("revoked", False)
    assert "worker 0 can't follow" in revoked["hint"]
    trusted.write_bytes(whole)
    again = api.post(f"/api/v1/certificates/clients/{lost['serial']}/revoke").json()
    assert (again["already"], again["in_force"], again["hint"]) == (True, True, "")
