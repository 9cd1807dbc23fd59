"""An order's timeline as the desk reads it: what happened, by which door and event, and what happens next."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from fulfillment import holds, links, outbox
from fulfillment.fulfill import fulfill
from fulfillment.hold_models import Hold
from fulfillment.models import Download, Entitlement, StripeEvent
from fulfillment.sweep import sweep
from fulfillment.timeline import Moment, moments, next_steps, read
from orders import refunds
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.steps import GUEST, begin_checkout, buy, events, pay, report

pytestmark = pytest.mark.django_db


def told(order: Order) -> list[str]:
    order = Order.objects.get(pk=order.pk)
    return [one.words for one in moments(order, read(order))]


def steps(order: Order) -> list[tuple[str, bool, datetime | None]]:
    order = Order.objects.get(pk=order.pk)
    return [(one.words, one.needs_person, one.at) for one in next_steps(order, read(order))]


def test_purchase_is_told_from_the_click_to_the_download(smtp: World, client: Client) -> None:
    order = buy(smtp, client, ProductFactory(name="Knots"))
    report(smtp, client)
    sweep()
    client.get(f"/links/{links.token(order)}/")
    file = order.lines.get().edition.files.get()
    for days in (1, 0):
        Download.objects.create(
            entitlement=Entitlement.objects.get(), file=file, via="link", address="192.0.2.7",
            started_at=timezone.now() + timedelta(days=days),
        )  # fmt: skip
    order.refresh_from_db()
    found = moments(order, read(order))
    happened = [one.words for one in found if not one.words.startswith("Stripe told")]
    assert happened == [
        "Order begun: Knots",
        f"Buyer sent to Stripe’s page: {order.stripe_session_id}",
        "Paid $12.50 with Visa •••• 4242",
        "Payment: open → paid",
        "Access: Knots: Active",
        f"Mailed “order and its files” to {GUEST}",
        "Link opened for the first time, perhaps by a mail scanner",
        "Downloaded Knots.pdf for the first time (192.0.2.7)",
    ]
    completed = events(smtp, "checkout.session.completed")[0]["id"]
    [granted] = [one for one in found if one.words == "Access: Knots: Active"]
    assert granted.door == "webhook"
    assert granted.event in {event.event_id for event in StripeEvent.objects.filter(state="handled")}
    assert granted.event_pk == StripeEvent.objects.get(event_id=granted.event).pk
    assert completed in {one.event for one in found}
    assert steps(order) == [("Nothing to do.", False, None)]


def test_opening_is_noted_once_and_by_a_look_alone(client: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    address = f"/links/{links.token(order)}/"
    client.head(address)
    order.refresh_from_db()
    assert order.link_opened_at is None
    client.get(address)
    order.refresh_from_db()
    first = order.link_opened_at
    client.get(address)
    order.refresh_from_db()
    assert (first is not None, order.link_opened_at) == (True, first)


@pytest.mark.parametrize(
    "seconds, shown", [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (900_000, "10 d")]
)
def test_time_after_the_payment_is_short(seconds: int, shown: str) -> None:
    assert Moment(timezone.now(), "x", after=timedelta(seconds=seconds)).after_display == shown


def test_mail_that_is_refused_needs_a_person(smtp: World, paid: Callable[..., Order]) -> None:
    order = paid()
    mail = order.deliveries.get()
    assert steps(order) == [(f"The mail “order and its files” to {GUEST} goes out by:", False, mail.next_attempt_at)]
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "to": GUEST})
    outbox.send(mail.pk)
    reply = mail.attempt_log.get().reply
    assert f"Tried to mail “order and its files” to {GUEST}: refused, {reply}" in told(order)
    assert steps(order) == [
        (f"No mail reaches {GUEST}. Ask the buyer for another address and press “Correct the address”.", True, None)
    ]


def test_mail_that_failed_for_now_is_tried_again(paid: Callable[..., Order]) -> None:
    order = paid()
    mail = order.deliveries.get()
    mail.attempts = 1
    mail.save()
    assert steps(order) == [
        (f"The mail “order and its files” to {GUEST} is tried again by:", False, mail.next_attempt_at)
    ]


def test_payments_that_are_not_here_yet_say_when_stripe_is_asked(world: World, client: Client) -> None:
    order = begin_checkout(client, ProductFactory())
    at = order.next_check_at
    assert steps(order) == [("Waiting for the buyer to pay on Stripe’s page; Stripe is asked again by:", False, at)]
    pay(world, order, method="bank_debit")
    fulfill(str(order.stripe_session_id), door="webhook")
    order.refresh_from_db()
    waiting = ("Waiting for the payment, which takes days; Stripe is asked again by:", False, order.next_check_at)
    assert steps(order)[0] == waiting
    world.control(f"settle/{order.stripe_session_id}", {"result": "failed"})
    fulfill(str(order.stripe_session_id), door="webhook")
    assert steps(order)[0] == ("The payment failed.", False, None)
    order.deliveries.filter(kind="failed").update(state="sent", sent_at=timezone.now())
    assert steps(order)[0] == ("The payment failed, and the buyer was told.", False, None)
    assert "Payment: payment on its way → payment failed" in told(order)


def test_dispute_says_by_when_the_bank_wants_an_answer(
    world: World, client: Client, paid: Callable[..., Order]
) -> None:
    order = paid()
    opened = world.control("dispute", {"session": order.stripe_session_id})
    fulfill(str(order.stripe_session_id), door="replay")
    assert steps(order)[0] == ("The bank disputes this payment. Answer under “Evidence”.", False, None)
    report(world, client)
    sweep()
    [event] = events(world, "charge.dispute.created")
    due = datetime.fromtimestamp(event["data"]["object"]["evidence_details"]["due_by"], tz=UTC)
    order.timeline.create(kind="dispute", door="webhook", detail="Open", event=event["id"])
    assert steps(order)[0] == ("The bank disputes this payment. Answer under “Evidence”, before:", False, due)
    assert event["data"]["object"]["id"] == opened["id"]


def test_what_people_did_and_have_to_do_stands_there(owner: Any, paid: Callable[..., Order]) -> None:
    order = paid()
    holds.place(order.pk, key=uuid.uuid4(), by=owner, reason="stolen card")
    [asked] = refunds.request(order.pk, key=uuid.uuid4(), by=owner, reason="duplicate", note="twice", amount=100).rows
    Order.objects.update(attention="Nobody knows why.")
    assert f"By hand: access suspended, the whole order: stolen card – {owner.email}" in told(order)
    assert steps(order)[:3] == [
        ("Nobody knows why. Remove the cause, then press “Replay”.", True, None),
        ("Access is suspended by hand. It stays so until somebody presses “Restore”.", False, None),
        ("$1.00 is on its way back; Stripe is asked again by:", False, asked.next_attempt_at),
    ]


def test_people_who_did_something_are_named_as_long_as_they_exist(owner: Any, paid: Callable[..., Order]) -> None:
    """What is stored is kept for good, so it names nobody."""
    order = paid()
    holds.place(order.pk, key=uuid.uuid4(), by=owner, reason="stolen card")
    [stored] = order.timeline.filter(kind="by_hand").values_list("detail", flat=True)
    assert stored.endswith(f"– o…@example.com (user {owner.pk})")
    assert f"By hand: {stored}" not in told(order)
    Hold.objects.update(placed_by=None)
    owner.delete()
    assert f"By hand: {stored}" in told(order)


def test_finished_orders_need_nothing() -> None:
    assert steps(OrderFactory(state="expired")) == [("Nothing to do: it was never paid.", False, None)]
    back = OrderFactory(state="paid", email=GUEST, refunded=1250)
    assert steps(back) == [("Nothing to do: everything was given back.", False, None)]


def test_page_shows_it_with_links_to_events_as_far_as_somebody_may_see(
    world: World, client: Client, desk: Client, staff: Callable[..., Client]
) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client)
    sweep()
    pk = StripeEvent.objects.get(event_id=events(world, "checkout.session.completed")[0]["id"]).pk
    address = f"/admin/orders/order/{order.pk}/change/"
    assert f"/admin/fulfillment/stripeevent/{pk}/change/" in desk.get(address).content.decode()
    page = staff().get(address).content.decode()
    assert "Mailed “" not in page
    assert "Access: " in page


def test_as_many_queries_however_much_there_is(
    paid: Callable[..., Order], django_assert_num_queries: Callable[..., Any]
) -> None:
    order = paid()
    for _ in range(20):
        order.timeline.create(kind="mail", door="test")
        Download.objects.create(
            entitlement=Entitlement.objects.get(), file=order.lines.get().edition.files.get(), via="link"
        )
    with django_assert_num_queries(7):
        seen = read(order)
        moments(order, seen)
        next_steps(order, seen)
