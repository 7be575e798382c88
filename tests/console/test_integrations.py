"""The page of the integrations: what an admin does there arrives in the catalogue."""

import re

from playwright.sync_api import Locator, expect

from gateway.console.pager import PAGE
from gateway.model import Converter, Integration, Language
from gateway.storage.catalogue import Catalogue
from tests.console.conftest import Visit


def card(visit: Visit, name: str) -> Locator:
    """An integration's card."""
    return visit.page.locator("section.panel", has=visit.page.get_by_role("heading", name=name, exact=True))


def choose(visit: Visit, field: Locator, option: str) -> None:
    """Choose of a list."""
    field.click()
    if field.is_editable():  # there may be many
        field.fill(option)
    visit.page.get_by_role("option", name=option).click()


def test_a_form_says_beside_each_field_what_is_wrong(visit: Visit) -> None:
    visit.served.add_integration("taken", "return {deviceName: 'a'};")
    visit.open("/integrations")
    visit.button("New integration").first.click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".q-field", has_text="Name").first).to_contain_text("field required")
    dialog.get_by_label("Name").fill("second")
    choose(visit, dialog.get_by_label("Uplink converter"), "taken")
    dialog.get_by_label("Routing key").fill("a b")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".q-field", has_text="Routing key")).to_contain_text("a URI can't hold as they are")
    dialog.get_by_label("Routing key").fill("key-2")
    dialog.get_by_label("Identity binding").fill("sensor")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator(".q-field", has_text="Identity binding")).to_contain_text("is not usable")
    dialog.get_by_label("Identity binding").fill("none")
    dialog.get_by_role("button", name="Create").click()
    expect(card(visit, "second")).to_contain_text("/i/key-2")


def test_it_is_changed_with_its_metadata_and_shows_the_commands_of_each_way_in(visit: Visit) -> None:
    visit.served.add_integration("rooms", "return {deviceName: 'a'};", "--metadata", "floor=2", "--metadata", "old=1")
    visit.open("/integrations")
    card(visit, "rooms").get_by_role("button", name="Change").click()
    dialog = visit.page.get_by_role("dialog")
    choose(visit, dialog.get_by_label("Security mode"), "MIXED: both")
    keys = dialog.get_by_placeholder("key")
    dialog.get_by_role("button", name="Remove").last.click()
    expect(keys).to_have_count(1)
    dialog.get_by_role("button", name="Add").click()
    expect(keys).to_have_count(2)
    keys.last.fill("site")
    dialog.get_by_placeholder("value").last.fill("Berlin")
    dialog.get_by_role("button", name="Keep").click()
    expect(card(visit, "rooms")).to_contain_text("coaps://")
    kept = visit.served.json("integration", "show", "rooms")
    assert kept["metadata"] == {"floor": "2", "site": "Berlin"}
    card(visit, "rooms").get_by_role("button", name="Send to it").click()
    dialog.get_by_label("PSK identity").fill("kitchen's")
    expect(dialog.get_by_text("""-u 'kitchen'"'"'s' -k KEY""").first).to_be_visible()
    dialog.get_by_role("button", name="Copy the command").first.click()
    copied = visit.page.evaluate("navigator.clipboard.readText()")
    plain = next(url for url in kept["endpoints"] if url.startswith("coap:"))
    assert copied == f"coap-client-notls -m post -e 'SN-001,default,temperature,25.7,humidity,69' {plain}"


def test_it_is_renamed_and_keeps_its_endpoint(visit: Visit) -> None:
    visit.served.add_integration("once", "return {deviceName: 'a'};")
    visit.served.add_integration("occupied", "return {deviceName: 'a'};")
    before = visit.served.json("integration", "show", "once")
    visit.open("/integrations")
    card(visit, "once").get_by_role("button", name="Change").click()
    name = visit.page.get_by_label("Name", exact=True)
    for wrong, why in (
        ("occupied", "an integration named occupied exists already; choose another name"),
        ("once/debug", "a name has no /cases, /commands, /debug or /export in it"),
        ("", "a name is 1 to 255 printable characters"),
    ):
        name.fill(wrong)
        visit.dialog.get_by_role("button", name="Keep").click()
        expect(visit.dialog.locator(".q-field", has=name)).to_contain_text(why)
    name.fill("now/later")
    visit.dialog.get_by_role("button", name="Keep").click()
    expect(card(visit, "now/later")).to_contain_text(before["endpoints"][0])
    expect(card(visit, "once")).to_be_hidden()
    assert visit.served.json("integration", "show", "now/later") == {**before, "name": "now/later"}


