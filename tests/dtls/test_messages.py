"""Handshake messages: what is written is read, and what is cut or has something behind it is a DecodeError."""

from contextlib import suppress
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.alerts import DecodeError
from gateway.dtls.messages import (
    Certificate,
    CertificateRequest,
    CertificateVerify,
    ClientHello,
    ClientKeyExchange,
    EcdhParameters,
    HelloVerifyRequest,
    NewSessionTicket,
    RawPublicKey,
    ServerHello,
    ServerKeyExchange,
    Signature,
)


class Message(Protocol):
    def encode(self) -> bytes: ...


def uint(size: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << 8 * size) - 1)


randoms = st.binary(min_size=32, max_size=32)
session_ids = st.binary(max_size=32)
extensions = st.dictionaries(uint(2), st.binary(max_size=20), max_size=5)
points = st.binary(min_size=1, max_size=255)
signatures = st.builds(Signature, uint(2), st.binary(max_size=300))
parameters = st.builds(EcdhParameters, uint(2), points)
blobs = st.binary(max_size=300)

client_hellos = st.builds(
    ClientHello,
    random=randoms,
    session_id=session_ids,
    cookie=st.binary(max_size=255),
    cipher_suites=st.lists(uint(2), min_size=1, max_size=30).map(tuple),
    compression_methods=st.binary(min_size=1, max_size=255),
    extensions=extensions,
    version=uint(2),
)
server_hellos = st.builds(
    ServerHello,
    random=randoms,
    session_id=session_ids,
    cipher_suite=uint(2),
    extensions=extensions,
    version=uint(2),
    compression_method=uint(1),
)
hellos: st.SearchStrategy[ClientHello | ServerHello] = st.one_of(client_hellos, server_hellos)
others: st.SearchStrategy[Message] = st.one_of(
    st.builds(HelloVerifyRequest, st.binary(max_size=255)),
    st.builds(Certificate, st.lists(st.binary(min_size=1, max_size=100), max_size=4).map(tuple)),
    st.builds(RawPublicKey, blobs),
    st.builds(
        CertificateRequest,
        st.lists(uint(1), max_size=5).map(tuple),
        st.lists(uint(2), max_size=10).map(tuple),
        st.lists(st.binary(min_size=1, max_size=50), max_size=3).map(tuple),
    ),
    st.builds(CertificateVerify, signatures),
    st.builds(NewSessionTicket, uint(4), blobs),
)
key_exchanges = st.one_of(
    st.tuples(st.just((False, True)), st.builds(ServerKeyExchange, st.none(), parameters, signatures)),
    st.tuples(st.just((True, True)), st.builds(ServerKeyExchange, blobs, parameters)),
    st.tuples(st.just((True, False)), st.builds(ServerKeyExchange, blobs)),
    st.tuples(st.just((False, True)), st.builds(ClientKeyExchange, st.none(), points)),
    st.tuples(st.just((True, True)), st.builds(ClientKeyExchange, blobs, points)),
    st.tuples(st.just((True, False)), st.builds(ClientKeyExchange, blobs)),
)


@given(hellos)
def test_hellos_come_back_as_they_were(hello: ClientHello | ServerHello) -> None:
    assert type(hello).parse(hello.encode()) == hello


@given(hellos)
def test_a_hello_that_is_cut_is_a_decode_error_except_where_extensions_would_begin(
    hello: ClientHello | ServerHello,
) -> None:
    """RFC 5246 §7.4.1.2: whether there are extensions is told by whether there are bytes left."""
    body = hello.encode()
    block = 2 + sum(4 + len(data) for data in hello.extensions.values()) if hello.extensions else 0
    for length in range(len(body)):
        if length == len(body) - block:
            assert not type(hello).parse(body[:length]).extensions
        else:
            with pytest.raises(DecodeError):
                type(hello).parse(body[:length])


@given(others)
def test_messages_come_back_as_they_were_and_cut_ones_do_not(message: Message) -> None:
    parse = type(message).parse  # type: ignore[attr-defined]
    body = message.encode()
    assert parse(body) == message
    for length in range(len(body)):
        with pytest.raises(DecodeError):
            parse(body[:length])
    with pytest.raises(DecodeError):
        parse(body + b"\0")


