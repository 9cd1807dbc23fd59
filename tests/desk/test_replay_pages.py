"""Replay in the admin: the difference first, and nothing changed by looking at it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from fulfillment.models import StripeEvent
from orders.models import Order
from sandbox.world.server import World
from tests.desk.test_who_may import dump
from tests.factories import OrderFactory, ProductFactory
from tests.steps import buy, report, states

pytestmark = pytest.mark.django_db

EVENTS = "/admin/fulfillment/stripeevent/"


def address(order: Order) -> str:
    return f"/admin/orders/order/{order.pk}/replay/"


def told(desk: Client, answer: Any) -> list[str]:
    assert answer.status_code == 303
    return [str(message) for message in desk.get(answer["Location"]).context["messages"]]


def test_difference_is_shown_and_then_made(desk: Client, owner: Any, world: World) -> None:
    order = buy(world, Client(), ProductFactory(name="Knots"))
    before = dump()
    page = desk.get(address(order))
    assert page.context["lines"][0].startswith("order: state: open → paid")
    assert "new entitlement Knots: state: active" in page.content.decode()
    assert dump() == before
    assert told(desk, desk.post(address(order))) == ["The order is in line with Stripe."]
    assert states(order) == ("paid", ["active"], ["pending"])
    assert order.timeline.get(kind="by_hand").detail == f"replayed – o…@example.com (user {owner.pk})"
    assert LogEntry.objects.get().get_change_message() == "replayed"
    assert "a replay would change nothing" in desk.get(address(order)).content.decode()


def test_silent_stripe_is_said_and_nothing_changes(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    world.control("faults", {"area": "api", "kind": "error", "status": 503})
    assert "Stripe could not be asked:" in desk.get(address(order)).content.decode()
    [said] = told(desk, desk.post(address(order)))
    assert said.startswith("Stripe could not be asked:")


def test_order_without_a_session_leads_back(desk: Client) -> None:
    order = OrderFactory()
    assert told(desk, desk.get(address(order))) == ["This order has no Checkout Session to ask Stripe about."]


def test_chosen_events_are_shown_and_replayed(desk: Client, world: World) -> None:
    order = buy(world, Client(), ProductFactory(name="Knots"))
    report(world, Client(), "checkout.session.completed")
    event = StripeEvent.objects.get()
    answer = desk.post(EVENTS, {"action": "replay", "_selected_action": [event.pk]})
    assert (answer.status_code, answer["Location"]) == (302, f"{EVENTS}replay/?ids={event.pk}")
    before = dump()
    page = desk.get(answer["Location"])
    assert page.context["lines"][0] == f"order {order.reference}:"
    assert any("order: state: open → paid" in line for line in page.context["lines"])
    assert dump() == before
    assert told(desk, desk.post(answer["Location"])) == ["Replayed: 1 sessions, 0 skipped, 0 failed."]
    event.refresh_from_db()
    assert (states(order), event.state) == (("paid", ["active"], ["pending"]), "handled")
    assert LogEntry.objects.get().get_change_message() == "replayed"


@pytest.mark.parametrize("ids", ["", "x", "99999999999999999999999", "0,-1", "%00", "1;drop", "٣"])
def test_no_event_leads_back_to_the_list(desk: Client, ids: str) -> None:
    answer = desk.get(f"{EVENTS}replay/?ids={ids}")
    assert told(desk, answer) == ["Choose events in the list first."]
