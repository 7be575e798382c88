"""What holds for every page: it needs nobody else's server, runs nobody else's scripts, and fits on a phone."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from gateway.console import frame, pages
from tests.console.conftest import Visit

pages.register()
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