def test_many_are_leafed_through_and_searched(visit: Visit) -> None:
    names = [f"way-{number:02}" for number in range(PAGE + 1)]
    cards = visit.page.get_by_role("heading", name="way-")
    with Catalogue(visit.served.data_dir) as catalogue:
        catalogue.add_converter(Converter("of all ways", Language.JAVASCRIPT, "return [];"))
        for name in names:
            catalogue.add_integration(Integration(name, "of all ways", name))
        visit.open("/integrations")
        visit.page.get_by_label("Search by name").fill("WAY-")
        expect(visit.page.get_by_text(f"{PAGE + 1} ways in for devices found")).to_be_visible()
        expect(cards).to_have_count(PAGE)
        visit.button("Next page").click()
        expect(cards).to_have_text(names[-1:])
        expect(visit.page.get_by_text(f"{PAGE + 1}–{PAGE + 1} of {PAGE + 1}")).to_be_visible()
        catalogue.remove_integration(names[-1])  # the page is empty then, and the one before it is shown
        expect(cards).to_have_count(PAGE, timeout=10_000)
        expect(visit.button("Next page")).to_be_hidden()
        for name in names[:-1]:
            catalogue.remove_integration(name)
    expect(visit.page.get_by_text("No such integration")).to_be_visible(timeout=10_000)


def test_of_many_converters_one_is_found_by_typing(visit: Visit) -> None:
    names = [f"chosen-{number:03}" for number in range(200)]
    with Catalogue(visit.served.data_dir) as catalogue:
        for name in names:
            catalogue.add_converter(Converter(name, Language.JAVASCRIPT, "return [];"))
        visit.open("/integrations")
        visit.button("New integration").first.click()
        visit.dialog.get_by_label("Name").fill("of the last")
        field = visit.dialog.get_by_label("Uplink converter")
        field.click()
        field.fill("SEN-200")
        expect(visit.page.get_by_text("None contains this")).to_be_visible()
        field.fill("SEN-19")
        expect(visit.page.get_by_role("option")).to_have_count(10)
        visit.page.get_by_role("option", name=names[-1]).click()
        expect(field).to_have_value(names[-1])
        visit.dialog.get_by_role("button", name="Create").click()
        expect(card(visit, "of the last")).to_contain_text(names[-1])
        catalogue.remove_integration("of the last")
        for name in names:
            catalogue.remove_converter(name)


def test_debugging_of_everything_shows_the_time_that_is_left(visit: Visit) -> None:
    visit.served.add_integration("watched closely", "return {deviceName: 'a'};")
    visit.open("/integrations")
    card(visit, "watched closely").get_by_role("button", name="Debug off").click()
    visit.page.get_by_text("All, for 15 minutes").click()
    expect(card(visit, "watched closely")).to_contain_text(re.compile(r"for 1[45] min"))
    assert visit.served.json("integration", "show", "watched closely")["debug"] == "all"


def test_what_others_change_is_followed(visit: Visit) -> None:
    visit.served.add_integration("followed", "return {deviceName: 'a'};")
    visit.open("/integrations")
    expect(card(visit, "followed")).to_be_visible()
    visit.served.command("integration", "disable", "followed")
    expect(card(visit, "followed")).to_contain_text("disabled", timeout=10_000)


def test_deleting_asks(visit: Visit) -> None:
    visit.served.add_integration("doomed", "return {deviceName: 'a'};")
    visit.open("/integrations")
    for answer, remains in (("Cancel", True), ("Delete", False)):
        card(visit, "doomed").get_by_role("button", name="More").click()
        visit.page.get_by_text("Delete …").click()
        dialog = visit.page.get_by_role("dialog")
        expect(dialog).to_contain_text("Delete doomed?")
        dialog.get_by_role("button", name=answer).click()
        expect(dialog).to_be_hidden()
        assert ("doomed" in {one["name"] for one in visit.served.json("integration", "list")}) is remains
    expect(card(visit, "doomed")).to_be_hidden()
