"""What a shopper can send to the one address that begins a payment."""

import json

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from catalog.models import Product
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def limits(settings: Settings) -> None:
    settings.CHECKOUTS_PER_NETWORK, settings.CHECKOUTS_PER_PRODUCT = 3, 5


def click(product: Product, address: str = "192.0.2.1", **headers: str) -> int:
    """As a browser that nobody has seen yet."""
    client = Client(REMOTE_ADDR=address)
    status: int = client.post(f"/products/{product.slug}/buy/", headers=headers).status_code
    return status


@pytest.mark.usefixtures("limits")
def test_s45_checkouts_of_one_network_are_limited(world: World) -> None:
    books = [ProductFactory() for _ in range(4)]
    assert [click(book) for book in books] == [303, 303, 303, 429]
    assert Order.objects.count() == len(world.control("ledger")["sessions"]) == 3
    assert click(books[3], "192.0.2.2") == 303


@pytest.mark.usefixtures("limits")
def test_s45_header_of_a_stranger_is_no_other_network(world: World) -> None:
    books = [ProductFactory() for _ in range(4)]
    statuses = [click(book, **{"x-forwarded-for": f"198.51.100.{n}"}) for n, book in enumerate(books)]
    assert statuses == [303, 303, 303, 429]


@pytest.mark.usefixtures("limits")
def test_s45_network_of_ipv6_is_counted_as_one(world: World) -> None:
    books = [ProductFactory() for _ in range(4)]
    statuses = [click(book, f"2001:db8:0:1::{n}") for n, book in enumerate(books, start=1)]
    assert statuses == [303, 303, 303, 429]


@pytest.mark.usefixtures("limits")
def test_s45_checkouts_of_one_product_are_limited_whoever_begins_them(world: World) -> None:
    book, other = ProductFactory(), ProductFactory()
    assert [click(book, f"192.0.2.{n}") for n in range(1, 8)] == [303] * 5 + [429] * 2
    assert click(other, "192.0.2.7") == 303


@pytest.mark.usefixtures("limits")
def test_s45_too_often_is_said_on_a_page_and_stripe_is_not_asked(world: World, client: Client) -> None:
    book = ProductFactory()
    answers = [client.post(f"/products/{book.slug}/buy/") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 429]
    assert "429.html" in [template.name for template in answers[3].templates]
    assert answers[3]["Retry-After"] == "600"
    assert len(world.control("ledger")["sessions"]) == 1


@pytest.mark.usefixtures("limits")
def test_s45_what_is_free_or_owned_is_not_counted(world: World, client: Client) -> None:
    client.force_login(UserFactory())
    free = ProductFactory(price=0)
    assert [client.post(f"/products/{free.slug}/buy/").status_code for _ in range(6)] == [302] * 6
    assert client.post(f"/products/{ProductFactory().slug}/buy/").status_code == 303


@pytest.mark.parametrize(
    "sent",
    [
        {"price": "1"},
        {"unit_amount": "1", "amount": "0"},
        {"currency": "jpy"},
        {"quantity": "0"},
        {"quantity": "-1"},
        {"quantity": "1000000000"},
        {"quantity": "1.5"},
        {"quantity": "１"},
        {"quantity": "NaN"},
        {"coupon": "ALL", "discounts[0][coupon]": "ALL"},
        {"success_url": "https://evil.example/", "cancel_url": "https://evil.example/"},
        {"client_reference_id": "X", "metadata[storefront_order]": "X", "email": "evil@example.com"},
        {"product": "2", "slug": "other", "edition": "9"},
        {"line_items[0][price_data][unit_amount]": "1"},
    ],
    ids=lambda sent: next(iter(sent)) + "=" + next(iter(sent.values())),
)
def test_s41_s42_what_the_request_says_changes_nothing(world: World, client: Client, sent: dict[str, str]) -> None:
    cache.clear()
    ProductFactory(slug="other", price=100)
    book = ProductFactory(price=1250, currency="eur")
    where = "&".join(f"{name}={value}" for name, value in sent.items())
    assert client.post(f"/products/{book.slug}/buy/?{where}", sent).status_code == 303
    [session] = world.control("ledger")["sessions"]
    assert (session["amount_total"], session["currency"]) == (1250, "eur")
    order = Order.objects.get()
    line = order.lines.get()
    assert (order.total, order.currency, line.product, line.quantity) == (1250, "eur", book, 1)
    assert order.email == ""
    assert "evil" not in json.dumps(world.control("events?limit=100"))
