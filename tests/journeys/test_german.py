"""A reader whose browser speaks German buys, reads the mail, downloads and signs in, all of it in German."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys import steps
from tests.journeys.browsing import Browsing, barriers, keep
from tests.journeys.running import Shop, demo_sha256, expired

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browsing: Browsing) -> Page:
    return browsing.visitor(locale="de-DE")


def look(page: Page, name: str) -> None:
    """Screenshots of a page, which is German and keeps nobody out."""
    expect(page.locator("html")).to_have_attribute("lang", "de")
    keep(page, f"german-{name}")
    assert barriers(page) == [], page.url


def test_a_german_reader_buys_and_downloads(page: Page, browsing: Browsing, shop: Shop, tmp_path: Path) -> None:
    email, book = "leserin@example.de", demo_sha256("slow-bread", tmp_path)
    page.goto(shop.url)
    look(page, "list")
    assert page.context.cookies() == []
    page.get_by_role("link", name="Slow Bread", exact=True).click()
    look(page, "product")
    page.get_by_role("button", name="Kaufen für 12,00\xa0$").click()
    page.wait_for_url("**/c/pay/**")
    steps.pay(page, email=email)
    expect(page.get_by_role("heading", level=1, name="Vielen Dank!")).to_be_visible()
    look(page, "success")
    page.get_by_text("Falsche Adresse?").click()
    keep(page, "german-wrong-address")
    page.locator("a.reference").click()
    expect(page.get_by_text("12,00\xa0$").first).to_be_visible()
    look(page, "order")

    mail = shop.wait_mail(email, saying="Hier sind Ihre Dateien")
    assert mail["subject"] == "Ihr Download: Slow Bread"
    page.goto(f"{shop.world_url}/mailbox/{mail['id']}/")
    keep(page, "german-mail")
    page.frame_locator("iframe").locator('a[href*="/links/"]').first.click()
    expect(page.get_by_role("heading", level=1, name="Ihre Dateien")).to_be_visible()
    look(page, "link")
    button = page.locator("main").get_by_text(re.compile(r"^\s*Herunterladen\s+Slow Bread\.pdf\s*$"))
    assert steps.download(page, button) == book
    browsing.expect(410, "/links/")
    page.goto(expired(steps.link_in(mail)))
    look(page, "link-expired")


def test_a_german_reader_makes_an_account(page: Page, browsing: Browsing, shop: Shop) -> None:
    email = "konto@example.de"
    page.goto(f"{shop.url}/accounts/login/")
    look(page, "login")
    page.get_by_role("link", name="Konto anlegen").click()
    page.get_by_label("E-Mail").fill(email)
    look(page, "signup")
    page.get_by_role("button", name="Mein Konto anlegen").click()
    look(page, "code")
    found = steps.CODE.search(shop.wait_mail(email, saying="Ihr Code")["text"])
    assert found
    page.get_by_label("Code", exact=True).fill(found[1])
    page.get_by_role("button", name="Weiter").click()
    expect(page.get_by_role("button", name="Abmelden")).to_be_visible()
    for name in ("library", "orders", "accounts/email", "accounts/password/set"):
        page.goto(f"{shop.url}/{name}/")
        look(page, name.rpartition("/")[2])
    browsing.expect(404, "/links/")
    page.goto(f"{shop.url}/links/nonsense/")
    look(page, "link-invalid")


def test_the_switch_leads_back_to_the_same_page(page: Page, shop: Shop) -> None:
    address = f"{shop.url}/?category=kitchen"
    page.goto(address)
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page).to_have_url(address)
    assert [cookie["name"] for cookie in page.context.cookies()] == ["language"]
    page.get_by_role("button", name="Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page).to_have_url(address)
