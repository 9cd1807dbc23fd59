"""axe finds nothing serious on any page that a shopper sees, light and dark, wide, on a phone and enlarged."""

import pytest
from playwright.sync_api import Page

from tests.journeys import steps
from tests.journeys.browsing import Browsing, barriers, keep, sticking_out
from tests.journeys.running import Shop, expired

pytestmark = pytest.mark.browser


def check(page: Page, name: str = "") -> None:
    """The page as it is now; a name keeps its screenshots."""
    if name:
        keep(page, name)
    assert barriers(page) == [], page.url
    assert sticking_out(page) == [], page.url


def test_pages_before_buying_keep_nobody_out(page: Page, shop: Shop) -> None:
    addresses = {
        "/": "",
        "/?category=art": "category",
        "/products/slow-bread/": "",
        "/products/espresso-at-home/": "",
        "/accounts/login/": "login",
        "/accounts/signup/": "signup",
        "/accounts/password/reset/": "password-reset",
        "/checkout/done/": "success-unknown",
        "/lost/": "lost",
        "/lost/?sent=1": "lost-sent",
    }
    for address, name in addresses.items():
        page.goto(shop.url + address)
        check(page, name)


def test_pages_after_buying_keep_nobody_out(page: Page, browsing: Browsing, shop: Shop) -> None:
    email = "axe@example.com"
    steps.buy_as_guest(page, shop, "Slow Bread", email=email)
    check(page, "success-guest")
    page.locator("a.reference").click()
    check(page, "order-guest")
    mail = shop.wait_mail(email, saying="Your files are here")
    page.goto(steps.link_in(mail))
    check(page)
    browsing.expect(410, "/links/")
    browsing.expect(404, "/links/")
    page.goto(expired(steps.link_in(mail)))
    check(page)
    page.goto(f"{shop.url}/links/nonsense/")
    check(page, "link-invalid")


def test_pages_of_an_account_keep_nobody_out(page: Page, shop: Shop) -> None:
    email = "axe-account@example.com"
    page.goto(f"{shop.url}/accounts/signup/")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Create my account").click()
    check(page, "code")
    steps.enter_code(page, shop, email)
    check(page, "library-empty")
    pages = ("orders", "accounts", "accounts/email", "accounts/password/set", "accounts/mails", "accounts/2fa")
    for name in (*pages, "accounts/confirm"):
        page.goto(f"{shop.url}/{name}/")
        check(page, f"account-{name.rpartition('/')[2]}")
