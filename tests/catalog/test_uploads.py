import gc
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.files.storage import storages
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import StopUpload
from django.test import Client, RequestFactory
from pytest_django import Settings

from accounts.models import User
from catalog import uploads
from catalog.models import Edition, File, Product
from tests.catalog.samples import pdf, upload
from tests.factories import ProductFactory, UserFactory

HANDLER = "catalog.uploads.StaffUploadHandler"


@pytest.fixture
def checked(tmp_path: Path) -> Callable[..., uploads.Checked]:
    def check(content: bytes, name: str = "book.pdf") -> uploads.Checked:
        path = tmp_path / f"upload-{len(list(tmp_path.iterdir()))}"
        path.write_bytes(content)
        return uploads.check(path, name)

    return check


@pytest.fixture
def draft(db: None) -> Product:
    product: Product = ProductFactory(content=None, status=Product.Status.DRAFT)
    return product


Check = Callable[..., uploads.Checked]


def stored(file: File) -> bytes:
    with storages["default"].open(file.key) as source:
        content: bytes = source.read()
    return content


def test_stored_bytes_are_those_of_the_upload(draft: Product, checked: Check) -> None:
    content = pdf(pages=3)
    edition = uploads.add_files(draft, [checked(content, "My Book.PDF")])
    file = edition.files.get()
    assert stored(file) == content
    assert (file.name, file.media_type, file.pages) == ("My Book.pdf", "application/pdf", 3)
    assert (file.size, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (edition.number, edition.published_at is not None) == (1, True)


def test_s23_s46_keys_are_random_and_say_nothing(draft: Product, checked: Check) -> None:
    content = pdf()
    uploads.add_files(draft, [checked(content, "same.pdf"), checked(content, "same.pdf")])
    first, second = File.objects.all()
    assert first.key != second.key
    for file in (first, second):
        assert re.fullmatch(r"([0-9a-f]{2})/\1[0-9a-f]{38}", file.key)
        assert stored(file) == content


def test_files_keep_the_order_of_the_upload(draft: Product, checked: Check) -> None:
    notes = [checked(b"Words.\n", f"{name}.txt") for name in ("c", "a", "b")]
    edition = uploads.add_files(draft, notes[:2])
    uploads.add_files(draft, notes[2:])
    assert list(edition.files.values_list("position", "name")) == [(1, "c.txt"), (2, "a.txt"), (3, "b.txt")]


def test_new_edition_leaves_the_old_one_as_it_was(draft: Product, checked: Check) -> None:
    first = uploads.add_files(draft, [checked(b"One.\n", "one.txt")])
    second = uploads.add_files(draft, [checked(b"Two.\n", "two.txt")], as_new_edition=True, notes="Better.")
    assert (second.number, second.notes) == (2, "Better.")
    assert [file.name for file in first.files.all()] == ["one.txt"]
    assert [file.name for file in second.files.all()] == ["two.txt"]
    assert draft.edition_on_sale() == second


def test_f66_i16_nothing_is_kept_when_one_of_several_files_cannot_be_stored(draft: Product, checked: Check) -> None:
    good, lost = checked(b"One.\n", "one.txt"), checked(b"Two.\n", "two.txt")
    lost.path.unlink()
    with pytest.raises(FileNotFoundError):
        uploads.add_files(draft, [good, lost])
    assert not Edition.objects.exists()
    assert not File.objects.exists()


def test_s52_file_over_the_limit_is_refused(checked: Check, settings: Settings) -> None:
    settings.MAX_UPLOAD_BYTES = 1024
    checked(b"x" * 1024, "book.txt")
    with pytest.raises(ValidationError) as caught:
        checked(b"x" * 1025, "book.txt")
    assert caught.value.messages == ["book.txt is too large: a file may have up to 1.0\xa0KB."]


@pytest.mark.parametrize(
    "content, name, words",
    [
        (b"MZ program", "book.pdf", "book.pdf: This is a Windows program."),
        (b"<html><script>", "book.pdf.html", "book.pdf.html: This is a web page (HTML)."),
        (b"", "book.pdf", "book.pdf: This file is empty."),
        (b"%PDF-1.7\n", "book.pdf", "book.pdf: This PDF is cut off"),
        (b"MZ", "x" * 300 + ".pdf", "x" * 100 + ": This is a Windows program."),
    ],
)
def test_refusal_names_the_file_and_the_reason(checked: Check, content: bytes, name: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        checked(content, name)
    assert caught.value.messages[0].startswith(words)


def test_s49_locked_pdf_that_opens_is_stored_unlocked_and_its_copy_deleted(draft: Product, checked: Check) -> None:
    content = pdf(owner_password="secret")
    found = checked(content)
    copy = found.inspected.replacement
    assert copy is not None
    unlocked = copy.read_bytes()
    file = uploads.add_files(draft, [found]).files.get()
    assert stored(file) == unlocked != content
    assert file.sha256 == hashlib.sha256(unlocked).hexdigest()
    del found
    gc.collect()
    assert not copy.exists()


def test_file_added_to_a_product_whose_cover_failed_gives_it_another_chance(draft: Product, checked: Check) -> None:
    Product.objects.filter(pk=draft.pk).update(cover_failed=True)
    uploads.add_files(draft, [checked(pdf())])
    assert list(Product.objects.wanting_cover()) == [draft]


# What reaches the disk


def handler_for(user: User | None) -> uploads.StaffUploadHandler:
    request = RequestFactory().post("/")
    if user is not None:
        request.user = user
    return uploads.StaffUploadHandler(request)


@pytest.mark.parametrize("user", [None, User(), User(is_staff=False)])
def test_s52_file_of_a_stranger_is_not_read(user: User | None) -> None:
    with pytest.raises(StopUpload) as caught:
        handler_for(user).new_file("new_files", "book.pdf", "application/pdf", None)
    assert caught.value.connection_reset


def test_s52_file_of_staff_is_written_to_disk_little_beyond_the_limit(settings: Settings) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    handler = handler_for(User(is_staff=True))
    handler.new_file("new_files", "book.pdf", "application/pdf", None)
    for start in range(0, 10_000, 500):
        handler.receive_data_chunk(b"x" * 500, start)
    file = handler.file_complete(10_000)
    assert isinstance(file, TemporaryUploadedFile)
    assert uploads.path_of(file).stat().st_size == 1500
    with pytest.raises(ValidationError):
        uploads.check(uploads.path_of(file), "book.pdf")
    file.close()


@pytest.mark.django_db
def test_s52_files_sent_to_public_pages_are_not_stored(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.FILE_UPLOAD_HANDLERS = [HANDLER]
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    client.force_login(UserFactory())
    for path in ("/accounts/login/", "/accounts/email/", "/products/x/buy/", "/admin/catalog/product/add/"):
        answer = client.post(path, {"file": upload(b"x" * 100_000)})
        assert answer.status_code < 500, path
        assert answer.wsgi_request.FILES == {}, path
    assert list(tmp_path.iterdir()) == []
