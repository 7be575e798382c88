"""The same server made of pyOpenSSL, for comparison: memory BIOs in place of a socket."""

import contextlib
import hmac
import secrets
from collections.abc import Sequence

from cryptography import x509
from OpenSSL import SSL, crypto

from benchmarks.dtls_peers import MTU, RESPONSE, Case, Credentials
from benchmarks.servers import BenchError
from gateway.listeners.batch_socket import Datagram

CIPHERS = {
    "ECDHE_ECDSA_WITH_AES_128_CCM_8": b"ECDHE-ECDSA-AES128-CCM8",
    "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": b"ECDHE-ECDSA-AES128-GCM-SHA256",
}
"""OpenSSL's names of suites."""

_MOST_BYTES = 4096
"""What is read at most from a BIO at a time: more than a flight has."""


class PyOpenSslServer:
    """OpenSSL with a connection per peer, made when its cookie holds, as `DTLSv1_listen` does it."""

    @staticmethod
    def can(case: Case) -> bool:
        """Whether it can do this: it has neither pre-shared keys nor connection IDs."""
        return case.suite in CIPHERS and not case.connection_id

    def __init__(self, case: Case, credentials: Credentials) -> None:
        context = SSL.Context(SSL.DTLS_SERVER_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.use_privatekey(credentials.server.key)
        context.use_certificate(x509.load_der_x509_certificate(credentials.server.chain[0]))
        context.set_cipher_list(CIPHERS[case.suite] + b":@SECLEVEL=0")  # CCM_8 is below level 1
        context.set_session_id(b"benchmark")
        if case.client_certificate:
            store = context.get_cert_store()
            assert store is not None
            store.add_cert(crypto.X509.from_cryptography(credentials.authority))
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        secret = secrets.token_bytes(32)

        def cookie(connection: SSL.Connection) -> bytes:
            return hmac.digest(secret, connection.get_app_data(), "sha256")[:16]

        context.set_cookie_generate_callback(cookie)
        context.set_cookie_verify_callback(lambda connection, sent: hmac.compare_digest(cookie(connection), sent))
        self._context = context
        self._connections: dict[bytes, SSL.Connection] = {}
        self._listening = self._connection()

    def _connection(self) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_accept_state()
        connection.set_ciphertext_mtu(MTU)
        return connection

    def receive(self, datagrams: Sequence[Datagram]) -> list[Datagram]:
        answers = []
        for datagram, address in datagrams:
            connection = self._connections.get(address, self._listening)
            connection.bio_write(datagram)
            try:
                if connection is self._listening:
                    connection.set_app_data(address)
                    connection.DTLSv1_listen()
                    self._connections[address] = connection
                    self._listening = self._connection()
                connection.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                raise BenchError(f"pyOpenSSL: {error}") from None
            with contextlib.suppress(SSL.WantReadError):
                answers.append((connection.bio_read(_MOST_BYTES), address))
        return answers

    def answer_requests(self, datagrams: Sequence[Datagram]) -> list[Datagram]:
        answers = []
        for datagram, address in datagrams:
            connection = self._connections[address]
            connection.bio_write(datagram)
            connection.recv(_MOST_BYTES)
            connection.send(RESPONSE)
            answers.append((connection.bio_read(_MOST_BYTES), address))
        return answers
