"""From the options of `gateway send` to a DTLS configuration: credentials, trust, suites."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes

from gateway.cli.inputs import parse_hex, read_file
from gateway.cli.output import print_note
from gateway.cli.send_options import DtlsOptions
from gateway.credentials.files import read_file as read_credentials
from gateway.credentials.pem import load_identity, read_certificates
from gateway.credentials.psk import IDENTITY_BYTES_MAX, KEY_BYTES_MAX, key_of_file
from gateway.dtls.config import Config, Identity, PskCredential, Trust
from gateway.dtls.suites import BY_NAME, CipherSuite
from gateway.dtls.trust import TrustPolicy
from gateway.dtls.witness import RecordingTrust
from gateway.errors import ConfigurationError, UsageError

CID_BYTES_MAX = 255
"""Longest connection ID (RFC 9146 §3)."""


class Way(NamedTuple):
    """How to talk DTLS with a server."""

    config: Config
    binding: bytes
    """All that a session made this way depends on, but for host and port: for `session_file`. Holds secrets."""


def way_of(options: DtlsOptions, host: str) -> Way:
    """What they ask for, of a server at `host`; raises UsageError where they don't fit together."""
    psk = _psk(options)
    identity = _identity(options)
    trust, anchors = (None, b"") if psk else _trust(options)
    config = Config(
        suites=_suites(options, is_psk=psk is not None),
        identities=(identity,) if identity else (),
        trust=trust,
        client_psk=psk,
        server_name=None if psk else _server_name(options, host),
        connection_id_bytes=_cid_bytes(options),
    )
    parts = [anchors, (config.server_name or "").encode(), *(identity.chain if identity else ())]
    parts += [psk.identity, psk.key] if psk else []
    return Way(config, b"".join(hashlib.sha256(part).digest() for part in parts))


def _psk(options: DtlsOptions) -> PskCredential | None:
    keys = options.given("psk_key", "psk_key_hex", "psk_key_file")
    if options.psk_identity is None:
        if keys:
            raise UsageError(f"{keys[0]} needs an identity", hint="give it with --psk-identity")
        return None
    others = options.given("cert", "key", "key_password", "ca", "insecure", "server_name")
    if others:
        raise UsageError(
            f"--psk-identity and {others[0]} exclude each other",
            hint="with a pre-shared key neither side has a certificate",
        )
    if len(keys) != 1:
        raise UsageError(
            "--psk-identity needs a key, and only one",
            hint="give one of --psk-key, --psk-key-hex and --psk-key-file",
        )
    identity = options.psk_identity.encode("utf-8", "surrogateescape")
    key = _psk_key(options)
    for what, value, most in (("identity", identity, IDENTITY_BYTES_MAX), ("pre-shared key", key, KEY_BYTES_MAX)):
        if not 1 <= len(value) <= most:
            raise UsageError(f"the {what} has {len(value)} bytes", hint=f"1 to {most} are taken")
    return PskCredential(identity, key)


def _psk_key(options: DtlsOptions) -> bytes:
    if options.psk_key is not None:
        return options.psk_key.encode("utf-8", "surrogateescape")
    if options.psk_key_hex is not None:
        return _secret_hex(options.psk_key_hex)
    assert options.psk_key_file is not None
    return key_of_file(read_file(options.psk_key_file, limit_bytes=KEY_BYTES_MAX + 2))


def _identity(options: DtlsOptions) -> Identity | None:
    if options.cert is None:
        others = options.given("key", "key_password")
        if others:
            raise UsageError(f"{others[0]} needs a certificate", hint="give it with --cert")
        return None
    password = None if options.key_password is None else options.key_password.encode("utf-8", "surrogateescape")
    try:
        loaded = load_identity(options.cert, options.key, password)
    except ConfigurationError as error:
        raise UsageError(error.message, hint=error.hint) from None
    for note in loaded.notes:
        print_note(f"note: {note}")
    return loaded.identity


def _trust(options: DtlsOptions) -> tuple[Trust, bytes]:
    """Whom to trust, and what that is told from others by."""
    if options.insecure and options.ca is not None:
        raise UsageError("--insecure and --ca exclude each other", hint="leave one of them out")
    if options.insecure:
        print_note("warning: --insecure takes any server certificate: whoever answers can read and alter what is sent")
        return RecordingTrust(None), b"insecure"
    if options.ca is None:
        raise UsageError(
            "how to check the server is not said",
            hint="give the CA of its certificate with --ca, or --insecure to take any; "
            "or use a pre-shared key: --psk-identity and --psk-key",
        )
    return trust_of(options.ca)


def _suites(options: DtlsOptions, *, is_psk: bool) -> tuple[CipherSuite, ...]:
    fitting = {name: suite for name, suite in BY_NAME.items() if suite.key_exchange.is_psk == is_psk}
    unfit = [name for name in options.suite or () if name not in fitting]
    if unfit:
        known = unfit[0] in BY_NAME
        need = "a certificate" if is_psk else "a pre-shared key"
        raise UsageError(
            f"--suite {unfit[0]} " + (f"takes {need}" if known else "is none that is known"),
            hint="those that fit are " + ", ".join(fitting),
        )
    return tuple(fitting[name] for name in dict.fromkeys(options.suite or fitting))


def _server_name(options: DtlsOptions, host: str) -> str:
    name = host if options.server_name is None else options.server_name
    try:
        if name and name.encode("idna"):
            return name
    except UnicodeError:
        pass
    raise UsageError(f"{name!r} is no name that a server can have", hint="give a host name or an IP address")


def _cid_bytes(options: DtlsOptions) -> int | None:
    text = "0" if options.cid_length is None else options.cid_length
    if text == "none":
        return None
    if len(text) <= 3 and text.isascii() and text.isdecimal() and int(text) <= CID_BYTES_MAX:
        return int(text)
    raise UsageError(f"--cid-length {text!r} is no length", hint=f"write 0 to {CID_BYTES_MAX} bytes, or none")


def trust_of(ca: Path) -> tuple[TrustPolicy, bytes]:
    """A policy that trusts the certificates of a PEM file, and what they are told from others by.

    Raises UsageError where the file holds none.
    """
    where = f"--ca={ca}"
    try:
        certificates = read_certificates(read_credentials(ca, where).data, where)
    except ConfigurationError as error:
        raise UsageError(error.message, hint=error.hint) from None
    return TrustPolicy(certificates), b"".join(sorted(one.fingerprint(hashes.SHA256()) for one in certificates))


def _secret_hex(text: str) -> bytes:
    try:
        return parse_hex(text)
    except UsageError:  # whose message would show it
        raise UsageError("--psk-key-hex is not hexadecimal", hint="write two digits a byte") from None
