"""The page of the quarantine: a converter is mended, and nothing is lost."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.api.conftest import Served
from tests.console.conftest import Visit

BROKEN = "throw new Error('not yet');"
MENDED = (
    "if (payload[0] == 99) throw new Error('never c'); return {deviceName: 'replayed', telemetry: {n: payload[0]}};"
)


def fill(served: Served, name: str, *payloads: str) -> None:
    """Have uplinks in the quarantine."""
    url = served.add_integration(name, BROKEN)
    for payload in payloads:
        served.command("send", url, "--text", payload, code=1)


def test_uplinks_are_tried_replayed_and_deleted(visit: Visit) -> None:
    fill(visit.served, "broken", "a", "b", "c", "d")
    visit.open("/quarantine?integration=broken")
    expect(visit.row("not yet")).to_have_count(4)
    visit.button("Dry run").click()
    expect(visit.dialog).to_contain_text("4 would still fail")
    expect(visit.dialog).to_contain_text("not yet")
    visit.dialog.get_by_role("button", name="Close").click()
    visit.served.command("converter", "update", "broken", "--file", "-", text=MENDED)
    visit.row("not yet").first.get_by_role("checkbox").click()
    visit.button("Replay the selected one").click()
    expect(visit.dialog).to_contain_text("1 succeeded")
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.row("not yet")).to_have_count(3)
    visit.button("Replay all of broken").click()
    expect(visit.dialog).to_contain_text("2 succeeded")
    expect(visit.dialog).to_contain_text("of replayed")
    expect(visit.dialog).to_contain_text("1 still failed")
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.row("not yet")).to_have_count(1)
    assert visit.served.device("replayed")["telemetry"]["n"]["value"] == 100
    for answer in ("Cancel", "Delete"):
        visit.button("Delete …").click()
        expect(visit.dialog).to_contain_text("Delete all of broken?")
        visit.dialog.get_by_role("button", name=answer).click()
        expect(visit.dialog).to_be_hidden()
    expect(visit.page.get_by_text("Nothing is in quarantine")).to_be_visible()
    assert visit.served.json("quarantine", "list", "--integration", "broken") == []


def test_one_is_looked_at_and_replayed_alone(visit: Visit) -> None:
    fill(visit.served, "alone", "<b>a")
    visit.open("/quarantine?integration=alone")
    visit.row("not yet").get_by_role("button").click()
    expect(visit.dialog).to_contain_text("<b>a")
    expect(visit.dialog.locator(".code-block.bad")).to_contain_text("not yet")
    expect(visit.dialog.get_by_role("link", name="Mend its converter alone")).to_be_visible()
    visit.served.command("converter", "update", "alone", "--file", "-", text=MENDED)
    visit.dialog.get_by_role("button", name="Replay").click()
    expect(visit.dialog.get_by_text("1 succeeded")).to_be_visible()
    expect(visit.page.get_by_text("Nothing is in quarantine")).to_be_visible()
    assert visit.complaints == []


def test_a_viewer_looks_alone(served: Served, make_visit: Callable[[], Visit]) -> None:
    fill(served, "shown", "a")
    visit = make_visit()
    visit.log_in("quarantine-viewer", served.json("user", "add", "quarantine-viewer", "--role", "viewer")["password"])
    visit.open("/quarantine?integration=shown")
    visit.row("not yet").get_by_role("button").click()
    expect(visit.dialog).to_contain_text("Metadata")
    for name in ("Replay", "Dry run", "Delete …", "Replay all of shown"):
        assert visit.button(name).count() == 0
    assert visit.page.get_by_role("checkbox").count() == 0
