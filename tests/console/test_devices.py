"""The pages of the devices: a part of many, and what one has sent."""

import json
import time

from playwright.sync_api import expect

from gateway.console.pager import PAGE
from tests.console.conftest import Visit

AS_IT_SAYS = "return JSON.parse(String.fromCharCode.apply(String, payload));"
MANY = """var found = [];
for (var i = 0; i < payload[0]; i++) found.push({deviceName: 'many-' + (100 + i), deviceType: 'small'});
return found;"""
DENSE = """var samples = [], now = Date.now();
for (var i = 0; i < 1500; i++) samples.push({ts: now - i * 1000, values: {load: i % 10}});
return {deviceName: 'dense', telemetry: samples};"""


def test_a_page_of_many_is_shown_at_a_time_and_a_name_is_found(visit: Visit) -> None:
    url = visit.served.add_integration("many", MANY)
    visit.served.command("send", url, "--hex", f"{PAGE + 7:02x}")
    visit.served.device("many-100")
    visit.open("/devices?search=many-")
    expect(visit.row("many-")).to_have_count(PAGE)
    expect(visit.page.get_by_text(f"{PAGE + 7} devices and assets found")).to_be_visible()
    visit.button("Next page").click()
    expect(visit.row("many-")).to_have_count(7)
    expect(visit.page.get_by_text(f"{PAGE + 1}–{PAGE + 7} of {PAGE + 7}")).to_be_visible()
    visit.page.get_by_label("Search by name").fill("MANY-105")
    expect(visit.row("many-")).to_have_count(1)
    visit.page.get_by_role("link", name="many-105").click()
    expect(visit.title).to_have_text("many-105")
    expect(visit.page.get_by_text("It has sent no telemetry yet.")).to_be_visible()
    visit.open("/devices?search=there+is+none")
    expect(visit.page.get_by_text("No such device")).to_be_visible()


def test_what_a_device_sends_is_followed(visit: Visit) -> None:
    url = visit.served.add_integration("says", AS_IT_SAYS)

    def send(values: dict[str, object]) -> None:
        report = {"deviceName": "hall", "deviceType": "room", "attributes": {"floor": 2}, "telemetry": values}
        visit.served.command("send", url, "--text", json.dumps(report))

    send({"heat": 25.7, "state": "open"})
    visit.served.device("hall")
    visit.open("/devices/show?name=hall")
    telemetry = visit.page.locator("section.panel", has_text="Latest telemetry")
    expect(telemetry).to_contain_text("25.7")
    expect(visit.page.locator("section.panel", has_text="Attributes").first).to_contain_text("floor")
    expect(visit.page.get_by_text("1 sample", exact=True)).to_be_visible()
    expect(visit.page.locator("canvas")).to_be_visible()
    send({"heat": 26.1, "late": True})
    expect(telemetry).to_contain_text("26.1")
    expect(telemetry).to_contain_text("late")
    telemetry.get_by_role("button", name="state").click()
    history = visit.page.locator("section.panel", has_text="History")
    expect(history.locator("td", has_text="open")).to_be_visible()
    expect(visit.page.locator("canvas")).to_be_hidden()
    assert visit.complaints == []


def test_more_samples_than_a_chart_has_points_are_averaged(visit: Visit) -> None:
    visit.served.command("send", visit.served.add_integration("dense", DENSE), "--text", "go")
    visit.served.device("dense")
    visit.open("/devices/show?name=dense")
    visit.page.get_by_label("Range").click()
    visit.page.get_by_role("option", name="1 hour").click()
    expect(visit.page.get_by_text("averages, each of 9 s")).to_be_visible()
    visit.page.get_by_label("Aggregation").click()
    visit.page.get_by_role("option", name="None").click()
    expect(visit.page.get_by_text("There are more: the newest 1")).to_be_visible()


def test_a_range_of_ones_own_must_be_one(visit: Visit) -> None:
    visit.served.command(
        "send", visit.served.add_integration("ranged", "return {deviceName: 'ranged'};"), "--text", "a"
    )
    visit.served.device("ranged")
    url = visit.served.add_integration("ranged-2", "return {deviceName: 'ranged', telemetry: {a: 1}};")
    visit.served.command("send", url, "--text", "a")
    visit.open("/devices/show?name=ranged")
    expect(visit.page.get_by_text("1 sample", exact=True)).to_be_visible()
    visit.page.get_by_label("Range").click()
    visit.page.get_by_role("option", name="Custom").click()
    visit.page.get_by_label("From").fill("2026-01-02T00:00")
    visit.page.get_by_label("Until").fill("2026-01-01T00:00")
    expect(visit.page.get_by_text("it must be after the begin")).to_be_visible()
    visit.page.get_by_label("Until").fill("2026-01-03T00:00")
    expect(visit.page.get_by_text("it must be after the begin")).to_be_hidden()
    expect(visit.page.get_by_text("Nothing was sent in this time.")).to_be_visible()


def test_what_a_device_says_is_never_taken_for_html(visit: Visit) -> None:
    name = "<img src=x onerror=hacked=1> {{ 1 + 1 }} :key/?#"
    report = {"deviceName": name, "telemetry": {":<b>{{ 2 }}": f"</script>{time.time()}"}, "attributes": {":a": "<i>"}}
    url = visit.served.add_integration("hostile", AS_IT_SAYS)
    visit.served.command("send", url, "--text", json.dumps(report))
    visit.served.device(name)
    visit.open("/devices?search=onerror")
    visit.page.get_by_role("link", name=name).click()
    expect(visit.title).to_have_text(name)
    expect(visit.page.get_by_role("button", name=":<b>{{ 2 }}")).to_be_visible()
    expect(visit.page.get_by_text("</script>").first).to_be_visible()
    assert visit.page.evaluate("window.hacked") is None
    assert visit.complaints == []
