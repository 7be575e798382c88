"""`gateway send` to `coaps://`, against the engine and against libcoap's server with OpenSSL."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.dtls_way import CID_BYTES_MAX
from gateway.credentials.psk import IDENTITY_BYTES_MAX, KEY_BYTES_MAX
from gateway.dtls.config import ClientAuth, Config
from gateway.dtls.events import AssociationClosed, DataReceived
from gateway.dtls.suites import BY_NAME
from gateway.dtls.tickets import TicketKeys
from tests.cli.conftest import Cli, Result
from tests.interop.credentials import PSK_IDENTITY, PSK_KEY, SERVER_NAME, Credentials, make_credentials
from tests.interop.loop import HOST, Loop, calling, serving
from tests.interop.process import Process, running, wait_until_bound
from tests.ports import free_port

PSK = ("--psk-identity", PSK_IDENTITY, "--psk-key", PSK_KEY.decode())
TEXT = ("--text", "SN-001,default,temperature,25.7")


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return make_credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module")
def server(credentials: Credentials) -> Iterator[Loop]:
    """Takes the PSK, certificates where there are any, and resumed sessions."""
    with serving(credentials.server(client_auth=ClientAuth.WANTED, tickets=TicketKeys())) as loop:
        yield loop


def url(port: int, path: str = "/i/key") -> str:
    return f"coaps://{HOST}:{port}{path}"


def ca(credentials: Credentials) -> tuple[str, ...]:
    return ("--ca", str(credentials.ca), "--server-name", SERVER_NAME)


def cert(credentials: Credentials, name: str = "client-p256") -> tuple[str, ...]:
    return ("--cert", str(credentials.certificate(name)), "--key", str(credentials.key(name)))


def send(cli: Cli, server: Loop, *options: str) -> Result:
    return cli("send", url(server.port), *TEXT, *options)


# -- who the server sees -------------------------------------------------------------------------


def test_a_pre_shared_key_is_given_in_three_ways(cli: Cli, server: Loop) -> None:
    cli.write("text", PSK_KEY + b"\r\n")
    cli.write("bytes", PSK_KEY)
    for key in (
        ("--psk-key", PSK_KEY.decode()),
        ("--psk-key-hex", PSK_KEY.hex(" ")),
        ("--psk-key-file", "text"),
        ("--psk-key-file", "bytes"),
    ):
        result = send(cli, server, "--psk-identity", PSK_IDENTITY, *key)
        assert (result.code, result.out, result.err) == (0, f"2.05 Content\nhello psk {PSK_IDENTITY}\n", "")


def test_a_key_of_any_bytes_keeps_what_would_be_a_line_end(cli: Cli) -> None:
    key = bytes(range(240, 255)) + b"\n"
    known = Config(psk_enabled=True, psk_key_of={b"binary": key}.get)
    cli.write("key", key)
    with serving(known) as loop:
        assert send(cli, loop, "--psk-identity", "binary", "--psk-key-file", "key").code == 0


def test_a_certificate_comes_in_two_files_or_one(cli: Cli, server: Loop, credentials: Credentials) -> None:
    both = credentials.certificate("client-p384").read_bytes() + credentials.key("client-p384").read_bytes()
    cli.write("both.pem", both)
    two = send(cli, server, *ca(credentials), *cert(credentials, "client-p384"))
    one = send(cli, server, *ca(credentials), "--cert", "both.pem")
    assert (one.code, one.out) == (0, "2.05 Content\nhello x509 client-p384\n")
    assert two == one


def test_an_encrypted_key_takes_its_password(cli: Cli, server: Loop, credentials: Credentials) -> None:
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", credentials.key("client-p256"), "-out", "key", "-passout", "pass:wort"],
        check=True,
    )
    given = ("--cert", str(credentials.certificate("client-p256")), "--key", "key")
    assert send(cli, server, *ca(credentials), *given, "--key-password", "wort").code == 0
    wrong = send(cli, server, *ca(credentials), *given, "--key-password", "falsch")
    assert (wrong.code, "--key-password" in wrong.err, "falsch" in wrong.err) == (2, True, False)


def test_without_a_certificate_it_is_nobody(cli: Cli, server: Loop, credentials: Credentials) -> None:
    result = send(cli, server, *ca(credentials))
    assert (result.code, result.out, result.err) == (0, "2.05 Content\nhello nobody\n", "")


def test_insecure_takes_any_server_and_says_so(cli: Cli, server: Loop) -> None:
    result = send(cli, server, "--insecure")
    assert (result.code, result.out) == (0, "2.05 Content\nhello nobody\n")
    assert result.err.startswith("warning: --insecure takes any server certificate")


# -- the session ---------------------------------------------------------------------------------


def test_verbose_tells_of_the_session_on_standard_error(cli: Cli, server: Loop, credentials: Credentials) -> None:
    suite = "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    result = send(cli, server, *ca(credentials), "--verbose", "--suite", suite, "--cid-length", "4")
    assert result.out == "2.05 Content\nhello nobody\n"
    lines = dict(line.split(": ", 1) for line in result.err.splitlines())
    assert lines["suite"] == suite
    assert lines["handshake"].startswith("full handshake, ")
    assert lines["handshake"].endswith(" ms")
    assert len(lines["connection ID, the server's"]) == 16
    assert len(lines["connection ID, ours"]) == 8
    assert lines["server certificate"].startswith(f"CN={SERVER_NAME}, until 20")


def test_connection_ids_can_be_left_out(cli: Cli, server: Loop) -> None:
    usual = send(cli, server, *PSK, "--verbose").err
    assert "the server's: none" not in usual
    assert "ours: none" in usual
    assert "the server's: none" in send(cli, server, *PSK, "--verbose", "--cid-length", "none").err


def test_many_requests_go_over_one_session(cli: Cli, credentials: Credentials) -> None:
    with serving(credentials.server()) as loop:
        result = send(cli, loop, *PSK, "--count", "3", "--verbose")
        assert result.out == f"2.05 Content\nhello psk {PSK_IDENTITY}\n" * 3
        assert result.err.count("handshake:") == 1
        assert loop.wait_for(AssociationClosed).reason == "closed by the peer"


def test_a_session_is_kept_and_resumed(cli: Cli, server: Loop, credentials: Credentials) -> None:
    for options in (PSK, (*ca(credentials), *cert(credentials))):
        file = Path(f"session-{len(options)}")
        handshakes = [send(cli, server, *options, "--verbose", "--session", str(file)) for _ in range(3)]
        assert [result.code for result in handshakes] == [0, 0, 0]
        assert ["resumed session" in result.err for result in handshakes] == [False, True, True]
        assert handshakes[2].out == handshakes[0].out
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_session_is_not_resumed_with_other_credentials_or_less_trust(
    cli: Cli, server: Loop, credentials: Credentials
) -> None:
    options = (*ca(credentials), *cert(credentials))
    for others in (
        ca(credentials),
        ("--insecure", *cert(credentials)),
        ("--ca", str(credentials.ca), "--server-name", SERVER_NAME.upper(), *cert(credentials)),
        PSK,
    ):
        assert send(cli, server, *others, "--session", "file").code == 0
        result = send(cli, server, *options, "--verbose", "--session", "file")
        assert result.code == 0
        assert "note: the session in file is not resumed: it is for another server or other credentials" in result.err
        assert "full handshake" in result.err
        assert "resumed session" in send(cli, server, *options, "--verbose", "--session", "file").err


def test_the_file_of_a_session_is_of_no_use_with_another_key(cli: Cli, server: Loop) -> None:
    assert send(cli, server, *PSK, "--session", "file").code == 0
    result = send(cli, server, "--psk-identity", PSK_IDENTITY, "--psk-key", "wrong", "--session", "file")
    assert result.code == 1
    assert "pre-shared key is wrong" in result.err


def test_where_a_server_resumes_nothing_there_is_no_file(cli: Cli, credentials: Credentials) -> None:
    with serving(credentials.server()) as loop:
        result = send(cli, loop, *PSK, "--session", "file")
    assert (result.code, Path("file").exists()) == (0, False)
    assert "note: the server lets no session be resumed" in result.err


# -- what goes wrong -----------------------------------------------------------------------------


def test_a_failed_handshake_is_exit_1_with_cause_and_cure(cli: Cli, server: Loop, credentials: Credentials) -> None:
    result = send(cli, server, "--ca", str(credentials.ca))
    assert (result.code, result.out) == (1, "")
    where, cause, cure = result.err.splitlines()
    assert where.startswith(f"error: the DTLS handshake with {HOST}:{server.port} failed: ")
    assert "certificate_unknown" in where
    assert cause.startswith("error: likely cause: ")
    assert "--server-name" in cure


def test_without_the_gateway_it_is_told_at_once(cli: Cli) -> None:
    begun_s = time.monotonic()
    result = cli("send", url(free_port()), *TEXT, *PSK)
    assert (result.code, result.out) == (1, "")
    assert "Connection refused" in result.err
    assert "COAP_SECURITY_MODE=MIXED" in result.err
    assert time.monotonic() - begun_s < 5


def test_the_time_out_covers_the_handshake(cli: Cli) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        result = cli("send", url(silent.getsockname()[1]), *TEXT, *PSK, "--timeout", "0.3")
    assert (result.code, result.out) == (1, "")
    assert "no end within 0.3 s" in result.err


def test_a_server_that_does_not_answer_over_the_session_is_told(cli: Cli, credentials: Credentials) -> None:
    with calling(credentials.server()) as mute:  # it answers handshakes, and no requests
        result = cli("send", url(mute.port), *TEXT, *PSK, "--timeout", "0.5")
    assert (result.code, result.out) == (1, "")
    assert f"no response from {url(mute.port)} within 0.5 s" in result.err
    assert "the DTLS session was there" in result.err


def test_a_session_that_the_server_ends_is_told(cli: Cli, credentials: Credentials) -> None:
    with calling(credentials.server()) as mute:
        hang_up = threading.Thread(target=lambda: mute.hang_up(mute.wait_for(DataReceived).association))
        hang_up.start()
        result = cli("send", url(mute.port), *TEXT, *PSK)
        hang_up.join()
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines() == [
        f"error: no response from {url(mute.port)}: the server ended the session",
        "hint: its key, CA or certificate was removed, or the gateway is stopping; run it again",
    ]


def test_control_c_ends_it_cleanly() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        silent.settimeout(30)
        command = [sys.executable, "-m", "gateway", "send", url(silent.getsockname()[1]), *TEXT, *PSK]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert silent.recv(2048)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")


MISUSES = {
    "how to check the server": [],
    "--psk-identity and --ca exclude": [*PSK, "--ca", "x"],
    "--psk-identity and --cert exclude": [*PSK, "--cert", "x"],
    "--psk-identity and --insecure exclude": [*PSK, "--insecure"],
    "--psk-identity and --server-name exclude": [*PSK, "--server-name", "x"],
    "needs a key, and only one": ["--psk-identity", "a"],
    "only one": [*PSK, "--psk-key-hex", "00"],
    "--psk-key needs an identity": ["--psk-key", "a"],
    "the identity has 0 bytes": ["--psk-identity", "", "--psk-key", "a"],
    f"the identity has {IDENTITY_BYTES_MAX + 1} bytes": [
        "--psk-identity",
        "a" * (IDENTITY_BYTES_MAX + 1),
        "--psk-key",
        "a",
    ],
    "the pre-shared key has 0 bytes": ["--psk-identity", "a", "--psk-key", ""],
    f"the pre-shared key has {KEY_BYTES_MAX + 1} bytes": [
        "--psk-identity",
        "a",
        "--psk-key",
        "k" * (KEY_BYTES_MAX + 1),
    ],
    "--psk-key-hex is not hexadecimal": ["--psk-identity", "a", "--psk-key-hex", "secret"],
    "--key needs a certificate": ["--insecure", "--key", "x"],
    "--insecure and --ca exclude": ["--insecure", "--ca", "x"],
    "there is no such file": ["--ca", "missing.pem"],
    "is none that is known": [*PSK, "--suite", "NULL"],
    "takes a certificate": [*PSK, "--suite", "ECDHE_ECDSA_WITH_AES_128_CCM_8"],
    "takes a pre-shared key": ["--insecure", "--suite", "PSK_WITH_AES_128_CCM_8"],
    "is no length": [*PSK, "--cid-length", str(CID_BYTES_MAX + 1)],
    "'-1' is no length": [*PSK, "--cid-length", "-1"],
    "'' is no length": [*PSK, "--cid-length", ""],
    "is no name that a server can have": ["--insecure", "--server-name", "a..b"],
}


@pytest.mark.parametrize("said", MISUSES)
def test_options_that_do_not_fit_together_are_exit_2(cli: Cli, said: str) -> None:
    result = cli("send", "coaps://127.0.0.1/i/key", *TEXT, *MISUSES[said])
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert "secret" not in result.err


def test_the_bounds_themselves_are_taken(cli: Cli) -> None:
    identity, key = "i" * IDENTITY_BYTES_MAX, "k" * KEY_BYTES_MAX
    known = Config(psk_enabled=True, psk_key_of={identity.encode(): key.encode()}.get)
    with serving(known) as loop:
        given = ("--psk-identity", identity, "--psk-key", key, "--cid-length", str(CID_BYTES_MAX), "--verbose")
        result = send(cli, loop, *given)
    assert result.code == 0
    assert any(len(line) == len("connection ID, ours: ") + 2 * CID_BYTES_MAX for line in result.err.splitlines())


# -- libcoap -------------------------------------------------------------------------------------


@contextmanager
def libcoap(*options: object) -> Iterator[tuple[Process, int]]:
    """libcoap's server, which makes resources that are put, and its DTLS port."""
    port = free_port()
    with running("coap-server-openssl", "-A", HOST, "-p", port, "-d", 4, *options) as process:
        wait_until_bound(port + 1)
        yield process, port + 1


