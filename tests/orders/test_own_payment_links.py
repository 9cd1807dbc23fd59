"""Payment Links that the shop makes: one for its terms, known by its price, delivered like any order, and ended."""

import threading
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
import stripe
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from catalog.models import Product
from catalog.payment_link_models import PaymentLink
from catalog.stripe_price_models import StripePrice
from fulfillment.models import Entitlement
from fulfillment.sweep import sweep
from orders import payment_links, stripe_api
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.steps import GUEST, report

pytestmark = pytest.mark.django_db


def dashboard(world: World) -> Any:
    return stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url}).v1


def open_page(link: PaymentLink) -> str:
    """Follow the address as a shopper does; the id of the session that it began."""
    with urllib.request.urlopen(link.url) as page:
        return str(page.geturl().rpartition("/")[2])


def test_link_is_made_with_the_slug_and_a_price_that_the_shop_knows(world: World) -> None:
    product = ProductFactory(name="Knots", slug="knots", price=1250, currency="eur")
    link = payment_links.make(product)
    there = dashboard(world).payment_links.retrieve(link.link_id)
    [line] = dashboard(world).payment_links.line_items.list(link.link_id, params={"expand": ["data.price.product"]})
    mark = {"product_slug": "knots", "storefront_site": "localhost"}
    assert (there.active, there.url, there.metadata.to_dict()) == (True, link.url, mark)
    assert there.after_completion.redirect.url == "http://localhost/checkout/done/?session_id={CHECKOUT_SESSION_ID}"
    assert (line.price.unit_amount, line.price.currency, line.quantity) == (1250, "eur", 1)
    assert (line.price.product.name, line.price.metadata.to_dict()) == ("Knots", {"product_slug": "knots"})
    assert StripePrice.objects.get().price_id == line.price.id
    assert (link.price, link.currency, link.livemode, link.is_active) == (1250, "eur", False, True)


def test_payment_through_it_is_delivered(smtp: World, client: Client) -> None:
    product = ProductFactory(name="Knots", price=1250)
    session_id = open_page(payment_links.make(product))
    smtp.control(f"pay/{session_id}", {"email": GUEST})
    report(smtp, client, "checkout.session.completed")
    sweep()
    order = Order.objects.get()
    assert (order.state, order.total, order.email, order.source, order.attention) == (
        "paid", 1250, GUEST, "payment_link", "",
    )  # fmt: skip
    assert Entitlement.objects.get(state="active").product == product
    assert [mail["to"] for mail in smtp.mails() if mail["to"] == [GUEST]] == [[GUEST]]  # others go to the operators
    page = Client().get(f"/checkout/done/?session_id={session_id}")
    assert page.status_code == 200
    assert GUEST.encode() not in page.content


def test_payment_is_delivered_by_the_price_after_the_slug_has_changed(world: World, client: Client) -> None:
    product = ProductFactory(slug="before")
    session_id = open_page(payment_links.make(product))
    Product.objects.filter(pk=product.pk).update(slug="after")
    world.control(f"pay/{session_id}", {"email": GUEST})
    report(world, client, "checkout.session.completed")
    sweep()
    assert Entitlement.objects.get(state="active").product == product


def test_second_click_gives_the_same_link(world: World) -> None:
    product = ProductFactory()
    links = [payment_links.make(product) for _ in range(3)]
    assert len({(link.pk, link.link_id, link.url) for link in links}) == 1
    assert len(dashboard(world).payment_links.list().data) == 1
    assert StripePrice.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_twenty_clicks_at_once_give_one_link(world: World) -> None:
    product = ProductFactory()
    ids: list[str | None] = []

    def click() -> None:
        try:
            ids.append(payment_links.make(Product.objects.get(pk=product.pk)).link_id)
        except stripe_api.StripeUnavailable:
            ids.append(None)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = PaymentLink.objects.get()
    assert (len(ids), set(ids) - {None}) == (20, {made.link_id})
    assert [one.id for one in dashboard(world).payment_links.list().data] == [made.link_id]


@pytest.mark.parametrize("lost", ["/v1/prices", "/v1/payment_links"])
def test_answer_that_got_lost_is_found_by_the_next_click(world: World, lost: str) -> None:
    product = ProductFactory()
    fault = {"area": "api", "kind": "drop", "when": "after", "path": lost, "method": "POST", "count": 5}
    world.control("faults", fault)
    with pytest.raises(stripe_api.StripeUnavailable):
        payment_links.make(product)
    row = PaymentLink.objects.get()
    assert (row.is_made, row.is_active, row.url) == (False, True, "")
    world.control("faults/clear", {})
    assert payment_links.make(product).pk == row.pk
    assert len(dashboard(world).payment_links.list().data) == 1
    assert len(dashboard(world).prices.list().data) == 1


