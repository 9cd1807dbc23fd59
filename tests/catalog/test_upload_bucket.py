"""Uploads that go straight to a bucket, and downloads that come straight from it: every address is judged as the
bucket would judge it, and the bucket fails in every way that buckets do."""

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.storage import storages
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import User
from catalog import parts, stored_bytes, upload_checks
from catalog.models import File, Product
from catalog.upload_models import Upload
from fulfillment.models import Entitlement
from orders.models import Order
from storefront import settings as shop_settings
from tests.catalog.samples import pdf
from tests.catalog.sending import Sending, ask, start
from tests.catalog.test_upload_saving import save
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.sigcheck import BUCKET, SECRET, Bucket, judge, running_bucket, tampered

pytestmark = pytest.mark.django_db

MIB = 1 << 20
BIG = b"0123456789abcdef" * (MIB * 11 // 2 // 16)  # two parts; a bucket takes none below 5 MiB but the last


@pytest.fixture(scope="module")
def module_bucket() -> Iterator[Bucket]:
    with running_bucket() as bucket:
        yield bucket


@pytest.fixture
def bucket(module_bucket: Bucket, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    url = module_bucket.origin.replace("http://", f"s3://key:{SECRET}@") + f"/{BUCKET}?scheme=http"
    monkeypatch.setattr(shop_settings, "STORAGE_URL", url)
    settings.STORAGE_URL = url
    names = {"default": "private", "covers": "covers"}
    backends = {alias: shop_settings.storage_backend(name) for alias, name in names.items()}
    settings.STORAGES = {**settings.STORAGES, **backends}
    monkeypatch.setattr(parts, "SIZE", 5 * MIB)
    module_bucket.clear()
    yield module_bucket
    for alias in names:
        storages[alias].connection.meta.client.close()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def owner(client: Client) -> User:
    user: User = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def fetch(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes, Any]:
    if body is not None:
        headers["Content-Type"] = "application/octet-stream"  # browsers name none; urllib would call it a form
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def addresses(sending: Sending, *numbers: int) -> list[str]:
    answer = ask(sending.client, f"{sending.path}parts/", numbers=list(numbers))
    return [answer.json()["addresses"][str(number)] for number in numbers]


def put(sending: Sending, number: int, content: bytes | None = None) -> int:
    [address] = addresses(sending, number)
    body = sending.content_of(number) if content is None else content
    return fetch(address, "PUT", body)[0]


def send(client: Client, content: bytes, name: str = "book.pdf") -> Sending:
    sending = start(client, content, name)
    for number in range(1, sending.row.parts + 1):
        assert put(sending, number) == 200
    assert sending.complete().json()["state"] == "arrived"
    return sending


def stored(key: str) -> bytes:
    with storages["default"].open(key) as file:
        content: bytes = file.read()
    return content


# The bucket whole


def test_file_goes_straight_to_the_bucket_and_is_checked(client: Client, bucket: Bucket) -> None:
    sending = send(client, BIG, "big.txt")
    assert upload_checks.inspect(sending.row.pk)
    upload = sending.row
    assert (upload.state, upload.stored_size, stored(upload.key) == BIG) == ("checked", len(BIG), True)
    assert bucket.keys() == [f"private/{upload.key}"]
    assert bucket.multiparts() == []
    assert bucket.judged == [("PUT", f"/{BUCKET}/private/{upload.key}", "ok")] * 2


def test_bytes_come_from_the_bucket_a_block_at_a_time(client: Client, bucket: Bucket) -> None:
    sending = send(client, BIG, "big.txt")
    parts.join(sending.row)
    assert {len(block) for block in stored_bytes.blocks(sending.row.key)} == {MIB, MIB // 2}


def test_part_for_the_bucket_is_not_taken_by_the_shop(client: Client, bucket: Bucket) -> None:
    sending = start(client, BIG, "big.txt")
    assert sending.put(1).status_code == 400


def test_parts_in_any_order_and_twice_and_from_the_list_of_the_bucket(client: Client, bucket: Bucket) -> None:
    sending = start(client, BIG, "big.txt")
    assert [put(sending, number) for number in (2, 1, 2)] == [200, 200, 200]
    assert start(client, BIG, "big.txt").arrived == [1, 2]
    sending.complete()
    upload_checks.inspect(sending.row.pk)
    assert stored(sending.row.key) == BIG


def test_missing_part_is_named(client: Client, bucket: Bucket) -> None:
    sending = start(client, BIG, "big.txt")
    put(sending, 2)
    assert sending.complete().json() == {"missing": [1]}


def test_unlocked_copy_replaces_the_locked_one_in_the_bucket(client: Client, bucket: Bucket) -> None:
    sending = send(client, pdf(owner_password="secret"))
    upload_checks.inspect(sending.row.pk)
    assert sending.row.state == "checked"
    assert bucket.keys() == [f"private/{sending.row.key}"]
    assert b"/Encrypt" not in stored(sending.row.key)


def test_refused_file_leaves_nothing_in_the_bucket(client: Client, bucket: Bucket) -> None:
    sending = send(client, b"MZ a program")
    upload_checks.inspect(sending.row.pk)
    assert (sending.row.state, bucket.keys()) == ("refused", [])


def test_given_up_upload_leaves_nothing_in_the_bucket(client: Client, bucket: Bucket) -> None:
    sending = start(client, BIG, "big.txt")
    put(sending, 1)
    assert len(bucket.multiparts()) == 1
    assert ask(client, f"{sending.path}abandon/").status_code == 204
    assert (bucket.multiparts(), bucket.keys(), Upload.objects.count()) == ([], [], 0)


# Every address that we hand out


def test_s22_address_of_a_part_is_judged_as_the_bucket_would(client: Client, bucket: Bucket) -> None:
    sending = start(client, BIG, "big.txt")
    [address] = addresses(sending, 1)
    headers = {"content-length": str(5 * MIB)}
    assert judge("PUT", address, headers) == "ok"
    assert judge("PUT", address, headers, secret="another") == "tampered"
    assert judge("GET", address, headers) == "tampered"
    for changed in tampered(address):
        assert judge("PUT", changed, headers) in ("tampered", "expired", "unsigned"), changed
        assert fetch(changed, "PUT", sending.content_of(1))[0] == 403, changed
    assert judge("PUT", address, headers, now=time.time() + 14 * 60) == "ok"
    assert judge("PUT", address, headers, now=time.time() + 16 * 60) == "expired"
    bucket.clock = 16 * 60
    assert fetch(address, "PUT", sending.content_of(1))[0] == 403
    assert sending.complete().json() == {"missing": [1, 2]}


@pytest.mark.parametrize("length", [0, 1, 5 * MIB - 1, 5 * MIB + 1])
def test_s22_s52_length_of_a_part_is_signed(client: Client, bucket: Bucket, length: int) -> None:
    sending = start(client, BIG, "big.txt")
    assert put(sending, 1, b"x" * length) == 403
    assert bucket.judged[-1][2] == "tampered"


@pytest.fixture
def bought(bucket: Bucket) -> tuple[Client, File]:
    """A book in the bucket, and the browser of its buyer."""
    user = UserFactory()
    product = ProductFactory(name="Évenings “quiet”", content=BIG)
    order = OrderFactory(product=product, user=user, email=user.email, state=Order.State.PAID)
    Entitlement.objects.create(order_line=order.lines.get(), product=product, user=user)
    client = Client()
    client.force_login(user)
    return client, product.editions.get().files.get()


def presigned(client: Client, file: File) -> str:
    answer = client.get(reverse("download", args=[file.pk]))
    assert answer.status_code == 302
    return str(answer["Location"])


def test_s22_download_is_named_typed_and_kept_by_no_cache(bought: tuple[Client, File], bucket: Bucket) -> None:
    client, file = bought
    status, content, headers = fetch(presigned(client, file))
    assert (status, content == BIG) == (200, True)
    assert headers["Content-Type"] == "application/pdf"
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["Content-Disposition"].startswith("attachment; filename*=utf-8''%C3%89venings")
    assert bucket.judged[-1][2] == "ok"


def test_s22_range_comes_from_the_bucket(bought: tuple[Client, File]) -> None:
    status, content, headers = fetch(presigned(*bought), Range="bytes=10-25")
    assert (status, content, headers["Content-Range"]) == (206, BIG[10:26], f"bytes 10-25/{len(BIG)}")


def test_s22_address_of_a_download_dies_within_a_minute_and_cannot_be_altered(
    bought: tuple[Client, File], bucket: Bucket
) -> None:
    address = presigned(*bought)
    assert judge("GET", address, {}) == "ok"
    assert judge("GET", address, {}, secret="another") == "tampered"
    for changed in tampered(address):
        assert fetch(changed)[0] == 403, changed
    assert judge("GET", address, {}, now=time.time() + 57) == "ok"
    bucket.clock = 61
    assert fetch(address)[0] == 403
    assert bucket.judged[-1][2] == "expired"


def test_s22_stranger_gets_nothing_from_the_bucket(bought: tuple[Client, File], bucket: Bucket) -> None:
    assert fetch(f"{bucket.origin}/{BUCKET}/private/{bought[1].key}")[0] == 403
    assert bucket.judged[-1][2] == "unsigned"


# The bucket broken


def later(upload: Upload) -> None:
    assert (upload.state, upload.claim) == ("arrived", None)
    assert upload.problem == "The storage does not answer just now. It is tried again by itself."
    assert upload_checks.due() == []


@pytest.mark.parametrize(
    "fault",
    [
        ("POST /books/private", 403),
        ("GET /books/private", 403),
        ("HEAD /books/private", 403),
        ("GET /books/private", "cut"),
    ],
)
def test_f67_bucket_that_fails_while_a_file_is_checked_loses_nothing(
    client: Client, bucket: Bucket, fault: tuple[str, int | str]
) -> None:
    sending = send(client, BIG, "big.txt")
    if fault[0].startswith("GET"):  # the list of the parts is asked for first
        parts.join(sending.row)
    bucket.faults.extend([fault] * 10)
    assert not upload_checks.inspect(sending.row.pk)
    later(sending.row)
    bucket.faults.clear()
    Upload.objects.update(due_at=Now())
    assert upload_checks.inspect(sending.row.pk)
    assert (sending.row.state, stored(sending.row.key) == BIG) == ("checked", True)


def test_f67_slow_bucket_is_waited_for(client: Client, bucket: Bucket) -> None:
    sending = send(client, BIG, "big.txt")
    bucket.faults.append(("HEAD /books/private", "slow"))
    assert upload_checks.inspect(sending.row.pk)


def test_f67_bucket_that_refuses_is_a_503_with_words(client: Client, bucket: Bucket) -> None:
    bucket.faults.extend([("uploads", 403)] * 10)
    answer = ask(client, "/admin/catalog/product/uploads/", name="a.txt", size=5, modified=1)
    assert (answer.status_code, "does not answer" in answer.json()["problem"]) == (503, True)
    assert not Upload.objects.exists()


def test_f67_bucket_that_is_gone_is_a_503_and_loses_no_row(client: Client, bucket: Bucket, settings: Settings) -> None:
    sending = send(client, BIG, "big.txt")
    settings.STORAGES["default"]["OPTIONS"]["bucket_name"] = "gone"
    settings.STORAGES = {**settings.STORAGES}
    answer = ask(client, "/admin/catalog/product/uploads/", name="a.txt", size=5, modified=1)
    assert answer.status_code == 503
    assert not upload_checks.inspect(sending.row.pk)
    later(sending.row)


def test_parts_that_the_bucket_threw_away_begin_anew(client: Client, bucket: Bucket) -> None:
    """As its lifecycle rule does."""
    sending = start(client, BIG, "big.txt")
    put(sending, 1)
    bucket.client.abort_multipart_upload(
        Bucket=BUCKET, Key=f"private/{sending.row.key}", UploadId=sending.row.multipart
    )
    assert sending.complete().status_code == 410
    again = start(client, BIG, "big.txt")
    assert (again.id != sending.id, again.arrived, Upload.objects.count()) == (True, [], 1)


def test_i16_death_between_completing_in_the_bucket_and_the_row_is_made_good(client: Client, bucket: Bucket) -> None:
    sending = send(client, BIG, "big.txt")
    parts.join(sending.row)
    parts.join(sending.row)
    assert upload_checks.inspect(sending.row.pk)
    assert stored(sending.row.key) == BIG


def test_object_of_another_size_is_not_sold(client: Client, bucket: Bucket) -> None:
    sending = send(client, BIG, "big.txt")
    parts.join(sending.row)
    bucket.client.put_object(Bucket=BUCKET, Key=f"private/{sending.row.key}", Body=b"short")
    assert upload_checks.inspect(sending.row.pk)
    assert sending.row.problem == "Its bytes are gone from the storage. Upload it again."


def test_saved_upload_is_downloaded_from_where_it_was_sent(client: Client, bucket: Bucket) -> None:
    sending = send(client, BIG, "big.txt")
    upload_checks.inspect(sending.row.pk)
    assert save(client, uploads=[sending.id], price="0").status_code == 302
    file = Product.objects.get().editions.get().files.get()
    assert fetch(presigned(client, file))[1] == BIG


# Where the browser may send to


def connect_sources(answer: Any) -> str:
    directives = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    return str(directives["connect-src"])


def test_policy_lets_the_product_form_alone_send_to_the_bucket(client: Client, bucket: Bucket) -> None:
    product = ProductFactory(content=None, status=Product.Status.DRAFT)
    forms = ["/admin/catalog/product/add/", f"/admin/catalog/product/{product.pk}/change/"]
    assert [connect_sources(client.get(path)) for path in forms] == [f"'self' {bucket.origin}"] * 2
    others = ["/admin/", "/admin/catalog/product/", "/admin/catalog/edition/", "/", "/accounts/email/"]
    assert [connect_sources(client.get(path)) for path in others] == ["'self'"] * 5


def test_policy_lets_nothing_else_in_with_a_folder(client: Client) -> None:
    assert connect_sources(client.get("/admin/catalog/product/add/")) == "'self'"
