"""Who sends junk, forges addresses, leaves handshakes half done or fails at them keeps nobody else from service."""

import contextlib
import random
import re
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.dtls.endpoint import Endpoint
from gateway.log_folding import LINES_PER_SECOND
from gateway.model import Code
from tests.dtls.certificates import device

from .dtls_device import Device, psk_config
from .harness import Gateway, eventually
from .secure import (
    CLIENTS,
    NAMED,
    PSK_FLAGS,
    PSK_IDENTITY,
    PSK_KEY,
    MakeGateway,
    coaps_client,
    devices,
    next_second,
    samples,
    secure,
    validity,
    write_pair,
)

ANSWERED_WITHIN_S = 2.0
"""How long an established device may wait: less than a device waits before it repeats itself (RFC 7252 §4.8)."""

GROWTH_BYTES = 4 << 20
"""How much a worker may grow by: 200 bytes for each of 20,000 forged hellos would be too much."""

BURST = 100
"""Datagrams sent at a time: they fit the socket's receive buffer, so that none is lost that a test counts on."""

PAUSE_S = 0.01
"""Between bursts."""

LOCKED_OUT_S = 4
"""Longer than two clients take to find out."""


@pytest.fixture
def make_served(make_gateway: MakeGateway) -> Callable[..., Gateway]:
    """Makes running gateways of one worker, with an integration for the names that devices send."""

    def make(**settings: str) -> Gateway:
        gateway = secure(make_gateway(**settings))
        gateway.add_integration("named", NAMED, "--security-mode", "DTLS", "--routing-key", "named")
        gateway.start()
        return gateway

    return make


def url_of(gateway: Gateway) -> str:
    return f"coaps://127.0.0.1:{gateway.dtls_port}/i/named"


@contextlib.contextmanager
def served_all_the_while(gateway: Gateway) -> Iterator[None]:
    """An established device, which goes on sending while the test does what it does: each uplink is answered in time
    and stored, new devices get in as soon as it is over, and the worker has not grown by much.
    """
    with contextlib.closing(Device(gateway.dtls_port, psk_config(PSK_IDENTITY, PSK_KEY))) as device:
        assert device.connect().post(url_of(gateway), b"before").code == Code.CREATED
        eventually(lambda: "before" in devices(gateway), "the first uplink is in the view")
        grown_from = resident_bytes(gateway)
        over: list[bool] = []
        with ThreadPoolExecutor(1) as thread:
            sending = thread.submit(send_until, over, device, url_of(gateway))
            try:
                yield
            finally:
                over.append(True)
            waited_s = sending.result()
    assert len(waited_s) >= 5
    assert max(waited_s) < ANSWERED_WITHIN_S
    assert resident_bytes(gateway) < grown_from + GROWTH_BYTES
    for client in CLIENTS:
        assert coaps_client(client, url_of(gateway), *PSK_FLAGS, "-a", "127.0.0.77", payload=client.encode()) == ""
    eventually(lambda: set(CLIENTS) <= set(devices(gateway)), "new devices get in")
    assert samples(gateway, "established", "t") == len(waited_s)
    assert "started again" not in gateway.log


def send_until(over: list[bool], device: Device, url: str) -> list[float]:
    """Send uplinks until it is over; how long each waited for its answer, in seconds."""
    waited_s = []
    while not over:
        begun_s = time.monotonic()
        assert device.post(url, b"established").code == Code.CREATED
        waited_s.append(time.monotonic() - begun_s)
        time.sleep(PAUSE_S / 5)
    return waited_s


def resident_bytes(gateway: Gateway) -> int:
    """The memory of the only worker."""
    (worker,) = gateway.worker_pids()
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{worker}/status").read_text())
    return int(kilobytes) << 10


def forged_hosts(count: int) -> list[str]:
    """As many addresses of this machine, none of them 127.0.0.*."""
    return [f"127.{1 + number // 250}.7.{1 + number % 250}" for number in range(count)]


