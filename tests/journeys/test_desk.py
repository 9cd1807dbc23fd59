"""A typo in the address, a refund, a dispute: what the buyer mends alone, and what the owner does at the desk."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys import steps
from tests.journeys.browsing import Browsing, barriers, hidden_columns, keep
from tests.journeys.running import Shop
from tests.journeys.test_admin import sign_in_as_owner

pytestmark = pytest.mark.browser

TYPO, RIGHT = "desk-typo@example.com", "desk-right@example.com"


def check(page: Page, name: str) -> None:
    keep(page, name)
    assert barriers(page) == [], page.url


def test_the_payer_mends_a_typo_and_the_link_that_went_astray_is_dead(
    page: Page, browsing: Browsing, shop: Shop
) -> None:
    steps.buy_as_guest(page, shop, "Slow Bread", email=TYPO)
    astray = steps.link_in(shop.wait_mail(TYPO, saying="Your files are here"))
    page.get_by_text("Wrong address?").click()
    page.get_by_label("The right address").fill(RIGHT)
    page.get_by_role("button", name="Correct it and mail the files there").click()
    expect(page.get_by_text(f"The mail goes to {RIGHT} within a minute.")).to_be_visible()
    check(page, "address-corrected")
    browsing.expect(410, "/links/")
    page.goto(astray)
    expect(page.get_by_role("heading", name="This link was made invalid")).to_be_visible()
    check(page, "link-voided")


def test_the_owner_refunds_and_answers_a_dispute(page: Page, browsing: Browsing, shop: Shop) -> None:
    session_id = steps.buy_as_guest(page, shop, "Slow Bread", email="desk@example.com")
    reference = page.locator("a.reference").inner_text()
    owner = browsing.visitor()
    sign_in_as_owner(owner, shop)
    owner.goto(f"{shop.url}/admin/orders/order/")
    expect(owner.get_by_text("the last four digits of a card")).to_be_visible()
    keep(owner, "desk-orders")
    owner.locator("#searchbar").fill(f"{reference[:8]} {reference[8:]}".lower())
    owner.get_by_role("button", name="Search").click()
    expect(owner.get_by_text("Paid $")).to_be_visible()
    keep(owner, "desk-order")
    assert hidden_columns(owner) == []
    owner.get_by_role("link", name="Send the mail again", exact=True).click()
    keep(owner, "desk-mail")
    owner.go_back()

    owner.get_by_role("link", name="Refund", exact=True).click()
    keep(owner, "desk-refund")
    owner.get_by_label("this amount").check()
    owner.get_by_role("textbox", name=re.compile("^Amount")).fill("1.50")
    owner.get_by_label("Reason").select_option(label="the customer asked for it")
    owner.get_by_label("Note").fill("A page was missing.")
    owner.get_by_role("button", name="Give the money back").click()
    expect(owner.get_by_text("$1.50 goes back to the customer.")).to_be_visible()
    page.goto(f"{shop.url}/orders/{reference}/")
    expect(page.get_by_text("Partly refunded")).to_be_visible()

    shop.control("dispute", {"session": session_id})
    owner.get_by_role("link", name="Evidence", exact=True).click()
    keep(owner, "desk-evidence")
    owner.get_by_label("I have read the evidence.").check()
    owner.get_by_role("button", name="Submit to the bank for good").click()
    expect(owner.get_by_text("The bank has the evidence.")).to_be_visible()
    expect(owner.get_by_text("under review")).to_be_visible()
    page.reload()
    expect(page.get_by_text("The bank is looking into this payment")).to_be_visible()

    owner.goto(f"{shop.url}/admin/orders/order/?q={reference}")
    owner.get_by_role("link", name="Replay", exact=True).click()
    keep(owner, "desk-replay")


def test_the_owner_suspends_restores_and_gives_away(page: Page, browsing: Browsing, shop: Shop) -> None:
    steps.buy_as_guest(page, shop, "Slow Bread", email="held@example.com")
    astray = steps.link_in(shop.wait_mail("held@example.com", saying="Your files are here"))
    owner = browsing.visitor()
    sign_in_as_owner(owner, shop)
    owner.goto(f"{shop.url}/admin/orders/order/?q=held@example.com")

    owner.get_by_role("link", name="Suspend", exact=True).click()
    keep(owner, "desk-suspend")
    owner.get_by_label("Reason").fill("The card was stolen.")
    owner.get_by_role("button", name="Suspend").click()
    expect(owner.get_by_text("Access is suspended by hand.")).to_be_visible()
    keep(owner, "desk-order-suspended")
    page.goto(astray)
    expect(page.get_by_text("Access to these files is suspended. Please write to us.")).to_be_visible()
    check(page, "link-suspended")

    owner.get_by_role("link", name="Restore", exact=True).click()
    keep(owner, "desk-restore")
    owner.get_by_label("Reason").fill("It was their own.")
    owner.get_by_role("button", name="Restore").click()
    expect(owner.get_by_text("Can be read again: Slow Bread.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Download")).to_be_visible()

    owner.get_by_role("link", name="Give a free copy", exact=True).click()
    keep(owner, "desk-give")
    owner.get_by_label("Product").fill("Slow Bread")
    owner.get_by_role("textbox", name=re.compile("^To")).fill("critic@example.com")
    owner.get_by_label("Reason").fill("For a review.")
    owner.get_by_role("button", name="Give it away").click()
    expect(owner.get_by_text("Slow Bread is given.")).to_be_visible()
    page.goto(steps.link_in(shop.wait_mail("critic@example.com", saying="Free of charge")))
    expect(page.get_by_role("heading", name="Slow Bread")).to_be_visible()

    owner.get_by_role("link", name="Correct the address", exact=True).click()
    keep(owner, "desk-address")
    owner.get_by_label("The right address").fill("other-critic@example.com")
    owner.get_by_label("Reason").fill("They moved.")
    owner.get_by_role("button", name="Correct it").click()
    expect(owner.get_by_text("The mail goes to other-critic@example.com within a minute.")).to_be_visible()
