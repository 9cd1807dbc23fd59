"""A copy of a product: what it takes along, and names that stay free and fit."""

import pytest

from catalog import duplicate
from catalog.models import Product
from catalog.stripe_price_models import StripePrice
from tests.factories import CategoryFactory, ProductFactory, TagFactory

pytestmark = pytest.mark.django_db

NEW = {
    "id", "name", "slug", "status", "contents", "sales", "kinds", "name_words", "words", "cover", "cover_height",
    "cover_failed", "created_at", "updated_at", "published_at",
}  # fmt: skip


def test_each_field_is_copied_or_new() -> None:
    """A field that is added to a product needs a decision."""
    fields = {field.name for field in Product._meta.concrete_fields}
    assert fields == NEW | set(duplicate.COPIED)


def test_copy_has_what_was_written_and_nothing_that_was_uploaded_or_sold() -> None:
    product = ProductFactory(
        name="Knots", slug="knots", summary="Ten.", description="*All*", price=700, currency="jpy",
        sample_pages="1-3", sales=7, cover="0" * 32, cover_height=800, contents="One Two",
    )  # fmt: skip
    category, tag = CategoryFactory(), TagFactory()
    product.categories.add(category)
    product.tags.add(tag)
    StripePrice.objects.create(product=product, price_id="price_1")
    copy, is_new = duplicate.duplicate(product)
    copy.refresh_from_db()
    assert is_new
    assert (copy.name, copy.slug, copy.status, copy.published_at) == ("Copy of Knots", "knots-copy", "draft", None)
    assert (copy.summary, copy.description, copy.price, copy.currency) == ("Ten.", "*All*", 700, "jpy")
    assert (copy.sample_pages, copy.sales, copy.cover, copy.contents, copy.kinds) == ("1-3", 0, "", "", [])
    assert (list(copy.categories.all()), list(copy.tags.all())) == ([category], [tag])
    assert not copy.editions.exists()
    assert not copy.stripe_prices.exists()
    assert not copy.payment_links.exists()
    assert product.stripe_prices.count() == product.editions.count() == 1


def test_copies_and_copies_of_copies_have_names_of_their_own() -> None:
    product = ProductFactory(name="Knots", slug="knots")
    made = [duplicate.duplicate(product)[0] for _ in range(3)]
    made += [duplicate.duplicate(made[0])[0] for _ in range(2)]
    assert [(copy.name, copy.slug) for copy in made] == [
        ("Copy of Knots", "knots-copy"),
        ("Copy of Knots (2)", "knots-copy-2"),
        ("Copy of Knots (3)", "knots-copy-3"),
        ("Copy of Copy of Knots", "knots-copy-copy"),
        ("Copy of Copy of Knots (2)", "knots-copy-copy-2"),
    ]


def test_name_and_slug_that_are_taken_in_other_letters_are_taken() -> None:
    ProductFactory(name="COPY OF KNOTS", slug="Knots-Copy")
    copy, _ = duplicate.duplicate(ProductFactory(name="Knots", slug="knots"))
    assert (copy.name, copy.slug) == ("Copy of Knots (2)", "knots-copy-2")


def test_longest_names_fit_however_often_they_are_copied() -> None:
    product = ProductFactory(name="ß" * 120, slug="k" * 140)
    for number in range(1, 13):
        copy, _ = duplicate.duplicate(product)
        copy.full_clean()
        assert (len(copy.name), len(copy.slug)) == (120, 140)
        assert copy.name.endswith(f" ({number})" if number > 1 else "ß")
        assert copy.slug.endswith(f"-copy-{number}" if number > 1 else "-copy")


def test_second_click_finds_the_first_copy() -> None:
    product = ProductFactory(name="Knots")
    name = duplicate.free_name(product)
    first = duplicate.duplicate(product, known_as=name)
    second = duplicate.duplicate(product, known_as=name)
    assert (first[1], second) == (True, (first[0], False))
    assert duplicate.duplicate(product, known_as="Something else")[0].name == "Copy of Knots (2)"


def test_product_is_no_copy_of_itself() -> None:
    product = ProductFactory(name=("Copy of " * 15)[:120].strip())
    copy, is_new = duplicate.duplicate(product, known_as=product.name)
    assert is_new
    assert copy.pk != product.pk
