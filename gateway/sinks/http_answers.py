"""What an HTTP receiver's answer means, and what it means that there was none."""

import email.utils
import os
import re
import ssl
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, NamedTuple

import aiohttp

from gateway.sinks.sink import FailedAtRecord, RefusedRecords, SinkError, Trouble

MOST_RETRY_AFTER_S: Final = 3600.0
"""Longest pause that a receiver can ask for."""

QUOTED_CHARACTERS: Final = 200
"""How much of an answer's text is told on."""

NOT_LET_IN: Final = frozenset((401, 403, 407))
WRONG_PLACE: Final = frozenset((404, 405, 410, 421, 426))
LATER: Final = frozenset((408, 425, 429, 503))

_TAG: Final = re.compile(r"<[^<>]*>")
_UNPRINTABLE: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")

_TOKEN_HINT: Final = "set GATEWAY_HTTP_SINK_TOKEN to a token that may write there"
_CERT_HINT: Final = "set GATEWAY_HTTP_SINK_CLIENT_CERT to a certificate that it takes"
_URL_HINT: Final = "set GATEWAY_HTTP_SINK_URL to where batches of reports are taken by POST"
_REACH_HINT: Final = (
    "see whether host and port of GATEWAY_HTTP_SINK_URL are right, whether a firewall is between, and whether it wants "
    "a client certificate"
)
_LATER_HINT: Final = "see the receiver's log; it is tried again by itself"


class Answer(NamedTuple):
    """As much of an answer as matters."""

    status: int
    retry_after: str | None
    location: str
    text: str
    """Both cleaned, and no longer than is told on."""

    @property
    def is_success(self) -> bool:
        """Whether what was posted is taken."""
        return 200 <= self.status < 300

    @property
    def is_failure(self) -> bool:
        """Whether the receiver failed at something, and does not say when to come again."""
        return self.status == HTTPStatus.INTERNAL_SERVER_ERROR and self.retry_after is None

    @property
    def title(self) -> str:
        """Such as `429 Too Many Requests: slowly, please`. The phrase is the standard's, not the receiver's."""
        try:
            phrase = f" {HTTPStatus(self.status).phrase}"
        except ValueError:
            phrase = ""
        return f"{self.status}{phrase}" + (f": {self.text}" if self.text else "")


def check(answer: Answer, start: int, end: int) -> None:
    """Return where the records from `start` to `end` are taken; raises SinkError or RefusedRecords otherwise."""
    status = answer.status
    if answer.is_success:
        return
    if status in NOT_LET_IN:
        raise SinkError(Trouble.REFUSED, f"it answers {answer.title}", hint=_TOKEN_HINT)
    if status < 400 or status in WRONG_PLACE:
        leads = f", and leads to {answer.location}" if answer.location else ""
        raise SinkError(Trouble.MISCONFIGURED, f"it answers {answer.title}{leads}", hint=_URL_HINT)
    if status >= 500 or status in LATER:
        raise (FailedAtRecord if answer.is_failure else SinkError)(
            Trouble.BUSY,
            f"it answers {answer.title}",
            hint=_LATER_HINT,
            retry_after_s=retry_after_s(answer.retry_after, time.time()),
        )
    raise RefusedRecords(start, end, answer.title)


def check_knock(answer: Answer) -> None:
    """Return where the answer to an empty array says that reports are taken there; raises SinkError otherwise.

    What refuses even that does so for no record's fault: a web server that misses a client certificate, say, answers
    400 to whatever comes, and all reports would end up in the quarantine.
    """
    try:
        check(answer, 0, 0)
    except RefusedRecords as refused:
        raise SinkError(
            Trouble.MISCONFIGURED,
            f"it answers {refused.reason} (to an empty array, which asks whether reports are taken)",
            hint=f"{_URL_HINT}, and let the receiver answer [] with 2xx",
        ) from None


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """The header Retry-After (RFC 9110 §10.2.3), seconds or a date, bounded; None where there is none that is valid."""
    if value is None or len(value) > 64:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return min(MOST_RETRY_AFTER_S, float(value))
    try:
        wait_s = email.utils.parsedate_to_datetime(value).timestamp() - now_s
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(MOST_RETRY_AFTER_S, max(0.0, wait_s))


def clean(text: str, *secrets: str) -> str:
    """Text of the receiver's on one line: printable, without secrets that it may have echoed, not too long."""
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    text = _UNPRINTABLE.sub(" ", text).strip()
    text = "".join(character if character.isprintable() else "\ufffd" for character in text[: 4 * QUOTED_CHARACTERS])
    return text[:QUOTED_CHARACTERS].rstrip()


def clean_html(text: str, *secrets: str) -> str:
    """The same for a page: without its tags."""
    return clean(_TAG.sub(" ", text), *secrets)


def failure(error: Exception, timeout_s: float) -> SinkError:
    """Why there was no answer: what aiohttp raised, in our words. Its own may hold the URL, with a password in it."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return SinkError(Trouble.UNREACHABLE, "no connection in time", hint=_REACH_HINT)
    if isinstance(error, TimeoutError):
        return SinkError(
            Trouble.SILENT,
            f"no answer within {timeout_s:g} s",
            hint="see the receiver's log, or raise GATEWAY_HTTP_SINK_TIMEOUT_MS",
        )
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SinkError(
                Trouble.UNTRUSTED,
                f"its certificate is not trusted: {clean(cause.verify_message)}",
                hint="set GATEWAY_HTTP_SINK_CA_FILE to the CA that issued it",
            )
        if isinstance(cause, ssl.SSLError):
            return _tls_failure(cause)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return SinkError(Trouble.UNREACHABLE, "its host name is not known", hint=_REACH_HINT)
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        reason = os.strerror(number) if number else "it closes it at once"
        return SinkError(Trouble.UNREACHABLE, f"no connection: {reason}", hint=_REACH_HINT)
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return SinkError(Trouble.MISCONFIGURED, "what answers there does not speak HTTP", hint=_URL_HINT)
    return SinkError(
        Trouble.UNREACHABLE,
        "the connection was lost before it answered",
        hint=_LATER_HINT,
    )


def _tls_failure(error: ssl.SSLError) -> SinkError:
    reason = error.reason or "no reason given"
    if "ALERT" in reason:  # said by the other side
        return SinkError(Trouble.REFUSED, f"it ends the TLS handshake: {reason}", hint=_CERT_HINT)
    return SinkError(
        Trouble.UNTRUSTED, f"no TLS with it: {reason}", hint="see whether that port speaks TLS, and which version"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        # Of aiohttp's own some claim to be SSLErrors, and have nothing of them.
        yield seen.os_error if isinstance(seen, aiohttp.ClientConnectorError) else seen
        seen = seen.__cause__
