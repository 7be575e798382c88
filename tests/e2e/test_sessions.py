"""A device keeps its session: over another port, another worker, another certificate, a restart; and resumes it."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Code
from tests.dtls.certificates import server

from .dtls_device import Device, psk_config
from .harness import Gateway, eventually
from .secure import PSK_IDENTITY, PSK_KEY, MakeGateway, endpoints, secure, validity, write_certificate, write_key


@pytest.fixture
def devices() -> Iterator[list[Device]]:
    """Devices that go with the test."""
    made: list[Device] = []
    yield made
    for device in made:
        device.close()


@pytest.fixture
def served(make_gateway: MakeGateway) -> Gateway:
    """A gateway with two workers, DTLS, and the tutorial's JSON integration in mode MIXED; not started."""
    gateway = secure(make_gateway(GATEWAY_WORKERS="2"))
    gateway.add_demo("json")
    gateway.command("integration", "update", "json", "--security-mode", "MIXED")
    return gateway


def url_of(gateway: Gateway) -> str:
    return endpoints(gateway, "json")["coaps"]


def connected(gateway: Gateway, devices: list[Device], **settings: Any) -> Device:
    device = Device(gateway.dtls_port, psk_config(PSK_IDENTITY, PSK_KEY, **settings))
    devices.append(device)
    return device.connect()


def worker_of(gateway: Gateway, port: int) -> int:
    """Which worker made the handshake with a port."""
    pattern = rf"worker-(\d+): psk 'sensor-7' has a session from 127\.0\.0\.1:{port}\b"
    eventually(lambda: re.search(pattern, gateway.log), f"the session of port {port} is in the log")
    return int(re.findall(pattern, gateway.log)[-1])


def handshakes(gateway: Gateway) -> int:
    return gateway.log.count("has a session from")


def test_a_device_keeps_its_session_when_its_port_changes(served: Gateway, devices: list[Device]) -> None:
    served.start()
    device, url = connected(served, devices), url_of(served)
    for _ in range(10):
        assert device.post(url).code == Code.CREATED
        device.move()
    assert handshakes(served) == 1
    assert served.device("SN-001")["telemetry"]["humidity"]["value"] == 69


def test_a_device_keeps_its_session_when_its_records_reach_another_worker(
    served: Gateway, devices: list[Device]
) -> None:
    served.start()
    device, url = connected(served, devices), url_of(served)
    assert device.post(url).code == Code.CREATED
    home = worker_of(served, device.port)
    for _ in range(64):
        other = connected(served, devices)
        if worker_of(served, other.port) != home:
            break
    else:
        raise AssertionError("the kernel gives everything to one worker")
    seen = handshakes(served)
    device.take_place_of(other)
    for _ in range(3):
        assert device.post(url).code == Code.CREATED
    assert handshakes(served) == seen


def test_a_duplicate_from_another_port_is_answered_alike_and_stored_once(
    served: Gateway, devices: list[Device]
) -> None:
    served.start()
    device, url = connected(served, devices), url_of(served)
    first = device.post(url)
    device.move()
    device._mid -= 1  # the same message once more, in a new record
    assert device.post(url) == first
    assert len(served.device("SN-001", "--history", "humidity")["history"]) == 1


def test_a_device_without_connection_id_has_to_begin_anew_at_another_port(
    served: Gateway, devices: list[Device]
) -> None:
    served.start()
    device = Device(served.dtls_port, psk_config(PSK_IDENTITY, PSK_KEY, connection_id_bytes=None))
    devices.append(device)
    device.connect()
    url = url_of(served)
    assert device.post(url).code == Code.CREATED
    device.move()
    assert device.connect(device.resumption).association is not None
    assert device.association is not None
    assert device.association.resumed
    assert device.post(url).code == Code.CREATED


def test_a_new_certificate_is_for_new_handshakes_and_sessions_go_on(served: Gateway, devices: list[Device]) -> None:
    served.environment["TB_TRANSPORT_SSL_CERTIFICATE_RELOAD_CHECK_INTERVAL_SECONDS"] = "1"
    served.start()
    device, url = connected(served, devices), url_of(served)
    assert device.post(url).code == Code.CREATED
    renewed = server("renewed", **validity())
    write_key(served.folder / "coapserver_key.pem", renewed)
    write_certificate(served.folder / "coapserver.pem", renewed)
    eventually(
        lambda: served.log.count("new handshakes use the certificate of now") >= 2, "both workers have the new one"
    )
    assert device.post(url).code == Code.CREATED
    assert handshakes(served) == 1
    shown = served.command("certs", "verify", f"coaps://127.0.0.1:{served.dtls_port}", "--ca", "coapserver.pem", code=1)
    assert "CN=renewed" in shown


