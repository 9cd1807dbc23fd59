"""One change of many products: the plan says what becomes of each, and all of it is done or nothing."""

from collections.abc import Sequence

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog import bulk
from catalog.models import Edition, Product
from catalog.pricing import How, Pricing
from tests.factories import CategoryFactory, EditionFactory, FileFactory, ProductFactory

pytestmark = pytest.mark.django_db

Status = Product.Status


def ids(products: Sequence[Product]) -> list[int]:
    return [product.pk for product in products]


def keep(_rows: list[bulk.Row]) -> None:
    """The log is the page's matter."""


def do(act: bulk.Act, products: Sequence[Product]) -> bulk.Plan:
    return bulk.carry_out(act, ids(products), shown=bulk.plan(act, ids(products)).digest, record=keep)


def test_publishing_takes_what_can_be_delivered_and_says_why_not_of_the_others() -> None:
    ready, bare = ProductFactory(status="draft"), ProductFactory(status="draft", content=None)
    unpublished = ProductFactory(status="archived", content=None, published_at="2026-01-01T00:00Z")
    FileFactory(edition=EditionFactory(product=unpublished, published_at=None))
    on_sale = ProductFactory()
    done = do(bulk.set_status(Status.PUBLISHED), [ready, bare, unpublished, on_sale])
    assert [row.product for row in done.changes] == [ready]
    assert {row.product: row.why_not for row in done.impossible} == {
        bare: "Nothing can be delivered yet: add a file before you publish.",
        unpublished: "There are files, but their edition is not published: open the edition and give it a date.",
    }
    assert done.same == 1
    ready.refresh_from_db()
    assert (ready.status, ready.published_at is not None) == ("published", True)
    assert list(Product.objects.order_by("pk").values_list("status", flat=True)) == [
        "published", "draft", "archived", "published",
    ]  # fmt: skip


def test_archiving_and_taking_back_keep_the_first_date() -> None:
    product = ProductFactory()
    first = product.published_at
    for status in (Status.ARCHIVED, Status.DRAFT, Status.PUBLISHED):
        do(bulk.set_status(status), [product])
        product.refresh_from_db()
        assert (product.status, product.published_at) == (status, first)


def test_change_is_one_that_readers_of_the_feed_hear_of() -> None:
    product, music = ProductFactory(), CategoryFactory()
    for act in (
        bulk.set_status(Status.ARCHIVED),
        bulk.set_price(Pricing(How.RAISE, "10")),
        bulk.set_category(music, inside=True),
    ):
        Product.objects.update(updated_at="2020-01-01T00:00Z")
        do(act, [product])
        product.refresh_from_db()
        assert product.updated_at.year > 2020


def test_draft_at_a_price_that_stripe_refuses_is_archived_and_not_published() -> None:
    product = ProductFactory(status="draft", price=10)
    plan = bulk.plan(bulk.set_status(Status.PUBLISHED), [product.pk])
    assert [row.why_not for row in plan.impossible] == [
        "Stripe charges at least $0.50. Ask for that or more, or 0 for free."
    ]
    for status in (Status.ARCHIVED, Status.DRAFT):
        do(bulk.set_status(status), [product])
        product.refresh_from_db()
        assert (product.status, product.price) == (status, 10)


def test_draft_that_is_archived_has_a_date_as_the_database_wants_it() -> None:
    product = ProductFactory(status="draft")
    do(bulk.set_status(Status.ARCHIVED), [product])
    product.refresh_from_db()
    assert (product.status, product.published_at is not None) == ("archived", True)


def test_prices_change_each_in_its_currency() -> None:
    dollars, yen, free = ProductFactory(price=1250), ProductFactory(price=500, currency="jpy"), ProductFactory(price=0)
    cheap = ProductFactory(price=52)
    done = do(bulk.set_price(Pricing(How.LOWER, "10")), [dollars, yen, free, cheap])
    assert [(row.before, row.after, row.recorded) for row in done.changes] == [
        ("$12.50", "$11.25", "$12.50 → $11.25"),
        ("¥500", "¥450", "¥500 → ¥450"),
    ]
    assert [(row.product, row.why_not) for row in done.impossible] == [
        (cheap, "Stripe charges at least $0.50. Ask for that or more, or 0 for free.")
    ]
    assert done.same == 1
    assert list(Product.objects.order_by("pk").values_list("price", flat=True)) == [1125, 450, 0, 52]


