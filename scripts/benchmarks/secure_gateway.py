"""The gateway with DTLS, as it is measured: plain CoAP beside it, a certificate, a CA for devices, pre-shared keys."""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_der_x509_certificate

from benchmarks import servers
from benchmarks.dtls_peers import Credentials
from benchmarks.options import Options
from benchmarks.servers import Server
from gateway.credentials.keyfile import KeyFile
from gateway.credentials.psk import PskSealer
from gateway.dtls.config import Identity, PskCredential
from gateway.model import Language
from gateway.storage.catalogue import Catalogue

HANDSHAKES_PER_S = 100_000
"""No bound that is reached: all clients are at one address."""

_PSK_KEY = bytes(range(16))


def psk(number: int) -> PskCredential:
    """A device's identity and key; numbers count from 0."""
    return PskCredential(b"device-%06d" % number, _PSK_KEY)


@contextlib.contextmanager
def started(
    options: Options, *, credentials: Credentials | None = None, language: Language = Language.PYTHON, psks: int = 1
) -> Iterator[Server]:
    """The gateway with one worker; `psks` says how many devices have a pre-shared key."""
    prepare = functools.partial(_prepare, credentials or Credentials.make(), psks)
    converter = servers.uplink_converter(language)
    with servers.gateway(options.placement, converter, options.data_dir, prepare) as server:
        yield server


def _prepare(credentials: Credentials, psks: int, data_dir: Path, catalogue: Catalogue) -> Mapping[str, str]:
    sealer = PskSealer(KeyFile.open(data_dir / "gateway.key"))
    keys = [psk(number) for number in range(psks)]
    catalogue.credentials.add_psks((key.identity.decode(), sealer.seal(key.identity.decode(), key.key)) for key in keys)
    chain, key, authorities = data_dir / "server.pem", data_dir / "server_key.pem", data_dir / "authorities.pem"
    chain.write_bytes(_as_pem(credentials.server))
    key.touch(mode=0o600)
    key.write_bytes(credentials.server.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    authorities.write_bytes(credentials.authority.public_bytes(Encoding.PEM))
    return {
        "COAP_SECURITY_MODE": "MIXED",
        # Answers come with the acknowledgement also where the disk stalls: these devices know no separate ones.
        "COAP_PIGGYBACK_TIMEOUT": "9000",
        "COAP_DTLS_PEM_CERT": str(chain),
        "COAP_DTLS_PEM_KEY": str(key),
        "COAP_DTLS_TRUST_STORE": str(authorities),
        "GATEWAY_DTLS_HANDSHAKE_RATE": str(HANDSHAKES_PER_S),
        "GATEWAY_DTLS_LOCKOUT_FAILURES": "0",
    }


def _as_pem(identity: Identity) -> bytes:
    return b"".join(load_der_x509_certificate(one).public_bytes(Encoding.PEM) for one in identity.chain)
