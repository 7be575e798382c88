"""A DTLS peer upon python-mbedtls.

mbedtls_peer.py client PORT SUITE CA CERTIFICATE KEY IDENTITY PSK
mbedtls_peer.py server PORT SUITE CA CERTIFICATE KEY IDENTITY PSK

A client says "1 hello" and prints what comes; a server sends back once more what comes first. Each of CA, CERTIFICATE
and KEY, IDENTITY and PSK may be "-".
"""

import contextlib
import socket
import sys
from pathlib import Path

from mbedtls import tls
from mbedtls.pk import ECC, RSA
from mbedtls.x509 import CRT

HOST = "127.0.0.1"


def read_key(file: str) -> ECC | RSA:
    text = Path(file).read_text()
    try:
        return ECC.from_PEM(text)
    except (TypeError, ValueError):
        return RSA.from_PEM(text)


def read_chain(certificate: str, key: str) -> tuple[tuple[CRT, ...], ECC | RSA] | None:
    if certificate == "-":
        return None
    pieces = Path(certificate).read_text().split("-----END CERTIFICATE-----\n")[:-1]
    return tuple(CRT.from_PEM(f"{piece}-----END CERTIFICATE-----\n") for piece in pieces), read_key(key)


def main() -> None:
    role, port, suite, ca, certificate, key, identity, psk = sys.argv[1:]
    trust = tls.TrustStore()
    if ca != "-":
        trust.add(CRT.from_PEM(Path(ca).read_text()))
    has_psk = identity != "-"
    configuration = tls.DTLSConfiguration(
        lowest_supported_version=tls.DTLSVersion.DTLSv1_2,
        highest_supported_version=tls.DTLSVersion.DTLSv1_2,
        ciphers=(suite,),
        trust_store=trust,
        validate_certificates=not has_psk and ca != "-",
        certificate_chain=read_chain(certificate, key),
        pre_shared_key=(identity, psk.encode()) if has_psk and role == "client" else None,
        pre_shared_key_store={identity: psk.encode()} if has_psk and role == "server" else {},
    )
    (client if role == "client" else server)(configuration, int(port))


def client(configuration: tls.DTLSConfiguration, port: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection = tls.ClientContext(configuration).wrap_socket(sock, "gateway.example")
    connection.connect((HOST, port))
    connection.do_handshake()
    print("completed", connection.cipher(), flush=True)
    connection.send(b"1 hello")
    print(connection.recv(4096).decode(), flush=True)
    connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def server(configuration: tls.DTLSConfiguration, port: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener = tls.ServerContext(configuration).wrap_socket(sock)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, port))
    first, address = listener.accept()
    first.setcookieparam(address[0].encode())
    with contextlib.suppress(tls.HelloVerifyRequest):
        first.do_handshake()
    second, address = first.accept()
    first.close()
    second.setcookieparam(address[0].encode())
    second.do_handshake()
    print("completed", second.cipher(), flush=True)
    second.send(second.recv(4096))
    second.close()


main()
