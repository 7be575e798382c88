"""The sink `http`: batches of reports, posted to a URL as JSON arrays. `docs/sinks.md` is the contract."""

import hashlib
import re
from asyncio import get_running_loop, timeout
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

import aiohttp
from yarl import URL

from gateway.errors import ConfigurationError
from gateway.metrics import SINK_MESSAGES_TOTAL
from gateway.settings import Settings
from gateway.sinks import http_answers
from gateway.sinks.as_json import as_json
from gateway.sinks.http_answers import Answer
from gateway.sinks.sink import Host, Record, RefusedRecords, Session, Sink, Taken
from gateway.sinks.tls import TlsFiles, client_context

PORTION_BYTES: Final = 4 << 20
"""Most of a spool that is read for one call, however large a body may be."""

ANSWER_BYTES: Final = 4096
"""How much of an answer's body is read. Where it is longer, the connection is closed after it."""

ANSWER_PATIENCE_S: Final = 1.0
"""How long an answer's body may take: its status has said all that counts."""

CONNECT_S: Final = 10.0
"""How long a connection may take, with name and TLS; half of the time-out where that is less."""

FAILURES: Final = 5
"""How often the receiver must fail at one and the same record, each time in a session of its own, before it is asked
whether it takes others. With the runner's pauses that is some seconds."""

FURTHER_FAILURES: Final = 2
"""How often it must at further ones, while it takes all others, so that many don't hold up the rest for long."""

NEIGHBOURS: Final = 16
"""How many records behind it are asked about one after another; some of the further ones follow."""

_TOKEN: Final = re.compile(r"[!-~]+")
_TEXT_TYPES: Final = ("text/plain", "text/html", "application/json", "application/problem+json")


class Body(NamedTuple):
    """What is posted at a time: the records from `start` to `end`."""

    start: int
    end: int
    ids: list[str]
    data: bytes


def make(settings: Settings, host: Host) -> Sink | None:
    """The sink, where GATEWAY_HTTP_SINK_URL is set. Raises ConfigurationError where settings contradict each other."""
    if not settings.gateway_http_sink_url:
        return None
    return HttpSink(settings, host)


class HttpSink:
    """A receiver of batches."""

    name = "http"
    overlap = 1
    """Bodies go one after another: the next may be sent only when it is known that the one before was taken."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self._url = _url(settings.gateway_http_sink_url)
        self.destination = _shown(self._url)
        self.portion_bytes = min(PORTION_BYTES, settings.gateway_http_sink_max_body_bytes)
        token, password = settings.gateway_http_sink_token, settings.gateway_http_sink_client_key_password
        self._token = token.get_secret_value() if token else ""
        self._tls = TlsFiles(
            "GATEWAY_HTTP_SINK_",
            settings.gateway_http_sink_ca_file,
            settings.gateway_http_sink_client_cert,
            settings.gateway_http_sink_client_key,
            password.get_secret_value().encode() if password else None,
        )
        self._max_body_bytes = settings.gateway_http_sink_max_body_bytes
        self._timeout_s = settings.gateway_http_sink_timeout_ms / 1000
        self._host = host
        self._suspect = Suspect()
        self._check()

    def _check(self) -> None:
        if self._token and not _TOKEN.fullmatch(self._token):
            hint = "it is letters, digits and punctuation of ASCII, without blanks (RFC 6750 §2.1)"
            raise ConfigurationError("GATEWAY_HTTP_SINK_TOKEN: has characters that no token can have", hint=hint)
        if self._token and self._url.user is not None:
            hint = "take the user name out of the URL, or leave GATEWAY_HTTP_SINK_TOKEN empty"
            raise ConfigurationError("GATEWAY_HTTP_SINK_URL has a user name, and there is a token as well", hint=hint)
        if self._url.scheme == "http" and (self._tls.ca_file or self._tls.client_cert):
            hint = "write https:// in GATEWAY_HTTP_SINK_URL, or leave the certificates' variables empty"
            raise ConfigurationError("GATEWAY_HTTP_SINK_URL is http://, but certificates are set for it", hint=hint)
        if self._tls.client_key is not None and self._tls.client_cert is None:
            hint = "set GATEWAY_HTTP_SINK_CLIENT_CERT"
            raise ConfigurationError("GATEWAY_HTTP_SINK_CLIENT_KEY is set without its certificate", hint=hint)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Session]:
        """A session, once the receiver answered an empty array with 2xx; raises SinkError."""
        tls = client_context(self._tls) if self._url.scheme == "https" else True
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "gateway"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=tls),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, connect=min(self._timeout_s / 2, CONNECT_S)),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as client:
            poster = Poster(client, self._url, self._timeout_s, (self._token, self._url.password or ""))
            http_answers.check_knock(await poster.post(b"[]", {}))
            yield HttpSession(poster, self._max_body_bytes, self._suspect, self._host)


class Suspect:
    """The record that the receiver fails at, over the sessions that end there."""

    def __init__(self) -> None:
        self._id = ""
        self._most = FAILURES
        self.failures = 0
        """How often it failed at this record in a row."""

    def is_due(self, id: str) -> bool:
        """It has failed at a record; whether it is to be found out now whose fault that is."""
        self.failures = self.failures + 1 if id == self._id else 1
        self._id = id
        return self.failures >= self._most

    def judged(self, *, guilty: bool) -> None:
        """It was the record's, or not."""
        self._most = FURTHER_FAILURES if guilty else FAILURES