@contextlib.contextmanager
def sock_at(host: str) -> Iterator[socket.socket]:
    """A socket that sends from an address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(2)
        yield sock


def in_bursts(gateway: Gateway, host: str, datagrams: Iterable[bytes]) -> None:
    """Send datagrams to the DTLS listener, some at a time."""
    with sock_at(host) as sock:
        for number, datagram in enumerate(datagrams):
            sock.sendto(datagram, ("127.0.0.1", gateway.dtls_port))
            if number % BURST == BURST - 1:
                time.sleep(PAUSE_S)


def client_hello() -> bytes:
    """A ClientHello without cookie."""
    endpoint = Endpoint(psk_config(PSK_IDENTITY, PSK_KEY))
    endpoint.connect(b"", time.monotonic())
    ((hello, _),) = endpoint.datagrams_to_send()
    return hello


class HalfOpen:
    """A handshake that is left alone as soon as the gateway keeps something of it."""

    def __init__(self, gateway: Gateway, sock: socket.socket) -> None:
        """Ask for the cookie."""
        self._gateway, self.sock = ("127.0.0.1", gateway.dtls_port), sock
        self._endpoint = Endpoint(psk_config(PSK_IDENTITY, PSK_KEY))
        self._endpoint.connect(b"", time.monotonic())
        self._send()
        self._endpoint.receive_datagram(sock.recv(65536), b"", time.monotonic(), time.time())

    def begin(self) -> None:
        """Say hello with the cookie; the gateway's flight is not waited for."""
        self._send()

    def _send(self) -> None:
        for datagram, _ in self._endpoint.datagrams_to_send():
            self.sock.sendto(datagram, self._gateway)


# -- junk ------------------------------------------------------------------------------------------


def junk(seed: int) -> Iterator[bytes]:
    """Datagrams of all sizes: noise, also behind the header of a record or of a CoAP message; ClientHellos, cut."""
    noise, hello = random.Random(seed), client_hello()
    for size in [*range(1500), 4096, 16384, 65507]:
        data = noise.randbytes(size)
        yield data
        header = bytes((noise.randrange(20, 27), 0xFE, noise.choice((0xFD, 0xFF)), 0, noise.randrange(2)))
        yield (header + bytes(6) + noise.randrange(1600).to_bytes(2, "big") + data)[:65507]
        yield (b"\x40\x02" + data)[:65507]
        yield hello[: size % (len(hello) + 1)] + data[:20]


def test_junk_of_all_sizes_changes_nothing(make_served: Callable[..., Gateway]) -> None:
    gateway = make_served()
    with served_all_the_while(gateway):
        for seed, host in enumerate(forged_hosts(2)):
            in_bursts(gateway, host, junk(seed))
    check_nothing_is_said(gateway)


def check_nothing_is_said(gateway: Gateway) -> None:
    """The log has no word of what was sent before the last clients came, which the worker has read by then."""
    assert "handshake with" not in gateway.log
    assert not re.search("(?m)^\\S+ (WARNING|ERROR) worker", gateway.log)


def test_junk_from_an_established_devices_own_address_does_not_harm_it(make_served: Callable[..., Gateway]) -> None:
    gateway = make_served()
    with contextlib.closing(Device(gateway.dtls_port, psk_config(PSK_IDENTITY, PSK_KEY))) as victim:
        victim.connect()
        # What comes from its socket comes from its address: to the gateway the two are one.
        with served_all_the_while(gateway):
            for number, datagram in enumerate(junk(3)):
                victim._socket.sendto(datagram, ("127.0.0.1", gateway.dtls_port))
                if number % BURST == BURST - 1:
                    assert victim.post(url_of(gateway), b"victim").code == Code.CREATED
        assert victim.ended is None


# -- handshakes that nobody means ------------------------------------------------------------------


def test_a_flood_of_hellos_with_forged_addresses_leaves_no_trace(make_served: Callable[..., Gateway]) -> None:
    gateway = make_served()
    with served_all_the_while(gateway):
        hello = client_hello()
        for host in forged_hosts(1000):
            in_bursts(gateway, host, [hello] * 20)
            time.sleep(PAUSE_S / 5)
    check_nothing_is_said(gateway)


