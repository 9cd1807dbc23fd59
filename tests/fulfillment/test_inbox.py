"""Events are handled after they were stored: once, under a lease, as often as it takes."""

import json
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from fulfillment import inbox
from fulfillment.models import StripeEvent
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.steps import DELIVERED, begin_checkout, buy, events, post_event, report, states

pytestmark = pytest.mark.django_db


def stored(**fields: object) -> StripeEvent:
    defaults = {"event_id": "evt_1", "type": "checkout.session.completed", "object_id": "cs_test_none", "body": b"{}"}
    return StripeEvent.objects.create(**defaults | fields)


def due_now(event: StripeEvent) -> None:
    StripeEvent.objects.filter(pk=event.pk).update(next_attempt_at=timezone.now())


def test_handled_event_is_not_handled_again(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    event_id = StripeEvent.objects.get().event_id
    assert inbox.handle(event_id) is True
    assert inbox.handle(event_id) is False
    assert Order.objects.get().facts_version == 1


def test_f13_event_held_by_a_worker_is_left_alone() -> None:
    stored(next_attempt_at=timezone.now() + timedelta(seconds=50), claim=uuid.uuid4())
    assert inbox.handle("evt_1") is False


def test_f14_event_of_a_worker_that_died_is_taken_over(world: World, client: Client) -> None:
    """The lease is over."""
    buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    StripeEvent.objects.update(attempts=1, claim=uuid.uuid4(), next_attempt_at=timezone.now())
    assert inbox.handle(StripeEvent.objects.get().event_id) is True
    assert StripeEvent.objects.get().attempts == 2


def test_f15_worker_that_overslept_its_lease_cannot_finish() -> None:
    event = stored(claim=uuid.uuid4())
    assert inbox._finish(event, uuid.uuid4(), state=StripeEvent.State.HANDLED, note="") is False
    event.refresh_from_db()
    assert event.state == "received"


def test_f70_failure_is_noted_and_tried_again_later(world: World) -> None:
    event = stored()
    before = timezone.now()
    assert inbox.handle("evt_1") is False
    event.refresh_from_db()
    assert (event.state, event.attempts, event.claim) == ("received", 1, None)
    assert event.note.startswith("SessionUnknown: ")
    assert timedelta(seconds=4) < event.next_attempt_at - before < timedelta(seconds=7)


def test_f70_event_is_parked_after_ten_failures(world: World) -> None:
    event = stored(attempts=9)
    inbox.handle("evt_1")
    event.refresh_from_db()
    assert (event.state, event.attempts) == ("failed", 10)
    assert inbox.handle("evt_1") is False


def test_f16_stripe_unreachable_is_tried_again(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    world.control("faults", {"area": "api", "kind": "error", "status": 429, "path": "/v1/checkout"})
    event = StripeEvent.objects.get()
    assert inbox.handle(event.event_id) is False
    event.refresh_from_db()
    assert event.note.startswith("StripeUnavailable")
    world.control("faults/clear", {})
    due_now(event)
    assert inbox.handle(event.event_id) is True


def test_f18_event_waits_for_ever_while_stripe_cannot_be_asked(world: World) -> None:
    """A revoked key is mended by a person, and then everything goes on by itself."""
    event = stored(attempts=50)
    world.control("faults", {"area": "api", "kind": "error", "status": 401})
    inbox.handle("evt_1")
    event.refresh_from_db()
    assert (event.state, event.attempts) == ("received", 51)


def test_f48_event_ignored_for_its_mode_comes_back_when_the_key_is_right(
    world: World, client: Client, settings: Settings
) -> None:
    """Test and live key were mixed up for a while; Stripe sends the event again."""
    order = buy(world, client, ProductFactory())
    key, settings.STRIPE_SECRET_KEY = settings.STRIPE_SECRET_KEY, "sk_live_by_mistake"
    report(world, client, "checkout.session.completed")
    assert StripeEvent.objects.get().state == "ignored"
    settings.STRIPE_SECRET_KEY = key
    report(world, client, "checkout.session.completed")
    assert inbox.handle(StripeEvent.objects.get().event_id) is True
    order.refresh_from_db()
    assert order.state == "paid"


def test_refund_event_finds_its_order_by_the_payment(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    inbox.handle(StripeEvent.objects.get().event_id)
    world.control("refund", {"session": order.stripe_session_id})
    report(world, client, "charge.refunded")
    assert inbox.handle(StripeEvent.objects.get(type="charge.refunded").event_id) is True
    order.refresh_from_db()
    assert (order.refunded, order.is_refunded) == (1250, True)


def test_f45_refund_before_completed_finds_its_session_at_stripe(world: World, client: Client) -> None:
    """No row of ours knows the payment yet."""
    order = buy(world, client, ProductFactory())
    world.control("refund", {"session": order.stripe_session_id})
    report(world, client, "charge.refunded")
    assert inbox.handle(StripeEvent.objects.get().event_id) is True
    order.refresh_from_db()
    assert (order.state, order.refunded) == ("paid", 1250)


def test_payments_own_event_asks_stripe_nothing_once_the_order_is_paid(
    world: World, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed", "payment_intent.succeeded")
    asked = []
    for event in StripeEvent.objects.order_by("type"):
        caplog.clear()
        with caplog.at_level("INFO", "stripe"):
            assert inbox.handle(event.event_id) is True
        asked.append(sum("Request to Stripe api" in record.getMessage() for record in caplog.records))
    assert (asked, states(order)) == ([1, 0], DELIVERED)


def test_payments_own_event_is_enough_where_the_sessions_is_lost(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client, "payment_intent.succeeded")
    assert inbox.handle(StripeEvent.objects.get().event_id) is True
    assert states(order) == DELIVERED


@pytest.mark.parametrize("state, attention", [("processing", ""), ("failed", ""), ("paid", "Paid too little.")])
def test_payments_own_event_asks_stripe_while_anything_is_open(
    world: World, client: Client, state: str, attention: str
) -> None:
    order = buy(world, client, ProductFactory())
    intent_id = events(world, "payment_intent.succeeded")[0]["data"]["object"]["id"]
    Order.objects.filter(pk=order.pk).update(
        state=state, attention=attention, stripe_payment_intent_id=intent_id, paid_at=timezone.now()
    )
    report(world, client, "payment_intent.succeeded")
    assert inbox.handle(StripeEvent.objects.get().event_id) is True
    assert (*states(order), order.attention) == (*DELIVERED, "")


def test_f19_payment_that_no_session_made_is_ignored(world: World) -> None:
    stored(type="payment_intent.succeeded", object_id="pi_from_elsewhere")
    inbox.handle("evt_1")
    event = StripeEvent.objects.get()
    assert (event.state, event.note) == ("ignored", "a payment that no Checkout Session made")


def test_money_event_without_payment_intent_is_ignored() -> None:
    body = json.dumps({"data": {"object": {"id": "ch_1", "payment_intent": None}}}).encode()
    stored(type="charge.refunded", object_id="ch_1", body=body)
    inbox.handle("evt_1")
    assert StripeEvent.objects.get().state == "ignored"


def test_f49_event_of_a_connected_account_is_ignored_with_its_name() -> None:
    stored(account="acct_1")
    inbox.handle("evt_1")
    assert StripeEvent.objects.get().note == "an event of the connected account acct_1"


def test_f17_s10_s15_payload_is_never_believed(world: World, client: Client) -> None:
    """A signed event that claims a payment grants nothing while Stripe says that it is unpaid."""
    order = begin_checkout(client, ProductFactory())
    paid = {"id": order.stripe_session_id, "payment_status": "paid", "status": "complete", "amount_total": 1250}
    post_event(client, {"id": "evt_9", "type": "checkout.session.completed", "data": {"object": paid}})
    inbox.handle("evt_9")
    order.refresh_from_db()
    assert (order.state, events(world, "checkout.session.completed")) == ("open", [])
