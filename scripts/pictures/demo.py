"""A gateway with made-up devices, for pictures."""

import contextlib
import json
import math
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from gateway.coap.codec import OptionNumber, Type, encode_message
from gateway.model import Code

PATIENCE_S = 30.0

PLAIN_PORT, DTLS_PORT, HTTP_PORT = 5683, 5684, 8080
"""As they are for most; pictures show them. Where one is taken, a free one is used."""

GREENHOUSE = """// {"device": "greenhouse-01", "model": "TH-2", "samples": [[1790000000000, 21.4, 63], …]}
var data = JSON.parse(String.fromCharCode.apply(String, payload));
return {
  deviceName: data.device,
  deviceType: "climate",
  attributes: { model: data.model, site: metadata.site },
  telemetry: data.samples.map(function (sample) {
    return { ts: sample[0], values: { temperature: sample[1], humidity: sample[2] } };
  })
};
"""
TEXT = """// SN-001,default,temperature,25.7,humidity,69
var parts = String.fromCharCode.apply(String, payload).trim().split(",");
if (parts.length < 4) {
  throw new Error("too few fields: " + parts.length);
}
var telemetry = {};
for (var i = 2; i + 1 < parts.length; i += 2) {
  telemetry[parts[i]] = parseFloat(parts[i + 1]);
}
return { deviceName: parts[0], deviceType: parts[1], telemetry: telemetry };
"""
TBEL = """// One byte of counter, two of temperature
return {
  deviceName: metadata["pskIdentity"],
  deviceType: "meter",
  telemetry: { count: payload[0], temperature: parseBytesToInt(payload, 1, 2, true) / 100.0 }
};
"""
KEY = "a-key-for-pictures"


