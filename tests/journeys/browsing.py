"""A real Chromium that complains: what a page says on its console, what fails, and what goes to another host."""

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, ViewportSize

SCREENSHOTS = Path(__file__).resolve().parent.parent / "screenshots"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
WIDE, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
HERE = {"127.0.0.1", "localhost"}
SERIOUS = {"serious", "critical"}
# No style sheets read ahead: of one with @import, as the admin's, axe makes inline ones, which our policy blocks.
LIGHT: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
TOO_WIDE = """[...document.querySelectorAll("#changelist .results, .tabular .module, .desk-table")]
    .filter(box => box.scrollWidth > box.clientWidth)
    .map(box => `${box.id || box.className} is ${box.scrollWidth} of ${box.clientWidth} px`)"""
DARK = {**LIGHT, "runOnly": ["color-contrast"]}  # the dark differs in nothing but its colours


def chromium() -> str | None:
    """The program that tests/chromium.sh finds, or installs."""
    names = [os.environ.get("CHROMIUM") or "chromium", "chromium", "chromium-browser", "google-chrome"]
    return next((path for path in map(shutil.which, names) if path), None)


class Browsing:
    """The windows of one journey, each with cookies of its own, and everything that went wrong in any of them."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.problems: list[str] = []
        self.expected: list[tuple[str, str]] = []

    def visitor(self, **options: Any) -> Page:
        """A new window of somebody who was never here."""
        context = self.browser.new_context(viewport=WIDE, **options)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"script: {error.error}"))
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)
        return context.new_page()

    def expect(self, what: int | str, address: str) -> None:
        """This status, or this failure, at addresses with this in them is part of the journey."""
        self.expected.append((str(what), address))

    def close(self) -> None:
        for context in self.browser.contexts:
            context.close()

    def _note(self, what: str, address: str) -> None:
        if not any(what == one and part in address for one, part in self.expected):
            self.problems.append(f"{what}: {address}")

    def _console(self, message: ConsoleMessage) -> None:
        # What failed to load is told by _response, with its status.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"console {message.type}: {message.text} ({message.location})")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and parts.hostname not in HERE:
            self.problems.append(f"to another host: {request.url}")

    def _failed(self, request: Request) -> None:
        # Aborted by the browser itself: it became a file on disk, or its page was left or its window closed meanwhile.
        if request.failure != "net::ERR_ABORTED":
            self._note(str(request.failure), request.url)

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self._note(str(response.status), response.url)


def keep(page: Page, name: str) -> None:
    """Screenshots of the page as it is now, wide, on a phone, and there in the dark. A phone never scrolls sideways."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-1280.png", full_page=True)
    page.set_viewport_size(PHONE)
    page.screenshot(path=SCREENSHOTS / f"{name}-390.png", full_page=True)
    too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=SCREENSHOTS / f"{name}-390-dark.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)
    assert too_wide <= 0, f"{name} is {too_wide} px too wide for a phone"


def hidden_columns(page: Page) -> list[str]:
    """Tables of the admin that somebody would have to scroll sideways to see whole, wide and on a phone."""
    found = []
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)
        page.evaluate(DRAWN)
        found += [f"{size['width']}: {box}" for box in page.evaluate(TOO_WIDE)]
    page.set_viewport_size(WIDE)
    return found


def sticking_out(page: Page) -> list[int]:
    """At which widths somebody would have to scroll sideways: a window of 1,280 pixels enlarged to 200 % and,
    as WCAG 2.2 asks in 1.4.10, to 400 %."""
    before, found = page.viewport_size or WIDE, []
    for width in (640, 320):
        page.set_viewport_size({"width": width, "height": 512})
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(width)
    page.set_viewport_size(before)
    return found


def barriers(page: Page) -> list[str]:
    """What axe finds that keeps people out, wide and on a phone, light and dark."""
    page.evaluate(Axe().axe_script)
    found = []
    for size in (WIDE, PHONE):
        page.set_viewport_size(size)
        page.evaluate(DRAWN)  # the page's own script hears of the new size with the next frame
        page.emulate_media(color_scheme="light", reduced_motion="reduce")
        found += [f"{size['width']} light: {told}" for told in _violations(page, LIGHT)]
        page.emulate_media(color_scheme="dark")
        found += [f"{size['width']} dark: {told}" for told in _violations(page, DARK)]
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    return found


def _violations(page: Page, options: dict[str, Any]) -> list[str]:
    violations = page.evaluate("options => axe.run(options).then(found => found.violations)", options)
    return [told for told in map(_told, violations) if told]


def _told(violation: dict[str, Any]) -> str:
    """The rule and where it is broken; nothing for what is a trifle."""
    if violation["impact"] not in SERIOUS:
        return ""
    places = [f"{node['html'][:120]} {node['failureSummary']}" for node in violation["nodes"]]
    return f"{violation['id']} ({violation['impact']}): {places}"
