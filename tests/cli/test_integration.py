"""`gateway integration`."""

from uuid import UUID

import pytest

from tests.cli.conftest import Cli

KEYS = [
    "name",
    "enabled",
    "security_mode",
    "routing_key",
    "path_prefix",
    "converter",
    "metadata",
    "identity_binding",
    "require_principal",
    "debug",
    "debug_until_ts",
    "endpoints",
]


def test_create_prints_the_shape_that_show_prints(cli: Cli) -> None:
    converter = cli.converter()
    created = cli.ok("integration", "create", "meters", "--converter", converter, "--format", "json").json
    key = created["routing_key"]
    assert str(UUID(key)) == key
    assert list(created) == KEYS
    assert created == {
        "name": "meters",
        "enabled": True,
        "security_mode": "NO SECURE",
        "routing_key": key,
        "path_prefix": "",
        "converter": "tutorial",
        "metadata": {},
        "identity_binding": "none",
        "require_principal": False,
        "debug": "off",
        "debug_until_ts": None,
        "endpoints": [f"coap://127.0.0.1/i/{key}"],
    }
    assert cli.ok("integration", "show", "meters", "--format", "json").json == created
    assert cli.ok("integration", "list", "--format", "json").json == [created]


def test_every_option_of_create_is_kept(cli: Cli) -> None:
    cli.set(COAP_DTLS_ENABLED="true", COAP_BIND_PORT="5700", GATEWAY_BASE_URL="coap://g.example.com")
    options = ["--converter", cli.converter(), "--security-mode", "mixed", "--path-prefix", "api/v2"]
    options += ["--routing-key", "k-1", "--metadata", "site=Berlin", "--metadata", "q=a=b"]
    options += ["--identity-binding", "{name}-*", "--require-principal", "--disabled"]
    assert cli.ok("integration", "create", "Zähler Süd", *options, "--format", "json").json == {
        "name": "Zähler Süd",
        "enabled": False,
        "security_mode": "MIXED",
        "routing_key": "k-1",
        "path_prefix": "api/v2",
        "converter": "tutorial",
        "metadata": {"site": "Berlin", "q": "a=b"},
        "identity_binding": "{name}-*",
        "require_principal": True,
        "debug": "off",
        "debug_until_ts": None,
        "endpoints": ["coap://g.example.com:5700/api/v2/i/k-1", "coaps://g.example.com/api/v2/i/k-1"],
    }
    shown = cli.ok("integration", "show", "Zähler Süd").out.splitlines()
    assert "identity binding   {name}-*" in shown
    assert "require principal  yes" in shown
    assert "metadata           site=Berlin, q=a=b" in shown
    assert "endpoint 2         coaps://g.example.com/api/v2/i/k-1" in shown


def test_create_shows_a_person_the_url_and_commands_to_try_it(cli: Cli) -> None:
    cli.converter()
    out = cli.ok("integration", "create", "m", "--converter", "tutorial", "--routing-key", "k").out
    assert out.splitlines() == [
        'Integration "m" is created. Devices POST or PUT to',
        "  coap://127.0.0.1/i/k",
        "Try it:",
        "  coap-client-notls -m post -e 'SN-001,default,temperature,25.7,humidity,69' coap://127.0.0.1/i/k",
        "  gateway send coap://127.0.0.1/i/k --text 'SN-001,default,temperature,25.7,humidity,69'",
    ]


TEXT = "'SN-001,default,temperature,25.7,humidity,69'"
PLAIN_COMMANDS = [
    f"  coap-client-notls -m post -e {TEXT} coap://127.0.0.1/i/k",
    f"  gateway send coap://127.0.0.1/i/k --text {TEXT}",
]
DTLS_COMMANDS = [
    f"  coap-client-openssl -m post -u IDENTITY -k KEY -e {TEXT} coaps://127.0.0.1/i/k",
    f"  gateway send coaps://127.0.0.1/i/k --psk-identity IDENTITY --psk-key KEY --text {TEXT}",
    "A device that has no certificate needs a pre-shared key: gateway psk add IDENTITY",
]

BOUND_COMMANDS = [command.replace("SN-001", "NAME-OF-THE-DEVICE") for command in DTLS_COMMANDS]


