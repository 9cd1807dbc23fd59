"""What the first view of the catalogue costs a newcomer."""

import pytest
from playwright.sync_api import Page, ViewportSize

from tests.journeys.browsing import PHONE, WIDE, Browsing
from tests.journeys.running import Shop

pytestmark = pytest.mark.browser

LIMIT = 100_000  # bytes on the wire, headers included


def first_view(page: Page, address: str) -> int:
    """All bytes that arrive until nothing more is asked for."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    arrived: list[int] = []
    session.on("Network.loadingFinished", lambda event: arrived.append(event["encodedDataLength"]))
    page.goto(address, wait_until="networkidle")
    assert len(arrived) > 5, "page, style sheet, logo and some covers"
    return sum(arrived)


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
def test_the_first_view_weighs_less_than_100_kb(size: ViewportSize, browsing: Browsing, shop: Shop) -> None:
    page = browsing.visitor()
    page.set_viewport_size(size)

    weight = first_view(page, shop.url)

    print(f"\nfirst view at {size['width']} x {size['height']}: {weight:,} bytes")  # pytest -s shows it
    assert weight < LIMIT


def test_pictures_keep_their_place_and_wait_below_the_fold(page: Page, shop: Shop) -> None:
    page.set_viewport_size(WIDE)
    page.goto(shop.url)

    pictures = page.locator("img")
    for picture in pictures.all():
        assert int(picture.get_attribute("width") or 0) > 0
        assert int(picture.get_attribute("height") or 0) > 0
    below = page.locator(".shelf img").evaluate_all(
        "all => all.filter(one => one.getBoundingClientRect().top > innerHeight).map(one => one.loading)"
    )
    assert set(below) <= {"lazy"}
    assert page.locator(".shelf img").first.get_attribute("loading") is None
