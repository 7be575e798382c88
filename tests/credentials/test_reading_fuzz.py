"""Whatever is in a file: credentials or a ConfigurationError, nothing else, and not for long."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import process_time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.credentials.files import CredentialFile
from gateway.credentials.keystores import KeyAccess, load_key, read_trusted, refuse_jceks
from gateway.credentials.pem import load_identity, read_certificates, read_crls
from gateway.credentials.writing import jks_store
from gateway.errors import ConfigurationError
from tests.credentials.stores import ALIAS, KEY_PASSWORD, STORE_PASSWORD, Stores, cert_pem, key_pem, p12, sealed_jks
from tests.credentials.test_trust_files import crl_pem
from tests.dtls.certificates import authority, crl, device, server

ROOT = authority("Root")
SERVER = server(issuer=ROOT)
PEM = [
    cert_pem(SERVER, ROOT) + key_pem(SERVER),
    key_pem(SERVER) + cert_pem(SERVER),
    cert_pem(device(key="ed25519")),
    cert_pem(SERVER) + key_pem(SERVER, KEY_PASSWORD),
    SERVER.der,
    crl_pem(crl(ROOT, [SERVER]), crl(ROOT)),
]
ACCESS = KeyAccess(ALIAS, STORE_PASSWORD, KEY_PASSWORD)
TIME_LIMIT_S = 5.0


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A sound file in which a few bytes were changed, left out or put in, or that was cut short."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data[: draw(st.integers(0, len(data)) | st.just(len(data)))])


def read_all(call: Callable[[], object]) -> None:
    """A refusal has a text that can be printed."""
    begun_s = process_time()
    try:
        call()
    except ConfigurationError as refusal:
        assert refusal.message.isprintable()
    assert process_time() - begun_s < TIME_LIMIT_S


@settings(max_examples=600, deadline=None)
@given(mutated(PEM) | st.binary(max_size=100))
def test_any_pem_or_der_is_read_or_refused(data: bytes) -> None:
    read_all(lambda: read_certificates(data, "x"))
    read_all(lambda: read_crls(data, "x"))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated(PEM[:4]))
def test_any_pair_of_files_is_read_or_refused(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "c.pem"
    file.write_bytes(data)
    read_all(lambda: load_identity(file, None, KEY_PASSWORD.encode()))


@st.composite
def flipped(draw: st.DrawFn, seed: bytes) -> bytes:
    """A sound file in which bytes are others, and none is missing: its structure stands more often."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 3))):
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    return bytes(data)


@cache
def keystores() -> list[bytes]:
    passwords = {"store_password": STORE_PASSWORD, "key_password": KEY_PASSWORD}
    return [
        jks_store(ALIAS, SERVER.key, [SERVER.certificate, ROOT.certificate], **passwords),
        p12(SERVER, ROOT),
        p12(None, ROOT, SERVER),
    ]


def open_everything(data: bytes) -> None:
    file = CredentialFile(Path("s.jks"), data, 0o600)
    read_all(lambda: refuse_jceks(file, "x"))
    read_all(lambda: load_key(file, "x", ACCESS))
    read_all(lambda: read_trusted(file, "x", STORE_PASSWORD, "P"))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_keystore_is_read_or_refused(data: st.DataObject) -> None:
    open_everything(data.draw(mutated(keystores())))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_keystore_of_keytool_is_read_or_refused(stores: Stores, data: st.DataObject) -> None:
    seeds = [stores[name].read_bytes() for name in ("server.jks", "chain.jks", "trust.jks", "server.jceks")]
    open_everything(data.draw(mutated(seeds)))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_keystore_of_which_no_byte_is_missing_is_read_or_refused(data: st.DataObject) -> None:
    open_everything(data.draw(flipped(data.draw(st.sampled_from(keystores())))))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_jks_file_whose_digest_is_right_for_what_it_holds_is_read_or_refused(data: st.DataObject) -> None:
    """Who knows the password can write anything."""
    sound = keystores()[0][:-20]
    content = data.draw(mutated([sound]) | flipped(sound))
    open_everything(sealed_jks(content))


def test_a_file_of_nothing_but_certificates_of_one_name_does_not_hold_the_gateway(tmp_path: Path) -> None:
    others = [authority("Root") for _ in range(300)]
    file = tmp_path / "c.pem"
    file.write_bytes(cert_pem(SERVER, *others) + key_pem(SERVER))
    read_all(lambda: load_identity(file, None, None))
