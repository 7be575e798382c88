"""libcoap's clients, with OpenSSL and with GnuTLS, over DTLS: ThingsBoard's tutorial and all that CoAP brings along."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.model import Integration, SecurityMode
from gateway.storage.catalogue import Catalogue
from gateway.storage.device_view import DeviceView
from tests.dtls.certificates import authority, device

from .harness import DEMO, JSON, Gateway, eventually
from .secure import (
    CLIENTS,
    PSK_FLAGS,
    PSK_IDENTITY,
    PSK_KEY,
    Client,
    MakeGateway,
    coaps_client,
    devices,
    samples,
    secure,
    validity,
    write_certificate,
    write_pair,
)
from .test_tutorial import PAYLOADS

WAYS = {"psk": PSK_IDENTITY, "x509": "sensor-1", "server only": None}
"""How a client comes in, and the principal that it then is."""
INTEGRATIONS = 60
"""So many that the list of their endpoints takes several blocks."""
SIZES = "return {deviceName: 'big', telemetry: {bytes: payload.length, last: payload[payload.length - 1]}};"

both_clients = pytest.mark.parametrize("client", CLIENTS)
all_ways = pytest.mark.parametrize("way", WAYS)


@dataclass(frozen=True)
class Site:
    """A running gateway, and what clients need to come in."""

    gateway: Gateway
    urls: dict[str, str]
    """The URLs of its integrations: some of `text`, `json`, `binary` and `sizes`."""
    flags: dict[str, tuple[str, ...]]
    """For each of the `WAYS`."""

    @contextlib.contextmanager
    def one_more(self, name: str, key: str) -> Iterator[None]:
        """Expect that just one sample of a telemetry key comes."""
        before = samples(self.gateway, name, key)
        yield
        eventually(lambda: samples(self.gateway, name, key) > before, f"{name} has another {key}")
        assert samples(self.gateway, name, key) == before + 1


def make_site(gateway: Gateway, *integrations: str, **settings: str) -> Site:
    """A gateway whose server's certificate and whose devices' certificates are issued by two CAs; not started."""
    server_ca, device_ca = authority("Server CA", **validity()), authority("Device CA", **validity())
    trusted = ("-R", str(write_certificate(gateway.folder / "server-ca.pem", server_ca)))
    store = str(write_certificate(gateway.folder / "device-ca.pem", device_ca))
    secure(gateway, server_ca, **{"COAP_DTLS_TRUST_STORE": store, **settings})
    sensor = device("sensor-1", issuer=device_ca, **validity())
    flags = {"psk": PSK_FLAGS, "x509": write_pair(gateway.folder, "sensor", sensor) + trusted, "server only": trusted}
    sources = {name: (DEMO / f"{name}.js").read_text() for name in PAYLOADS} | {"sizes": SIZES}
    urls = {name: gateway.add_integration(name, sources[name], "--security-mode", "DTLS") for name in integrations}
    return Site(gateway, urls, flags)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for all tests that change nothing of it; running."""
    site = make_site(Gateway(tmp_path_factory.mktemp("site"), {}), *PAYLOADS, "sizes")
    site.gateway.start()
    yield site
    site.gateway.kill()


@pytest.mark.parametrize("flags", [[], ["-N"]], ids=["CON", "NON"])
@pytest.mark.parametrize("name", PAYLOADS)
@all_ways
@both_clients
def test_a_tutorial_payload_arrives_as_sn_001_and_says_from_whom(
    site: Site, client: Client, way: str, name: str, flags: list[str]
) -> None:
    payload, content_format = PAYLOADS[name]
    with site.one_more("SN-001", "temperature"):
        answer = coaps_client(
            client, site.urls[name], *site.flags[way], *flags, payload=payload, content_format=content_format
        )
        # 2.01 without a payload: the client prints nothing.
        assert answer == ""
    with DeviceView(site.gateway.data_dir) as view:
        shown = view.device("SN-001")
    assert {key: sample.value for key, sample in shown.telemetry.items()} == {"temperature": 25.7, "humidity": 69}
    assert (shown.type, shown.principal) == ("default", WAYS[way])


def test_the_command_line_shows_what_arrived_and_from_whom(site: Site) -> None:
    with site.one_more("SN-001", "humidity"):
        assert coaps_client("openssl", site.urls["json"], *site.flags["x509"]) == ""
    shown = site.gateway.json("device", "show", "SN-001")
    assert shown["principal"] == "sensor-1"
    assert (shown["telemetry"]["temperature"]["value"], shown["telemetry"]["humidity"]["value"]) == (25.7, 69)


@both_clients
def test_put_is_as_good_as_post(site: Site, client: Client) -> None:
    with site.one_more("SN-001", "humidity"):
        assert coaps_client(client, site.urls["json"], *PSK_FLAGS, "-m", "put") == ""


