"""Captured handshakes of foreign clients, gone through again: parsed, decrypted, and checked to the last byte.

`capture.py` says how they were made. A replay against a live endpoint could not go beyond the hellos, for the server's
random and key are new each time. So what is replayed is the hello; all else is checked with the logged master secret.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from gateway.coap.codec import Type, parse_message
from gateway.dtls.codes import ContentType, ExtensionType, HandshakeType
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.fragments import HandshakeMessage, Reassembler, fragments_in
from gateway.dtls.keyexchange import psk_premaster, verify
from gateway.dtls.messages import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    ClientKeyExchange,
    HelloVerifyRequest,
    NewSessionTicket,
    ServerHello,
    ServerKeyExchange,
)
from gateway.dtls.prf import extended_master_secret, key_block, transcript_hash, verify_data
from gateway.dtls.protection import RecordProtection
from gateway.dtls.record import Record, record_header, records_of
from gateway.dtls.suites import SUITES, CipherSuite, KeyExchange
from gateway.dtls.trust import TrustPolicy

from .capture import CAPTURES, CLIENTS, PSK_IDENTITY, PSK_KEY
from .peers import identity, server_certificate, server_config

H = HandshakeType
SUITE_OF = {
    "libcoap-openssl-psk": "PSK_WITH_AES_128_CCM_8",
    "libcoap-gnutls-psk": "PSK_WITH_AES_128_CCM_8",
    "libcoap-openssl-x509": "ECDHE_ECDSA_WITH_AES_128_CCM_8",
    "libcoap-gnutls-x509": "ECDHE_ECDSA_WITH_AES_128_CCM_8",
    "libcoap-openssl-x509-rsa": "ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "openssl-chacha20-p384": "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "openssl-aes256-gcm-rsa-small-mtu": "ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "openssl-ccm8-resumed-by-ticket": "ECDHE_ECDSA_WITH_AES_128_CCM_8",
}
"""What each client came to use, read off its own command and output; the engine's choice must stay the same."""

captures = pytest.mark.parametrize("name", [path.stem for path in sorted(CAPTURES.glob("*.json"))])


@dataclass
class Capture:
    """A capture, taken apart."""

    resumed: bool
    master: bytes
    random: bytes
    records: dict[str, list[Record]]
    messages: dict[str, list[HandshakeMessage]]
    """In the clear, by sender."""

    def message(self, sender: str, message_type: HandshakeType) -> HandshakeMessage:
        """The last one of a type, which of two hellos is the one with the cookie."""
        return [message for message in self.messages[sender] if message.type == message_type][-1]

    @property
    def hello(self) -> ClientHello:
        return ClientHello.parse(self.message("client", H.CLIENT_HELLO).body)

    @property
    def server_hello(self) -> ServerHello:
        return ServerHello.parse(self.message("server", H.SERVER_HELLO).body)

    @property
    def suite(self) -> CipherSuite:
        return SUITES[self.server_hello.cipher_suite]

    def protections(self) -> dict[str, RecordProtection]:
        client_key, server_key, client_iv, server_iv = key_block(
            self.suite, self.master, self.random, self.server_hello.random
        )
        return {
            "client": RecordProtection(self.suite.aead, client_key, client_iv),
            "server": RecordProtection(self.suite.aead, server_key, server_iv),
        }

    def opened(self, sender: str) -> list[tuple[int, bytes]]:
        """Types and contents of a side's protected records."""
        protection, contents = self.protections()[sender], []
        for record in self.records[sender]:
            if record.epoch:
                opened = protection.open(record)
                assert opened is not None, record
                contents.append(opened)
        return contents

    def finished(self, sender: str) -> HandshakeMessage:
        content = next(
            content for content_type, content in self.opened(sender) if content_type == ContentType.HANDSHAKE
        )
        (fragment,) = fragments_in(content)
        assert fragment.type == H.FINISHED
        return HandshakeMessage(fragment.type, fragment.sequence, fragment.data)

    def transcript_until(self, sender: str, message_type: HandshakeType) -> bytes:
        """All that stands before a message (RFC 5246 §7.4.9): without the first hello and its answer."""
        sent = self.messages
        hello = self.message("client", H.CLIENT_HELLO)
        first = [message for message in sent["server"] if message.sequence >= hello.sequence]
        second = [message for message in sent["client"] if message.sequence > hello.sequence]
        tickets = [message for message in first if message.type == H.NEW_SESSION_TICKET]
        first = [message for message in first if message not in tickets]
        flights = (
            [("client", hello), *(("server", message) for message in first), ("server", self.finished("server"))]
            if self.resumed
            else [("client", hello), *(("server", message) for message in first)]
        )
        flights += [("client", message) for message in second]
        flights += [("client", self.finished("client"))]
        flights += [("server", message) for message in tickets]
        flights += [] if self.resumed else [("server", self.finished("server"))]
        at = next(
            index for index, (side, message) in enumerate(flights) if (side, message.type) == (sender, message_type)
        )
        return b"".join(message.encode() for _, message in flights[:at])


@cache
def load(name: str) -> Capture:
    content: dict[str, Any] = json.loads((CAPTURES / f"{name}.json").read_text())
    label, random, master = content["key_log"].split()
    assert label == "CLIENT_RANDOM"
    records: dict[str, list[Record]] = {"client": [], "server": []}
    messages: dict[str, list[HandshakeMessage]] = {"client": [], "server": []}
    reassemblers = {side: Reassembler(most_bytes=1 << 16) for side in messages}
    for datagram in content["datagrams"]:
        sender, data = datagram["from"], bytes.fromhex(datagram["hex"])
        parts = list(records_of(data, 0))
        assert sum(13 + len(part.fragment) for part in parts) == len(data)
        records[sender] += parts
        for part in parts:
            if part.epoch or part.type != ContentType.HANDSHAKE:
                continue
            for fragment in fragments_in(part.fragment):
                reassemblers[sender].add(fragment)
            while (message := reassemblers[sender].next_message()) is not None:
                messages[sender].append(message)
    return Capture(content["resumed"], bytes.fromhex(master), bytes.fromhex(random), records, messages)


