"""A gateway with its console, as a process, and a browser that looks at it."""

import shutil
import threading
from collections.abc import Callable, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Request, expect, sync_playwright

from tests.api.conftest import Served

PATIENCE_MS = 20_000

UNWANTED = "unwanted"
"""Reports of a device of this name are refused by the sink."""


class Visit:
    """Somebody's browser, and all that it complained about."""

    def __init__(self, page: Page, served: Served) -> None:
        self.page = page
        self.served = served
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        """What was asked of another host."""
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _see(self, request: Request) -> None:
        own = (self.served.url, self.served.url.replace("http", "ws", 1), "data:", "blob:")
        if not request.url.startswith(own):
            self.foreign.append(request.url)

    def log_in(self, user: str = "admin", password: str | None = None) -> None:
        """Through the log-in page, wherever that leads."""
        if "/console/login" not in self.page.url:
            self.page.goto(f"{self.served.url}/console/")
        self.page.get_by_label("User").fill(user)
        self.page.get_by_label("Password").fill(password or self.served.first_password)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.title).to_be_visible()

    def open(self, path: str) -> None:
        """A page, once it is live."""
        self.page.goto(f"{self.served.url}/console{path}")
        expect(self.title).to_be_visible()
        self.page.wait_for_function("window.did_handshake === true")

    def row(self, text: str) -> Locator:
        """The rows of a list that have this text in them."""
        return self.page.locator(".listing tbody tr", has_text=text)

    @property
    def dialog(self) -> Locator:
        """What stands before the page."""
        return self.page.get_by_role("dialog")

    @property
    def title(self) -> Locator:
        """The title in the page's header."""
        return self.page.locator(".top h1")

    def button(self, name: str) -> Locator:
        """A button by its name."""
        return self.page.get_by_role("button", name=name, exact=True)


class SinkServer(ThreadingHTTPServer):
    """A receiver of reports, which may be too busy for them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.is_busy = False

    @property
    def url(self) -> str:
        """Where it takes them."""
        return f"http://127.0.0.1:{self.server_port}/reports"


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, SinkServer)
        self.send_response(503 if self.server.is_busy else 400 if UNWANTED.encode() in body else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:
        """Nobody reads it."""


# One gateway and one browser for all of this folder's tests; they end with it, and so does Playwright's event loop,
# which tests elsewhere must not find running.


@pytest.fixture(scope="package")
def sink() -> Iterator["SinkServer"]:
    """Where the gateway's reports go by HTTP."""
    server = SinkServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory, sink: "SinkServer") -> Iterator[Served]:
    """A gateway with plain CoAP, DTLS and the console."""
    folder = tmp_path_factory.mktemp("console")
    settings = {"COAP_SECURITY_MODE": "MIXED", "GATEWAY_HTTP_SINK_URL": sink.url, **_certificates(folder)}
    served = Served(folder, settings)
    served.environment.pop("PYTEST_CURRENT_TEST", None)  # NiceGUI behaves otherwise where it finds it
    served.command("certs", "server", "--folder", str(folder / "certs"))
    served.start()
    yield served
    served.kill()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    program = shutil.which("chromium")
    assert program is not None, "scripts/test installs Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def shared_log_in(served: Served) -> httpx.Cookies:
    """The cookies of an admin's log-in; a test that ends its log-in makes one of its own."""
    return served.browser().cookies


PAGES = pytest.StashKey[list[Page]]()
"""Of a test, what it has open."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Beside a failure, what could be seen by then."""
    report = yield
    if report.when == "call" and report.failed:
        for page in item.stash.get(PAGES, []):
            try:
                seen = page.locator("body").aria_snapshot(timeout=2000)
            except Error as error:
                seen = str(error)
            report.sections.append((f"Seen at {page.url}", seen[:5000]))
    return report


@pytest.fixture
def make_visit(browser: Browser, served: Served, request: pytest.FixtureRequest) -> Iterator[Callable[[], Visit]]:
    """Makes browsers with nothing in them, wide and light; they close with the test."""
    made: list[Page] = []
    request.node.stash[PAGES] = made

    def make() -> Visit:
        context = browser.new_context(
            viewport={"width": 1280, "height": 800}, permissions=["clipboard-read", "clipboard-write"]
        )
        made.append(context.new_page())
        return Visit(made[-1], served)

    yield make
    for page in made:
        page.context.close()


@pytest.fixture
def visit(make_visit: Callable[[], Visit], shared_log_in: httpx.Cookies) -> Visit:
    """An admin's browser, wide and light, with nothing open."""
    visit = make_visit()
    visit.page.context.add_cookies(
        [{"name": name, "value": value, "url": visit.served.url} for name, value in shared_log_in.items()]
    )
    return visit


def _certificates(folder: Path) -> dict[str, str]:
    return {
        "COAP_DTLS_PEM_CERT": str(folder / "certs" / "coapserver.pem"),
        "COAP_DTLS_PEM_KEY": str(folder / "certs" / "coapserver_key.pem"),
    }
