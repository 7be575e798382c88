"""The sink `thingsboard`: its settings, delivery to the real Mosquitto, and servers that can't be delivered to."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.errors import ConfigurationError
from gateway.sinks import mqtt
from gateway.sinks.registry import make_sinks
from gateway.sinks.sink import RefusedRecords, SinkError, Trouble
from gateway.sinks.thingsboard import make
from tests.brokers import Broker, BrokerOptions, Certificates, Checker
from tests.mqtt_packets import BAD_CREDENTIALS, NOT_AUTHORIZED, SERVER_UNAVAILABLE, V5
from tests.mqtt_sessions import ATTRIBUTES, RPC
from tests.ports import free_tcp_port
from tests.scripted_mqtt import ScriptedServer

from .records import CountingHost, Taken, record, records, settings_of
from .thingsboard_rig import HOST, TOKEN, KeepingHost, deliver, run, sink_for, trouble_of, until

VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Starts a broker with these options, which ends with the test."""
    brokers: list[Broker] = []

    def start_one(**options: Any) -> Broker:
        broker = Broker(tmp_path / str(len(brokers)), BrokerOptions(**options))
        brokers.append(broker)
        broker.start()
        return broker

    yield start_one
    for broker in brokers:
        broker.kill()


def trouble_with(port: int, **values: Any) -> SinkError:
    """Why nothing can be delivered there."""
    return run(trouble_of(deliver(sink_for(port, **values), records(1))))


# -- settings ------------------------------------------------------------------------------------


def test_without_a_host_there_is_no_such_sink() -> None:
    assert make(settings_of(tb_access_token=TOKEN), CountingHost()) is None


def test_the_registry_makes_it_where_a_host_is_set() -> None:
    (sink,) = make_sinks(settings_of(tb_host="tb.example.com", tb_access_token=TOKEN), lambda name: CountingHost())
    assert (sink.name, sink.destination, sink.overlap) == ("thingsboard", "mqtt://tb.example.com:1883", 2)


@pytest.mark.parametrize(
    ("values", "destination"),
    [
        ({"tb_port": 1884}, "mqtt://tb.example.com:1884"),
        ({"tb_tls": True}, "mqtts://tb.example.com:8883"),
        ({"tb_tls": True, "tb_port": 8884}, "mqtts://tb.example.com:8884"),
        ({"tb_ca_file": "ca.pem"}, "mqtts://tb.example.com:8883"),
        ({"tb_client_cert": "c.pem"}, "mqtts://tb.example.com:8883"),
        ({"tb_host": "::1"}, "mqtt://[::1]:1883"),
        ({"tb_host": "[::1]"}, "mqtt://[::1]:1883"),
        ({"tb_host": "192.0.2.1"}, "mqtt://192.0.2.1:1883"),
        ({"tb_host": "gerät.example"}, "mqtt://gerät.example:1883"),
    ],
)
def test_the_destination_is_a_url_without_secrets(values: dict[str, Any], destination: str) -> None:
    sink = make(settings_of(**{"tb_host": "tb.example.com", "tb_access_token": TOKEN, **values}), CountingHost())
    assert sink is not None
    assert sink.destination == destination


