"""TLS as a sink speaks it: whom it trusts, and how it shows who it is."""

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from gateway.credentials.files import read_file
from gateway.credentials.pem import PemNames, load_identity, read_certificates
from gateway.credentials.writing import certificates_pem, key_pem
from gateway.errors import ConfigurationError
from gateway.sinks.sink import SinkError, Trouble


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What the settings name. `prefix` begins the variables in messages, such as `TB_`."""

    prefix: str
    ca_file: Path | None
    """None: the system's CAs."""
    client_cert: Path | None
    client_key: Path | None
    """None: the key is in the certificate's file."""
    key_password: bytes | None = field(default=None, repr=False)


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """A context made of the files as they are now.

    Raises SinkError (misconfigured) where one can't be used: each connection reads them anew, so that mending them is
    enough.
    """
    try:
        context = ssl.create_default_context(cadata=_authorities(files))
        if files.client_cert is not None:
            _show_who_we_are(context, files.client_cert, files)
    except ConfigurationError as error:
        raise SinkError(Trouble.MISCONFIGURED, error.message, hint=error.hint) from None
    return context


def _authorities(files: TlsFiles) -> str | None:
    if files.ca_file is None:
        return None
    where = f"{files.prefix}CA_FILE={files.ca_file}"
    cure = "name the file that the CA's certificate is in; without one, the system's CAs are trusted"
    held = read_file(files.ca_file, where, cure_if_missing=cure)
    return certificates_pem(read_certificates(held.data, where)).decode()


def _show_who_we_are(context: ssl.SSLContext, certificate: Path, files: TlsFiles) -> None:
    names = PemNames(
        certificate=f"{files.prefix}CLIENT_CERT",
        key=f"{files.prefix}CLIENT_KEY",
        password=f"{files.prefix}CLIENT_KEY_PASSWORD",
    )
    loaded = load_identity(certificate, files.client_key, files.key_password, names=names)
    chain = [ssl.DER_cert_to_PEM_cert(one) for one in loaded.identity.chain]
    # OpenSSL takes a key by the name of a file alone. This one is in memory and has no other name, so that what it gets
    # is what was checked, leaf first, and the decrypted key is on no disk.
    with open(os.memfd_create("client", os.MFD_CLOEXEC), "wb") as file:
        file.write("".join(chain).encode() + key_pem(loaded.identity.key, None))
        file.flush()
        try:
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"{names.certificate}={certificate}: TLS does not take it: {error.reason}",
                hint="have it issued anew, with a key of today's size",
            ) from None