def test_product_that_changed_while_the_answer_was_lost_gets_a_link_of_its_own(world: World) -> None:
    product = ProductFactory(name="Before")
    world.control(
        "faults",
        {"area": "api", "kind": "drop", "when": "after", "path": "/v1/payment_links", "method": "POST", "count": 5},
    )
    with pytest.raises(stripe_api.StripeUnavailable):
        payment_links.make(product)
    world.control("faults/clear", {})
    product.name = "After"
    product.save()
    link = payment_links.make(product)
    [line] = dashboard(world).payment_links.line_items.list(link.link_id, params={"expand": ["data.price.product"]})
    assert (line.price.product.name, PaymentLink.objects.count()) == ("After", 1)


def test_key_that_stripe_broke_is_not_used_again(world: World) -> None:
    product = ProductFactory()
    world.control("faults", {"area": "api", "kind": "error", "status": 500, "path": "/v1/prices", "count": 5})
    with pytest.raises(stripe_api.StripeBroken):
        payment_links.make(product)
    assert PaymentLink.objects.count() == 0


def test_new_price_needs_a_new_link_and_the_old_one_stays(world: World) -> None:
    product = ProductFactory(price=1250)
    old = payment_links.make(product)
    product.price = 1500
    product.save()
    new = payment_links.make(product)
    assert (old.link_id != new.link_id, new.price) == (True, 1500)
    assert [link.price for link in PaymentLink.objects.in_use().order_by("pk")] == [1250, 1500]


def test_deactivated_link_sells_nothing_and_the_next_is_another(world: World) -> None:
    product = ProductFactory()
    old = payment_links.make(product)
    for _ in range(2):
        payment_links.deactivate(old)
    old.refresh_from_db()
    assert (old.is_active, dashboard(world).payment_links.retrieve(old.link_id).active) == (False, False)
    assert payment_links.make(product).link_id != old.link_id


def test_checkout_that_was_begun_before_is_delivered_after(world: World, client: Client) -> None:
    product = ProductFactory()
    link = payment_links.make(product)
    session_id = open_page(link)
    payment_links.deactivate(link)
    world.control(f"pay/{session_id}", {"email": GUEST})
    report(world, client, "checkout.session.completed")
    sweep()
    assert Entitlement.objects.get(state="active").product == product


def test_link_stays_active_when_stripe_does_not_answer(world: World) -> None:
    link = payment_links.make(ProductFactory())
    world.control("faults", {"area": "api", "kind": "error", "status": 503, "count": 5})
    with pytest.raises(stripe_api.StripeUnavailable):
        payment_links.deactivate(link)
    link.refresh_from_db()
    assert link.is_active


def test_row_without_a_link_is_forgotten_without_asking(settings: Any) -> None:
    link = PaymentLink.objects.create(product=ProductFactory(), price=900, currency="usd")
    payment_links.deactivate(link)
    assert PaymentLink.objects.count() == 0


def test_link_of_another_account_is_refused(world: World) -> None:
    link = PaymentLink.objects.create(
        product=ProductFactory(), price=900, currency="usd", link_id="plink_other", url="https://buy.example/x"
    )
    with pytest.raises(stripe_api.StripeRefused):
        payment_links.deactivate(link)


@pytest.mark.parametrize(
    "terms, why",
    [
        ({"price": 0}, "free"),
        ({"status": "draft", "content": None}, "no published file"),
        ({"status": "draft", "price": 49}, r"Stripe charges at least \$0\.50"),
    ],
)
def test_nothing_is_made_for_what_cannot_be_sold(world: World, terms: dict[str, Any], why: str) -> None:
    with pytest.raises(payment_links.NothingToSell, match=why):
        payment_links.make(ProductFactory(**terms))
    assert (PaymentLink.objects.count(), dashboard(world).payment_links.list().data) == (0, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": 0},
        {"link_id": "plink_1"},
        {"url": "https://buy.example/x"},
        {"link_id": "link_1", "url": "https://buy.example/x"},
        {"link_id": "", "url": ""},
    ],
)
def test_database_refuses_half_a_link(wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        PaymentLink.objects.create(**{"product": ProductFactory(), "price": 900, "currency": "usd"} | wrong)


def test_database_keeps_one_link_in_use_for_its_terms() -> None:
    terms = {"product": ProductFactory(), "price": 900, "currency": "usd"}
    first = PaymentLink.objects.create(**terms)
    with pytest.raises(IntegrityError), transaction.atomic():
        PaymentLink.objects.create(**terms)
    PaymentLink.objects.filter(pk=first.pk).update(deactivated_at=timezone.now() - timedelta(days=1))
    PaymentLink.objects.create(**terms)
    PaymentLink.objects.create(**terms, livemode=True)
