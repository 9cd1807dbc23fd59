"""Answers from a copy of Stripe's data that lags behind: they take back nothing that is known."""

import time

import pytest
from django.db.models import F
from django.test import Client

from fulfillment import inbox, lagging
from fulfillment.fulfill import fulfill
from fulfillment.models import StripeEvent
from orders.facts import Refund
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_converge import absorb, facts_of
from tests.steps import DELIVERED, begin_checkout, buy, events, pay, post_event, states

pytestmark = pytest.mark.django_db

LAG = {"area": "api", "kind": "stale", "path": "/v1/checkout/sessions/", "seconds": 3600}


def test_f17_older_answer_takes_no_paid_order_back(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    assert not fulfill(str(order.stripe_session_id), door="test").stale
    world.control("faults", LAG)
    assert fulfill(str(order.stripe_session_id), door="test").stale
    assert states(order) == DELIVERED
    assert list(order.timeline.filter(kind="state").values_list("detail", flat=True)) == ["open → paid"]


def test_f17_event_is_tried_again_until_stripe_has_caught_up(world: World, client: Client) -> None:
    """The debit's success is told while the API still shows the session as it was before it was completed."""
    order = begin_checkout(client, ProductFactory())
    pay(world, order, method="bank_debit")
    fulfill(str(order.stripe_session_id), door="test")
    assert states(order) == ("processing", [], ["pending"])
    world.control(f"settle/{order.stripe_session_id}", {"result": "succeeded"})
    (event,) = events(world, "checkout.session.async_payment_succeeded")
    post_event(client, event)
    world.control("faults", LAG)
    assert not inbox.handle(event["id"])
    assert states(order) == ("processing", [], ["pending"])
    world.control("faults/clear", {})
    StripeEvent.objects.update(next_attempt_at=StripeEvent.objects.get(event_id=event["id"]).received_at)
    assert inbox.handle(event["id"])
    assert states(order) == ("paid", ["active"], ["pending", "pending"])  # that it waited, and the files


def a_moment() -> float:
    """A time that is over by a second when this returns, so that what follows is surely later."""
    now = time.time()
    time.sleep(1)
    return now


def tried_again(world: World, client: Client, kind: str, *, known: float) -> None:
    """The event of this type waits while Stripe's answers say what they said at `known`, not while they are new."""
    (event,) = events(world, kind)
    post_event(client, event)
    world.control("faults", {"area": "api", "kind": "stale", "seconds": time.time() - known})
    assert not inbox.handle(event["id"])
    row = StripeEvent.objects.get(event_id=event["id"])
    assert row.state == StripeEvent.State.RECEIVED
    assert "does not tell of" in row.note
    world.control("faults/clear", {})
    StripeEvent.objects.update(next_attempt_at=row.received_at)
    assert inbox.handle(event["id"])


def test_f17_f60_dispute_that_the_answer_does_not_show_is_asked_about_again(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    fulfill(str(order.stripe_session_id), door="test")
    known = a_moment()
    dispute = world.control("dispute", {"session": order.stripe_session_id})
    tried_again(world, client, "charge.dispute.created", known=known)
    assert states(order)[1] == ["suspended"]
    known = a_moment()
    world.control(f"dispute/{dispute['id']}/close", {"status": "won"})
    tried_again(world, client, "charge.dispute.closed", known=known)
    assert states(order)[1] == ["active"]


def test_f17_f61_failing_refund_that_the_answer_still_counts_is_asked_about_again(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    refund = world.control("refund", {"session": order.stripe_session_id})
    fulfill(str(order.stripe_session_id), door="test")
    assert states(order)[1] == ["revoked"]
    known = a_moment()
    world.control(f"refund/{refund['id']}/fail", {})
    tried_again(world, client, "refund.failed", known=known)
    assert states(order)[1] == ["active"]


REFUND = Refund(id="re_1", amount=100, status="succeeded", order_line="")


@pytest.mark.parametrize(
    "kind, about, refunds, missing",
    [
        ("charge.refunded", "ch_1", (), "the charge's refund"),
        ("charge.refunded", "ch_1", (REFUND,), ""),
        ("refund.created", "re_1", (), "refund re_1"),
        ("charge.refund.updated", "re_2", (REFUND,), "refund re_2"),
        ("refund.updated", "re_1", (REFUND,), ""),
        ("refund.failed", "re_1", (REFUND,), "the failure of refund re_1"),
        ("payment_intent.succeeded", "pi_1", (), ""),
    ],
)
def test_f17_what_an_answer_lacks(kind: str, about: str, refunds: tuple[Refund, ...], missing: str) -> None:
    assert lagging.missing(kind, about, facts_of(OrderFactory(), refunds=refunds)) == missing


def test_f17_event_about_nothing_of_this_payment_is_not_waited_for_for_ever(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    world.control("refund", {"session": order.stripe_session_id})
    (event,) = events(world, "refund.created")
    event["data"]["object"]["id"] = "re_of_something_else"
    post_event(client, event)
    for _ in range(lagging.PATIENT_TRIES):
        assert not inbox.handle(event["id"])
        StripeEvent.objects.update(next_attempt_at=F("received_at"))
    assert inbox.handle(event["id"])


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
