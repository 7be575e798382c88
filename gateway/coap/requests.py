"""What a message's options ask for."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from gateway.coap.codec import Option, OptionNumber, decode_uint, is_well_formed
from gateway.errors import BadRequestError
from gateway.model import Outcome, Principal, Request, Security

Arrived: TypeAlias = Callable[[Security, float], object]
"""Hears that what is handled next arrived then, on the monotonic clock (s), and over what."""

_TEXT_OPTIONS = (
    OptionNumber.URI_PATH,
    OptionNumber.URI_QUERY,
    OptionNumber.LOCATION_PATH,
    OptionNumber.LOCATION_QUERY,
)


def request_of(code: int, options: Iterable[Option], security: Security, principal: Principal | None = None) -> Request:
    """What a request asks for. Raises BadRequestError where a text option is not UTF-8 (RFC 7252 §3.2).

    Elective options that are malformed or come once too often are ignored (§5.4.3, §5.4.5).
    """
    texts: dict[int, list[str]] = {number: [] for number in _TEXT_OPTIONS}
    content_format: int | None = None
    try:
        for number, value in options:
            if number in texts and is_well_formed(number, value):
                texts[number].append(value.decode())
            elif number == OptionNumber.CONTENT_FORMAT and content_format is None and is_well_formed(number, value):
                content_format = decode_uint(value)
    except UnicodeDecodeError:
        raise BadRequestError("paths and queries must be UTF-8") from None
    return Request(
        security=security,
        method=code,
        path=tuple(texts[OptionNumber.URI_PATH]),
        query=tuple(texts[OptionNumber.URI_QUERY]),
        content_format=content_format,
        location_path=tuple(texts[OptionNumber.LOCATION_PATH]),
        location_query=tuple(texts[OptionNumber.LOCATION_QUERY]),
        principal=principal,
    )


def unwanted_responses(options: Sequence[Option]) -> int:
    """The classes of responses that the client does not want, as RFC 7967's bit map."""
    for number, value in options:
        if number == OptionNumber.NO_RESPONSE and is_well_formed(number, value):
            return decode_uint(value)
    return 0


def is_unwanted(outcome: Outcome, no_response: int) -> bool:
    """Whether the client said that it does not want such a response."""
    return bool(no_response >> ((outcome.code >> 5) - 1) & 1)
