"""The TCP socket of the REST API."""

import errno
import socket

import pytest

from gateway.listeners.tcp_socket import listen_tcp


def test_it_listens_at_once() -> None:
    with listen_tcp("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname(), timeout=5):
        sock.accept()[0].close()


def test_on_the_unspecified_ipv6_address_it_takes_ipv4_too() -> None:
    with listen_tcp("::", 0) as sock, socket.create_connection(("127.0.0.1", sock.getsockname()[1]), timeout=5):
        sock.accept()[0].close()


def test_a_port_is_had_once() -> None:
    with listen_tcp("127.0.0.1", 0) as sock, pytest.raises(OSError) as caught:
        listen_tcp("127.0.0.1", sock.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE


def test_an_address_that_is_not_ours_is_an_error() -> None:
    with pytest.raises(OSError) as caught:
        listen_tcp("192.0.2.1", 0)
    assert caught.value.errno == errno.EADDRNOTAVAIL