def test_half_open_handshakes_beyond_the_bound_make_way_for_newer_ones(make_served: Callable[..., Gateway]) -> None:
    gateway = make_served(GATEWAY_DTLS_HANDSHAKES="20")
    with served_all_the_while(gateway):
        for host in forged_hosts(600):
            with sock_at(host) as sock:
                HalfOpen(gateway, sock).begin()
    # Lines that were too many for their second are counted with the next line of another second.
    next_second()
    assert coaps_client("openssl", url_of(gateway), *PSK_FLAGS) == ""
    assert told_of(gateway.log, "failed: no answer: too many handshakes at a time") >= 580
    seconds = re.findall(r"(?m)^(\S+)\.\d+Z INFO worker-0: handshake", gateway.log)
    # Two seconds of its own clock may lie in one of the log's.
    assert max(map(seconds.count, set(seconds))) <= 2 * LINES_PER_SECOND


def told_of(log: str, reason: str) -> int:
    """How many handshakes the log tells of, by a line of their own or among those that it only counts."""
    return log.count(reason) + sum(int(count) for count in re.findall(r"and (\d+) more lines about sessions", log))


def test_one_address_begins_only_so_many_handshakes_in_a_second(make_served: Callable[..., Gateway]) -> None:
    gateway = make_served(GATEWAY_DTLS_HANDSHAKE_RATE="5")
    with served_all_the_while(gateway), contextlib.ExitStack() as sockets:
        some = [HalfOpen(gateway, sockets.enter_context(sock_at("127.3.3.3"))) for _ in range(40)]
        first_s = last_s = time.monotonic()
        for one in some:
            one.begin()
        waiting = {one.sock for one in some}
        while answered := select.select(waiting, [], [], 1)[0]:
            waiting -= set(answered)
            last_s = time.monotonic()
        begun, seconds = 40 - len(waiting), int(last_s) - int(first_s) + 1
        assert 5 <= begun <= min(5 * seconds, 39)


# -- handshakes that fail --------------------------------------------------------------------------


def test_who_fails_too_often_is_locked_out_for_a_while_and_nobody_else(
    make_served: Callable[..., Gateway], tmp_path: Path
) -> None:
    gateway = make_served(GATEWAY_DTLS_LOCKOUT_FAILURES="5", GATEWAY_DTLS_LOCKOUT_SECONDS=str(LOCKED_OUT_S))
    url = url_of(gateway)
    stranger = write_pair(tmp_path, "stranger", device("stranger", **validity()))
    at = ("-a", "127.0.0.1")
    # The one that is served all the while has the very address of the one that fails.
    with served_all_the_while(gateway):
        for _ in range(5):
            assert "nknown" in coaps_client("openssl", url, *stranger, *at, payload=b"refused")
        locked_s = time.monotonic()
        with ThreadPoolExecutor(len(CLIENTS)) as threads:
            shut_out = threads.map(
                lambda client: coaps_client(client, url, *PSK_FLAGS, *at, "-B", "1", payload=b"refused"), CLIENTS
            )
            assert all("cannot send CoAP pdu" in printed for printed in shut_out)
        for client in CLIENTS:
            assert coaps_client(client, url, *PSK_FLAGS, "-a", "127.0.0.2", payload=b"elsewhere") == ""
        assert time.monotonic() < locked_s + LOCKED_OUT_S
        assert gateway.log.count("failed: unknown_ca") == 5
        eventually(
            lambda: coaps_client("openssl", url, *PSK_FLAGS, *at, "-B", "1", payload=b"let in again") == "",
            "the lock-out ends",
        )
        assert time.monotonic() > locked_s + LOCKED_OUT_S - 0.5
    eventually(lambda: {"elsewhere", "let in again"} <= set(devices(gateway)), "what was accepted is in the view")
    assert "refused" not in devices(gateway)
