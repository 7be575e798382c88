"""What is taken to be trusted, however damaged; `tests/cli/test_trust.py` has what is said of the others."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import UsageError
from gateway.operations.trust import read_trusted
from tests.dtls.certificates import authority, device

ROOT = authority("Root")
SAMPLES = [
    ROOT.der,
    device("SN-1", issuer=ROOT).der,
    ROOT.certificate.public_bytes(Encoding.PEM),
    ROOT.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ROOT.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
]


def read_or_refuse(data: bytes) -> None:
    try:
        found = read_trusted(data, "the file")
    except UsageError as error:
        assert error.hint
        return
    assert all(one.name.isprintable() and len(one.fingerprint) == 64 for one in found)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.floats(0, 1, exclude_max=True), st.integers(1, 255), st.booleans())
def test_what_was_damaged_on_its_way_is_read_or_refused(sample: bytes, where: float, flip: int, cut: bool) -> None:
    at = int(where * len(sample))
    read_or_refuse(sample[:at] + (b"" if cut else bytes([sample[at] ^ flip]) + sample[at + 1 :]))
