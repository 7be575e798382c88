"""Which listeners there are, which integrations they serve, and what is said where something is missing."""

import errno
import socket
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import pytest

from gateway.model import SecurityMode
from tests.credentials.stores import STORE_PASSWORD, p12
from tests.dtls.certificates import server

from .harness import Gateway, coap_client, eventually
from .secure import (
    CLIENTS,
    NAMED,
    PSK_FLAGS,
    PSK_IDENTITY,
    Client,
    MakeGateway,
    coaps_client,
    devices,
    endpoints,
    secure,
    validity,
    write_key,
)

CREATED = ""
"""What libcoap's clients print of 2.01 without a payload."""


class Served(NamedTuple):
    """A running gateway with an integration of each mode, called after it, and their paths."""

    gateway: Gateway
    paths: dict[SecurityMode, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All tests of who may come which way have it."""
    gateway = secure(Gateway(tmp_path_factory.mktemp("modes"), {}))
    urls = {mode: gateway.add_integration(mode, NAMED, "--security-mode", mode) for mode in SecurityMode}
    gateway.start()
    yield Served(gateway, {mode: url.split("/", 3)[3] for mode, url in urls.items()})
    gateway.kill()


# -- integrations ----------------------------------------------------------------------------------

PLAIN_ANSWERS = {
    SecurityMode.NO_SECURE: CREATED,
    SecurityMode.DTLS: "4.00 the integration's security mode is DTLS: use coaps://\n",
    SecurityMode.MIXED: CREATED,
}
DTLS_ANSWERS = {
    SecurityMode.NO_SECURE: "4.00 the integration's security mode is NO SECURE: use coap://\n",
    SecurityMode.DTLS: CREATED,
    SecurityMode.MIXED: CREATED,
}


@pytest.mark.parametrize("mode", SecurityMode)
def test_over_plain_coap(served: Served, mode: SecurityMode) -> None:
    gateway, paths = served
    name = f"plain {mode}"
    url = f"coap://127.0.0.1:{gateway.port}/{paths[mode]}"
    assert coap_client("-m", "post", url, payload=name.encode()) == PLAIN_ANSWERS[mode]
    check_stored(served, name, stored=PLAIN_ANSWERS[mode] == CREATED, principal=None)


@pytest.mark.parametrize("mode", SecurityMode)
@pytest.mark.parametrize("client", CLIENTS)
def test_over_dtls(served: Served, client: Client, mode: SecurityMode) -> None:
    gateway, paths = served
    name = f"{client} {mode}"
    url = f"coaps://127.0.0.1:{gateway.dtls_port}/{paths[mode]}"
    assert coaps_client(client, url, *PSK_FLAGS, payload=name.encode()) == DTLS_ANSWERS[mode]
    check_stored(served, name, stored=DTLS_ANSWERS[mode] == CREATED, principal=PSK_IDENTITY)


def check_stored(served: Served, name: str, *, stored: bool, principal: str | None) -> None:
    """Whether a device is in the view. Of two uplinks the one behind is there last."""
    gateway, paths = served
    url = f"coap://127.0.0.1:{gateway.port}/{paths[SecurityMode.MIXED]}"
    assert coap_client("-m", "post", url, payload=f"behind {name}".encode()) == CREATED
    eventually(lambda: f"behind {name}" in devices(gateway), "the uplink behind it is in the view")
    assert devices(gateway).get(name, "missing") == (principal if stored else "missing")


def test_the_urls_shown_are_those_that_serve(served: Served) -> None:
    gateway, paths = served
    plain, dtls = f"coap://127.0.0.1:{gateway.port}/", f"coaps://127.0.0.1:{gateway.dtls_port}/"
    shown = {mode: endpoints(gateway, mode) for mode in SecurityMode}
    assert shown == {
        SecurityMode.NO_SECURE: {"coap": plain + paths[SecurityMode.NO_SECURE]},
        SecurityMode.DTLS: {"coaps": dtls + paths[SecurityMode.DTLS]},
        SecurityMode.MIXED: {"coap": plain + paths[SecurityMode.MIXED], "coaps": dtls + paths[SecurityMode.MIXED]},
    }
    as_text = gateway.command("integration", "show", SecurityMode.MIXED)
    assert all(url in as_text for url in shown[SecurityMode.MIXED].values())


def test_another_mode_counts_while_the_gateway_runs(served: Served) -> None:
    gateway, _ = served
    url = gateway.add_integration("changing", NAMED, "--security-mode", "MIXED")
    assert coap_client("-m", "post", url, payload=b"x") == CREATED
    gateway.command("integration", "update", "changing", "--security-mode", "DTLS")
    refusal = PLAIN_ANSWERS[SecurityMode.DTLS]
    assert coap_client("-m", "post", url, payload=b"x") == refusal
    assert coaps_client("openssl", endpoints(gateway, "changing")["coaps"], *PSK_FLAGS, payload=b"x") == CREATED


# -- listeners -------------------------------------------------------------------------------------


def is_bound(port: int) -> bool:
    """Whether somebody holds a UDP port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            assert error.errno == errno.EADDRINUSE
            return True
    return False


@pytest.mark.parametrize(
    ("settings", "plain", "dtls"),
    [
        ({}, True, False),
        ({"COAP_DTLS_ENABLED": "true"}, True, True),
        ({"COAP_DTLS_ENABLED": "true", "COAP_SERVER_ENABLED": "false"}, False, True),
        ({"COAP_SECURITY_MODE": "NO SECURE", "COAP_DTLS_ENABLED": "true"}, True, False),
        ({"COAP_SECURITY_MODE": "DTLS", "COAP_SERVER_ENABLED": "true"}, False, True),
        ({"COAP_SECURITY_MODE": "MIXED", "COAP_SERVER_ENABLED": "false"}, True, True),
    ],
    ids=lambda value: " ".join(f"{name}={text}" for name, text in value.items()) if isinstance(value, dict) else "",
)
def test_the_settings_say_which_ports_are_bound(
    make_gateway: MakeGateway, settings: dict[str, str], plain: bool, dtls: bool
) -> None:
    gateway = secure(make_gateway())
    del gateway.environment["COAP_SECURITY_MODE"]
    gateway.environment |= settings
    gateway.start()
    assert (is_bound(gateway.port), is_bound(gateway.dtls_port)) == (plain, dtls)
    assert (f"port {gateway.port}, UDP" in gateway.log, f"port {gateway.dtls_port}, DTLS" in gateway.log) == (
        plain,
        dtls,
    )
    if plain:
        assert coap_client("-m", "get", f"coap://127.0.0.1:{gateway.port}/nothing").startswith("4.04 ")
    if dtls:
        url = f"coaps://127.0.0.1:{gateway.dtls_port}/nothing"
        assert coaps_client("openssl", url, *PSK_FLAGS).startswith("4.04 ")


def test_without_a_listener_the_gateway_does_not_run(gateway: Gateway) -> None:
    gateway.environment["COAP_SERVER_ENABLED"] = "false"
    told = gateway.command("serve", code=78)
    assert "no listener is enabled" in told
    assert "COAP_SECURITY_MODE=MIXED" in told


@pytest.mark.parametrize(
    ("settings", "mode", "cure"),
    [
        ({}, "DTLS", "set COAP_DTLS_ENABLED=true"),
        ({}, "MIXED", "set COAP_DTLS_ENABLED=true"),
        ({"COAP_SECURITY_MODE": "NO SECURE", "COAP_DTLS_ENABLED": "true"}, "DTLS", "set COAP_SECURITY_MODE=MIXED"),
        ({"COAP_SECURITY_MODE": "NO SECURE"}, "MIXED", "set COAP_SECURITY_MODE=MIXED"),
        ({"COAP_SECURITY_MODE": "DTLS"}, "NO SECURE", "set COAP_SECURITY_MODE=MIXED"),
        ({"COAP_SERVER_ENABLED": "false", "COAP_DTLS_ENABLED": "true"}, "NO SECURE", "set COAP_SERVER_ENABLED=true"),
    ],
)
def test_a_mode_that_no_listener_serves_is_refused_with_the_variable_that_cures_it(
    gateway: Gateway, settings: dict[str, str], mode: str, cure: str
) -> None:
    gateway.environment |= settings
    gateway.command("converter", "create", "c", "--language", "javascript", "--file", "-", text=NAMED)
    create = ("integration", "create", "sensors", "--converter", "c", "--security-mode", mode)
    told = gateway.command(*create, code=2)
    assert f"security mode {mode} needs the" in told
    assert cure in told
    assert gateway.json("integration", "list") == []
    name, _, value = cure.removeprefix("set ").partition("=")
    gateway.environment[name] = value
    gateway.command(*create)


# -- what keeps the gateway from running -----------------------------------------------------------

Mistake: TypeAlias = Callable[[Gateway], dict[str, str]]
"""Makes one; gives its settings."""


def without_certificate(gateway: Gateway) -> dict[str, str]:
    return {"COAP_DTLS_PEM_CERT": "missing.pem"}


def with_the_key_of_another(gateway: Gateway) -> dict[str, str]:
    return {"COAP_DTLS_PEM_KEY": str(write_key(gateway.folder / "another.pem", server(**validity())))}


def with_a_wrong_store_password(gateway: Gateway) -> dict[str, str]:
    (gateway.folder / "store.p12").write_bytes(p12(server(**validity()), password="not that one"))
    return {"COAP_DTLS_CREDENTIALS_TYPE": "KEYSTORE", "COAP_DTLS_KEY_STORE": "store.p12"}


def with_another_alias(gateway: Gateway) -> dict[str, str]:
    (gateway.folder / "store.p12").write_bytes(p12(server(**validity()), name="gatewayalias"))
    return {"COAP_DTLS_CREDENTIALS_TYPE": "KEYSTORE", "COAP_DTLS_KEY_STORE": "store.p12"}


def with_a_trust_store_that_is_none(gateway: Gateway) -> dict[str, str]:
    return {"COAP_DTLS_TRUST_STORE": gateway.environment["COAP_DTLS_PEM_KEY"]}


def without_revocation_list(gateway: Gateway) -> dict[str, str]:
    return {"COAP_DTLS_CRL": "missing.crl"}


def with_a_suite_that_is_none(gateway: Gateway) -> dict[str, str]:
    return {"GATEWAY_DTLS_CIPHER_SUITES": "TLS_RSA_WITH_RC4_128_MD5"}


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (without_certificate, ("COAP_DTLS_PEM_CERT=missing.pem", "gateway certs server")),
        (with_the_key_of_another, ("COAP_DTLS_PEM_KEY=", "another.pem")),
        (with_a_wrong_store_password, ("COAP_DTLS_KEY_STORE=store.p12", "COAP_DTLS_KEY_STORE_PASSWORD is wrong")),
        (with_another_alias, ("no alias 'serveralias'", "there are: 'gatewayalias'")),
        (with_a_trust_store_that_is_none, ("COAP_DTLS_TRUST_STORE=", "holds no certificate, only EC PRIVATE KEY")),
        (without_revocation_list, ("COAP_DTLS_CRL=missing.crl",)),
        (with_a_suite_that_is_none, ("GATEWAY_DTLS_CIPHER_SUITES", "RSA_WITH_RC4_128_MD5", "PSK_WITH_AES_128_CCM_8")),
    ],
)
def test_credentials_that_can_not_be_used_are_one_clear_message(
    gateway: Gateway, mistake: Mistake, told: tuple[str, ...]
) -> None:
    secure(gateway).environment |= mistake(gateway)
    said = gateway.command("serve", code=78)
    error, hint = said.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert all(part in said for part in told)
    assert STORE_PASSWORD not in said
    assert not is_bound(gateway.dtls_port)


def test_a_taken_port_is_named_with_its_variable(gateway: Gateway) -> None:
    secure(gateway)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", gateway.dtls_port))
        said = gateway.command("serve", code=78)
    assert f"UDP 127.0.0.1 port {gateway.dtls_port} can't be bound" in said
    assert "COAP_DTLS_BIND_PORT" in said
