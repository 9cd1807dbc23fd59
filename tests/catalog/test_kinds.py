"""Product.kinds is what the files of the edition on sale are, whoever writes what: triggers keep it."""

import pytest
from django.utils import timezone

from catalog.models import Edition, File, Product
from tests.factories import EditionFactory, FileFactory, ProductFactory

pytestmark = pytest.mark.django_db


def kinds(product: Product) -> list[str]:
    return Product.objects.get(pk=product.pk).kinds


@pytest.mark.parametrize(
    "media_type, kind",
    [
        ("application/pdf", ["pdf"]),
        ("application/epub+zip", ["epub"]),
        ("application/zip", ["archive"]),
        ("audio/mpeg", ["audio"]),
        ("audio/mp4", ["audio"]),
        ("video/webm", ["video"]),
        ("image/webp", ["image"]),
        ("text/markdown", ["text"]),
        ("application/x-something-of-tomorrow", []),
    ],
)
def test_kind_follows_the_media_type(media_type: str, kind: list[str]) -> None:
    product = ProductFactory()
    product.editions.get().files.update(media_type=media_type)
    assert kinds(product) == kind


def test_every_kind_is_named_once() -> None:
    product = ProductFactory()
    edition = product.editions.get()
    for media_type in ("audio/mpeg", "audio/flac", "application/pdf"):
        FileFactory(edition=edition, media_type=media_type)
    assert kinds(product) == ["audio", "pdf"]


def test_newest_published_edition_with_files_decides() -> None:
    product = ProductFactory()
    second = EditionFactory(product=product, number=2)
    assert kinds(product) == ["pdf"]
    FileFactory(edition=second, media_type="video/mp4")
    assert kinds(product) == ["video"]
    Edition.objects.filter(pk=second.pk).update(published_at=None)
    assert kinds(product) == ["pdf"]
    Edition.objects.filter(pk=second.pk).update(published_at=timezone.now())
    File.objects.filter(edition=second).delete()
    assert kinds(product) == ["pdf"]


def test_edition_that_is_deleted_takes_its_kinds_along() -> None:
    product = ProductFactory()
    second = EditionFactory(product=product, number=2)
    FileFactory(edition=second, media_type="video/mp4")
    second.delete()
    assert kinds(product) == ["pdf"]
    product.status = Product.Status.DRAFT
    product.save()
    product.editions.all().delete()
    assert kinds(product) == []


def test_saving_what_was_read_long_ago_does_not_bring_back_old_kinds() -> None:
    product = ProductFactory()
    assert product.kinds == []  # it was made before its file
    product.save()
    assert kinds(product) == ["pdf"]
    Product.objects.update(kinds=["video", "audio"])
    assert kinds(product) == ["pdf"]


def test_product_can_be_deleted_with_its_files() -> None:
    product = ProductFactory()
    product.delete()
    assert not Product.objects.exists()
