"""A typo in the address, a refund, a dispute: what the buyer mends alone, and what the owner does at the desk."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys import steps
from tests.journeys.browsing import Browsing, barriers, keep
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
    owner.goto(f"{shop.url}/admin/orders/order/?q={reference}")
    owner.locator("#result_list").get_by_role("link", name=reference).click()
    keep(owner, "desk-order")

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

    for link, name in (("Replay", "desk-replay"), ("Send the mail again", "desk-mail")):
        owner.goto(f"{shop.url}/admin/orders/order/?q={reference}")
        owner.locator("#result_list").get_by_role("link", name=reference).click()
        owner.get_by_role("link", name=link, exact=True).click()
        keep(owner, name)
