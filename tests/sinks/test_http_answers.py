"""What headers and texts of an HTTP receiver become."""

import email.utils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sinks.http_answers import Answer, check, clean, clean_html, retry_after_s
from gateway.sinks.sink import RefusedRecords, SinkError

NOW_S = 1_785_000_000.0


def date_in(seconds: float) -> str:
    return email.utils.formatdate(NOW_S + seconds, usegmt=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("3599", 3599.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("9" * 64, 3600.0),
        (date_in(90), 90.0),
        (date_in(3599), 3599.0),
        (date_in(3600), 3600.0),
        (date_in(3601), 3600.0),
        (date_in(-90), 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_an_hour_at_most(value: str, seconds: float) -> None:
    assert retry_after_s(value, NOW_S) == seconds


@pytest.mark.parametrize(
    "value", [None, "", "soon", "-1", "1.5", "1e3", "٣", "²", "9" * 65, "Fri, 99 Xyz 2026 00:00:00 GMT", "1 Jan 99999"]
)
def test_what_is_neither_is_as_good_as_none(value: str | None) -> None:
    assert retry_after_s(value, NOW_S) is None


@given(
    st.text(max_size=80) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d+:\d+:\d+ [A-Z+\-0-9]{1,8}")
)
def test_no_text_is_worse_than_none(value: str) -> None:
    found = retry_after_s(value, NOW_S)
    assert found is None or 0 <= found <= 3600


@given(st.text(max_size=600))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    for cleaned in (clean(text, "secret"), clean_html(text, "secret")):
        assert cleaned.isprintable()
        assert len(cleaned) <= 200
        assert "secret" not in cleaned


@given(st.integers(100, 999), st.text(max_size=20))
def test_any_status_is_a_confirmation_a_refusal_or_trouble(status: int, text: str) -> None:
    answer = Answer(status, None, "", text)
    try:
        check(answer, 3, 5)
    except RefusedRecords as refused:
        assert 400 <= status < 500
        assert (refused.start, refused.end) == (3, 5)
    except SinkError as error:
        assert not 200 <= status < 300
        assert error.hint
    else:
        assert 200 <= status < 300
