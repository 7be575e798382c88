"""What a server presents: `gateway certs verify coaps://…`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.x509 import DNSName, IPAddress

from gateway.cli.handshakes import verify_server
from gateway.credentials.writing import certificates_pem
from gateway.dtls.config import ClientAuth, Config, Identity
from gateway.dtls.suites import BY_NAME
from gateway.errors import UnavailableError, UsageError
from tests.dtls.certificates import DAY_S, Issued, KeyKind, Options, authority, server
from tests.interop.loop import HOST, serving
from tests.ports import free_port

NOW_S = time.time()


def valid(from_days: float = -1, to_days: float = 100) -> Options:
    return Options(not_before_s=NOW_S + from_days * DAY_S, not_after_s=NOW_S + to_days * DAY_S)


ROOT = authority("Root", **valid())
MIDDLE = authority("Middle", issuer=ROOT, **valid())


class Verified(NamedTuple):
    """What the command gave."""

    code: int
    out: str


@contextmanager
def presenting(issued: Issued, *others: Issued, client_auth: ClientAuth = ClientAuth.NONE) -> Iterator[str]:
    """A server with this chain; gives its URL."""
    with serving(Config(identities=(Identity(issued.chain(*others), issued.key),), client_auth=client_auth)) as loop:
        yield f"coaps://{HOST}:{loop.port}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return pem(tmp_path / "root.pem", ROOT)


def pem(path: Path, issued: Issued) -> Path:
    path.write_bytes(certificates_pem([issued.certificate]))
    return path


def verify(capsys: pytest.CaptureFixture[str], url: str, ca: Path | None = None, *, timeout_s: float = 10) -> Verified:
    code = verify_server(url, ca=ca, timeout_s=timeout_s)
    captured = capsys.readouterr()
    assert captured.err == ""
    return Verified(code, captured.out)


def for_host(
    name: str = "gateway.example", *, issuer: Issued | None = ROOT, days: tuple[float, float] = (-1, 100)
) -> Issued:
    """A server's certificate for 127.0.0.1, and a name."""
    names = Options(sans=[DNSName(name), IPAddress(ip_address(HOST))])
    return server(name, issuer=issuer, **(valid(*days) | names))


def test_the_whole_chain_is_shown_and_verified(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    leaf = for_host(issuer=MIDDLE)
    with presenting(leaf, MIDDLE) as url:
        code, out = verify(capsys, url, root)
    assert code == 0, out
    for shown in (
        "certificate 1 of 2",
        "certificate 2 of 2",
        "subject  CN=gateway.example",
        "issuer   CN=Middle",
        f"names    gateway.example, {HOST}",
        "days left)",
        "key      EC secp256r1",
        leaf.fingerprint,
        MIDDLE.fingerprint,
        "√ handshake: ECDHE_ECDSA_WITH_AES_128_CCM_8",
        "√ client certificate: not asked for",
        "√ certificate 1: valid, 99 days left",
        "√ certificate 2: valid, 99 days left",
        f"√ name: the certificate is for {HOST}",
        "√ trust: ",
    ):
        assert shown in out


def test_without_a_ca_nothing_is_said_of_trust(capsys: pytest.CaptureFixture[str]) -> None:
    with presenting(for_host(issuer=None)) as url:
        code, out = verify(capsys, url)
    assert code == 0
    assert "issuer   itself" in out
    assert "trust:" not in out


@pytest.mark.parametrize(
    ("client_auth", "said"),
    [
        (ClientAuth.NONE, "√ client certificate: not asked for"),
        (ClientAuth.WANTED, "√ client certificate: asked for"),
        (ClientAuth.NEEDED, "~ client certificate: the server insists on one"),
    ],
)
def test_it_tells_whether_the_server_asks_for_a_client_certificate(
    capsys: pytest.CaptureFixture[str], root: Path, client_auth: ClientAuth, said: str
) -> None:
    with presenting(for_host(), client_auth=client_auth) as url:
        code, out = verify(capsys, url, root)
    assert (code, said in out) == (0, True), out
    assert "√ trust: " in out


def test_another_ca_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with presenting(for_host()) as url:
        code, out = verify(capsys, url, pem(tmp_path / "other.pem", authority("Other", **valid())))
    assert code == 1
    assert "x trust: no path" in out
    assert "likely cause: the server's certificate was not issued by a CA of the --ca file" in out


def test_a_missing_intermediate_is_told(capsys: pytest.CaptureFixture[str], root: Path) -> None:
    with presenting(for_host(issuer=MIDDLE)) as url:
        code, out = verify(capsys, url, root)
    assert (code, "x trust: no path" in out) == (1, True)


@pytest.mark.parametrize(
    ("days", "code", "said"),
    [
        ((-2, -1), 1, "x certificate 1: has expired"),
        ((1, 2), 1, "x certificate 1: is not valid yet"),
        ((-1, 29), 0, "~ certificate 1: valid, 28 days left"),
        ((-1, 31), 0, "√ certificate 1: valid, 30 days left"),
    ],
)
def test_dates_are_judged(capsys: pytest.CaptureFixture[str], days: tuple[float, float], code: int, said: str) -> None:
    with presenting(for_host(days=days)) as url:
        result = verify(capsys, url)
    assert (result.code, said in result.out) == (code, True), result.out


def test_a_name_that_is_not_in_it_is_a_warning_and_with_a_ca_a_failure(
    capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    with presenting(server("gateway.example", issuer=ROOT, **valid())) as url:
        assert verify(capsys, url).code == 0
        code, out = verify(capsys, url, root)
    assert code == 1
    assert f"x name: the certificate is not for {HOST}, but for gateway.example" in out


@pytest.mark.parametrize(("kind", "said"), [("p384", "EC secp384r1"), ("ed25519", "Ed25519"), ("rsa2048", "RSA 2048")])
def test_each_kind_of_key_is_named(capsys: pytest.CaptureFixture[str], kind: KeyKind, said: str) -> None:
    with presenting(server(issuer=ROOT, **(valid() | Options(key=kind)))) as url:
        assert f"key      {said}\n" in verify(capsys, url).out


def test_a_server_without_a_certificate_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    psk = tuple(suite for suite in BY_NAME.values() if suite.key_exchange.is_psk)
    with serving(Config(suites=psk, psk_enabled=True)) as loop:
        code, out = verify(capsys, f"coaps://{HOST}:{loop.port}")
    assert code == 1
    assert "x the DTLS handshake with" in out
    assert "the server has no certificate" in out


def test_a_server_that_does_not_have_the_key_is_found_out(capsys: pytest.CaptureFixture[str]) -> None:
    with presenting(Issued(for_host().certificate, for_host().key)) as url:
        code, out = verify(capsys, url)
    assert code == 1
    assert "decrypt_error" in out
    assert "subject  CN=gateway.example" in out


def test_nobody_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = verify(capsys, f"coaps://{HOST}:{free_port()}")
    assert (code, "Connection refused" in out) == (1, True)


@pytest.mark.parametrize("url", ["coap://127.0.0.1", "https://127.0.0.1", "coaps://", "coaps://h:0", "server.pem"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        verify_server(url, ca=None, timeout_s=1)


def test_a_ca_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        verify_server("coaps://127.0.0.1", ca=tmp_path / "none", timeout_s=1)


def test_a_name_that_leads_nowhere_is_an_error() -> None:
    with pytest.raises(UnavailableError, match="can't be found"):
        verify_server("coaps://no-such-host.invalid", ca=None, timeout_s=5)
