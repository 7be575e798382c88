"""The gateway as a service: what its manager is told, and what a reload does."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.service import Service
from gateway.settings import Settings, load_settings
from gateway.systemd import Notifier

PATIENCE_S = 10.0


class Manager:
    """A service of two workers, and all that its manager hears."""

    def __init__(self, folder: Path, settings: Settings, *, watchdog_s: float | None = None) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.setblocking(False)
        self.told: list[tuple[int, Mapping[str, object]]] = []
        """What the workers were told."""
        self.stopping = asyncio.Event()
        notifier = Notifier(str(folder / "notify"), watchdog_s=watchdog_s)
        self.service = Service(settings, notifier, workers=2, tell=lambda *what: self.told.append(what))

    def heard(self) -> list[str]:
        """The messages so far."""
        lines = []
        while True:
            try:
                lines.append(self.socket.recv(1000).decode())
            except BlockingIOError:
                return lines

    async def hears(self) -> list[str]:
        """Waits for at least one message."""
        async with asyncio.timeout(PATIENCE_S):
            while not (heard := self.heard()):
                await asyncio.sleep(0.002)
        return heard

    def __enter__(self) -> "Manager":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Those of an empty folder, which is the current one."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield load_settings()


@pytest.fixture
def run(tmp_path: Path, settings: Settings) -> Callable[..., None]:
    def run(scenario: Callable[[Manager], Coroutine[Any, Any, None]], **options: Any) -> None:
        async def whole() -> None:
            with Manager(tmp_path, settings, **options) as manager:
                async with manager.service.running(manager.stopping):
                    await scenario(manager)

        asyncio.run(whole())

    return run


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.002)


def test_it_is_ready_when_all_workers_are(run: Callable[..., None]) -> None:
    async def scenario(manager: Manager) -> None:
        manager.service.worker_serves(0)
        assert manager.heard() == []
        manager.service.worker_serves(1)
        assert manager.heard() == ["READY=1\nSTATUS=2 of 2 workers serve"]

    run(scenario)


def test_its_status_follows_the_workers(run: Callable[..., None]) -> None:
    async def scenario(manager: Manager) -> None:
        manager.service.worker_serves(0)
        manager.service.worker_serves(1)
        manager.service.worker_ended(1)
        manager.service.worker_serves(1)
        assert manager.heard()[1:] == ["STATUS=1 of 2 workers serve", "READY=1\nSTATUS=2 of 2 workers serve"]

    run(scenario)


def test_a_worker_that_ends_before_the_start_is_complete_does_not_make_it_ready(run: Callable[..., None]) -> None:
    async def scenario(manager: Manager) -> None:
        manager.service.worker_serves(0)
        manager.service.worker_ended(0)
        manager.service.worker_serves(1)
        assert manager.heard() == []

    run(scenario)


def test_the_watchdog_hears_it_twice_in_its_time(run: Callable[..., None]) -> None:
    async def scenario(manager: Manager) -> None:
        heard: list[str] = []
        began_s = asyncio.get_running_loop().time()
        while len(heard) < 4:
            await asyncio.sleep(0.01)
            heard += manager.heard()
        assert set(heard) == {"WATCHDOG=1"}
        assert asyncio.get_running_loop().time() - began_s > 0.1

    run(scenario, watchdog_s=0.1)


def test_a_stop_is_told_at_once(run: Callable[..., None]) -> None:
    async def scenario(manager: Manager) -> None:
        manager.stopping.set()
        assert await manager.hears() == ["STOPPING=1\nSTATUS=stopping"]

    run(scenario)


def serving(manager: Manager) -> None:
    manager.service.worker_serves(0)
    manager.service.worker_serves(1)
    manager.heard()


def test_sighup_has_all_workers_reload_and_is_done_when_they_have(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(manager: Manager) -> None:
        serving(manager)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: len(manager.told) == 2)
        assert sorted(manager.told, key=lambda told: told[0]) == [(0, {"reload": True}), (1, {"reload": True})]
        manager.service.worker_reloaded(0)
        (begun,) = manager.heard()
        assert begun.startswith("RELOADING=1\nMONOTONIC_USEC=")
        manager.service.worker_reloaded(1)
        assert await manager.hears() == ["READY=1\nSTATUS=2 of 2 workers serve"]

    run(scenario)
    assert caplog.messages == [
        "reloaded: 2 of 2 workers have looked at the files of certificate, key, trust store and revocation lists "
        "(the catalogue is followed at any time)",
        "no setting has changed in .env; variables of the environment are read at a start alone",
    ]


def test_a_worker_that_ends_meanwhile_holds_no_reload_up(run: Callable[..., None]) -> None:
    async def scenario(manager: Manager) -> None:
        serving(manager)
        reload = asyncio.create_task(manager.service.reload())
        await until(lambda: len(manager.told) == 2)
        manager.service.worker_reloaded(1)
        manager.service.worker_ended(0)
        async with asyncio.timeout(1):
            await reload
        assert manager.heard()[-1] == "READY=1\nSTATUS=1 of 2 workers serve"

    run(scenario)


def test_a_worker_that_does_not_reload_is_named(
    run: Callable[..., None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.service.RELOAD_PATIENCE_S", 0.02)

    async def scenario(manager: Manager) -> None:
        serving(manager)
        reload = asyncio.create_task(manager.service.reload())
        await until(lambda: len(manager.told) == 2)
        manager.service.worker_reloaded(1)
        await reload

    run(scenario)
    assert caplog.messages[0] == "worker 0 has not reloaded within 0 s"


def test_a_reload_names_the_settings_that_wait_for_a_restart_and_no_value(
    run: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(manager: Manager) -> None:
        (tmp_path / ".env").write_text("GATEWAY_HISTORY_DAYS=1\nTB_ACCESS_TOKEN=secret\n")
        await manager.service.reload()

    run(scenario)
    assert caplog.messages == [
        "settings that are others in .env now wait for a restart: GATEWAY_HISTORY_DAYS, TB_ACCESS_TOKEN"
    ]


def test_a_reload_says_where_a_restart_would_fail(
    run: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(manager: Manager) -> None:
        (tmp_path / ".env").write_text("COAP_BIND_PORT=70000\n")
        await manager.service.reload()

    run(scenario)
    assert caplog.messages == [
        "a restart would fail: COAP_BIND_PORT=70000: input should be less than or equal to 65535"
    ]


def test_where_it_runs_in_a_terminal_its_end_is_the_gateway_s(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    async def scenario(manager: Manager) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await until(manager.stopping.is_set)
        assert manager.told == []

    run(scenario)