@pytest.mark.parametrize(
    ("options", "commands"),
    [
        (["--security-mode", "DTLS"], DTLS_COMMANDS),
        (["--security-mode", "MIXED"], [*PLAIN_COMMANDS, *DTLS_COMMANDS]),
        (["--security-mode", "MIXED", "--require-principal"], DTLS_COMMANDS),
        (["--security-mode", "MIXED", "--identity-binding", "name"], BOUND_COMMANDS),
        (["--security-mode", "DTLS", "--identity-binding", "{name}-*"], BOUND_COMMANDS),
    ],
)
def test_the_commands_to_try_it_are_those_that_it_takes(cli: Cli, options: list[str], commands: list[str]) -> None:
    cli.set(COAP_DTLS_ENABLED="true")
    cli.converter()
    out = cli.ok("integration", "create", "m", "--converter", "tutorial", "--routing-key", "k", *options).out
    assert out.partition("Try it:\n")[2].splitlines() == commands


def test_security_modes_are_thingsboards_in_upper_or_lower_case(cli: Cli) -> None:
    cli.converter()
    options = ["--converter", "tutorial", "--format", "json"]
    for mode in ("NO SECURE", "no secure"):
        created = cli.ok("integration", "create", mode, "--security-mode", mode, *options).json
        assert created["security_mode"] == "NO SECURE"
    for command in (["create", "m", *options], ["update", "no secure"]):
        refused = cli("integration", *command, "--security-mode", "NO_SECURE")
        assert (refused.code, refused.out) == (2, "")
        assert "'NO_SECURE' is none of 'NO SECURE', 'DTLS', 'MIXED'" in refused.err


