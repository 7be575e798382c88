"""Clients' certificates, good and bad, against every way to ask for them and to be told whom to trust.

libcoap's clients present whatever certificate they are given, be it expired or self-signed, so every cell of the matrix
is tried with both of them.
"""

import itertools
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.log_folding import LINES_PER_SECOND
from gateway.model import Code
from tests.credentials.stores import STORE_PASSWORD, keytool
from tests.dtls.certificates import DAY_S, Issued, authority, crl, device

from .dtls_device import Device
from .harness import Gateway, eventually
from .secure import (
    CLIENTS,
    NAMED,
    PSK_FLAGS,
    PSK_IDENTITY,
    Client,
    coaps_client,
    devices,
    like,
    next_second,
    secure,
    started,
    validity,
    write_certificate,
    write_pair,
)
from .test_identities import with_certificate

WHO = {name: name for name in ("good", "expired", "not yet valid", "wrong CA", "revoked", "pinned", "unknown")}
CERTIFICATES: dict[str, str | None] = {**WHO, "missing": None}
"""What a client may present, and who it is if that is believed. `pinned` and `unknown` have signed themselves."""

REFUSALS = {
    "expired": "certificate_expired: 'CN=expired' has expired",
    "not yet valid": "certificate_expired: 'CN=not yet valid' is not yet valid",
    "wrong CA": "unknown_ca: no path from the issuer 'CN=Another CA' to a trusted CA",
    "revoked": "certificate_revoked: 'CN=revoked', serial number",
    "unknown": "unknown_ca: no path from the issuer 'CN=unknown' to a trusted CA",
}
"""Which are not believed where they are looked at: the alert, and the reason in the log."""

Way: TypeAlias = tuple[str, str]
"""COAP_DTLS_CLIENT_AUTH, and TB_COAP_X509_DTLS_SKIP_VALIDITY_CHECK_FOR_CLIENT_CERT."""

WAYS: list[Way] = list(itertools.product(("NONE", "WANTED", "NEEDED"), ("false", "true")))


def refusal_of(way: Way, name: str) -> str:
    """What the log must say of a client; nothing where it comes in."""
    mode, skip = way
    if name == "missing":
        return "handshake_failure: the client has no certificate" if mode == "NEEDED" else ""
    if mode == "NONE" or (skip == "true" and name in ("expired", "not yet valid")):
        return ""
    return REFUSALS.get(name, "")


class Files(NamedTuple):
    """What the tests' CAs have issued, in files."""

    flags: dict[str, tuple[str, ...]]
    """libcoap's options for each of the `CERTIFICATES`."""
    ca: Path
    crl: Path
    pinned: Path
    issued: dict[str, Issued]
    server_ca: Issued
    trust_server: tuple[str, ...]
    """libcoap's option to believe the gateway."""


@dataclass(frozen=True)
class Seen:
    """What came of a client."""

    printed: str
    """By itself; nothing where the answer is 2.01."""
    failure: str
    """In the log, from the alert on; nothing where the handshake was completed."""


@dataclass(frozen=True)
class Matrix:
    """What came of all clients."""

    seen: dict[tuple[Way, Client, str], Seen]
    stored: dict[Way, dict[str, str | None]]
    """The devices that were written, and by which principal; each is called after its client."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Made once."""
    folder = tmp_path_factory.mktemp("certificates")
    ca, another, server_ca = (authority(f"{name} CA", **validity(-20)) for name in ("Device", "Another", "Server"))
    made: dict[str, Issued] = {
        "good": device("good", issuer=ca, **validity()),
        "expired": device("expired", issuer=ca, **validity(-10, -2)),
        "not yet valid": device("not yet valid", issuer=ca, **validity(2, 10)),
        "wrong CA": device("wrong CA", issuer=another, **validity()),
        "revoked": device("revoked", issuer=ca, **validity()),
        "pinned": device("pinned", **validity()),
        "unknown": device("unknown", **validity()),
    }
    (folder / "ca.crl").write_bytes(
        crl(ca, [made["revoked"]], next_update_s=time.time() + DAY_S).public_bytes(Encoding.PEM)
    )
    return Files(
        {**{name: write_pair(folder, name, one) for name, one in made.items()}, "missing": ()},
        ca=write_certificate(folder / "ca.pem", ca),
        crl=folder / "ca.crl",
        pinned=folder / "pinned.pem",
        issued=made,
        server_ca=server_ca,
        trust_server=("-R", str(write_certificate(folder / "server-ca.pem", server_ca))),
    )


