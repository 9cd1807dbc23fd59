"""The whole purchase with Tab, Enter and letters; the focus is in sight at every stop."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys import steps
from tests.journeys.running import Shop

pytestmark = pytest.mark.browser

# A card shows the focus of the link inside it.
FOCUS_IS_SEEN = """element => {
    const shows = one => one && getComputedStyle(one).outlineStyle !== "none";
    const box = element.getBoundingClientRect();
    return box.right > 0 && (shows(element) || shows(element.closest(".card")));
}"""


def tab_to(page: Page, target: Locator, *, at_most: int = 40) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(at_most):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.evaluate(FOCUS_IS_SEEN), f"nobody sees the focus on {focused.evaluate('e => e.outerHTML')[:200]}"
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"Tab does not reach {target}")


def type_into(page: Page, label: str, text: str) -> None:
    field = page.get_by_label(label)
    tab_to(page, field)
    page.keyboard.type(text)


def test_a_purchase_by_keyboard_alone(page: Page, shop: Shop) -> None:
    page.goto(shop.url)
    tab_to(page, page.get_by_role("link", name="Skip to the content"), at_most=1)
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    tab_to(page, page.get_by_role("link", name="The Quiet Sky", exact=True))
    page.keyboard.press("Enter")
    buy = page.get_by_role("button", name=re.compile("^Buy for"))
    expect(buy).to_be_visible()
    tab_to(page, buy)
    page.keyboard.press("Enter")

    page.wait_for_url("**/c/pay/**")
    type_into(page, "E-mail", "keys@example.com")
    type_into(page, "Card number", steps.CARD)
    type_into(page, "Expiry", "12 / 34")
    type_into(page, "CVC", "123")
    page.keyboard.press("Enter")

    steps.thanked(page)
    button = steps.download_button(page, "The Quiet Sky.pdf")
    tab_to(page, button)
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename == "The Quiet Sky.pdf"
