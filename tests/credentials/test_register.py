"""The record of what an authority issued: whole lines or none, bounds, and whatever else may stand in the file."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.credentials import register as module
from gateway.credentials.choices import Purpose
from gateway.credentials.register import (
    FILE_BYTES_MAX,
    LINE_BYTES_MAX,
    Entry,
    Register,
    authority_fingerprint,
    entry_of,
    read_serial,
)
from gateway.errors import ConfigurationError, UsageError
from tests.dtls import certificates as make

NOW_S = 1_750_000_000.25


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return Register(tmp_path / "issued.jsonl")


def entry(serial: int = 1, **fields: Any) -> Entry:
    known: dict[str, Any] = {
        "serial": f"{serial:x}",
        "purpose": Purpose.CLIENT,
        "name": "SN-1",
        "names": ("urn:dev:1",),
        "valid_from_ts": 0,
        "valid_until_ts": 253_402_300_799_000,
        "issued_ts": 1_750_000_000_250,
        "fingerprint_sha256": "0" * 64,
        "authority_sha256": "a" * 64,
    }
    return Entry(**(known | fields))


def lines(register: Register) -> list[bytes]:
    return register.path.read_bytes().split(b"\n")


def serials(register: Register) -> list[str]:
    return list(register.read().entries)


def test_a_certificate_is_on_record_with_all_that_finds_it_again(register: Register) -> None:
    issuer = make.authority("Plant CA")
    device = make.device("Pumpe Süd/<b>", issuer=issuer).certificate
    register.add(entry_of(device, Purpose.CLIENT, issuer.certificate, NOW_S))
    (kept,) = register.read().entries.values()
    assert int(kept.serial, 16) == device.serial_number
    assert (kept.purpose, kept.name, kept.issued_ts) == (Purpose.CLIENT, "Pumpe Süd/<b>", 1_750_000_000_250)
    assert kept.valid_from_ts == device.not_valid_before_utc.timestamp() * 1000
    assert kept.valid_until_ts == device.not_valid_after_utc.timestamp() * 1000
    spki = issuer.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert kept.authority_sha256 == hashlib.sha256(spki).hexdigest() == authority_fingerprint(issuer.certificate)
    assert set(json.loads(lines(register)[0])) == set(Entry.__annotations__)
    assert register.path.stat().st_mode & 0o777 == 0o644


def test_nothing_is_on_record_where_there_is_no_file(register: Register) -> None:
    assert register.read() == ({}, ())


def test_lines_are_added_and_none_is_touched(register: Register) -> None:
    before = b""
    for number in range(1, 4):
        register.add(entry(number))
        assert register.path.read_bytes().startswith(before)
        before = register.path.read_bytes()
    assert serials(register) == ["1", "2", "3"]


@pytest.mark.parametrize("bytes_left", [0, 1, 50, -1])
def test_a_torn_last_line_costs_no_other(register: Register, bytes_left: int) -> None:
    register.add(entry(1))
    register.add(entry(2))
    whole = register.path.read_bytes()
    end = whole.index(b"\n") + 1
    torn = whole[end:][:bytes_left] if bytes_left >= 0 else whole[end:-1]  # without its line break it is whole still
    register.path.write_bytes(whole[:end] + torn)
    told = register.read()
    assert list(told.entries) == (["1", "2"] if bytes_left < 0 else ["1"])
    assert len(told.findings) == (bytes_left > 0)
    register.add(entry(3))
    assert serials(register) == (["1", "2", "3"] if bytes_left < 0 else ["1", "3"])
    assert register.path.read_bytes().startswith(whole[:end] + torn)


GOOD = json.loads(module._ENTRY.dump_json(entry(7)))
WRONG: dict[str, object] = {
    "serial": "07",
    "purpose": "ca",
    "name": None,
    "names": "urn:dev:1",
    "valid_from_ts": -1,
    "valid_until_ts": 253_402_300_800_000,
    "issued_ts": "1750000000250",
    "fingerprint_sha256": "0" * 63,
    "authority_sha256": "A" * 64,
}


@pytest.mark.parametrize(
    "line",
    [
        b"junk",
        b"\0" * 300,
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"serial":"7"}',
        json.dumps({**GOOD, "name": "\ud800"}).encode(),
        json.dumps({**GOOD, "issued_ts": True}).encode(),
        json.dumps({**GOOD, "issued_ts": 1e400}).encode(),
        json.dumps({**GOOD, "serial": "f" * 41}).encode(),
        *(json.dumps({**GOOD, name: value}).encode() for name, value in WRONG.items()),
        *(json.dumps({key: GOOD[key] for key in GOOD if key != name}).encode() for name in GOOD),
    ],
)
def test_what_is_no_entry_is_passed_over_and_told_of(register: Register, line: bytes) -> None:
    register.add(entry(1))
    with register.path.open("ab") as file:
        file.write(line + b"\n\n")
    register.add(entry(2))
    told = register.read()
    assert list(told.entries) == ["1", "2"]
    assert told.findings == (f"{register.path}: passed over is what is torn, or no entry of a certificate: line 2",)


def test_of_many_such_lines_the_first_are_named(register: Register) -> None:
    register.path.write_bytes(b"junk\n" * 7)
    (finding,) = register.read().findings
    assert finding.endswith("lines 1, 2, 3, 4, 5 and 2 more")


def test_what_a_later_version_adds_is_no_trouble(register: Register) -> None:
    register.path.write_bytes(json.dumps({**GOOD, "more": [1]}).encode() + b"\r\n")
    assert register.read() == ({"7": entry(7)}, ())


def test_a_line_is_as_long_as_it_may_be_and_no_longer(register: Register) -> None:
    register.add(entry(1, names=("",)))
    room = LINE_BYTES_MAX - register.path.stat().st_size
    longest = entry(2, names=("x" * room,))
    register.add(longest)
    assert len(lines(register)[1]) + 1 == LINE_BYTES_MAX
    assert register.read().entries["2"] == longest
    before = register.path.read_bytes()
    with pytest.raises(UsageError, match="too long to be kept on record") as error:
        register.add(entry(3, names=("x" * (room + 1),)))
    assert error.value.field == "alternative_names"
    assert register.path.read_bytes() == before
    with register.path.open("ab") as file:  # by somebody else
        file.write(before.split(b"\n")[1].replace(b"xxx", b"xxxx", 1) + b"\n")
    assert list(register.read().entries) == ["1", "2"]


def test_the_file_is_as_large_as_it_may_be_and_no_larger(register: Register) -> None:
    register.add(entry(1))
    size = register.path.stat().st_size
    os.truncate(register.path, FILE_BYTES_MAX - size - 1)
    with register.path.open("ab") as file:
        file.write(b"\n")
    register.add(entry(2))
    assert register.path.stat().st_size == FILE_BYTES_MAX
    assert serials(register) == ["1", "2"]
    with pytest.raises(ConfigurationError, match="is full"):
        register.add(entry(3))
    assert register.path.stat().st_size == FILE_BYTES_MAX
    os.truncate(register.path, FILE_BYTES_MAX + 1)
    with pytest.raises(ConfigurationError, match="is too large"):
        register.read()


def test_what_can_not_be_read_or_written_is_an_error(register: Register) -> None:
    register.path.mkdir()
    with pytest.raises(ConfigurationError, match="is a folder"):
        register.read()
    with pytest.raises(ConfigurationError, match="can't be written"):
        register.add(entry())


def test_a_file_that_stays_as_it_was_is_read_once_by_however_many(register: Register) -> None:
    register.add(entry(1))
    first = register.read()
    assert Register(register.path).read() is first
    with ThreadPoolExecutor(4) as threads:
        assert all(told is first for told in threads.map(lambda _: register.read(), range(20)))


def test_whatever_changes_a_file_has_it_read_anew(register: Register) -> None:
    register.add(entry(1))
    assert serials(register) == ["1"]
    register.add(entry(2))
    assert serials(register) == ["1", "2"]
    before = register.path.stat()
    register.path.write_bytes(register.path.read_bytes().replace(b'"serial":"2"', b'"serial":"3"'))
    os.utime(register.path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert register.path.stat().st_size == before.st_size
    assert serials(register) == ["1", "3"]
    replaced = register.path.with_name("replaced")
    replaced.write_bytes(register.path.read_bytes().replace(b'"serial":"3"', b'"serial":"4"'))
    now = register.path.stat()
    os.utime(replaced, ns=(now.st_atime_ns, now.st_mtime_ns))
    replaced.replace(register.path)
    assert serials(register) == ["1", "4"]
    register.path.unlink()
    assert register.read() == ({}, ())


def test_one_file_alone_is_kept_and_another_folder_s_is_not_taken_for_it(register: Register) -> None:
    register.add(entry(1))
    other = Register(register.path.with_name("other.jsonl"))
    other.add(entry(2))
    first = register.read()
    assert serials(other) == ["2"]
    again = register.read()
    assert again == first and again is not first


def test_a_file_that_could_not_be_read_is_tried_again(register: Register) -> None:
    register.add(entry(1))
    assert serials(register) == ["1"]
    kept = register.path.rename(register.path.with_name("kept"))
    register.path.mkdir()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="is a folder"):
            register.read()
    register.path.rmdir()
    kept.rename(register.path)
    assert serials(register) == ["1"]


# -- serial numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "serial"),
    [
        ("7", "7"),
        ("0A", "a"),
        ("0x0b1", "b1"),
        ("3B:9F:4b:60", "3b9f4b60"),
        ("00:" * 30 + "1", "1"),
        ("7" + "f" * 39, "7" + "f" * 39),
    ],
)
def test_a_serial_number_is_read_as_other_programs_write_it(text: str, serial: str) -> None:
    assert read_serial(text) == serial


@pytest.mark.parametrize("text", ["", "0", "00:00", "-1", "1_0", " 1", "1\n", "g", "٣", "8" + "0" * 39, "1" + "0" * 40])
def test_what_is_no_serial_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no serial number of a certificate") as error:
        read_serial(text)
    assert error.value.field == "serial"