class HttpSession:
    """Posts records, one body after another.

    A receiver that answers 500 may be out of order, or fail at one record, as when a program trips over a value. So
    what it failed at comes in halves, and the record that it still fails at comes again. Where another one is taken
    then, that record is refused. Where none is, or nothing else waits, it is tried again like any other.
    """

    def __init__(self, poster: "Poster", max_body_bytes: int, suspect: Suspect, host: Host) -> None:
        self._poster = poster
        self._max_body_bytes = max_body_bytes
        self._suspect = suspect
        self._host = host

    async def deliver(self, records: Sequence[Record], taken: Taken) -> None:
        """Post the records; `taken` after each body that was answered with 2xx. Raises SinkError, RefusedRecords."""
        for body in bodies(records, self._max_body_bytes):
            await self._hand_over(records, body, taken)

    async def _hand_over(self, records: Sequence[Record], body: Body, taken: Taken) -> None:
        answer = await self._post(body)
        if not answer.is_failure:
            http_answers.check(answer, body.start, body.end)
            taken(body.end)
        elif body.end - body.start > 1:
            middle = (body.start + body.end) // 2
            await self._hand_over(records, body_of(records, body.start, middle), taken)
            await self._hand_over(records, body_of(records, middle, body.end), taken)
        else:
            await self._judge(records, body, answer)
            taken(body.end)

    async def _judge(self, records: Sequence[Record], body: Body, answer: Answer) -> None:
        """Whose fault it is that the receiver failed at a record. Raises RefusedRecords, or SinkError; it may be taken
        now.
        """
        if self._suspect.is_due(body.ids[0]):
            guilty = False
            if await self._takes_others(records, body.end):
                answer = await self._post(body)  # once more: it may have been out of order until now
                guilty = answer.is_failure
            self._suspect.judged(guilty=guilty)
            if guilty:
                times = f"{self._suspect.failures} times, and it takes others"
                raise RefusedRecords(body.start, body.end, f"{answer.title} ({times})")
        http_answers.check(answer, body.start, body.end)

    async def _takes_others(self, records: Sequence[Record], start: int) -> bool:
        """Whether it takes any of some single records from there on. Raises SinkError."""
        number = start
        while number < len(records):
            body = body_of(records, number, number + 1)
            if len(body.data) <= self._max_body_bytes and await self._takes(body):
                return True
            # One after another, so that none comes before another one of its device. In a long row that it fails at,
            # further and further away.
            number += max(1, number + 1 - start - NEIGHBOURS)
        return False

    async def _takes(self, body: Body) -> bool:
        answer = await self._post(body)
        if answer.is_failure:
            return False
        try:
            http_answers.check(answer, body.start, body.end)
        except RefusedRecords:
            return False
        return True

    async def _post(self, body: Body) -> Answer:
        headers = {"Idempotency-Key": hashlib.sha256("\n".join(body.ids).encode()).hexdigest()}
        answer = await self._poster.post(body.data, headers)
        self._host.count(SINK_MESSAGES_TOTAL, "post")
        return answer

    async def closed(self) -> None:
        """Never: connections come and go with the requests."""
        await get_running_loop().create_future()


