"""The owner's side: signs in, uploads, publishes; a shopper sees and buys it."""

import re
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from catalog.demo_books import books
from tests.journeys import steps
from tests.journeys.browsing import Browsing, keep
from tests.journeys.running import Shop

pytestmark = pytest.mark.browser

COVER = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="480" height="640" viewBox="0 0 480 640">'
    '<rect width="480" height="640" fill="#1f5f5b"/><circle cx="240" cy="320" r="150" fill="#f4c95d"/></svg>'
)


def sign_in_as_owner(page: Page, shop: Shop) -> None:
    """Where everybody does, with the password of the demo."""
    page.goto(f"{shop.url}/admin/")
    page.get_by_text("Sign in with a password instead").click()
    form = page.locator("form", has=page.get_by_label("Password"))
    form.get_by_label("Email").fill("admin@example.com")
    form.get_by_label("Password").fill("admin")
    form.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Products", exact=True).first).to_be_visible()


def field(page: Page, label: str) -> Locator:
    return page.get_by_role("textbox", name=re.compile(f"^{label}:?$"))


def describe(page: Page, *, name: str) -> None:
    field(page, "Name").press_sequentially(name)  # by keys, as the slug follows them
    field(page, "Summary").fill("Lamps of paper, and how to fold them.")
    field(page, "Description").fill("Fold *carefully*.")
    field(page, "Price").fill("6.50")
    page.get_by_label("Status").select_option(label="Published")


def test_f56_the_owner_publishes_a_shopper_buys_and_keeps_it_when_it_is_withdrawn(
    page: Page, browsing: Browsing, shop: Shop, tmp_path: Path
) -> None:
    pdf, cover = tmp_path / "Paper Lamps.pdf", tmp_path / "cover.svg"
    books()[0].write_pdf(pdf)
    cover.write_text(COVER)
    sign_in_as_owner(page, shop)
    keep(page, "admin")
    page.goto(f"{shop.url}/admin/catalog/product/add/")
    describe(page, name="Paper Lamps")
    expect(field(page, "Name in the address")).to_have_value(
        "paper-lamps"
    )  # the admin's own script runs under our policy
    page.get_by_label("New files").set_input_files(pdf)
    page.get_by_label("Cover image").set_input_files(cover)
    keep(page, "admin-product")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    keep(page, "admin-products")

    shopper = browsing.visitor()
    steps.buy_as_guest(shopper, shop, "Paper Lamps", email="lamps@example.com")

    bought = steps.download(shopper, steps.download_button(shopper, "Paper Lamps.pdf"))
    assert bought == sha256(pdf.read_bytes()).hexdigest()
    assert shopper.locator(".item img").evaluate("image => image.naturalWidth") == 320
    page.goto(f"{shop.url}/admin/orders/order/")
    keep(page, "admin-orders")
    page.locator("#result_list tbody th a").first.click()
    expect(page.get_by_text("lamps@example.com").first).to_be_visible()
    keep(page, "admin-order")

    page.goto(f"{shop.url}/admin/catalog/product/")
    page.get_by_role("link", name="Paper Lamps", exact=True).click()
    keep(page, "admin-product-published")
    page.get_by_label("Status").select_option(label="Archived")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    stranger = browsing.visitor()
    stranger.goto(shop.url)
    expect(stranger.get_by_role("link", name="Slow Bread", exact=True)).to_be_visible()
    expect(stranger.get_by_text("Paper Lamps")).to_have_count(0)
    shopper.reload()
    assert steps.download(shopper, steps.download_button(shopper, "Paper Lamps.pdf")) == bought


def test_a_bad_upload_says_what_is_wrong_and_keeps_what_was_typed(page: Page, shop: Shop, tmp_path: Path) -> None:
    fake = tmp_path / "notes.pdf"
    fake.write_bytes(b"not a PDF at all\0\1\2")
    sign_in_as_owner(page, shop)
    page.goto(f"{shop.url}/admin/catalog/product/add/")
    describe(page, name="Spoiled")
    page.get_by_label("New files").set_input_files(fake)

    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".upload.is-failed", has_text="It cannot be told what kind of file this is")).to_be_visible()
    expect(field(page, "Name")).to_have_value("Spoiled")
    expect(field(page, "Price")).to_have_value("6.50")
    expect(field(page, "Description")).to_have_value("Fold *carefully*.")
    keep(page, "admin-bad-upload")
