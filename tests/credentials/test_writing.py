"""Writing: modes of files and folders, whole or not at all, and keystores that keytool reads."""

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.credentials.choices import KeyType
from gateway.credentials.issuing import Authority, issue_authority, issue_server, new_key
from gateway.credentials.writing import (
    append_public,
    jks_store,
    locked_folder,
    pkcs12_store,
    write_public,
    write_secret,
)
from gateway.errors import ConfigurationError, UnavailableError
from tests.credentials.stores import keytool, unprivileged

NOW_S = 1_750_000_000.0


@pytest.fixture(params=[0o000, 0o022, 0o777], ids="umask {:03o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever the user's umask is."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_for_their_owner_and_certificates_for_all(umask: None, tmp_path: Path) -> None:
    write_secret(tmp_path / "key.pem", b"secret")
    write_public(tmp_path / "cert.pem", b"public")
    assert (mode(tmp_path / "key.pem"), mode(tmp_path / "cert.pem")) == (0o600, 0o644)
    assert (tmp_path / "key.pem").read_bytes() == b"secret"


def test_a_key_is_never_in_a_file_that_others_can_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real_open = os.open

    def watched(path: Path, flags: int, mode: int = 0o777) -> int:
        if path != tmp_path:  # the folder is only synced
            opened.append((flags & (os.O_CREAT | os.O_EXCL), mode))
        return real_open(path, flags, mode)

    (tmp_path / "key.pem").write_bytes(b"old")
    (tmp_path / "key.pem").chmod(0o644)
    before = (tmp_path / "key.pem").open("rb")
    monkeypatch.setattr(os, "open", watched)
    write_secret(tmp_path / "key.pem", b"secret")
    monkeypatch.undo()
    assert opened == [(os.O_CREAT | os.O_EXCL, 0o600)]
    with before:  # who had the old file open sees the old file
        assert before.read() == b"old"
    assert mode(tmp_path / "key.pem") == 0o600


def test_a_symbolic_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"untouched")
    (tmp_path / "key.pem").symlink_to(tmp_path / "target")
    write_secret(tmp_path / "key.pem", b"secret")
    assert (tmp_path / "target").read_bytes() == b"untouched"
    assert not (tmp_path / "key.pem").is_symlink()


def test_a_file_that_can_not_be_written_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "key.pem").mkdir()
    with pytest.raises(ConfigurationError, match=r"key\.pem' can't be written: Is a directory"):
        write_secret(tmp_path / "key.pem", b"secret")
    assert [path.name for path in tmp_path.iterdir()] == ["key.pem"]


def test_folders_that_are_made_are_for_their_owner_and_those_that_are_there_stay(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with locked_folder(tmp_path / "a" / "b"):
        pass
    assert [mode(path) for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [0o755, 0o700, 0o700]
    with locked_folder(tmp_path):
        pass
    assert mode(tmp_path) == 0o755


def test_two_commands_do_not_write_to_a_folder_at_a_time(tmp_path: Path) -> None:
    with (
        locked_folder(tmp_path),
        pytest.raises(UnavailableError, match="another command writes"),
        locked_folder(tmp_path, patience_s=0),
    ):
        pass
    with locked_folder(tmp_path):
        descriptor = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)


def test_who_comes_second_waits_for_a_while(tmp_path: Path) -> None:
    done = []

    def second() -> None:
        with locked_folder(tmp_path, patience_s=60):
            done.append(True)

    with locked_folder(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.1)
        assert not done
    thread.join(60)
    assert done == [True]


def test_lines_are_added_to_a_file_that_all_may_read(umask: None, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    append_public(file, b"one\n")
    append_public(file, b"two\n")
    assert (file.read_bytes(), mode(file)) == (b"one\ntwo\n", 0o644)
    file.write_bytes(b"torn")
    append_public(file, b"three\n")
    assert file.read_bytes() == b"torn\nthree\n"


@pytest.mark.parametrize("at", ["write", "fsync"])
def test_a_line_that_is_not_on_the_disk_is_not_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """The disk is full after a few bytes of the line, or fails when it is to be flushed."""
    file = tmp_path / "lines"
    append_public(file, b"one\n")
    real_write = os.write

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk fails")

    if at == "write":
        monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:2]))
    else:
        monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigurationError, match="can't be written"):
        append_public(file, b"two\n")
    monkeypatch.undo()
    assert file.read_bytes() == b"one\n"


def test_a_fifo_takes_no_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lines")
    with pytest.raises(ConfigurationError, match="can't be written"):
        append_public(tmp_path / "lines", b"one\n")


def test_a_folder_that_can_not_be_had_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="Not a directory"), locked_folder(tmp_path / "file"):
        pass
    tmp_path.chmod(0o755)
    with unprivileged(), pytest.raises(ConfigurationError, match="Permission denied"), locked_folder(tmp_path / "new"):
        pass


@pytest.fixture(scope="module", params=KeyType)
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JKS and a PKCS#12 keystore with a key of each kind, alias and passwords as ThingsBoard has them."""
    folder = tmp_path_factory.mktemp(f"written-{request.param}")
    ca_key, key = new_key(KeyType.P256), new_key(request.param)
    authority = Authority(issue_authority("CA", ca_key, days=10, now_s=NOW_S), ca_key)
    certificate = issue_server(["localhost"], key.public_key(), authority, days=10, now_s=NOW_S)
    chain = (certificate, authority.certificate)
    passwords = {"store_password": "server_ks_password", "key_password": "server_key_password"}
    write_secret(folder / "s.jks", jks_store("serveralias", key, chain, **passwords))
    write_secret(folder / "s.p12", pkcs12_store("serveralias", key, chain, "server_ks_password"))
    return folder


@pytest.mark.parametrize(("file", "kind"), [("s.jks", b"JKS"), ("s.p12", b"PKCS12")])
def test_keytool_lists_the_key_and_its_chain(stores: Path, file: str, kind: bytes) -> None:
    listed = keytool(stores, "-list", "-v", "-keystore", file, "-storepass", "server_ks_password")
    assert b"Keystore type: " + kind in listed
    for expected in (b"Alias name: serveralias", b"PrivateKeyEntry", b"chain length: 2", b"Owner: CN=localhost"):
        assert expected in listed


@pytest.mark.parametrize(("file", "password"), [("s.jks", "server_key_password"), ("s.p12", "server_ks_password")])
def test_keytool_signs_with_the_key_so_it_can_decrypt_it(stores: Path, file: str, password: str) -> None:
    access = ("-keystore", file, "-storepass", "server_ks_password", "-keypass", password, "-alias", "serveralias")
    assert b"BEGIN NEW CERTIFICATE REQUEST" in keytool(stores, "-certreq", *access)
