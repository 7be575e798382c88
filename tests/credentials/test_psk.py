"""Pre-shared keys: which are taken, how they are encrypted, and how they are read from a file."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials.keyfile import KeyFile
from gateway.credentials.psk import (
    PskSealer,
    check_identity,
    check_key,
    generate_key,
    is_weak,
    key_of_file,
    parse_psk_lines,
)
from gateway.errors import ConfigurationError, UsageError

KEY = bytes(range(16))
HEX = KEY.hex()


@pytest.fixture
def sealer(tmp_path: Path) -> PskSealer:
    return PskSealer(KeyFile.open(tmp_path / "gateway.key"))


def refusal(text: str) -> UsageError:
    with pytest.raises(UsageError) as raised:
        parse_psk_lines(text)
    assert raised.value.hint
    return raised.value


# -- encrypted -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"12345678", KEY, b"\x00" * 64])
def test_what_was_sealed_can_be_opened(sealer: PskSealer, key: bytes) -> None:
    sealed = sealer.seal("Zähler 1", key)
    assert sealer.open("Zähler 1", sealed) == key
    assert key not in sealed


def test_it_can_be_opened_after_a_restart(sealer: PskSealer, tmp_path: Path) -> None:
    again = PskSealer(KeyFile.load(tmp_path / "gateway.key"))
    assert again.open("a", sealer.seal("a", KEY)) == KEY


def test_a_sealed_key_holds_that_key_of_that_identity_alone(sealer: PskSealer, tmp_path: Path) -> None:
    sealed = sealer.seal("a", KEY)
    assert sealer.holds("a", sealed, KEY)
    assert not sealer.holds("a", sealed, KEY[:-1])
    assert not sealer.holds("b", sealed, KEY)
    assert not sealer.holds("a", sealed[:-1], KEY)
    assert not PskSealer(KeyFile.open(tmp_path / "other.key")).holds("a", sealed, KEY)


def test_the_same_key_is_sealed_differently_each_time(sealer: PskSealer) -> None:
    assert len({sealer.seal("a", KEY) for _ in range(10)}) == 10


def test_another_key_file_does_not_open_it_and_the_error_names_the_cure(sealer: PskSealer, tmp_path: Path) -> None:
    other = PskSealer(KeyFile.open(tmp_path / "other.key"))
    with pytest.raises(
        ConfigurationError, match=r"of meter-1 was encrypted with another key file.*other\.key"
    ) as raised:
        other.open("meter-1", sealer.seal("meter-1", KEY))
    assert "restore" in raised.value.hint
    assert "gateway psk add" in raised.value.hint


def test_a_key_opens_for_no_other_identity(sealer: PskSealer) -> None:
    """Else whoever can write the catalogue could give a strange device the key that he knows."""
    with pytest.raises(ConfigurationError):
        sealer.open("b", sealer.seal("a", KEY))


def test_whatever_is_damaged_is_the_one_error(sealer: PskSealer) -> None:
    sealed = sealer.seal("a", KEY)
    damaged = [sealed[:length] for length in range(len(sealed))]
    damaged += [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    damaged += [sealed + b"\x00"]
    for blob in damaged:
        with pytest.raises(ConfigurationError):
            sealer.open("a", blob)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_with_the_one_error(blob: bytes) -> None:
    sealer = PskSealer(KeyFile(Path("test.key"), bytes(32)))
    with pytest.raises(ConfigurationError):
        sealer.open("a", blob)


def test_its_repr_shows_nothing_of_a_key(sealer: PskSealer, tmp_path: Path) -> None:
    assert repr(sealer) == f"PskSealer({str(tmp_path / 'gateway.key')!r})"


# -- what is taken ---------------------------------------------------------------------------------------


def test_generated_keys_are_strong_text_that_needs_no_quotes() -> None:
    keys = {generate_key() for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert re.fullmatch(rb"[A-Za-z0-9]{22}", key)
        check_key(key)
        assert not is_weak(key)


@pytest.mark.parametrize("identity", ["a", "urn:dev:mac:0024befffe804ff1", "Zähler Süd", "x" * 128, "ä" * 64, "#1"])
def test_identities_that_can_be_typed_are_taken(identity: str) -> None:
    check_identity(identity)


@pytest.mark.parametrize("identity", ["", " ", " a", "a ", "a\n", "a\x00", "a\x1b[m", "a\\b", "x" * 129, "ä" * 65])
def test_other_identities_are_refused(identity: str) -> None:
    with pytest.raises(UsageError, match=r"PSK identity .* is not usable") as raised:
        check_identity(identity)
    assert "128 bytes" in raised.value.hint


@pytest.mark.parametrize(("length", "weak"), [(8, True), (15, True), (16, False), (64, False)])
def test_keys_of_8_to_64_bytes_are_taken_and_those_below_16_are_weak(length: int, weak: bool) -> None:
    check_key(b"k" * length)
    assert is_weak(b"k" * length) is weak


@pytest.mark.parametrize(("length", "what"), [(0, "short"), (7, "short"), (65, "long")])
def test_other_lengths_are_refused(length: int, what: str) -> None:
    with pytest.raises(UsageError, match=f"of {length} bytes is too {what}") as raised:
        check_key(b"k" * length)
    assert "16 to 64" in raised.value.hint


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"secret", b"secret"),
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b"secret \n", b"secret "),
        (b"two\nlines\n", b"two\nlines\n"),
        (b"\x00\xff\n", b"\x00\xff\n"),
        (b"", b""),
    ],
)
def test_a_file_holds_the_key_itself_and_a_texts_line_end_is_no_part_of_it(content: bytes, key: bytes) -> None:
    assert key_of_file(content) == key


# -- lines -----------------------------------------------------------------------------------------------


def test_lines_give_identities_and_keys_in_their_order() -> None:
    text = f"b:{HEX}\r\n\n  # a comment: with a colon\n a : {HEX.upper()} \nurn:dev:1:{'ff' * 64}\nc:{HEX[:32:]}"
    assert parse_psk_lines(text) == [("b", KEY), ("a", KEY), ("urn:dev:1", b"\xff" * 64), ("c", KEY)]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing", "   "])
def test_no_lines_are_no_keys(text: str) -> None:
    assert parse_psk_lines(text) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a", "has no colon"),
        (HEX, "has no colon"),
        ("a:", "a pre-shared key of 0 bytes is too short"),
        ("a:00112233445566", "of 7 bytes is too short"),
        ("a:" + "00" * 65, "of 65 bytes is too long"),
        (f"a:{HEX}0", "no key in hex"),
        ("a:secretsecretsecret", "no key in hex"),
        (f"a:0x{HEX}", "no key in hex"),
        (f":{HEX}", "PSK identity '' is not usable"),
        (f"a\x0bb:{HEX}", "is not usable"),
        (f"first:{HEX}", "identity first stands in line 1 already"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(line: str, reason: str) -> None:
    error = refusal(f"first:{HEX}\n# comment\n{line}\nlast:{HEX}")
    assert error.message.startswith("line 3")
    assert reason in error.message


@pytest.mark.parametrize("line", ["a:0011223344SECRET", "a:" + "5ec4e7" * 40, "a:5ec4e7"])
def test_no_error_shows_a_key(line: str) -> None:
    error = refusal(line)
    assert line.partition(":")[2] not in f"{error} {error.hint}"


@given(st.text(max_size=300))
def test_any_text_gives_keys_or_the_one_error(text: str) -> None:
    try:
        psks = parse_psk_lines(text)
    except UsageError:
        return
    for identity, key in psks:
        check_identity(identity)
        check_key(key)


@given(
    st.dictionaries(
        st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=30).filter(
            lambda text: "\\" not in text and not text.startswith("#")
        ),
        st.binary(min_size=8, max_size=64),
    )
)
def test_what_was_written_is_read(psks: dict[str, bytes]) -> None:
    text = "\n".join(f"{identity}:{key.hex()}" for identity, key in psks.items())
    assert dict(parse_psk_lines(text)) == psks
