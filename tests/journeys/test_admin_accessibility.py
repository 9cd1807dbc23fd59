"""axe finds nothing serious on the admin's pages, light and dark, wide and on a phone; nothing scrolls sideways."""

import pytest
from playwright.sync_api import Page

from tests.journeys import steps
from tests.journeys.browsing import Browsing, barriers, keep
from tests.journeys.running import Shop
from tests.journeys.test_admin import sign_in_as_owner

pytestmark = pytest.mark.browser

EMAIL = "axe-admin@example.com"
LISTS = {
    "": "start",
    "catalog/product/": "products",
    "orders/order/": "orders",
    "fulfillment/stripeevent/": "events",
    "fulfillment/delivery/": "mails",
    "fulfillment/customer/": "customers",
    "fulfillment/customer/?q=axe-admin": "customers-found",
    f"fulfillment/customer/person/?email={EMAIL}": "customer",
    f"fulfillment/customer/mail/?email={EMAIL}": "customer-mail",
    "accounts/user/": "people",
    "accounts/user/add/": "person-add",
    "catalog/product/add/": "product-add",
}
# The first row of each of these lists has a page of its own.
ROWS = {
    "catalog/product/": "product",
    "orders/order/": "order",
    "fulfillment/stripeevent/": "event",
    "fulfillment/delivery/": "mail",
    "accounts/user/": "person",
}


def test_admin_keeps_nobody_out(page: Page, browsing: Browsing, shop: Shop) -> None:
    steps.buy_as_guest(page, shop, "Slow Bread", email=EMAIL)
    shop.wait_mail(EMAIL, saying="Your files are here")
    owner = browsing.visitor()
    sign_in_as_owner(owner, shop)
    found = []
    for address, name in LISTS.items():
        owner.goto(f"{shop.url}/admin/{address}")
        found += check(owner, name)
    for address, name in ROWS.items():
        owner.goto(f"{shop.url}/admin/{address}")
        owner.locator("#result_list tbody th a").first.click()
        owner.wait_for_load_state()
        found += check(owner, name)
        if name == "mail":
            owner.get_by_role("link", name="See it as mail programs show it").click()
            owner.get_by_role("link", name="Open my files").wait_for()
            keep(owner, "admin-mail-html")
    assert found == []


def check(page: Page, name: str) -> list[str]:
    """What is wrong with the page as it is now; its screenshots are kept."""
    problems = [f"{name} at {told}" for told in barriers(page)]
    try:
        keep(page, f"admin-{name}")
    except AssertionError as too_wide:
        problems.append(str(too_wide))
    return problems
