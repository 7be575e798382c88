"""What the tests of the secure gateway share: its certificate, gateways with DTLS, and the real clients."""

import contextlib
import ipaddress
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import DNSName, IPAddress

from gateway.storage.device_view import DeviceView
from tests.dtls.certificates import DAY_S, Issued, Options, server

from .harness import JSON, PATIENCE_S, Gateway, eventually

Client: TypeAlias = Literal["openssl", "gnutls"]
"""Which of libcoap's clients."""
CLIENTS: tuple[Client, ...] = get_args(Client)

PSK_IDENTITY, PSK_KEY = "sensor-7", "a key of 23 characters."
PSK_FLAGS = ("-u", PSK_IDENTITY, "-k", PSK_KEY)

NAMED = "return {deviceName: String.fromCharCode.apply(String, payload), telemetry: {t: 1}};"
"""A converter that takes the payload for the device's name."""


def validity(first_day: float = -1, last_day: float = 30) -> Options:
    """Options of a certificate that is valid from and to so many days from now."""
    return Options(not_before_s=time.time() + first_day * DAY_S, not_after_s=time.time() + last_day * DAY_S)


def write_certificate(path: Path, *chain: Issued) -> Path:
    """Write a chain as PEM, leaf first."""
    path.write_bytes(b"".join(one.certificate.public_bytes(Encoding.PEM) for one in chain))
    return path


def write_key(path: Path, one: Issued) -> Path:
    """Write a private key as PEM, in the form that says "EC PRIVATE KEY", which all clients read."""
    path.write_bytes(one.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    path.chmod(0o600)
    return path


def secure(gateway: Gateway, issuer: Issued | None = None, **settings: str) -> Gateway:
    """Switch DTLS on, with a certificate for this machine, and a pre-shared key in the catalogue."""
    hosts = [ipaddress.ip_address(host) for host in ("127.0.0.1", "::1")]
    names: list[x509.GeneralName] = [DNSName("localhost"), *map(IPAddress, hosts)]
    options: Options = {"sans": names, **validity(last_day=90)}
    own = server("localhost", issuer=issuer, **options)
    gateway.environment |= {
        "COAP_SECURITY_MODE": "MIXED",
        "COAP_DTLS_PEM_CERT": str(write_certificate(gateway.folder / "coapserver.pem", own)),
        "COAP_DTLS_PEM_KEY": str(write_key(gateway.folder / "coapserver_key.pem", own)),
        **settings,
    }
    gateway.command("psk", "add", PSK_IDENTITY, "--key-hex", PSK_KEY.encode().hex())
    return gateway


def like(model: Gateway, folder: Path, **settings: str) -> Gateway:
    """A gateway with the files, the catalogue and the settings of another one that does not run, and settings of its
    own. Running the commands again would take much longer.
    """
    gateway = Gateway(folder, {})
    shutil.copytree(model.folder, folder, dirs_exist_ok=True)
    own = {name: gateway.environment[name] for name in ("GATEWAY_DATA_DIR", "COAP_BIND_PORT", "COAP_DTLS_BIND_PORT")}
    gateway.environment = {**model.environment, **own, **settings}
    return gateway


@contextlib.contextmanager
def started(gateway: Gateway) -> Iterator[None]:
    """Have a gateway run."""
    try:
        gateway.start()
        yield
    finally:
        gateway.kill()


def next_second() -> None:
    """Wait for another second of the clock by which a worker says only so much of sessions in its log."""
    second = int(time.monotonic())
    eventually(lambda: int(time.monotonic()) > second, "a second passes")


def endpoints(gateway: Gateway, name: str) -> dict[str, str]:
    """An integration's endpoint URLs by their scheme."""
    urls: list[str] = gateway.json("integration", "show", name)["endpoints"]
    return {url.partition(":")[0]: url for url in urls}


def devices(gateway: Gateway) -> dict[str, str | None]:
    """The devices of the device view, each with the principal that wrote it last. Read here: a command takes longer."""
    with DeviceView(gateway.data_dir) as view:
        return {device.name: device.principal for device in view.devices()}


def samples(gateway: Gateway, device: str, key: str) -> int:
    """How many samples of a telemetry key the device view has; 0 where there is no such device."""
    with DeviceView(gateway.data_dir) as view:
        return len(view.history(device, key)) if device in devices(gateway) else 0


def coaps_client(
    client: Client, url: str, *flags: str, payload: bytes | None = JSON, content_format: str = "application/json"
) -> str:
    """POST with libcoap's client; gives what it printed: nothing where the answer is 2.01.

    Of options that are given twice, the later one counts: `"-m", "put"` makes it a PUT.
    """
    body = () if payload is None else ("-t", content_format, "-f", "-")
    done = subprocess.run(
        [f"coap-client-{client}", "-B", "4", "-m", "post", *body, *flags, url],
        input=payload,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def write_pair(folder: Path, name: str, one: Issued, *chain: Issued) -> tuple[str, ...]:
    """Write a client's certificate and key; gives the options of libcoap's clients for them."""
    certificate = write_certificate(folder / f"{name}.pem", one, *chain)
    return ("-c", str(certificate), "-j", str(write_key(folder / f"{name}_key.pem", one)))


MakeGateway: TypeAlias = Callable[..., Gateway]
