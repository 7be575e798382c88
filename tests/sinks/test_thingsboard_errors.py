"""What went wrong, as trouble with a cure. What real servers say is in test_thingsboard."""

import errno
import ssl

import pytest

from gateway.sinks.mqtt import Ended, Refused
from gateway.sinks.sink import Trouble
from gateway.sinks.thingsboard_errors import why_ended, why_not_connected, why_not_taken


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "it wants a certificate of ours"),
        ("TLSV1_ALERT_UNKNOWN_CA", "it does not know the CA of our certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "our certificate has expired"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "our certificate is revoked"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "it does not like our certificate"),
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "it does not like our certificate"),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "it does not like our certificate"),
        ("TLSV1_ALERT_ACCESS_DENIED", "it does not let us in"),
    ],
)
@pytest.mark.parametrize("behind_the_handshake", [False, True])
def test_an_alert_about_our_certificate_is_a_refusal(reason: str, words: str, behind_the_handshake: bool) -> None:
    alert = tls_error(reason)
    error = why_not_connected(Ended("", error=alert) if behind_the_handshake else alert, "tb.example.com")
    assert error.trouble is Trouble.REFUSED
    assert words in error.message and "TB_CLIENT_CERT" in error.hint


@pytest.mark.parametrize("reason", ["WRONG_VERSION_NUMBER", "SSLV3_ALERT_HANDSHAKE_FAILURE"])
def test_other_failures_of_tls_are_none_of_our_credentials(reason: str) -> None:
    error = why_not_connected(tls_error(reason), "tb.example.com")
    assert error.trouble is Trouble.UNREACHABLE
    assert reason in error.message


def test_an_error_of_the_network_is_told_in_its_words() -> None:
    error = why_not_connected(OSError(errno.EHOSTUNREACH, "of a library"), "tb.example.com")
    assert (error.trouble, error.message) == (Trouble.UNREACHABLE, "no connection: No route to host")


def test_unknown_reasons_are_told_as_they_are() -> None:
    assert "odd (0xfe)" in why_not_connected(Refused(0xFE, "odd (0xfe)"), "tb.example.com").message
    assert "odd (0xfe)" in why_ended(Ended("odd (0xfe)", 0xFE)).message
    assert why_not_taken(0xFE, "odd (0xfe)") is None
