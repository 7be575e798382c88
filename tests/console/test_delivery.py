"""The page of the delivery: where reports go, and what is in the way."""

from playwright.sync_api import Locator, expect

from tests.console.conftest import PATIENCE_MS, UNWANTED, SinkServer, Visit


def card(visit: Visit, name: str) -> Locator:
    """A sink's card."""
    return visit.page.locator("section.panel", has=visit.page.locator(".panel-title", has_text=name))


def test_what_waits_and_why_is_followed(visit: Visit, sink: SinkServer) -> None:
    url = visit.served.add_integration("delivered", "return {deviceName: 'delivered', telemetry: {a: 1}};")
    visit.open("/delivery")
    expect(card(visit, "devices")).to_contain_text("connected")
    expect(card(visit, "http")).to_contain_text(sink.url)
    waiting = card(visit, "http").locator(".figure", has_text="Waiting")
    sink.is_busy = True
    try:
        visit.served.command("send", url, "--text", "a")
        expect(waiting).to_contain_text("1 uplink, ")
        expect(card(visit, "http")).to_contain_text("busy")
        expect(card(visit, "http").get_by_role("status")).to_contain_text("see the receiver's log")
    finally:
        sink.is_busy = False
    expect(waiting).to_contain_text("nothing", timeout=PATIENCE_MS)
    expect(card(visit, "http")).to_contain_text("connected")
    assert visit.complaints == []


def test_reports_that_a_sink_refuses_are_in_quarantine_as_such(visit: Visit) -> None:
    url = visit.served.add_integration("refused", f"return {{deviceName: '{UNWANTED}', telemetry: {{a: 1}}}};")
    visit.served.command("send", url, "--text", "a")
    visit.open("/quarantine?integration=refused")
    expect(visit.row("refused by http")).to_contain_text(UNWANTED, timeout=PATIENCE_MS)
    visit.row("refused by http").get_by_role("button").click()
    expect(visit.dialog).to_contain_text("a report that http refused")
    expect(visit.dialog.get_by_role("heading", name="Report")).to_be_visible()
    expect(visit.dialog.get_by_text("Metadata")).to_be_hidden()
