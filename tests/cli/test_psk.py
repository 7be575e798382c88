"""`gateway psk`."""

import shlex
import subprocess
from pathlib import Path

import pytest

from gateway.credentials.keyfile import KeyFile
from gateway.credentials.psk import PskSealer
from gateway.integrations.identity import writable_by
from gateway.model import Principal
from gateway.storage.catalogue import Catalogue
from tests.cli.conftest import Cli
from tests.interop.process import running, wait_until_bound
from tests.ports import free_port

HEX = bytes(range(16)).hex()


@pytest.fixture(autouse=True)
def dtls_is_on(cli: Cli) -> None:
    cli.set(COAP_SECURITY_MODE="MIXED")


def key_of(cli: Cli, identity: str) -> bytes | None:
    """The key that a running gateway would find."""
    with Catalogue(cli.data_dir) as catalogue:
        sealed = catalogue.credentials.psk(identity)
    return sealed and PskSealer(KeyFile.load(cli.data_dir / "gateway.key")).open(identity, sealed)


def identities(cli: Cli) -> list[str]:
    return [psk["identity"] for psk in cli.ok("psk", "list", "--format", "json").json]


def test_add_generates_a_key_and_shows_it_once(cli: Cli) -> None:
    lines = cli.ok("psk", "add", "meter 1").out.splitlines()
    text, digits = lines[2].split()[-1], lines[3].split()[-1]
    assert lines == [
        'The pre-shared key of "meter 1" is added.',
        "It is shown this once:",
        f"  as text  {text}",
        f"  in hex   {digits}",
        "Try it:",
        f"  coap-client-openssl -m post -u 'meter 1' -k {text} -e 'meter 1,default,temperature,25.7,humidity,69' "
        "coaps://127.0.0.1/i/ROUTING_KEY",
        f"  gateway send coaps://127.0.0.1/i/ROUTING_KEY --psk-identity 'meter 1' --psk-key {text} "
        "--text 'meter 1,default,temperature,25.7,humidity,69'",
    ]
    assert key_of(cli, "meter 1") == text.encode() == bytes.fromhex(digits)
    for shown in (cli.ok("psk", "list").out, cli.ok("psk", "list", "--format", "json").out):
        assert text not in shown
        assert digits not in shown


def test_add_in_json_has_the_generated_key_in_both_forms(cli: Cli) -> None:
    added = cli.ok("psk", "add", "a", "--format", "json").json
    assert list(added) == ["identity", "key", "key_hex"]
    assert bytes.fromhex(added["key_hex"]) == added["key"].encode() == key_of(cli, "a")


def test_the_command_that_is_shown_tries_the_one_endpoint_that_there_is(cli: Cli) -> None:
    cli.converter()
    cli.ok("integration", "create", "a", "--converter", "tutorial", "--routing-key", "plain")
    options = ["--converter", "tutorial", "--security-mode", "DTLS"]
    cli.ok("integration", "create", "b", *options, "--routing-key", "off", "--disabled")
    cli.ok("integration", "create", "c", *options, "--routing-key", "k")
    assert " coaps://127.0.0.1/i/k\n" in cli.ok("psk", "add", "meter").out
    cli.ok("integration", "create", "d", *options, "--routing-key", "l")
    assert " coaps://127.0.0.1/i/ROUTING_KEY\n" in cli.ok("psk", "add", "pump").out


@pytest.mark.parametrize(
    ("binding", "device"),
    [("none", "SN-001"), ("name", "gw-*"), ("{name}", "gw-*"), ("{name}-*", "gw-*-1"), ("*/{name}*", "1/gw-*1")],
)
def test_the_command_that_is_shown_writes_a_device_that_the_identity_may_write(
    cli: Cli, binding: str, device: str
) -> None:
    cli.converter()
    options = ["--converter", "tutorial", "--security-mode", "DTLS", "--identity-binding", binding]
    cli.ok("integration", "create", "m", *options, "--routing-key", "k")
    commands = cli.ok("psk", "add", "gw-*").out.partition("Try it:\n")[2]
    assert commands.count(f"'{device},default,temperature,25.7,humidity,69'") == 2
    with Catalogue(cli.data_dir) as catalogue:
        may_write = writable_by(catalogue.integration("m"), Principal("psk", "gw-*"))
    assert may_write is None or may_write(device)