class Poster:
    """Posts bodies to one URL, and reads as much of the answers as is wanted."""

    def __init__(self, client: aiohttp.ClientSession, url: URL, timeout_s: float, secrets: tuple[str, ...]) -> None:
        self._client = client
        self._url = url
        self._timeout_s = timeout_s
        self._secrets = secrets

    async def post(self, data: bytes, headers: dict[str, str]) -> Answer:
        """The answer, whatever it is; raises SinkError where there is none."""
        try:
            async with self._client.post(self._url, data=data, headers=headers, allow_redirects=False) as response:
                return Answer(
                    status=response.status,
                    retry_after=response.headers.get("Retry-After"),
                    location=self._place(response.headers.get("Location", "")),
                    text=self._clean(await _beginning(response), response),
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise http_answers.failure(error, self._timeout_s) from None

    def _place(self, location: str) -> str:
        return http_answers.clean(location.partition("?")[0], *self._secrets)

    def _clean(self, data: bytes, response: aiohttp.ClientResponse) -> str:
        kind = response.headers.get("Content-Type", "text/plain").partition(";")[0].strip().lower()
        if kind not in _TEXT_TYPES or "Content-Encoding" in response.headers:
            return ""
        text = data.decode("utf-8", "replace")
        clean = http_answers.clean_html if kind == "text/html" else http_answers.clean
        return clean(text, *self._secrets)


def bodies(records: Sequence[Record], max_bytes: int) -> Iterator[Body]:
    """JSON arrays of records, in order, each as large as it may be.

    Raises RefusedRecords at a record that is too large for a body of its own, when those before were given out.
    """
    start, ids, texts, size = 0, list[str](), list[bytes](), 1
    for number, record in enumerate(records):
        text = as_json(record)
        if size + len(text) + 1 > max_bytes and texts:  # a comma or a bracket follows each
            yield Body(start, number, ids, b"[" + b",".join(texts) + b"]")
            start, ids, texts, size = number, [], [], 1
        if size + len(text) + 1 > max_bytes:
            reason = f"{len(text) + 2} bytes of JSON; GATEWAY_HTTP_SINK_MAX_BODY_BYTES allows {max_bytes}"
            raise RefusedRecords(number, number + 1, reason)
        ids.append(record.id)
        texts.append(text)
        size += len(text) + 1
    if texts:
        yield Body(start, len(records), ids, b"[" + b",".join(texts) + b"]")


def body_of(records: Sequence[Record], start: int, end: int) -> Body:
    """Those records, however large that gets."""
    part = records[start:end]
    return Body(start, end, [record.id for record in part], b"[" + b",".join(map(as_json, part)) + b"]")


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of the body; what came of it, where it stops coming."""
    found = bytearray()
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with timeout(ANSWER_PATIENCE_S):
            while len(found) < ANSWER_BYTES:
                part = await response.content.read(ANSWER_BYTES - len(found))
                if not part:
                    break
                found += part
    return bytes(found)


def _url(value: str) -> URL:
    try:
        url = URL(value)
        url.raw_host and url.port  # noqa: B018  what is wrong with them is found when they are asked for
    except ValueError:
        url = URL()
    if not url.host:
        raise ConfigurationError("GATEWAY_HTTP_SINK_URL: has no valid host", hint="it looks like https://host/path")
    return url


def _shown(url: URL) -> str:
    """Without user, password, query and fragment, which may be secret."""
    return str(url.with_user(None).with_query(None).with_fragment(None))
