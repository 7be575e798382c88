"""The message layer over real sockets."""

import re
import socket
from collections.abc import Callable

from gateway.coap.codec import OptionNumber, Type, encode_message, parse_message
from gateway.model import Code, Integration
from gateway.storage.catalogue import Catalogue

from .harness import JSON, Gateway, coap_client, eventually


def request(url: str, mid: int, *, type_: Type = Type.CON, payload: bytes = JSON, token: bytes = b"tk") -> bytes:
    """A POST to an endpoint as bytes."""
    options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
    return encode_message(type_, Code.POST, mid, token, options, payload)


def test_a_duplicate_con_is_answered_alike_and_stored_once(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    with gateway.client() as sock:
        sock.send(request(url, 77))
        first = sock.recv(2048)
        sock.send(request(url, 77))
        assert sock.recv(2048) == first
        sock.send(request(url, 78))
        assert sock.recv(2048) != first
    assert parse_message(first)[:4] == (Type.ACK, Code.CREATED, 77, b"tk")
    eventually(lambda: len(gateway.device("SN-001", "--history", "humidity")["history"]) == 2, "two samples")


def test_a_ping_is_answered_by_a_reset(gateway: Gateway) -> None:
    gateway.start()
    with gateway.client() as sock:
        sock.send(bytes.fromhex("40000102"))
        assert sock.recv(100) == bytes.fromhex("70000102")


def test_junk_is_dropped_and_the_next_request_answered(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    with gateway.client() as sock:
        for junk in ("", "40", "80020001", "40020004b56162", "5f020002", "50020003ff"):
            sock.send(bytes.fromhex(junk))
        sock.send(bytes.fromhex("40020005ff"))  # malformed, but whole and confirmable
        assert sock.recv(2048) == bytes.fromhex("70000005")
        sock.send(request(url, 9))
        assert parse_message(sock.recv(2048))[:3] == (Type.ACK, Code.CREATED, 9)


def test_an_answer_leaves_from_the_address_that_was_asked(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(COAP_BIND_ADDRESS="0.0.0.0")
    url = gateway.add_demo("json")
    gateway.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        for host in ("127.0.0.1", "127.0.0.2", "127.1.2.3"):
            sock.sendto(request(url, 1), (host, gateway.port))
            assert sock.recvfrom(2048)[1] == (host, gateway.port)


def test_discovery_shows_every_resource_in_blocks_and_filtered(gateway: Gateway) -> None:
    gateway.add_integration("plain", "return [];")
    with Catalogue(gateway.data_dir) as catalogue:
        for number in range(40):
            catalogue.add_integration(
                Integration(f"n{number}", "plain", routing_key=f"key-{number:02}", path_prefix="api/v2")
            )
    gateway.start()
    core = f"coap://127.0.0.1:{gateway.port}/.well-known/core"
    links = coap_client(core)
    for href in ("</api>", "</api/v2>", "</api/v2/i>", '</api/v2/i/key-00>;rt="uplink"', "</api/v2/i/key-39>"):
        assert href in links
    assert len(links) > 1024
    assert coap_client("-b", "64", core) == links
    assert coap_client(f"{core}?href=/api/v2/i/key-07").strip() == '</api/v2/i/key-07>;rt="uplink"'
    assert len(re.findall("<", coap_client(f"{core}?rt=uplink"))) == 41


def test_no_response_silences_the_answer(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
    options.append((OptionNumber.NO_RESPONSE, b"\x02"))
    with gateway.client() as sock:
        sock.send(encode_message(Type.NON, Code.POST, 1, b"a", options, JSON))
        sock.send(encode_message(Type.CON, Code.POST, 2, b"b", options, JSON))
        assert parse_message(sock.recv(100)) == (Type.ACK, Code.EMPTY, 2, b"", (), b"")
        sock.send(encode_message(Type.NON, Code.POST, 3, b"c", options, b"no json"))
        assert parse_message(sock.recv(2048))[:2] == (Type.NON, Code.BAD_REQUEST)


def test_a_slow_disk_makes_an_empty_ack_and_a_separate_response(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(COAP_PIGGYBACK_TIMEOUT="100")
    url = gateway.add_demo("json")
    gateway.start()
    with gateway.client() as sock:
        with gateway.held_database("spool-0.db"):
            sock.send(request(url, 5, token=b"slow"))
            assert sock.recv(100) == encode_message(Type.ACK, Code.EMPTY, 5)
            sock.send(request(url, 5, token=b"slow"))
            assert sock.recv(100) == encode_message(Type.ACK, Code.EMPTY, 5)
        separate = sock.recv(2048)
        message = parse_message(separate)
        assert (message.type, message.code, message.token) == (Type.CON, Code.CREATED, b"slow")
        assert sock.recv(2048) == separate  # not acknowledged yet: again after two to three seconds
        sock.send(encode_message(Type.ACK, Code.EMPTY, message.mid))
    assert gateway.device("SN-001")["telemetry"]["humidity"]["value"] == 69


def test_a_request_that_takes_too_long_is_answered_5_03(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(COAP_TIMEOUT="400", COAP_PIGGYBACK_TIMEOUT="5000")
    url = gateway.add_demo("json")
    gateway.start()
    with gateway.client() as sock, gateway.held_database("spool-0.db"):
        sock.send(request(url, 6))
        message = parse_message(sock.recv(2048))
        assert (message.type, message.code) == (Type.ACK, Code.SERVICE_UNAVAILABLE)
