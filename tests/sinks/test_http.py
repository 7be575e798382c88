"""The sink `http`, against a real server: what is posted, and what answers mean."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.metrics import SINK_MESSAGES_TOTAL
from gateway.sinks.as_json import as_json
from gateway.sinks.http import bodies, make
from gateway.sinks.registry import make_sinks
from gateway.sinks.sink import RefusedRecords, SinkError, Trouble
from tests.sinks.http_sinks import TOKEN, deliver, post_all, sink_for, trouble_with, without_secrets
from tests.sinks.receivers import Posted, Receiver, answer, receiving
from tests.sinks.records import CountingHost, Taken, ids, record, records, settings_of

# -- what is posted ------------------------------------------------------------------------------


def test_without_a_url_there_is_no_such_sink() -> None:
    assert make(settings_of(), CountingHost()) is None


def test_the_registry_makes_it_where_a_url_is_set() -> None:
    settings = settings_of(gateway_http_sink_url="https://u:pw@example.com:8443/in?key=secret#there")
    (sink,) = make_sinks(settings, lambda name: CountingHost())
    assert (sink.name, sink.destination, sink.overlap) == ("http", "https://example.com:8443/in", 1)


def test_records_are_posted_as_one_array_with_a_key_that_names_them() -> None:
    what, host = records(3), CountingHost()

    async def scenario() -> Receiver:
        async with receiving() as receiver:
            sink = sink_for(receiver.url, host, gateway_http_sink_token=TOKEN)
            assert (await deliver(sink, what)).steps == [3]
            return receiver

    (batch,) = asyncio.run(scenario()).batches
    assert json.loads(batch.body) == [json.loads(as_json(one)) for one in what]
    assert batch.headers["Content-Type"] == "application/json"
    assert batch.headers["Authorization"] == f"Bearer {TOKEN}"
    assert batch.headers["Idempotency-Key"] == hashlib.sha256("\n".join(ids(what)).encode()).hexdigest()
    assert host.metrics.snapshot() == {(SINK_MESSAGES_TOTAL, "post"): 1}


def test_the_same_records_have_the_same_key_and_others_another() -> None:
    async def scenario() -> list[str]:
        async with receiving() as receiver:
            sink = sink_for(receiver.url)
            for what in (records(3), records(3), records(4)):
                await deliver(sink, what)
            return [batch.headers["Idempotency-Key"] for batch in receiver.batches]

    first, again, other = asyncio.run(scenario())
    assert first == again != other


def test_user_and_password_of_the_url_are_basic_authentication() -> None:
    async def scenario() -> Posted:
        async with receiving() as receiver:
            await deliver(sink_for(receiver.url.replace("//", "//user:pass@")), [record()])
            return receiver.batches[0]

    assert asyncio.run(scenario()).headers["Authorization"] == "Basic dXNlcjpwYXNz"


def test_bodies_go_one_after_another_over_one_connection() -> None:
    what = records(40)
    receiver, taken = post_all(what, gateway_http_sink_max_body_bytes=1024)
    assert all(len(batch.body) <= 1024 for batch in receiver.batches)
    assert [one for batch in receiver.batches for one in batch.ids] == ids(what)
    assert [len(batch.ids) for batch in receiver.batches] == [
        end - start for start, end in zip([0, *taken.steps], taken.steps, strict=False)
    ]
    assert len(receiver.connections) == 1


@pytest.mark.parametrize(("beyond", "posts"), [(-1, 1), (0, 1), (1, 2)])
def test_a_body_may_be_exactly_as_large_as_it_may_be(beyond: int, posts: int) -> None:
    what = records(5)
    size = len(b"[" + b",".join(map(as_json, what)) + b"]")
    assert len(list(bodies(what, size - beyond))) == posts


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_a_record_that_is_larger_than_a_body_may_be_is_refused_behind_those_before_it(beyond: int) -> None:
    empty = len(as_json(record(2, attributes={"a": ""}))) + 2
    large = record(2, attributes={"a": "x" * (1024 - empty + beyond)})
    what, taken = [*records(2), large, record(3)], Taken()

    async def scenario() -> Receiver:
        async with receiving() as receiver:
            await deliver(sink_for(receiver.url, gateway_http_sink_max_body_bytes=1024), what, taken)
            return receiver

    if beyond <= 0:
        assert [batch.ids for batch in asyncio.run(scenario()).batches] == [ids(what[:2]), [large.id], [what[3].id]]
    else:
        with pytest.raises(RefusedRecords, match=r"1025 bytes.*GATEWAY_HTTP_SINK_MAX_BODY_BYTES allows 1024") as raised:
            asyncio.run(scenario())
        assert (raised.value.start, raised.value.end, taken.steps) == (2, 3, [2])


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 400), max_size=30), max_bytes=st.integers(700, 1500))
def test_bodies_hold_all_records_in_order_and_none_could_hold_one_more(sizes: list[int], max_bytes: int) -> None:
    what = [record(number, attributes={"a": "x" * size}) for number, size in enumerate(sizes)]
    found = list(bodies(what, max_bytes))
    assert [one["id"] for body in found for one in json.loads(body.data)] == ids(what)
    assert [name for body in found for name in body.ids] == ids(what)
    assert [body.start for body in found] == [0, *(body.end for body in found)][: len(found)]
    for body in found:
        assert len(body.data) <= max_bytes
        if body.end < len(what):
            assert len(body.data) + 1 + len(as_json(what[body.end])) > max_bytes


# -- what is asked at connect --------------------------------------------------------------------


def test_an_empty_array_without_a_key_is_posted_at_connect() -> None:
    receiver, _ = post_all([], gateway_http_sink_token=TOKEN)
    (knock,) = receiver.posts
    assert knock.body == b"[]"
    assert "Idempotency-Key" not in knock.headers
    assert knock.headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (400, Trouble.MISCONFIGURED),
        (422, Trouble.MISCONFIGURED),
        (401, Trouble.REFUSED),
        (404, Trouble.MISCONFIGURED),
        (301, Trouble.MISCONFIGURED),
        (429, Trouble.BUSY),
        (500, Trouble.BUSY),
        (503, Trouble.BUSY),
    ],
)
def test_what_refuses_even_that_gets_no_records(status: int, trouble: Trouble) -> None:
    async def scenario() -> tuple[Receiver, SinkError]:
        async with receiving(lambda posted: web.Response(status=status, text="why")) as receiver:
            with pytest.raises(SinkError) as raised:
                await deliver(sink_for(receiver.url), records(2))
            return receiver, raised.value

    receiver, error = asyncio.run(scenario())
    assert receiver.batches == []
    assert error.trouble is trouble
    assert f"it answers {status}" in error.message
    assert "why" in error.message


# -- what answers mean ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207, 299])
def test_any_2xx_is_a_confirmation(status: int) -> None:
    _, taken = post_all(records(2), answer(status))
    assert taken.steps == [2]


@pytest.mark.parametrize("status", [400, 402, 406, 409, 413, 415, 422, 499])
def test_an_answer_that_blames_the_body_refuses_the_records_of_that_post_alone(status: int) -> None:
    what, taken, seen = records(40), Taken(), list[int]()

    def second_is_bad(posted: Posted) -> web.StreamResponse:
        seen.append(0 if posted.body == b"[]" else len(posted.ids))
        return web.Response(status=status if len(seen) == 3 else 200, text="no  such\nfield")

    async def scenario() -> None:
        async with receiving(second_is_bad) as receiver:
            await deliver(sink_for(receiver.url, gateway_http_sink_max_body_bytes=1024), what, taken)

    with pytest.raises(RefusedRecords) as raised:
        asyncio.run(scenario())
    assert raised.value.reason.startswith(str(status))
    assert raised.value.reason.endswith(": no such field")
    assert (raised.value.start, raised.value.end) == (seen[1], seen[1] + seen[2])
    assert taken.steps == [seen[1]]


@pytest.mark.parametrize(
    ("status", "trouble", "cure"),
    [
        (401, Trouble.REFUSED, "GATEWAY_HTTP_SINK_TOKEN"),
        (403, Trouble.REFUSED, "GATEWAY_HTTP_SINK_TOKEN"),
        (404, Trouble.MISCONFIGURED, "GATEWAY_HTTP_SINK_URL"),
        (405, Trouble.MISCONFIGURED, "GATEWAY_HTTP_SINK_URL"),
        (410, Trouble.MISCONFIGURED, "GATEWAY_HTTP_SINK_URL"),
        (304, Trouble.MISCONFIGURED, "GATEWAY_HTTP_SINK_URL"),
        (408, Trouble.BUSY, "by itself"),
        (425, Trouble.BUSY, "by itself"),
        (429, Trouble.BUSY, "by itself"),
        (500, Trouble.BUSY, "by itself"),
        (502, Trouble.BUSY, "by itself"),
        (503, Trouble.BUSY, "by itself"),
        (599, Trouble.BUSY, "by itself"),
        (999, Trouble.BUSY, "by itself"),
    ],
)
def test_other_answers_are_trouble_with_its_cure(status: int, trouble: Trouble, cure: str) -> None:
    error = trouble_with(answer(status, "" if status == 304 else "because"))
    assert error.trouble is trouble
    assert cure in error.hint
    assert error.message.startswith(f"it answers {status}")
    assert error.retry_after_s is None


def test_a_receiver_says_when_to_come_again() -> None:
    assert trouble_with(answer(429, Retry_After="7")).retry_after_s == 7.0
    assert trouble_with(answer(503, Retry_After="99999")).retry_after_s == 3600.0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_no_secret_of_it_told(status: int) -> None:
    async def scenario() -> tuple[str, Receiver]:
        async with receiving() as other:
            give = answer(status, Location=f"{other.url}&token={TOKEN}")
            async with receiving(give) as receiver:
                with pytest.raises(SinkError) as raised:
                    await deliver(sink_for(receiver.url, gateway_http_sink_token=TOKEN), records(2))
                assert raised.value.trouble is Trouble.MISCONFIGURED
                return without_secrets(raised.value).message, other

    message, other = asyncio.run(scenario())
    assert message.endswith(f", and leads to http://127.0.0.1:{other.port}/reports")
    assert other.posts == []


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("", "text/plain", ""),
        ("x" * 199, "text/plain", "x" * 199),
        ("x" * 200, "text/plain", "x" * 200),
        ("x" * 201, "text/plain", "x" * 200),
        ("x" * 100_000, "text/plain", "x" * 200),
        ("\x1b[31mred\x07\r\n\tand\u202e more\0", "text/plain", "[31mred and\ufffd more"),
        (f"Bearer {TOKEN} is unknown", "text/plain", "Bearer *** is unknown"),
        ("<html><head><title>No</title></head><body><h1>No\n room</h1>", "text/html", "No No room"),
        ('{"error": "no"}', "application/json", '{"error": "no"}'),
        ("\x00\x01", "application/octet-stream", ""),
    ],
)
def test_the_beginning_of_a_text_is_told_cleaned(text: str, kind: str, told: str) -> None:
    error = trouble_with(answer(503, text, Content_Type=kind), gateway_http_sink_token=TOKEN)
    assert error.message == "it answers 503 Service Unavailable" + (f": {told}" if told else "")


def test_a_compressed_text_is_not_told() -> None:
    error = trouble_with(answer(503, "\x1f\x8b", Content_Encoding="gzip"))
    assert error.message == "it answers 503 Service Unavailable"


def test_cookies_are_not_kept() -> None:
    receiver, _ = post_all(records(2), lambda posted: web.Response(headers={"Set-Cookie": "a=b"}))
    assert [post.headers.get("Cookie") for post in receiver.posts] == [None, None]


# -- sessions ------------------------------------------------------------------------------------


def test_a_connection_that_the_receiver_closed_meanwhile_is_made_anew() -> None:
    """Idle ones are closed by any server."""

    async def scenario() -> None:
        async with receiving() as receiver:
            async with sink_for(receiver.url).connect() as session:
                for number in range(3):
                    await session.deliver([record(number)], Taken())
                    for transport in receiver.connections:
                        assert isinstance(transport, asyncio.Transport)
                        transport.close()
                    await asyncio.sleep(0.02)  # for our side to hear of it
            assert len(receiver.batches) == 3

    asyncio.run(scenario())


def test_a_session_never_says_that_it_is_lost() -> None:
    async def scenario() -> None:
        async with receiving() as receiver, sink_for(receiver.url).connect() as session:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(session.closed(), 0.01)

    asyncio.run(scenario())


# -- settings that contradict each other ---------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "variable"),
    [
        ({"gateway_http_sink_token": "two words"}, "GATEWAY_HTTP_SINK_TOKEN"),
        ({"gateway_http_sink_token": "line\nbreak"}, "GATEWAY_HTTP_SINK_TOKEN"),
        ({"gateway_http_sink_token": "schlüssel"}, "GATEWAY_HTTP_SINK_TOKEN"),
        ({"gateway_http_sink_url": "http://u:hunter2@h/", "gateway_http_sink_token": TOKEN}, "GATEWAY_HTTP_SINK_URL"),
        ({"gateway_http_sink_url": "http://h/", "gateway_http_sink_ca_file": Path("ca.pem")}, "http://"),
        ({"gateway_http_sink_client_key": Path("k.pem")}, "GATEWAY_HTTP_SINK_CLIENT_KEY"),
        ({"gateway_http_sink_url": "https://" + "a" * 64 + "\u00fc.example/"}, "GATEWAY_HTTP_SINK_URL"),
    ],
)
def test_settings_that_can_not_work_are_a_configuration_error(values: dict[str, Any], variable: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make(settings_of(**{"gateway_http_sink_url": "https://h/"} | values), CountingHost())
    assert variable in raised.value.message
    assert raised.value.hint
    for secret in ("two words", "hunter2", "schlüssel", TOKEN):
        assert secret not in f"{raised.value.message} {raised.value.hint}"