@pytest.mark.parametrize(
    "host",
    [
        "mqtt://tb.example.com",
        "tb.example.com:1883",
        "tb.example.com/x",
        "a b",
        "user@host",
        "x" * 64,
        "a..b",
        "[::1",
        "\x01",
    ],
)
def test_a_host_that_is_none_is_a_mistake(host: str) -> None:
    with pytest.raises(ConfigurationError, match="TB_HOST=") as raised:
        make(settings_of(tb_host=host, tb_access_token=TOKEN), CountingHost())
    assert "TB_PORT" in raised.value.hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tb_access_token": TOKEN, "tb_username": "u"}, "TB_ACCESS_TOKEN and TB_USERNAME"),
        ({"tb_access_token": TOKEN, "tb_password": "p"}, "TB_ACCESS_TOKEN and TB_USERNAME"),
        ({"tb_password": "p"}, "TB_PASSWORD is set, and TB_USERNAME is not"),
        ({"tb_client_key": "k.pem"}, "TB_CLIENT_KEY is set, and TB_CLIENT_CERT is not"),
        (
            {"tb_access_token": TOKEN, "tb_client_key_password": "p"},
            "TB_CLIENT_KEY_PASSWORD is set, and TB_CLIENT_CERT",
        ),
    ],
)
def test_credentials_that_do_not_go_together_are_a_mistake(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        make(settings_of(tb_host="tb.example.com", **values), CountingHost())
    assert raised.value.hint
    assert TOKEN not in f"{raised.value} {raised.value.hint}"


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ({}, True),
        ({"tb_tls": True, "tb_ca_file": "ca.pem"}, True),
        ({"tb_access_token": TOKEN}, False),
        ({"tb_username": "u"}, False),
        ({"tb_client_id": "c"}, False),
        ({"tb_client_cert": "c.pem"}, False),
    ],
)
def test_no_credentials_at_all_are_warned_of_when_it_connects_once(
    values: dict[str, Any], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        sink = make(settings_of(tb_host=HOST, tb_port=free_tcp_port(), **values), CountingHost())
        assert sink is not None
        assert caplog.records == []
        for _ in range(2):
            asyncio.run(trouble_of(sink.connect().__aenter__()))
    assert caplog.text.count("TB_ACCESS_TOKEN") == warned


@VERSIONS
@pytest.mark.parametrize(
    ("values", "username", "password"),
    [
        ({}, TOKEN, None),
        ({"tb_access_token": None, "tb_username": "u", "tb_password": "pw"}, "u", b"pw"),
        ({"tb_access_token": None, "tb_username": "u"}, "u", None),
        ({"tb_access_token": None}, None, None),
    ],
)
def test_the_server_gets_the_credentials(
    version: str, values: dict[str, Any], username: str | None, password: bytes | None
) -> None:
    with ScriptedServer() as server:
        run(deliver(sink_for(server.port, tb_mqtt_version=version, tb_mqtt_keep_alive_seconds=7, **values), records(1)))
        connect = server.sessions[0].connect
    assert (connect.username, connect.password, connect.keep_alive_s, connect.clean) == (username, password, 7, True)


def test_the_client_id_is_the_given_one_or_one_for_each_sink() -> None:
    with ScriptedServer() as server:
        sink = sink_for(server.port)
        for one in (sink_for(server.port, tb_client_id="mine"), sink, sink, sink_for(server.port)):
            run(deliver(one, records(1)))
        mine, first, again, other = (session.connect.client_id for session in server.sessions)
    assert mine == "mine"
    assert first == again != other
    assert first.startswith("gateway-")


# -- the real Mosquitto --------------------------------------------------------------------------


@VERSIONS
def test_reports_arrive_as_the_contract_wants_them(version: str, start: Callable[..., Broker]) -> None:
    what = [
        record(n, name=f"SN-{n % 10}", telemetry=[(n + 1, {"n": n})], attributes={"m": n // 50}) for n in range(100)
    ]
    broker = start()
    with Checker(broker) as checker:
        assert run(deliver(sink_for(broker.port, tb_mqtt_version=version), what)).count == 100
        run(until(lambda: sum(len(one) for one in checker.contract.telemetry.values()) == 100))
    contract = checker.contract
    assert contract.violations == []
    assert [sample.ts for sample in contract.telemetry["SN-3"]] == list(range(4, 101, 10))
    assert contract.attributes["SN-3"] == [{"m": 0}, {"m": 1}]
    assert contract.types == {f"SN-{n}": "default" for n in range(10)}


@VERSIONS
def test_over_tls_with_our_ca_and_a_certificate_of_ours(
    version: str, start: Callable[..., Broker], certificates: Certificates
) -> None:
    broker = start(certificates=certificates, requires_certificate=True)
    cert, key = certificates.client("gateway")
    values: dict[str, Any] = {
        "tb_host": "localhost",
        "tb_ca_file": certificates.ca,
        "tb_client_cert": cert,
        "tb_client_key": key,
        "tb_mqtt_version": version,
    }
    assert run(deliver(sink_for(broker.port, **values), records(500))).count == 500


def test_shared_attributes_and_calls_come_back_and_our_own_messages_do_not(start: Callable[..., Broker]) -> None:
    broker = start()

    async def scenario(version: str) -> None:
        host = KeepingHost()
        async with sink_for(broker.port, host, tb_mqtt_version=version).connect() as session:
            await session.deliver([record(attributes={"device": "x", "data": {"id": 1, "method": "m"}})], Taken())
            await until(lambda: publish_until_heard(host))
            assert {values["a"] for _, values in host.attributes} == {1}
            await until(lambda: checker.contract.rpc_answers)
            assert host.rpcs[0] == ("SN-001", {"id": 3, "method": "reboot"})

    def publish_until_heard(host: KeepingHost) -> bool:
        checker.publish(ATTRIBUTES, b'{"device":"SN-001","data":{"a":1}}')
        checker.publish(RPC, b'{"device":"SN-001","data":{"id":3,"method":"reboot"}}')
        return bool(host.attributes and host.rpcs)

    with Checker(broker) as checker:
        for version in ("5", "3.1.1"):
            run(scenario(version))


def test_a_broker_that_stops_is_noticed_and_one_that_is_back_is_delivered_to(start: Callable[..., Broker]) -> None:
    broker = start()
    sink = sink_for(broker.port)

    async def lose() -> SinkError:
        async with sink.connect() as session:
            await session.deliver(records(3), Taken())
            broker.kill()
            return await trouble_of(session.closed())

    assert run(lose()).trouble is Trouble.UNREACHABLE
    assert run(trouble_of(deliver(sink, records(1)))).trouble is Trouble.UNREACHABLE
    broker.start()
    assert run(deliver(sink, records(3))).count == 3


def test_a_broker_that_stands_still_is_silent(start: Callable[..., Broker]) -> None:
    broker = start()

    async def scenario() -> SinkError:
        async with sink_for(broker.port, tb_mqtt_ack_timeout_ms=200).connect() as session:
            await session.deliver(records(3), Taken())
            broker.pause()
            return await trouble_of(session.deliver(records(3), Taken()))

    assert run(scenario()).trouble is Trouble.SILENT


def test_a_message_over_the_brokers_limit_is_refused(start: Callable[..., Broker]) -> None:
    sink, taken = sink_for(start(max_message_bytes=2000).port), Taken()
    what = [record(0), record(1, attributes={"t": "x" * 3000}), record(2)]
    with pytest.raises(RefusedRecords, match="Packet too large") as raised:
        run(deliver(sink, what, taken))
    assert (raised.value.start, raised.value.end, taken.count) == (0, 3, 0)
    assert run(deliver(sink, [what[0], what[2]])).count == 2


def test_a_polite_end_brings_no_complaint_of_the_broker(start: Callable[..., Broker]) -> None:
    broker = start()
    run(deliver(sink_for(broker.port, tb_client_id="polite"), records(3)))
    run(until(lambda: "polite" in broker.log.splitlines()[-1]))
    assert broker.log.splitlines()[-1].endswith("Client polite disconnected.")


# -- servers that can't be delivered to ----------------------------------------------------------


@VERSIONS
def test_wrong_credentials_are_refused(version: str, start: Callable[..., Broker]) -> None:
    broker = start(users={"u": "right"})
    values: dict[str, Any] = {"tb_access_token": None, "tb_username": "u", "tb_mqtt_version": version}
    error = trouble_with(broker.port, tb_password="wrong-password", **values)
    assert error.trouble is Trouble.REFUSED
    assert "TB_ACCESS_TOKEN" in error.hint
    assert "wrong-password" not in f"{error.message} {error.hint}"
    assert run(deliver(sink_for(broker.port, tb_password="right", **values), records(1))).count == 1


@VERSIONS
@pytest.mark.parametrize(
    ("codes", "trouble"),
    [(NOT_AUTHORIZED, Trouble.REFUSED), (BAD_CREDENTIALS, Trouble.REFUSED), (SERVER_UNAVAILABLE, Trouble.BUSY)],
)
def test_the_servers_no_is_told_by_its_reason(version: str, codes: dict[int, int], trouble: Trouble) -> None:
    with ScriptedServer() as server:
        server.welcome = lambda connect: codes[connect.version]
        assert trouble_with(server.port, tb_mqtt_version=version).trouble is trouble


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (0x8C, Trouble.REFUSED),
        (0x85, Trouble.REFUSED),
        (0x8A, Trouble.REFUSED),
        (0x89, Trouble.BUSY),
        (0x97, Trouble.BUSY),
        (0x9F, Trouble.BUSY),
        (0x84, Trouble.MISCONFIGURED),
        (0x80, Trouble.UNREACHABLE),
        (0x9C, Trouble.UNREACHABLE),
    ],
)
def test_the_reasons_of_mqtt_5(code: int, trouble: Trouble) -> None:
    with ScriptedServer() as server:
        server.welcome = lambda connect: code
        assert trouble_with(server.port).trouble is trouble


def test_a_server_of_mqtt_3_1_1_alone_is_told_from_others() -> None:
    with ScriptedServer() as server:
        server.welcome = lambda connect: 1 if connect.version == V5 else 0
        error = trouble_with(server.port)
        assert (error.trouble, error.hint) == (Trouble.MISCONFIGURED, "set TB_MQTT_VERSION=3.1.1")
        assert run(deliver(sink_for(server.port, tb_mqtt_version="3.1.1"), records(1))).count == 1


def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        error = trouble_with(sock.getsockname()[1])
    assert error.trouble is Trouble.UNREACHABLE
    assert "refused" in error.message and "TB_HOST" in error.hint


def test_a_host_without_an_address_is_unreachable() -> None:
    error = trouble_with(1883, tb_host="nobody.invalid")
    assert error.trouble is Trouble.UNREACHABLE
    assert "the address of nobody.invalid is not known" in error.message


def test_a_server_that_does_not_answer_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.2)
    with ScriptedServer() as server:
        server.welcome = lambda connect: None
        error = trouble_with(server.port)
    assert error.trouble is Trouble.UNREACHABLE
    assert "does not answer as an MQTT server does (0.2 s)" in error.message


