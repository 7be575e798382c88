"""Sessions in files: what is not ours, damaged, foreign or old is not resumed."""

import json
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli.session_file import MAX_FILE_BYTES, MAX_TICKET_BYTES, load_session, store_session
from gateway.dtls.client import Resumption
from gateway.dtls.config import Config
from gateway.dtls.suites import BY_NAME
from gateway.dtls.tickets import TICKET_LIFETIME_S, Session
from gateway.model import Principal

SUITE = BY_NAME["ECDHE_ECDSA_WITH_AES_128_CCM_8"]
NOW_S = time.time()
SERVER = Principal("x509", "gateway.example", sans=("gateway.example",), expires_s=int(NOW_S) + 3600)
RESUMPTION = Resumption(Session(SUITE, bytes(range(48)), True, SERVER, int(NOW_S)), b"", b"ticket")
BINDING = b"this server, these credentials"
CONFIG = Config()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "session"
    store_session(path, BINDING, RESUMPTION)
    return path


def load(path: Path, *, binding: bytes = BINDING, config: Config = CONFIG, now_s: float = NOW_S) -> Resumption | None:
    return load_session(path, binding, config, now_s)


def test_what_is_stored_is_loaded(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(file) == RESUMPTION
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert capsys.readouterr() == ("", "")


def test_no_file_is_no_session_and_no_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(tmp_path / "none") is None
    assert capsys.readouterr().err == ""


def test_it_is_for_its_server_and_credentials_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(file, binding=b"others") is None
    assert "is for another server or other credentials" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("later_s", "is_resumed"),
    [(-1, False), (0, True), (3600, True), (3601, False), (TICKET_LIFETIME_S, False)],
)
def test_it_expires_with_the_ticket_and_with_the_servers_certificate(
    file: Path, later_s: int, is_resumed: bool
) -> None:
    assert (load(file, now_s=int(NOW_S) + later_s) is not None) is is_resumed


def test_without_a_certificate_it_lasts_a_day(tmp_path: Path) -> None:
    path = tmp_path / "psk"
    store_session(path, BINDING, replace(RESUMPTION, session=replace(RESUMPTION.session, principal=None)))
    assert load(path, now_s=int(NOW_S) + TICKET_LIFETIME_S - 1) is not None
    assert load(path, now_s=int(NOW_S) + TICKET_LIFETIME_S) is None


def test_its_suite_must_be_offered(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(file, config=Config(suites=(BY_NAME["PSK_WITH_AES_128_CCM_8"],))) is None
    assert f"its cipher suite is {SUITE.name}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"format": "gateway dtls session 2"}',
        b"x" * (MAX_FILE_BYTES + 1),
    ],
)
def test_what_is_no_session_is_ignored_with_a_note(
    file: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    file.write_bytes(content)
    assert load(file) is None
    assert capsys.readouterr().err.startswith(f"note: the session in {file} is not resumed: ")


@pytest.mark.parametrize("name", ["session", "session_id", "ticket", "digest"])
@pytest.mark.parametrize("value", [None, 1, "", "zz", "00", ["00"], {}, "ü"])
def test_a_field_of_another_kind_is_damage(file: Path, name: str, value: object) -> None:
    fields = json.loads(file.read_bytes())
    if fields[name] != value:
        file.write_text(json.dumps(fields | {name: value}))
        assert load(file) is None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_changed_byte_is_never_resumed(file: Path, data: st.DataObject) -> None:
    store_session(file, BINDING, RESUMPTION)
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    assert load(file) in (None, RESUMPTION)


def test_what_can_not_be_resumed_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "session"
    for resumption in (None, replace(RESUMPTION, ticket=b""), replace(RESUMPTION, ticket=bytes(MAX_TICKET_BYTES + 1))):
        store_session(path, BINDING, resumption)
        assert not path.exists()
        assert "is not written" in capsys.readouterr().err
    store_session(path, BINDING, replace(RESUMPTION, ticket=bytes(MAX_TICKET_BYTES)))
    assert load(path) is not None


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store_session(tmp_path / "none" / "session", BINDING, RESUMPTION)
    assert "note: the session is not kept: " in capsys.readouterr().err
