"""One of webhook, success page and sweep is enough, whichever two are missing."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from tests.journeys import steps
from tests.journeys.browsing import Browsing
from tests.journeys.running import Shop, demo_sha256

pytestmark = pytest.mark.browser


def pay_and_close(page: Page, browsing: Browsing, *, email: str) -> None:
    """Stripe gets the payment; the tab is closed before Stripe's answer could lead it back."""

    def answer_nobody(route: Route) -> None:
        if route.request.method == "POST":
            route.fetch(max_redirects=0)
            route.abort("aborted")
        else:
            route.continue_()

    browsing.expect("net::ERR_ABORTED", "/c/pay/")
    page.route("**/c/pay/**", answer_nobody)
    with page.expect_event("requestfailed"):
        steps.pay(page, email=email)
    page.close()


def test_f36_a_closed_tab_is_delivered_by_the_webhook_alone(
    page: Page, browsing: Browsing, shop: Shop, tmp_path: Path
) -> None:
    email = "closed-tab@example.com"
    steps.choose(page, shop, "Slow Bread")
    session_id = steps.to_checkout(page)
    shop.hold_off_the_sweep(session_id)
    pay_and_close(page, browsing, email=email)

    shop.wait_mail(email, saying="Your files are here")
    assert shop.doors(session_id) == {"webhook"}

    later = browsing.visitor()
    later.goto(shop.url)
    steps.sign_up(later, shop, email)  # proves the address that was given to Stripe
    later.get_by_role("link", name="Library", exact=True).first.click()
    sha256 = steps.download(later, steps.download_button(later, "Slow Bread.pdf"))
    assert sha256 == demo_sha256("slow-bread", tmp_path)


@pytest.mark.usefixtures("no_webhooks")
def test_f37_a_lost_webhook_is_made_up_for_by_the_success_page(page: Page, shop: Shop, tmp_path: Path) -> None:
    steps.choose(page, shop, "Slow Bread")
    session_id = steps.to_checkout(page)
    shop.hold_off_the_sweep(session_id)

    steps.pay(page, email="no-webhook@example.com")
    steps.thanked(page)

    sha256 = steps.download(page, steps.download_button(page, "Slow Bread.pdf"))
    assert sha256 == demo_sha256("slow-bread", tmp_path)
    assert shop.doors(session_id) == {"success page"}
    shop.wait_mail("no-webhook@example.com", saying="Your files are here")


@pytest.mark.usefixtures("no_webhooks")
def test_f37_with_both_lost_the_sweep_delivers(page: Page, browsing: Browsing, shop: Shop, tmp_path: Path) -> None:
    email = "both-lost@example.com"
    steps.choose(page, shop, "Slow Bread")
    session_id = steps.to_checkout(page)
    pay_and_close(page, browsing, email=email)

    mail = shop.wait_mail(email, saying="Your files are here")

    assert shop.doors(session_id) == {"sweep"}
    later = browsing.visitor()
    steps.open_mailed_link(later, shop, mail)
    sha256 = steps.download(later, steps.download_button(later, "Slow Bread.pdf"))
    assert sha256 == demo_sha256("slow-bread", tmp_path)
