"""The versions of the foreign peers, as they say themselves."""

import json
import re
import subprocess
import sys
from importlib.metadata import version

from .test_node import MODULES


def versions() -> dict[str, str]:
    """The version of each peer of the matrix."""
    openssl = _said(r"OpenSSL (\S+)", "openssl", "version")
    gnutls = _said(r"gnutls-cli (\S+)", "gnutls-cli", "--version")
    libcoap = _said(r"coap-client-openssl v(\S+)", "coap-client-openssl", "-?")
    inner = _said(r"OpenSSL (\S+)", sys.executable, "-c", "from OpenSSL import SSL; print(SSL.OpenSSL_version(0))")
    mbedtls = _said(r"Mbed TLS (\S+)", sys.executable, "-c", "from mbedtls.version import version; print(version)")
    return {
        "openssl s_client": openssl,
        "openssl s_server": openssl,
        "gnutls-cli": gnutls,
        "gnutls-serv": gnutls,
        "coap-client-openssl": f"libcoap {libcoap}, OpenSSL {openssl}",
        "coap-server-openssl": f"libcoap {libcoap}, OpenSSL {openssl}",
        "coap-client-gnutls": f"libcoap {libcoap}, GnuTLS {gnutls}",
        "coap-server-gnutls": f"libcoap {libcoap}, GnuTLS {gnutls}",
        "pyOpenSSL": f"{version('pyOpenSSL')}, OpenSSL {inner}",
        "Mbed TLS": f"{mbedtls}, python-mbedtls {version('python-mbedtls')}",
        "tinydtls": f"in DTLSSocket {version('DTLSSocket')}",
        "node-coap-client": f"{_of_module('node-coap-client')}, node-dtls-client {_of_module('node-dtls-client')}",
        "Wireshark": _said(r"\(Wireshark\) (\S+[0-9])", "tshark", "--version"),
    }


def _said(pattern: str, *command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
    match = re.search(pattern, done.stdout)
    assert match is not None, (command, done.stdout)
    return match[1]


def _of_module(name: str) -> str:
    return str(json.loads((MODULES / name / "package.json").read_text())["version"])
