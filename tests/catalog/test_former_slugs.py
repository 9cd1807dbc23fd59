"""A product whose slug was changed: its old address leads to the new one, and never hides another product."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from catalog import former_slugs
from catalog.models import Product
from catalog.slug_models import FormerSlug
from tests.catalog.test_admin import NO_PRICES, PRODUCTS, TYPED
from tests.factories import ProductFactory, UserFactory
from tests.steps import stamp_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk() -> Client:
    client = Client()
    client.force_login(UserFactory(is_staff=True, is_superuser=True))
    return client


def rename(desk: Client, product: Product, slug: str, **typed: Any) -> str:
    """Save the product's form with another slug; the page that follows."""
    product.refresh_from_db()
    form = {**TYPED, **NO_PRICES, "name": product.name, "status": product.status, "slug": slug, **typed}
    answer = desk.post(f"{PRODUCTS}{product.pk}/change/", {**form, **stamp_of(desk, product)}, follow=True)
    product.refresh_from_db()
    assert product.slug == slug
    return str(answer.content.decode())


def leads_to(client: Client, path: str) -> str:
    answer = client.get(path)
    return str(answer["Location"]) if answer.status_code == 301 else str(answer.status_code)


def test_old_addresses_lead_to_the_new_one(client: Client, desk: Client) -> None:
    product = ProductFactory(slug="Knots")
    page = rename(desk, product, "hitches")
    assert "Its address changed: /Knots/ leads to /hitches/ from now on." in page
    rename(desk, product, "bends")
    for old in ("Knots", "knots", "hitches"):
        assert leads_to(client, f"/products/{old}/?utm_source=mail&q=1") == "/products/bends/?utm_source=mail&q=1"
    answer = client.head("/products/knots/")
    assert (answer.status_code, answer["Location"], answer["Cache-Control"]) == (
        301,
        "/products/bends/",
        "max-age=86400",
    )
    assert client.get("/products/bends/").status_code == 200


def test_slug_that_came_back_is_an_address_again(client: Client, desk: Client) -> None:
    product = ProductFactory(slug="knots")
    for slug in ("hitches", "knots"):
        rename(desk, product, slug)
    assert client.get("/products/knots/").status_code == 200
    assert leads_to(client, "/products/hitches/") == "/products/knots/"


def test_nothing_is_bought_by_an_old_address(client: Client, desk: Client) -> None:
    rename(desk, ProductFactory(slug="knots"), "hitches")
    assert client.post("/products/knots/buy/").status_code == 404
    assert client.post("/products/knots/").status_code == 405


def test_slug_of_a_product_never_leads_elsewhere(client: Client, desk: Client) -> None:
    """Not even that of a draft, which is to have its own page one day."""
    rename(desk, ProductFactory(slug="knots"), "hitches")
    other = ProductFactory(slug="KNOTS", status="draft")
    assert [leads_to(client, f"/products/{slug}/") for slug in ("knots", "KNOTS")] == ["404", "404"]
    Product.objects.filter(pk=other.pk).update(status="published", published_at="2026-01-01T00:00Z")
    assert client.get("/products/KNOTS/").status_code == 200


def test_of_two_that_had_a_slug_the_last_one_is_found(client: Client, desk: Client) -> None:
    first = ProductFactory(slug="knots")
    rename(desk, first, "hitches")
    second = ProductFactory(slug="knots")
    rename(desk, second, "bends")
    assert leads_to(client, "/products/knots/") == "/products/bends/"
    second.delete()
    assert leads_to(client, "/products/knots/") == "404"


def test_draft_had_no_address_and_what_left_the_shop_has_none(client: Client, desk: Client) -> None:
    draft, archived = ProductFactory(slug="draft", status="draft"), ProductFactory(slug="archived", status="archived")
    assert "Its address changed" not in rename(desk, draft, "published", status="published")
    rename(desk, archived, "moved")
    assert [leads_to(client, f"/products/{slug}/") for slug in ("draft", "archived")] == ["404", "404"]
    Product.objects.filter(pk=archived.pk).update(status="published")
    assert leads_to(client, "/products/archived/") == "/products/moved/"


def test_page_costs_no_query_more_and_what_is_missing_one(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, desk: Client
) -> None:
    rename(desk, ProductFactory(slug="knots"), "hitches")
    client.get("/products/hitches/")
    with django_assert_num_queries(2):
        client.get("/products/knots/")
    with django_assert_num_queries(1):
        assert former_slugs.moved_to("nothing") is None


def test_slug_is_kept_once_and_in_small_letters() -> None:
    product = ProductFactory()
    former_slugs.remember(product, "Knots")
    former_slugs.remember(ProductFactory(), "KNOTS")
    assert FormerSlug.objects.count() == 1
    with pytest.raises(IntegrityError, match="former_slug_small"), transaction.atomic():
        FormerSlug.objects.create(product=product, slug="Hitches")
