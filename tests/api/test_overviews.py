"""The overview as the API gives it: while somebody looks, of one gateway after another, and without one."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.api.backend import Backend
from gateway.api.lockout import Lockout
from gateway.api.overview import Overview
from gateway.api.overviews import Overviews
from gateway.command_socket import serving
from gateway.errors import UnavailableError
from gateway.figures import Figures
from gateway.metrics import DTLS_SESSIONS, PROCESS_START_TIMESTAMP_SECONDS, UPLINKS_TOTAL
from gateway.model import JsonValue
from gateway.settings import Settings
from tests.api.rig import Api

PATIENCE_S = 30.0
SAMPLE_S = 0.02


class Gateway:
    """What of a running gateway is asked for figures."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(_env_file=None, gateway_data_dir=folder, gateway_workers=2, **settings)
        folder.mkdir(exist_ok=True)
        self.figures = Figures(2)
        self.asked = 0

    async def answer(self, of: JsonValue) -> JsonValue:
        self.asked += 1
        answer: JsonValue = await self.figures.commands["figures"](of)
        return answer

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with serving(self.settings.gateway_data_dir, {"figures": self.answer}):
            yield

    def overviews(self, **times: float) -> Overviews:
        backend = Backend(self.settings, Lockout(10, 60))
        return Overviews(backend, **{"sample_s": SAMPLE_S, "idle_s": 0.1, **times})

    def count(self, uplinks: int) -> None:
        self.figures.take(0, [[UPLINKS_TOTAL, "meters", "2.01", uplinks]])


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "data")


async def until(overviews: Overviews, condition: Any) -> Overview:
    async with asyncio.timeout(PATIENCE_S):
        while not condition(found := await overviews.next()):
            pass
        return found


def test_the_first_look_has_no_rates_and_the_next_ones_have(gateway: Gateway) -> None:
    async def check() -> None:
        overviews = gateway.overviews()
        gateway.count(100)
        async with gateway.running():
            first = await overviews.current()
            assert (first.window_s, first.uplinks.total, first.uplinks.per_s) == (0.0, 100, None)
            gateway.count(150)
            second = await until(overviews, lambda one: one.uplinks.total == 150)
            assert second.window_s > 0
            assert second.uplinks.per_s is not None
            assert second.uplinks.per_s == pytest.approx(50 / second.window_s, rel=0.01)
            assert {one.process for one in second.processes} == {"supervisor", "api"}
        overviews.stop()

    asyncio.run(check())


