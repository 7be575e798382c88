"""Clients' certificates, good and bad, against every way to ask for them and to be told whom to trust.

libcoap's clients present whatever certificate they are given, be it expired or self-signed, so every cell of the matrix
is tried with both of them.
"""

import contextlib
import itertools
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias, get_args

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.listeners.session_log import LINES_PER_SECOND
from tests.credentials.stores import STORE_PASSWORD, keytool
from tests.dtls.certificates import DAY_S, Issued, authority, crl, device

from .harness import Gateway, eventually
from .secure import (
    PSK_FLAGS,
    PSK_IDENTITY,
    Client,
    MakeGateway,
    coaps_client,
    devices,
    secure,
    validity,
    write_certificate,
    write_pair,
)

NAMED = "return {deviceName: String.fromCharCode.apply(String, payload), telemetry: {t: 1}};"
CLIENTS: tuple[Client, ...] = get_args(Client)

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
    made = {
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
        server_ca=server_ca,
        trust_server=("-R", str(write_certificate(folder / "server-ca.pem", server_ca))),
    )


@pytest.fixture(scope="module")
def matrix(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    """A gateway for each of the `WAYS`, all with the same catalogue, and what came of every client at each of them."""
    first = secure(Gateway(tmp_path_factory.mktemp("catalogue"), {}), files.server_ca, COAP_DTLS_CRL=str(files.crl))
    path = first.add_integration("named", NAMED, "--security-mode", "DTLS").split("/", 3)[3]
    first.command("trust", "add", str(files.ca))
    first.command("trust", "add", str(files.pinned), "--as", "device")
    gateways = {way: like(first, tmp_path_factory.mktemp("gateway"), way) for way in WAYS}
    try:
        for gateway in gateways.values():
            gateway.launch()
        with ThreadPoolExecutor(len(WAYS)) as threads:
            seen = threads.map(lambda way: all_clients(gateways[way], way, path, files), WAYS)
            yield Matrix(
                {(way, *who): one for way, some in zip(WAYS, seen, strict=True) for who, one in some.items()},
                {way: devices(gateway) for way, gateway in gateways.items()},
            )
    finally:
        for gateway in gateways.values():
            gateway.kill()


def like(first: Gateway, folder: Path, way: Way) -> Gateway:
    """A gateway with the settings and the catalogue of another one, and a way of its own."""
    gateway = Gateway(folder, {})
    shutil.copytree(first.data_dir, gateway.data_dir)
    own = {name: gateway.environment[name] for name in ("GATEWAY_DATA_DIR", "COAP_BIND_PORT", "COAP_DTLS_BIND_PORT")}
    gateway.environment = first.environment | own
    names = ("COAP_DTLS_CLIENT_AUTH", "TB_COAP_X509_DTLS_SKIP_VALIDITY_CHECK_FOR_CLIENT_CERT")
    gateway.environment |= dict(zip(names, way, strict=True))
    return gateway


def all_clients(gateway: Gateway, way: Way, path: str, files: Files) -> dict[tuple[Client, str], Seen]:
    """Let every client come, one after the other, and last of all one with a pre-shared key."""
    eventually(lambda: "listens on" in gateway.log, "the gateway listens")
    url = f"coaps://127.0.0.1:{gateway.dtls_port}/{path}"
    seen = {}
    for client in CLIENTS:
        for name, flags in files.flags.items():
            seen[client, name] = one_client(gateway, client, url, f"{client} {name}", *flags, *files.trust_server)
        next_second()
    assert coaps_client("openssl", url, *PSK_FLAGS, payload=b"last") == ""
    # Reports come in order: those of before are there by then, or never.
    eventually(lambda: devices(gateway).get("last") == PSK_IDENTITY, f"the last uplink is in the view of {way}")
    return seen


def next_second() -> None:
    """Wait for another second of the clock by which the log has a bound: what a client left in it is two lines."""
    assert 2 * len(CERTIFICATES) < LINES_PER_SECOND
    second = int(time.monotonic())
    eventually(lambda: int(time.monotonic()) > second, "a second passes")


def one_client(gateway: Gateway, client: Client, url: str, name: str, *flags: str) -> Seen:
    """Let one client write the device of a name."""
    handshake = r"worker-0: (?:handshake with \S+ failed: (.*)|.* has a session from .*)\n"
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
