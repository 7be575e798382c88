"""What holds for every page: it needs nobody else's server, runs nobody else's scripts, and fits on a phone."""

import re
from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Locator, expect

from gateway.console import frame, pages
from tests.console.conftest import Visit

pages.register()
READABLE = 4.5
"""Least contrast of a text (WCAG 2.2, 1.4.3)."""

PAGES = [*(entry.path for entry in frame.entries()), "/converters/new"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_complains_of_nothing(visit: Visit, path: str) -> None:
    visit.open(path)
    visit.page.wait_for_load_state("networkidle")
    assert visit.foreign == []
    assert visit.complaints == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_on_a_phone(visit: Visit, path: str) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.emulate_media(color_scheme="dark")
    visit.open(path)
    visit.page.wait_for_load_state("networkidle")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(visit.page.get_by_role("navigation", name="Pages")).not_to_be_in_viewport()
    visit.button("Navigation").click()
    expect(visit.page.get_by_role("navigation", name="Pages")).to_be_in_viewport()
    visit.page.get_by_role("link", name="Converters", exact=True).click()
    expect(visit.title).to_have_text("Converters")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_stands_on_coloured_buttons_can_be_read(visit: Visit, scheme: Literal["light", "dark"]) -> None:
    visit.served.command("psk", "add", f"read in the {scheme}")
    visit.page.emulate_media(color_scheme=scheme)
    visit.open("/security?tab=psk")
    assert contrast(visit.button("Add an identity")) >= READABLE
    visit.button(f"Remove read in the {scheme}").click()
    remove = visit.dialog.get_by_role("button", name="Remove")
    expect(remove).to_be_visible()
    assert contrast(remove) >= READABLE


def contrast(element: Locator) -> float:
    """Of an element's text and what is behind it, as WCAG 2.2 computes it."""
    colours = element.evaluate("it => [getComputedStyle(it).color, getComputedStyle(it).backgroundColor]")
    darker, lighter = sorted(_luminance([int(part) / 255 for part in re.findall(r"\d+", one)]) for one in colours)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: list[float]) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_html_that_gets_into_a_page_runs_no_scripts(visit: Visit) -> None:
    visit.open("/integrations")
    visit.page.evaluate(
        """() => {
          const injected = document.createElement("div");
          injected.innerHTML = '<img src="data:," onerror="window.hacked = 1"><a id="bait" onclick="hacked = 1">x</a>';
          document.body.append(injected);
          const script = document.createElement("script");
          script.textContent = "window.hacked = 1";
          document.body.append(script);
          document.getElementById("bait").click();
        }"""
    )
    visit.page.wait_for_timeout(100)
    assert visit.page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)


def test_names_are_shown_as_they_are(visit: Visit) -> None:
    name = "<img src=x onerror=alert(1)> ${1} {{ 2 }} `&amp;"
    visit.served.add_integration(name, "return {deviceName: 'a'};", "--metadata", "<b>=</script>")
    visit.open("/integrations")
    expect(visit.page.get_by_role("heading", name=name)).to_be_visible()
    expect(visit.page.get_by_text("<b>=</script>")).to_be_visible()
    visit.open("/converters")
    visit.page.get_by_role("link", name=name).click()
    expect(visit.title).to_have_text(name)
    assert visit.complaints == []


def test_a_log_in_that_has_ended_leads_back_to_the_log_in_page(make_visit: Callable[[], Visit]) -> None:
    visit = make_visit()
    visit.log_in()
    visit.open("/integrations")
    visit.page.evaluate("fetch('/api/v1/logout', {method: 'POST'})")
    expect(visit.button("Log in")).to_be_visible()


def test_the_overview_follows_what_happens_and_rests_where_nobody_looks(visit: Visit) -> None:
    visit.open("/")
    expect(visit.page.locator(".tile", has_text="Uplinks per second")).to_contain_text("since the start")
    expect(visit.page.get_by_text(f"coap://127.0.0.1:{visit.served.port}")).to_be_visible()
    visit.page.evaluate("emitEvent('visibility', false)")
    visit.page.wait_for_timeout(1500)  # what was asked for before is shown then
    uplinks = visit.page.locator(".tile", has_text="Uplinks per second")
    before = uplinks.text_content() or ""
    url = visit.served.add_demo("text")
    visit.served.command("send", url, "--text", "SN-001,default,temperature,25.7,humidity,69")
    visit.page.wait_for_timeout(2500)
    assert uplinks.text_content() == before
    visit.page.evaluate("emitEvent('visibility', true)")
    expect(uplinks).not_to_have_text(before)
    expect(visit.page.get_by_text("accepted").first).to_be_visible()
