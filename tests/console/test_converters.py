"""The pages of the converters: trials at each change, example cases, files from ThingsBoard."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from gateway.console.pager import PAGE
from gateway.console.pages.converter_templates import LANGUAGES, SAMPLES, template
from gateway.converters import compile_converter
from gateway.model import Converter, Language
from gateway.storage.catalogue import Catalogue
from tests.console.conftest import Visit
from tests.e2e.harness import BINARY, DEMO, JSON, TEXT

PAYLOADS = {"text": TEXT, "json": JSON, "binary": BINARY}
GOOD = "return {deviceName: 'a', telemetry: {t: payload.length}};"

ASKS = "!dispatchEvent(new Event('beforeunload', {cancelable: true}))"
"""Whether the browser would ask before it leaves the page."""


def put_source(visit: Visit, source: str) -> None:
    """Replace all that is in the editor, as somebody who pastes it."""
    visit.page.locator(".cm-content").click()
    visit.page.keyboard.press("Control+A")
    visit.page.keyboard.insert_text(source)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("sample", SAMPLES)
def test_each_template_decodes_the_tutorials_payload(sample: str, language: str) -> None:
    converter = Converter("t", Language(language), template(sample, language))
    decoder = compile_converter(converter, time_limit_ms=1000, memory_limit_bytes=16 << 20)
    (report,) = decoder.bind({})(PAYLOADS[sample], 7)
    assert (report.name, report.type) == ("SN-001", "default")
    assert report.telemetry == [(7, {"temperature": 25.7, "humidity": 69})]


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_templates_are_those_of_the_demo(sample: str) -> None:
    assert template(sample, "javascript") == (DEMO / f"{sample}.js").read_text()
    assert template(sample, "tbel") == (DEMO / f"{sample}.tbel").read_text()


def test_a_new_one_is_tried_at_each_change_and_its_error_is_marked(visit: Visit) -> None:
    visit.open("/converters/new")
    result = visit.page.locator(".result")
    expect(result).to_contain_text("SN-001")
    expect(result).to_contain_text("25.7")
    put_source(visit, "var a = 1;\nreturn {deviceName: nobody};\n")
    expect(visit.page.locator(".cm-wrong-line")).to_have_text("return {deviceName: nobody};")
    expect(result).to_contain_text("nobody is not defined")
    put_source(visit, "var a = 1;\nreturn {deviceName: 'mended', telemetry: {t: payload.length}};\n")
    expect(visit.page.locator(".cm-wrong-line")).to_have_count(0)
    expect(result).to_contain_text("mended")
    visit.button("Output").click()
    expect(result).to_contain_text('"deviceName": "mended"')
    visit.page.get_by_label("Name", exact=True).fill("my first")
    visit.button("Create").click()
    expect(visit.title).to_have_text("my first")
    assert "mended" in visit.served.json("converter", "show", "my first")["source"]


def test_of_several_answers_the_newest_counts(visit: Visit) -> None:
    visit.open("/converters/new")
    put_source(visit, "var end = Date.now() + 80; while (Date.now() < end); return {deviceName: 'slow'};")
    visit.page.wait_for_timeout(400)
    put_source(visit, "return {deviceName: 'fast'};")
    expect(visit.page.locator(".result")).to_contain_text("fast")
    visit.page.wait_for_timeout(1000)
    expect(visit.page.locator(".result")).not_to_contain_text("slow")


@pytest.mark.parametrize(
    ("form", "payload", "wrong"),
    [("Hex", "53 4e", "5"), ("CBOR", "h'534e'", "h'5"), ("JSON", "[1]", "[1"), ("Text", "é", "")],
)
def test_a_payload_is_written_in_each_way_and_what_is_none_is_told_beside_it(
    visit: Visit, form: str, payload: str, wrong: str
) -> None:
    visit.open("/converters/new")
    put_source(visit, "return {deviceName: 'sized', telemetry: {bytes: payload.length}};")
    visit.page.get_by_role("button", name=form, exact=True).click()
    field = visit.page.get_by_label("Payload")
    if wrong:
        field.fill(wrong)
        expect(visit.page.locator(".q-field--error")).to_contain_text(re.compile("is not (JSON|CBOR|hex)"))
    field.fill(payload)
    expect(visit.page.locator(".q-field--error")).to_have_count(0)
    sizes = {"Hex": 2, "CBOR": 3, "JSON": 3, "Text": 2}
    expect(visit.page.locator(".result tr", has_text="bytes").locator("td").nth(1)).to_have_text(str(sizes[form]))


def test_metadata_is_given_to_it(visit: Visit) -> None:
    visit.open("/converters/new")
    put_source(visit, "return {deviceName: metadata.room + metadata['integrationName']};")
    visit.page.get_by_role("button", name="Metadata").click()
    visit.button("Add").click()
    visit.page.get_by_placeholder("key").fill("room")
    visit.page.get_by_placeholder("value").fill("attic-")
    expect(visit.page.locator(".result")).to_contain_text("attic-test")


def test_cases_are_kept_run_and_stand_in_the_way_of_a_worse_source(visit: Visit) -> None:
    visit.served.command("converter", "create", "kept", "--language", "javascript", "--file", "-", text=GOOD)
    visit.open("/converters/edit?name=kept")
    visit.button("Hex").click()
    visit.page.get_by_label("Payload").fill("01 02 03")
    expect(visit.page.locator(".result tr", has_text="t")).to_contain_text("3")
    visit.button("Keep this trial").click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Keep").click()
    expect(dialog).to_contain_text("it needs a name")
    dialog.get_by_label("Name").fill("three bytes")
    dialog.get_by_role("button", name="Keep").click()
    expect(visit.page.locator(".row-item", has_text="three bytes")).to_be_visible()
    put_source(visit, GOOD.replace("payload.length", "7"))
    visit.button("Save").click()
    expect(visit.page.get_by_text("An example case fails with this source")).to_be_visible()
    expect(visit.page.locator(".row-item", has_text="three bytes")).to_contain_text("failed")
    assert visit.served.json("converter", "show", "kept")["source"] == GOOD
    visit.button("Save it all the same").click()
    expect(visit.page.get_by_text("The converter is saved")).to_be_visible()
    put_source(visit, GOOD)
    visit.button("Save").click()
    expect(visit.page.locator(".row-item", has_text="three bytes")).to_contain_text("passed")
    visit.page.locator(".row-item", has_text="three bytes").get_by_role("button", name="Delete").click()
    visit.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(visit.page.get_by_text("No example case yet")).to_be_visible()


def test_a_source_that_does_not_compile_is_not_saved(visit: Visit) -> None:
    visit.served.command("converter", "create", "sound", "--language", "javascript", "--file", "-", text=GOOD)
    visit.open("/converters/edit?name=sound")
    put_source(visit, "return {;")
    visit.button("Save").click()
    expect(visit.page.locator(".note.bad").first).to_contain_text("SyntaxError")
    assert visit.served.json("converter", "show", "sound")["source"] == GOOD


def test_it_is_renamed_in_its_editor_and_its_integrations_and_cases_follow(visit: Visit) -> None:
    url = visit.served.add_integration("to be renamed", GOOD)
    visit.served.command("converter", "case", "add", "to be renamed", "three", "--text", "abc")
    visit.served.command("converter", "create", "in the way", "--language", "javascript", "--file", "-", text=GOOD)
    visit.open("/converters/edit?name=to be renamed")
    name = visit.page.get_by_label("Name", exact=True)
    field = visit.page.locator(".q-field", has=name)
    for wrong, why in (
        ("in the way", "a converter named in the way exists already; choose another name"),
        ("a/export", "a name has no /cases, /commands, /debug or /export in it"),
        ("", "a name is 1 to 255 printable characters"),
        ("n" * 256, "at most 255 characters"),
    ):
        name.fill(wrong)
        visit.button("Save").click()
        expect(field).to_contain_text(why)
    assert visit.served.json("converter", "show", "to be renamed")["source"] == GOOD
    name.fill(" plant 1/renamed & more ")
    put_source(visit, GOOD.replace("'a'", "'mended'"))
    visit.button("Save").click()
    expect(visit.title).to_have_text("plant 1/renamed & more")
    expect(field).not_to_contain_text("characters")
    expect(visit.page.locator(".row-item", has_text="three")).to_contain_text("passed")
    visit.page.reload()
    expect(visit.title).to_have_text("plant 1/renamed & more")
    expect(name).to_have_value("plant 1/renamed & more")
    expect(visit.page.locator(".row-item", has_text="three")).to_be_visible()
    names = {one["name"] for one in visit.served.json("converter", "list")}
    assert names & {"to be renamed", "plant 1/renamed & more"} == {"plant 1/renamed & more"}
    assert visit.served.json("integration", "show", "to be renamed")["converter"] == "plant 1/renamed & more"
    visit.served.command("send", url, "--text", "abc")
    visit.served.device("mended")


def test_before_any_change_is_left_unsaved_the_browser_asks(visit: Visit) -> None:
    visit.served.command("converter", "create", "guarded", "--language", "javascript", "--file", "-", text=GOOD)
    visit.open("/converters/edit?name=guarded")
    name = visit.page.get_by_label("Name", exact=True)
    keys = visit.page.get_by_label("Keys to write only on change")
    assert not visit.page.evaluate(ASKS)
    for field, change, kept in ((name, "renamed", "guarded"), (keys, "firmware", "")):
        field.fill(change)
        visit.page.wait_for_function(f"() => {ASKS}")
        field.fill(kept)
        visit.page.wait_for_function(f"() => !{ASKS}")
    put_source(visit, GOOD + "\n")
    visit.page.wait_for_function(f"() => {ASKS}")
    put_source(visit, GOOD)
    visit.page.wait_for_function(f"() => !{ASKS}")
    visit.page.get_by_label("Language").click()
    visit.page.get_by_role("option", name="TBEL").click()
    visit.page.wait_for_function(f"() => {ASKS}")
    name.fill("renamed")
    visit.button("Save").click()
    expect(visit.title).to_have_text("renamed")
    visit.page.wait_for_function(f"() => !{ASKS}")


def test_what_is_kept_after_a_renaming_goes_to_the_new_name(visit: Visit) -> None:
    visit.served.command("converter", "create", "older", "--language", "javascript", "--file", "-", text=GOOD)
    visit.open("/converters/edit?name=older")
    visit.page.get_by_label("Name", exact=True).fill("newer")
    visit.button("Save").click()
    expect(visit.title).to_have_text("newer")
    visit.button("Keep this trial").click()
    dialog = visit.page.get_by_role("dialog")
    for refused in ("a/cases", "a/cases/b", "a/debug"):
        dialog.get_by_label("Name").fill(refused)
        dialog.get_by_role("button", name="Keep").click()
        expect(dialog.locator(".q-field")).to_contain_text("a name has no /cases, /commands, /debug or /export in it")
    dialog.get_by_label("Name").fill("first")
    dialog.get_by_role("button", name="Keep").click()
    expect(dialog).to_be_hidden()
    expect(visit.page.locator(".row-item", has_text="first")).to_be_visible()
    visit.page.get_by_label("Name", exact=True).fill("newest")
    visit.button("Save").click()
    expect(visit.title).to_have_text("newest")
    expect(visit.page.locator(".row-item", has_text="first")).to_contain_text("passed")
    assert [one["name"] for one in visit.served.json("converter", "show", "newest")["cases"]] == ["first"]


def test_many_are_leafed_through_and_searched(visit: Visit) -> None:
    names = [f"many-{number:02}" for number in range(PAGE + 1)]
    with Catalogue(visit.served.data_dir) as catalogue:
        for name in names:
            catalogue.add_converter(Converter(name, Language.JAVASCRIPT, GOOD))
        visit.open("/converters")
        visit.page.get_by_label("Search by name").fill("MANY-")
        expect(visit.page.get_by_text(f"{PAGE + 1} converters found")).to_be_visible()
        expect(visit.row("many-")).to_have_count(PAGE)
        visit.button("Next page").dblclick()
        expect(visit.row("many-")).to_have_count(1)
        visit.button("Previous page").click()
        expect(visit.row("many-")).to_have_count(PAGE)
        visit.button("Next page").click()
        expect(visit.row("many-")).to_have_count(1)
        expect(visit.page.get_by_text(f"{PAGE + 1}–{PAGE + 1} of {PAGE + 1}")).to_be_visible()
        visit.button(f"Delete {names[-1]}").click()
        visit.dialog.get_by_role("button", name="Delete").click()
        expect(visit.page.get_by_text(f"{PAGE} converters found")).to_be_visible()
        expect(visit.row("many-")).to_have_count(PAGE)
        for name in names[:-1]:
            catalogue.remove_converter(name)
    visit.page.get_by_label("Search by name").fill("many-0")
    expect(visit.page.get_by_text("No such converter")).to_be_visible()


def test_one_that_is_used_has_no_button_that_deletes_it(visit: Visit) -> None:
    visit.served.add_integration("needs it", GOOD)
    visit.served.command("converter", "create", "needs nobody", "--language", "tbel", "--file", "-", text=GOOD)
    visit.open("/converters")
    visit.page.get_by_label("Search by name").fill("needs")
    expect(visit.row("needs")).to_have_count(2)
    expect(visit.row("needs it")).to_contain_text("JavaScript")
    expect(visit.row("needs nobody")).to_contain_text("not used")
    expect(visit.button("Delete needs nobody")).to_be_visible()
    expect(visit.button("Delete needs it")).to_have_count(0)


def test_a_file_of_thingsboard_is_dropped_and_its_converter_exported_again(visit: Visit, tmp_path: Path) -> None:
    file = DEMO / "thingsboard.json"
    name = json.loads(file.read_text())["name"]
    visit.open("/converters")
    visit.button("Import").click()
    dialog = visit.page.get_by_role("dialog")
    no_json = tmp_path / "wrong.json"
    no_json.write_text("{")
    dialog.locator("input[type=file]").set_input_files(no_json)
    expect(dialog).to_contain_text("wrong.json is not JSON")
    data = visit.page.evaluate_handle(
        """text => {
          const data = new DataTransfer();
          data.items.add(new File([text], "thingsboard.json", { type: "application/json" }));
          return data;
        }""",
        file.read_text(),
    )
    uploader = dialog.locator(".q-uploader")
    uploader.dispatch_event("dragover", {"dataTransfer": data})
    dialog.locator(".q-uploader__dnd").dispatch_event("drop", {"dataTransfer": data})
    expect(dialog).to_contain_text(f"thingsboard.json is read{name}")
    dialog.get_by_role("button", name="Import").click()
    expect(visit.page.get_by_role("link", name=name)).to_be_visible()
    visit.open(f"/converters/edit?name={name}")
    with visit.page.expect_download() as download:
        visit.button("Export").click()
    exported = json.loads(download.value.path().read_text())
    assert exported["name"] == name
    assert exported["type"] == "UPLINK"