def test_a_ca_that_is_not_the_servers_is_untrusted(
    start: Callable[..., Broker], certificates: Certificates, tmp_path: Path
) -> None:
    broker = start(certificates=certificates)
    for values in ({"tb_ca_file": Certificates(tmp_path / "other").ca}, {"tb_tls": True}):
        error = trouble_with(broker.port, **values)
        assert error.trouble is Trouble.UNTRUSTED
        assert "its certificate is not trusted" in error.message
        assert "TB_CA_FILE" in error.hint


def test_a_certificate_for_another_host_is_untrusted_and_said_to_be_so(
    start: Callable[..., Broker], certificates: Certificates
) -> None:
    broker = start(certificates=certificates)
    error = trouble_with(broker.port, tb_host="127.1", tb_ca_file=certificates.ca)
    assert error.trouble is Trouble.UNTRUSTED
    assert "for another host" in error.message
    assert "TB_HOST" in error.hint


def test_a_server_that_wants_a_certificate_refuses(start: Callable[..., Broker], certificates: Certificates) -> None:
    broker = start(certificates=certificates, requires_certificate=True)
    error = trouble_with(broker.port, tb_ca_file=certificates.ca)
    assert error.trouble is Trouble.REFUSED
    assert "it wants a certificate of ours" in error.message
    assert "TB_CLIENT_CERT" in error.hint


