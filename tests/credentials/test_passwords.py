"""Passwords: what is kept of them, and which are taken."""

import re
import time

import pytest
from argon2 import PasswordHasher

from gateway.credentials.passwords import (
    LENGTH_MAX,
    LENGTH_MIN,
    check_password,
    generate_password,
    hash_password,
    is_outdated,
    is_right,
)
from gateway.errors import UsageError


def test_a_password_is_right_by_its_own_hash_alone() -> None:
    kept = hash_password("correct horse battery")
    assert is_right(kept, "correct horse battery")
    assert not is_right(kept, "correct horse batterz")
    assert not is_right(kept, "")
    assert kept != hash_password("correct horse battery")


def test_a_hash_says_its_parameters_and_not_the_password() -> None:
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$.{22}\$.{43}", hash_password("correct horse battery"))


def test_one_password_typed_in_two_ways_is_one() -> None:
    assert is_right(hash_password("Schlüssel für die Tür"), "Schlu\u0308ssel fu\u0308r die Tu\u0308r")


def test_nobodys_password_is_never_right_and_takes_as_long() -> None:
    kept = hash_password("correct horse battery")
    ours, nobodys = (min(_time_s(one) for _ in range(5)) for one in (kept, None))
    assert not is_right(None, "correct horse battery")
    assert nobodys > ours / 3  # a look-up alone would be a thousandth


def _time_s(kept: str | None) -> float:
    begin_s = time.perf_counter()
    is_right(kept, "something else")
    return time.perf_counter() - begin_s


def test_a_damaged_hash_is_no_password_of_anyone() -> None:
    assert not is_right("", "")
    assert not is_right("$argon2id$nonsense", "correct horse battery")


def test_a_password_beyond_the_bound_is_wrong() -> None:
    longest = "x" * LENGTH_MAX
    assert is_right(hash_password(longest), longest)
    assert not is_right(hash_password(longest), longest + "x")


def test_a_hash_of_other_parameters_is_outdated() -> None:
    assert not is_outdated(hash_password("correct horse battery"))
    assert is_outdated(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse battery"))


@pytest.mark.parametrize("length", [LENGTH_MIN, LENGTH_MIN + 1, LENGTH_MAX - 1, LENGTH_MAX])
def test_lengths_within_the_bounds_are_taken(length: int) -> None:
    check_password("x" * length, "ada")


@pytest.mark.parametrize("length", [0, LENGTH_MIN - 1, LENGTH_MAX + 1, 10_000])
def test_lengths_beyond_the_bounds_are_refused(length: int) -> None:
    with pytest.raises(UsageError, match=f"has {length} characters") as caught:
        check_password("x" * length, "ada")
    assert caught.value.field == "password"
    assert "x" * LENGTH_MIN not in caught.value.message + caught.value.hint


def test_ones_own_name_is_no_password() -> None:
    with pytest.raises(UsageError, match="is the user's name"):
        check_password("Ada.Lovelace", "ada.lovelace")


def test_generated_passwords_are_taken_and_no_two_are_the_same() -> None:
    made = {generate_password() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        check_password(password, "admin")
        assert re.fullmatch(r"[a-z2-9]{5}(-[a-z2-9]{5}){3}", password)