def test_price_of_nothing_is_called_free() -> None:
    found = bulk.plan(bulk.set_price(Pricing(How.SET, "0")), ids([ProductFactory(price=1250)]))
    assert [(row.before, row.after) for row in found.changes] == [("$12.50", "free")]


def test_products_are_put_into_a_category_and_taken_out() -> None:
    music, other = CategoryFactory(name="Music"), CategoryFactory()
    first, second = ProductFactory(), ProductFactory()
    first.categories.add(music, other)
    done = do(bulk.set_category(music, inside=True), [first, second])
    assert [(row.product, row.before, row.after) for row in done.changes] == [(second, "not in Music", "in Music")]
    assert done.same == 1
    assert set(music.products.all()) == {first, second}
    do(bulk.set_category(music, inside=False), [first, second])
    assert not music.products.exists()
    assert list(first.categories.all()) == [other]


def test_what_is_not_what_was_shown_is_not_done() -> None:
    act, products = bulk.set_price(Pricing(How.RAISE, "10")), [ProductFactory(price=1000), ProductFactory(price=2000)]
    shown = bulk.plan(act, ids(products)).digest
    Product.objects.filter(pk=products[1].pk).update(price=2100)
    with pytest.raises(bulk.ChangedMeanwhile):
        bulk.carry_out(act, ids(products), shown=shown, record=keep)
    assert list(Product.objects.order_by("pk").values_list("price", flat=True)) == [1000, 2100]


def test_second_time_nothing_is_done() -> None:
    act, product = bulk.set_price(Pricing(How.RAISE, "10")), ProductFactory(price=1000)
    shown = bulk.plan(act, [product.pk]).digest
    bulk.carry_out(act, [product.pk], shown=shown, record=keep)
    with pytest.raises(bulk.ChangedMeanwhile):
        bulk.carry_out(act, [product.pk], shown=shown, record=keep)
    assert Product.objects.get().price == 1100


def test_product_that_was_deleted_meanwhile_is_noticed() -> None:
    act, products = bulk.set_status(Status.ARCHIVED), [ProductFactory(), ProductFactory(status="draft")]
    chosen = ids(products)
    shown = bulk.plan(act, chosen).digest
    products[1].delete()
    with pytest.raises(bulk.ChangedMeanwhile):
        bulk.carry_out(act, chosen, shown=shown, record=keep)
    assert Product.objects.get().status == "published"


@pytest.mark.django_db(transaction=True)
def test_file_that_goes_before_the_commit_undoes_all() -> None:
    products = [ProductFactory(status="draft"), ProductFactory(status="draft")]
    act = bulk.set_status(Status.PUBLISHED)
    shown = bulk.plan(act, ids(products)).digest

    def withdraw(_rows: list[bulk.Row]) -> None:
        Edition.objects.filter(product=products[1]).update(published_at=None)

    with pytest.raises(bulk.ChangedMeanwhile):
        bulk.carry_out(act, ids(products), shown=shown, record=withdraw)
    assert set(Product.objects.values_list("status", flat=True)) == {"draft"}


def test_record_that_fails_undoes_the_change() -> None:
    def broken(_rows: list[bulk.Row]) -> None:
        raise RuntimeError

    act, product = bulk.set_status(Status.ARCHIVED), ProductFactory()
    with pytest.raises(RuntimeError):
        bulk.carry_out(act, [product.pk], shown=bulk.plan(act, [product.pk]).digest, record=broken)
    product.refresh_from_db()
    assert product.status == "published"


@pytest.mark.parametrize("number", [1, 40])
def test_queries_do_not_grow_with_the_products(number: int, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    products = [ProductFactory(status="draft") for _ in range(number)]
    music = CategoryFactory()
    # Plan, lock and change; twice a savepoint, as the test is a transaction.
    for act, statements in (
        (bulk.set_status(Status.PUBLISHED), 2),
        (bulk.set_price(Pricing(How.RAISE, "10")), 2),
        (bulk.set_category(music, inside=True), 3),
        (bulk.set_category(music, inside=False), 3),
        (bulk.set_status(Status.ARCHIVED), 2),
        (bulk.set_status(Status.DRAFT), 2),
    ):
        shown = bulk.plan(act, ids(products)).digest
        with django_assert_num_queries(statements + 2):
            assert len(bulk.carry_out(act, ids(products), shown=shown, record=keep).changes) == number
