"""From "Buy" to Stripe's page: the order row first, then its session, and both once."""

from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe
from django.test import Client
from pytest_django import Settings

from catalog.models import Product
from orders import checkout, stripe_api
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory, UserFactory
from tests.steps import begin_checkout

pytestmark = pytest.mark.django_db


def session_of(world: World, order: Order) -> Any:
    client = stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url})
    return client.v1.checkout.sessions.retrieve(
        str(order.stripe_session_id), params={"expand": ["line_items.data.price.product"]}
    )


def test_session_is_made_of_the_orders_own_rows(world: World, client: Client) -> None:
    product = ProductFactory(name="Knots", price=1999, currency="eur")
    order = begin_checkout(client, product)
    session = session_of(world, order)
    assert (session.client_reference_id, session.metadata["storefront_order"]) == (order.reference, order.reference)
    assert session.metadata["storefront_site"] == urlsplit(str(session.success_url)).netloc
    assert (session.amount_total, session.currency, session.mode) == (1999, "eur", "payment")
    item = session.line_items.data[0]
    assert (item.quantity, item.description, item.price.product.name) == (1, "Knots", "Knots")
    assert session.success_url == "http://localhost/checkout/done/?session_id={CHECKOUT_SESSION_ID}"
    assert session.cancel_url == f"http://localhost/checkout/cancelled/?product={product.slug}"
    assert session.customer_email is None
    assert (order.state, order.source, order.user, order.total) == ("open", "checkout", None, 1999)
    assert order.lines.get().edition == product.editions.get()
    assert list(order.timeline.values_list("kind", flat=True)) == ["created", "checkout_started"]


def test_signed_in_buyer_brings_the_address(world: World, client: Client) -> None:
    user = UserFactory()
    client.force_login(user)
    order = begin_checkout(client, ProductFactory())
    assert (order.user, session_of(world, order).customer_email) == (user, user.email)


@pytest.mark.parametrize("price, currency", [(500, "jpy"), (5120, "kwd"), (50_000, "isk"), (99_999_999, "usd")])
def test_s43_amount_is_right_in_every_kind_of_currency(world: World, client: Client, price: int, currency: str) -> None:
    order = begin_checkout(client, ProductFactory(price=price, currency=currency))
    session = session_of(world, order)
    assert (session.amount_total, session.currency) == (price, currency)


def test_s41_s42_request_decides_nothing_but_the_product(world: World, client: Client) -> None:
    product = ProductFactory(price=1250)
    forged = {"price": "1", "unit_amount": "1", "currency": "jpy", "quantity": "0", "success_url": "https://evil"}
    client.post(f"/products/{product.slug}/buy/?quantity=-1", forged)
    session = session_of(world, Order.objects.get())
    assert (session.amount_total, session.currency) == (1250, "usd")
    assert "evil" not in str(session.success_url)


def test_f71_second_click_gets_the_same_order_and_session(world: World) -> None:
    product = ProductFactory()
    first = checkout.begin(product, user=None, browser="b1")
    assert checkout.begin(product, user=None, browser="b1") == first
    assert checkout.begin(product, user=None, browser="b2")[0] != first[0]
    assert Order.objects.count() == 2


def test_f57_other_price_or_product_is_another_order(world: World) -> None:
    product = ProductFactory()
    order, _ = checkout.begin(product, user=None, browser="b")
    product.price = 1300
    product.save()
    other, _ = checkout.begin(product, user=None, browser="b")
    assert (other.total, other.pk == order.pk) == (1300, False)
    order.refresh_from_db()
    assert order.lines.get().unit_price == 1250


def test_f71_answer_that_was_lost_is_found_by_the_next_click(world: World) -> None:
    """Stripe made the session, and we never heard."""
    world.control("faults", {"area": "api", "kind": "drop", "when": "after", "path": "/v1/checkout", "count": 3})
    product = ProductFactory()
    with pytest.raises(stripe_api.StripeUnavailable):
        checkout.begin(product, user=None, browser="b")
    order = Order.objects.get()
    assert (order.state, order.stripe_session_id) == ("open", None)
    again, _url = checkout.begin(product, user=None, browser="b")
    assert again == order
    assert len(world.control("ledger")["sessions"]) == 1


def test_error_that_stripe_keeps_for_the_key_does_not_block_the_next_click(world: World) -> None:
    """Stripe repeats an answer of 500 for a day under the same idempotency key."""
    product = ProductFactory()
    world.control("faults", {"area": "api", "kind": "error", "status": 500, "path": "/v1/checkout", "count": 3})
    with pytest.raises(stripe_api.StripeUnavailable):
        checkout.begin(product, user=None, browser="b")
    first = Order.objects.get()
    assert checkout.begin(product, user=None, browser="b")[0] != first


def test_moved_cover_replaces_an_order_nobody_saw(world: World, settings: Settings) -> None:
    product = ProductFactory()
    world.control("faults", {"area": "api", "kind": "drop", "when": "after", "path": "/v1/checkout", "count": 3})
    with pytest.raises(stripe_api.StripeUnavailable):
        checkout.begin(product, user=None, browser="b")
    Product.objects.update(cover="abc")
    order, url = checkout.begin(Product.objects.get(), user=None, browser="b")
    assert url
    assert Order.objects.count() == 2
    assert Order.objects.exclude(pk=order.pk).get().checkout_key == ""


def test_cover_is_shown_by_stripe_where_it_can_be_reached(world: World, client: Client) -> None:
    order = begin_checkout(client, ProductFactory(cover="abc"))
    images = session_of(world, order).line_items.data[0].price.product.images
    assert images == ["http://localhost/covers/abc-640.webp"]


@pytest.mark.parametrize(
    "fault", [{"kind": "error", "status": 500}, {"kind": "error", "status": 402}, {"kind": "drop"}]
)
def test_stripe_failing_is_a_friendly_page_and_an_open_order(
    world: World, client: Client, fault: dict[str, object]
) -> None:
    world.control("faults", {"area": "api", "path": "/v1/checkout", **fault})
    product = ProductFactory()
    answer = client.post(f"/products/{product.slug}/buy/")
    assert answer.status_code == 503
    assert product.name in answer.content.decode()
    assert Order.objects.get().state == "open"


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_what_is_not_on_sale_cannot_be_bought(world: World, client: Client, status: str) -> None:
    product = ProductFactory(status=status)
    assert client.post(f"/products/{product.slug}/buy/").status_code == 404
    assert Order.objects.count() == 0


def test_s38_get_buys_nothing(client: Client) -> None:
    assert client.get(f"/products/{ProductFactory().slug}/buy/").status_code == 405


def test_s38_buy_needs_the_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.post(f"/products/{ProductFactory().slug}/buy/").status_code == 403


def test_cancelled_page_leads_back_to_the_product(client: Client) -> None:
    product = ProductFactory()
    page = client.get(f"/checkout/cancelled/?product={product.slug}").content.decode()
    assert product.get_absolute_url() in page
    for strange in ("", "?product=", "?product=%00", "?product=" + "x" * 5000, "?product=//evil.example"):
        assert client.get(f"/checkout/cancelled/{strange}").status_code == 200
