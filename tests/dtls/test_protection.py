"""Record protection against nonces and additional data computed here, from the RFCs and not from the code."""

from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import MAX_SEQUENCE, Record, records_of
from gateway.dtls.suites import Aead

AEADS = pytest.mark.parametrize("aead", list(Aead), ids=lambda aead: aead.name)
CIDS = pytest.mark.parametrize(
    "cid", [b"", b"c", b"8 bytes!", b"connection-ID-of-20!"], ids=lambda cid: f"CID{len(cid)}"
)


@dataclass(frozen=True)
class Reference:
    """RFC 5246 §6.2.3.3, RFC 5288 §3, RFC 6655 §3, RFC 7905 §2 and RFC 9146 §5.3, written out."""

    aead: Aead
    key: bytes
    iv: bytes

    def nonce(self, epoch: int, sequence: int) -> bytes:
        number = epoch.to_bytes(2, "big") + sequence.to_bytes(6, "big")
        if self.aead is Aead.CHACHA20_POLY1305:
            # padded on the left to 12 bytes, and XORed with the IV
            return bytes(a ^ b for a, b in zip(self.iv, b"\0\0\0\0" + number, strict=True))
        return self.iv + number  # salt, then nonce_explicit: the 64-bit sequence number

    def additional_data(self, content_type: int, epoch: int, sequence: int, length: int, cid: bytes) -> bytes:
        epoch_bytes, sequence_bytes = epoch.to_bytes(2, "big"), sequence.to_bytes(6, "big")
        length_bytes = length.to_bytes(2, "big")
        if not cid:
            # seq_num + TLSCompressed.type + version + length
            return epoch_bytes + sequence_bytes + bytes([content_type]) + b"\xfe\xfd" + length_bytes
        # seq_num_placeholder + tls12_cid + cid_length + tls12_cid + version + epoch + sequence_number + cid +
        # length_of_DTLSInnerPlaintext
        return (
            b"\xff\xff\xff\xff\xff\xff\xff\xff\x19"
            + bytes([len(cid)])
            + b"\x19\xfe\xfd"
            + epoch_bytes
            + sequence_bytes
            + cid
            + length_bytes
        )

    def seal(
        self, content_type: int, epoch: int, sequence: int, content: bytes, cid: bytes = b"", padding: int = 0
    ) -> bytes:
        plain = content + bytes([content_type]) + bytes(padding) if cid else content
        outer = 25 if cid else content_type
        sealed = self.cipher.encrypt(
            self.nonce(epoch, sequence), plain, self.additional_data(outer, epoch, sequence, len(plain), cid)
        )
        if self.aead is not Aead.CHACHA20_POLY1305:
            sealed = self.nonce(epoch, sequence)[4:] + sealed
        return (
            bytes([outer])
            + b"\xfe\xfd"
            + epoch.to_bytes(2, "big")
            + sequence.to_bytes(6, "big")
            + cid
            + len(sealed).to_bytes(2, "big")
            + sealed
        )

    @property
    def cipher(self) -> AESCCM | AESGCM | ChaCha20Poly1305:
        match self.aead:
            case Aead.AES_128_CCM_8 | Aead.AES_256_CCM_8:
                return AESCCM(self.key, tag_length=8)
            case Aead.AES_128_CCM | Aead.AES_256_CCM:
                return AESCCM(self.key, tag_length=16)
            case Aead.CHACHA20_POLY1305:
                return ChaCha20Poly1305(self.key)
            case _:
                return AESGCM(self.key)


def both(aead: Aead, cid: bytes = b"") -> tuple[Reference, RecordProtection]:
    key, iv = bytes(range(aead.key_bytes)), bytes(range(200, 200 + aead.fixed_iv_bytes))
    return Reference(aead, key, iv), RecordProtection(aead, key, iv, cid)


def record_in(datagram: bytes, cid: bytes = b"") -> Record:
    (record,) = records_of(datagram, len(cid))
    return record


@AEADS
@CIDS
@pytest.mark.parametrize("sequence", [0, 1, 0x010203040506, MAX_SEQUENCE])
@pytest.mark.parametrize("content", [b"", b"a", b"content\0\0", bytes(100)], ids=lambda content: f"{len(content)}B")
def test_a_record_is_what_the_rfcs_say(aead: Aead, cid: bytes, sequence: int, content: bytes) -> None:
    reference, protection = both(aead, cid)
    sealed = protection.seal(23, 1, sequence, content)
    assert sealed == reference.seal(23, 1, sequence, content, cid)
    assert len(sealed) == 13 + protection.overhead + len(content)
    assert protection.open(record_in(sealed, cid)) == (23, content)