def test_the_window_does_not_grow_beyond_its_width(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.overviews.WINDOW_S", 0.1)

    async def check() -> None:
        overviews = gateway.overviews()
        async with gateway.running():
            await until(overviews, lambda one: one.window_s >= 0.1)
            for _ in range(5):
                assert 0.1 <= (await overviews.next()).window_s < 5
            assert len(overviews._snapshots) < 20
        overviews.stop()

    asyncio.run(check())


def test_nothing_is_asked_for_when_nobody_looks_any_more(gateway: Gateway) -> None:
    async def check() -> None:
        overviews = gateway.overviews(idle_s=0.05)
        async with gateway.running():
            assert gateway.asked == 0
            await overviews.current()
            async with asyncio.timeout(PATIENCE_S):
                while overviews._task is not None:
                    await asyncio.sleep(0.01)
            asked = gateway.asked
            await asyncio.sleep(SAMPLE_S * 3)
            assert gateway.asked == asked
            assert (await overviews.current()).window_s == 0.0  # what is old is no beginning of a window
        overviews.stop()

    asyncio.run(check())


def test_many_who_look_are_answered_from_one_sample(gateway: Gateway) -> None:
    async def check() -> None:
        overviews = gateway.overviews(sample_s=10.0, idle_s=10.0)
        async with gateway.running():
            found = await asyncio.gather(*(overviews.current() for _ in range(50)))
            assert gateway.asked == 1
            assert len({id(one) for one in found}) == 1
        overviews.stop()

    asyncio.run(check())


def test_where_no_gateway_runs_it_says_so_and_goes_on_when_one_does(gateway: Gateway) -> None:
    async def check() -> None:
        overviews = gateway.overviews()
        with pytest.raises(UnavailableError, match="no gateway runs"):
            await overviews.current()
        with pytest.raises(UnavailableError):
            await overviews.next()
        async with gateway.running(), asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(UnavailableError):
                    if (await overviews.next()).window_s == 0.0:
                        break
        overviews.stop()

    asyncio.run(check())


def test_another_gateways_figures_are_not_compared_with_those_of_the_one_before(gateway: Gateway) -> None:
    async def check() -> None:
        overviews = gateway.overviews()
        gateway.count(1000)
        async with gateway.running():
            await until(overviews, lambda one: one.window_s > 0)
            gateway.figures.metrics.set(PROCESS_START_TIMESTAMP_SECONDS, "another", value=1)
            restarted = Figures(2)
            restarted.take(0, [[UPLINKS_TOTAL, "meters", "2.01", 5]])
            gateway.figures = restarted
            answer = gateway.answer

            async def later(of: JsonValue) -> JsonValue:
                said = await answer(of)
                for figure in said["figures"]:
                    if figure[:2] == [PROCESS_START_TIMESTAMP_SECONDS, "supervisor"]:
                        figure[2] += 100
                return said

            gateway.answer = later  # type: ignore[method-assign]
        async with gateway.running():
            found = await until(overviews, lambda one: one.uplinks.total == 5)
            assert found.window_s == 0.0
        overviews.stop()

    asyncio.run(check())


def test_a_bug_of_ours_is_an_error_and_it_is_tried_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        overviews = gateway.overviews()
        async with gateway.running():
            with monkeypatch.context() as patched:
                patched.setattr("gateway.api.overviews.overview", lambda *some, **more: 1 / 0)
                with pytest.raises(UnavailableError, match="can't be made"):
                    await overviews.current()
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with contextlib.suppress(UnavailableError):
                        await overviews.next()
                        break
        overviews.stop()

    asyncio.run(check())
    assert "ZeroDivisionError" in caplog.text


# -- the routes ----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def asking(api: Api, figures: Figures) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app, beside a gateway that answers with these figures."""
    transport = httpx.ASGITransport(api.app)
    async with (
        serving(api.data_dir, figures.commands),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield client
    api.app.state.overviews.stop()


def test_metrics_take_no_token_and_are_what_prometheus_reads(tmp_path: Path) -> None:
    async def check() -> None:
        figures = Figures(2)
        figures.take(0, [[UPLINKS_TOTAL, "meters", "2.01", 5], [DTLS_SESSIONS, 2]])
        figures.take(1, [[UPLINKS_TOTAL, "meters", "2.01", 6], [DTLS_SESSIONS, 3]])
        async with asking(Api(tmp_path), figures) as client:
            answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = {one.name: one for one in text_string_to_metric_families(answer.text)}
        assert [one.value for one in found["gateway_uplinks"].samples] == [11]
        assert [one.value for one in found[DTLS_SESSIONS].samples] == [5]
        processes = {one.labels["process"] for one in found["gateway_process_resident_bytes"].samples}
        assert processes == {"supervisor", "api"}

    asyncio.run(check())


def test_without_a_gateway_metrics_and_overview_are_503(tmp_path: Path) -> None:
    api = Api(tmp_path)

    async def check() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://127.0.0.1") as client:
            answer = await client.get("/metrics")
            assert answer.status_code == 503
            assert answer.json()["hint"] == "start it: gateway serve"

    asyncio.run(check())
    api.problem("GET", "/overview", 503)


def test_the_overview_takes_a_token(tmp_path: Path) -> None:
    async def check() -> None:
        api = Api(tmp_path)
        async with asking(api, Figures(1)) as client:
            for path in ("/api/v1/overview", "/api/v1/stream"):
                assert (await client.get(path)).status_code == 401
            answer = await client.get("/api/v1/overview", headers=api.headers())
            assert Overview.model_validate(answer.json()).window_s == 0.0

    asyncio.run(check())


def test_the_stream_has_overviews_and_what_is_in_their_way(tmp_path: Path) -> None:
    async def check() -> None:
        api = Api(tmp_path)
        overviews = api.app.state.overviews = Overviews(api.app.state.backend, sample_s=SAMPLE_S)
        said: list[tuple[str, Any]] = []

        async def read() -> None:
            response = await client.get("/api/v1/stream", headers=api.headers())
            assert response.headers["content-type"].startswith("text/event-stream")
            for block in response.text.split("\n\n"):
                lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
                if "event" in lines:
                    said.append((lines["event"], json.loads(lines["data"])))

        async with asking(api, Figures(1)) as client:
            reading = asyncio.create_task(read())
            streams = api.app.state.backend.streams
            await until(overviews, lambda one: one.window_s > 0 and streams.count == 1)
            for _ in range(3):  # of which the stream has had one, whenever it looked
                await overviews.next()
        with pytest.raises(UnavailableError):  # the gateway has gone, the API's process is still there
            while True:
                await overviews.next()
        with pytest.raises(UnavailableError):
            await overviews.next()
        api.app.state.backend.streams.stop()
        async with asyncio.timeout(PATIENCE_S):
            await reading
        overviews.stop()
        kinds = [name for name, _ in said]
        assert kinds[0] == "overview"
        assert Overview.model_validate(said[0][1]).uplinks.total == 0
        assert kinds[-1] == "problem"
        assert said[-1][1]["status"] == 503

    asyncio.run(check())