@pytest.mark.parametrize("identity", ["meter-1", 'it\'s "$HOME"', "-x"])
def test_the_command_that_is_shown_works_with_the_real_client(cli: Cli, identity: str) -> None:
    port = free_port()
    cli.set(COAP_DTLS_BIND_PORT=str(port + 1))  # libcoap's server has DTLS on the next one
    added = cli.ok("psk", "add", "--", identity).out
    command = next(line for line in added.splitlines() if "coap-client" in line).strip()
    words = shlex.split(command)
    assert words[words.index("-u") + 1] == identity
    key = words[words.index("-k") + 1]
    with running("coap-server-openssl", "-A", "127.0.0.1", "-p", port, "-k", key, "-h", "a hint"):
        wait_until_bound(port + 1)
        done = subprocess.run(f"{command} -B 10", shell=True, capture_output=True, text=True, timeout=30, check=False)
    assert "4.04" in done.stdout + done.stderr, done  # an answer, so the handshake was done


@pytest.mark.parametrize(
    ("options", "key", "shown"),
    [
        (["--key", "secretsecretsecret"], b"secretsecretsecret", "--psk-key KEY"),
        (["--key-hex", HEX], bytes(range(16)), "--psk-key-hex KEY"),
        (["--key-hex", "00 01:02" + "ff" * 20], b"\x00\x01\x02" + b"\xff" * 20, "--psk-key-hex KEY"),
        (["--key-file", "text"], b"secretsecretsecret", "--psk-key-file FILE"),
        (["--key-file", "bytes"], bytes(range(16)), "--psk-key-file FILE"),
        (["--key-file", "-"], b"from standard input", "--psk-key-file FILE"),
    ],
)
def test_a_key_that_is_given_is_kept_and_not_shown(cli: Cli, options: list[str], key: bytes, shown: str) -> None:
    cli.write("text", "secretsecretsecret\n")
    cli.write("bytes", bytes(range(16)))
    out = cli.ok("psk", "add", "meter", *options, stdin=b"from standard input\n").out
    assert key_of(cli, "meter") == key
    assert "secretsecret" not in out
    assert HEX not in out
    assert f"--psk-identity meter {shown} --text" in out
    assert ("-u meter -k KEY" in out) is (options[0] == "--key")  # coap-client takes keys that are text, and no others
    assert cli.ok("psk", "add", "m2", *options, "--format", "json", stdin=b"from standard input").json == {
        "identity": "m2"
    }


def test_a_weak_key_is_taken_with_a_warning(cli: Cli) -> None:
    result = cli("psk", "add", "meter", "--key", "12345678")
    assert result.code == 0
    assert result.err == "hint: a key of 8 bytes is weak; from 16 on it is not\n"
    assert key_of(cli, "meter") == b"12345678"


@pytest.mark.parametrize(
    "arguments",
    [
        [""],
        ["a\\b"],
        ["x" * 129],
        ["a", "--key", "5ec4e75"],
        ["a", "--key", ""],
        ["a", "--key", "5ec4e7" * 11],
        ["a", "--key-hex", "5ec4e7"],
        ["a", "--key-hex", "5ec4e7x"],
        ["a", "--key", "5ec4e7" * 3, "--key-hex", "5ec4e7" * 6],
        ["a", "--key-file", "nowhere"],
    ],
)
def test_what_is_no_identity_or_key_is_refused_without_showing_it(cli: Cli, arguments: list[str]) -> None:
    result = cli("psk", "add", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")
    assert "5ec4e7" not in result.err
    assert identities(cli) == []


def test_an_identity_with_a_key_gets_another_only_with_replace(cli: Cli) -> None:
    cli.ok("psk", "add", "meter", "--key-hex", HEX)
    result = cli("psk", "add", "meter")
    assert (result.code, result.out) == (2, "")
    assert "--replace" in result.err
    assert key_of(cli, "meter") == bytes(range(16))
    replaced = cli.ok("psk", "add", "meter", "--key", "another key of it", "--replace").out
    assert replaced.startswith('The pre-shared key of "meter" is replaced.\n')
    assert key_of(cli, "meter") == b"another key of it"
    added = cli.ok("psk", "add", "pump", "--replace").out
    assert added.startswith('The pre-shared key of "pump" is added.\n')


def test_import_takes_all_lines_or_none(cli: Cli) -> None:
    file = cli.write("keys", f"\ufeff# identity:key\r\nurn:dev:1:{HEX}\r\nSüd:{HEX}ff\r\n")
    assert cli.ok("psk", "import", file).out == "Imported pre-shared keys: 2.\n"
    assert identities(cli) == ["Süd", "urn:dev:1"]
    assert key_of(cli, "Süd") == bytes(range(16)) + b"\xff"
    result = cli("psk", "import", "-", stdin=f"new:{HEX}\nSüd:{HEX}\n".encode())
    assert result.code == 2
    assert "Süd has a pre-shared key already" in result.err
    assert identities(cli) == ["Süd", "urn:dev:1"]
    cli.ok("psk", "import", "-", "--replace", stdin=f"new:{HEX}\nSüd:{HEX}\n".encode())
    assert identities(cli) == ["Süd", "new", "urn:dev:1"]
    assert key_of(cli, "Süd") == bytes(range(16))


@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_import_keeps_the_keys_that_are_there(cli: Cli, options: list[str]) -> None:
    lines = f"a:{HEX}\nb:{HEX}\n".encode()
    cli.ok("psk", "import", "-", stdin=lines)
    before = cli.ok("psk", "list", "--format", "json").json
    assert cli.ok("psk", "import", "-", *options, stdin=lines).out == "Imported pre-shared keys: 0, kept: 2.\n"
    assert cli.ok("psk", "list", "--format", "json").json == before  # replaced ones would have lost their sessions
    out = cli.ok("psk", "import", "-", *options, stdin=lines + f"c:{HEX}\n".encode()).out
    assert out == "Imported pre-shared keys: 1, kept: 2.\n"


def test_import_replaces_keys_that_can_no_longer_be_opened(cli: Cli) -> None:
    cli.ok("psk", "import", "-", stdin=f"a:{HEX}\n".encode())
    (cli.data_dir / "gateway.key").unlink()
    KeyFile.open(cli.data_dir / "gateway.key")
    assert cli("psk", "import", "-", stdin=f"a:{HEX}\n".encode()).code == 2
    out = cli.ok("psk", "import", "-", "--replace", stdin=f"a:{HEX}\n".encode()).out
    assert out == "Imported pre-shared keys: 1.\n"
    assert key_of(cli, "a") == bytes(range(16))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a:" + HEX.encode() + b"\nb:5ec4e7xx\n", "file '-', line 2: what stands behind the last colon"),
        (b"\xff:00", "file '-' is not UTF-8 text (byte 0)"),
    ],
)
def test_import_names_the_line_that_is_wrong_and_not_its_key(cli: Cli, content: bytes, reason: str) -> None:
    result = cli("psk", "import", "-", stdin=content)
    assert (result.code, result.out) == (2, "")
    assert f"error: {reason}" in result.err
    assert "5ec4e7" not in result.err
    assert identities(cli) == []