@pytest.fixture(scope="module")
def prepared(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """A gateway that trusts nobody yet and is never started: the others are made like it."""
    gateway = secure(Gateway(tmp_path_factory.mktemp("prepared"), {}), files.server_ca)
    gateway.add_integration("named", NAMED, "--security-mode", "DTLS", "--routing-key", "named")
    return gateway


@pytest.fixture(scope="module")
def matrix(prepared: Gateway, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """A gateway for each of the `WAYS`, all with the same trust, and what came of every client at each of them."""
    trusting = like(prepared, tmp_path_factory.mktemp("trusting"), COAP_DTLS_CRL=str(files.crl))
    trusting.command("trust", "add", str(files.ca))
    trusting.command("trust", "add", str(files.pinned), "--as", "device")
    names = ("COAP_DTLS_CLIENT_AUTH", "TB_COAP_X509_DTLS_SKIP_VALIDITY_CHECK_FOR_CLIENT_CERT")
    gateways = {
        way: like(trusting, tmp_path_factory.mktemp("gateway"), **dict(zip(names, way, strict=True))) for way in WAYS
    }
    try:
        for gateway in gateways.values():
            gateway.launch()
        with ThreadPoolExecutor(len(WAYS)) as threads:
            outcomes = list(threads.map(lambda gateway: all_clients(gateway, files), gateways.values()))
        yield Matrix(
            {(way, *who): one for way, seen in zip(WAYS, outcomes, strict=True) for who, one in seen.items()},
            {way: devices(gateway) for way, gateway in gateways.items()},
        )
    finally:
        for gateway in gateways.values():
            gateway.kill()


def url_of(gateway: Gateway) -> str:
    return f"coaps://127.0.0.1:{gateway.dtls_port}/i/named"


def all_clients(gateway: Gateway, files: Files) -> dict[tuple[Client, str], Seen]:
    """Let every client come, one after the other, and last of all one with a pre-shared key."""
    assert 2 * len(CERTIFICATES) < LINES_PER_SECOND  # what a client leaves in the log are two lines at most
    url, seen = url_of(gateway), {}
    eventually(lambda: "listens on" in gateway.log, "the gateway listens")
    for client in CLIENTS:
        for name, flags in files.flags.items():
            seen[client, name] = one_client(gateway, client, url, f"{client} {name}", *flags, *files.trust_server)
        next_second()
    assert coaps_client("openssl", url, *PSK_FLAGS, payload=b"last") == ""
    # Reports come in order: those of before are there by then, or never.
    eventually(lambda: devices(gateway).get("last") == PSK_IDENTITY, "the last uplink is in the view")
    return seen


def one_client(gateway: Gateway, client: Client, url: str, name: str, *flags: str) -> Seen:
    """Let one client write the device of a name."""
    handshake = r"worker-0: (?:handshake with \S+ failed: (.*) peer=\S+|.* has a session from .*)\n"
    before = len(re.findall(handshake, gateway.log))
    printed = coaps_client(client, url, *flags, payload=name.encode())
    eventually(lambda: len(re.findall(handshake, gateway.log)) > before, f"the log says what came of {name}")
    (failure,) = re.findall(handshake, gateway.log)[before:]
    return Seen(printed, failure)


@pytest.mark.parametrize("name", CERTIFICATES)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way[0]}-skip {way[1]}")
def test_who_comes_in_and_who_is_refused(matrix: Matrix, way: Way, client: Client, name: str) -> None:
    refusal, seen = refusal_of(way, name), matrix.seen[way, client, name]
    assert seen.failure.startswith(refusal)
    assert bool(seen.failure) == bool(refusal)
    stored = matrix.stored[way]
    if refusal:
        alert = refusal.partition(":")[0]
        assert alert_of(seen.printed) == alert
        assert f"{client} {name}" not in stored
    else:
        assert seen.printed == ""
        assert stored[f"{client} {name}"] == (None if way[0] == "NONE" else CERTIFICATES[name])


def alert_of(printed: str) -> str:
    """The alert that libcoap's client says it got, by RFC 5246's name."""
    names = {
        "certificate_expired": ("certificate expired", "Certificate is expired"),
        "unknown_ca": ("unknown CA", "CA is unknown"),
        "certificate_revoked": ("certificate revoked", "Certificate was revoked"),
        "handshake_failure": ("handshake failure", "Handshake failed"),
    }
    (found,) = [name for name, texts in names.items() if any(f"{text}\n" in printed for text in texts)]
    return found


# -- where trust comes from ------------------------------------------------------------------------


def in_the_catalogue(gateway: Gateway, files: Files) -> None:
    gateway.command("trust", "add", str(files.ca))
    gateway.command("trust", "add", str(files.pinned), "--as", "device")


def in_a_pem_file(gateway: Gateway, files: Files) -> None:
    store = gateway.folder / "store.pem"
    store.write_bytes(files.ca.read_bytes() + files.pinned.read_bytes())
    gateway.environment["COAP_DTLS_TRUST_STORE"] = str(store)


def in_a_folder(gateway: Gateway, files: Files) -> None:
    store = gateway.folder / "store"
    store.mkdir()
    shutil.copy(files.ca, store / "ca.crt")
    shutil.copy(files.pinned, store)
    gateway.environment["COAP_DTLS_TRUST_STORE"] = str(store)


def in_a_keystore(gateway: Gateway, files: Files, kind: str) -> None:
    for alias, file in {"ca": files.ca, "sensor": files.pinned}.items():
        what = ("-importcert", "-noprompt", "-alias", alias, "-file", str(file))
        keytool(gateway.folder, *what, "-keystore", "store", "-storetype", kind, "-storepass", STORE_PASSWORD)
    gateway.environment["COAP_DTLS_TRUST_STORE"] = str(gateway.folder / "store")


def in_a_jks(gateway: Gateway, files: Files) -> None:
    in_a_keystore(gateway, files, "JKS")


def in_a_pkcs12(gateway: Gateway, files: Files) -> None:
    in_a_keystore(gateway, files, "PKCS12")


@pytest.mark.parametrize("keep", [in_the_catalogue, in_a_pem_file, in_a_folder, in_a_jks, in_a_pkcs12])
def test_trust_may_be_kept(
    prepared: Gateway, files: Files, tmp_path: Path, keep: Callable[[Gateway, Files], None]
) -> None:
    gateway = like(prepared, tmp_path)
    keep(gateway, files)
    url = url_of(gateway)
    with started(gateway):
        for client in CLIENTS:
            for name in ("good", "pinned", "wrong CA", "unknown"):
                flags = (*files.flags[name], *files.trust_server)
                assert one_client(gateway, client, url, f"{client} {name}", *flags).failure == REFUSALS.get(name, "")
        expected = {f"{client} {name}": name for client in CLIENTS for name in ("good", "pinned")}
        eventually(lambda: devices(gateway) == expected, "those that are trusted have written")


def test_who_is_revoked_loses_the_session_and_gets_no_other(prepared: Gateway, files: Files, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    settings = {
        "COAP_DTLS_TRUST_STORE": str(files.ca),
        "COAP_DTLS_CRL": str(lists),
        "TB_TRANSPORT_SSL_CERTIFICATE_RELOAD_CHECK_INTERVAL_SECONDS": "1",
    }
    gateway = like(prepared, tmp_path / "gateway", **settings)
    url = url_of(gateway)
    with started(gateway):
        some: list[Device] = []
        sensor = with_certificate(gateway, some, files.issued["revoked"])
        other = with_certificate(gateway, some, files.issued["good"])
        assert sensor.post(url, b"sensor").code == Code.CREATED
        shutil.copy(files.crl, lists)
        sensor.wait_for_end()
        assert sensor.ended == "closed by the peer"
        assert other.post(url, b"other").code == Code.CREATED
        assert "x509 'revoked' from" in gateway.log
        for client in CLIENTS:
            flags = (*files.flags["revoked"], *files.trust_server)
            assert one_client(gateway, client, url, "x", *flags).failure.startswith(REFUSALS["revoked"])
        for one in some:
            one.close()
        eventually(lambda: set(devices(gateway)) == {"sensor", "other"}, "what was accepted is in the view")
