"""The numbers of TLS and DTLS 1.2, with the names of their registries."""

from enum import IntEnum

DTLS_1_0 = 0xFEFF
"""Only ever seen in the record of a first ClientHello and in HelloVerifyRequest (RFC 6347 §4.2.1)."""

DTLS_1_2 = 0xFEFD


class ContentType(IntEnum):
    """What a record carries (RFC 5246 §6.2.1, RFC 9146 §4)."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23
    TLS12_CID = 25


class HandshakeType(IntEnum):
    """Handshake messages (RFC 5246 §7.4, RFC 6347 §4.3.2, RFC 5077 §3.3)."""

    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    HELLO_VERIFY_REQUEST = 3
    NEW_SESSION_TICKET = 4
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20


class AlertLevel(IntEnum):
    """How bad it is (RFC 5246 §7.2)."""

    WARNING = 1
    FATAL = 2


class AlertDescription(IntEnum):
    """Why (RFC 5246 §7.2, RFC 6066 §9, RFC 4279 §6)."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    UNSUPPORTED_EXTENSION = 110
    UNKNOWN_PSK_IDENTITY = 115


class ExtensionType(IntEnum):
    """Extensions of the hellos that the engine knows."""

    SERVER_NAME = 0
    """RFC 6066 §3"""
    MAX_FRAGMENT_LENGTH = 1
    """RFC 6066 §4"""
    SUPPORTED_GROUPS = 10
    """RFC 8422 §5.1.1"""
    EC_POINT_FORMATS = 11
    """RFC 8422 §5.1.2"""
    SIGNATURE_ALGORITHMS = 13
    """RFC 5246 §7.4.1.4.1"""
    CLIENT_CERTIFICATE_TYPE = 19
    """RFC 7250 §3"""
    SERVER_CERTIFICATE_TYPE = 20
    """RFC 7250 §3"""
    EXTENDED_MASTER_SECRET = 23
    """RFC 7627 §5.1"""
    SESSION_TICKET = 35
    """RFC 5077 §3.2"""
    CONNECTION_ID = 54
    """RFC 9146 §3"""
    RENEGOTIATION_INFO = 0xFF01
    """RFC 5746 §3.2"""


class NamedGroup(IntEnum):
    """Groups of ECDHE (RFC 8422 §5.1.1)."""

    SECP256R1 = 23
    SECP384R1 = 24
    X25519 = 29


class SignatureScheme(IntEnum):
    """How a handshake is signed: RFC 5246's pair of hash and algorithm, with RFC 8446's names (§4.2.3)."""

    RSA_PKCS1_SHA256 = 0x0401
    RSA_PKCS1_SHA384 = 0x0501
    ECDSA_SECP256R1_SHA256 = 0x0403
    ECDSA_SECP384R1_SHA384 = 0x0503
    RSA_PSS_RSAE_SHA256 = 0x0804
    RSA_PSS_RSAE_SHA384 = 0x0805
    ED25519 = 0x0807


class CertificateType(IntEnum):
    """What a Certificate message holds (RFC 7250 §3)."""

    X509 = 0
    RAW_PUBLIC_KEY = 2


class ClientCertificateType(IntEnum):
    """What kinds of client keys a CertificateRequest names (RFC 5246 §7.4.4, RFC 8422 §5.5)."""

    RSA_SIGN = 1
    ECDSA_SIGN = 64


EMPTY_RENEGOTIATION_INFO_SCSV = 0x00FF
"""Stands in for an empty renegotiation_info (RFC 5746 §3.3)."""

NULL_COMPRESSION = 0
UNCOMPRESSED_POINT = 0
NAMED_CURVE = 3
"""The one ECCurveType of today (RFC 8422 §5.4)."""
