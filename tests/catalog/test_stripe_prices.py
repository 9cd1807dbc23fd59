"""The prices in Stripe's dashboard that sell a product, entered on its page in the admin."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client

from catalog.models import Product
from catalog.stripe_price_models import StripePrice
from tests.catalog.test_admin import NO_PRICES, PRODUCTS, TYPED
from tests.factories import ProductFactory, UserFactory
from tests.steps import stamp_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def owner(client: Client) -> None:
    client.force_login(UserFactory(is_staff=True, is_superuser=True))


def save(client: Client, product: Product, *prices: str) -> str:
    """Type prices into the product's form and save it; what the page then says."""
    rows = {f"stripe_prices-{number}-price_id": price for number, price in enumerate(prices)}
    typed = {**TYPED, "name": product.name, "slug": product.slug, **NO_PRICES, **rows, **stamp_of(client, product)}
    typed["stripe_prices-TOTAL_FORMS"] = str(len(prices))
    answer = client.post(f"{PRODUCTS}{product.pk}/change/", typed, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_prices_are_entered_on_the_products_page(client: Client) -> None:
    product = ProductFactory()
    page = client.get(f"{PRODUCTS}{product.pk}/change/").content.decode()
    assert "A Payment Link with this price delivers this product." in page
    save(client, product, " price_1QxA2bC3 ", "price_2", "")
    assert sorted(product.stripe_prices.values_list("price_id", flat=True)) == ["price_1QxA2bC3", "price_2"]


@pytest.mark.parametrize("wrong", ["prod_1", "price_", "price_1 2", "price_é", "https://buy.stripe.com/x", "PRICE_1"])
def test_anything_but_the_id_of_a_price_is_refused_with_a_hint(client: Client, wrong: str) -> None:
    product = ProductFactory()
    assert "Copy the ID from Stripe: it begins with price_." in save(client, product, wrong)
    assert StripePrice.objects.count() == 0


def test_price_that_sells_another_product_is_refused(client: Client) -> None:
    StripePrice.objects.create(product=ProductFactory(), price_id="price_1")
    assert "This price already belongs to a product." in save(client, ProductFactory(), "price_1")
    assert StripePrice.objects.count() == 1


@pytest.mark.parametrize("wrong", ["", "prod_1", "price_1\n", "x price_1"])
def test_database_takes_nothing_but_ids_of_prices(wrong: str) -> None:
    with pytest.raises(IntegrityError, match="stripe_price_is_an_id"), transaction.atomic():
        StripePrice.objects.create(product=ProductFactory(), price_id=wrong)
    with pytest.raises(ValidationError):
        StripePrice(product=ProductFactory(), price_id=wrong).full_clean()


def test_database_lets_a_price_sell_one_product_only() -> None:
    StripePrice.objects.create(product=ProductFactory(), price_id="price_1")
    with pytest.raises(IntegrityError, match="catalog_stripeprice_price_id"), transaction.atomic():
        StripePrice.objects.create(product=ProductFactory(), price_id="price_1")