def test_there_is_a_capture_of_each_client() -> None:
    assert {path.stem for path in CAPTURES.glob("*.json")} == {client.name for client in CLIENTS} == set(SUITE_OF)


@captures
def test_every_message_is_read_and_written_back_as_it_was(name: str) -> None:
    capture = load(name)
    exchange = capture.suite.key_exchange
    forms = {"psk": exchange.is_psk, "ecdhe": exchange.is_ecdhe}
    seen = set()
    for message in capture.messages["client"] + capture.messages["server"]:
        body = message.body
        seen.add(message.type)
        match message.type:
            case H.CLIENT_HELLO:
                again = ClientHello.parse(body).encode()
            case H.SERVER_HELLO:
                again = ServerHello.parse(body).encode()
            case H.HELLO_VERIFY_REQUEST:
                again = HelloVerifyRequest.parse(body).encode()
            case H.CERTIFICATE:
                again = Certificate.parse(body).encode()
            case H.SERVER_KEY_EXCHANGE:
                again = ServerKeyExchange.parse(body, **forms).encode()
            case H.CLIENT_KEY_EXCHANGE:
                again = ClientKeyExchange.parse(body, **forms).encode()
            case H.CERTIFICATE_REQUEST:
                again = CertificateRequest.parse(body).encode()
            case H.CERTIFICATE_VERIFY:
                again = CertificateVerify.parse(body).encode()
            case H.NEW_SESSION_TICKET:
                again = NewSessionTicket.parse(body).encode()
            case other:
                assert other == H.SERVER_HELLO_DONE
                again = b""
        assert again == body
    assert {H.CLIENT_HELLO, H.SERVER_HELLO, H.HELLO_VERIFY_REQUEST} <= seen


@captures
def test_every_protected_record_opens_and_both_finished_are_right(name: str) -> None:
    capture = load(name)
    assert capture.random == capture.hello.random
    for sender in ("client", "server"):
        before = capture.transcript_until(sender, H.FINISHED)
        expected = verify_data(
            capture.suite,
            capture.master,
            by_client=sender == "client",
            handshake_hash=transcript_hash(capture.suite, before),
        )
        assert capture.finished(sender).body == expected


@captures
def test_the_data_is_what_the_client_said(name: str) -> None:
    capture = load(name)
    data = [content for kind, content in capture.opened("client") if kind == ContentType.APPLICATION_DATA]
    if name.startswith("libcoap"):
        requests = [message for message in map(parse_message, data) if message.code]
        assert requests[0].type is Type.CON
        assert b"hello" in data[-1] or len(data) > 1
    else:
        assert data == [b"hello\n"]


@captures
def test_a_clients_signature_holds(name: str) -> None:
    capture = load(name)
    if H.CERTIFICATE_VERIFY not in {message.type for message in capture.messages["client"]}:
        assert capture.resumed or capture.suite.key_exchange.is_psk
        return
    chain = Certificate.parse(capture.message("client", H.CERTIFICATE).body).chain
    signature = CertificateVerify.parse(capture.message("client", H.CERTIFICATE_VERIFY).body).signature
    verify(TrustPolicy.public_key(chain), signature, capture.transcript_until("client", H.CERTIFICATE_VERIFY))


@pytest.mark.parametrize("name", ["libcoap-openssl-psk", "libcoap-gnutls-psk"])
def test_the_master_secret_follows_from_the_pre_shared_key(name: str) -> None:
    capture = load(name)
    assert capture.suite.key_exchange is KeyExchange.PSK
    exchange = capture.message("client", H.CLIENT_KEY_EXCHANGE)
    assert ClientKeyExchange.parse(exchange.body, psk=True, ecdhe=False).psk_identity == PSK_IDENTITY
    assert ExtensionType.EXTENDED_MASTER_SECRET in capture.server_hello.extensions
    session = capture.transcript_until("client", H.CLIENT_KEY_EXCHANGE) + exchange.encode()
    expected = extended_master_secret(capture.suite, psk_premaster(PSK_KEY), transcript_hash(capture.suite, session))
    assert capture.master == expected


@captures
def test_the_hello_replayed_gets_the_same_suite(name: str) -> None:
    capture = load(name)
    certificate = server_certificate("rsa2048" if capture.suite.key_exchange is KeyExchange.ECDHE_RSA else "p256")
    endpoint = Endpoint(server_config(identities=(identity(certificate),)))
    hello = replace(capture.hello, cookie=b"")
    for sequence in range(2):
        message = HandshakeMessage(H.CLIENT_HELLO, sequence, hello.encode()).encode()
        endpoint.receive_datagram(record_header(22, 0, sequence, len(message)) + message, b"client", 0.0, 0.0)
        answers = [record for data, _ in endpoint.datagrams_to_send() for record in records_of(data, 0)]
        fragment = next(iter(fragments_in(answers[0].fragment)))
        if sequence == 0:
            hello = replace(hello, cookie=HelloVerifyRequest.parse(fragment.data).cookie)
    answer = ServerHello.parse(fragment.data)
    assert SUITES[answer.cipher_suite].name == capture.suite.name == SUITE_OF[name]
    for extension in (ExtensionType.EXTENDED_MASTER_SECRET, ExtensionType.RENEGOTIATION_INFO):
        assert (extension in answer.extensions) is (extension in capture.server_hello.extensions)
