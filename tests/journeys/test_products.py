"""The owner prepares a book: copies another one, looks at it as shoppers will, and changes the price of two at once."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.browsing import Browsing, barriers, keep, sticking_out
from tests.journeys.running import Shop
from tests.journeys.test_admin import sign_in_as_owner

pytestmark = pytest.mark.browser

PRODUCTS = "admin/catalog/product"


def check(page: Page, name: str) -> None:
    keep(page, name)
    assert barriers(page) == [], page.url
    assert sticking_out(page) == [], page.url


def test_the_owner_copies_previews_and_prices_many(page: Page, browsing: Browsing, shop: Shop) -> None:
    sign_in_as_owner(page, shop)
    page.goto(f"{shop.url}/{PRODUCTS}/?q=Slow+Bread")
    page.get_by_role("link", name="Slow Bread", exact=True).click()
    keep(page, "product-on-sale")
    page.get_by_role("link", name="Duplicate", exact=True).click()
    check(page, "product-duplicate")
    page.get_by_role("button", name="Make the copy").click()
    expect(page.get_by_text("This is the copy, a draft.")).to_be_visible()
    expect(page.get_by_text("It cannot be published yet.")).to_be_visible()
    expect(page.get_by_text("add a file before you publish")).to_be_visible()
    keep(page, "product-draft")

    page.get_by_role("link", name="Preview", exact=True).click()
    expect(page.get_by_text("Preview: not published.")).to_be_visible()
    expect(page.get_by_role("heading", name="Copy of Slow Bread")).to_be_visible()
    check(page, "product-preview-draft")
    page.goto(f"{shop.url}/{PRODUCTS}/?q=Slow+Bread")
    page.get_by_role("link", name="Preview of Slow Bread", exact=True).click()
    address = page.url
    expect(page.get_by_text("Preview: published.")).to_be_visible()
    expect(page.get_by_text("In the preview this button does nothing.")).to_be_visible()
    assert page.locator("form:not([action='/language/'])").count() == 0
    check(page, "product-preview")
    stranger = browsing.visitor()
    stranger.goto(address)
    expect(stranger.get_by_role("heading", name="Sign in")).to_be_visible()

    page.goto(f"{shop.url}/{PRODUCTS}/?q=Slow+Bread")
    keep(page, "product-list")
    choose(page, "Change prices")
    keep(page, "bulk-price-asked")
    page.get_by_label("Change").select_option(label="Raise by this many percent")
    page.get_by_label("Amount or percent").fill("ten")
    page.get_by_label("Amount or percent").press("Enter")
    expect(page.get_by_text("Write a plain number, such as 12.50.")).to_be_visible()
    page.get_by_label("Amount or percent").fill("10")
    page.get_by_label("Rounding").select_option(label="End in .99")
    page.get_by_role("button", name="Show what will change").click()
    expect(page.get_by_text("What will change", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(r"^Slow Bread .*\.99$"))).to_be_visible()
    check(page, "bulk-price")
    page.get_by_role("button", name="Change 2 products").click()
    expect(page.get_by_text("2 products were changed.")).to_be_visible()

    choose(page, "Publish")
    expect(page.get_by_text("1 product is like that already.")).to_be_visible()
    expect(
        page.get_by_role("row", name=re.compile("^Copy of Slow Bread Draft Nothing can be delivered"))
    ).to_be_visible()
    check(page, "bulk-publish")
    page.get_by_role("link", name="Cancel").click()
    expect(page.locator("#result_list tbody tr")).to_have_count(2)


def choose(page: Page, action: str) -> None:
    """Do it to all that the list shows."""
    page.locator("#action-toggle").check()
    page.get_by_label("Action:").select_option(label=action)
    page.get_by_role("button", name="Run the selected action").or_(page.get_by_role("button", name="Go")).first.click()


def test_two_tabs_lose_nothing_and_a_phone_shows_all(page: Page, browsing: Browsing, shop: Shop) -> None:
    sign_in_as_owner(page, shop)
    page.goto(f"{shop.url}/{PRODUCTS}/?q=Twelve+Useful+Knots")
    page.get_by_role("link", name="Twelve Useful Knots", exact=True).click()
    other = page.context.new_page()
    other.goto(page.url)
    groups = page.get_by_role("group", name="Categories")
    expect(groups.get_by_role("checkbox", name="Outdoors")).to_be_checked()
    with page.expect_popup() as opened:
        page.locator("#add_id_tags").click()
    opened.value.get_by_role("textbox", name="Name:").press_sequentially("splicing")
    opened.value.get_by_role("button", name="Save").click()
    expect(page.get_by_role("group", name="Tags").get_by_role("checkbox", name="splicing")).to_be_checked()
    page.get_by_role("textbox", name="Summary:").fill("Twelve, and no more.")
    other.get_by_role("textbox", name="Price:").fill("7.50")
    other.get_by_role("button", name="Save and continue editing").click()
    expect(other.get_by_text("was changed successfully")).to_be_visible()

    page.get_by_role("button", name="Save and continue editing").click()
    expect(
        page.get_by_text("This product was changed since you opened this page, by admin@example.com")
    ).to_be_visible()
    expect(page.get_by_role("textbox", name="Summary:")).to_have_value("Twelve, and no more.")
    expect(page.get_by_role("group", name="Tags").get_by_role("checkbox", name="splicing")).to_be_checked()
    check(page, "product-refused")
    with page.expect_popup() as there:
        page.get_by_role("link", name="Look at what is there now").click()
    expect(there.value.get_by_role("textbox", name="Price:")).to_have_value("7.50")
    page.get_by_role("textbox", name="Price:").fill("7.50")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    page.get_by_role("link", name="History").click()
    expect(page.get_by_text("$7.00 → $7.50")).to_be_visible()
    expect(page.get_by_text("changed summary, tags")).to_be_visible()

    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{shop.url}/{PRODUCTS}/")
    row = page.get_by_role("row").filter(has_text="Twelve Useful Knots")
    for part in ("Twelve Useful Knots", "$7.50", "Published", "Preview"):
        expect(row.get_by_text(part, exact=True)).to_be_in_viewport(ratio=1)
    check(page, "product-list-on-a-phone")
