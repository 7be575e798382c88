"""The cookie: bound to address and hello, for one to two minutes, and never an amplifier."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dtls.codes import ContentType, HandshakeType
from gateway.dtls.cookie import COOKIE_BYTES, SECRET_LIFETIME_S, CookieJar
from gateway.dtls.endpoint import Endpoint
from gateway.dtls.fragments import HandshakeMessage
from gateway.dtls.messages import ClientHello, HelloVerifyRequest
from gateway.dtls.record import record_header, records_of

from .peers import server_config

ADDRESS = b"192.0.2.1:5684"
HELLO = ClientHello(bytes(32), b"session", b"", (0xC0A8, 0xC0AE), b"\0", {10: b"\0\2\0\x17", 23: b""})


def with_cookie(jar: CookieJar, now_s: float = 0.0) -> ClientHello:
    return replace(HELLO, cookie=jar.cookie(ADDRESS, HELLO.encode(), now_s))


def accepts(jar: CookieJar, address: bytes, hello: ClientHello, now_s: float) -> bool:
    return jar.accepts(address, hello.encode(), now_s)


def test_a_hello_with_its_cookie_is_accepted() -> None:
    jar = CookieJar()
    assert accepts(jar, ADDRESS, with_cookie(jar), 0.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0xFEFF},
        {"random": b"\1" + bytes(31)},
        {"session_id": b""},
        {"cipher_suites": (0xC0AE, 0xC0A8)},
        {"cipher_suites": (0xC0A8,)},
        {"compression_methods": b"\0\1"},
        {"extensions": {10: b"\0\2\0\x18", 23: b""}},
        {"extensions": {23: b"", 10: b"\0\2\0\x17"}},
        {"extensions": {10: b"\0\2\0\x17"}},
        {"extensions": {}},
    ],
    ids=lambda changes: " ".join(f"{name} {value}" for name, value in changes.items()),
)
def test_a_cookie_is_for_these_very_parameters(changes: dict[str, object]) -> None:
    jar = CookieJar()
    assert not accepts(jar, ADDRESS, replace(with_cookie(jar), **changes), 0.0)  # type: ignore[arg-type]


def test_a_cookie_is_for_one_address() -> None:
    jar = CookieJar()
    for other in (b"192.0.2.2:5684", b"192.0.2.1:5685", b"", ADDRESS + b"\0"):
        assert not accepts(jar, other, with_cookie(jar), 0.0)


def test_fields_can_not_be_shifted_into_each_other() -> None:
    jar = CookieJar()
    hello = with_cookie(jar)
    for address, session_id in ((ADDRESS + b"s", b"ession"), (ADDRESS[:-1], ADDRESS[-1:] + b"session")):
        assert not accepts(jar, address, replace(hello, session_id=session_id), 0.0)


@pytest.mark.parametrize("bit", range(8 * COOKIE_BYTES))
def test_each_bit_of_a_cookie_counts(bit: int) -> None:
    jar = CookieJar()
    hello = with_cookie(jar)
    forged = bytearray(hello.cookie)
    forged[bit // 8] ^= 1 << bit % 8
    assert not accepts(jar, ADDRESS, replace(hello, cookie=bytes(forged)), 0.0)


def test_a_cookie_of_another_length_is_not_accepted() -> None:
    jar = CookieJar()
    hello = with_cookie(jar)
    for cookie in (b"", hello.cookie[:-1], hello.cookie + b"\0", bytes(255)):
        assert not accepts(jar, ADDRESS, replace(hello, cookie=cookie), 0.0)


def test_another_server_has_another_secret() -> None:
    assert not accepts(CookieJar(), ADDRESS, with_cookie(CookieJar()), 0.0)


def test_the_secret_rotates_so_that_a_cookie_lasts_for_one_to_two_lifetimes() -> None:
    jar = CookieJar()
    early, late = with_cookie(jar, 0.0), with_cookie(jar, SECRET_LIFETIME_S - 1)
    assert early.cookie == late.cookie
    after = with_cookie(jar, SECRET_LIFETIME_S)
    assert after.cookie != early.cookie
    assert accepts(jar, ADDRESS, early, SECRET_LIFETIME_S)
    assert accepts(jar, ADDRESS, early, 2 * SECRET_LIFETIME_S - 1)
    assert not accepts(jar, ADDRESS, early, 2 * SECRET_LIFETIME_S)
    assert accepts(jar, ADDRESS, after, 2 * SECRET_LIFETIME_S)


@pytest.mark.parametrize("silence", [2, 3, 1000])
def test_a_cookie_does_not_outlive_a_long_silence(silence: float) -> None:
    jar = CookieJar()
    hello = with_cookie(jar, 0.0)
    assert not accepts(jar, ADDRESS, hello, silence * SECRET_LIFETIME_S)


def hello_datagram(hello: ClientHello, sequence: int = 0) -> bytes:
    message = HandshakeMessage(HandshakeType.CLIENT_HELLO, 0, hello.encode()).encode()
    return record_header(ContentType.HANDSHAKE, 0, sequence, len(message)) + message


@given(
    st.builds(
        ClientHello,
        random=st.binary(min_size=32, max_size=32),
        session_id=st.binary(max_size=32),
        cookie=st.binary(max_size=40),
        cipher_suites=st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=3).map(tuple),
        compression_methods=st.binary(min_size=1, max_size=2),
        extensions=st.dictionaries(st.integers(0, 60), st.binary(max_size=8), max_size=3),
        version=st.integers(0, 0xFFFF),
    ),
    st.integers(0, 1 << 40),
)
def test_the_answer_is_never_larger_than_the_question_and_leaves_no_state(hello: ClientHello, sequence: int) -> None:
    endpoint = Endpoint(server_config())
    question = hello_datagram(hello, sequence)
    endpoint.receive_datagram(question, ADDRESS, 0.0, 0.0)
    ((answer, destination),) = endpoint.datagrams_to_send()
    assert destination == ADDRESS
    assert len(answer) <= len(question)
    (record,) = records_of(answer, 0)
    assert record.sequence == sequence  # RFC 6347 §4.2.1
    assert len(HelloVerifyRequest.parse(record.fragment[12:]).cookie) == COOKIE_BYTES
    assert not endpoint._attempts
    assert not endpoint.associations()
    assert endpoint.next_timeout() is None
    assert endpoint.next_event() is None
