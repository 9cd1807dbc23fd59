"""ZIPs: whole, of known length, made in little memory, and only for those who may read what is in them."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.base import File as DjangoFile
from django.core.files.storage import storages
from django.test import Client
from pytest_django import Settings
from zipstream import ZipStream

from catalog.models import Product
from catalog.stored_bytes import blocks
from fulfillment import links
from fulfillment.downloads import BLOCK
from fulfillment.models import Download, Entitlement
from orders.models import Order
from tests.factories import PDF, FileFactory, OrderFactory, ProductFactory, UserFactory
from tests.steps import GUEST, body_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def order() -> Order:
    """Of one product with two files."""
    order: Order = OrderFactory(state=Order.State.PAID, email=GUEST, product=ProductFactory(name="The Quiet Sky"))
    line = order.lines.get()
    FileFactory(edition=line.edition, name="maps.zip", content=b"maps" * 50_000)
    Entitlement.objects.create(order_line=line, product=line.product, email=GUEST)
    return order


@pytest.fixture
def owner(client: Client, order: Order) -> Client:
    client.force_login(UserFactory(email=GUEST))
    return client


def unzipped(answer: Any) -> dict[str, bytes]:
    """The files in it, each read and its checksum compared; the length is the one that was promised."""
    body = body_of(answer)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert int(answer["Content-Length"]) == len(body)
    with zipfile.ZipFile(io.BytesIO(body)) as found:
        assert found.testzip() is None
        assert {info.compress_type for info in found.infolist()} == {zipfile.ZIP_STORED}
        return {name: found.read(name) for name in found.namelist()}


def address(order: Order) -> str:
    return f"/library/{order.lines.get().product.slug}/all.zip"


def test_product_zip_has_every_file_and_notes_each_download(owner: Client, order: Order) -> None:
    answer = owner.get(address(order))
    assert answer["Content-Disposition"] == 'attachment; filename="The Quiet Sky.zip"'
    assert answer["Accept-Ranges"] == "none"
    assert {"private", "no-store"} <= {part.strip() for part in answer["Cache-Control"].split(",")}
    assert unzipped(answer) == {"The Quiet Sky.pdf": PDF, "maps.zip": b"maps" * 50_000}
    noted = Download.objects.order_by("pk").values_list("file__name", "via", "bytes")
    assert list(noted) == [("The Quiet Sky.pdf", "library", len(PDF)), ("maps.zip", "library", 200_000)]


def test_a_range_is_answered_with_all_of_it(owner: Client, order: Order) -> None:
    assert len(unzipped(owner.get(address(order), headers={"Range": "bytes=0-3"}))) == 2
    assert Download.objects.filter(bytes=200_000).exists()


def test_head_tells_the_length_and_notes_nothing(owner: Client, order: Order) -> None:
    answer = owner.head(address(order))
    assert int(answer["Content-Length"]) > 200_000
    assert body_of(answer) == b""
    assert not Download.objects.exists()


def test_only_the_newest_edition_is_in_it(owner: Client, order: Order) -> None:
    product = order.lines.get().product
    FileFactory(edition=product.editions.create(number=2), name="second.pdf", content=b"2")
    assert unzipped(owner.get(address(order))) == {"second.pdf": b"2"}


def test_library_zip_has_a_folder_for_each_product(owner: Client, order: Order) -> None:
    other = OrderFactory(state=Order.State.PAID, email=GUEST, product=ProductFactory())
    line = other.lines.get()
    Product.objects.filter(pk=line.product_id).update(name="What: is / this?")
    Entitlement.objects.create(order_line=line, product=line.product, email=GUEST)
    ended = OrderFactory(state=Order.State.PAID, email=GUEST).lines.get()
    Entitlement.objects.create(order_line=ended, product=ended.product, email=GUEST, state="revoked", reason="refunded")
    names = sorted(unzipped(owner.get("/library/all.zip")))
    assert [name.split("/")[0] for name in names] == ["The Quiet Sky", "The Quiet Sky", "this"]
    assert all(name.count("/") == 1 and ".." not in name for name in names)


def test_names_that_a_file_system_takes_for_the_same_are_numbered(owner: Client, order: Order) -> None:
    edition = order.lines.get().edition
    for name in ("Maps.zip", "MAPS.ZIP", "Karte é.pdf", "Karte e\u0301.pdf"):
        FileFactory(edition=edition, name=name, content=name.encode())
    assert sorted(unzipped(owner.get(address(order)))) == [
        "Karte e\u0301 (2).pdf", "Karte é.pdf", "MAPS (3).ZIP", "Maps (2).zip", "The Quiet Sky.pdf", "maps.zip"
    ]  # fmt: skip


def test_mailed_link_gives_the_zip_to_a_button_alone(client: Client, order: Order) -> None:
    token = links.token(order)
    assert f'action="/links/{token}/all.zip"' in client.get(f"/links/{token}/").content.decode()
    assert client.get(f"/links/{token}/all.zip").status_code == 405
    assert set(unzipped(client.post(f"/links/{token}/all.zip"))) == {"The Quiet Sky.pdf", "maps.zip"}
    assert set(Download.objects.values_list("via", flat=True)) == {"link"}


def test_link_that_is_no_good_gives_no_zip(client: Client, order: Order) -> None:
    token = links.token(order)
    links.void(order)
    for dead in (token, token[:-1], "x", "x.y.z"):
        answer = client.post(f"/links/{dead}/all.zip")
        assert (answer.status_code, answer["Location"]) == (303, f"/links/{dead}/")


def test_strangers_get_no_zip(client: Client, order: Order) -> None:
    assert client.get(address(order)).status_code == 404
    assert client.get("/library/all.zip")["Location"] == "/accounts/login/?next=/library/all.zip"
    client.force_login(UserFactory(email="other@example.com"))
    assert client.get(address(order)).status_code == 404
    assert client.get("/library/all.zip").status_code == 404
    client.force_login(UserFactory(email="claims@example.com", proven=False))
    assert client.get(address(order)).status_code == 404


def test_guest_who_has_just_paid_gets_it_in_the_same_browser(client: Client, order: Order) -> None:
    session = client.session
    session["orders"] = {order.reference: 99_999_999_999}
    session.save()
    assert len(unzipped(client.get(address(order)))) == 2
    assert Client().get(address(order)).status_code == 404


@pytest.mark.parametrize(
    "ended, why",
    [
        ({"state": "revoked", "reason": "refunded"}, "This was refunded"),
        ({"state": "suspended", "reason": "disputed"}, "The bank is looking into this payment"),
        ({"valid_until": "2020-01-01T00:00:00Z"}, "Access ended on Jan. 1, 2020"),
    ],
)
def test_revoked_access_gives_a_page_that_says_why(
    owner: Client, order: Order, ended: dict[str, str], why: str
) -> None:
    Entitlement.objects.update(**ended)
    for answer in (owner.get(address(order)), Client().post(f"/links/{links.token(order)}/all.zip")):
        assert answer.status_code == 403
        assert why in answer.content.decode()
    assert owner.get("/library/all.zip").status_code == 404
    assert not Download.objects.exists()


def test_missing_bytes_are_told_before_any_is_sent(owner: Client, order: Order) -> None:
    storages["default"].delete(order.lines.get().edition.files.get(name="maps.zip").key)
    answer = owner.get(address(order))
    assert answer.status_code == 503
    assert "no-store" in answer["Cache-Control"]


def test_bytes_that_are_not_as_long_as_they_should_be_break_the_download(owner: Client, order: Order) -> None:
    """Too short a file would shift all that follows; the browser must not think that it got everything."""
    order.lines.get().edition.files.update(size=len(PDF) + 1)
    with pytest.raises(RuntimeError, match="size did not match"):
        body_of(owner.get(address(order)))


class BucketFile(DjangoFile):
    """As django-storages opens an object: reading the file itself would copy all of it first."""

    def __init__(self, data: bytes) -> None:
        super().__init__(ContentFile(b""))
        self.obj, self.data = self, data

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        raise AssertionError("copied as a whole")

    def get(self) -> dict[str, Any]:
        return {"Body": self}

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        yield from (self.data[at : at + size] for at in range(0, len(self.data), size))


def test_objects_in_a_bucket_are_streamed(settings: Settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "default": {"BACKEND": f"{__name__}.Bucket"}}
    found = list(blocks("key", BLOCK))
    assert (b"".join(found), len(found)) == (b"k" * 200_000, 4)


class Bucket:
    def open(self, key: str) -> BucketFile:
        return BucketFile(key[:1].encode() * 200_000)


def zeros(size: int) -> Iterator[bytes]:
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        yield block


def test_more_than_four_gigabytes_keep_their_promised_length() -> None:
    """ZIP64 from there on: in the entry, in the directory, and for an entry that begins beyond."""
    size = 4096 << 20
    archive = ZipStream(sized=True)
    archive.add(zeros(size), "large.bin", size=size)
    archive.add([b"small"], "small.txt", size=5)
    assert size + 5 < len(archive) < size + 600


SCRIPT = """
import resource, sys
from zipstream import ZipStream
from pathlib import Path
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
archive = ZipStream(sized=True)
def blocks(path):
    with open(path, "rb") as source:
        while block := source.read(65536):
            yield block
for number in range(4):
    archive.add(blocks(sys.argv[1]), f"{number}.bin", size=Path(sys.argv[1]).stat().st_size)
sent = sum(len(block) for block in archive)
print(sent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Four times 256 MB, in a process of its own; a file is sparse here, and read like any other."""
    large = tmp_path / "large.bin"
    with large.open("wb") as file:
        file.truncate(256 << 20)
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(large)], capture_output=True, text=True, check=True)
    sent, grown = map(int, done.stdout.split())
    assert sent > 1024 << 20
    assert grown < 8 * 1024  # kB; Linux
