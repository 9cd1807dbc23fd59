"""Bytes: who may have them, now and in ranges."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from catalog.models import File, Product
from fulfillment.models import Download, Entitlement
from orders.models import Order
from tests.factories import EditionFactory, FileFactory, OrderFactory, ProductFactory, UserFactory
from tests.steps import body_of

pytestmark = pytest.mark.django_db

BYTES = bytes(range(256)) * 1000


@pytest.fixture
def owner() -> User:
    return UserFactory()


@pytest.fixture
def file(owner: User) -> File:
    product = ProductFactory(content=BYTES)
    grant(product, user=owner)
    return File.objects.get(edition__product=product)


def grant(product: Product, *, user: User | None = None, email: str = "", **fields: object) -> Entitlement:
    order = OrderFactory(state=Order.State.PAID, product=product, user=user, email=email)
    line = order.lines.get()
    return Entitlement.objects.create(order_line=line, product=product, user=user, email=email, **fields)


def get(client: Client, file: File, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    answer = client.get(f"/downloads/{file.pk}/", headers=headers)
    return answer.status_code, body_of(answer), dict(answer.headers)


def signed_in(client: Client, user: User) -> Client:
    client.force_login(user)
    return client


def test_i15_s55_owner_gets_exactly_the_bytes(client: Client, owner: User, file: File) -> None:
    status, body, headers = get(signed_in(client, owner), file)
    assert (status, body) == (200, BYTES)
    assert headers["Content-Length"] == str(len(BYTES))
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Disposition"].startswith("attachment; filename=")
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_s19_i15_stranger_and_other_buyer_get_404(client: Client, file: File) -> None:
    assert get(client, file)[0] == 404
    assert get(signed_in(client, UserFactory()), file)[0] == 404
    assert Download.objects.count() == 0


def test_s21_head_is_decided_like_get_and_is_not_logged(client: Client, owner: User, file: File) -> None:
    assert client.head(f"/downloads/{file.pk}/").status_code == 404
    answer = signed_in(client, owner).head(f"/downloads/{file.pk}/")
    assert (answer.status_code, answer["Content-Length"], body_of(answer)) == (200, str(len(BYTES)), b"")
    assert Download.objects.count() == 0
    assert client.post(f"/downloads/{file.pk}/").status_code == 405


LAST = len(BYTES) - 1


@pytest.mark.parametrize(
    "wanted, first, last",
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-499", 0, 499),
        ("bytes=500-", 500, LAST),
        ("bytes=-500", LAST - 499, LAST),
        ("bytes=-999999999", 0, LAST),
        (f"bytes={LAST}-", LAST, LAST),
        ("bytes=100000-199999", 100_000, 199_999),
        ("bytes=255000-99999999", 255_000, LAST),
    ],
)
def test_s21_range_is_answered_with_206(
    client: Client, owner: User, file: File, wanted: str, first: int, last: int
) -> None:
    status, body, headers = get(signed_in(client, owner), file, range=wanted)
    assert (status, body) == (206, BYTES[first : last + 1])
    assert headers["Content-Range"] == f"bytes {first}-{last}/{len(BYTES)}"
    assert headers["Content-Length"] == str(last - first + 1)


@pytest.mark.parametrize("wanted", [f"bytes={len(BYTES)}-", "bytes=-0", "bytes=999999999999-"])
def test_range_outside_the_file_is_416(client: Client, owner: User, file: File, wanted: str) -> None:
    status, body, headers = get(signed_in(client, owner), file, range=wanted)
    assert (status, body, headers["Content-Range"]) == (416, b"", f"bytes */{len(BYTES)}")


@pytest.mark.parametrize(
    "wanted",
    ["bytes=5-2", "bytes=-", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=" + "9" * 30 + "-", "bytes=٣-٤"],
)
def test_what_is_no_single_range_gets_the_whole_file(client: Client, owner: User, file: File, wanted: str) -> None:
    status, body, _ = get(signed_in(client, owner), file, range=wanted)
    assert (status, len(body)) == (200, len(BYTES))


def test_if_range_resumes_the_same_bytes_only(client: Client, owner: User, file: File) -> None:
    client = signed_in(client, owner)
    etag = get(client, file)[2]["ETag"]
    assert etag == f'"{file.sha256}"'
    assert get(client, file, range="bytes=0-9", **{"if-range": etag})[0] == 206
    assert get(client, file, range="bytes=0-9", **{"if-range": '"other"'})[0] == 200


@pytest.mark.parametrize(
    "end",
    [
        lambda: Entitlement.objects.update(state="revoked", reason="refunded"),
        lambda: Entitlement.objects.update(state="suspended", reason="disputed"),
        lambda: Entitlement.objects.update(valid_until=timezone.now()),
    ],
    ids=["refunded", "disputed", "lapsed"],
)
def test_s20_s21_access_is_asked_again_for_every_range(
    client: Client, owner: User, file: File, end: Callable[[], int]
) -> None:
    client = signed_in(client, owner)
    assert get(client, file, range="bytes=0-9")[0] == 206
    end()
    assert get(client, file, range="bytes=10-19")[0] == 404


def test_ranges_within_half_an_hour_are_one_download(client: Client, owner: User, file: File) -> None:
    client = signed_in(client, owner)
    for start in range(0, 50, 10):
        get(client, file, range=f"bytes={start}-{start + 9}", **{"user-agent": "Reader/1.0"})
    download = Download.objects.get()
    assert (download.ranges, download.via, download.address, download.agent) == (
        5,
        "library",
        "127.0.0.1",
        "Reader/1.0",
    )
    Download.objects.update(last_at=timezone.now() - timedelta(minutes=31))
    get(client, file)
    assert Download.objects.count() == 2


def test_s29_guest_purchase_opens_with_the_proven_address_alone(client: Client) -> None:
    """Whoever registers the address first has nothing until the mailbox is theirs."""
    product = ProductFactory()
    grant(product, email="victim@example.com")
    file = product.editions.get().files.get()
    squatter = UserFactory(email="victim@example.com", proven=False)
    assert get(signed_in(client, squatter), file)[0] == 404
    squatter.emailaddress_set.update(verified=True)
    assert get(client, file)[0] == 200


def test_free_product_on_sale_is_open_to_all_and_logged(client: Client) -> None:
    product = ProductFactory(price=0)
    file = product.editions.get().files.get()
    assert get(client, file)[0] == 200
    assert Download.objects.get().via == "free"
    product.status = Product.Status.ARCHIVED
    product.save()
    assert get(client, file)[0] == 404


def test_f56_archived_product_stays_with_its_owner(client: Client, owner: User, file: File) -> None:
    Product.objects.update(status=Product.Status.ARCHIVED)
    assert get(signed_in(client, owner), file)[0] == 200


def test_buyers_read_newer_and_older_editions_but_none_in_preparation(client: Client, owner: User, file: File) -> None:
    product = file.edition.product
    newer = FileFactory(edition=EditionFactory(product=product, number=2))
    draft = FileFactory(edition=EditionFactory(product=product, number=3, published_at=None), key="k3", size=1)
    client = signed_in(client, owner)
    assert [get(client, one)[0] for one in (file, newer, draft)] == [200, 200, 404]


def test_f56_edition_that_was_sold_stays_readable_when_withdrawn(client: Client, owner: User, file: File) -> None:
    FileFactory(edition=EditionFactory(product=file.edition.product, number=2))
    file.edition.published_at = None
    file.edition.save()
    assert get(signed_in(client, owner), file)[0] == 200


def test_s60_staff_need_the_permission_to_see_files(client: Client, admin_client: Client, file: File) -> None:
    assert get(signed_in(client, UserFactory(is_staff=True)), file)[0] == 404
    assert get(admin_client, file)[0] == 200


@pytest.mark.parametrize("name", ["Zoë Ångström – Füße.pdf", 'quo"te.pdf', "日本語.pdf", "a;b.pdf"])
def test_s56_name_in_any_script_reaches_the_browser(client: Client, owner: User, file: File, name: str) -> None:
    File.objects.update(name=name)
    disposition = get(signed_in(client, owner), file)[2]["Content-Disposition"]
    assert disposition.startswith("attachment; filename")
    assert not {"\r", "\n"} & set(disposition)


def test_f67_missing_bytes_are_a_polite_503(client: Client, owner: User, file: File) -> None:
    storages["default"].delete(file.key)
    status, body, headers = get(signed_in(client, owner), file)
    assert (status, headers["Cache-Control"]) == (503, "private, no-store")
    assert b"try again later" in body


def test_nginx_serves_the_bytes_when_told_so(client: Client, owner: User, file: File, settings: Settings) -> None:
    settings.X_ACCEL_REDIRECT = "/protected/"
    status, body, headers = get(signed_in(client, owner), file)
    assert (status, body, headers["X-Accel-Redirect"]) == (200, b"", f"/protected/{file.key}")
    assert headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize("path", ["abc", "0", "-1", "9" * 30, "1%00", "../1"])
def test_s61_strange_file_numbers_are_404(client: Client, path: str) -> None:
    assert client.get(f"/downloads/{path}/").status_code == 404


def test_bytes_asked_for_add_up_over_the_ranges_of_a_download(client: Client, owner: User, file: File) -> None:
    browser = signed_in(client, owner)
    for wanted in ("bytes=0-99", "bytes=100-", "bytes=-50", f"bytes={len(BYTES)}-"):
        get(browser, file, range=wanted)
    assert Download.objects.values_list("ranges", "bytes").get() == (4, 100 + len(BYTES) - 100 + 50 + 0)


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=5-2"}, {"range": "bytes=0-9", "if-range": '"other"'}])
def test_whole_file_counts_whole(client: Client, owner: User, file: File, headers: dict[str, str]) -> None:
    get(signed_in(client, owner), file, **headers)
    assert Download.objects.values_list("ranges", "bytes").get() == (1, len(BYTES))


def test_bytes_are_counted_when_nginx_sends_them(client: Client, owner: User, file: File, settings: Settings) -> None:
    settings.X_ACCEL_REDIRECT = "/protected/"
    get(signed_in(client, owner), file, range="bytes=0-99")
    assert Download.objects.get().bytes == 100
