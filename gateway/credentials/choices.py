"""What a new certificate may be asked for. Apart from issuing: the command line starts without `cryptography`."""

from enum import StrEnum
from pathlib import Path
from typing import Final

DAYS_MAX: Final = 36_500
"""Longest validity, in days."""

LEAF_DAYS: Final = 825
"""Validity of a server's or a client's certificate, in days: two years and three months, as browsers' rules had it."""

CRL_DAYS: Final = 365
"""Days after which a revocation list should have been followed by another. It counts beyond."""

FOLDER: Final = Path("certs")
"""Where an authority and what it issues are kept, unless another folder is named."""


CRL_FILE: Final = "ca.crl"
"""What an authority's revocation list is called in that folder."""


class KeyType(StrEnum):
    """The kinds of keys that are made. P-256 is the one that every device has (RFC 7925 §4.4)."""

    P256 = "p256"
    P384 = "p384"
    RSA = "rsa"


class Purpose(StrEnum):
    """What a certificate is to be good for."""

    CLIENT = "client"
    SERVER = "server"