@all_ways
@both_clients
def test_an_upload_of_20_kb_comes_in_blocks(site: Site, client: Client, way: str) -> None:
    body = b"x" * 19_999 + b"!"
    with site.one_more("big", "bytes"):
        assert coaps_client(client, site.urls["sizes"], *site.flags[way], "-b", "1024", payload=body) == ""
    with DeviceView(site.gateway.data_dir) as view:
        shown = view.device("big")
    assert {key: sample.value for key, sample in shown.telemetry.items()} == {"bytes": 20_000, "last": ord("!")}
    assert shown.principal == WAYS[way]


@pytest.mark.parametrize(
    ("record_bytes", "block_bytes"), [("512", "256"), ("1024", "512"), ("2048", "1024"), ("0", "1024")]
)
def test_discovery_comes_in_blocks_that_fit_a_record(
    make_gateway: MakeGateway, record_bytes: str, block_bytes: str
) -> None:
    gateway = secure(make_gateway(COAP_DTLS_MAX_FRAGMENT_LENGTH=record_bytes))
    gateway.add_demo("json")
    keys = [f"routing-key-of-integration-{number:04}" for number in range(INTEGRATIONS)]
    with Catalogue(gateway.data_dir) as catalogue:
        for key in keys:
            catalogue.add_integration(Integration(key, "json", key, security_mode=SecurityMode.DTLS))
    gateway.start()
    url = f"coaps://127.0.0.1:{gateway.dtls_port}/.well-known/core"
    for client in CLIENTS:
        for asked in ([], ["-b", "1024"]):
            listed = coaps_client(client, url, *PSK_FLAGS, "-m", "get", *asked, payload=None)
            assert re.findall(r"</i/(routing-key-[^>]*)>", listed) == keys
            told = coaps_client(client, url, *PSK_FLAGS, "-m", "get", "-v", "7", *asked, payload=None)
            assert set(re.findall(r"c:2\.05 .*Block2:\d+/./(\d+)", told)) == {block_bytes}


def test_one_address_serves_ipv4_and_ipv6(make_gateway: MakeGateway) -> None:
    site = make_site(make_gateway(), "json", COAP_DTLS_BIND_ADDRESS="::")
    site.gateway.start()
    path = site.urls["json"].split("/", 3)[3]
    for client in CLIENTS:
        for host in ("127.0.0.1", "[::1]", "127.0.0.9"):
            for way, principal in WAYS.items():
                with site.one_more("SN-001", "humidity"):
                    url = f"coaps://{host}:{site.gateway.dtls_port}/{path}"
                    assert coaps_client(client, url, *site.flags[way]) == ""
                assert devices(site.gateway)["SN-001"] == principal
    assert f"psk '{PSK_IDENTITY}' has a session from [::1]:" in site.gateway.log
    assert f"psk '{PSK_IDENTITY}' has a session from [::ffff:127.0.0.1]:" in site.gateway.log


@pytest.mark.parametrize(
    "flags", [("-u", PSK_IDENTITY, "-k", "another key"), ("-u", "nobody", "-k", PSK_KEY)], ids=["wrong key", "unknown"]
)
@both_clients
def test_a_wrong_key_and_an_unknown_identity_look_the_same(site: Site, client: Client, flags: tuple[str, ...]) -> None:
    before = samples(site.gateway, "SN-001", "humidity"), site.gateway.log.count("failed: decrypt_error:")
    assert "ecrypt error" in coaps_client(client, site.urls["json"], *flags)
    failures = before[1] + 1
    eventually(lambda: site.gateway.log.count("failed: decrypt_error:") == failures, "the log has one more failure")
    with site.one_more("SN-001", "humidity"):
        assert coaps_client(client, site.urls["json"], *PSK_FLAGS) == ""
    assert samples(site.gateway, "SN-001", "humidity") == before[0] + 1


@both_clients
def test_a_client_that_trusts_another_ca_says_nothing_to_the_gateway(
    site: Site, client: Client, tmp_path: Path
) -> None:
    stranger = write_certificate(tmp_path / "ca.pem", authority("Another CA", **validity()))
    sessions = site.gateway.log.count("has a session")
    answer = coaps_client(client, site.urls["json"], "-R", str(stranger))
    assert "cannot send CoAP pdu" in answer
    assert site.gateway.log.count("has a session") == sessions


def test_two_workers_serve_alike(make_gateway: MakeGateway) -> None:
    site = make_site(make_gateway(GATEWAY_WORKERS="2"), "json")
    site.gateway.start()
    workers, sent = 0, 0
    # The kernel deals connections out by their ports, and a client's is another one each time.
    while workers < 2 and sent < 200:
        for client in CLIENTS:
            for flags in site.flags.values():
                assert coaps_client(client, site.urls["json"], *flags) == ""
                sent += 1
        workers = len(set(re.findall(r"(worker-\d): .* has a session", site.gateway.log)))
    assert workers == 2
    eventually(lambda: samples(site.gateway, "SN-001", "humidity") == sent, f"all {sent} uplinks are in the view")


def test_json_that_is_refused_tells_the_client_why(site: Site) -> None:
    answer = coaps_client("openssl", site.urls["json"], *PSK_FLAGS, payload=JSON[:-1])
    assert answer.startswith("4.00 ")
    assert "SyntaxError" in answer
