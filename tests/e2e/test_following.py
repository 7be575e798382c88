"""What is changed while the gateway runs is in force when the command that changed it has ended."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from gateway.coap.codec import OptionNumber, Type, encode_message, parse_message
from gateway.model import Code
from gateway.operations.catalogue import open_catalogue
from gateway.worker import CATALOGUE_POLL_S

from .harness import JSON, PATIENCE_S, Gateway, eventually
from .secure import samples


def post(sock: socket.socket, message_id: int, url: str) -> Code:
    options = [(OptionNumber.URI_PATH, part.encode()) for part in url.split("/")[3:]]
    sock.send(encode_message(Type.CON, Code.POST, message_id, bytes([message_id]), options, JSON))
    assert select.select([sock], [], [], PATIENCE_S)[0]
    return Code(parse_message(sock.recv(1500)).code)


def test_every_worker_serves_what_was_just_changed(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(GATEWAY_WORKERS="3")
    url = gateway.add_demo("json")
    gateway.start()
    clients = [gateway.client() for _ in range(12)]  # enough for some at every worker
    for number in range(10):
        enabled = number % 2 == 1
        time.sleep(CATALOGUE_POLL_S / 7)  # so that the changes come at all times between two looks at the catalogue
        with open_catalogue(gateway.data_dir) as catalogue:
            catalogue.update_integration("json", replace(catalogue.integration("json"), enabled=enabled))
        codes = {post(sock, number, url) for sock in clients}
        assert codes == {Code.CREATED if enabled else Code.NOT_FOUND}
    for sock in clients:
        sock.close()


def test_a_stuck_worker_holds_up_a_command_and_does_not_fail_it(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway(GATEWAY_WORKERS="1")
    gateway.add_demo("json")
    gateway.start()
    worker = gateway.worker_pid(0)
    os.kill(worker, signal.SIGSTOP)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "integration", "disable", "json"],
            env=gateway.environment,
            cwd=gateway.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.kill(worker, signal.SIGCONT)
    assert (done.returncode, "worker 0 has not answered" in done.stderr) == (0, True)
    assert gateway.json("integration", "show", "json")["enabled"] is False


def test_the_delivery_goes_by_the_keys_of_now(gateway: Gateway) -> None:
    url = gateway.add_demo("json")
    gateway.start()
    sock = gateway.client()
    post(sock, 0, url)
    for number in range(1, 13):
        keys = ("temperature",) if number % 2 else ()
        with open_catalogue(gateway.data_dir) as catalogue:
            converter = catalogue.converter("json")
            catalogue.update_converter("json", replace(converter, update_only_keys=keys))
        post(sock, number, url)
        eventually(lambda: samples(gateway, "SN-001", "humidity") > number, "it is delivered")  # noqa: B023
        assert samples(gateway, "SN-001", "temperature") == 1 + number // 2
    sock.close()
