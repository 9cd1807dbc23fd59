"""The catalogue's promises are kept by the database; each is broken here on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from catalog import money
from catalog.models import Category, Edition, File, Product
from tests.factories import CategoryFactory, EditionFactory, FileFactory, OrderFactory, ProductFactory

pytestmark = pytest.mark.django_db


def commit() -> None:
    """Check now what is otherwise checked when the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@contextmanager
def refused(constraint: str) -> Iterator[None]:
    with pytest.raises(IntegrityError) as caught:
        yield
    cause = caught.value.__cause__
    assert isinstance(cause, psycopg.Error)
    assert cause.diag.constraint_name == constraint


def test_product_name_is_unique_regardless_of_case() -> None:
    ProductFactory(name="Quiet Evenings")
    with refused("product_name_unique"):
        ProductFactory(name="QUIET evenings")


def test_product_slug_is_unique_regardless_of_case() -> None:
    ProductFactory(slug="quiet-evenings")
    with refused("product_slug_unique"):
        ProductFactory(slug="Quiet-Evenings")


def test_product_name_has_three_characters() -> None:
    ProductFactory(name="abc")
    with refused("product_name_length"):
        ProductFactory(name="ab")


def test_s42_price_is_not_negative() -> None:
    for currency in ("usd", "isk"):
        with refused("product_price_chargeable"), transaction.atomic():
            ProductFactory(price=-1, currency=currency)


@pytest.mark.parametrize("currency", sorted(money.MINIMUM))
def test_price_of_a_currency_is_free_or_at_least_its_minimum(currency: str) -> None:
    least = money.MINIMUM[currency]
    for price in (0, least, money.MAXIMUM):
        ProductFactory(price=price, currency=currency, content=None, status=Product.Status.DRAFT)
    for price in (1, least - 1, money.MAXIMUM + 1):
        with refused("product_price_chargeable"), transaction.atomic():
            ProductFactory(price=price, currency=currency)


def test_what_is_not_on_sale_has_any_price_of_eight_digits() -> None:
    for status in (Product.Status.DRAFT, Product.Status.ARCHIVED):
        product = ProductFactory(price=1, currency="usd", status=status)
        for price in (-1, money.MAXIMUM + 1):
            with pytest.raises(IntegrityError, match="product_price_"), transaction.atomic():
                Product.objects.filter(pk=product.pk).update(price=price)
        with refused("product_price_chargeable"), transaction.atomic():
            product.status = Product.Status.PUBLISHED
            product.save()


def test_price_in_a_currency_without_known_minimum_is_within_eight_digits() -> None:
    ProductFactory(price=1, currency="isk")
    with refused("product_price_chargeable"):
        ProductFactory(price=100_000_000, currency="isk")


def test_product_on_sale_has_a_time_of_publication() -> None:
    product = ProductFactory()
    with refused("product_published_at_known"):
        Product.objects.filter(pk=product.pk).update(published_at=None)


def test_time_of_publication_is_set_once() -> None:
    product = ProductFactory(status=Product.Status.DRAFT)
    times = [product.published_at]
    for status in (Product.Status.PUBLISHED, Product.Status.DRAFT, Product.Status.PUBLISHED):
        product.status = status
        product.save()
        times.append(product.published_at)
    assert times[0] is None
    assert times[1] is not None
    assert times[1:] == [times[1]] * 3


def test_product_without_file_is_not_published() -> None:
    with refused("product_published_has_file"):
        ProductFactory(content=None)
        commit()


def test_product_with_an_empty_edition_is_not_published() -> None:
    product = ProductFactory(content=None, status=Product.Status.DRAFT)
    EditionFactory(product=product)
    with refused("product_published_has_file"):
        Product.objects.filter(pk=product.pk).update(status="published", published_at=datetime.now(UTC))
        commit()


def test_product_whose_only_files_are_unpublished_is_not_published() -> None:
    product = ProductFactory(status=Product.Status.DRAFT)
    Edition.objects.update(published_at=None)
    product.status = Product.Status.PUBLISHED
    with refused("product_published_has_file"):
        product.save()
        commit()


def test_draft_and_archived_products_need_no_file() -> None:
    ProductFactory(content=None, status=Product.Status.DRAFT)
    ProductFactory(content=None, status=Product.Status.ARCHIVED)
    commit()


def test_last_file_of_a_published_product_stays() -> None:
    product = ProductFactory()
    commit()
    with refused("product_published_has_file"):
        File.objects.get(edition__product=product).delete()
        commit()


def test_last_edition_of_a_published_product_stays() -> None:
    product = ProductFactory()
    with refused("product_published_has_file"):
        product.editions.get().delete()
        commit()


def test_last_edition_of_a_published_product_stays_published() -> None:
    product = ProductFactory()
    with refused("product_published_has_file"):
        product.editions.update(published_at=None)
        commit()


def test_last_file_of_a_published_product_is_not_moved_to_another() -> None:
    product, other = ProductFactory(), ProductFactory()
    with refused("product_published_has_file"):
        File.objects.filter(edition__product=product).update(edition=other.editions.get())
        commit()


def test_second_file_of_a_published_product_may_go() -> None:
    product = ProductFactory()
    FileFactory(edition=product.editions.get()).delete()
    commit()


def test_published_product_may_be_deleted_as_a_whole() -> None:
    ProductFactory().delete()
    commit()
    assert not File.objects.exists()