@AEADS
@pytest.mark.parametrize("padding", [1, 2, 50])
def test_padding_behind_the_inner_type_is_taken_off(aead: Aead, padding: int) -> None:
    reference, protection = both(aead, b"cid")
    sealed = reference.seal(22, 1, 7, b"content\0", b"cid", padding)
    assert protection.open(record_in(sealed, b"cid")) == (22, b"content\0")


def test_a_record_of_padding_alone_is_not_taken() -> None:
    reference, protection = both(Aead.AES_128_CCM_8, b"cid")
    sealed = reference.seal(0, 1, 7, b"", b"cid", 5)
    assert protection.open(record_in(sealed, b"cid")) is None


@AEADS
@CIDS
def test_each_bit_of_a_record_is_authenticated(aead: Aead, cid: bytes) -> None:
    _, protection = both(aead, cid)
    sealed = protection.seal(23, 1, 2, b"content")
    for bit in range(8 * len(sealed)):
        forged = bytearray(sealed)
        forged[bit // 8] ^= 1 << bit % 8
        for record in records_of(bytes(forged), len(cid)):
            assert protection.open(record) is None, f"bit {bit}"


@AEADS
def test_an_explicit_nonce_that_is_not_the_record_number_is_the_peers_right(aead: Aead) -> None:
    """RFC 5288 §3 lets the sender choose; GnuTLS does."""
    if not aead.explicit_nonce_bytes:
        return
    reference, protection = both(aead)
    nonce_explicit = b"anything"
    sealed = reference.cipher.encrypt(
        reference.iv + nonce_explicit, b"data", reference.additional_data(23, 1, 5, 4, b"")
    )
    record = Record(23, 0xFEFD, 1, 5, b"", nonce_explicit + sealed)
    assert protection.open(record) == (23, b"data")


def test_a_record_needs_the_connection_id_that_was_agreed_on() -> None:
    _, with_cid = both(Aead.AES_128_GCM, b"right")
    _, without = both(Aead.AES_128_GCM)
    sealed = with_cid.seal(23, 1, 0, b"content")
    record = record_in(sealed, b"right")
    assert without.open(record) is None
    assert with_cid.open(record._replace(cid=b"wrong")) is None
    assert with_cid.open(record_in(without.seal(23, 1, 0, b"content"))) is None


def test_a_record_of_the_type_for_connection_ids_needs_one() -> None:
    """A connection ID of no bytes means records as without (RFC 9146 §3)."""
    reference, without = both(Aead.AES_128_GCM)
    plain = b"content" + bytes((23,))
    sealed = reference.cipher.encrypt(
        reference.nonce(1, 0), plain, reference.additional_data(25, 1, 0, len(plain), b"")
    )
    assert without.open(Record(25, 0xFEFD, 1, 0, b"", reference.nonce(1, 0)[4:] + sealed)) is None


@AEADS
def test_a_record_shorter_than_its_tag_is_not_taken(aead: Aead) -> None:
    _, protection = both(aead)
    for length in range(aead.explicit_nonce_bytes + aead.tag_bytes):
        assert protection.open(Record(23, 0xFEFD, 1, 0, b"", bytes(length))) is None


@AEADS
def test_other_keys_open_nothing(aead: Aead) -> None:
    _, protection = both(aead)
    other = RecordProtection(aead, bytes(aead.key_bytes), protection.iv)
    assert other.open(record_in(protection.seal(23, 1, 0, b"content"))) is None


@given(st.sampled_from(list(Aead)), st.binary(max_size=100), st.integers(0, MAX_SEQUENCE), st.binary(max_size=4))
def test_arbitrary_fragments_are_not_authentic(aead: Aead, fragment: bytes, sequence: int, cid: bytes) -> None:
    _, protection = both(aead, cid)
    for content_type in (22, 25):
        assert protection.open(Record(content_type, 0xFEFD, 1, sequence, cid, fragment)) is None


def test_no_secret_is_in_a_repr() -> None:
    _, protection = both(Aead.AES_128_GCM)
    assert str(list(protection.key))[1:-1] not in repr(protection)
    assert repr(protection.key)[2:-1] not in repr(protection)
