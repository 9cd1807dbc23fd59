import io
from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.test import Client
from PIL import Image
from pytest_django import Settings

from catalog import covers
from catalog.cover_images import Cover
from catalog.models import File, Product
from storefront.celery import enqueue
from tests.catalog.samples import pdf
from tests.factories import EditionFactory, FileFactory, ProductFactory

COVER = Cover(small=b"RIFF small", small_height=427, large=b"RIFF large", large_height=853)


def test_cover_is_served_in_both_sizes(client: Client) -> None:
    key = covers.store(COVER)
    assert len(key) == 32
    for width, content in ((320, b"RIFF small"), (640, b"RIFF large")):
        answer = client.get(f"/covers/{key}-{width}.webp")
        assert answer.status_code == 200
        assert b"".join(answer.streaming_content) == content  # type: ignore[attr-defined]
        assert answer["Content-Type"] == "image/webp"
        assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "Vary" not in answer
        assert answer.cookies == {}


def test_i16_two_covers_never_share_a_key() -> None:
    assert covers.store(COVER) != covers.store(COVER)


@pytest.mark.parametrize(
    "path",
    [
        "nowhere-320.webp",
        "{key}-321.webp",
        "{key}-0.webp",
        "{key}-640",
        "{key}.webp",
        "{key}-320.webp/",
        "{key}-" + "9" * 400 + ".webp",
        "x" * 300 + "-320.webp",
        "..%2f{key}-320.webp",
        "%2e%2e/private-320.webp",
        "{key}%00-320.webp",
        "//etc/passwd",
    ],
)
def test_s24_cover_that_is_none_is_not_found(client: Client, path: str) -> None:
    key = covers.store(COVER)
    assert client.get(f"/covers/{path.format(key=key)}").status_code == 404


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_cover_is_only_read(client: Client, method: str) -> None:
    assert getattr(client, method)(f"/covers/{covers.store(COVER)}-320.webp").status_code == 405


def test_stripe_is_told_of_a_cover_that_it_can_load(settings: Settings) -> None:
    product = Product(cover="abc")
    settings.SITE_URL, settings.HTTPS = "https://shop.example", True
    assert covers.public_url(product) == "https://shop.example/covers/abc-640.webp"
    assert covers.public_url(Product()) == ""
    settings.HTTPS, settings.STRIPE_API_BASE = False, "https://api.stripe.com"
    assert covers.public_url(product) == ""


# The first page as the cover


def with_file(content: bytes, **file: object) -> Product:
    product: Product = ProductFactory(content=content)
    File.objects.update(**file)
    return product


def drawn(product: Product, width: int) -> Image.Image:
    with storages["covers"].open(covers.file_name(product.cover, width)) as file:
        image = Image.open(io.BytesIO(file.read()))
        image.load()
    return image


@pytest.mark.django_db
def test_first_page_becomes_the_cover() -> None:
    product = with_file(pdf())
    assert covers.from_first_page(product.pk)
    product.refresh_from_db()
    assert drawn(product, 320).size == (320, 427)
    assert drawn(product, 640).size == (640, product.cover_height) == (640, 854)


@pytest.mark.django_db
def test_first_page_is_not_drawn_again() -> None:
    product = with_file(pdf())
    covers.from_first_page(product.pk)
    product.refresh_from_db()
    assert not covers.from_first_page(product.pk)
    assert Product.objects.get().cover == product.cover
    assert len(storages["covers"].listdir("")[1]) == 2


@pytest.mark.django_db
def test_product_that_is_gone_needs_no_cover() -> None:
    assert not covers.from_first_page(123_456)


@pytest.mark.django_db
def test_file_that_cannot_be_drawn_is_tried_once(caplog: pytest.LogCaptureFixture) -> None:
    product = with_file(b"%PDF-1.7 not really")
    assert not covers.from_first_page(product.pk)
    product.refresh_from_db()
    assert (product.cover, product.cover_failed) == ("", True)
    assert [r.getMessage() for r in caplog.records] == [
        f"no cover for {product}: The first page of this PDF cannot be drawn. Upload a cover image instead."
    ]
    assert not Product.objects.wanting_cover().exists()


@pytest.mark.django_db
def test_product_without_pdf_gets_no_cover() -> None:
    product = with_file(b"words", media_type="text/plain")
    assert not covers.from_first_page(product.pk)
    assert Product.objects.get().cover_failed


@pytest.mark.django_db
def test_cover_shows_the_first_pdf_of_the_newest_edition() -> None:
    product = with_file(pdf())
    second = EditionFactory(product=product, number=2)
    FileFactory(edition=second, media_type="audio/mpeg", position=1)
    wide = storages["default"].save("wide", ContentFile(pdf(page_size=(400, 400))))
    FileFactory(edition=second, position=3, content=pdf())
    FileFactory(edition=second, position=2, key=wide, size=1)
    covers.from_first_page(product.pk)
    product.refresh_from_db()
    assert drawn(product, 640).size == (640, 640)


@pytest.mark.django_db(transaction=True)
def test_task_draws_the_cover(drain: Callable[[], int]) -> None:
    product = with_file(pdf())
    enqueue("catalog.tasks.make_cover", product.pk)
    assert drain() == 1
    product.refresh_from_db()
    assert product.cover
