"""Many doors at the same moment, and events in every order: the invariants hold, and nothing happens twice."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from fulfillment import inbox
from fulfillment.converge import converge
from fulfillment.models import StripeEvent
from orders import stripe_api
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.fulfillment.test_at_once import at_once
from tests.proof.invariants import violations
from tests.steps import DELIVERED, buy, events, pay_by_link, report, states

DOORS = 8  # as many as there are connections in the pool, but for the test's own


def wrong(world: World) -> list[str]:
    """What breaks an invariant, but for the mails, which nobody sends here."""
    found = violations(connection, ledger=world.control("ledger")["sessions"])
    return [one for one in found if not one.endswith("is pending after 0 tries")]


def bought_by_link(world: World) -> str:
    return pay_by_link(world, slug=ProductFactory().slug)


def bought_here(world: World) -> str:
    return str(buy(world, Client(), ProductFactory()).stripe_session_id)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("purchase", [bought_by_link, bought_here])
def test_f35_f43_doors_that_know_the_same_at_once_make_one_order(
    world: World, purchase: Callable[[World], str]
) -> None:
    session_id = purchase(world)
    facts = stripe_api.fetch_facts(session_id)
    at_once(*[lambda: converge(facts, seen=0, door="race")] * DOORS)
    order = Order.objects.get()
    assert states(order) == DELIVERED
    assert order.facts_version == DOORS
    assert wrong(world) == []


@pytest.mark.django_db
@pytest.mark.parametrize("turn", list(itertools.permutations(range(3))), ids=lambda turn: "".join(map(str, turn)))
def test_f45_f54_events_in_any_order_end_the_same(world: World, client: Client, turn: tuple[int, ...]) -> None:
    """A bank debit: completed and unpaid, then settled, then refunded in part."""
    order = buy(world, client, ProductFactory(), method="bank_debit")
    world.control(f"settle/{order.stripe_session_id}", {"result": "succeeded"})
    world.control("refund", {"session": order.stripe_session_id, "amount": 250})
    report(world, client)
    types = ("checkout.session.completed", "checkout.session.async_payment_succeeded", "charge.refunded")
    told: list[dict[str, Any]] = [events(world, kind)[-1] for kind in types]
    assert [inbox.handle(told[number]["id"]) for number in turn] == [True] * 3
    StripeEvent.objects.exclude(state="handled").exclude(type__in=types).update(state="ignored")
    assert states(order) == ("paid", ["active"], ["pending", "pending"])  # the files, and the refund
    assert (order.total, order.refunded) == (1250, 250)
    assert wrong(world) == []
