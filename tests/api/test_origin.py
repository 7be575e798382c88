"""Whose pages a request comes from, and by which name it found us."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.origin import is_cross_site, is_own_host, is_own_origin
from gateway.settings import Settings

LOCAL = Settings(_env_file=None)
PUBLIC = Settings(_env_file=None, gateway_http_public_url="https://gateway.example.com/")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "192.0.2.7", "[fe80::1%25eth0]:8080"],
)
def test_addresses_and_localhost_are_ours(host: str) -> None:
    assert is_own_host(host, LOCAL)
    assert is_own_host(host, PUBLIC)


def test_the_machines_name_is_ours() -> None:
    assert is_own_host(f"{socket.gethostname()}:8080", LOCAL)


def test_the_public_urls_name_is_ours_where_there_is_one() -> None:
    assert is_own_host("gateway.example.com", PUBLIC)
    assert is_own_host("Gateway.Example.Com:443", PUBLIC)
    assert not is_own_host("gateway.example.com", LOCAL)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "evil@", "x@evil.example", "0x7f"],
)
def test_other_names_are_not(host: str) -> None:
    assert not is_own_host(host, LOCAL)
    assert not is_own_host(host, PUBLIC)


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("http://127.0.0.1:8080", True),
        ("http://127.0.0.1:8081", False),
        ("https://127.0.0.1:8080", False),
        ("http://127.0.0.1", False),
        ("http://localhost:8080", False),
        ("null", False),
        ("", False),
        ("http://[", False),
        ("http://127.0.0.1:notaport", False),
        ("https://gateway.example.com", False),
    ],
)
def test_an_origin_is_ours_where_the_request_went_there(origin: str, own: bool) -> None:
    assert is_own_origin(origin, "127.0.0.1:8080", "http", LOCAL) is own


def test_the_public_url_is_our_origin_whatever_host_the_proxy_asks_for() -> None:
    assert is_own_origin("https://gateway.example.com", "127.0.0.1:8080", "http", PUBLIC)
    assert is_own_origin("https://gateway.example.com:443", "127.0.0.1:8080", "http", PUBLIC)
    assert not is_own_origin("http://gateway.example.com", "127.0.0.1:8080", "http", PUBLIC)


def test_default_ports_need_not_be_written() -> None:
    assert is_own_origin("http://192.0.2.1", "192.0.2.1:80", "http", LOCAL)


@pytest.mark.parametrize(
    ("headers", "cross"),
    [
        ({"origin": "http://127.0.0.1:8080", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://evil.example", "sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({}, True),
    ],
)
def test_what_does_not_say_that_it_is_from_us_is_from_elsewhere(headers: dict[str, str], cross: bool) -> None:
    assert is_cross_site({"host": "127.0.0.1:8080"} | headers, "http", LOCAL) is cross


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_stands_in_the_headers_has_an_answer(host: str, origin: str) -> None:
    assert is_own_host(host, LOCAL) in (True, False)
    assert is_own_origin(origin, host, "http", PUBLIC) in (True, False)