@given(key_exchanges)
def test_key_exchanges_come_back_as_they_were_and_cut_ones_do_not(
    form_and_message: tuple[tuple[bool, bool], ServerKeyExchange | ClientKeyExchange],
) -> None:
    (psk, ecdhe), message = form_and_message
    parse, body = type(message).parse, message.encode()
    assert parse(body, psk=psk, ecdhe=ecdhe) == message
    for length in range(len(body)):
        with pytest.raises(DecodeError):
            parse(body[:length], psk=psk, ecdhe=ecdhe)
    with pytest.raises(DecodeError):
        parse(body + b"\0", psk=psk, ecdhe=ecdhe)


@given(st.binary(max_size=200), st.booleans(), st.booleans())
def test_of_arbitrary_bytes_comes_a_message_or_a_decode_error(body: bytes, psk: bool, ecdhe: bool) -> None:
    for kind in (
        ClientHello,
        ServerHello,
        HelloVerifyRequest,
        Certificate,
        RawPublicKey,
        CertificateRequest,
        CertificateVerify,
        NewSessionTicket,
    ):
        with suppress(DecodeError):
            kind.parse(body)
    for exchange in (ClientKeyExchange, ServerKeyExchange):
        with suppress(DecodeError):
            exchange.parse(body, psk=psk, ecdhe=ecdhe)


HELLO = ClientHello(bytes(32), b"", b"", (0xC0A8,), b"\0", {})


def test_a_client_hello_on_the_wire() -> None:
    hello = ClientHello(
        random=bytes(range(32)),
        session_id=b"id",
        cookie=b"cookie",
        cipher_suites=(0xC0A8, 0x00FF),
        compression_methods=b"\0",
        extensions={23: b"", 54: b"\0"},
    )
    assert hello.encode() == (
        b"\xfe\xfd" + bytes(range(32)) + b"\2id" + b"\6cookie" + b"\0\4\xc0\xa8\0\xff" + b"\1\0"
        b"\0\x09" + b"\0\x17\0\0" + b"\0\x36\0\1\0"
    )


def test_a_hello_verify_request_says_dtls_1_0() -> None:
    assert HelloVerifyRequest(b"cookie").encode() == b"\xfe\xff\6cookie"
    assert HelloVerifyRequest.parse(b"\xfe\xfd\6cookie") == HelloVerifyRequest(b"cookie")


def test_a_session_id_has_at_most_32_bytes() -> None:
    body = HELLO.encode()
    assert ClientHello.parse(body[:34] + b"\x20" + bytes(32) + body[35:]).session_id == bytes(32)
    with pytest.raises(DecodeError, match="longer than 32"):
        ClientHello.parse(body[:34] + b"\x21" + bytes(33) + body[35:])


@pytest.mark.parametrize(
    "hello", [ClientHello(bytes(32), b"", b"", (), b"\0", {}), ClientHello(bytes(32), b"", b"", (1,), b"", {})]
)
def test_a_client_hello_offers_suites_and_compression_methods(hello: ClientHello) -> None:
    with pytest.raises(DecodeError):
        ClientHello.parse(hello.encode())


def test_an_extension_comes_once() -> None:
    with pytest.raises(DecodeError, match="twice"):
        ClientHello.parse(HELLO.encode() + b"\0\x08" + 2 * b"\0\x17\0\0")


def test_an_empty_block_of_extensions_is_as_none() -> None:
    assert ClientHello.parse(HELLO.encode() + b"\0\0") == HELLO


def test_only_named_curves_are_known() -> None:
    with pytest.raises(DecodeError, match="named curves"):
        ServerKeyExchange.parse(b"\1\0\x17\1x\4\3\0\0", psk=False, ecdhe=True)


def test_an_empty_certificate_in_a_chain_is_a_decode_error() -> None:
    assert Certificate.parse(b"\0\0\0").chain == ()
    with pytest.raises(DecodeError):
        Certificate.parse(b"\0\0\3\0\0\0")
