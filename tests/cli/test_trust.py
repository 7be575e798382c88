"""`gateway trust`."""

import subprocess
import time
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.cli.conftest import Cli
from tests.dtls.certificates import DAY_S, Issued, Options, authority, bare, device, version_1

NOW_S = int(time.time())
FUTURE = Options(not_before_s=NOW_S - DAY_S, not_after_s=NOW_S + 10 * DAY_S)
PAST = Options(not_before_s=NOW_S - 10 * DAY_S, not_after_s=NOW_S - 1)


@pytest.fixture(autouse=True)
def dtls_is_on(cli: Cli) -> None:
    cli.set(COAP_SECURITY_MODE="MIXED")


def pem(*issued: Issued) -> bytes:
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in issued)


def listed(cli: Cli) -> list[tuple[str, str]]:
    return [(one["name"], one["kind"]) for one in cli.ok("trust", "list", "--format", "json").json]


def refusal(cli: Cli, *arguments: str) -> str:
    """What is said of a file that is not taken; nothing of it is kept."""
    before = listed(cli)
    result = cli("trust", "add", *arguments)
    assert (result.code, result.out) == (2, ""), result
    assert result.err.startswith("error: ")
    assert "\nhint: " in result.err
    assert listed(cli) == before
    return result.err


def test_add_tells_what_is_trusted_and_until_when(cli: Cli) -> None:
    root = authority("Plant CA", not_before_s=NOW_S - DAY_S, not_after_s=1_900_000_000)
    lines = cli.ok("trust", "add", cli.write("ca.pem", pem(root))).out.splitlines()
    assert lines == [
        'CA "Plant CA" is trusted.',
        f"  fingerprint  {root.fingerprint}",
        "  subject      CN=Plant CA",
        "  valid until  2030-03-17 17:46:40.000Z",
    ]


def test_list_has_the_shape_that_add_prints(cli: Cli) -> None:
    root = authority("Plant CA", not_before_s=NOW_S - DAY_S, not_after_s=1_900_000_000)
    file = cli.write("ca.pem", pem(root))
    shapes = cli.ok("trust", "add", file, "--format", "json").json
    assert abs(shapes[0].pop("added_ts") - time.time() * 1000) < 60_000
    assert shapes == [
        {
            "name": "Plant CA",
            "kind": "ca",
            "fingerprint": root.fingerprint,
            "subject": "CN=Plant CA",
            "issuer": "CN=Plant CA",
            "expires_ts": 1_900_000_000_000,
            "expired": False,
        }
    ]
    assert [shape["fingerprint"] for shape in cli.ok("trust", "list", "--format", "json").json] == [root.fingerprint]
    row = cli.ok("trust", "list").out.splitlines()[2]
    assert row.split() == ["Plant", "CA", "ca", "CN=Plant", "CA", "2030-03-17", "17:46:40.000Z", root.fingerprint]


def test_the_certificate_says_whether_it_is_of_a_ca_unless_one_says_so(cli: Cli) -> None:
    root = authority("Root", **FUTURE)
    everything = [root, device("SN-1", issuer=root, **FUTURE), bare("SN-2", **FUTURE)]
    cli.ok("trust", "add", cli.write("all.pem", pem(*everything)))
    assert listed(cli) == [("Root", "ca"), ("SN-1", "device"), ("SN-2", "device")]
    cli.ok("trust", "remove", "Root")
    cli.ok("trust", "add", cli.write("root.pem", pem(root)), "--as", "device")
    assert ("Root", "device") in listed(cli)
    assert "does not say that it is a CA" in refusal(cli, cli.write("2.pem", pem(bare("SN-3"))), "--as", "ca")


def test_pem_and_der_and_standard_input_are_taken(cli: Cli) -> None:
    roots = [authority(f"Root {number}", **FUTURE) for number in range(3)]
    cli.ok("trust", "add", cli.write("0.pem", b"some text\n" + pem(roots[0])))
    cli.ok("trust", "add", cli.write("1.crt", roots[1].der))
    cli.ok("trust", "add", "-", stdin=pem(roots[2]))
    assert [name for name, _ in listed(cli)] == ["Root 0", "Root 1", "Root 2"]