def own(credentials: Credentials) -> tuple[object, ...]:
    return ("-c", credentials.certificate("server-p256"), "-j", credentials.key("server-p256"))


def test_libcoap_takes_a_psk_and_a_long_payload(cli: Cli, tmp_path: Path) -> None:
    payload = os.urandom(1500) * 4
    (tmp_path / "payload").write_bytes(payload)
    with libcoap("-k", PSK_KEY.decode()) as (_, port):
        for code in ("2.01 Created", "2.04 Changed"):
            result = cli("send", url(port, "/long"), "--method", "put", "--file", "payload", *PSK, "--session", "file")
            assert (result.code, result.out, result.err) == (0, f"{code}\n", "")
        subprocess.run(
            ["coap-client-openssl", "-u", PSK_IDENTITY, "-k", PSK_KEY, "-o", tmp_path / "got", url(port, "/long")],
            check=True,
            timeout=30,
        )
    assert (tmp_path / "got").read_bytes() == payload


def test_libcoap_takes_a_certificate(cli: Cli, credentials: Credentials) -> None:
    with libcoap(*own(credentials), "-C", credentials.ca) as (_, port):
        given = ("--method", "put", *TEXT, *ca(credentials), *cert(credentials), "--verbose")
        result = cli("send", url(port, "/new"), *given)
        assert (result.code, result.out) == (0, "2.01 Created\n")
        assert "ECDHE_ECDSA" in result.err
        refused = cli("send", url(port, "/.well-known/core"), *TEXT, *ca(credentials), *cert(credentials))
        assert (refused.code, refused.out.splitlines()[0]) == (1, "4.05 Method Not Allowed")
        missing = cli("send", url(port, "/new"), *TEXT, *ca(credentials))
        assert (missing.code, "insists on a client certificate" in missing.err) == (1, True)
        stranger = cli("send", url(port, "/new"), *TEXT, *ca(credentials), *cert(credentials, "stranger"))
        assert (stranger.code, "alert unknown_ca" in stranger.err) == (1, True)


def test_libcoap_is_silent_on_a_wrong_key(cli: Cli) -> None:
    with libcoap("-k", PSK_KEY.decode()) as (_, port):
        result = cli("send", url(port), *TEXT, "--psk-identity", PSK_IDENTITY, "--psk-key", "wrong", "--timeout", "0.5")
    assert result.code == 1
    assert "the pre-shared key is wrong, or the identity unknown" in result.err


def test_each_suite_can_be_chosen(cli: Cli, server: Loop, credentials: Credentials) -> None:
    for name, suite in BY_NAME.items():
        who = PSK if suite.key_exchange.is_psk else ca(credentials)
        result = send(cli, server, *who, "--suite", name, "--verbose")
        assert (result.code, result.err.splitlines()[0]) == (0, f"suite: {name}")
