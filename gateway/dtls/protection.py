"""Protecting records with AEADs (RFC 5246 §6.2.3.3, RFC 6347 §4.1.2.1) and with connection IDs (RFC 9146 §4, §5)."""

from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from struct import Struct
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from gateway.dtls.codes import DTLS_1_2, ContentType
from gateway.dtls.record import HEADER, HEADER_BYTES, Record, record_header
from gateway.dtls.suites import Aead

_TLS12_CID = int(ContentType.TLS12_CID)
_APPLICATION_DATA_BYTE = bytes((ContentType.APPLICATION_DATA,))

_ADDITIONAL = Struct(">QBHH")
"""Epoch and sequence number, type, version, length (RFC 5246 §6.2.3.3)."""

_MOST_WARM = 2048
"""How many keys have OpenSSL's state at hand. With GCM that takes 2 KB each, more than all else of an association."""


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def _new_cipher(aead: Aead, key: bytes) -> _Cipher:
    match aead.mode:
        case "ccm":
            return AESCCM(key, tag_length=aead.tag_bytes)
        case "gcm":
            return AESGCM(key)
        case _:
            return ChaCha20Poly1305(key)


@lru_cache
def _cid_prefix(cid_bytes: int) -> bytes:
    """What additional data begins with: placeholder, type, length of the connection ID, type, version."""
    return b"\xff" * 8 + bytes((_TLS12_CID, cid_bytes, _TLS12_CID)) + DTLS_1_2.to_bytes(2, "big")


@lru_cache
def _additional_with_cid(cid_bytes: int) -> Callable[[int, bytes, int], bytes]:
    """Makes additional data of record number, connection ID and length of the content (RFC 9146 §5.3)."""
    prefix = _cid_prefix(cid_bytes)
    return partial(Struct(f">{len(prefix)}sQ{cid_bytes}sH").pack, prefix)


class RecordProtection:
    """One direction of one epoch: its key, and how records look under it.

    `cid` is the connection ID that the records of this direction carry, empty for none.
    """

    __slots__ = (
        "_aead",
        "_cipher",
        "_explicit",
        "_overhead",
        "_prefix",
        "_start",
        "_with_cid",
        "cid",
        "iv",
        "key",
        "overhead",
    )

    def __init__(self, aead: Aead, key: bytes, iv: bytes, cid: bytes = b"") -> None:
        self._aead = aead
        self._cipher: _Cipher | None = None
        self.key = key
        self.iv = iv
        self.cid = cid
        self._explicit = aead.explicit_nonce_bytes > 0
        self._overhead = aead.explicit_nonce_bytes + aead.tag_bytes
        self._with_cid = _additional_with_cid(len(cid))
        self._prefix = _cid_prefix(len(cid)) if cid else b""
        self._start = HEADER_BYTES + len(cid)
        self.overhead = self._overhead + (len(cid) + 1 if cid else 0)
        """Bytes that a record has more than one without protection."""

    def _warm_up(self) -> _Cipher:
        """Have a cipher at hand, in the place of the one that was longest."""
        if len(_warm) >= _MOST_WARM:
            _warm.popleft()._cipher = None
        _warm.append(self)
        self._cipher = cipher = _new_cipher(self._aead, self.key)
        return cipher

    def _nonce(self, number: int) -> bytes:
        """The nonce of a suite without an explicit one (RFC 7905 §2)."""
        return (int.from_bytes(self.iv, "big") ^ number).to_bytes(12, "big")

    def seal(self, content_type: int, epoch: int, sequence: int, content: bytes) -> bytes:
        """A whole record. Its explicit nonce is its number, which no epoch uses twice."""
        number = epoch << 48 | sequence
        cid = self.cid
        if cid:
            content += bytes((content_type,))
            content_type = _TLS12_CID
            additional = self._with_cid(number, cid, len(content))
            header = record_header(content_type, epoch, sequence, len(content) + self._overhead, cid)
        else:
            additional = _ADDITIONAL.pack(number, content_type, DTLS_1_2, len(content))
            header = HEADER.pack(content_type, DTLS_1_2, number, len(content) + self._overhead)
        cipher = self._cipher or self._warm_up()
        if self._explicit:
            explicit = number.to_bytes(8, "big")
            return header + explicit + cipher.encrypt(self.iv + explicit, content, additional)
        return header + cipher.encrypt(self._nonce(number), content, additional)

    def open_application_data(self, datagram: bytes) -> bytes | None:
        """The content of a datagram that is one authentic record of application data, without padding, and no more.

        None for any other, which may be good nonetheless: this is the short way for what nearly all datagrams are. It
        makes no `Record`, for all that is authenticated stands in the datagram in the right order as it is. That epoch
        and connection ID are this one's is for the caller to know.
        """
        start = self._start
        length = len(datagram) - start - self._overhead
        if (
            length < 0
            or not self._explicit
            or int.from_bytes(datagram[start - 2 : start], "big") != len(datagram) - start
        ):
            return None
        if self.cid:
            additional = self._prefix + datagram[3 : start - 2] + length.to_bytes(2, "big")
        else:
            additional = datagram[3:11] + datagram[:3] + length.to_bytes(2, "big")
        cipher = self._cipher or self._warm_up()
        try:
            content = cipher.decrypt(self.iv + datagram[start : start + 8], datagram[start + 8 :], additional)
        except InvalidTag:
            return None
        if not self.cid:
            return content
        return content[:-1] if content[-1:] == _APPLICATION_DATA_BYTE else None

    def open(self, record: Record) -> tuple[int, bytes] | None:
        """The type and content of an authentic record; None where it is not, or not of the form agreed on."""
        content_type, version, epoch, sequence, cid, fragment = record
        length = len(fragment) - self._overhead
        if length < 0 or version != DTLS_1_2 or cid != self.cid:
            return None
        number = epoch << 48 | sequence
        if content_type != _TLS12_CID:
            additional = _ADDITIONAL.pack(number, content_type, DTLS_1_2, length)
        elif cid:
            additional = self._with_cid(number, cid, length)
        else:
            return None
        cipher = self._cipher or self._warm_up()
        try:
            if self._explicit:
                content = cipher.decrypt(self.iv + fragment[:8], fragment[8:], additional)
            else:
                content = cipher.decrypt(self._nonce(number), fragment, additional)
        except InvalidTag:
            return None
        if not cid:
            return content_type, content
        if content and not content[-1]:
            content = content.rstrip(b"\0")  # RFC 9146 §4: the padding, up to the real type
        return (content[-1], content[:-1]) if content else None


_warm: deque[RecordProtection] = deque()
"""Those that have a cipher at hand, of all associations of the process, the one that has had it longest first."""
