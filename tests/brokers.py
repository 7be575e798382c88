"""The real Mosquitto, on a port of its own, and a subscriber that holds what it gets to ThingsBoard's contract."""

import contextlib
import ipaddress
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import paho.mqtt.client as paho
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import DNSName, IPAddress
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.ports import free_tcp_port

from .dtls.certificates import DAY_S, Issued, Options, authority, device, server
from .mqtt_sessions import Contract

HOST: Final = "127.0.0.1"
_WHERE: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
"""Debian has Mosquitto where only root's PATH leads."""
_PATIENCE_S: Final = 10.0
_RESEND_S: Final = 0.5


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((HOST, port)) == 0


def _program(name: str) -> str:
    path = shutil.which(name, path=_WHERE)
    assert path is not None, f"{name} is missing: apt-get install mosquitto"
    return path


class Certificates:
    """A CA, a broker's certificate by it for 127.0.0.1 and localhost, and clients' certificates, as PEM files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._authority = authority("Broker CA", **_now())
        names = [DNSName("localhost"), IPAddress(ipaddress.ip_address(HOST))]
        options = Options(sans=names) | _now()
        self.ca = self._write_certificate("ca", self._authority)
        self.server, self.server_key = self._write("server", server("localhost", issuer=self._authority, **options))

    def client(self, name: str) -> tuple[Path, Path]:
        """A client's certificate and key."""
        return self._write(name, device(name, issuer=self._authority, **_now()))

    def server_context(self, *, ask_for_certificate: bool = False) -> ssl.SSLContext:
        """For a server of a test's own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.server_key)
        if ask_for_certificate:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def _write(self, name: str, one: Issued) -> tuple[Path, Path]:
        key = self.folder / f"{name}_key.pem"
        key.touch(0o600)
        key.write_bytes(one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return self._write_certificate(name, one), key

    def _write_certificate(self, name: str, one: Issued) -> Path:
        path = self.folder / f"{name}.pem"
        path.write_bytes(one.certificate.public_bytes(Encoding.PEM))
        return path


def _now() -> Options:
    return Options(not_before_s=time.time() - DAY_S, not_after_s=time.time() + 30 * DAY_S)


@dataclass(slots=True)
class BrokerOptions:
    """How a broker differs from one that takes anything from anybody."""

    users: Mapping[str, str] | None = None
    """Passwords by user; None: nobody has to say who it is."""
    certificates: Certificates | None = None
    """Speak TLS."""
    requires_certificate: bool = False
    """Let in only who has a certificate by that CA."""
    max_message_bytes: int | None = None
    """Refuse larger payloads: with a reason to MQTT 5, otherwise in silence (Mosquitto's message_size_limit)."""
    max_packet_bytes: int | None = None
    """Tell MQTT 5 of this size, and end connections that bring more (max_packet_size)."""
    lines: tuple[str, ...] = ()
    """Further lines of its configuration."""


class Broker:
    """A Mosquitto of a test's own. Nothing that it holds outlives it: there is no persistence."""

    def __init__(self, folder: Path, options: BrokerOptions | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.options = options or BrokerOptions()
        self.port = free_tcp_port()
        self.log_file = folder / "mosquitto.log"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.kill()

    @property
    def log(self) -> str:
        """All that it logged."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, with the options as they are now, on the same port each time; returns when it listens."""
        configuration = self._folder / "mosquitto.conf"
        configuration.write_text("\n".join(self._configuration()) + "\n")
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen([_program("mosquitto"), "-c", str(configuration)], stdout=log, stderr=log)
        deadline_s = time.monotonic() + _PATIENCE_S
        while not listens(self.port):
            assert self._process.poll() is None, f"Mosquitto ended: {self.log}"
            assert time.monotonic() < deadline_s, f"Mosquitto does not listen: {self.log}"
            time.sleep(0.01)

    def stop(self) -> None:
        """Have it end in order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL); not running, it stays so."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Have it stand still (SIGSTOP): connections are accepted, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        deadline_s = time.monotonic() + _PATIENCE_S
        while process is not None and process.poll() is None:
            assert time.monotonic() < deadline_s, f"Mosquitto does not end: {self.log}"
            process.send_signal(number)  # again: one that comes while it starts, it forgets
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_RESEND_S)

    def _configuration(self) -> list[str]:
        options = self.options
        lines = [
            "user root",  # otherwise, started by root, it could not read a test's files
            f"listener {self.port} {HOST}",
            "log_dest stderr",
            "set_tcp_nodelay true",
            "max_queued_messages 0",  # a subscriber that is slow loses nothing
            "max_inflight_messages 0",
            f"allow_anonymous {str(options.users is None).lower()}",
        ]
        if options.users is not None:
            lines.append(f"password_file {self._password_file(options.users)}")
        if options.certificates is not None:
            lines += [
                f"certfile {options.certificates.server}",
                f"keyfile {options.certificates.server_key}",
                f"cafile {options.certificates.ca}",
                f"require_certificate {str(options.requires_certificate).lower()}",
            ]
        if options.max_message_bytes is not None:
            lines.append(f"message_size_limit {options.max_message_bytes}")
        if options.max_packet_bytes is not None:
            lines.append(f"max_packet_size {options.max_packet_bytes}")
        return [*lines, *options.lines]

    def _password_file(self, users: Mapping[str, str]) -> Path:
        path = self._folder / "passwords"
        path.write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
        path.chmod(0o600)
        subprocess.run(
            [_program("mosquitto_passwd"), "-U", str(path)], check=True, capture_output=True, timeout=_PATIENCE_S
        )
        return path


def end_client(client: paho.Client) -> None:
    """Disconnect. Its callbacks go too: as part of a circle of objects it would leave its sockets to the collector."""
    client.disconnect()
    client.loop_stop()
    client.on_connect = client.on_subscribe = client.on_message = client.on_disconnect = None


class Checker:
    """Subscribes to everything and holds it to the contract; comes back when the broker does.

    To it the gateway's sessions look like one, unless it is told of them (`Contract.begin_session`), and a broker that
    is killed may lose what it took: what must have arrived, and in which session, the proxy tells.
    """

    def __init__(self, broker: Broker, user: str | None = None) -> None:
        self.contract = Contract()
        self.messages: list[tuple[str, bytes]] = []
        """In the order in which they came."""
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]
        options = broker.options
        if options.users is not None:
            user = user or next(iter(options.users))
            self._client.username_pw_set(user, options.users[user])
        if options.certificates is not None:
            certificates = options.certificates
            certificate, key = certificates.client("checker")
            self._client.tls_set(str(certificates.ca), str(certificate), str(key))
        self._port = broker.port

    def __enter__(self) -> Self:
        self._client.connect(HOST, self._port)
        self._client.loop_start()
        assert self._subscribed.wait(_PATIENCE_S), "the checker could not subscribe"
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        end_client(self._client)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send something, as ThingsBoard does to the gateway."""
        self._client.publish(topic, payload, qos=1).wait_for_publish(_PATIENCE_S)

    def _on_connect(
        self, client: paho.Client, data: Any, flags: Any, code: ReasonCode, more: Properties | None
    ) -> None:
        client.subscribe("#", options=SubscribeOptions(qos=1, noLocal=True))

    def _on_subscribe(
        self, client: paho.Client, data: Any, mid: int, codes: list[ReasonCode], more: Properties | None
    ) -> None:
        self._subscribed.set()

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        self.messages.append((message.topic, payload))
        self.contract.take(message.topic, payload)
