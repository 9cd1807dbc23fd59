"""What is looked at before a product goes on sale: what stops it, and what would make it better."""

from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from catalog import publishing
from catalog.models import Product
from catalog.publishing import Severity
from tests.factories import CategoryFactory, EditionFactory, FileFactory, ProductFactory

pytestmark = pytest.mark.django_db

WHOLE = {"summary": "One line.", "description": "All of it.", "cover": "0" * 32, "status": "draft"}


def found(product: Product) -> list[tuple[str, str]]:
    looked = publishing.with_facts(Product.objects.filter(pk=product.pk)).get()
    return [(finding.severity.value, finding.text) for finding in publishing.findings(looked)]


@pytest.fixture
def whole() -> Product:
    product: Product = ProductFactory(**WHOLE)
    product.categories.add(CategoryFactory())
    return product


def test_whole_product_has_nothing_to_be_said(whole: Product) -> None:
    assert found(whole) == []
    assert publishing.report(whole) == '<p class="ready-yes">Ready to publish.</p>'


def test_product_without_a_file_is_stopped(whole: Product) -> None:
    whole.editions.all().delete()
    assert found(whole) == [("stops", "Nothing can be delivered yet: add a file before you publish.")]
    assert "It cannot be published yet." in publishing.report(whole)


def test_edition_that_is_not_published_stops_when_it_is_the_only_one(whole: Product) -> None:
    whole.editions.update(published_at=None)
    assert found(whole) == [
        ("stops", "There are files, but their edition is not published: open the edition and give it a date.")
    ]
    FileFactory(edition=EditionFactory(product=whole, number=2, published_at=timezone.now()))
    assert found(whole) == [
        ("advice", "There is an edition that is not published: buyers do not get its files until it has a date.")
    ]


def test_edition_without_files_is_none(whole: Product) -> None:
    whole.editions.all().delete()
    EditionFactory(product=whole)
    assert [severity for severity, _ in found(whole)] == ["stops"]


@pytest.mark.parametrize("price, said", [(49, "Stripe charges at least $0.50."), (10**8, "Stripe charges at most")])
def test_price_that_stripe_refuses_stops(whole: Product, price: int, said: str) -> None:
    looked = publishing.with_facts(Product.objects.filter(pk=whole.pk)).get()
    looked.price = price
    (text,) = publishing.stops(looked)
    assert text.startswith(said)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"summary": " "}, "There is no summary"),
        ({"description": ""}, "There is no description"),
        ({"price": 0}, "The price is 0"),
        ({"cover": ""}, "The cover is being made from the first page."),
        ({"cover": "", "cover_failed": True}, "There is no cover, and none could be drawn"),
        ({"name": "Copy of Knots"}, "The name still says that it is a copy."),
    ],
)
def test_what_would_be_better_is_advice(whole: Product, fields: dict[str, Any], said: str) -> None:
    Product.objects.filter(pk=whole.pk).update(**fields)
    ((severity, text),) = found(whole)
    assert (severity, text.startswith(said)) == ("advice", True)
    assert "It can be published. You could make it better:" in publishing.report(whole)


def test_no_category_is_advice(whole: Product) -> None:
    whole.categories.clear()
    ((severity, text),) = found(whole)
    assert (severity, text.startswith("It is in no category")) == ("advice", True)


def test_no_files_and_no_cover_says_how_to_get_one() -> None:
    product = ProductFactory(**{**WHOLE, "cover": ""}, content=None)
    texts = [text for _severity, text in found(product)]
    assert "There is no cover. The first page of a PDF becomes one, or upload an image." in texts


@pytest.mark.parametrize(
    "state, said",
    [("wanted", "The pages to look inside are being made."), ("failed", "The pages to look inside could")],
)
def test_sample_that_is_not_there_is_advice(whole: Product, state: str, said: str) -> None:
    whole.samples.create(state=state, problem="Why.", **({"due_at": timezone.now()} if state == "wanted" else {}))
    ((severity, text),) = found(whole)
    assert (severity, text.startswith(said)) == ("advice", True)


def test_product_on_sale_is_told_what_would_be_better(whole: Product) -> None:
    Product.objects.update(status="published", published_at=timezone.now())
    assert "It is on sale, and nothing is missing." in publishing.report(Product.objects.get())
    Product.objects.update(summary="")
    assert "It is on sale. You could make it better:" in publishing.report(Product.objects.get())


def test_what_stops_comes_first() -> None:
    severities = [severity for severity, _ in found(ProductFactory(status="draft", content=None))]
    assert severities[0] == Severity.STOPS
    assert set(severities[1:]) == {Severity.ADVICE}


def test_names_are_shown_as_text(whole: Product) -> None:
    Product.objects.update(summary="", name="<b>Knots</b>")
    assert "<b>" not in publishing.report(Product.objects.get())


def test_many_products_are_looked_at_with_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for _ in range(3):
        ProductFactory()
    with django_assert_num_queries(1):
        assert len([publishing.findings(product) for product in publishing.with_facts(Product.objects.all())]) == 3
