"""With a bucket the owner's browser sends files straight there, and buyers get them from there."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from catalog.demo_books import books
from tests.journeys import steps
from tests.journeys.browsing import Browsing
from tests.journeys.running import Shop, running_shop
from tests.journeys.test_admin import describe, sign_in_as_owner
from tests.sigcheck import BUCKET, SECRET, Bucket, running_bucket

pytestmark = pytest.mark.browser

PART = re.compile(r"[?&]partNumber=(\d+)")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with running_bucket() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def shop(program: str, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("bucket")
    address = bucket.origin.replace("http://", f"s3://key:{SECRET}@")
    with running_shop(folder, STORAGE_URL=f"{address}/{BUCKET}?scheme=http") as shop:
        yield shop
    shutil.rmtree(folder)


def cut(route: Route) -> None:
    found = PART.search(route.request.url)
    if found and int(found[1]) > 1:
        route.abort("internetdisconnected")
    else:
        route.continue_()


def test_s22_owner_sends_files_to_the_bucket_and_the_buyer_gets_them_there(
    browsing: Browsing, shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    big, small = tmp_path / "Score.txt", tmp_path / "Lanterns.pdf"
    big.write_bytes(b"la la la\n" * 2_000_000)  # 18 MB: three parts
    books()[0].write_pdf(small)
    page = browsing.visitor()
    sign_in_as_owner(page, shop)
    shop.manage("check_production", "--only", "uploads", "--fix")  # lets the admin's pages send to the bucket

    page.goto(f"{shop.url}/admin/catalog/product/add/")
    browsing.expect("net::ERR_INTERNET_DISCONNECTED", bucket.origin)
    page.route(f"{bucket.origin}/**", cut)
    page.get_by_label("New files").set_input_files(big)
    expect(page.locator(".upload", has_text="Score.txt")).to_contain_text("no connection: it goes on by itself")

    page.reload()
    page.unroute(f"{bucket.origin}/**")
    to_shop: list[str] = []
    page.on("request", lambda one: to_shop.append(one.url) if one.method == "PUT" and shop.url in one.url else None)
    describe(page, name="Paper Scores")
    page.get_by_label("New files").set_input_files([big, small])
    page.get_by_role("button", name="Move Lanterns.pdf up").click()
    page.get_by_role("button", name="Save", exact=True).click()  # which waits for what is on its way
    expect(page.get_by_text("was added successfully")).to_be_visible(timeout=60_000)
    assert to_shop == []
    sent = Counter(path for method, path, verdict in bucket.judged if (method, verdict) == ("PUT", "ok"))
    assert sorted(sent.values()) == [1, 3]  # of the PDF the one part, of the other each once though it was cut off

    shopper = browsing.visitor()
    steps.buy_as_guest(shopper, shop, "Paper Scores", email="scores@example.com")
    bought = steps.download(shopper, steps.download_button(shopper, "Score.txt"))
    assert bought == sha256(big.read_bytes()).hexdigest()
    assert ("GET", "ok") in {(method, verdict) for method, _, verdict in bucket.judged}
