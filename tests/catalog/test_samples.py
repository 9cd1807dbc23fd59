"""Look inside: a sample is due when something changed, is made once, shown in place of the one before, and served."""

import importlib
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from django.core.files.storage import storages
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from PIL import Image
from pytest_django import Settings

from catalog import migrations, samples, uploads
from catalog.models import Edition, File, Product
from catalog.sample_models import Sample, SamplePage
from tests.catalog.samples import book, pdf
from tests.factories import EditionFactory, FileFactory, ProductFactory

pytestmark = pytest.mark.django_db

State = Sample.State


def product_with(content: bytes, **product: Any) -> Product:
    made: Product = ProductFactory(content=content, **product)
    return made


def made(product: Product) -> Sample:
    """The sample that is shown once all that is due was done."""
    samples.want(product)
    work()
    return product.samples.get()


def work() -> None:
    for pk in list(Sample.objects.due(Now()).order_by("pk").values_list("pk", flat=True)):
        samples.make(pk)


def public_files() -> set[str]:
    store = storages["covers"]
    return set(store.listdir("")[1]) if store.exists("") else set()


def expected_files(sample: Sample) -> set[str]:
    pictures = {f"{sample.key}-page-{page.number}-{width}.webp" for page in sample.pages.all() for width in (480, 960)}
    return pictures | ({f"{sample.key}-sample.pdf"} if sample.pdf_size else set())


def numbers(sample: Sample) -> list[int]:
    return [page.number for page in sample.pages.all()]


def mark(sample: Sample) -> str:
    with storages["covers"].open(samples.pdf_name(sample.key)) as file:
        content = io.BytesIO(file.read())
    with pikepdf.open(content) as document:
        return str(document.docinfo["/Title"])


# Made


def test_sample_is_made_of_the_edition_on_sale() -> None:
    product = product_with(book(12, outline=[("One", 4)], heading=3))
    sample = made(product)
    assert (sample.state, sample.edition, sample.due_at, sample.problem) == (
        State.MADE,
        product.edition_on_sale(),
        None,
        "",
    )
    assert sample.made_at is not None
    assert [(page.number, page.height) for page in sample.pages.all()] == [(n, 1280) for n in (1, 2, 3, 4)]
    assert public_files() == expected_files(sample)
    assert storages["covers"].size(samples.pdf_name(sample.key)) == sample.pdf_size > 0
    assert File.objects.get().outline == [{"title": "One", "level": 0, "page": 4}]


def test_search_finds_the_titles_of_the_outline(client: Client) -> None:
    product = product_with(book(12, outline=[("Bowline", 4), ("Clove hitch", 5)]))
    assert client.get("/", {"q": "clove"}).context["products"] == []
    made(product)
    assert Product.objects.get().contents == "Bowline\nClove hitch"
    assert client.get("/", {"q": "clove"}).context["products"] == [product]


def test_upload_wants_a_sample_and_reads_the_outline(tmp_path: Path) -> None:
    product = ProductFactory(content=None, status=Product.Status.DRAFT)
    (tmp_path / "upload").write_bytes(book(9, outline=[("One", 4)]))
    uploads.add_files(product, [uploads.check(tmp_path / "upload", "book.pdf")])
    assert File.objects.get().outline == [{"title": "One", "level": 0, "page": 4}]
    assert [sample.state for sample in product.samples.all()] == [State.WANTED]
    work()
    assert numbers(product.samples.get()) == [1, 2, 3]


@pytest.mark.django_db(transaction=True)
def test_task_makes_the_sample(drain: Callable[[], int]) -> None:
    product = product_with(book(9))
    samples.want(product)
    assert drain() == 1
    assert product.samples.get().state == State.MADE


def test_sample_is_made_once() -> None:
    sample = made(product_with(book(9)))
    before = (public_files(), list(Sample.objects.values()))
    assert not samples.make(sample.pk)
    assert (public_files(), list(Sample.objects.values())) == before
    assert not samples.make(123_456)


@pytest.mark.parametrize("content", [book(2), pdf(1)])
def test_short_document_shows_nothing(content: bytes) -> None:
    sample = made(product_with(content))
    assert (sample.state, numbers(sample), sample.pdf_size) == (State.MADE, [], 0)
    assert public_files() == set()


@pytest.mark.parametrize("chosen", ["", "7, 9-10"])
def test_admin_chooses_the_pages(chosen: str) -> None:
    sample = made(product_with(book(15), sample_pages=chosen))
    assert numbers(sample) == ([1, 7, 9, 10] if chosen else [])
    assert public_files() == expected_files(sample)


