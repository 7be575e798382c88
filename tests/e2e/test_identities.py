"""Who a session belongs to: told to the converter, seen in the device view, deciding what may be written, revocable."""

from collections.abc import Iterator

import pytest
from cryptography import x509

from gateway.dtls.config import Config, Identity
from gateway.dtls.suites import BY_NAME
from gateway.dtls.trust import TrustPolicy
from gateway.model import Code
from tests.dtls.certificates import Issued, Options, authority, device

from .dtls_device import Device, psk_config
from .harness import JSON, Gateway, coap_client, eventually
from .secure import PSK_IDENTITY, PSK_KEY, MakeGateway, endpoints, secure, validity, write_certificate

TELL = "return {deviceName: 'told', attributes: metadata};"
NAMED = "return {deviceName: String.fromCharCode.apply(String, payload), telemetry: {t: 1}};"
WITHIN_S = 1.0
"""How soon a session must end whose credential is taken away."""


@pytest.fixture
def devices() -> Iterator[list[Device]]:
    """Devices that go with the test."""
    made: list[Device] = []
    yield made
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def ca() -> Issued:
    return authority("Device CA", **validity())


@pytest.fixture
def served(make_gateway: MakeGateway, ca: Issued) -> Gateway:
    """A gateway with DTLS that trusts a CA by its catalogue; not started."""
    gateway = secure(make_gateway())
    write_certificate(gateway.folder / "ca.pem", ca)
    gateway.command("trust", "add", "ca.pem")
    return gateway


def connect(gateway: Gateway, devices: list[Device], config: Config) -> Device:
    devices.append(Device(gateway.dtls_port, config))
    return devices[-1].connect()


def with_psk(gateway: Gateway, devices: list[Device]) -> Device:
    return connect(gateway, devices, psk_config(PSK_IDENTITY, PSK_KEY))


def with_certificate(gateway: Gateway, devices: list[Device], one: Issued | None) -> Device:
    """Connect with a certificate, or with none; the server's is taken for what it is."""
    server_ca = (gateway.folder / "coapserver.pem").read_bytes()
    config = Config(
        suites=(BY_NAME["ECDHE_ECDSA_WITH_AES_128_CCM_8"],),
        identities=(Identity(one.chain(), one.key),) if one else (),
        trust=TrustPolicy([x509.load_pem_x509_certificate(server_ca)]),
        server_name="localhost",
        connection_id_bytes=0,
    )
    return connect(gateway, devices, config)


def add(gateway: Gateway, source: str, *options: str, name: str = "named") -> str:
    gateway.add_integration(name, source, "--security-mode", "MIXED", *options)
    return endpoints(gateway, name)["coaps"]


def told(gateway: Gateway, key: str) -> object:
    return gateway.device("told")["attributes"].get(key, {}).get("value")


def test_a_converter_is_told_the_psk_identity(served: Gateway, devices: list[Device]) -> None:
    url = add(served, TELL, "--metadata", "principal=forged", "--metadata", "site=Berlin")
    served.start()
    assert with_psk(served, devices).post(url).code == Code.CREATED
    attributes = {key: sample["value"] for key, sample in served.device("told")["attributes"].items()}
    assert attributes["principal"] == attributes["pskIdentity"] == PSK_IDENTITY
    assert attributes["principalType"] == "psk"
    assert attributes["site"] == "Berlin"
    assert "certificateSubject" not in attributes
    assert served.json("device", "show", "told")["principal"] == PSK_IDENTITY
    assert f"psk '{PSK_IDENTITY}' has a session" in served.log


def test_a_converter_is_told_what_the_certificate_says(served: Gateway, devices: list[Device], ca: Issued) -> None:
    url = add(served, TELL)
    served.start()
    sensor = device("sensor-1", issuer=ca, **validity())
    assert with_certificate(served, devices, sensor).post(url).code == Code.CREATED
    assert told(served, "principal") == "sensor-1"
    assert told(served, "principalType") == "x509"
    assert told(served, "certificateSubject") == "CN=sensor-1"
    assert told(served, "certificateFingerprint") == sensor.fingerprint
    assert told(served, "pskIdentity") is None


def test_a_converter_is_told_nothing_of_a_client_without_identity(served: Gateway, devices: list[Device]) -> None:
    url = add(served, TELL)
    served.start()
    assert with_certificate(served, devices, None).post(url).code == Code.CREATED
    assert told(served, "principal") is None
    assert told(served, "integrationName") == "named"
    assert served.json("device", "show", "told")["principal"] is None


