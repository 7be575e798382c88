"""Those who look at a gateway: a browser with every page of the console open, and what scrapes `/metrics`."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import httpx
from playwright.sync_api import Error, Page, WebSocket, sync_playwright

from benchmarks import forked, servers
from benchmarks.servers import BenchError
from gateway.storage.user_store import FIRST_USER

PAGES = (
    "/",
    "/integrations",
    "/converters",
    "/converters/new",
    "/converters/edit?name=bench",
    "/devices",
    "/devices/show?name=SN-001",
    "/events",
    "/quarantine",
    "/security",
    "/security?tab=psk",
    "/security?tab=trust",
    "/security?tab=certificates",
    "/delivery",
)
"""All that there are."""

SCRAPE_EVERY_S = 1.0

_BOUND_S = 60.0
_MEMORY = Path("/dev/shm")


@dataclass(slots=True)
class Seen:
    """What they saw while the console was open."""

    frames: int = 0
    """Messages to the pages over their WebSockets."""
    scrapes: int = 0


class Watchers:
    """Tells the process of the browser and the scraper what to do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def look(self) -> None:
        """Open all pages and begin to scrape; returns when all are there. Raises BenchError."""
        self._ask("look")

    def rest(self) -> Seen:
        """Close the pages and scrape no more. Raises BenchError."""
        return self._ask("rest")

    def _ask(self, what: str) -> Seen:
        try:
            self._connection.send(what)
            if not self._connection.poll(_BOUND_S):
                raise BenchError(f"the browser did not do its part within {_BOUND_S:.0f} s")
            answer: Seen | BenchError = self._connection.recv()
        except (EOFError, BrokenPipeError):
            raise BenchError("the browser's process ended") from None
        if isinstance(answer, BenchError):
            raise answer
        return answer


@contextlib.contextmanager
def watching(url: str, password: str) -> Iterator[Watchers]:
    """A browser that has logged in, in a process of its own; it is ended with the context."""
    ours, theirs = forked.CONTEXT.Pipe()
    # In life the browser is on another computer: what it writes must not make the gateway's disk wait.
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="bench-", dir=memory, ignore_cleanup_errors=True) as folder:
        process = forked.CONTEXT.Process(target=_watch, args=(theirs, ours, folder, url, password))
        process.start()
        theirs.close()
        try:
            yield Watchers(ours)
        finally:
            ours.close()
            process.join(servers.STOP_S)
            process.kill()
            process.join()


def _watch(connection: Connection, other_end: Connection, folder: str, url: str, password: str) -> None:
    other_end.close()
    servers.end_with_parent()
    os.environ["TMPDIR"] = folder
    try:
        with _browser(url, password) as looker:
            looker.serve(connection)
    except (BenchError, Error, httpx.HTTPError) as error:
        with contextlib.suppress(BrokenPipeError):
            connection.send(BenchError(str(error).partition("\n")[0]))


class _Looker:
    def __init__(self, pages: list[Page], url: str) -> None:
        self._pages = pages
        self._url = url
        self._seen = Seen()
        self._is_looking = False
        self._scrape_at_s = 0.0
        for page in pages:
            page.on("websocket", self._count_frames)

    def serve(self, connection: Connection) -> None:
        """Do what is asked, until the other end is closed."""
        with (
            httpx.Client(base_url=self._url, timeout=_BOUND_S, trust_env=False) as client,
            contextlib.suppress(EOFError),
        ):
            while True:
                if connection.poll():
                    self._look() if connection.recv() == "look" else self._rest()
                    connection.send(self._seen)
                if self._is_looking and time.monotonic() >= self._scrape_at_s:
                    self._scrape_at_s += SCRAPE_EVERY_S
                    client.get("/metrics").raise_for_status()
                    self._seen.scrapes += 1
                self._pages[0].wait_for_timeout(20)  # in which it takes what the pages tell

    def _look(self) -> None:
        self._seen = Seen()
        for page, path in zip(self._pages, PAGES, strict=True):
            page.goto(f"{self._url}/console{path}", wait_until="commit")
        for page, path in zip(self._pages, PAGES, strict=True):
            page.locator(".top h1").wait_for()
            if page.evaluate("document.visibilityState") != "visible":  # then it would rest
                raise BenchError(f"the page {path} is hidden")
        self._seen = Seen()
        self._is_looking = True
        self._scrape_at_s = time.monotonic()

    def _rest(self) -> None:
        self._is_looking = False
        for page in self._pages:
            page.goto("about:blank")

    def _count_frames(self, websocket: WebSocket) -> None:
        websocket.on("framereceived", lambda _: self._count_frame())

    def _count_frame(self) -> None:
        self._seen.frames += 1


@contextlib.contextmanager
def _browser(url: str, password: str) -> Iterator[_Looker]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise BenchError("there is no Chromium (Debian: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        pages = [context.new_page() for _ in PAGES]
        pages[0].goto(url)
        pages[0].fill("#user", FIRST_USER)
        pages[0].fill("#password", password)
        pages[0].click("button[type=submit]")
        pages[0].locator(".top h1").wait_for()
        pages[0].goto("about:blank")
        yield _Looker(pages, url)
        browser.close()
