"""The bodies of handshake messages (RFC 5246 §7.4 and the RFCs named below): reading and writing.

Each `parse` gives a value or raises DecodeError.
"""

from dataclasses import dataclass, field
from struct import Struct

from gateway.dtls.alerts import DecodeError
from gateway.dtls.codes import DTLS_1_0, DTLS_1_2, NAMED_CURVE
from gateway.dtls.wire import Reader, numbers, vector

_EXTENSION_HEADER = Struct(">HH")
"""Number and length."""

RANDOM_BYTES = 32
MAX_SESSION_ID_BYTES = 32


def parse_extensions(reader: Reader) -> dict[int, bytes]:
    """The extensions at a hello's end, which may be left out altogether (RFC 5246 §7.4.1.4)."""
    extensions: dict[int, bytes] = {}
    if not reader.remaining:
        return extensions
    block = reader.vector(2)
    start, end = _EXTENSION_HEADER.size, len(block)
    while start <= end:
        number, length = _EXTENSION_HEADER.unpack_from(block, start - _EXTENSION_HEADER.size)
        if number in extensions:
            raise DecodeError(f"extension {number} comes twice")
        extensions[number] = block[start : start + length]
        start += length + _EXTENSION_HEADER.size
    if start != end + _EXTENSION_HEADER.size:
        raise DecodeError("the extensions have another length than they say")
    return extensions


def encode_extensions(extensions: dict[int, bytes]) -> bytes:
    """The extensions as a hello's end; nothing where there are none."""
    if not extensions:
        return b""
    return vector(
        2, b"".join([_EXTENSION_HEADER.pack(number, len(data)) + data for number, data in extensions.items()])
    )


@dataclass(frozen=True, slots=True)
class ClientHello:
    """RFC 6347 §4.2.1."""

    random: bytes
    session_id: bytes
    cookie: bytes
    cipher_suites: tuple[int, ...]
    compression_methods: bytes
    extensions: dict[int, bytes]
    version: int = DTLS_1_2

    @classmethod
    def parse(cls, body: bytes) -> "ClientHello":
        reader = Reader(body)
        version = reader.number(2)
        hello = cls(
            version=version,
            random=reader.take(RANDOM_BYTES),
            session_id=_session_id(reader),
            cookie=reader.vector(1),
            cipher_suites=reader.numbers(2, 2),
            compression_methods=reader.vector(1, shortest=1),
            extensions=parse_extensions(reader),
        )
        reader.finish()
        if not hello.cipher_suites:
            raise DecodeError("a ClientHello without cipher suites")
        return hello

    def encode(self) -> bytes:
        return b"".join(
            (
                self.version.to_bytes(2, "big"),
                self.random,
                vector(1, self.session_id),
                vector(1, self.cookie),
                numbers(2, 2, self.cipher_suites),
                vector(1, self.compression_methods),
                encode_extensions(self.extensions),
            )
        )


@dataclass(frozen=True, slots=True)
class HelloVerifyRequest:
    """RFC 6347 §4.2.1. Its version says 1.0, whatever is negotiated later."""

    cookie: bytes

    @classmethod
    def parse(cls, body: bytes) -> "HelloVerifyRequest":
        reader = Reader(body)
        reader.number(2)
        request = cls(reader.vector(1))
        reader.finish()
        return request

    def encode(self) -> bytes:
        return DTLS_1_0.to_bytes(2, "big") + vector(1, self.cookie)


@dataclass(frozen=True, slots=True)
class ServerHello:
    """RFC 5246 §7.4.1.3."""

    random: bytes
    session_id: bytes
    cipher_suite: int
    extensions: dict[int, bytes]
    version: int = DTLS_1_2
    compression_method: int = 0

    @classmethod
    def parse(cls, body: bytes) -> "ServerHello":
        reader = Reader(body)
        version = reader.number(2)
        hello = cls(
            version=version,
            random=reader.take(RANDOM_BYTES),
            session_id=_session_id(reader),
            cipher_suite=reader.number(2),
            compression_method=reader.number(1),
            extensions=parse_extensions(reader),
        )
        reader.finish()
        return hello

    def encode(self) -> bytes:
        return b"".join(
            (
                self.version.to_bytes(2, "big"),
                self.random,
                vector(1, self.session_id),
                self.cipher_suite.to_bytes(2, "big"),
                bytes((self.compression_method,)),
                encode_extensions(self.extensions),
            )
        )


def _session_id(reader: Reader) -> bytes:
    session_id = reader.vector(1)
    if len(session_id) > MAX_SESSION_ID_BYTES:
        raise DecodeError("the session ID is longer than 32 bytes")
    return session_id


@dataclass(frozen=True, slots=True)
class Certificate:
    """A chain of X.509 certificates, leaf first, each as DER (RFC 5246 §7.4.2)."""

    chain: tuple[bytes, ...]

    @classmethod
    def parse(cls, body: bytes) -> "Certificate":
        reader = Reader(body)
        entries = Reader(reader.vector(3))
        reader.finish()
        chain = []
        while entries.remaining:
            chain.append(entries.vector(3, shortest=1))
        return cls(tuple(chain))

    def encode(self) -> bytes:
        return vector(3, b"".join(vector(3, certificate) for certificate in self.chain))