def test_a_certificate_that_can_not_be_used_leaves_the_old_one_in_force(served: Gateway, devices: list[Device]) -> None:
    served.environment["TB_TRANSPORT_SSL_CERTIFICATE_RELOAD_CHECK_INTERVAL_SECONDS"] = "1"
    served.start()
    certificate = served.folder / "coapserver.pem"
    good = certificate.read_bytes()
    certificate.write_text("no certificate")
    eventually(lambda: served.log.count("the server's certificate stays as it was") >= 2, "both workers say so")
    assert connected(served, devices).post(url_of(served)).code == Code.CREATED
    certificate.write_bytes(good)
    eventually(lambda: served.log.count("new handshakes use the certificate of now") >= 2, "and take it up again")


@pytest.mark.parametrize("workers_after", ["2", "3", "1"])
def test_a_restart_keeps_sessions_whatever_the_number_of_workers(
    served: Gateway, devices: list[Device], workers_after: str
) -> None:
    served.start()
    url = url_of(served)
    some = [connected(served, devices) for _ in range(6)]
    for device in some:
        assert device.post(url).code == Code.CREATED
    assert served.stop() == 0
    assert {path.stat().st_mode & 0o777 for path in served.data_dir.glob("sessions-*")} == {0o600}
    served.environment["GATEWAY_WORKERS"] = workers_after
    served.start()
    assert not list(served.data_dir.glob("sessions-*"))
    for device in some:
        assert device.post(url).code == Code.CREATED
    assert handshakes(served) == 6


def test_a_session_without_connection_id_outlives_a_restart_too(served: Gateway, devices: list[Device]) -> None:
    served.start()
    url = url_of(served)
    some = [connected(served, devices, connection_id_bytes=None) for _ in range(6)]
    served.stop()
    served.start()
    assert [device.post(url).code for device in some] == [Code.CREATED] * 6
    assert handshakes(served) == 6


def test_sessions_of_before_end_when_their_key_was_removed_meanwhile(served: Gateway, devices: list[Device]) -> None:
    served.start()
    device = connected(served, devices)
    served.stop()
    served.command("psk", "remove", PSK_IDENTITY)
    served.start()
    assert "0 sessions go on" in served.log
    device.wait_for_end()
    assert device.ended == "closed by the peer"


def test_saved_sessions_are_used_once(served: Gateway, devices: list[Device], tmp_path: Path) -> None:
    served.start()
    device, url = connected(served, devices), url_of(served)
    served.stop()
    (saved,) = served.data_dir.glob("sessions-*")
    content = saved.read_bytes()
    assert PSK_KEY.encode() not in content
    served.start()
    assert device.post(url).code == Code.CREATED
    for pid in served.worker_pids():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: served.log.count("listens on") == 6, "the workers are back")
    assert "1 sessions go on" in served.log
    assert served.log.count("sessions go on") == 1


def test_after_a_sigkill_a_device_resumes_its_session(served: Gateway, devices: list[Device]) -> None:
    served.start()
    url = url_of(served)
    some = [connected(served, devices) for _ in range(4)]
    for pid in served.worker_pids():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: served.log.count("listens on") == 4, "the workers are back")
    for device in some:
        resumption = device.resumption
        device.move()  # so that it may come to another worker as well
        device.connect(resumption)
        assert device.association is not None
        assert device.association.resumed
        assert device.post(url).code == Code.CREATED
    served.kill()
    served.start()
    for device in some:
        device.connect(device.resumption)
        assert device.association is not None
        assert device.association.resumed
        assert device.post(url).code == Code.CREATED


def test_the_key_log_lets_wireshark_read_a_session(served: Gateway, devices: list[Device]) -> None:
    log = served.folder / "keys.log"
    served.environment["GATEWAY_KEYLOG_FILE"] = str(log)
    served.start()
    device = connected(served, devices)
    assert device.association is not None
    assert f"CLIENT_RANDOM {device.association.client_random.hex()} " in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert "whoever reads it can read the traffic" in served.log


def test_a_stalled_disk_does_not_keep_a_stop_from_saving_the_sessions(served: Gateway, devices: list[Device]) -> None:
    served.environment["GATEWAY_WORKERS"] = "1"
    served.start()
    device, url = connected(served, devices), url_of(served)
    with served.held_database("spool-0.db"):
        device.send(url)
        assert served.stop() == 0
    assert list(served.data_dir.glob("sessions-*.state"))
    served.start()
    assert device.post(url).code == Code.CREATED


def test_a_worker_that_can_not_come_back_beside_a_broken_file_is_tried_again_and_the_others_serve(
    served: Gateway, devices: list[Device]
) -> None:
    served.start()
    device, url = connected(served, devices), url_of(served)
    home = worker_of(served, device.port)
    certificate = served.folder / "coapserver.pem"
    good = certificate.read_bytes()
    certificate.write_text("half a certifi")
    (other,) = (
        pid for pid in served.worker_pids() if f"--index\0{1 - home}\0" in Path(f"/proc/{pid}/cmdline").read_text()
    )
    os.kill(other, signal.SIGKILL)
    eventually(lambda: "exit code 78" in served.log, "its successor has found the broken file")
    assert device.post(url).code == Code.CREATED
    certificate.write_bytes(good)
    eventually(lambda: served.log.count("listens on") == 3, "it is back")
