"""The pages that there are pictures of."""

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page


@dataclass(frozen=True)
class Picture:
    """A page, and how it is brought into a state that is worth a picture."""

    name: str
    path: str
    """Below /console."""
    ready: str
    """What is there once it is."""
    prepare: Callable[[Page], None] | None = None
    in_docs: bool = False


def _open_commands(page: Page) -> None:
    page.get_by_role("button", name="Send to it").last.click()
    page.locator(".q-dialog .code-line").first.wait_for()


def _open_form(page: Page) -> None:
    page.get_by_role("button", name="New integration").click()
    page.get_by_label("Routing key").wait_for()


def _open_first(page: Page) -> None:
    page.locator(".row-open").first.click()
    page.locator(".sheet h3").first.wait_for()


def _show_list(page: Page) -> None:
    page.locator(".listing tbody tr").last.scroll_into_view_if_needed()


def _open_issued(page: Page) -> None:
    page.locator(".row-open").first.click()
    page.locator(".sheet h2").wait_for()


def _ask_to_revoke(page: Page) -> None:
    page.get_by_role("button", name="Revoke").first.click()
    page.locator(".q-dialog h2").wait_for()


def _select_some(page: Page) -> None:
    for place in (0, 1):
        page.locator("tbody .q-checkbox").nth(place).click()


def _open_by(name: str) -> Callable[[Page], None]:
    def open_dialog(page: Page) -> None:
        page.get_by_role("button", name=name, exact=True).click()
        page.locator(".q-dialog h2").wait_for()

    return open_dialog


def _break_source(page: Page) -> None:
    page.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("oops ")
    page.locator(".cm-wrong-line").wait_for()


PICTURES = (
    Picture("overview", "/", ".tile", in_docs=True),
    Picture("integrations", "/integrations", ".code-line", in_docs=True),
    Picture("integration-commands", "/integrations", ".code-line", _open_commands),
    Picture("integration-form", "/integrations", ".code-line", _open_form),
    Picture("converters", "/converters", ".listing tbody tr"),
    Picture("converter", "/converters/edit?name=tutorial", ".report", in_docs=True),
    Picture("converter-error", "/converters/edit?name=tutorial", ".report", _break_source),
    Picture("devices", "/devices", ".listing tbody tr", in_docs=True),
    Picture("device", "/devices/show?name=greenhouse-03", "canvas", in_docs=True),
    Picture("events", "/events", ".row-open", in_docs=True),
    Picture("event", "/events?errors=1", ".row-open", _open_first),
    Picture("quarantine", "/quarantine", ".row-open", _select_some, in_docs=True),
    Picture("quarantined", "/quarantine", ".row-open", _open_first),
    Picture("sessions", "/security", ".row-open", in_docs=True),
    Picture("psk", "/security?tab=psk", ".listing tbody tr"),
    Picture("psk-form", "/security?tab=psk", ".listing tbody tr", _open_by("Add an identity")),
    Picture("trust-form", "/security?tab=trust", ".tab", _open_by("Add")),
    Picture("certificates", "/security?tab=certificates", ".certificate", in_docs=True),
    Picture("certificates-issued", "/security?tab=certificates", ".listing tbody tr", _show_list, in_docs=True),
    Picture("certificate-issued", "/security?tab=certificates", ".listing tbody tr", _open_issued),
    Picture("certificate-revoke", "/security?tab=certificates", ".listing tbody tr", _ask_to_revoke),
    Picture("certificate-form", "/security?tab=certificates", ".certificate", _open_by("Issue a client certificate")),
    Picture("delivery", "/delivery", ".figure", in_docs=True),
    Picture("converter-new", "/converters/new", ".report"),
)
