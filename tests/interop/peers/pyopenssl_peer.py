"""A DTLS peer upon pyOpenSSL, that is upon the OpenSSL inside `cryptography`.

pyopenssl_peer.py client PORT CIPHERS CA CERTIFICATE KEY RESUMPTIONS
pyopenssl_peer.py server PORT CIPHERS CA CERTIFICATE KEY RESUMPTIONS

A client says "1 hello" and prints what comes; a server sends everything back once more. CERTIFICATE and KEY may be "-"
for a client that has none, CA for a server that asks for none. RESUMPTIONS is how many connections follow the first
one: each resumes the session before.
"""

import contextlib
import secrets
import socket
import sys

from OpenSSL import SSL

HOST = "127.0.0.1"


class Peer:
    """One connection over a connected UDP socket."""

    def __init__(self, context: SSL.Context, sock: socket.socket) -> None:
        self.connection = SSL.Connection(context, None)
        self.connection.set_ciphertext_mtu(1200)
        self._sock = sock

    def handshake(self) -> None:
        while True:
            try:
                self.connection.do_handshake()
            except SSL.WantReadError:
                self.flush()
                self.connection.bio_write(self._sock.recv(65536))
            else:
                self.flush()
                print("completed", self.connection.get_cipher_name(), flush=True)
                return

    def read(self) -> bytes:
        while True:
            try:
                return self.connection.recv(65536)
            except SSL.WantReadError:
                self.connection.bio_write(self._sock.recv(65536))

    def write(self, data: bytes) -> None:
        self.connection.send(data)
        self.flush()

    def close(self) -> None:
        self.connection.shutdown()
        self.flush()

    def flush(self) -> None:
        # A memory BIO keeps no borders of datagrams; records need none, since each says its length.
        with contextlib.suppress(SSL.WantReadError):
            self._sock.send(self.connection.bio_read(65536))


def make_context(ciphers: str, ca: str, certificate: str, key: str) -> SSL.Context:
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_cipher_list(ciphers.encode())
    if ca != "-":
        context.load_verify_locations(ca)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    context.set_session_id(b"interop")
    context.set_options(SSL.OP_NO_QUERY_MTU)  # a memory BIO knows none: it would take 256 bytes
    if certificate != "-":
        context.use_certificate_chain_file(certificate)
        context.use_privatekey_file(key)
    return context


def client(context: SSL.Context, port: int, resumptions: int) -> None:
    session = None
    for _ in range(resumptions + 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((HOST, port))
            peer = Peer(context, sock)
            peer.connection.set_connect_state()
            if session is not None:
                peer.connection.set_session(session)
            peer.handshake()
            peer.write(b"1 hello")
            print(peer.read().decode(), flush=True)
            session = peer.connection.get_session()
            peer.close()


def server(context: SSL.Context, port: int, resumptions: int) -> None:
    cookie = secrets.token_bytes(16)
    context.set_cookie_generate_callback(lambda _: cookie)
    context.set_cookie_verify_callback(lambda _, received: received == cookie)
    for _ in range(resumptions + 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((HOST, port))
            data, address = sock.recvfrom(65536)
            sock.connect(address)
            peer = Peer(context, sock)
            peer.connection.set_accept_state()
            while True:
                peer.connection.bio_write(data)
                try:
                    peer.connection.DTLSv1_listen()
                    break
                except SSL.WantReadError:
                    peer.flush()
                    data = sock.recv(65536)
            peer.handshake()
            try:
                while True:
                    peer.write(peer.read())
            except SSL.ZeroReturnError:
                print("closed", flush=True)


def main() -> None:
    role, port, ciphers, ca, certificate, key, resumptions = sys.argv[1:]
    context = make_context(ciphers, ca, certificate, key)
    (client if role == "client" else server)(context, int(port), int(resumptions))


main()
