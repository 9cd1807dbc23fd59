"""The owner makes a Payment Link, a stranger pays by it and gets the book, and then it is ended."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.journeys import steps
from tests.journeys.browsing import Browsing, barriers, keep
from tests.journeys.running import Shop
from tests.journeys.test_admin import sign_in_as_owner

pytestmark = pytest.mark.browser

EMAIL = "by-own-link@example.com"


def test_a_link_from_the_admin_sells_the_book(page: Page, browsing: Browsing, shop: Shop) -> None:
    owner = browsing.visitor()
    owner.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in_as_owner(owner, shop)
    owner.goto(f"{shop.url}/admin/catalog/product/?q=Slow+Bread")
    owner.get_by_role("link", name="Slow Bread", exact=True).click()
    owner.locator("#content").get_by_role("link", name="Payment Links", exact=True).click()
    expect(owner.get_by_text("There is no link yet.")).to_be_visible()
    owner.get_by_role("button", name="Make a Payment Link at").click()
    expect(owner.get_by_text("The link sells this product at")).to_be_visible()
    address = owner.get_by_label("Address").input_value()
    owner.get_by_role("button", name="Copy").click()
    expect(owner.get_by_role("button", name="Copied")).to_be_visible()
    assert owner.evaluate("navigator.clipboard.readText()") == address
    assert owner.get_by_alt_text(re.compile("^QR code")).evaluate("image => image.naturalWidth") > 100
    with owner.expect_download() as download:
        owner.get_by_role("link", name="Download the QR code").click()
    assert download.value.suggested_filename == "slow-bread-payment-link.svg"
    keep(owner, "payment-links")
    assert barriers(owner) == []

    page.goto(address)
    steps.pay(page, email=EMAIL)
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    mail = shop.wait_mail(EMAIL, saying="Your files are here")
    page.goto(steps.link_in(mail))
    expect(page.get_by_text("Slow Bread").first).to_be_visible()

    owner.get_by_role("button", name="Deactivate").click()
    expect(owner.get_by_text("The link sells nothing any more.")).to_be_visible()
    keep(owner, "payment-links-over")
    browsing.expect(410, "/buy/")
    page.goto(address)
    expect(page.get_by_text("This link is no longer active.")).to_be_visible()
