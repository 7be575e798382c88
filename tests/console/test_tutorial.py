"""ThingsBoard's tutorial, done in the browser: a converter, an integration, real clients, an error and its mending."""

import subprocess
from collections.abc import Callable

from playwright.sync_api import expect

from tests.api.conftest import Served
from tests.console.conftest import Visit
from tests.console.test_integrations import card, choose
from tests.e2e.harness import JSON, PATIENCE_S, coap_client, eventually

IDENTITY, KEY = "sensor-1", "a key of 22 characters"


def secure_client(url: str, payload: bytes) -> None:
    """Send with libcoap's client over DTLS, by pre-shared key."""
    subprocess.run(
        ["coap-client-openssl", "-m", "post", "-B", "5", "-u", IDENTITY, "-k", KEY, "-f", "-", url],
        input=payload,
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )


def replace_in_editor(visit: Visit, old: str, new: str) -> None:
    """Change the source by hand."""
    editor = visit.page.locator(".cm-content")
    source = visit.page.evaluate(
        "getElement(document.querySelector('.nicegui-codemirror')).editor.state.doc.toString()"
    )
    assert old in source
    editor.click()
    visit.page.keyboard.press("Control+A")
    visit.page.keyboard.insert_text(source.replace(old, new))


def test_the_tutorial_is_done_in_the_browser(served: Served, make_visit: Callable[[], Visit]) -> None:
    served.command("psk", "add", IDENTITY, "--key", KEY)
    visit = make_visit()
    visit.page.goto(served.url)
    visit.log_in()

    visit.page.get_by_role("link", name="Converters", exact=True).click()
    visit.button("New converter").first.click()
    expect(visit.page.locator(".result")).to_contain_text("SN-001")
    visit.page.get_by_label("Name", exact=True).fill("tutorial")
    visit.button("Create").click()
    expect(visit.title).to_have_text("tutorial")

    visit.page.get_by_role("link", name="Integrations", exact=True).click()
    visit.button("New integration").first.click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("tutorial")
    choose(visit, dialog.get_by_label("Uplink converter"), "tutorial")
    choose(visit, dialog.get_by_label("Security mode"), "MIXED: both")
    choose(visit, dialog.get_by_label("Debug"), "all, for 15 minutes")
    dialog.get_by_role("button", name="Create").click()
    urls = []
    for place in (0, 1):
        card(visit, "tutorial").get_by_role("button", name="Copy the URL").nth(place).click()
        urls.append(visit.page.evaluate("navigator.clipboard.readText()"))

    eventually(lambda: "4.0" not in coap_client("-m", "post", urls[0], payload=JSON), "the integration is there")
    secure_client(urls[1], JSON)

    visit.page.get_by_role("link", name="Devices", exact=True).click()
    visit.row("SN-001").get_by_role("link", name="SN-001").click()
    telemetry = visit.page.locator("section.panel", has_text="Latest telemetry")
    expect(telemetry.locator("tr", has_text="temperature")).to_contain_text("25.7")
    expect(telemetry.locator("tr", has_text="humidity")).to_contain_text("69")
    expect(visit.page.locator("section.panel", has_text="History").locator("canvas")).to_be_visible()

    visit.open("/events?integration=tutorial")
    visit.row("SN-001").first.get_by_role("button").click()
    expect(visit.dialog).to_contain_text('"deviceName": "SN-001"')
    expect(visit.dialog).to_contain_text(IDENTITY)
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.dialog).to_be_hidden()

    visit.open("/integrations")
    card(visit, "tutorial").get_by_role("link", name="tutorial").click()
    expect(visit.page.locator(".result")).to_contain_text("25.7")
    replace_in_editor(visit, "data.temperature", "data.temperatur.value")
    expect(visit.page.locator(".result .note.bad")).to_be_visible()
    expect(visit.page.locator(".cm-wrong-line")).to_contain_text("data.temperatur.value")
    visit.button("Save").click()
    expect(visit.page.get_by_text("The converter is saved")).to_be_visible()
    eventually(lambda: "4.00" in coap_client("-m", "post", urls[0], payload=JSON), "the broken converter is followed")

    replace_in_editor(visit, "data.temperatur.value", "data.temperature")
    expect(visit.page.locator(".result")).to_contain_text("25.7")
    visit.button("Save").click()
    eventually(lambda: "4.0" not in coap_client("-m", "post", urls[0], payload=JSON), "the mended one is followed")
    visit.open("/quarantine?integration=tutorial")
    visit.button("Replay all of tutorial").click()
    expect(visit.dialog).to_contain_text("of SN-001")
    expect(visit.dialog).not_to_contain_text("failed")
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.page.get_by_text("Nothing is in quarantine")).to_be_visible()
    assert visit.complaints == []
