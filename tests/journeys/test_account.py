"""An account in a real browser: a passkey from a virtual device, a second window that is ended, and the way out."""

import dataclasses
import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys import steps
from tests.journeys.browsing import Browsing, barriers, keep
from tests.journeys.running import Shop

pytestmark = pytest.mark.browser

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def named_shop(shop: Shop) -> Shop:
    """The shop by name: a passkey belongs to a domain, and 127.0.0.1 is none."""
    return dataclasses.replace(shop, url=shop.url.replace("127.0.0.1", "localhost"))


def device(page: Page) -> None:
    """From now on this window has a device that keeps passkeys and says yes to everything."""
    chromium = page.context.new_cdp_session(page)
    chromium.send("WebAuthn.enable")
    chromium.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})


def to_account(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Shop").get_by_role("link", name="Account").click()
    page.get_by_role("navigation", name="Account").get_by_role("link", name=name).click()


def sign_out(page: Page) -> None:
    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    page.get_by_role("link", name="Sign in", exact=True).click()


def test_passkey_is_added_renamed_used_and_removed(page: Page, named_shop: Shop) -> None:
    device(page)
    page.goto(named_shop.url)
    steps.sign_up(page, named_shop, "passkey@example.com")
    to_account(page, "Passkeys")
    page.get_by_role("link", name="Add a passkey").click()
    assert barriers(page) == []
    keep(page, "passkey-add")
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("The passkey was added.")).to_be_visible()
    expect(page.get_by_text("My laptop", exact=True).first).to_be_visible()

    page.get_by_role("link", name="Rename").click()
    page.get_by_role("button", name="Use a passkey").click()  # what comes next deserves a second look
    page.get_by_label("Name").fill("The old laptop")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The old laptop", exact=True).first).to_be_visible()
    assert barriers(page) == []
    keep(page, "passkeys")

    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1, name="Your library")).to_be_visible()

    to_account(page, "Passkeys")
    page.get_by_role("link", name="Remove").click()
    if page.get_by_role("button", name="Use a passkey").is_visible():
        page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("The passkey was removed.")).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()


def test_second_window_is_ended_from_the_first(page: Page, browsing: Browsing, shop: Shop) -> None:
    email = "devices@example.com"
    page.goto(shop.url)
    steps.sign_up(page, shop, email)
    other = browsing.visitor(user_agent="A phone that was lost")
    other.goto(f"{shop.url}/accounts/login/")
    other.get_by_label("Email").first.fill(email)
    other.get_by_role("button", name="Mail me a code").click()
    expect(other.get_by_role("heading", name="Enter the code")).to_be_visible()
    code = steps.CODE.search(shop.wait_mail(email, saying="Your code to sign in")["text"])
    assert code
    other.get_by_label("Code", exact=True).fill(code[1])
    other.get_by_role("button", name="Continue").click()
    expect(other.get_by_role("heading", level=1, name="Your library")).to_be_visible()

    to_account(page, "Devices")
    assert barriers(page) == []
    keep(page, "devices")
    lost = page.get_by_role("listitem").filter(has_text="A phone that was lost")
    lost.get_by_role("button", name="End").click()
    expect(page.get_by_text("That device is signed out.")).to_be_visible()
    expect(page.get_by_text("A phone that was lost")).to_have_count(0)
    other.goto(f"{shop.url}/library/")
    expect(other.get_by_role("heading", level=1, name="Sign in")).to_be_visible()


def test_buyer_prints_takes_the_data_along_and_is_forgotten(page: Page, shop: Shop) -> None:
    email = "forgotten@example.com"
    page.goto(shop.url)
    steps.sign_up(page, shop, email)
    steps.choose(page, shop, "Slow Bread")
    steps.to_checkout(page)
    steps.pay(page)
    steps.thanked(page)
    shop.wait_mail(email, saying="Your files are here")
    to_account(page, "Orders")
    page.get_by_role("link", name="Slow Bread").click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
    expect(page.get_by_text(f"The link to your files was mailed to {email}.")).to_be_visible()
    assert barriers(page) == []
    keep(page, "order-story")
    page.get_by_role("link", name="Add your company").click()
    page.get_by_label("Name or company").fill("Bread & Sons GmbH")
    page.get_by_label("Postal address").fill("Backstraße 2\n10115 Berlin")
    page.get_by_label("VAT number").fill("DE123456789")
    assert barriers(page) == []
    keep(page, "receipt-details")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Backstraße 2")).to_be_visible()
    expect(page.get_by_role("button", name="Print or save as PDF")).to_be_visible()
    assert barriers(page) == []
    keep(page, "receipt")

    to_account(page, "Your data")
    assert barriers(page) == []
    keep(page, "your-data")
    page.get_by_role("button", name="Download my data").click()
    expect(page.get_by_role("heading", level=1, name="Is it you?")).to_be_visible()
    assert barriers(page) == []
    keep(page, "is-it-you")
    page.get_by_role("button", name="Mail me a code").click()
    code = steps.CODE.search(shop.wait_mail(email, saying="confirm that it is you")["text"])
    assert code
    page.get_by_label("Code", exact=True).fill(code[1])
    page.get_by_role("button", name="Continue").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download my data").click()
    data = json.loads(Path(saved.value.path()).read_text())
    assert (data["account"]["email"], [one["product"] for one in data["files"]]) == (email, ["Slow Bread"])
    page.get_by_role("link", name="Erase my account").click()
    assert barriers(page) == []
    keep(page, "erase")
    page.get_by_label("Your main address").fill(email)
    page.get_by_role("button", name="Erase everything now").click()
    expect(page.get_by_role("heading", level=1, name="Your account is erased")).to_be_visible()
    assert barriers(page) == []
    page.goto(f"{shop.url}/library/")
    expect(page.get_by_role("heading", level=1, name="Sign in")).to_be_visible()