def test_outlines_of_files_from_before_are_read_although_no_page_is_shown() -> None:
    product = product_with(book(3, outline=[("One", 1)]), sample_pages="")
    second = FileFactory(edition=product.editions.get(), position=2, content=book(3, outline=[("Two", 1)]))
    broken = FileFactory(edition=product.editions.get(), position=3)
    text = FileFactory(edition=product.editions.get(), position=4, media_type="text/plain")
    made(product)
    first = File.objects.earliest("pk")
    assert [entry["title"] for file in (first, File.objects.get(pk=second.pk)) for entry in file.outline or []] == [
        "One",
        "Two",
    ]
    assert File.objects.get(pk=broken.pk).outline == []
    assert File.objects.get(pk=text.pk).outline is None
    assert product.samples.get().state == State.MADE


def test_product_without_a_pdf_or_without_files_shows_nothing() -> None:
    words = product_with(b"words")
    File.objects.update(media_type="text/plain")
    empty = ProductFactory(content=None, status=Product.Status.DRAFT)
    for product in (words, empty):
        sample = made(product)
        assert (sample.state, numbers(sample), sample.edition) == (State.MADE, [], None)


@pytest.mark.parametrize(
    "name, site, expected",
    [
        ("Slow Bread", "Shop", "Sample · Slow Bread"),
        ("Café – “crème”", "Shop", "Sample · Café – “crème”"),
        ("Война и мир", "Shop", "Sample · Shop"),
        ("Война и мир", "Лавка", "Sample"),
    ],
)
def test_mark_names_the_product_or_the_shop(settings: Settings, name: str, site: str, expected: str) -> None:
    settings.SITE_NAME = site
    assert mark(made(product_with(book(3), name=name))) == expected


# Marked as failed, and still for sale


@pytest.mark.parametrize("gone", [False, True])
def test_file_that_cannot_be_drawn_is_tried_once(client: Client, caplog: pytest.LogCaptureFixture, gone: bool) -> None:
    product = product_with(b"%PDF-1.7 not really")
    if gone:
        storages["default"].delete(File.objects.get().key)
    sample = made(product)
    why = (
        "The file is gone from the storage."
        if gone
        else "This PDF is damaged. Export it again from the program it was made with."
    )
    assert (sample.state, sample.problem, sample.due_at) == (State.FAILED, why, None)
    assert f"no sample of {product}: " in caplog.text
    assert not Sample.objects.due(Now()).exists()
    assert public_files() == set()
    assert client.get(product.get_absolute_url()).status_code == 200


def test_failure_takes_the_old_pages_away() -> None:
    product = product_with(book(9))
    made(product)
    File.objects.update(key=storages["default"].save("other", io.BytesIO(b"%PDF-1.7 not really")))
    assert made(product).state == State.FAILED
    assert public_files() == set()


# In place of the one before


def test_new_edition_has_a_new_sample_and_the_old_files_are_deleted() -> None:
    product = product_with(book(9))
    old = made(product)
    before = public_files()
    second = EditionFactory(product=product, number=2)
    FileFactory(edition=second, content=book(15))
    new = made(product)
    assert (new.edition, numbers(new)) == (second, [1, 2, 3, 4, 5])
    assert new.key != old.key
    assert public_files() == expected_files(new)
    assert not public_files() & before
    assert Sample.objects.count() == 1


def test_old_sample_is_shown_until_the_new_one_is_made() -> None:
    product = product_with(book(9))
    old = made(product)
    samples.want(product)
    samples.want(product)
    assert sorted(sample.state for sample in product.samples.all()) == ["made", "replaced", "wanted"]
    assert expected_files(old) <= public_files()
    work()
    assert product.samples.get().key != old.key


def test_sample_that_is_made_while_another_is_wanted_is_not_shown() -> None:
    """The pages were chosen anew while a worker drew the old ones."""
    product = product_with(book(9))
    samples.want(product)
    first = product.samples.get()
    Sample.objects.filter(pk=first.pk).update(due_at=Now() + samples.LEASE)
    samples.want(product)
    first.refresh_from_db()
    assert first.state == State.REPLACED
    work()
    assert numbers(product.samples.get(state=State.MADE)) == [1, 2, 3]
    assert Sample.objects.filter(pk=first.pk).exists(), "its worker may still store a file"
    samples._show(first, product.pk, state=State.MADE)
    work()
    assert product.samples.get().pk != first.pk
    assert public_files() == expected_files(product.samples.get())


def test_attempt_that_broke_off_leaves_nothing_behind() -> None:
    """Killed after the rows were written, with some of the files stored."""
    product = product_with(book(9))
    samples.want(product)
    sample = product.samples.get()
    SamplePage.objects.bulk_create(SamplePage(sample=sample, number=n, height=9) for n in (1, 7))
    Sample.objects.update(pdf_size=9, due_at=Now() + samples.LEASE)
    for name in (samples.page_name(sample.key, 7, 480), samples.pdf_name(sample.key)):
        storages["covers"].save(name, io.BytesIO(b"half"))
    assert not samples.make(sample.pk), "somebody holds it"
    Sample.objects.update(due_at=Now() - timedelta(seconds=1))
    assert samples.make(sample.pk)
    sample.refresh_from_db()
    assert (sample.state, numbers(sample)) == (State.MADE, [1, 2, 3])
    assert public_files() == expected_files(sample)
    with storages["covers"].open(samples.pdf_name(sample.key)) as file:
        assert file.read(5) == b"%PDF-"


