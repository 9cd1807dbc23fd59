"""F55: an expired checkout that its buyer comes back to is a new order for the same cart, exactly one."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
import stripe
from django.db import connection
from django.test import Client

from accounts.models import User
from catalog.models import Product
from fulfillment.converge import converge
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement
from fulfillment.reconcile import reconcile
from fulfillment.sweep import sweep
from orders import checkout, stripe_api
from orders.models import Order
from sandbox.world.server import World
from tests.factories import EditionFactory, FileFactory, ProductFactory, UserFactory
from tests.steps import DELIVERED, GUEST, report, states

pytestmark = pytest.mark.django_db


def expired(world: World, *products: Product, user: User | None = None) -> Order:
    """An order whose checkout could be recovered, and expired."""
    order: Order = Order.objects.create(
        user=user,
        email=user.email if user else "",
        source=Order.Source.CHECKOUT,
        total=sum(product.price for product in products),
        currency="usd",
        livemode=False,
    )
    for product in products:
        edition = product.edition_on_sale()
        assert edition is not None
        checkout.add_line(order, product, edition)
    params: Any = {
        **stripe_api._session_params(checkout._new_session(order)),
        "after_expiration": {"recovery": {"enabled": True}},
    }
    client = stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url})
    session = client.v1.checkout.sessions.create(params=params)
    Order.objects.filter(pk=order.pk).update(stripe_session_id=session.id)
    world.control(f"expire/{session.id}", {})
    fulfill(session.id, door="test")
    order.refresh_from_db()
    assert order.state == "expired"
    return order


def come_back(world: World, order: Order, session_id: str = "") -> str:
    """The buyer opens the address that Stripe mailed, and pays; the id of the new session."""
    recovered = world.control(f"recover/{session_id or order.stripe_session_id}", {})["id"]
    world.control(f"pay/{recovered}", {"email": GUEST})
    return str(recovered)


def sold(order: Order) -> list[Any]:
    return list(order.lines.values_list("product", "edition", "name", "unit_price", "quantity"))


def test_f55_recovered_checkout_is_a_new_order_for_the_same_cart(world: World, client: Client) -> None:
    original = expired(world, ProductFactory(price=1000), ProductFactory(price=700))
    session_id = come_back(world, original)
    for _ in range(3):
        report(world, client)
        fulfill(session_id, door="test")
        sweep()
    order = Order.objects.exclude(pk=original.pk).get()
    assert (order.stripe_session_id, order.source, order.total, order.email) == (session_id, "checkout", 1700, GUEST)
    assert (sold(order), order.attention) == (sold(original), "")
    assert states(order) == ("paid", ["active", "active"], ["sent"])
    assert list(order.timeline.values_list("kind", "detail"))[:2] == [
        ("created", f"recovered from order {original.reference}"),
        ("state", "open → paid"),
    ]
    assert states(original) == ("expired", [], [])


def test_f55_recovered_order_belongs_to_the_account_that_began_it(world: World) -> None:
    user = UserFactory()
    original = expired(world, ProductFactory(), user=user)
    fulfill(come_back(world, original), door="test")
    order = Order.objects.exclude(pk=original.pk).get()
    assert (order.user, Entitlement.objects.get().user, Entitlement.objects.get().email) == (user, user, "")


def test_f55_recovered_order_is_sold_as_it_was_the_first_time(world: World) -> None:
    product = ProductFactory(name="Knots", price=1250)
    original = expired(world, product)
    product.name, product.price = "Better knots", 9900
    product.save()
    FileFactory(edition=EditionFactory(product=product, number=2))
    fulfill(come_back(world, original), door="test")
    order = Order.objects.exclude(pk=original.pk).get()
    assert (sold(order), order.attention) == (sold(original), "")
    assert sold(order)[0][2:] == ("Knots", 1250, 1)


def test_f55_copy_of_a_copy_leads_to_the_same_cart(world: World) -> None:
    original = expired(world, ProductFactory())
    second = world.control(f"recover/{original.stripe_session_id}", {})["id"]
    world.control(f"expire/{second}", {})
    assert fulfill(second, door="test").order is None
    fulfill(come_back(world, original, second), door="test")
    order = Order.objects.exclude(pk=original.pk).get()
    assert (sold(order), order.state) == (sold(original), "paid")


def test_f55_recovery_that_is_not_paid_yet_has_its_cart_too(world: World) -> None:
    original = expired(world, ProductFactory())
    session_id = world.control(f"recover/{original.stripe_session_id}", {})["id"]
    fulfill(session_id, door="test")
    order = Order.objects.exclude(pk=original.pk).get()
    assert (order.state, sold(order), Entitlement.objects.count()) == ("open", sold(original), 0)


def test_f55_reconcile_finds_a_recovered_order_of_which_nobody_told(world: World) -> None:
    original = expired(world, ProductFactory())
    come_back(world, original)
    said: list[str] = []
    assert reconcile(since=original.created_at, say=said.append).wrong == 0
    assert states(Order.objects.exclude(pk=original.pk).get()) == DELIVERED


def test_f55_recovered_session_whose_first_order_is_unknown_is_matched_by_its_lines(world: World) -> None:
    product = ProductFactory(slug="knots")
    original = expired(world, product)
    session_id = come_back(world, original)
    Order.objects.filter(pk=original.pk).update(stripe_session_id=None, reference="GONE")
    fulfill(session_id, door="test")
    order = Order.objects.exclude(pk=original.pk).get()
    assert (order.reference, order.source) == (original.reference, "checkout")  # as its mails will name it
    assert (order.lines.get().product, states(order)) == (product, DELIVERED)


def test_s15_recovery_of_a_payment_link_is_never_somebody_elses_cart(world: World) -> None:
    original = expired(world, ProductFactory())
    facts = stripe_api.fetch_facts(come_back(world, original))
    outcome = converge(replace(facts, payment_link="plink_1", lines=()), seen=0, door="test")
    assert outcome.order is not None
    assert (outcome.order.source, outcome.order.lines.count()) == ("payment_link", 0)


@pytest.mark.django_db(transaction=True)
def test_f55_f35_ten_doors_at_once_make_one_order(world: World) -> None:
    original = expired(world, ProductFactory(price=1000), ProductFactory(price=700))
    session_id = come_back(world, original)
    together = Barrier(10)

    def open_door(number: int) -> None:
        try:
            together.wait(10)
            fulfill(session_id, door=f"door {number}")
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(open_door, range(10)))
    order = Order.objects.exclude(pk=original.pk).get()
    assert (states(order), sold(order)) == (("paid", ["active", "active"], ["pending"]), sold(original))
    assert order.timeline.filter(kind="created").count() == 1
