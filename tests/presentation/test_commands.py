"""Commands that are shown ready to paste; `tests/cli` has where, `tests/api/test_integrations.py` which."""

import shlex
from pathlib import Path

import pytest

from gateway.model import Integration, SecurityMode
from gateway.presentation.commands import SampleKey, by_certificate, by_psk, commands_of
from gateway.settings import Settings

SETTINGS = Settings(_env_file=None, coap_security_mode="MIXED")
URL = "coaps://127.0.0.1/i/k"


def credentials(integration: Integration) -> list[str]:
    return [one.credential for one in commands_of(integration, SETTINGS, program="gateway")]


def test_each_way_in_has_commands_for_what_a_device_can_show_there() -> None:
    integration = Integration("meters", "c", "k")
    assert credentials(integration) == ["none", "none"]
    secure = Integration("meters", "c", "k", security_mode=SecurityMode.DTLS)
    assert credentials(secure) == ["psk", "psk", "x509", "x509"]
    mixed = Integration("meters", "c", "k", security_mode=SecurityMode.MIXED)
    assert credentials(mixed) == ["none", "none", "psk", "psk", "x509", "x509"]


def test_where_an_identity_is_needed_plain_coap_is_no_way_in() -> None:
    mixed = Integration("meters", "c", "k", security_mode=SecurityMode.MIXED, require_principal=True)
    assert credentials(mixed) == ["psk", "psk", "x509", "x509"]


@pytest.mark.parametrize("odd", ["it's", "a b", "$(reboot)", "`reboot`", "; reboot", "-k"])
def test_a_shell_takes_names_as_they_are(odd: str) -> None:
    for command in by_psk(URL, program="gateway", device=odd, identity=odd):
        words = shlex.split(command)
        assert odd in words
        assert f"{odd},default,temperature,25.7,humidity,69" in words
    for command in by_certificate(URL, program="gateway", device=odd):
        assert f"{odd},default,temperature,25.7,humidity,69" in shlex.split(command)


def test_a_key_that_libcoap_s_client_can_not_be_given_is_for_the_own_command_alone() -> None:
    (command,) = by_psk(URL, program="python -m gateway", key=SampleKey("--psk-key-file", str(Path("a key"))))
    assert command.startswith("python -m gateway send ")
    assert "--psk-key-file 'a key'" in command
