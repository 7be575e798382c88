"""Which device names an identity may write."""

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ForbiddenError, UsageError
from gateway.integrations.identity import check_binding, needs_identity, writable_by
from gateway.model import Integration, Principal

PSK = Principal("psk", "gw-7")
CERTIFICATE = Principal("x509", "SN-1", sans=("sn1.example", "192.0.2.7", "*.lab"), fingerprint="ab" * 32)
RAW_KEY = Principal("rpk", "cd" * 32, fingerprint="cd" * 32)


def bound(binding: str, *, required: bool = False) -> Integration:
    return Integration("meters", "c", "k", identity_binding=binding, require_principal=required)


def may(binding: str, principal: Principal = PSK) -> Callable[[str], bool]:
    """Whether the principal may write a name."""
    writable = writable_by(bound(binding), principal)
    assert writable is not None
    return writable


@pytest.mark.parametrize(
    "text", ["none", "name", "{name}", "{name}-*", "*{name}*", "{name}/{name}", "Süd {name}", "*" * 249 + "{name}"]
)
def test_what_binds_a_name_to_the_identity_is_taken(text: str) -> None:
    check_binding(text)


@pytest.mark.parametrize(
    "text",
    ["", "None", "cn", "*", "{NAME}", "{ name }", "name-*", "{name", "{name}\n", "\x1b{name}", "*" * 250 + "{name}"],
)
def test_what_would_not_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="identity binding") as raised:
        check_binding(text)
    assert "{name}" in raised.value.hint
    with pytest.raises(UsageError):
        writable_by(bound(text), PSK)


@pytest.mark.parametrize("principal", [None, PSK, CERTIFICATE, RAW_KEY])
def test_without_binding_and_requirement_anyone_writes_anything(principal: Principal | None) -> None:
    assert not needs_identity(bound("none"))
    assert writable_by(bound("none"), principal) is None


@pytest.mark.parametrize(
    "integration", [bound("none", required=True), bound("name"), bound("{name}-*"), bound("name", required=True)]
)
def test_without_an_identity_nothing_may_be_written_where_one_is_needed(integration: Integration) -> None:
    assert needs_identity(integration)
    with pytest.raises(ForbiddenError, match="takes only devices with an identity") as raised:
        writable_by(integration, None)
    assert raised.value.outcome.code.dotted == "4.03"
    assert "coaps://" in raised.value.outcome.diagnostic


@pytest.mark.parametrize("principal", [PSK, CERTIFICATE, RAW_KEY])
def test_a_required_identity_alone_binds_no_name(principal: Principal) -> None:
    assert writable_by(bound("none", required=True), principal) is None


@pytest.mark.parametrize(
    ("principal", "names"),
    [
        (PSK, ["gw-7"]),
        (CERTIFICATE, ["SN-1", "sn1.example", "192.0.2.7", "*.lab"]),
        (RAW_KEY, ["cd" * 32]),
    ],
)
@pytest.mark.parametrize("binding", ["name", "{name}"])
def test_name_lets_it_write_its_own_names_alone(principal: Principal, names: list[str], binding: str) -> None:
    writable = may(binding, principal)
    assert all(writable(name) for name in names)
    for other in ("", "GW-7", "gw-7 ", "gw-71", "SN-2", "sn-1", "a.lab", "ab" * 32, "{name}", "*"):
        assert not writable(other)


@pytest.mark.parametrize(
    ("binding", "yes", "no"),
    [
        ("{name}-*", ["gw-7-", "gw-7-kitchen", "gw-7-*", "gw-7-a\nb"], ["gw-7", "gw-71-a", "xgw-7-a", "gw-8-a"]),
        ("{name}*", ["gw-7", "gw-70"], ["gw-", "Xgw-7"]),
        ("*{name}", ["gw-7", "a gw-7"], ["gw-7 "]),
        ("*{name}*", ["gw-7", "xgw-7x"], ["gw7", ""]),
        ("*/{name}/*", ["a/gw-7/b", "/gw-7/", "a/b/gw-7/c/d"], ["/gw-7", "gw-7/", "/gw-7x/"]),
        ("sensor of {name}", ["sensor of gw-7"], ["gw-7", "sensor of gw-77"]),
        ("{name}*{name}", ["gw-7gw-7", "gw-7 gw-7"], ["gw-7", "gw-7w-7"]),
        ("{name}.*", ["gw-7.", "gw-7.x"], ["gw-7", "gw-7x"]),
        ("({name}|*)", ["(gw-7|)", "(gw-7|x)"], ["gw-7", "x"]),
        ("{name}**x", ["gw-7x", "gw-7 xx"], ["gw-7", "gw-7xy"]),
    ],
)
def test_in_a_pattern_name_and_asterisk_are_special_and_nothing_else(
    binding: str, yes: list[str], no: list[str]
) -> None:
    writable = may(binding)
    assert [name for name in yes if not writable(name)] == []
    assert [name for name in no if writable(name)] == []


def test_a_pattern_stands_for_each_of_a_certificates_names() -> None:
    writable = may("{name}/*", CERTIFICATE)
    assert writable("SN-1/a")
    assert writable("sn1.example/a")
    assert not writable("SN-2/a")
    assert not may("{name}+{name}", CERTIFICATE)("SN-1+sn1.example")


def test_nothing_in_an_identity_is_special() -> None:
    assert not may("{name}", Principal("psk", "*"))("gw-7")
    assert not may("{name}-*", Principal("psk", "*"))("gw-7-a")
    assert may("{name}-*", Principal("psk", "*"))("*-a")
    assert not may("{name}", Principal("psk", ".*"))("gw-7")
    assert may("{name}-*", Principal("psk", "{name}"))("{name}-a")


def test_an_empty_name_in_a_certificate_opens_nothing() -> None:
    writable = may("{name}*", Principal("x509", "SN-1", sans=("", "b")))
    assert writable("SN-1x")
    assert not writable("anything")
    assert not may("name", Principal("x509", "SN-1", sans=("",)))("")


@given(
    st.lists(st.sampled_from(["a", "b", "*", "{name}"]), max_size=6).map("".join),
    st.sampled_from(["a", "ab", "b*"]),
    st.text("ab*", max_size=8),
)
def test_a_pattern_matches_what_the_regular_expression_of_it_matches(binding: str, name: str, text: str) -> None:
    binding += "{name}"
    parts = [re.escape(part.replace("{name}", name)) for part in binding.split("*")]
    expected = re.fullmatch(".*".join(parts), text, re.DOTALL) is not None
    assert may(binding, Principal("psk", name))(text) is expected


def test_no_name_makes_a_pattern_slow() -> None:
    """A regular expression of such a pattern would not end."""
    writable = may("*a" * 100 + "b{name}", Principal("psk", "c"))
    start_s = time.process_time()
    assert not writable("a" * 10_000)
    assert time.process_time() - start_s < 0.1
