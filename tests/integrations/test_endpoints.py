"""Endpoint URLs, and what an integration's name, path and security mode may be."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import UsageError
from gateway.integrations.endpoints import check_integration, endpoint_urls
from gateway.model import Integration, SecurityMode
from gateway.settings import Settings

PLAIN = Integration(name="meters", converter="c", routing_key="k-1")


def settings(**values: Any) -> Settings:
    """The defaults but for `values`, whatever the environment says."""
    return Settings.model_construct(**values)


def refusal(integration: Integration, **values: Any) -> UsageError:
    with pytest.raises(UsageError) as raised:
        check_integration(integration, settings(**values))
    assert raised.value.hint
    return raised.value


@pytest.mark.parametrize(
    ("mode", "urls"),
    [
        (SecurityMode.NO_SECURE, ["coap://127.0.0.1/i/k-1"]),
        (SecurityMode.DTLS, ["coaps://127.0.0.1/i/k-1"]),
        (SecurityMode.MIXED, ["coap://127.0.0.1/i/k-1", "coaps://127.0.0.1/i/k-1"]),
    ],
)
def test_the_security_mode_decides_which_urls_there_are(mode: SecurityMode, urls: list[str]) -> None:
    assert endpoint_urls(replace(PLAIN, security_mode=mode), settings()) == urls


def test_the_path_prefix_stands_before_the_i() -> None:
    integration = replace(PLAIN, path_prefix="api/v2")
    assert endpoint_urls(integration, settings()) == ["coap://127.0.0.1/api/v2/i/k-1"]


def test_the_base_url_and_an_unusual_port_are_in_the_url() -> None:
    assert endpoint_urls(PLAIN, settings(coap_bind_port=5700)) == ["coap://127.0.0.1:5700/i/k-1"]
    assert endpoint_urls(PLAIN, settings(gateway_base_url="coap://g.example.com")) == ["coap://g.example.com/i/k-1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "n" * 255},
        {"name": "Zähler Süd 2"},
        {"routing_key": "k" * 255},
        {"routing_key": "A-Z.a_z~9"},
        {"routing_key": "..."},
        {"path_prefix": ""},
        {"path_prefix": "api"},
        {"path_prefix": "api/v2/i"},
        {"path_prefix": "api/.well-known"},
        {"path_prefix": "p" * 255},
        {"metadata": {"site": "Berlin Süd", "empty": ""}},
    ],
)
def test_what_a_uri_can_hold_is_taken(changes: Mapping[str, Any]) -> None:
    check_integration(replace(PLAIN, **changes), settings())


@pytest.mark.parametrize("name", ["", " ", " a", "a ", "a\tb", "a\n", "a\x1b[31m", "\x00", "n" * 256])
def test_a_name_that_nobody_can_type_is_refused(name: str) -> None:
    assert "name" in refusal(replace(PLAIN, name=name)).message


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "a b", "ä", "a%20b", "a?b", "k\n", "k" * 256])
def test_a_routing_key_that_is_no_path_segment_is_refused(key: str) -> None:
    assert refusal(replace(PLAIN, routing_key=key)).message.startswith(f"routing key {key!r} ")


@pytest.mark.parametrize(
    "prefix",
    ["/", "/api", "api/", "api//v2", ".", "..", "api/../v2", "api/v 2", "ä", "a%2Fb", "a\n", "p" * 256],
)
def test_a_path_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    assert refusal(replace(PLAIN, path_prefix=prefix)).message.startswith(f"path prefix {prefix!r}: segment ")


def test_a_path_prefix_is_at_most_255_bytes_in_all() -> None:
    assert "256 bytes" in refusal(replace(PLAIN, path_prefix="/".join(["p" * 127, "p" * 128]))).message


@pytest.mark.parametrize("prefix", [".well-known", ".well-known/core"])
def test_discoverys_path_is_refused(prefix: str) -> None:
    assert "discovery" in refusal(replace(PLAIN, path_prefix=prefix)).message


@pytest.mark.parametrize("key", ["", "a\nb"])
def test_a_metadata_key_without_a_readable_name_is_refused(key: str) -> None:
    assert "metadata key" in refusal(replace(PLAIN, metadata={key: "v"})).message


@pytest.mark.parametrize("mode", [SecurityMode.DTLS, SecurityMode.MIXED])
def test_dtls_can_be_chosen_only_where_its_listener_is_on(mode: SecurityMode) -> None:
    integration = replace(PLAIN, security_mode=mode)
    assert "COAP_DTLS_ENABLED=true" in refusal(integration).hint
    check_integration(integration, settings(coap_dtls_enabled=True))


def test_the_cure_is_the_security_mode_setting_where_that_decides() -> None:
    error = refusal(
        replace(PLAIN, security_mode=SecurityMode.DTLS),
        coap_security_mode=SecurityMode.NO_SECURE,
        coap_dtls_enabled=True,
    )
    assert "COAP_SECURITY_MODE=MIXED" in error.hint


@pytest.mark.parametrize(
    ("values", "cure"),
    [
        ({"coap_server_enabled": False, "coap_dtls_enabled": True}, "COAP_SERVER_ENABLED=true"),
        ({"coap_security_mode": SecurityMode.DTLS}, "COAP_SECURITY_MODE=MIXED"),
    ],
)
def test_plain_can_be_chosen_only_where_its_listener_is_on(values: Mapping[str, Any], cure: str) -> None:
    assert cure in refusal(PLAIN, **values).hint


@pytest.mark.parametrize("changes", [{"identity_binding": "name"}, {"identity_binding": "{name}-*"}])
@pytest.mark.parametrize("required", [False, True])
def test_an_identity_can_be_asked_for_only_over_dtls(changes: Mapping[str, Any], required: bool) -> None:
    integration = replace(PLAIN, require_principal=required, **changes)
    error = refusal(integration, coap_dtls_enabled=True)
    assert "over plain CoAP no device has one" in error.message
    assert "--security-mode DTLS or MIXED" in error.hint
    for mode in (SecurityMode.DTLS, SecurityMode.MIXED):
        check_integration(replace(integration, security_mode=mode), settings(coap_dtls_enabled=True))


def test_a_principal_can_be_required_without_a_binding() -> None:
    integration = replace(PLAIN, require_principal=True)
    assert "requires an identity" in refusal(integration, coap_dtls_enabled=True).message
    check_integration(replace(integration, security_mode=SecurityMode.MIXED), settings(coap_dtls_enabled=True))


def test_an_identity_binding_that_is_none_is_refused() -> None:
    integration = replace(PLAIN, security_mode=SecurityMode.DTLS, identity_binding="cn")
    assert "identity binding 'cn'" in refusal(integration, coap_dtls_enabled=True).message
