"""What operators see of a running gateway: figures of all processes, sessions, how it does; and ending a session."""

import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.model import Code, Role
from gateway.operations.users import add_user, create_token
from gateway.storage.catalogue import Catalogue
from tests.ports import free_tcp_port

from .dtls_device import Device, psk_config
from .harness import JSON, Gateway, coap_client, eventually
from .secure import PSK_IDENTITY, PSK_KEY, MakeGateway, endpoints, secure


class Http:
    """A script with an admin's token."""

    def __init__(self, gateway: Gateway) -> None:
        port = free_tcp_port()
        gateway.environment |= {"GATEWAY_HTTP_ENABLED": "true", "GATEWAY_HTTP_BIND_PORT": str(port)}
        with Catalogue(gateway.data_dir) as catalogue:
            add_user(catalogue, "ada", Role.ADMIN, None)
            self._token = create_token(catalogue, "ada", "test", Role.ADMIN, days=1).token
        self.url = f"http://127.0.0.1:{port}"

    def open(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(
            self.url + path, method=method, headers={"Authorization": f"Bearer {self._token}"}
        )
        return urllib.request.urlopen(request, timeout=20)

    def json(self, path: str, method: str = "GET") -> Any:
        with self.open(path, method) as answer:
            return json.load(answer)

    def is_up(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), self.open("/livez") as answer:
            return bool(answer.status == 200)
        return False

    def metrics(self) -> dict[str, Metric]:
        with self.open("/metrics") as answer:
            return {one.name: one for one in text_string_to_metric_families(answer.read().decode())}


def total(families: dict[str, Metric], name: str, **labels: str) -> float:
    """A metric, of all its series with these labels."""
    return sum(
        sample.value
        for family in families.values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.fixture
def served(make_gateway: MakeGateway) -> Gateway:
    gateway = secure(make_gateway(GATEWAY_WORKERS="2"))
    gateway.add_demo("json")
    gateway.command("integration", "update", "json", "--security-mode", "MIXED")
    return gateway


@pytest.fixture
def http(served: Gateway) -> Http:
    """The gateway, started, with its API."""
    made = Http(served)
    served.start()
    eventually(made.is_up, "the API answers")
    return made


@pytest.fixture
def devices(served: Gateway, http: Http) -> Iterator[list[Device]]:
    made = [Device(served.dtls_port, psk_config(PSK_IDENTITY, PSK_KEY)).connect() for _ in range(3)]
    yield made
    for device in made:
        device.close()


def test_uplinks_sessions_and_processes_are_in_the_metrics(served: Gateway, http: Http, devices: list[Device]) -> None:
    urls = endpoints(served, "json")
    for device in devices:
        assert device.post(urls["coaps"]).code == Code.CREATED
    coap_client("-m", "post", urls["coap"], payload=JSON)
    eventually(lambda: total(http.metrics(), "gateway_uplinks_total", code="2.01") == 4, "all uplinks are counted")
    eventually(lambda: total(http.metrics(), "gateway_dtls_sessions") == 3, "all sessions are counted")
    eventually(lambda: total(http.metrics(), "gateway_dtls_handshakes_total") == 3, "all handshakes are counted")
    eventually(lambda: total(http.metrics(), "gateway_request_seconds_count") == 4, "all uplinks are measured")
    eventually(
        lambda: total(http.metrics(), "gateway_delivered_reports_total", sink="devices") == 4, "all are delivered"
    )
    found = http.metrics()
    assert total(found, "gateway_request_seconds_count", security="dtls") == 3
    assert total(found, "gateway_request_seconds_count", security="plain") == 1
    assert total(found, "gateway_dtls_handshakes_total", principal="psk", kind="full") == 3
    assert total(found, "gateway_certificate_expiry_timestamp_seconds", role="server") > time.time()
    processes = {sample.labels["process"] for sample in found["gateway_process_cpu_seconds"].samples}
    assert processes == {"supervisor", "worker-0", "worker-1", "api"}
    assert all(sample.value > 1 << 20 for sample in found["gateway_process_resident_bytes"].samples)
    eventually(lambda: total(http.metrics(), "gateway_spool_bytes") == 0, "the spool is emptied")
    eventually(lambda: total(http.metrics(), "gateway_spool_oldest_seconds") == 0, "nothing waits")


def test_no_counter_goes_back_when_workers_die(served: Gateway, http: Http, devices: list[Device]) -> None:
    url = endpoints(served, "json")["coaps"]
    for device in devices:
        assert device.post(url).code == Code.CREATED
    eventually(lambda: total(http.metrics(), "gateway_uplinks_total") == 3, "the uplinks are counted")
    before = http.metrics()
    for index in range(2):
        os.kill(served.worker_pid(index), signal.SIGKILL)
    eventually(lambda: total(http.metrics(), "gateway_worker_restarts_total") == 2, "both are started again")
    eventually(lambda: served.log.count("listens on") >= 4, "both listen again")
    after = http.metrics()
    for family in before.values():
        if family.type != "gauge":
            for sample in family.samples:
                assert total(after, sample.name, **sample.labels) >= sample.value, sample
    eventually(lambda: total(http.metrics(), "gateway_dtls_sessions") == 0, "their sessions are gone")
    again = Device(served.dtls_port, psk_config(PSK_IDENTITY, PSK_KEY)).connect()
    assert again.post(url).code == Code.CREATED
    eventually(lambda: total(http.metrics(), "gateway_uplinks_total") == 4, "it goes on where it was")
    again.close()


def test_a_session_is_listed_and_ended_by_the_command_and_by_the_api(
    served: Gateway, http: Http, devices: list[Device]
) -> None:
    listed = served.json("session", "list")
    assert {one["address"] for one in listed} == {f"127.0.0.1:{device.port}" for device in devices}
    assert {one["principal"] for one in listed} == {PSK_IDENTITY}
    page = http.json("/api/v1/sessions?limit=2")
    rest = http.json(f"/api/v1/sessions?after={page['next']}")
    assert [one["id"] for one in page["items"] + rest["items"]] == [one["id"] for one in listed]
    assert served.json("session", "list", "--search", f":{devices[1].port}")[0]["id"] in {one["id"] for one in listed}
    table = served.command("session", "list", "--search", PSK_IDENTITY, "--limit", "1")
    assert PSK_IDENTITY in table

    ids = {one["address"].rpartition(":")[2]: one["id"] for one in listed}
    said = served.command("session", "end", ids[str(devices[0].port)])
    assert f'The session of psk "{PSK_IDENTITY}" from 127.0.0.1:{devices[0].port} is ended.' in said
    devices[0].wait_for_end()
    assert http.json(f"/api/v1/sessions/{ids[str(devices[1].port)]}", "DELETE")["principal"] == PSK_IDENTITY
    devices[1].wait_for_end()
    assert "there is no session" in served.command("session", "end", ids[str(devices[1].port)], code=1)
    assert [one["address"] for one in served.json("session", "list")] == [f"127.0.0.1:{devices[2].port}"]
    assert devices[2].post(endpoints(served, "json")["coaps"]).code == Code.CREATED


def test_an_ended_session_is_resumed_at_no_worker_and_after_no_restart(
    served: Gateway, http: Http, devices: list[Device]
) -> None:
    device, url = devices[0], endpoints(served, "json")["coaps"]
    resumption = device.resumption
    device.connect(resumption)
    assert device.association is not None
    assert device.association.resumed
    (session,) = served.json("session", "list", "--search", f":{device.port}")
    served.command("session", "end", session["id"])
    device.wait_for_end()
    for restart in range(3):
        for _ in range(4):  # from several ports, so that both workers are asked
            device.move()
            device.connect(resumption)
            assert not device.association.resumed
        if restart == 0:
            for index in range(2):
                os.kill(served.worker_pid(index), signal.SIGKILL)
            eventually(lambda: served.log.count("listens on") >= 4, "both workers listen again")
        elif restart == 1:
            served.stop()
            served.start()
    assert device.post(url).code == Code.CREATED


def test_the_overview_tells_how_it_does_once_and_as_a_stream(
    served: Gateway, http: Http, devices: list[Device]
) -> None:
    url = endpoints(served, "json")["coaps"]
    first = http.json("/api/v1/overview")
    assert [one["scheme"] for one in first["listeners"]] == ["coap", "coaps"]
    assert first["uplinks"]["per_s"] is None
    with http.open("/api/v1/stream") as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        for _ in range(20):
            for device in devices:
                assert device.post(url).code == Code.CREATED
            event = _next_event(stream)
            told = event["uplinks"]["per_s"] and event["latency"]["p99_ms"] and event["sinks"]
            if told and event["sessions"]["established"] == 3:
                break
        assert event["sessions"]["established"] == 3
        assert 0 < event["latency"]["p50_ms"] <= event["latency"]["p99_ms"] < 10_000
        assert {one["process"] for one in event["processes"]} == {"supervisor", "worker-0", "worker-1", "api"}
        assert [one["sink"] for one in event["sinks"]] == ["devices"]
        assert [one["role"] for one in event["certificates"]] == ["server"]


def test_a_stream_that_is_open_does_not_hold_up_the_end(served: Gateway, http: Http) -> None:
    with http.open("/api/v1/stream") as stream:
        _next_event(stream)
        began_s = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - began_s < 10
        rest = stream.read()
        assert not rest or rest.endswith(b"\n\n")
    assert "Traceback" not in served.log
    assert "Cancel" not in served.log


def _next_event(stream: Any) -> Any:
    while True:
        line = stream.readline()
        assert line, "the stream has ended"
        if line.startswith(b"data: "):
            assert stream.readline() == b"\n"
            return json.loads(line[6:])
