"""Answers from a copy of Stripe's data that lags behind: they take back nothing that is known."""

import pytest
from django.test import Client

from fulfillment import inbox
from fulfillment.fulfill import fulfill
from fulfillment.models import StripeEvent
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_converge import absorb
from tests.steps import DELIVERED, begin_checkout, buy, events, pay, post_event, states

pytestmark = pytest.mark.django_db

LAG = {"area": "api", "kind": "stale", "path": "/v1/checkout/sessions/", "seconds": 3600}


def test_f17_older_answer_takes_no_paid_order_back(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    assert not fulfill(str(order.stripe_session_id), door="test").stale
    world.control("faults", LAG)
    assert fulfill(str(order.stripe_session_id), door="test").stale
    assert states(order) == DELIVERED
    assert list(order.timeline.filter(kind="state").values_list("detail", flat=True)) == ["paid"]


def test_f17_event_is_tried_again_until_stripe_has_caught_up(world: World, client: Client) -> None:
    """The debit's success is told while the API still shows the session as it was before it was completed."""
    order = begin_checkout(client, ProductFactory())
    pay(world, order, method="bank_debit")
    fulfill(str(order.stripe_session_id), door="test")
    assert states(order) == ("processing", [], [])
    world.control(f"settle/{order.stripe_session_id}", {"result": "succeeded"})
    (event,) = events(world, "checkout.session.async_payment_succeeded")
    post_event(client, event)
    world.control("faults", LAG)
    assert not inbox.handle(event["id"])
    assert states(order) == ("processing", [], [])
    world.control("faults/clear", {})
    StripeEvent.objects.update(next_attempt_at=StripeEvent.objects.get(event_id=event["id"]).received_at)
    assert inbox.handle(event["id"])
    assert states(order) == DELIVERED


@pytest.mark.parametrize(
    "known, answer",
    [
        ({}, {"status": "open", "payment_status": "unpaid"}),
        ({}, {"payment_status": "unpaid", "payment_intent_status": "processing"}),
        ({"status": "expired", "payment_status": "unpaid"}, {"status": "open", "payment_status": "unpaid"}),
        ({"payment_status": "unpaid"}, {"status": "open", "payment_status": "unpaid"}),
    ],
    ids=["paid, open", "paid, processing", "expired, open", "failed, open"],
)
def test_f17_f45_session_never_goes_back(known: dict[str, str], answer: dict[str, str]) -> None:
    order = absorb(OrderFactory(), **known)
    version, state = order.facts_version, order.state
    absorb(order, **answer)
    assert (order.state, order.facts_version) == (state, version)


def test_f54_failed_debit_may_still_come_true() -> None:
    order = absorb(OrderFactory(), payment_status="unpaid", payment_intent_status="requires_payment_method")
    assert order.state == Order.State.FAILED
    assert absorb(order).state == Order.State.PAID