def test_f56_s54_file_of_a_sold_edition_is_neither_deleted_nor_moved_nor_changed() -> None:
    product = OrderFactory().lines.get().product
    product.status = Product.Status.ARCHIVED
    product.save()
    file = File.objects.get(edition__product=product)
    with refused("sold_file_is_kept"), transaction.atomic():
        file.delete()
    changes: list[dict[str, Any]] = [
        {"edition": ProductFactory().editions.get()},
        {"key": "another"},
        {"sha256": "0" * 64},
    ]
    for change in changes:
        with refused("sold_file_is_kept"), transaction.atomic():
            File.objects.filter(pk=file.pk).update(**change)
    File.objects.filter(pk=file.pk).update(name="A better name.pdf", position=2)


def test_file_has_bytes() -> None:
    with refused("file_size_positive"):
        ProductFactory(content=b"")


@pytest.mark.parametrize("digest", ["", "0" * 63])
def test_file_has_a_whole_digest(digest: str) -> None:
    edition = ProductFactory().editions.get()
    with refused("file_sha256_whole"):
        FileFactory(edition=edition, sha256=digest)


def test_i16_s54_two_files_never_share_a_key() -> None:
    file = File.objects.get(edition__product=ProductFactory())
    with refused("catalog_file_key_key"):
        FileFactory(edition=file.edition, key=file.key)


def test_edition_numbers_are_unique_within_a_product() -> None:
    product = ProductFactory()
    EditionFactory(product=product, number=2)
    EditionFactory(product=ProductFactory(content=None, status="draft"), number=2)
    with refused("edition_number_unique"):
        EditionFactory(product=product, number=2)


def test_edition_numbers_start_at_one() -> None:
    with refused("edition_number_from_one"):
        EditionFactory(product=ProductFactory(), number=0)


def test_category_name_is_unique_regardless_of_case() -> None:
    CategoryFactory(name="Novels")
    with refused("category_name_unique"):
        CategoryFactory(name="NOVELS")


def test_edition_on_sale_is_the_newest_that_is_published_and_has_files() -> None:
    product = ProductFactory()
    first = product.editions.get()
    EditionFactory(product=product, number=2)  # no files yet
    FileFactory(edition=EditionFactory(product=product, number=3, published_at=None))
    assert product.edition_on_sale() == first
    fourth = EditionFactory(product=product, number=4)
    FileFactory(edition=fourth)
    FileFactory(edition=fourth)
    assert product.edition_on_sale() == fourth
    assert list(product.editions.deliverable()) == [fourth, first]


def test_currency_of_no_country_is_refused_before_it_is_saved() -> None:
    product = Product(name="Book", slug="book", price=100, currency="xxx")
    with pytest.raises(ValidationError) as caught:
        product.full_clean()
    assert list(caught.value.message_dict) == ["currency"]


def test_rows_say_what_they_are() -> None:
    product = ProductFactory(name="Quiet Evenings", slug="quiet", price=1250)
    edition = product.editions.get()
    assert str(product) == "Quiet Evenings"
    assert str(edition) == "Quiet Evenings, edition 1"
    assert str(edition.files.get()) == "Quiet Evenings.pdf"
    assert str(Category(name="Novels")) == "Novels"
    assert product.get_absolute_url() == "/products/quiet/"
    assert (product.price_display, product.is_free, product.is_on_sale) == ("$12.50", False, True)


@pytest.mark.parametrize("pages", ["1-5, 12", "", "7", "1-2, 3-4, 5"])
def test_pages_to_look_inside_may_be_chosen(pages: str) -> None:
    assert ProductFactory(sample_pages=pages).sample_pages == pages


@pytest.mark.parametrize("pages", ["all", "1,2", "1-", " 1", "1\n", "1, ", "123456", "1-2-3"])
def test_pages_to_look_inside_are_numbers_and_ranges(pages: str) -> None:
    with refused("product_sample_pages_clear"):
        ProductFactory(sample_pages=pages)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_product_has_one_sample_that_is_wanted_and_one_that_counts() -> None:
    product = ProductFactory()
    product.samples.create(due_at=NOW)
    product.samples.create(state="made", made_at=NOW)
    for _ in range(2):
        product.samples.create(state="replaced", due_at=NOW)
    with refused("sample_wanted_once"), transaction.atomic():
        product.samples.create(due_at=NOW)
    for state in ("made", "failed"):
        with refused("sample_shown_once"), transaction.atomic():
            product.samples.create(state=state, made_at=NOW, problem="Why.")


@pytest.mark.parametrize("state", ["wanted", "replaced"])
def test_row_of_a_sample_says_that_work_is_due(state: str) -> None:
    with refused("sample_work_is_due"):
        ProductFactory().samples.create(state=state)


def test_sample_that_is_made_says_when_and_one_that_failed_says_why() -> None:
    with refused("sample_made_at_known"), transaction.atomic():
        ProductFactory().samples.create(state="made")
    with refused("sample_problem_known"):
        ProductFactory().samples.create(state="failed")


def test_sample_shows_a_page_once_and_pages_begin_with_one() -> None:
    sample = ProductFactory().samples.create(due_at=NOW)
    sample.pages.create(number=3, height=9)
    with refused("sample_page_once"), transaction.atomic():
        sample.pages.create(number=3, height=9)
    with refused("sample_page_from_one"):
        sample.pages.create(number=0, height=9)


def test_two_samples_never_share_a_key() -> None:
    first = ProductFactory().samples.create(due_at=NOW)
    with refused("catalog_sample_key_key"):
        ProductFactory().samples.create(due_at=NOW, key=first.key)
