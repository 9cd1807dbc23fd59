"""Somebody looks for a book: by typing, by filters, with and without JavaScript, and when there is no such book."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.browsing import Browsing, barriers, keep
from tests.journeys.running import Shop

pytestmark = pytest.mark.browser

CARDS = "#results .card h2"


def test_results_follow_what_is_typed(page: Page, shop: Shop) -> None:
    page.goto(shop.url)
    page.get_by_label("Search the catalog").press_sequentially("useful kn", delay=30)
    expect(page.locator(CARDS)).to_have_text(["Twelve Useful Knots"])
    expect(page.locator(".card mark").first).to_have_text("Useful")
    expect(page.get_by_role("heading", level=1)).to_have_text("Search: useful kn")
    expect(page.get_by_role("status")).to_have_text("1 product")
    expect(page).to_have_url(re.compile(r"/\?q=useful\+kn$"))
    expect(page).to_have_title(re.compile("^Search: useful kn"))
    expect(page.get_by_label("Search the catalog")).to_be_focused()
    page.get_by_label("Search the catalog").fill("")
    expect(page.locator(CARDS)).to_have_count(12)
    expect(page).to_have_url(f"{shop.url}/")


def test_address_of_a_search_shows_it_again_and_going_back_leaves_it(page: Page, shop: Shop) -> None:
    page.goto(shop.url)
    page.get_by_label("Search the catalog").fill("knots")
    expect(page.locator(CARDS)).to_have_text(["Twelve Useful Knots"])
    page.reload()
    expect(page.locator(CARDS)).to_have_text(["Twelve Useful Knots"])
    page.get_by_role("link", name="Twelve Useful Knots").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Twelve Useful Knots")
    page.go_back()
    expect(page.get_by_label("Search the catalog")).to_have_value("knots")


def test_filters_work_with_the_keyboard(page: Page, shop: Shop) -> None:
    page.goto(f"{shop.url}/?category=kitchen")
    page.get_by_text("Filter and sort").press("Enter")
    page.get_by_label("Sort by").select_option("title")
    expect(page).to_have_url(re.compile(r"category=kitchen&sort=title$"))
    page.get_by_label("Only what is free").press("Space")
    expect(page).to_have_url(re.compile(r"sort=title&free=1$"))
    keep(page, "filters")
    assert barriers(page) == []


def test_form_is_sent_without_javascript(browsing: Browsing, shop: Shop) -> None:
    page = browsing.visitor(java_script_enabled=False)
    page.goto(shop.url)
    page.get_by_label("Search the catalog").fill("sky")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(CARDS)).to_have_text(["The Quiet Sky"])
    expect(page.locator(".card mark").first).to_have_text("Sky")
    expect(page.get_by_label("Search the catalog")).to_have_value("sky")


def test_nothing_found_helps_on_and_keeps_nobody_out(page: Page, shop: Shop) -> None:
    page.goto(f"{shop.url}/?q=slow+bred&type=pdf")
    keep(page, "search-nothing")
    assert barriers(page) == []
    page.get_by_role("link", name="slow bread", exact=True).click()
    expect(page.locator(CARDS)).to_have_text(["Slow Bread"])
    keep(page, "search")
    assert barriers(page) == []


def test_policy_lets_linked_data_be(page: Page, shop: Shop) -> None:
    """Whatever it refused would be on the console, and fail the journey."""
    page.goto(f"{shop.url}/products/slow-bread/")
    block = page.locator('script[type="application/ld+json"]')
    assert '"priceCurrency": "USD"' in (block.text_content() or "")