def test_import_counts_weak_keys(cli: Cli) -> None:
    result = cli("psk", "import", "-", stdin=f"a:{HEX}\nb:{HEX[:30]}\n".encode())
    assert (result.code, result.err) == (0, "hint: weak keys, of less than 16 bytes: 1\n")


def test_list_searches_and_says_what_it_left_out(cli: Cli) -> None:
    cli.ok("psk", "import", "-", stdin="".join(f"{name}:{HEX}\n" for name in ("meter-1", "meter-2", "pump")).encode())
    rows = cli.ok("psk", "list", "--search", "meter").out.splitlines()
    assert [row.split()[0] for row in rows[2:]] == ["meter-1", "meter-2"]
    result = cli("psk", "list", "--limit", "2", "--format", "json")
    assert [psk["identity"] for psk in result.json] == ["meter-1", "meter-2"]
    assert list(result.json[0]) == ["identity", "added_ts"]
    assert "only the first 2" in result.err


def test_remove_takes_several_at_once_or_none(cli: Cli) -> None:
    cli.ok("psk", "import", "-", stdin="".join(f"{name}:{HEX}\n" for name in "abc").encode())
    result = cli("psk", "remove", "a", "nobody")
    assert (result.code, result.out) == (1, "")
    assert "nobody" in result.err
    assert cli.ok("psk", "remove", "a", "c", "a").out.splitlines() == [
        'The pre-shared key of "a" is removed.',
        'The pre-shared key of "c" is removed.',
    ]
    assert identities(cli) == ["b"]


def test_a_lost_key_file_is_not_replaced_while_keys_need_it(cli: Cli) -> None:
    cli.ok("psk", "add", "meter")
    (cli.data_dir / "gateway.key").unlink()
    result = cli("psk", "add", "pump")
    assert (result.code, result.out) == (78, "")
    assert "backup" in result.err
    assert not (cli.data_dir / "gateway.key").exists()
    cli.ok("psk", "remove", "meter")
    cli.ok("psk", "add", "pump")


def test_the_key_file_is_where_the_setting_says(cli: Cli, tmp_path: Path) -> None:
    cli.set(GATEWAY_KEY_FILE=str(tmp_path / "elsewhere" / "key"))
    cli.ok("psk", "add", "meter")
    assert (tmp_path / "elsewhere" / "key").stat().st_mode & 0o777 == 0o600
    assert not (cli.data_dir / "gateway.key").exists()


def test_it_says_where_no_device_could_use_the_key(cli: Cli) -> None:
    cli.set(COAP_SECURITY_MODE="NO SECURE")
    assert "COAP_SECURITY_MODE=MIXED" in cli("psk", "add", "meter").err
    assert "COAP_SECURITY_MODE=MIXED" in cli("psk", "import", "-", stdin=f"a:{HEX}".encode()).err
