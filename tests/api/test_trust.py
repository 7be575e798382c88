"""What clients are trusted by, over HTTP."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.api.rig import Api
from tests.dtls.certificates import authority, device

ROOT = authority("Root")
DEVICE = device("SN-1", issuer=ROOT)
ROOT_PEM = ROOT.certificate.public_bytes(Encoding.PEM).decode()
DEVICE_PEM = DEVICE.certificate.public_bytes(Encoding.PEM).decode()
KEY_PEM = DEVICE.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


def test_certificates_are_trusted_as_what_they_say_they_are(api: Api) -> None:
    added = api.ok("POST", "/trust", json={"pem": ROOT_PEM + DEVICE_PEM})["items"]
    assert [(one["name"], one["kind"], one["already"]) for one in added] == [
        ("Root", "ca", False),
        ("SN-1", "device", False),
    ]
    assert added[0]["subject"] == "CN=Root"
    assert added[0]["expires_ts"] == ROOT.certificate.not_valid_after_utc.timestamp() * 1000
    listed = api.get("/trust")
    assert listed["total"] == 2
    assert [one["fingerprint"] for one in listed["items"]] == [one["fingerprint"] for one in added]


def test_what_is_trusted_already_stays_as_it_is(api: Api) -> None:
    api.ok("POST", "/trust", json={"pem": ROOT_PEM, "name": "ours"})
    (again,) = api.ok("POST", "/trust", json={"pem": ROOT_PEM})["items"]
    assert (again["name"], again["already"]) == ("ours", True)
    assert api.get("/trust")["total"] == 1


def test_a_public_key_is_called_by_its_fingerprint_or_as_it_is_said(api: Api) -> None:
    (key,) = api.ok("POST", "/trust", json={"pem": KEY_PEM})["items"]
    assert (key["kind"], key["name"], key["expires_ts"]) == ("key", key["fingerprint"][:16], None)
    api.ok("DELETE", f"/trust/{key['fingerprint']}")
    (key,) = api.ok("POST", "/trust", json={"pem": KEY_PEM, "name": "a/b"})["items"]
    assert key["name"] == "a/b"
    api.ok("DELETE", "/trust/a%2Fb")
    api.problem("DELETE", "/trust/a%2Fb", 404)


@pytest.mark.parametrize(
    ("new", "field"),
    [
        ({"pem": "hello"}, "pem"),
        ({"pem": ""}, "pem"),
        ({"pem": ROOT_PEM.replace("A", "B")}, "pem"),
        ({"pem": ROOT_PEM[:-40]}, "pem"),
        ({"pem": DEVICE_PEM, "kind": "ca"}, "pem"),
        ({"pem": KEY_PEM, "kind": "device"}, "pem"),
        ({"pem": ROOT_PEM, "kind": "key"}, "kind"),
        ({"pem": ROOT_PEM, "name": " x"}, "name"),
        ({"pem": ROOT_PEM + DEVICE_PEM, "name": "x"}, "pem"),
    ],
)
def test_what_could_vouch_for_nobody_is_said_beside_the_field(api: Api, new: dict[str, str], field: str) -> None:
    assert api.fields("POST", "/trust", json=new) == [field]
    assert api.get("/trust")["total"] == 0


def test_a_name_belongs_to_one(api: Api) -> None:
    api.ok("POST", "/trust", json={"pem": ROOT_PEM, "name": "x"})
    assert api.fields("POST", "/trust", json={"pem": DEVICE_PEM, "name": "x"}) == ["name"]
