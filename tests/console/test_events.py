"""The page of the events: what comes is there at once, and can be read."""

import json
import re

from playwright.sync_api import expect

from tests.console.conftest import Visit

ECHO = """var given = JSON.parse(String.fromCharCode.apply(String, payload));
return {deviceName: given.name, telemetry: {value: given.value}};"""


def send(visit: Visit, url: str, name: str, value: object = 1) -> None:
    """An uplink."""
    visit.served.command("send", url, "--text", json.dumps({"name": name, "value": value}))


def test_it_says_how_debugging_is_switched_on_and_then_follows_what_comes(visit: Visit) -> None:
    url = visit.served.add_integration("silent", ECHO)
    visit.open("/events?integration=silent")
    expect(visit.page.get_by_text("Debugging of silent is off.")).to_be_visible()
    visit.button("Record all of silent for 15 minutes").click()
    expect(visit.page.get_by_text("Nothing yet")).to_be_visible()
    assert visit.served.json("integration", "show", "silent")["debug"] == "all"
    send(visit, url, "first")
    expect(visit.row("first")).to_be_visible()
    visit.button("Pause").click()
    send(visit, url, "second")
    visit.page.wait_for_timeout(1500)
    expect(visit.row("second")).to_be_hidden()
    visit.button("Resume").click()
    expect(visit.row("second")).to_be_visible()
    visit.served.command("integration", "update", "silent", "--debug", "off")
    expect(visit.page.get_by_text("No others will come")).to_be_visible()


def test_one_is_read_in_all_its_parts(visit: Visit) -> None:
    url = visit.served.add_integration("read", ECHO, "--debug", "all", "--metadata", "site=Berlin")
    send(visit, url, "<b>{{ 1 }}", {"deep": [1]})
    visit.open("/events?integration=read")
    visit.row("<b>{{ 1 }}").get_by_role("button").click()
    expect(visit.dialog).to_contain_text('"name": "<b>{{ 1 }}"')
    expect(visit.dialog).to_contain_text('"deviceName": "<b>{{ 1 }}"')
    expect(visit.dialog.locator("tr", has_text="site")).to_contain_text("Berlin")
    visit.dialog.get_by_role("button", name="Hex", exact=True).click()
    expect(visit.dialog).to_contain_text("0000  7b 22 6e 61 6d 65 22")
    visit.dialog.get_by_role("button", name="Text", exact=True).click()
    expect(visit.dialog).to_contain_text('{"name": "<b>{{ 1 }}", "value": {"deep": [1]}}')
    visit.dialog.get_by_role("button", name="Close").click()
    expect(visit.dialog).to_be_hidden()
    assert visit.complaints == []


def test_failures_and_a_devices_own_are_found(visit: Visit) -> None:
    url = visit.served.add_integration("mixed", ECHO, "--debug", "all")
    for name in ("one", "two"):
        send(visit, url, name)
    visit.served.command("send", url, "--text", "no JSON", code=1)
    visit.open("/events?integration=mixed")
    expect(visit.row("")).to_have_count(3)
    visit.page.get_by_text("Errors only").click()
    expect(visit.row("")).to_have_count(1)
    visit.row("").get_by_role("button").click()
    expect(visit.dialog.locator(".code-block.bad")).to_contain_text(re.compile("JSON|SyntaxError"))
    visit.dialog.get_by_role("button", name="Close").click()
    visit.page.get_by_text("Errors only").click()
    visit.page.get_by_label("Device, principal or address").fill("two")
    expect(visit.row("")).to_have_count(1)
    expect(visit.row("two")).to_be_visible()
