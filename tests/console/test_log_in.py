"""Logging in and out, and what whoever is logged in has in their menu."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.api.conftest import Served
from tests.console.conftest import Visit


def test_a_wrong_password_is_told_and_the_right_one_leads_to_the_page_that_was_asked_for(
    make_visit: Callable[[], Visit],
) -> None:
    visit = make_visit()
    visit.page.goto(f"{visit.served.url}/console/converters")
    visit.page.get_by_label("User").fill("admin")
    visit.button("Log in").click()
    expect(visit.page.get_by_text("a password is needed")).to_be_visible()
    visit.page.get_by_label("Password").fill("guess")
    visit.button("Log in").click()
    expect(visit.page.get_by_role("alert")).to_contain_text("the user's name or the password is wrong")
    visit.log_in()
    expect(visit.title).to_have_text("Converters")


def test_no_log_in_leads_to_another_site(make_visit: Callable[[], Visit]) -> None:
    for target in ("//evil.example/console/", "https://evil.example/console/", "/api/v1/me", "javascript:alert(1)"):
        visit = make_visit()
        visit.page.goto(f"{visit.served.url}/console/login?next={target}")
        visit.log_in()
        expect(visit.title).to_have_text("Overview")
        assert visit.foreign == []


def test_the_cookie_can_not_be_read_by_scripts_and_is_for_this_site_alone(make_visit: Callable[[], Visit]) -> None:
    visit = make_visit()
    visit.log_in()
    (cookie,) = (one for one in visit.page.context.cookies() if "log-in" in one["name"])
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert cookie["value"] not in visit.page.evaluate("document.cookie")


def test_logging_out_ends_it_in_the_other_tabs_too(make_visit: Callable[[], Visit]) -> None:
    visit = make_visit()
    visit.log_in()
    other = visit.page.context.new_page()
    other.goto(f"{visit.served.url}/console/converters")
    visit.button("Account").click()
    visit.page.get_by_text("Log out").click()
    expect(visit.button("Log in")).to_be_visible()
    other.reload()
    expect(other.get_by_role("button", name="Log in")).to_be_visible()


def test_one_changes_ones_password_and_the_form_says_what_is_wrong(
    served: Served, make_visit: Callable[[], Visit]
) -> None:
    password = served.json("user", "add", "grace", "--role", "viewer")["password"]
    visit = make_visit()
    visit.log_in("grace", password)
    visit.button("Account").click()
    visit.page.get_by_text("Change password").click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_label("Current password").fill("wrong")
    dialog.get_by_label("New password", exact=True).fill("a password of 26 characters")
    dialog.get_by_label("New password again").fill("another")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.get_by_text("these are not the same")).to_be_visible()
    dialog.get_by_label("New password again").fill("a password of 26 characters")
    dialog.get_by_role("button", name="Change").click()
    expect(dialog.get_by_text("this is not your password")).to_be_visible()
    dialog.get_by_label("Current password").fill(password)
    dialog.get_by_role("button", name="Change").click()
    expect(dialog).to_be_hidden()
    served.browser("grace", "a password of 26 characters")


def test_colours_are_remembered(visit: Visit) -> None:
    visit.open("/converters")
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "light"
    visit.button("Account").click()
    visit.page.get_by_text("Dark", exact=True).click()
    visit.page.wait_for_function("document.body.classList.contains('body--dark')")
    visit.open("/converters")
    assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
    visit.page.wait_for_function("document.body.classList.contains('body--dark')")
    visit.button("Account").click()
    visit.page.get_by_text("As the system").click()
    visit.page.wait_for_function("document.body.classList.contains('body--light')")


def test_a_viewer_sees_and_changes_nothing(served: Served, make_visit: Callable[[], Visit]) -> None:
    served.add_integration("watched", "return {deviceName: 'a'};")
    password = served.json("user", "add", "vera", "--role", "viewer")["password"]
    visit = make_visit()
    visit.log_in("vera", password)
    visit.open("/integrations")
    expect(visit.page.get_by_text("watched").first).to_be_visible()
    assert (
        visit.button("New integration").count() == visit.button("Change").count() == visit.button("More").count() == 0
    )
    visit.open("/converters/edit?name=watched")
    expect(visit.page.get_by_text("return {deviceName: 'a'};")).to_be_visible()
    assert visit.button("Save").count() == 0
    visit.open("/converters/new")
    expect(visit.page.get_by_text("Only an admin makes converters.")).to_be_visible()
