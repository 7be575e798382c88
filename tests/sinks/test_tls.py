"""TLS as sinks speak it: the files that the settings name."""

import os
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.sinks.sink import SinkError, Trouble
from gateway.sinks.tls import TlsFiles, client_context
from tests.credentials.stores import key_pem, write
from tests.dtls.certificates import Issued, authority, device
from tests.sinks.receivers import valid_now, write_pem

PASSWORD = b"hunter2"
CA = authority("CA", **valid_now())
MIDDLE = authority("Middle", issuer=CA, **valid_now())
CLIENT = device("client", issuer=MIDDLE, **valid_now())
OTHER = device("other", issuer=CA, **valid_now())


def files(
    ca: Path | None = None, cert: Path | None = None, key: Path | None = None, password: bytes | None = None
) -> TlsFiles:
    return TlsFiles("TB_", ca, cert, key, password)


def trouble_of(named: TlsFiles) -> str:
    with pytest.raises(SinkError) as raised:
        client_context(named)
    assert raised.value.trouble is Trouble.MISCONFIGURED
    said = f"{raised.value.message}; {raised.value.hint}"
    assert raised.value.hint
    assert PASSWORD.decode() not in said + repr(named)
    return said


def shaken_hands(client: ssl.SSLContext, trusted: Issued, server: Issued, folder: Path) -> ssl.SSLObject:
    """The server's side of a completed handshake, in memory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_pem(folder / "server.pem", server, key=True))
    context.load_verify_locations(cadata=trusted.certificate.public_bytes(Encoding.PEM).decode())
    context.verify_mode = ssl.CERT_REQUIRED
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client.check_hostname = False
    ours = client.wrap_bio(to_client, to_server)
    theirs = context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            return theirs
    raise AssertionError("no handshake")


def test_without_files_the_systems_cas_are_trusted_and_names_checked() -> None:
    context = client_context(files())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_ca_file_takes_the_place_of_the_systems(tmp_path: Path, encoding: Encoding) -> None:
    path = write(tmp_path / "ca", CA.certificate.public_bytes(encoding))
    assert client_context(files(path)).get_ca_certs(binary_form=True) == [CA.der]


@pytest.mark.parametrize("password", [b"", PASSWORD])
@pytest.mark.parametrize("apart", [False, True])
def test_certificate_and_key_may_be_in_one_file_or_two_in_any_order_with_or_without_a_password(
    tmp_path: Path, password: bytes, apart: bool
) -> None:
    chain = write_pem(tmp_path / "chain.pem", MIDDLE, CLIENT)
    key = tmp_path / "key.pem"
    write(key, key_pem(CLIENT, password.decode()))
    if not apart:
        write(chain, chain.read_bytes() + key.read_bytes())
    context = client_context(files(write_pem(tmp_path / "ca.pem", CA), chain, key if apart else None, password or None))
    server = shaken_hands(context, CA, OTHER_SERVER, tmp_path)
    assert server.getpeercert(binary_form=True) == CLIENT.der


OTHER_SERVER = device("server", issuer=CA, purposes=None, **valid_now())


def test_nothing_is_left_open(tmp_path: Path) -> None:
    client = write_pem(tmp_path / "client.pem", CLIENT, MIDDLE, key=True)
    client_context(files(cert=client))
    before = os.listdir("/proc/self/fd")
    client_context(files(cert=client))
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_each_file_that_can_not_be_used_is_named_with_its_variable(tmp_path: Path) -> None:
    client = write_pem(tmp_path / "client.pem", CLIENT, key=True)
    locked = write(tmp_path / "locked.pem", key_pem(CLIENT, PASSWORD.decode()))
    other = write(tmp_path / "other.pem", key_pem(OTHER))
    empty = write(tmp_path / "empty.pem", b"")
    missing = tmp_path / "missing.pem"
    assert f"TB_CA_FILE={missing}: there is no such file" in trouble_of(files(ca=missing))
    assert f"TB_CA_FILE={empty}: " in trouble_of(files(ca=empty))
    assert f"TB_CLIENT_CERT={missing}: there is no such file" in trouble_of(files(cert=missing))
    assert f"TB_CLIENT_KEY={missing}: there is no such file" in trouble_of(
        files(cert=write_pem(tmp_path / "bare.pem", CLIENT), key=missing)
    )
    assert f"TB_CLIENT_KEY={other}: the key does not fit" in trouble_of(files(cert=client, key=other))
    assert "set TB_CLIENT_KEY_PASSWORD" in trouble_of(files(cert=client, key=locked))
    assert "TB_CLIENT_KEY_PASSWORD is wrong" in trouble_of(files(cert=client, key=locked, password=b"another"))
