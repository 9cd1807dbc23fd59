"""A shopper looks inside: by buttons, keys and swipes, in the large view, and without JavaScript."""

import re

import pikepdf
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.journeys.browsing import PHONE, WIDE, Browsing, barriers, keep
from tests.journeys.running import Shop, until
from tests.journeys.test_keyboard import tab_to

pytestmark = pytest.mark.browser

BOOK = "/products/first-washes/"
MADE = "select 1 from catalog_sample join catalog_product p on p.id = product_id where state = 'made' and slug = %s"


@pytest.fixture
def inside(shop: Shop, page: Page) -> Page:
    """The page of a book whose sample the worker has made."""
    until(lambda: shop.query(MADE, "first-washes"), "samples of the demo's books", seconds=60)
    page.goto(shop.url + BOOK)
    return page


def pages(page: Page) -> Locator:
    return page.locator(".strip a")


def in_view(picture: Locator) -> bool:
    """Whether it is the sheet that fills the large view."""
    return bool(
        picture.evaluate(
            "one => Math.abs(one.getBoundingClientRect().left - one.parentElement.getBoundingClientRect().left) < 2"
        )
    )


def test_pages_are_stepped_through_by_buttons_and_keys(inside: Page) -> None:
    strip = inside.locator(".strip")
    expect(pages(inside)).to_have_count(5)
    back = inside.get_by_role("button", name="Earlier pages")
    further = inside.get_by_role("button", name="Further pages")
    expect(back).to_have_attribute("aria-disabled", "true")
    further.click()
    expect(back).to_have_attribute("aria-disabled", "false")
    assert strip.evaluate("strip => strip.scrollLeft") > 50
    back.click()
    expect(back).to_have_attribute("aria-disabled", "true")

    pages(inside).first.focus()
    for _ in range(4):
        inside.keyboard.press("ArrowRight")
    expect(pages(inside).last).to_be_focused()
    expect(further).to_have_attribute("aria-disabled", "true")
    inside.keyboard.press("ArrowRight")
    expect(pages(inside).last).to_be_focused()
    inside.keyboard.press("ArrowLeft")
    expect(pages(inside).nth(3)).to_be_focused()


def test_page_is_seen_large_and_the_focus_returns(inside: Page) -> None:
    viewer = inside.get_by_role("dialog", name="Look inside")
    tab_to(inside, pages(inside).first)
    inside.keyboard.press("Tab")
    inside.keyboard.press("Enter")
    expect(viewer).to_be_visible()
    place = viewer.locator("[data-place]")
    expect(place).to_have_text("Page 2 of First Washes")
    inside.keyboard.press("ArrowRight")
    expect(place).to_have_text("Page 3 of First Washes")
    viewer.get_by_role("button", name="Next page").click()
    expect(place).to_have_text("Page 4 of First Washes")
    sheet = viewer.get_by_role("img", name="Page 4 of First Washes")
    until(lambda: in_view(sheet), "the page in its place")
    until(lambda: sheet.evaluate("one => one.complete && one.naturalWidth") == 960, "the large picture")
    viewer.get_by_role("button", name="Page before").click()
    expect(place).to_have_text("Page 3 of First Washes")
    assert barriers(inside) == []
    inside.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(pages(inside).nth(1)).to_be_focused()

    pages(inside).nth(2).click()
    expect(place).to_have_text("Page 3 of First Washes")
    viewer.get_by_role("button", name="Close").click()
    expect(viewer).to_be_hidden()
    expect(pages(inside).nth(2)).to_be_focused()
    inside.evaluate("scrollTo(0, 0)")
    keep(inside, "look-inside")


def test_on_a_phone_pages_are_swiped(inside: Page) -> None:
    inside.set_viewport_size(PHONE)
    pages(inside).first.click()
    sheets = inside.locator(".sheets")
    place = inside.locator("[data-place]")
    expect(place).to_have_text("Page 1 of First Washes")
    sheets.evaluate("sheets => sheets.scrollBy({ left: sheets.clientWidth * 0.8, behavior: 'instant' })")
    expect(place).to_have_text("Page 2 of First Washes")
    until(lambda: in_view(sheets.locator("img").nth(1)), "a whole page after the swipe")
    inside.screenshot(path="tests/screenshots/look-inside-large-390.png")
    inside.set_viewport_size(WIDE)


def test_pages_keep_their_place_and_come_when_they_are_needed(inside: Page) -> None:
    pictures = inside.locator(".look img")
    assert pictures.evaluate_all("all => all.every(one => one.width > 0 || one.closest('dialog'))")
    assert set(pictures.evaluate_all("all => all.map(one => one.loading)")) == {"lazy"}
    large = inside.evaluate("performance.getEntriesByType('resource').filter(one => one.name.includes('-960')).length")
    assert large == 0, "the large pictures wait until somebody looks"


def test_without_javascript_pages_are_pictures_that_lead_to_larger_ones(
    inside: Page, browsing: Browsing, shop: Shop
) -> None:
    plain = browsing.visitor(java_script_enabled=False)
    plain.goto(shop.url + BOOK)
    expect(plain.get_by_role("button", name="Further pages")).to_be_hidden()
    expect(plain.locator("dialog")).to_be_hidden()
    for number in range(1, 6):
        expect(plain.get_by_role("img", name=f"Page {number} of First Washes")).to_be_attached()
    # Not clicked: Chromium's own page around a picture complains of our policy on its console.
    address = pages(plain).nth(3).get_attribute("href") or ""
    assert re.fullmatch(r"/samples/[0-9a-f]{64}/4-960\.webp", address)
    answer = plain.request.get(shop.url + address)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/webp")


def test_sample_is_downloaded_by_its_name(inside: Page) -> None:
    with inside.expect_download() as saved:
        inside.get_by_role("link", name=re.compile(r"^Download the sample \(PDF, [\d.]+.KB\)$")).click()
    assert saved.value.suggested_filename == "first-washes-sample.pdf"
    with pikepdf.open(saved.value.path()) as sample:
        assert len(sample.pages) == 5
        assert sample.docinfo["/Title"] == "Sample · First Washes"
