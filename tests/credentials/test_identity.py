"""A key and the certificates beside it: which is its own, and in which order they go out."""

from itertools import permutations
from pathlib import Path

import pytest
from cryptography import x509

from gateway.credentials.files import CredentialFile
from gateway.credentials.identity import LoadedIdentity, identity_of, read_pkcs8
from gateway.dtls.trust_certificates import MAX_CHAIN
from tests.credentials.stores import openssl, refusal_of
from tests.dtls.certificates import Issued, authority, bare, device, server, version_1

FILE = CredentialFile(Path("f"), b"", 0o600)
ROOT = authority("Root")
MIDDLE = authority("Middle", issuer=ROOT)
SERVER = server(issuer=MIDDLE)
STRANGER = device("stranger")


def load(key: object, *certificates: x509.Certificate) -> LoadedIdentity:
    return identity_of(key, certificates, FILE, key_where="K", certificate_where="C")


def of(*issued: Issued) -> LoadedIdentity:
    """The identity of the server's key beside these certificates."""
    return load(SERVER.key, *(one.certificate for one in issued))


def test_any_order_becomes_leaf_first_and_a_wrong_one_is_noted() -> None:
    for order in permutations((SERVER, MIDDLE, ROOT)):
        found = of(*order)
        assert found.identity.chain == (SERVER.der, MIDDLE.der, ROOT.der)
        assert found.certificate == SERVER.certificate
        assert bool(found.notes) is (order != (SERVER, MIDDLE, ROOT))


def test_a_chain_may_end_before_its_root_and_strangers_are_left_out() -> None:
    assert of(SERVER).identity.chain == (SERVER.der,)
    assert of(SERVER, MIDDLE).notes == ()
    found = of(SERVER, STRANGER, MIDDLE)
    assert found.identity.chain == (SERVER.der, MIDDLE.der)
    assert found.notes[-1] == "C: not of the chain, and so not sent: 1 more"
    assert of(SERVER, ROOT).identity.chain == (SERVER.der,)  # a gap


def test_a_ca_of_the_same_name_that_did_not_issue_it_is_not_in_the_chain() -> None:
    namesake = authority("Middle", issuer=ROOT)
    assert of(SERVER, namesake, MIDDLE, ROOT).identity.chain == (SERVER.der, MIDDLE.der, ROOT.der)


def test_a_certificate_given_twice_is_sent_once() -> None:
    assert of(SERVER, SERVER, MIDDLE, MIDDLE).identity.chain == (SERVER.der, MIDDLE.der)


def test_cas_that_certify_each_other_make_no_endless_chain() -> None:
    one = authority("One")
    other = authority("Other", issuer=one)
    crossed = authority("One", issuer=other, key=one.key)
    leaf = server(issuer=one)
    chain = load(leaf.key, leaf.certificate, crossed.certificate, other.certificate).identity.chain
    assert chain == (leaf.der, crossed.der, other.der)


@pytest.mark.parametrize("length", [MAX_CHAIN - 1, MAX_CHAIN, MAX_CHAIN + 1])
def test_a_chain_is_as_long_as_a_peer_may_send_at_most(length: int) -> None:
    made = [authority("CA 0")]
    for number in range(1, length - 1):
        made.append(authority(f"CA {number}", issuer=made[-1]))
    leaf = server(issuer=made[-1])
    found = load(leaf.key, leaf.certificate, *(one.certificate for one in reversed(made)))
    assert len(found.identity.chain) == min(length, MAX_CHAIN)


def test_certificates_of_version_1_are_taken() -> None:
    root = authority("Old")
    leaf = bare("old server", issuer=root)
    certificate = x509.load_der_x509_certificate(version_1(leaf, root))
    assert len(load(leaf.key, certificate, root.certificate).identity.chain) == 2


def test_a_key_of_none_of_the_certificates_is_refused() -> None:
    refusal = refusal_of(lambda: load(STRANGER.key, SERVER.certificate))
    assert refusal.message == "K: the key does not fit the certificate in C"
    refusal = refusal_of(lambda: load(STRANGER.key, SERVER.certificate, ROOT.certificate))
    assert refusal.message == "K: the key does not fit any of the 2 certificates in C"


@pytest.mark.parametrize("order", [(SERVER, ROOT, MIDDLE), (MIDDLE, ROOT, SERVER)])
def test_the_key_of_the_ca_beside_the_certificate_that_it_issued_is_refused(order: tuple[Issued, ...]) -> None:
    refusal = refusal_of(lambda: load(MIDDLE.key, *(one.certificate for one in order)))
    assert refusal.message == "K: the key is the CA's that issued the certificate, not the certificate's own"
    assert load(MIDDLE.key, MIDDLE.certificate, ROOT.certificate).identity.chain == (MIDDLE.der, ROOT.der)


def test_a_certificate_that_is_not_well_formed_is_refused() -> None:
    garbage = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"garbage")
    odd = bare(extensions=[(garbage, False)])
    assert refusal_of(lambda: load(odd.key, odd.certificate)).message == "C: the certificate is not well-formed"


@pytest.mark.parametrize("der", [b"", b"0", bytes(40)])
def test_bytes_that_are_no_key_are_refused(der: bytes) -> None:
    assert refusal_of(lambda: read_pkcs8(der, "K")).message == "K: the private key is damaged"


def test_a_key_in_der_on_a_curve_that_is_not_known_is_refused() -> None:
    key = openssl("ecparam", "-genkey", "-noout", "-name", "sect163k1")
    der = openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", stdin=key)
    assert "is of a kind or curve that is not known" in refusal_of(lambda: read_pkcs8(der, "K")).message


def test_what_is_no_key_at_all_is_refused() -> None:
    assert refusal_of(lambda: load(None, SERVER.certificate)).message == "K: the private key is NoneType"