def test_a_certificate_of_a_ca_that_the_server_does_not_know_is_refused(
    start: Callable[..., Broker], certificates: Certificates, tmp_path: Path
) -> None:
    broker = start(certificates=certificates, requires_certificate=True)
    cert, key = Certificates(tmp_path / "other").client("stranger")
    error = trouble_with(broker.port, tb_ca_file=certificates.ca, tb_client_cert=cert, tb_client_key=key)
    assert error.trouble is Trouble.REFUSED


def test_tls_on_the_plain_port_is_told_by_its_hint(start: Callable[..., Broker]) -> None:
    error = trouble_with(start().port, tb_tls=True)
    assert error.trouble is Trouble.UNREACHABLE
    assert "8883" in error.hint


def test_plain_on_the_tls_port_is_unreachable(start: Callable[..., Broker], certificates: Certificates) -> None:
    error = trouble_with(start(certificates=certificates).port)
    assert error.trouble is Trouble.UNREACHABLE
    assert "TB_TLS" in error.hint and "TB_MQTT_VERSION=3.1.1" in error.hint


@pytest.mark.parametrize("name", ["tb_ca_file", "tb_client_cert"])
def test_a_file_that_is_not_there_is_looked_for_at_each_attempt(
    name: str, start: Callable[..., Broker], certificates: Certificates, tmp_path: Path
) -> None:
    broker = start(certificates=certificates)
    missing = tmp_path / "missing.pem"
    cert, key = certificates.client("late")
    files: dict[str, Any] = {"tb_ca_file": certificates.ca, name: missing}
    sink = sink_for(broker.port, **files)
    error = run(trouble_of(deliver(sink, records(1))))
    assert error.trouble is Trouble.MISCONFIGURED
    assert name.upper() in error.message and str(missing) in error.message
    missing.write_bytes(certificates.ca.read_bytes() if name == "tb_ca_file" else cert.read_bytes() + key.read_bytes())
    missing.chmod(0o600)
    assert run(deliver(sink, records(1))).count == 1


@pytest.mark.parametrize(("password", "trouble"), [("right", None), ("wrong", Trouble.MISCONFIGURED)])
def test_the_password_of_a_key(
    password: str, trouble: Trouble | None, start: Callable[..., Broker], certificates: Certificates, tmp_path: Path
) -> None:
    broker = start(certificates=certificates, requires_certificate=True)
    cert, plain = certificates.client("locked")
    key = tmp_path / "key.pem"
    key.touch(0o600)
    key.write_bytes(
        load_pem_private_key(plain.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right")
        )
    )
    values: dict[str, Any] = {"tb_ca_file": certificates.ca, "tb_client_cert": cert, "tb_client_key": key}
    sink = sink_for(broker.port, tb_client_key_password=password, **values)
    if trouble is None:
        assert run(deliver(sink, records(1))).count == 1
    else:
        error = run(trouble_of(deliver(sink, records(1))))
        assert error.trouble is trouble
        assert "TB_CLIENT_KEY_PASSWORD" in f"{error.message} {error.hint}"
