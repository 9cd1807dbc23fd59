"""What shoppers do, in one call each."""

import re
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

from tests.journeys.running import Shop

CARD, DECLINED = "4242 4242 4242 4242", "4000 0000 0000 0002"
LINK = re.compile(r"http://\S+/links/\S+")
CODE = re.compile(r"^\s*([A-Z0-9]{3,}-?[A-Z0-9]{3,})\s*$", re.MULTILINE)


def choose(page: Page, shop: Shop, name: str) -> None:
    """From the first page to the product's."""
    page.goto(shop.url)
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def to_checkout(page: Page) -> str:
    """Click "Buy"; the id of the Checkout Session whose page that opens."""
    page.get_by_role("button", name=re.compile("^Buy for ")).click()
    page.wait_for_url("**/c/pay/**")
    return urlsplit(page.url).path.rpartition("/")[2]


def fill_card(page: Page, number: str = CARD) -> None:
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry").fill("12 / 34")
    page.get_by_label("CVC").fill("123")


def pay(page: Page, *, email: str = "", number: str = CARD) -> None:
    """With a card on Stripe's page, which knows the address of whoever is signed in."""
    if email:
        page.get_by_label("E-mail").fill(email)
    fill_card(page, number)
    press_pay(page)


def press_pay(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Pay ")).click()


def thanked(page: Page) -> None:
    expect(page.get_by_role("heading", level=1, name="Thank you!")).to_be_visible()


def buy_as_guest(page: Page, shop: Shop, name: str, *, email: str) -> str:
    """The id of the paid session; the page is the success page."""
    choose(page, shop, name)
    session_id = to_checkout(page)
    pay(page, email=email)
    thanked(page)
    return session_id


def sign_up(page: Page, shop: Shop, email: str) -> None:
    """From any page of the shop, with the code that is mailed."""
    page.get_by_role("link", name="Sign in", exact=True).first.click()
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Create my account").click()
    enter_code(page, shop, email)


def enter_code(page: Page, shop: Shop, email: str) -> None:
    expect(page.get_by_role("heading", name="Enter the code")).to_be_visible()
    found = CODE.search(shop.wait_mail(email, saying="Your code")["text"])
    assert found
    page.get_by_label("Code", exact=True).fill(found[1])
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def link_in(mail: dict[str, str]) -> str:
    found = LINK.search(mail["text"])
    assert found
    return found[0]


def open_mailed_link(page: Page, shop: Shop, mail: dict[str, str]) -> None:
    """In the mailbox, by the button of the HTML message."""
    page.goto(f"{shop.world_url}/mailbox/{mail['id']}/")
    page.frame_locator("iframe").locator('a[href*="/links/"]').first.click()
    expect(page.get_by_role("heading", level=1, name="Your files")).to_be_visible()


def download(page: Page, button: Locator) -> str:
    """Press it; the SHA-256 of the file that the browser saved."""
    with page.expect_download() as saved:
        button.click()
    assert saved.value.failure() is None
    return sha256(Path(saved.value.path()).read_bytes()).hexdigest()


def download_button(page: Page, file: str) -> Locator:
    return page.locator("main").get_by_text(re.compile(rf"^\s*Download\s+{re.escape(file)}\s*$"))