class Demo:
    """Runs it; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = [_free(kind, port) for kind, port in _WANTED]
        known = ("COAP_", "TB_", "GATEWAY_", "PYTEST_", "NICEGUI_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(known)} | {
            "GATEWAY_DATA_DIR": str(folder / "data"),
            "GATEWAY_BASE_URL": "",
            "GATEWAY_WORKERS": "2",
            "GATEWAY_JSONL_SINK_PATH": "reports.jsonl",
            "GATEWAY_HTTP_SINK_URL": f"http://127.0.0.1:{_free(socket.SOCK_STREAM, 0)}/reports",  # nobody is there
            "GATEWAY_HTTP_BIND_PORT": str(self._ports[2]),
            "COAP_SECURITY_MODE": "MIXED",
            "COAP_BIND_ADDRESS": "127.0.0.1",
            "COAP_BIND_PORT": str(self._ports[0]),
            "COAP_DTLS_BIND_ADDRESS": "127.0.0.1",
            "COAP_DTLS_BIND_PORT": str(self._ports[1]),
            "COAP_DTLS_PEM_CERT": "certs/coapserver.pem",
            "COAP_DTLS_PEM_KEY": "certs/coapserver_key.pem",
        }
        self.url = f"http://127.0.0.1:{self._ports[2]}"
        self.password = ""
        self._log = folder / "gateway.log"
        self._stop = threading.Event()
        self._paths: dict[str, list[str]] = {}
        """Of each integration, its endpoint's segments."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start it, fill it, and keep devices sending."""
        self.command("certs", "server", "gateway.example.com")
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"],
                env=self.environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        sender = threading.Thread(target=self._send_on)
        try:
            self.password = _eventually(self._first_password)
            _eventually(lambda: "the REST API is at" in self._log.read_text())
            self._fill()
            sender.start()
            yield
        finally:
            self._stop.set()
            if sender.ident is not None:
                sender.join()
            process.terminate()
            process.wait(PATIENCE_S)

    def command(self, *arguments: str) -> str:
        """Run `gateway …`; gives what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *arguments],
            env=self.environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"gateway {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def _first_password(self) -> str:
        file = self._folder / "data" / "first-password"
        return file.read_text().strip() if file.exists() else ""

    def _fill(self) -> None:
        with httpx.Client(base_url=f"{self.url}/api/v1", timeout=PATIENCE_S) as api:
            token = _post(api, "/login", {"user": "admin", "password": self.password})["token"]
            api.headers["Authorization"] = f"Bearer {token}"
            for name, language, source in (
                ("tutorial", "javascript", TEXT),
                ("greenhouse", "javascript", GREENHOUSE),
                ("meter", "tbel", TBEL),
            ):
                _post(api, "/converters", {"name": name, "language": language, "source": source})
            case = {"payload": "SN-001,default,temperature,25.7,humidity,69", "payload_format": "text"}
            for name, more in (("two values", {"expect_current": True}), ("one value", {})):
                api.put(f"/converters/tutorial/cases/{name}", json={**case, **more}).raise_for_status()
            berlin = {"site": "Berlin"}
            for fields in (
                {"name": "tutorial", "converter": "tutorial", "security_mode": "MIXED", "debug": "all"},
                {"name": "greenhouses", "converter": "greenhouse", "path_prefix": "api/v2", "metadata": berlin},
                {"name": "meters", "converter": "meter", "security_mode": "DTLS", "identity_binding": "name",
                 "require_principal": True, "debug": "failures"},
                {"name": "old meters", "converter": "meter", "enabled": False},
            ):  # fmt: skip
                made = _post(api, "/integrations", fields)
                self._paths[fields["name"]] = made["endpoints"][0].split("/")[3:]
                if fields["name"] == "meters":
                    meters_url = made["endpoints"][0]
            for number in range(1, 6):
                _post(api, "/psk", {"identity": f"meter-{number}", "key": KEY})
            for number in range(1, 5):
                new = {
                    "name": f"pump-{number}",
                    "alternative_names": [f"urn:dev:ops:pump-{number}"],
                    "days": 20 * number,
                }
                api.post("/certificates/clients", json=new).raise_for_status()
            lost = api.get("/certificates/clients", params={"search": "pump-3"}).raise_for_status().json()["items"][0]
            _post(api, f"/certificates/clients/{lost['serial']}/revoke", {})
        self._send_history()
        for number in range(1, 6):
            self._leave_session(meters_url, number)

    def _leave_session(self, url: str, number: int) -> None:
        """Have a meter send, and go without a word, so that its session stays."""
        arguments = ("--hex", f"{number:02x} 09 {number:02x}", "--psk-identity", f"meter-{number}", "--psk-key", KEY)
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "send", url, *arguments, "--count", "1000000", "--verbose"],
            env=self.environment,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        with process.stderr:
            while b"handshake" not in process.stderr.readline():
                pass
            time.sleep(0.3)
            process.kill()
        process.wait(PATIENCE_S)

    def _send_history(self) -> None:
        now_ms = int(time.time() * 1000)
        with _Device(self._ports[0]) as device:
            # The workers look for new integrations a few times a second.
            first = {"device": "greenhouse-01", "model": "TH-2", "samples": [_climate(now_ms, 1)]}
            _eventually(lambda: device.send(self._paths["greenhouses"], json.dumps(first).encode()) < Code.BAD_REQUEST)
            for number in range(1, 13):
                samples = [_climate(now_ms - age_min * 60_000, number) for age_min in range(1440, 0, -10)]
                for start in range(0, len(samples), 24):
                    body = {
                        "device": f"greenhouse-{number:02}",
                        "model": "TH-2",
                        "samples": samples[start : start + 24],
                    }
                    device.send(self._paths["greenhouses"], json.dumps(body).encode())
            device.send(self._paths["tutorial"], b"SN-001,default,temperature,25.7,humidity,69")

    def _send_on(self) -> None:
        chance = random.Random(7)
        with _Device(self._ports[0]) as device:
            while not self._stop.wait(0.05):
                path = self._paths["tutorial"]
                for _ in range(chance.randrange(1, 6)):
                    number, heat = chance.randrange(2, 30), 21 + 4 * math.sin(time.time() / 20) + chance.random()
                    text = f"SN-{number:03},default,temperature,{heat:.1f},humidity,{chance.randrange(40, 70)}"
                    device.send(path if chance.random() > 0.02 else ["i", "nobody"], text.encode())
                if chance.random() < 0.03:
                    device.send(path, b"SN-044,battery low")


class _Device:
    """Sends uplinks, over plain CoAP, and waits for each answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE_S)
        self._socket.connect(("127.0.0.1", port))
        self._mid = random.randrange(65536)

    def __enter__(self) -> "_Device":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, path: list[str], payload: bytes) -> int:
        """Gives the code of the answer."""
        self._mid = (self._mid + 1) & 0xFFFF
        options = [(OptionNumber.URI_PATH, segment.encode()) for segment in path]
        self._socket.send(encode_message(Type.CON, Code.POST, self._mid, options=options, payload=payload))
        return self._socket.recv(2048)[1]


_WANTED = ((socket.SOCK_DGRAM, PLAIN_PORT), (socket.SOCK_DGRAM, DTLS_PORT), (socket.SOCK_STREAM, HTTP_PORT))


def _free(kind: int, wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, kind) as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise RuntimeError("there is no free port")


def _climate(ts_ms: int, number: int) -> list[float]:
    hour = ts_ms / 3_600_000
    heat = 19 + number / 4 + 5 * math.sin((hour - 9) / 24 * 2 * math.pi) + math.sin(hour * 3 + number) / 2
    return [ts_ms, round(heat, 1), round(62 - 12 * math.sin((hour - 9) / 24 * 2 * math.pi) + math.cos(hour * 5), 0)]


def _post(api: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    answer = api.post(path, json=body)
    if not answer.is_success:
        raise RuntimeError(f"{path}: {answer.text}")
    return answer.json()


def _eventually(what: Any) -> Any:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if found := what():
            return found
        time.sleep(0.1)
    raise RuntimeError("the gateway did not start")