def test_sample_of_a_deleted_product_is_deleted_with_its_files() -> None:
    product = product_with(book(9), status=Product.Status.DRAFT)
    made(product)
    assert len(public_files()) == 7
    Edition.objects.all().delete()
    product.delete()
    assert Sample.objects.due(Now()).count() == 1
    work()
    assert not Sample.objects.exists()
    assert public_files() == set()


def test_product_deleted_while_its_sample_is_made() -> None:
    product = product_with(book(9), status=Product.Status.DRAFT)
    samples.want(product)
    sample = product.samples.get()
    Edition.objects.all().delete()
    pk = product.pk
    product.delete()
    samples._show(sample, pk, state=State.MADE)
    work()
    assert not Sample.objects.exists()


def test_products_of_before_are_wanted_by_the_migration() -> None:
    product = product_with(book(9))
    FileFactory(edition=EditionFactory(product=product, number=2))
    product_with(b"words")
    File.objects.filter(edition__product=Product.objects.latest("pk")).update(media_type="text/plain")
    (module,) = Path(migrations.__file__).parent.glob("*_look_inside.py")
    migration = importlib.import_module(f"catalog.migrations.{module.stem}")
    with connection.cursor() as cursor:
        cursor.execute(migration.WANT)
    sample = Sample.objects.get()
    assert (sample.product, sample.state, len(sample.key)) == (product, State.WANTED, 64)
    assert list(Sample.objects.due(Now())) == [sample]


# Served


def test_pages_and_sample_are_served_to_everybody(client: Client) -> None:
    sample = made(product_with(book(9)))
    for width in (480, 960):
        answer = client.get(f"/samples/{sample.key}/2-{width}.webp")
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/webp")
        assert Image.open(io.BytesIO(b"".join(answer.streaming_content))).width == width  # type: ignore[attr-defined]
    answer = client.get(f"/samples/{sample.key}/sample.pdf")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer["Content-Disposition"] == "attachment"
    content = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert (content[:5], len(content)) == (b"%PDF-", sample.pdf_size)
    for path in (f"/samples/{sample.key}/2-480.webp", f"/samples/{sample.key}/sample.pdf"):
        answer = client.get(path)
        assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert "Vary" not in answer
        assert answer.cookies == {}
        answer.close()


@pytest.mark.parametrize(
    "path",
    [
        "{key}/4-480.webp",
        "{key}/0-480.webp",
        "{key}/-1-480.webp",
        "{key}/1-481.webp",
        "{key}/1-960.png",
        "{key}/1.webp",
        "{key}/1-480.webp/",
        "{key}/" + "9" * 400 + "-480.webp",
        "{key}/1-" + "9" * 400 + ".webp",
        "{key}/%00-480.webp",
        "{key}/１-480.webp",
        "x" * 300 + "/1-480.webp",
        "x" * 300 + "/sample.pdf",
        "nowhere/sample.pdf",
        "{key}%00/sample.pdf",
        "..%2f{key}/sample.pdf",
        "%2e%2e/private/sample.pdf",
        "{key}/book.pdf",
        "{key}/",
        "/etc/passwd",
    ],
)
def test_s24_page_that_is_not_shown_is_not_found(client: Client, path: str) -> None:
    key = "abc"
    for name in (samples.page_name(key, 1, 480), samples.page_name(key, 1, 960), samples.pdf_name(key)):
        storages["covers"].save(name, io.BytesIO(b"here"))
    assert client.get(f"/samples/{path.format(key=key)}").status_code == 404


@pytest.mark.parametrize("method", ["post", "put", "delete"])
@pytest.mark.parametrize("path", ["1-480.webp", "sample.pdf"])
def test_sample_is_only_read(client: Client, method: str, path: str) -> None:
    assert getattr(client, method)(f"/samples/nokey/{path}").status_code == 405


def test_s23_private_files_are_not_among_the_public_ones(client: Client) -> None:
    product = product_with(book(9))
    key = File.objects.get().key
    made(product)
    for path in (f"/samples/{key}/sample.pdf", f"/samples/{key}/1-480.webp", f"/covers/{key}-640.webp"):
        assert client.get(path).status_code == 404


def test_keys_are_random() -> None:
    first, second = made(product_with(book(3))), made(product_with(book(3)))
    assert len({first.key, second.key}) == 2
    assert len(first.key) == 64
