"""With a bucket the owner's browser sends files straight there, and buyers get them from there."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, Route, expect

from catalog.demo_books import books
from tests.journeys import steps
from tests.journeys.browsing import Browsing, keep
from tests.journeys.running import Shop, running_shop, until
from tests.journeys.test_admin import describe, sign_in_as_owner
from tests.sigcheck import BUCKET, SECRET, Bucket, running_bucket

pytestmark = pytest.mark.browser

PART = re.compile(r"[?&]partNumber=(\d+)")
FORM = "/admin/catalog/product/add/"
AGAIN = "dispatchEvent(new Event('online'))"  # what ends every wait before the next try


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with running_bucket() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def shop(program: str, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("bucket")
    address = bucket.origin.replace("http://", f"s3://key:{SECRET}@")
    with running_shop(folder, STORAGE_URL=f"{address}/{BUCKET}?scheme=http&region=us-east-1") as shop:
        yield shop
    shutil.rmtree(folder)


def let_in(shop: Shop) -> None:
    """What the owner is told to run, so that the bucket takes files from the admin's pages."""
    said = shop.manage("check_production", "--only", "uploads", "--fix")
    assert f"The bucket takes files from pages of {shop.url} now." in said


def policy(page: Page, address: str) -> str:
    """Where the script of this page may send to."""
    answer = page.goto(address)
    assert answer
    directives = dict(one.strip().split(" ", 1) for one in answer.headers["content-security-policy"].split(";"))
    return directives["connect-src"]


def cut(route: Route) -> None:
    found = PART.search(route.request.url)
    if found and int(found[1]) > 1:
        route.abort("internetdisconnected")
    else:
        route.continue_()


def arrived(bucket: Bucket) -> list[int]:
    """Numbers of the parts that the bucket has of the one upload that is going on."""
    [upload] = bucket.client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    found = bucket.client.list_parts(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    return [one["PartNumber"] for one in found.get("Parts", [])]


def taken(bucket: Bucket) -> Counter[str]:
    """How often something was sent to each key."""
    return Counter(path for method, path, verdict in bucket.judged if (method, verdict) == ("PUT", "ok"))


def test_s22_owner_sends_files_to_the_bucket_and_the_buyer_gets_them_there(
    page: Page, browsing: Browsing, shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    big, small = tmp_path / "Score.txt", tmp_path / "Lanterns.pdf"
    big.write_bytes(b"la la la\n" * 2_000_000)  # 18 MB: three parts
    books()[0].write_pdf(small)
    sign_in_as_owner(page, shop)
    let_in(shop)
    assert policy(page, f"{shop.url}/admin/catalog/product/") == "'self'"
    assert policy(page, f"{shop.url}{FORM}") == f"'self' {bucket.origin}"

    browsing.expect("net::ERR_INTERNET_DISCONNECTED", bucket.origin)
    page.route(f"{bucket.origin}/**", cut)
    page.get_by_label("New files").set_input_files(big)
    row = page.locator(".upload", has_text="Score.txt")
    expect(row).to_contain_text(re.compile("no connection: it goes on by itself|sending to its storage fails"))
    expect(row.get_by_role("progressbar")).to_have_attribute("value", re.compile(r"^0\.466"))  # one part of 8 MiB
    until(lambda: arrived(bucket) == [1], "the first part in the bucket")
    assert list(taken(bucket).values()) == [1]

    page.reload()
    page.unroute(f"{bucket.origin}/**")
    bucket.judged.clear()
    to_shop: list[Request] = []
    page.on("requestfinished", lambda one: to_shop.append(one) if one.url.startswith(shop.url) else None)
    describe(page, name="Paper Scores")
    page.get_by_label("New files").set_input_files([big, small])
    page.get_by_role("button", name="Move Lanterns.pdf up").click()
    page.get_by_role("button", name="Save", exact=True).click()  # which waits for what is on its way
    expect(page.get_by_text("was added successfully")).to_be_visible(timeout=30_000)
    assert sorted(taken(bucket).values()) == [1, 2]  # of the PDF the one, of the other file what had not arrived
    posted = [one.sizes()["requestBodySize"] for one in to_shop if one.method != "GET"]
    assert len(posted) == 7  # begin, ask for addresses and complete, of each file; and save
    assert sum(posted) < 50_000  # no bytes of files among them
    assert {one.method for one in to_shop} == {"GET", "POST"}
    assert bucket.multiparts() == []

    page.get_by_role("link", name="Paper Scores", exact=True).first.click()
    expect(page.locator(".file-order .file-name")).to_have_text(["Lanterns.pdf", "Score.txt"])

    shopper = browsing.visitor()
    steps.buy_as_guest(shopper, shop, "Paper Scores", email="scores@example.com")
    bucket.judged.clear()
    with shopper.expect_download() as saved:
        steps.download_button(shopper, "Score.txt").click()
    assert saved.value.url.startswith(f"{bucket.origin}/{BUCKET}/private/")
    assert saved.value.suggested_filename == "Score.txt"
    assert sha256(Path(saved.value.path()).read_bytes()).digest() == sha256(big.read_bytes()).digest()
    assert [(method, verdict) for method, _, verdict in bucket.judged] == [("GET", "ok")]


def test_s22_bucket_that_takes_nothing_from_the_admin_is_told_and_waited_for(
    page: Page, browsing: Browsing, shop: Shop, bucket: Bucket, tmp_path: Path
) -> None:
    words = tmp_path / "Words.txt"
    words.write_bytes(b"Words.\n")
    bucket.client.delete_bucket_cors(Bucket=BUCKET)
    sign_in_as_owner(page, shop)
    page.goto(f"{shop.url}{FORM}")
    browsing.expect("net::ERR_FAILED", bucket.origin)
    page.get_by_label("New files").set_input_files(words)
    row = page.locator(".upload", has_text="Words.txt")
    expect(row).to_contain_text("sending to its storage fails. It is tried again by itself.")
    expect(page.get_by_role("status")).to_contain_text("Words.txt: The shop answers, but")
    expect(row).to_contain_text("python manage.py check_production --only uploads")
    keep(page, "admin-storage-refuses")

    let_in(shop)
    page.evaluate(AGAIN)
    expect(row).to_contain_text("ready")
    complaints, browsing.problems[:] = browsing.problems[:], []
    assert complaints
    assert [one for one in complaints if "blocked by CORS policy" not in one] == []
