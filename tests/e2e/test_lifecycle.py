"""Processes: what is killed comes back, what is stopped ends cleanly, and nothing that was acknowledged is lost."""

import contextlib
import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.coap.codec import OptionNumber, Type, encode_message, parse_message
from gateway.model import Code
from gateway.storage.device_view import DeviceView

from .harness import JSON, Gateway, coap_client, eventually

COUNTING = """
var data = JSON.parse(String.fromCharCode.apply(String, payload));
return {deviceName: "device-" + data.socket, telemetry: [{ts: data.ts, values: {n: data.n}}]};
"""


class Sender:
    """Many sockets, each sending confirmable uplinks and repeating them until they are acknowledged or time is up."""

    def __init__(self, gateway: Gateway, url: str, sockets: int, uplinks: int) -> None:
        self.began_ms = time.time_ns() // 1_000_000
        self.options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
        self.sockets = [gateway.client() for _ in range(sockets)]
        self.todo = {
            (index, number): self._message(index, number)
            for index in range(sockets)
            for number in range(uplinks // sockets)
        }
        self.acknowledged: set[tuple[int, int]] = set()
        self.refused: list[int] = []

    def _message(self, index: int, number: int) -> bytes:
        payload = b'{"socket": %d, "n": %d, "ts": %d}' % (index, number, self.began_ms + number)
        return encode_message(Type.CON, Code.POST, number, b"", self.options, payload)

    def run(self, patience_s: float) -> None:
        """Send until everything is acknowledged; gives up after `patience_s`."""
        deadline_s = time.monotonic() + patience_s
        while len(self.acknowledged) + len(self.refused) < len(self.todo) and time.monotonic() < deadline_s:
            pending = [key for key in self.todo if key not in self.acknowledged]
            for index, number in pending[:200]:
                self._send(self.sockets[index], self.todo[index, number])
            self._collect(0.1)

    def _send(self, sock: socket.socket, data: bytes) -> None:
        try:
            sock.send(data)
        except ConnectionRefusedError:  # nobody listens for the moment
            time.sleep(0.001)

    def _collect(self, patience_s: float) -> None:
        while ready := select.select(self.sockets, [], [], patience_s)[0]:
            patience_s = 0.0
            for sock in ready:
                try:
                    message = parse_message(sock.recv(2048))
                except ConnectionRefusedError:
                    continue
                if message.code == Code.CREATED:
                    self.acknowledged.add((self.sockets.index(sock), message.mid))
                elif message.code:
                    self.refused.append(message.code)

    def close(self) -> None:
        """Close the sockets."""
        for sock in self.sockets:
            sock.close()


def stored(gateway: Gateway, sockets: int) -> set[tuple[int, int]]:
    """All (socket, number) pairs that are in the device history."""
    with contextlib.closing(DeviceView(gateway.data_dir)) as view:
        known = {device.name for device in view.devices()}
        return {
            (index, int(sample.value))
            for index in range(sockets)
            if f"device-{index}" in known
            for sample in view.history(f"device-{index}", "n", limit=10_000)
        }


def test_sigkill_of_worker_and_supervisor_loses_nothing_acknowledged(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(GATEWAY_WORKERS="2")
    url = gateway.add_integration("count", COUNTING)
    gateway.start()
    sender = Sender(gateway, url, sockets=20, uplinks=2000)
    sending = threading.Thread(target=sender.run, args=(60.0,))
    sending.start()
    try:
        eventually(lambda: len(sender.acknowledged) > 300, "some uplinks are acknowledged")
        os.kill(gateway.worker_pids()[0], signal.SIGKILL)
        eventually(lambda: len(sender.acknowledged) > 700, "more uplinks are acknowledged")
        before = set(sender.acknowledged)
        for pid in [gateway.pid, *gateway.worker_pids()]:
            os.kill(pid, signal.SIGKILL)
        gateway.wait()
        assert len(sender.acknowledged) < 2000
        gateway.start()
        sending.join(60)
    finally:
        sender.close()
    assert len(sender.acknowledged) == 2000, sender.refused[:10]
    assert before < sender.acknowledged
    eventually(lambda: stored(gateway, 20) >= sender.acknowledged, "every acknowledged uplink is in the history")


def test_a_killed_worker_is_back_within_2_s_and_the_others_never_notice(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(GATEWAY_WORKERS="2")
    url = gateway.add_demo("json")
    gateway.start()
    first, second = gateway.worker_pids()
    os.kill(first, signal.SIGKILL)
    killed_s = time.monotonic()
    eventually(lambda: gateway.log.count("listens on") == 3, "the worker is back")
    assert time.monotonic() - killed_s < 2
    assert second in gateway.worker_pids()
    assert "worker 0 ended unasked (signal SIGKILL)" in gateway.log
    for _ in range(8):  # from as many ports: both workers get some
        assert coap_client("-m", "post", url, payload=JSON) == ""


def test_what_arrives_while_a_worker_is_gone_is_answered_when_it_is_back(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    os.kill(gateway.worker_pids()[0], signal.SIGKILL)
    with gateway.client() as sock:
        options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
        sock.send(encode_message(Type.CON, Code.POST, 1, b"", options, JSON))
        assert parse_message(sock.recv(2048)).code == Code.CREATED


def test_sigterm_stops_within_5_s_with_everything_accepted_committed(make_gateway: Callable[..., Gateway]) -> None:
    # A long commit interval: what is accepted is still waiting when the signal comes.
    gateway = make_gateway(GATEWAY_COMMIT_INTERVAL_MS="3000", COAP_PIGGYBACK_TIMEOUT="9000")
    url = gateway.add_integration("count", COUNTING)
    gateway.start()
    sender = Sender(gateway, url, sockets=1, uplinks=50)
    for data in sender.todo.values():
        sender.sockets[0].send(data)
    eventually(lambda: (gateway.data_dir / "spool-0.db-wal").exists(), "the worker has begun")
    began_s = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - began_s < 5
    sender._collect(0.2)
    sender.close()
    assert len(sender.acknowledged) == 50
    assert stored(gateway, 1) == sender.acknowledged
    assert "stopped; uplinks answered: 50 x 2.01" in gateway.log


def test_ctrl_c_stops_it_too(gateway: Gateway) -> None:
    gateway.start()
    os.kill(gateway.pid, signal.SIGINT)
    assert gateway.wait() == 0


def test_workers_end_when_their_supervisor_is_killed(gateway: Gateway) -> None:
    gateway.start()
    (worker,) = gateway.worker_pids()
    os.kill(gateway.pid, signal.SIGKILL)
    gateway.wait()
    eventually(lambda: not Path(f"/proc/{worker}").exists() or _is_zombie(worker), "the worker ended")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_taken_port_is_a_clear_error(gateway: Gateway) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", gateway.port))
        gateway.launch()
        assert gateway.wait() == 78
    assert f"port {gateway.port} can't be bound: Address already in use" in gateway.log
    assert "COAP_BIND_PORT" in gateway.log
    assert "Traceback" not in gateway.log


def test_an_unusable_data_directory_is_a_clear_error(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    gateway = make_gateway(GATEWAY_DATA_DIR=str(blocked / "data"))
    gateway.launch()
    assert gateway.wait() == 78
    assert "GATEWAY_DATA_DIR" in gateway.log
    assert "Traceback" not in gateway.log


def test_a_second_gateway_on_the_same_data_directory_is_a_clear_error(make_gateway: Callable[..., Gateway]) -> None:
    first = make_gateway()
    first.start()
    second = make_gateway(GATEWAY_DATA_DIR=str(first.data_dir))
    second.launch()
    assert second.wait() == 78
    assert f"another gateway (process {first.pid}) runs on" in second.log
    assert "Traceback" not in second.log


def test_wrong_settings_are_one_line_each_and_exit_78(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(COAP_BIND_PORT="70000", GATEWAY_WORKERS="many")
    gateway.launch()
    assert gateway.wait() == 78
    assert "COAP_BIND_PORT=70000" in gateway.log
    assert "GATEWAY_WORKERS=many" in gateway.log
    assert "Traceback" not in gateway.log


def test_integrations_change_while_it_runs_without_a_lost_request(gateway: Gateway) -> None:
    url = gateway.add_integration("count", COUNTING)
    gateway.start()
    sender = Sender(gateway, url, sockets=4, uplinks=1200)
    sending = threading.Thread(target=sender.run, args=(60.0,))
    sending.start()
    late = gateway.add_demo("json")
    assert coap_client("-m", "post", late, payload=JSON) == ""
    gateway.command("integration", "disable", "json")
    assert coap_client("-m", "post", late, payload=JSON).startswith("4.04")
    gateway.command("integration", "enable", "json")
    assert coap_client("-m", "post", late, payload=JSON) == ""
    gateway.command("integration", "delete", "json")
    assert coap_client("-m", "post", late, payload=JSON).startswith("4.04")
    sending.join(60)
    sender.close()
    assert sender.refused == []
    assert len(sender.acknowledged) == 1200


def test_a_full_disk_answers_5_03_and_recovers_by_itself(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    assert coap_client("-m", "post", url, payload=JSON) == ""
    (worker,) = gateway.worker_pids()
    limits = resource.prlimit(worker, resource.RLIMIT_FSIZE)
    room = (gateway.data_dir / "spool-0.db-wal").stat().st_size
    resource.prlimit(worker, resource.RLIMIT_FSIZE, (room, limits[1]))
    assert coap_client("-m", "post", url, payload=JSON).startswith("5.03")
    resource.prlimit(worker, resource.RLIMIT_FSIZE, limits)
    assert coap_client("-m", "post", url, payload=JSON) == ""
    assert "uplinks are answered 5.03" in gateway.log
    assert "can be written again" in gateway.log
    assert gateway.worker_pids() == [worker]


def test_reports_in_the_spool_of_a_worker_that_is_no_more_arrive(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(GATEWAY_WORKERS="2")
    url = gateway.add_integration("count", COUNTING)
    gateway.start()
    sender = Sender(gateway, url, sockets=16, uplinks=64)
    with gateway.held_database("devices.db"):
        sender.run(20)
        for pid in [gateway.pid, *gateway.worker_pids()]:
            os.kill(pid, signal.SIGKILL)
        gateway.wait()
    sender.close()
    gateway.environment["GATEWAY_WORKERS"] = "1"
    gateway.start()
    eventually(lambda: stored(gateway, 16) == set(sender.todo), "everything is in the device view")
