"""Real Chromium against the real stack: one `make run` and one browser for all journeys, gone after the last."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.journeys.browsing import ARGUMENTS, Browsing, chromium
from tests.journeys.running import Shop, running_shop

expect.set_options(timeout=15_000)  # milliseconds; a sweep comes round every five seconds


@pytest.fixture(scope="package")
def program() -> str:
    found = chromium()
    if not found:
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM; `make test` does it where it may")
    return found


# Not pytest-playwright's: that one lives to the end of the run, and its event loop makes Django refuse the database.
@pytest.fixture(scope="package")
def browser(program: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def shop(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("journeys")
    with running_shop(folder) as shop:
        yield shop
    shutil.rmtree(folder)


@pytest.fixture
def browsing(browser: Browser) -> Iterator[Browsing]:
    """The journey's windows. At its end, whatever went wrong on any page fails it."""
    browsing = Browsing(browser)
    yield browsing
    browsing.close()
    assert browsing.problems == []


@pytest.fixture
def page(browsing: Browsing) -> Page:
    """The window of a shopper who was never here."""
    return browsing.visitor()


@pytest.fixture
def no_webhooks(shop: Shop) -> Iterator[None]:
    """Stripe's webhooks are lost on the way."""
    shop.control("faults", {"area": "webhooks", "kind": "drop"})
    yield
    shop.control("faults/clear", {"area": "webhooks"})
