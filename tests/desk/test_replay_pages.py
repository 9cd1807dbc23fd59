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
WHY = {"reason": "the buyer waits"}


def address(order: Order) -> str:
    return f"/admin/orders/order/{order.pk}/replay/"


def told(desk: Client, answer: Any) -> list[str]:
    assert answer.status_code == 303
    return [str(message) for message in desk.get(answer["Location"]).context["messages"]]


def test_difference_is_shown_and_then_made(desk: Client, owner: Any, world: World) -> None:
    order = buy(world, Client(), ProductFactory(name="Knots"))
    before = dump()
    page = desk.get(address(order))
    [seen] = page.context["previews"]
    assert seen.sentences[0] == "Would mark the order “paid”."
    assert "Would give access to “Knots” to guest@example.com." in seen.sentences
    assert "Would write the mail “order and its files” to guest@example.com." in seen.sentences
    text = page.content.decode()
    assert text.index("<details>") < text.index("new entitlement Knots: state: active") < text.index("</details>")
    assert "Nothing would change." not in text
    assert dump() == before
    assert told(desk, desk.post(address(order), WHY)) == ["The order is in line with Stripe."]
    assert states(order) == ("paid", ["active"], ["pending"])
    assert order.timeline.get(kind="by_hand").detail == f"replayed: {WHY['reason']} – o…@example.com (user {owner.pk})"
    assert LogEntry.objects.get().get_change_message() == f"replayed: {WHY['reason']}"
    assert "<strong>Nothing would change.</strong>" in desk.get(address(order)).content.decode()


def test_replay_without_a_reason_changes_nothing(desk: Client, world: World) -> None:
    buy(world, Client(), ProductFactory())
    report(world, Client(), "checkout.session.completed")
    before = dump()
    for page in (address(Order.objects.get()), f"{EVENTS}replay/?ids={StripeEvent.objects.get().pk}"):
        answer = desk.post(page, {"reason": " "})
        assert (answer.status_code, list(answer.context["form"].errors)) == (200, ["reason"])
    assert dump() == before


def test_silent_stripe_is_said_and_nothing_changes(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    world.control("faults", {"area": "api", "kind": "error", "status": 503})
    assert "Stripe could not be asked:" in desk.get(address(order)).content.decode()
    [said] = told(desk, desk.post(address(order), WHY))
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
    [seen] = page.context["previews"]
    assert (seen.name, seen.sentences[0]) == (f"order {order.reference}", "Would mark the order “paid”.")
    assert dump() == before
    assert told(desk, desk.post(answer["Location"], WHY)) == ["Replayed 1 payment."]
    event.refresh_from_db()
    assert (states(order), event.state) == (("paid", ["active"], ["pending"]), "handled")
    assert LogEntry.objects.get().get_change_message() == f"replayed: {WHY['reason']}"


def test_event_that_is_skipped_says_why_and_that_nothing_would_change(desk: Client, world: World) -> None:
    event = StripeEvent.objects.create(event_id="evt_1", type="customer.created", object_id="cus_1", livemode=False)
    page = desk.get(f"{EVENTS}replay/?ids={event.pk}")
    [line] = page.context["left"]
    assert line.startswith("evt_1: skipped, ")
    assert "<strong>Nothing would change.</strong>" in page.content.decode()


@pytest.mark.parametrize("ids", ["", "x", "99999999999999999999999", "0,-1", "%00", "1;drop", "٣"])
def test_no_event_leads_back_to_the_list(desk: Client, ids: str) -> None:
    answer = desk.get(f"{EVENTS}replay/?ids={ids}")
    assert told(desk, answer) == ["Choose events in the list first."]