@pytest.mark.parametrize(
    ("binding", "name", "code"),
    [
        ("none", "anything", Code.CREATED),
        ("name", PSK_IDENTITY, Code.CREATED),
        ("name", "another", Code.FORBIDDEN),
        ("{name}-*", f"{PSK_IDENTITY}-temperature", Code.CREATED),
        ("{name}-*", PSK_IDENTITY, Code.FORBIDDEN),
        ("{name}-*", "sensor-8-temperature", Code.FORBIDDEN),
    ],
)
def test_a_binding_says_which_devices_a_session_may_write(
    served: Gateway, devices: list[Device], binding: str, name: str, code: Code
) -> None:
    url = add(served, NAMED, "--identity-binding", binding)
    served.start()
    answer = with_psk(served, devices).post(url, name.encode())
    assert answer.code == code
    if code is Code.FORBIDDEN:
        assert answer.payload.decode() == f'"{PSK_IDENTITY}" may not write as "{name}"'
        assert served.json("device", "list") == []
    else:
        assert served.device(name)["principal"] == PSK_IDENTITY


def test_the_names_of_a_certificate_are_its_cn_and_its_alternative_names(
    served: Gateway, devices: list[Device], ca: Issued
) -> None:
    url = add(served, NAMED, "--identity-binding", "name")
    served.start()
    options: Options = {"sans": [x509.DNSName("sensor-1.example")], **validity()}
    sensor = with_certificate(served, devices, device("sensor-1", issuer=ca, **options))
    assert sensor.post(url, b"sensor-1").code == Code.CREATED
    assert sensor.post(url, b"sensor-1.example").code == Code.CREATED
    assert sensor.post(url, b"sensor-2").code == Code.FORBIDDEN


@pytest.mark.parametrize("option", [("--require-principal",), ("--identity-binding", "name")])
def test_where_an_identity_is_required_there_is_none_without(
    served: Gateway, devices: list[Device], option: tuple[str, ...]
) -> None:
    url = add(served, NAMED, *option)
    served.start()
    answer = with_certificate(served, devices, None).post(url, b"x")
    assert answer.code == Code.FORBIDDEN
    assert b"identity" in answer.payload
    assert coap_client("-m", "post", endpoints(served, "named")["coap"], payload=JSON).startswith("4.03")
    assert with_psk(served, devices).post(url, PSK_IDENTITY.encode()).code == Code.CREATED


def test_a_binding_that_changes_counts_for_sessions_that_are_there(served: Gateway, devices: list[Device]) -> None:
    url = add(served, NAMED)
    served.start()
    sensor = with_psk(served, devices)
    assert sensor.post(url, b"another").code == Code.CREATED
    served.command("integration", "update", "named", "--identity-binding", "name")
    eventually(lambda: sensor.post(url, b"another").code == Code.FORBIDDEN, "the binding counts")


# -- taking a credential away ----------------------------------------------------------------------


def test_removing_a_pre_shared_key_ends_its_sessions_at_once(served: Gateway, devices: list[Device]) -> None:
    served.command("psk", "add", "other", "--key-hex", PSK_KEY.encode().hex())
    url = add(served, NAMED)
    served.start()
    sensor = with_psk(served, devices)
    other = connect(served, devices, psk_config("other", PSK_KEY))
    served.command("psk", "remove", PSK_IDENTITY)
    assert sensor.wait_for_end() < WITHIN_S
    assert sensor.ended == "closed by the peer"
    assert other.post(url, b"x").code == Code.CREATED
    assert "its credential is no longer trusted" in served.log
    assert sensor.resumption is not None
    with pytest.raises(AssertionError, match=r"DECRYPT_ERROR|in vain"):
        sensor.connect(sensor.resumption)


def test_another_key_for_an_identity_ends_its_sessions_too(served: Gateway, devices: list[Device]) -> None:
    served.start()
    sensor = with_psk(served, devices)
    served.command("psk", "remove", PSK_IDENTITY)
    served.command("psk", "add", PSK_IDENTITY, "--key-hex", "11" * 16)
    assert sensor.wait_for_end() < WITHIN_S
    again = connect(served, devices, psk_config(PSK_IDENTITY, "\x11" * 16))
    assert again.association is not None
    assert not again.association.resumed


def test_a_key_that_is_added_is_good_at_once(served: Gateway, devices: list[Device]) -> None:
    served.start()
    served.command("psk", "add", "new", "--key-hex", PSK_KEY.encode().hex())
    assert connect(served, devices, psk_config("new", PSK_KEY)).association is not None


def test_removing_a_trust_anchor_ends_its_sessions_at_once(served: Gateway, devices: list[Device], ca: Issued) -> None:
    pinned = device("pinned", **validity())
    write_certificate(served.folder / "pinned.pem", pinned)
    served.command("trust", "add", "pinned.pem")
    url = add(served, NAMED)
    served.start()
    below_ca = with_certificate(served, devices, device("sensor-1", issuer=ca, **validity()))
    by_pin = with_certificate(served, devices, pinned)
    by_psk = with_psk(served, devices)
    served.command("trust", "remove", ca.fingerprint)
    assert below_ca.wait_for_end() < WITHIN_S
    assert by_pin.post(url, b"x").code == Code.CREATED
    served.command("trust", "remove", pinned.fingerprint)
    assert by_pin.wait_for_end() < WITHIN_S
    assert by_psk.post(url, b"x").code == Code.CREATED