def test_create_without_its_converter_is_exit_1_and_names_those_there_are(cli: Cli) -> None:
    cli.converter()
    result = cli("integration", "create", "m", "--converter", "other")
    assert (result.code, result.out) == (1, "")
    assert "other" in result.err
    assert "tutorial" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["", "--converter", "tutorial"],
        ["m", "--converter", "tutorial", "--routing-key", "a/b"],
        ["m", "--converter", "tutorial", "--routing-key", ""],
        ["m", "--converter", "tutorial", "--path-prefix", "/api"],
        ["m", "--converter", "tutorial", "--path-prefix", ".well-known"],
        ["m", "--converter", "tutorial", "--metadata", "site"],
        ["m", "--converter", "tutorial", "--security-mode", "DTLS"],
        ["m", "--converter", "tutorial", "--security-mode", "MIXED"],
        ["m", "--converter", "tutorial", "--identity-binding", "cn"],
        ["m", "--converter", "tutorial", "--identity-binding", "name"],
        ["m", "--converter", "tutorial", "--require-principal"],
    ],
)
def test_create_refuses_what_can_not_be_served_and_keeps_nothing(cli: Cli, arguments: list[str]) -> None:
    cli.converter()
    result = cli("integration", "create", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert "\nhint: " in result.err
    assert cli.ok("integration", "list", "--format", "json").json == []


def test_a_name_and_a_routing_key_belong_to_one_integration(cli: Cli) -> None:
    cli.converter()
    cli.ok("integration", "create", "m", "--converter", "tutorial", "--routing-key", "k")
    assert cli("integration", "create", "m", "--converter", "tutorial").code == 2
    assert cli("integration", "create", "n", "--converter", "tutorial", "--routing-key", "k").code == 2


def test_the_table_lists_each_integration_with_its_endpoints(cli: Cli) -> None:
    cli.set(COAP_DTLS_ENABLED="true")
    cli.converter()
    cli.ok("integration", "create", "b", "--converter", "tutorial", "--routing-key", "k", "--disabled")
    cli.ok("integration", "create", "a", "--converter", "tutorial", "--routing-key", "l", "--security-mode", "MIXED")
    rows = [line.split() for line in cli.ok("integration", "list").out.splitlines()[2:]]
    assert rows == [
        ["a", "yes", "MIXED", "tutorial", "coap://127.0.0.1/i/l", "coaps://127.0.0.1/i/l"],
        ["b", "no", "NO", "SECURE", "tutorial", "coap://127.0.0.1/i/k"],
    ]


def test_update_changes_what_is_given_and_leaves_the_rest(cli: Cli) -> None:
    cli.converter()
    options = ["--routing-key", "k", "--metadata", "site=Berlin", "--metadata", "floor=1", "--path-prefix", "api"]
    created = cli.ok("integration", "create", "m", "--converter", "tutorial", *options, "--format", "json").json
    assert cli.ok("integration", "update", "m", "--format", "json").json == created
    updated = cli.ok(
        *("integration", "update", "m", "--name", "n", "--path-prefix", "", "--metadata", "floor=2"),
        *("--remove-metadata", "site", "--metadata", "room=3", "--disabled", "--format", "json"),
    ).json
    assert updated == created | {
        "name": "n",
        "path_prefix": "",
        "metadata": {"floor": "2", "room": "3"},
        "enabled": False,
        "endpoints": ["coap://127.0.0.1/i/k"],
    }
    assert cli.ok("integration", "list", "--format", "json").json == [updated]
    assert cli("integration", "show", "m").code == 1


def test_update_gives_it_another_converter_key_mode_and_binding(cli: Cli) -> None:
    cli.set(COAP_DTLS_ENABLED="true")
    cli.converter("one")
    cli.converter("two")
    cli.ok("integration", "create", "m", "--converter", "one")
    updated = cli.ok(
        *("integration", "update", "m", "--converter", "two", "--routing-key", "l"),
        *("--security-mode", "DTLS", "--identity-binding", "name", "--require-principal", "--format", "json"),
    ).json
    assert (updated["converter"], updated["endpoints"]) == ("two", ["coaps://127.0.0.1/i/l"])
    assert (updated["identity_binding"], updated["require_principal"]) == ("name", True)
    assert cli.ok("integration", "update", "m", "--format", "json").json == updated
    options = ["--identity-binding", "none", "--no-require-principal", "--security-mode", "NO SECURE"]
    updated = cli.ok("integration", "update", "m", *options, "--format", "json").json
    assert (updated["identity_binding"], updated["require_principal"]) == ("none", False)


def test_update_refuses_what_create_refuses(cli: Cli) -> None:
    cli.converter()
    created = cli.ok("integration", "create", "m", "--converter", "tutorial", "--format", "json").json
    wrong = ["--name", " m"], ["--routing-key", ".."], ["--security-mode", "DTLS"], ["--identity-binding", "name"]
    for arguments in wrong:
        assert cli("integration", "update", "m", *arguments).code == 2
    assert cli("integration", "update", "m", "--converter", "other").code == 1
    assert cli("integration", "update", "nobody").code == 1
    assert cli.ok("integration", "show", "m", "--format", "json").json == created


def test_disable_and_enable_turn_it_off_and_on(cli: Cli) -> None:
    cli.converter()
    cli.ok("integration", "create", "m", "--converter", "tutorial")
    for verb, enabled in (("disable", False), ("disable", False), ("enable", True)):
        assert cli.ok("integration", verb, "m").out == f'Integration "m" is {verb}d.\n'
        assert cli.ok("integration", "show", "m", "--format", "json").json["enabled"] is enabled
    assert cli("integration", "disable", "nobody").code == 1
    assert cli("integration", "enable", "nobody").code == 1


def test_what_the_settings_no_longer_allow_can_be_disabled_and_deleted_but_not_enabled(cli: Cli) -> None:
    cli.set(COAP_DTLS_ENABLED="true")
    cli.converter()
    cli.ok("integration", "create", "m", "--converter", "tutorial", "--security-mode", "DTLS")
    cli.set(COAP_DTLS_ENABLED="false")
    cli.ok("integration", "disable", "m")
    assert cli("integration", "enable", "m").code == 2
    cli.ok("integration", "delete", "m")


def test_delete_removes_it(cli: Cli) -> None:
    cli.converter()
    cli.ok("integration", "create", "m", "--converter", "tutorial")
    assert cli.ok("integration", "delete", "m").out == 'Integration "m" is deleted.\n'
    assert cli.ok("integration", "list", "--format", "json").json == []
    assert cli("integration", "delete", "m").code == 1
