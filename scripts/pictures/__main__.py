"""Takes the pictures: see scripts/screenshots."""

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from pictures.demo import Demo
from pictures.pages import PICTURES, Picture

DOCS = Path(__file__).parents[2] / "docs" / "images"

COLORS = 256
"""So many are left in a picture, which makes it a third as large."""

DOCS_ON_PHONE = frozenset({"overview", "converter"})
"""What the docs show of a phone."""

WARM_UP_MS = 25_000
"""How long somebody looks at the overview before, so that its charts have something to show."""

SETTLING_MS = 1200


class Look(NamedTuple):
    """How the console is looked at."""

    name: str
    width: int
    height: int


LOOKS = (Look("desktop", 1280, 800), Look("phone", 390, 844))
THEMES = ("light", "dark")


def main() -> int:
    """Take them; gives the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description="Pictures of the console")
    parser.add_argument("folder", type=Path, nargs="?", help="where every page goes; without it, those of docs/images")
    parser.add_argument("--only", metavar="NAME", help="only the pictures of this name")
    arguments = parser.parse_args()
    folder = arguments.folder or DOCS
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [one for one in PICTURES if arguments.only in (None, one.name) and (arguments.folder or one.in_docs)]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("scripts/screenshots: there is no Chromium; on Debian: apt-get install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        demo = Demo(Path(temporary))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with demo.running():
            views = list(_views(everything=arguments.folder is not None))
            warming_up = _logged_in(browser, demo, *views[0])
            warming_up.wait_for_timeout(WARM_UP_MS)
            for look, theme in views:
                page = _logged_in(browser, demo, look, theme)
                for picture in pictures:
                    if folder == DOCS and look.name == "phone" and picture.name not in DOCS_ON_PHONE:
                        continue
                    _take(page, demo.url, picture, folder / f"{picture.name}-{look.name}-{theme}.png")
                page.context.close()
        browser.close()
    return 0


def _views(*, everything: bool) -> Iterator[tuple[Look, str]]:
    for look in LOOKS:
        for theme in THEMES:
            # The docs have the wide light ones, and a few of the narrow dark ones.
            if everything or (look.name, theme) in (("desktop", "light"), ("phone", "dark")):
                yield look, theme


def _logged_in(browser: Browser, demo: Demo, look: Look, theme: str) -> Page:
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(demo.url)
    page.fill("#user", "admin")
    page.fill("#password", demo.password)
    page.click("button[type=submit]")
    page.locator(".top h1").wait_for()
    return page


def _take(page: Page, url: str, picture: Picture, file: Path) -> None:
    page.goto(f"{url}/console{picture.path}")
    page.locator(picture.ready).first.wait_for()
    if picture.prepare is not None:
        picture.prepare(page)
    page.wait_for_timeout(SETTLING_MS)
    taken = Image.open(io.BytesIO(page.screenshot()))
    taken.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    sys.exit(main())
