"""The part of `gateway check` that is about DTLS: certificate, trust store, key file, cipher suites."""

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gateway.cli.findings import Finding, Mark
from gateway.credentials.keyfile import KeyFile
from gateway.credentials.server import load_server_credentials
from gateway.credentials.trust_files import load_trust_files
from gateway.errors import GatewayError
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.storage.credential_store import Trusted


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
    now_s = time.time()
    server = load_server_credentials(settings, now_s=now_s)
    ends = server.certificate.not_valid_after_utc
    if ends.timestamp() >= now_s:
        yield Finding(Mark.OK, f"server certificate: {server.source}, valid until {ends.date()}")
    yield from (Finding(Mark.WARNING, finding) for finding in server.findings)


def _check_trust(settings: Settings) -> Iterator[Finding]:
    from gateway.listeners.dtls_policy import trust_policy
    from gateway.storage.catalogue import FILE_NAME, Catalogue

    files = load_trust_files(settings)
    trusted: list[Trusted] = []
    if os.path.exists(settings.gateway_data_dir / FILE_NAME):
        with Catalogue(settings.gateway_data_dir) as catalogue:
            trusted = catalogue.credentials.trusted()
    policy = trust_policy(settings, files, trusted)
    mode = settings.coap_dtls_client_auth
    yield Finding(
        Mark.OK,
        f"client certificates: {mode}; trusted are {len(files.anchors)} by files and {len(trusted)} by "
        f"`gateway trust`; {len(files.crls)} revocation lists",
    )
    if mode == "NEEDED" and not (files.anchors or trusted):
        yield Finding(
            Mark.WARNING,
            "COAP_DTLS_CLIENT_AUTH=NEEDED, and no certificate is trusted",
            "set COAP_DTLS_TRUST_STORE, or gateway trust add FILE",
        )
    yield from (Finding(Mark.WARNING, finding) for finding in (*files.findings, *policy.findings(time.time())))


def _check_key_file(settings: Settings) -> Iterator[Finding]:
    from gateway.listeners.dtls_policy import load_key_file
    from gateway.storage.catalogue import FILE_NAME, Catalogue

    if os.path.exists(settings.gateway_data_dir / FILE_NAME):
        with Catalogue(settings.gateway_data_dir) as catalogue:
            load_key_file(settings, catalogue.credentials, make=False)
    elif os.path.exists(settings.key_file):
        KeyFile.load(settings.key_file)
    state = "fits, and nobody else can read it" if os.path.exists(settings.key_file) else "will be created"
    yield Finding(Mark.OK, f"key file {settings.key_file}: {state}")


def _check_suites(settings: Settings) -> Iterator[Finding]:
    from gateway.listeners.dtls_policy import chosen_suites

    yield Finding(Mark.OK, f"cipher suites: {len(chosen_suites(settings.gateway_dtls_cipher_suites))} are accepted")