@dataclass(frozen=True, slots=True)
class RawPublicKey:
    """A Certificate message that holds a SubjectPublicKeyInfo instead; empty for none (RFC 7250 §3)."""

    key: bytes

    @classmethod
    def parse(cls, body: bytes) -> "RawPublicKey":
        reader = Reader(body)
        message = cls(reader.vector(3))
        reader.finish()
        return message

    def encode(self) -> bytes:
        return vector(3, self.key)


@dataclass(frozen=True, slots=True)
class EcdhParameters:
    """The server's ephemeral key (RFC 8422 §5.4)."""

    group: int
    point: bytes

    @classmethod
    def read(cls, reader: Reader) -> "EcdhParameters":
        if reader.number(1) != NAMED_CURVE:
            raise DecodeError("only named curves are known")
        return cls(reader.number(2), reader.vector(1, shortest=1))

    def encode(self) -> bytes:
        return bytes((NAMED_CURVE,)) + self.group.to_bytes(2, "big") + vector(1, self.point)


@dataclass(frozen=True, slots=True)
class Signature:
    """A digitally-signed element (RFC 5246 §4.7)."""

    scheme: int
    value: bytes

    @classmethod
    def read(cls, reader: Reader) -> "Signature":
        return cls(reader.number(2), reader.vector(2))

    def encode(self) -> bytes:
        return self.scheme.to_bytes(2, "big") + vector(2, self.value)


@dataclass(frozen=True, slots=True)
class ServerKeyExchange:
    """RFC 4279 §2 and RFC 5489 §2 (identity hint), RFC 8422 §5.4 (ephemeral key, signed).

    What a suite has none of is None.
    """

    psk_hint: bytes | None = None
    ecdh: EcdhParameters | None = None
    signature: Signature | None = None

    @classmethod
    def parse(cls, body: bytes, *, psk: bool, ecdhe: bool) -> "ServerKeyExchange":
        """The form depends on the suite: with a PSK there is a hint and no signature."""
        reader = Reader(body)
        message = cls(
            psk_hint=reader.vector(2) if psk else None,
            ecdh=EcdhParameters.read(reader) if ecdhe else None,
            signature=None if psk else Signature.read(reader),
        )
        reader.finish()
        return message

    def encode(self) -> bytes:
        return b"".join(
            (
                b"" if self.psk_hint is None else vector(2, self.psk_hint),
                b"" if self.ecdh is None else self.ecdh.encode(),
                b"" if self.signature is None else self.signature.encode(),
            )
        )


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """RFC 5246 §7.4.4."""

    certificate_types: tuple[int, ...]
    signature_schemes: tuple[int, ...]
    authorities: tuple[bytes, ...] = ()
    """Distinguished names of acceptable authorities, as DER; empty: any."""

    @classmethod
    def parse(cls, body: bytes) -> "CertificateRequest":
        reader = Reader(body)
        certificate_types, schemes = reader.numbers(1, 1), reader.numbers(2, 2)
        names = Reader(reader.vector(2))
        reader.finish()
        authorities = []
        while names.remaining:
            authorities.append(names.vector(2, shortest=1))
        return cls(certificate_types, schemes, tuple(authorities))

    def encode(self) -> bytes:
        return b"".join(
            (
                numbers(1, 1, self.certificate_types),
                numbers(2, 2, self.signature_schemes),
                vector(2, b"".join(vector(2, name) for name in self.authorities)),
            )
        )


@dataclass(frozen=True, slots=True)
class ClientKeyExchange:
    """RFC 4279 §2 (identity), RFC 8422 §5.7 (ephemeral key), RFC 5489 §2 (both)."""

    psk_identity: bytes | None = None
    ecdh_point: bytes | None = field(default=None)

    @classmethod
    def parse(cls, body: bytes, *, psk: bool, ecdhe: bool) -> "ClientKeyExchange":
        reader = Reader(body)
        message = cls(
            psk_identity=reader.vector(2) if psk else None,
            ecdh_point=reader.vector(1, shortest=1) if ecdhe else None,
        )
        reader.finish()
        return message

    def encode(self) -> bytes:
        return (b"" if self.psk_identity is None else vector(2, self.psk_identity)) + (
            b"" if self.ecdh_point is None else vector(1, self.ecdh_point)
        )


@dataclass(frozen=True, slots=True)
class CertificateVerify:
    """A signature over all handshake messages before it (RFC 5246 §7.4.8)."""

    signature: Signature

    @classmethod
    def parse(cls, body: bytes) -> "CertificateVerify":
        reader = Reader(body)
        message = cls(Signature.read(reader))
        reader.finish()
        return message

    def encode(self) -> bytes:
        return self.signature.encode()


@dataclass(frozen=True, slots=True)
class NewSessionTicket:
    """RFC 5077 §3.3."""

    lifetime_s: int
    ticket: bytes

    @classmethod
    def parse(cls, body: bytes) -> "NewSessionTicket":
        reader = Reader(body)
        message = cls(reader.number(4), reader.vector(2))
        reader.finish()
        return message

    def encode(self) -> bytes:
        return self.lifetime_s.to_bytes(4, "big") + vector(2, self.ticket)
