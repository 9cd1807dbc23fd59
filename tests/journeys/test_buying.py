"""From the first page to the file: with an account, as a guest, without scripts, by another card, by bank, for free."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys import steps
from tests.journeys.browsing import Browsing, keep
from tests.journeys.running import Shop, demo_sha256, expired, until

pytestmark = pytest.mark.browser


def test_browse_sign_up_buy_download_and_use_the_mailed_link(
    page: Page, browsing: Browsing, shop: Shop, tmp_path: Path
) -> None:
    email, book = "ada@example.com", demo_sha256("slow-bread", tmp_path)
    page.goto(shop.url)
    keep(page, "list")
    page.get_by_role("link", name="Kitchen").click()
    expect(page.get_by_role("heading", level=1, name="Kitchen")).to_be_visible()
    page.get_by_role("link", name="Slow Bread", exact=True).click()
    keep(page, "product")

    steps.sign_up(page, shop, email)
    expect(page).to_have_url(f"{shop.url}/products/slow-bread/")
    steps.to_checkout(page)
    expect(page.get_by_label("E-mail")).to_have_value(email)
    keep(page, "checkout")
    steps.pay(page)
    steps.thanked(page)
    keep(page, "success")

    page.get_by_role("link", name="Library", exact=True).first.click()
    keep(page, "library")
    assert steps.download(page, steps.download_button(page, "Slow Bread.pdf")) == book

    mail = shop.wait_mail(email, saying="Your files are here")
    page.goto(f"{shop.world_url}/mailbox/{mail['id']}/")
    keep(page, "mail")
    steps.open_mailed_link(page, shop, mail)
    keep(page, "link")
    assert steps.download(page, steps.download_button(page, "Slow Bread.pdf")) == book

    browsing.expect(410, "/links/")
    page.goto(expired(steps.link_in(mail)))
    expect(page.get_by_role("heading", name="This link has expired")).to_be_visible()
    keep(page, "link-expired")
    page.get_by_role("button", name="Mail me a fresh link").click()
    expect(page.get_by_role("heading", name="A fresh link is on its way")).to_be_visible()
    keep(page, "link-sent")
    steps.open_mailed_link(page, shop, shop.wait_mail(email, saying="Here is the fresh link"))
    assert steps.download(page, steps.download_button(page, "Slow Bread.pdf")) == book

    page.goto(f"{shop.url}/products/slow-bread/")
    expect(page.get_by_role("link", name="Open my library")).to_be_visible()
    keep(page, "product-owned")
    page.get_by_role("link", name="Orders").click()
    keep(page, "orders")
    page.get_by_role("link", name="Slow Bread").click()
    expect(page.get_by_text("$12.00").first).to_be_visible()
    keep(page, "order")


def test_a_guest_without_scripts_buys(browsing: Browsing, shop: Shop, tmp_path: Path) -> None:
    page = browsing.visitor(java_script_enabled=False)

    steps.buy_as_guest(page, shop, "Twelve Useful Knots", email="noscript@example.com")

    book = demo_sha256("twelve-knots", tmp_path)
    assert steps.download(page, steps.download_button(page, "Twelve Useful Knots.pdf")) == book
    steps.open_mailed_link(page, shop, shop.wait_mail("noscript@example.com", saying="Your files are here"))
    assert steps.download(page, steps.download_button(page, "Twelve Useful Knots.pdf")) == book


def test_a_declined_card_then_another(page: Page, browsing: Browsing, shop: Shop) -> None:
    steps.choose(page, shop, "The Quiet Sky")
    session_id = steps.to_checkout(page)

    browsing.expect(402, "/c/pay/")
    steps.pay(page, email="second-card@example.com", number=steps.DECLINED)
    expect(page.get_by_role("alert")).to_contain_text("declined")
    assert shop.mails("second-card@example.com") == []
    steps.pay(page)

    steps.thanked(page)
    shop.wait_mail("second-card@example.com", saying="Your files are here")
    assert session_id in page.url


def test_going_back_from_the_payment_page_leads_to_the_product(page: Page, shop: Shop) -> None:
    steps.choose(page, shop, "The Quiet Sky")
    session_id = steps.to_checkout(page)
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_text("nothing was charged")).to_be_visible()
    keep(page, "cancelled")

    page.get_by_role("link", name="Back to The Quiet Sky").click()

    assert steps.to_checkout(page) == session_id, "the same checkout is offered again"


def test_f53_a_bank_debit_is_on_its_way_until_it_settles(page: Page, shop: Shop, tmp_path: Path) -> None:
    email = "bank@example.com"
    steps.choose(page, shop, "First Washes")
    session_id = steps.to_checkout(page)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Bank debit").check()
    steps.press_pay(page)

    expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()
    expect(page.get_by_text("Download", exact=False)).to_have_count(0)
    keep(page, "success-on-its-way")
    assert "/links/" not in shop.wait_mail(email, saying="on its way")["text"]

    shop.control(f"settle/{session_id}", {"result": "succeeded"})
    steps.open_mailed_link(page, shop, shop.wait_mail(email, saying="Your files are here"))
    book = demo_sha256("first-washes", tmp_path)
    assert steps.download(page, steps.download_button(page, "First Washes.pdf")) == book


def test_f54_a_bank_debit_that_fails_says_so(page: Page, shop: Shop) -> None:
    steps.choose(page, shop, "First Washes")
    session_id = steps.to_checkout(page)
    page.get_by_label("E-mail").fill("no-money@example.com")
    page.get_by_label("Bank debit").check()
    steps.press_pay(page)
    expect(page.get_by_role("heading", name="Your payment is on its way")).to_be_visible()

    shop.control(f"settle/{session_id}", {"result": "failed"})
    failed = page.get_by_role("heading", name="The payment did not go through")
    until(lambda: page.reload() and failed.is_visible(), "word that the payment failed")
    keep(page, "success-failed")


def test_a_free_product_comes_at_once_to_a_guest(page: Page, shop: Shop, tmp_path: Path) -> None:
    steps.choose(page, shop, "Espresso at Home")
    keep(page, "product-free")

    sha256 = steps.download(page, page.get_by_role("link", name="Download for free"))

    assert sha256 == demo_sha256("espresso-at-home", tmp_path)


def test_a_free_product_joins_the_library_of_whoever_is_signed_in(page: Page, shop: Shop, tmp_path: Path) -> None:
    steps.choose(page, shop, "Espresso at Home")
    steps.sign_up(page, shop, "free@example.com")

    page.get_by_role("button", name="Add to my library").click()

    expect(page.get_by_role("heading", level=1, name="Your library")).to_be_visible()
    sha256 = steps.download(page, steps.download_button(page, "Espresso at Home.pdf"))
    assert sha256 == demo_sha256("espresso-at-home", tmp_path)


def test_f19_a_payment_link_delivers_by_mail(page: Page, shop: Shop, tmp_path: Path) -> None:
    page.goto(shop.world_url)
    form = page.locator("form[action*='act/link']")
    form.get_by_label("Slug").fill("rescue-your-houseplants")
    form.get_by_label("Amount").fill("950")
    form.get_by_role("button").click()
    page.locator("#links article", has_text="rescue-your-houseplants").get_by_role("link", name="Open").click()
    expect(page).to_have_url(re.compile("/c/pay/"))

    steps.pay(page, email="by-link@example.com")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()

    steps.open_mailed_link(page, shop, shop.wait_mail("by-link@example.com", saying="Your files are here"))
    sha256 = steps.download(page, steps.download_button(page, "Rescue Your Houseplants.pdf"))
    assert sha256 == demo_sha256("rescue-your-houseplants", tmp_path)