def test_what_openssl_made_is_taken(cli: Cli, tmp_path: Path) -> None:
    openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        [*openssl, "-keyout", "key.pem", "-out", "ca.pem", "-subj", "/CN=OpenSSL CA"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "device-7.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    cli.ok("trust", "add", "ca.pem")
    cli.ok("trust", "add", "device-7.pem")
    assert listed(cli) == [("OpenSSL CA", "ca"), ("device-7", "key")]
    assert "only PRIVATE KEY" in refusal(cli, "key.pem")


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_public_key_is_trusted_by_its_fingerprint(cli: Cli, encoding: Encoding) -> None:
    one = device("SN-1")
    key = one.key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    (shape,) = cli.ok("trust", "add", cli.write("SN-1.pub", key), "--format", "json").json
    der = one.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert (shape["name"], shape["kind"], shape["fingerprint"]) == ("SN-1", "key", sha256(der).hexdigest())
    assert (shape["subject"], shape["issuer"], shape["expires_ts"], shape["expired"]) == (None, None, None, False)
    assert cli.ok("trust", "add", "SN-1.pub").out.splitlines() == [
        'Public key "SN-1" is trusted already.',
        f"  fingerprint  {shape['fingerprint']}",
    ]
    assert cli.ok("trust", "list").out.splitlines()[2].split() == ["SN-1", "key", shape["fingerprint"]]
    assert "--as is for certificates" in refusal(cli, "SN-1.pub", "--as", "device")


def test_adding_it_again_changes_nothing(cli: Cli) -> None:
    root, other = authority("Root", **FUTURE), authority("Other", **FUTURE)
    file = cli.write("ca.pem", pem(root))
    cli.ok("trust", "add", file, "--name", "plant")
    assert 'CA "plant" is trusted already.' in cli.ok("trust", "add", file).out
    assert 'CA "plant" is trusted already.' in cli.ok("trust", "add", file, "--as", "ca", "--name", "plant").out
    out = cli.ok("trust", "add", cli.write("both.pem", pem(root, other, root, other))).out
    assert out.count("is trusted already.") == 1
    assert out.count("is trusted.") == 1
    assert listed(cli) == [("Other", "ca"), ("plant", "ca")]


def test_another_name_or_kind_for_what_is_trusted_is_refused(cli: Cli) -> None:
    file = cli.write("ca.pem", pem(authority("Root", **FUTURE)))
    cli.ok("trust", "add", file)
    assert "trusted already, as Root" in refusal(cli, file, "--name", "plant")
    assert "gateway trust remove" in refusal(cli, file, "--as", "device")


def test_certificates_of_one_name_are_told_apart(cli: Cli) -> None:
    first, second, third = (authority("Root", **FUTURE) for _ in range(3))
    cli.ok("trust", "add", cli.write("1.pem", pem(first)))
    cli.ok("trust", "add", cli.write("2.pem", pem(second, third)))
    names = {"Root", f"Root {second.fingerprint[:16]}", f"Root {third.fingerprint[:16]}"}
    assert {name for name, _ in listed(cli)} == names
    assert "another trusted certificate or key is named Root" in refusal(
        cli, cli.write("4.pem", pem(authority("new", **FUTURE))), "--name", "Root"
    )


def test_a_name_that_nobody_can_type_is_replaced(cli: Cli) -> None:
    root = authority("bell \x07", **FUTURE)
    unnamed = bare(**FUTURE | Options(subject=x509.Name([])))
    cli.ok("trust", "add", cli.write("ca.pem", pem(root)))
    cli.ok("trust", "add", cli.write("device.pem", pem(unnamed)))
    assert {name for name, _ in listed(cli)} == {root.fingerprint[:16], unnamed.fingerprint}
    assert "\x07" not in cli.ok("trust", "list").out


def test_what_would_let_nobody_in_is_refused(cli: Cli) -> None:
    curve = ec.generate_private_key(ec.SECP521R1())
    constraints = x509.NameConstraints([x509.DNSName("example.com")], None)
    constrained = authority("Root", **FUTURE | Options(extensions=[(constraints, True)]))
    public = curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert "not taken" in refusal(cli, cli.write("521.pem", pem(device("SN-1", key=curve))))
    assert "not taken" in refusal(cli, cli.write("521.pub", public))
    assert "can't be printed" in refusal(cli, cli.write("bell.pem", pem(device("bell \x07"))))
    assert "name constraints" in refusal(cli, cli.write("constrained.pem", pem(constrained)))
    cli.ok("trust", "add", "constrained.pem", "--as", "device")


def test_a_certificate_of_version_1_is_a_devices(cli: Cli) -> None:
    issuer = authority("old")
    cli.ok("trust", "add", cli.write("v1.der", version_1(bare("SN-1", issuer=issuer, **FUTURE), issuer)))
    assert listed(cli) == [("SN-1", "device")]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x30\x03\x02\x01\x01", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_holds_no_certificate_is_refused(cli: Cli, content: bytes) -> None:
    assert "file 'f'" in refusal(cli, cli.write("f", content))


def test_a_private_key_alone_is_refused_and_not_shown(cli: Cli) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert text.decode().splitlines()[1] not in refusal(cli, cli.write("key.pem", text))
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    refusal(cli, cli.write("key.der", der))


def test_other_mistakes_are_usage(cli: Cli) -> None:
    file = cli.write("two.pem", pem(authority("a", **FUTURE), authority("b", **FUTURE)))
    assert "2 certificates, and --name is for one" in refusal(cli, file, "--name", "x")
    assert "is not usable" in refusal(cli, file, "--name", "")
    assert cli("trust", "add", "nowhere").code == 2
    assert cli("trust", "add", file, "--as", "key").code == 2


def test_an_expired_one_is_taken_with_a_warning(cli: Cli) -> None:
    result = cli("trust", "add", cli.write("ca.pem", pem(authority("Root", **PAST))))
    assert result.code == 0
    assert "has expired" in result.err
    assert " EXPIRED " in cli.ok("trust", "list").out
    assert cli.ok("trust", "list", "--format", "json").json[0]["expired"] is True


def test_remove_takes_a_name_a_fingerprint_or_its_beginning(cli: Cli) -> None:
    root = authority("Root", **FUTURE)
    file = cli.write("ca.pem", pem(root))
    colons = ":".join(root.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    for title in ("Root", root.fingerprint, root.fingerprint[:8], colons):
        cli.ok("trust", "add", file)
        assert cli.ok("trust", "remove", title).out == 'CA "Root" is no longer trusted.\n'
        assert listed(cli) == []
    result = cli("trust", "remove", "Root")
    assert (result.code, result.out) == (1, "")
    assert "gateway trust add" in result.err


def test_it_says_where_trusting_has_no_effect(cli: Cli) -> None:
    file = cli.write("ca.pem", pem(authority("Root", **FUTURE)))
    cli.set(COAP_DTLS_CLIENT_AUTH="NONE")
    assert "COAP_DTLS_CLIENT_AUTH" in cli("trust", "add", file).err
    cli.set(COAP_SECURITY_MODE="NO SECURE", COAP_DTLS_CLIENT_AUTH="WANTED")
    assert "COAP_SECURITY_MODE=MIXED" in cli("trust", "add", file).err
