"""The owner sends large files: in parts, over a connection that breaks, in the order they want."""

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect

from catalog.demo_books import books
from tests.journeys import steps
from tests.journeys.browsing import Browsing, keep
from tests.journeys.running import Shop, until
from tests.journeys.test_admin import describe, sign_in_as_owner

pytestmark = pytest.mark.browser

PART = re.compile(r"/parts/(\d+)/$")


def numbers(sent: list[str]) -> list[int]:
    return sorted(int(found[1]) for found in map(PART.search, sent) if found)


def watch(page: Page) -> Callable[[], list[str]]:
    """The addresses of what is PUT from now on."""
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method == "PUT":
            sent.append(request.url)

    page.on("request", note)
    return lambda: sent


def cut(route: Route) -> None:
    found = PART.search(route.request.url)
    if found and int(found[1]) > 1:
        route.abort("internetdisconnected")
    else:
        route.continue_()


def test_s52_the_owner_resumes_orders_and_saves_large_files(
    page: Page, browsing: Browsing, shop: Shop, tmp_path: Path
) -> None:
    big, small = tmp_path / "Score.txt", tmp_path / "Lanterns.pdf"
    big.write_bytes(b"la la la\n" * 2_000_000)  # 18 MB: three parts
    books()[0].write_pdf(small)
    sign_in_as_owner(page, shop)
    page.goto(f"{shop.url}/admin/catalog/product/add/")
    browsing.expect("net::ERR_INTERNET_DISCONNECTED", "/parts/")
    page.route("**/parts/*/", cut)
    page.get_by_label("New files").set_input_files(big)
    row = page.locator(".upload", has_text="Score.txt")
    expect(row).to_contain_text("no connection: it goes on by itself")
    keep(page, "admin-uploading")

    page.reload()
    page.unroute("**/parts/*/")
    sent = watch(page)
    describe(page, name="Paper Scores")
    page.get_by_label("New files").set_input_files([big, small])
    page.get_by_role("button", name="Move Lanterns.pdf up").click()
    expect(page.locator(".upload .file-name")).to_have_text(["Lanterns.pdf", "Score.txt"])
    page.get_by_role("button", name="Save", exact=True).click()  # which waits for what is on its way
    expect(page.get_by_text("was added successfully")).to_be_visible(timeout=60_000)
    assert numbers(sent()) == [1, 2, 3]  # of the PDF the one, of the other file what had not arrived

    page.goto(f"{shop.url}/admin/catalog/product/")
    page.get_by_role("link", name="Paper Scores", exact=True).click()
    expect(page.locator(".file-order .file-name")).to_have_text(["Lanterns.pdf", "Score.txt"])
    page.get_by_role("button", name="Move Score.txt up").click()
    keep(page, "admin-order-of-files")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    # A sample that is replaced takes its pictures along, also from a page that is open just then.
    on_its_way = "select id from catalog_sample where state in ('wanted', 'replaced')"
    until(lambda: not shop.query(on_its_way), "the new sample")

    shopper = browsing.visitor()
    steps.buy_as_guest(shopper, shop, "Paper Scores", email="scores@example.com")
    bought = steps.download(shopper, steps.download_button(shopper, "Score.txt"))
    assert bought == sha256(big.read_bytes()).hexdigest()


def test_refused_file_is_removed_before_the_product_is_saved(
    page: Page, browsing: Browsing, shop: Shop, tmp_path: Path
) -> None:
    bad, good = tmp_path / "Program.pdf", tmp_path / "Words.txt"
    bad.write_bytes(b"MZ a program")
    good.write_bytes(b"Words.\n")
    sign_in_as_owner(page, shop)
    page.goto(f"{shop.url}/admin/catalog/product/add/")
    describe(page, name="Paper Programs")
    page.get_by_label("New files").set_input_files([bad, good])
    expect(page.locator(".upload", has_text="Program.pdf")).to_contain_text("This is a Windows program.")
    expect(page.locator(".upload", has_text="Words.txt")).to_contain_text("ready")
    save = page.get_by_role("button", name="Save", exact=True)
    save.click()
    expect(page.get_by_role("status")).to_have_text("A file cannot be used. Remove it, or retry, then save.")
    expect(page.get_by_role("button", name="Remove Program.pdf")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".upload")).to_have_count(1)
    page.get_by_label("Name:", exact=True).fill("x")  # another mistake loses no file
    save.click()
    expect(page.locator(".upload", has_text="Words.txt")).to_contain_text("ready")
    page.get_by_label("Name:", exact=True).fill("Paper Programs")
    save.click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
