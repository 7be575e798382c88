"""The part of `gateway check` that is about DTLS: certificate, trust store, key file, cipher suites."""

import time
from collections.abc import Callable, Iterator

from gateway.cli.findings import Finding, Mark
from gateway.credentials.keyfile import KeyFile
from gateway.credentials.server import load_server_credentials
from gateway.credentials.trust_files import load_trust_files
from gateway.errors import GatewayError
from gateway.settings import Settings


def check_credentials(settings: Settings) -> Iterator[Finding]:
    """Whether the DTLS listener would have all that it needs."""
    for check in (_check_server, _check_trust, _check_key_file, _check_suites):
        yield from _failures(check, settings)


def _failures(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except GatewayError as error:
        yield Finding(Mark.FAILED, error.message, error.hint)


def _check_server(settings: Settings) -> Iterator[Finding]:
    server = load_server_credentials(settings, now_s=time.time())
    ends = server.certificate.not_valid_after_utc.date()
    yield Finding(Mark.OK, f"server certificate: {server.source}, valid until {ends}")
    yield from (Finding(Mark.WARNING, finding) for finding in server.findings)


def _check_trust(settings: Settings) -> Iterator[Finding]:
    from gateway.listeners.dtls_policy import trust_policy

    files = load_trust_files(settings)
    policy = trust_policy(settings, files, ())
    yield Finding(
        Mark.OK,
        f"client certificates: {settings.coap_dtls_client_auth}; from files, {len(files.anchors)} trusted and "
        f"{len(files.crls)} revocation lists",
    )
    yield from (Finding(Mark.WARNING, finding) for finding in (*files.findings, *policy.findings(time.time())))


def _check_key_file(settings: Settings) -> Iterator[Finding]:
    from gateway.listeners.dtls_policy import load_key_file
    from gateway.storage.catalogue import FILE_NAME, Catalogue

    if (settings.gateway_data_dir / FILE_NAME).exists():
        with Catalogue(settings.gateway_data_dir) as catalogue:
            load_key_file(settings, catalogue.credentials, make=False)
    elif settings.key_file.exists():
        KeyFile.load(settings.key_file)
    state = "fits, and nobody else can read it" if settings.key_file.exists() else "will be created"
    yield Finding(Mark.OK, f"key file {settings.key_file}: {state}")


def _check_suites(settings: Settings) -> Iterator[Finding]:
    from gateway.listeners.dtls_policy import chosen_suites

    yield Finding(Mark.OK, f"cipher suites: {len(chosen_suites(settings.gateway_dtls_cipher_suites))} are accepted")
