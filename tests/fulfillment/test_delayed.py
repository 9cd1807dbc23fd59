"""Money that takes days, fails, or was never due: nothing granted too early, and mails that are true when they go."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from fulfillment import conditions, mails, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement, StripeEvent
from fulfillment.resend import resend_order
from fulfillment.stuck import find_stuck
from fulfillment.sweep import sweep
from orders.facts import Dispute
from orders.models import Order
from sandbox.world.server import World
from storefront.metrics import _backlog
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.fulfillment.test_converge import absorb, refund
from tests.orders.test_payment_links import pay_link, price
from tests.steps import GUEST, begin_checkout, buy, events, post_event, report, states

pytestmark = pytest.mark.django_db

ON_ITS_WAY = {"payment_status": "unpaid", "payment_intent_status": "processing"}
FAILED = {"payment_status": "unpaid", "payment_intent_status": "requires_payment_method"}
DISPUTED = {"disputes": (Dispute(id="du_1", status="needs_response"),)}
NOT_DUE = {"payment_status": "no_payment_required", "payment_intent_id": "", "payment_intent_status": ""}


def written(order: Order) -> list[tuple[str, int, str]]:
    return list(order.deliveries.order_by("pk").values_list("kind", "seq", "state"))


def send_all(world: World, order: Order) -> list[str]:
    """Send whatever is due, twice; the subjects of all that ever arrived, oldest first."""
    for delivery in [*order.deliveries.order_by("pk"), *order.deliveries.order_by("pk")]:
        outbox.send(delivery.pk)
    return [mail["subject"] for mail in world.mails(to=GUEST)][::-1]


def granted(order: Order) -> bool:
    return Entitlement.objects.filter(order_line__order=order, state="active").exists()


def test_f53_nothing_is_granted_while_unpaid_and_a_mail_says_so(smtp: World, client: Client) -> None:
    order = buy(smtp, client, ProductFactory(name="Knots"), method="bank_debit")
    report(smtp, client)
    report(smtp, client)
    sweep(), sweep()
    assert (states(order), granted(order)) == (("processing", [], ["sent"]), False)
    assert send_all(smtp, order) == ["Your payment is on its way: Knots"]
    for page in (f"/checkout/done/?session_id={order.stripe_session_id}", order.get_absolute_url()):
        assert "payment is on its way" in client.get(page).content.decode()
    smtp.control(f"settle/{order.stripe_session_id}", {"result": "succeeded"})
    report(smtp, client)
    sweep(), sweep()
    assert written(order) == [("waiting", 1, "sent"), ("order", 1, "sent")]
    assert send_all(smtp, order) == ["Your payment is on its way: Knots", "Your download: Knots"]
    assert granted(order)


def test_f53_waiting_mail_that_is_overtaken_by_the_money_is_not_sent(smtp: World) -> None:
    order = absorb(absorb(OrderFactory(), **ON_ITS_WAY))
    assert send_all(smtp, order) == [f"Your download: {order.lines.get().name}"]
    assert written(order) == [("waiting", 1, "withdrawn"), ("order", 1, "sent")]
    assert list(order.timeline.filter(door="outbox").values_list("detail", flat=True)) == [
        "payment on its way: no longer needed",
        "order and its files: Sent",
    ]
    assert not Delivery.objects.get(kind="waiting").attempt_log.exists()


def test_f54_failed_payment_is_told_once_with_the_way_to_try_again(smtp: World, client: Client) -> None:
    product = ProductFactory(name="Knots", slug="knots")
    order = buy(smtp, client, product, method="bank_debit")
    report(smtp, client)
    sweep()
    smtp.control(f"settle/{order.stripe_session_id}", {"result": "failed"})
    for _ in range(3):
        report(smtp, client)
        fulfill(str(order.stripe_session_id), door="test")
        sweep()
    assert (states(order)[0], granted(order)) == ("failed", False)
    assert send_all(smtp, order) == ["Your payment is on its way: Knots", "Your payment did not go through: Knots"]
    text = smtp.mails(to=GUEST)[0]["text"]
    assert "\r\n\r\nhttp://localhost/products/knots/\r\n\r\n" in text
    assert "Nothing was charged" in text
    assert "/links/" not in text


def test_f54_first_seen_as_failed_only_the_failure_is_told(smtp: World) -> None:
    order = absorb(OrderFactory(), **FAILED)
    assert send_all(smtp, order) == [f"Your payment did not go through: {order.lines.get().name}"]


def test_f54_failed_then_late_success_delivers_once(smtp: World) -> None:
    order = absorb(absorb(OrderFactory(), **ON_ITS_WAY), **FAILED)
    name = order.lines.get().name
    assert send_all(smtp, order) == [f"Your payment did not go through: {name}"]
    for _ in range(3):
        absorb(order)
        assert send_all(smtp, order) == [f"Your payment did not go through: {name}", f"Your download: {name}"]
    assert (order.state, granted(order)) == ("paid", True)
    assert written(order) == [("waiting", 1, "withdrawn"), ("failed", 1, "sent"), ("order", 1, "sent")]


def test_f54_failure_that_was_not_yet_told_is_not_told_after_the_success(smtp: World) -> None:
    order = absorb(absorb(OrderFactory(), **FAILED))
    assert send_all(smtp, order) == [f"Your download: {order.lines.get().name}"]
    assert written(order) == [("failed", 1, "withdrawn"), ("order", 1, "sent")]


def test_f54_failure_reported_late_does_not_undo_the_success(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory(), method="bank_debit")
    world.control(f"settle/{order.stripe_session_id}", {"result": "succeeded"})
    late = late_event(world, "checkout.session.async_payment_failed", order)
    for event in (*events(world), late, *events(world)):
        assert post_event(client, event).status_code == 200
        sweep()
    assert (states(order)[0], [kind for kind, _, _ in written(order)]) == ("paid", ["order"])


def test_first_seen_as_paid_neither_waiting_nor_failing_is_told() -> None:
    assert written(absorb(OrderFactory())) == [("order", 1, "pending")]


def late_event(world: World, kind: str, order: Order) -> dict[str, Any]:
    """An event of this type about the order's session, made before something else happened and delivered after it."""
    like = next(event for event in events(world) if event["data"]["object"]["id"] == order.stripe_session_id)
    return {**json.loads(json.dumps(like)), "id": f"evt_{uuid4().hex}", "type": kind}


def test_mail_about_money_that_never_had_an_address_waits_for_one() -> None:
    order = absorb(OrderFactory(), email="", **ON_ITS_WAY)
    assert written(order) == []
    assert [kind for kind, _, _ in written(absorb(order, **ON_ITS_WAY))] == ["waiting"]


# Mails that are no longer true


def test_order_mail_of_an_order_refunded_before_it_went_out_is_not_sent(smtp: World) -> None:
    order = absorb(absorb(OrderFactory()), refunds=(refund(1250),))
    assert send_all(smtp, order) == [f"Your refund of $12.50: order {order.reference}"]
    assert written(order) == [("order", 1, "withdrawn"), ("refund", 1, "sent")]


def test_refund_that_comes_back_brings_the_order_mail_that_was_withdrawn(smtp: World) -> None:
    order = absorb(absorb(OrderFactory()), refunds=(refund(1250),))
    send_all(smtp, order)
    absorb(order, refunds=(refund(1250, "failed"),))
    absorb(order, refunds=(refund(1250, "failed"),))
    assert sorted(send_all(smtp, order)[1:]) == [
        f"Your download: {order.lines.get().name}",
        f"Your refund did not get through: order {order.reference}",
    ]
    assert [row for row in written(order) if row[0] == "order"] == [("order", 1, "withdrawn"), ("order", 2, "sent")]


def test_f61_order_mail_waits_out_a_dispute(smtp: World) -> None:
    order = absorb(OrderFactory(), **DISPUTED)
    assert (send_all(smtp, order), written(order)) == ([], [("order", 1, "withdrawn")])
    absorb(order, **DISPUTED)
    assert written(order) == [("order", 1, "withdrawn")]
    won = {"disputes": (Dispute(id="du_1", status="won"),)}
    absorb(order, **won)
    absorb(order, **won)
    assert send_all(smtp, order) == [f"Your download: {order.lines.get().name}"]
    assert written(order) == [("order", 1, "withdrawn"), ("order", 2, "sent")]


def test_link_that_was_asked_for_and_opens_nothing_any_more_is_not_sent(smtp: World) -> None:
    order = absorb(absorb(OrderFactory()), refunds=(refund(1250),))
    link = Delivery.objects.create(order=order, kind="link", recipient=GUEST)
    assert outbox.send(link.pk) is False
    link.refresh_from_db()
    assert (link.state, link.claim) == ("withdrawn", None)


def test_withdrawn_is_final_and_settled(smtp: World) -> None:
    """Nobody is alarmed by it, nothing tries again, and a person can still send one more."""
    order = absorb(OrderFactory(), **DISPUTED)
    outbox.send(order.deliveries.get().pk)
    long_ago = timezone.now() - timedelta(hours=1)
    Order.objects.update(paid_at=long_ago)
    Delivery.objects.update(created_at=long_ago, next_attempt_at=long_ago)
    assert (sweep().mails, written(order)) == (0, [("order", 1, "withdrawn")])
    assert find_stuck(longer_than=timedelta(minutes=5)) == []
    assert (conditions._undelivered(timezone.now()), conditions._given_up(timezone.now())) == ([], [])
    figures = {one.name: one.samples[0].value for one in _backlog(timezone.now()) if len(one.samples) == 1}
    assert (figures["shop_deliveries_given_up"], figures["shop_deliveries_oldest_seconds"]) == (0, 0)
    absorb(order, disputes=(Dispute(id="du_1", status="won"),))
    Delivery.objects.update(created_at=long_ago)
    assert resend_order(order.reference, door="test").delivery.seq == 3


def test_given_up_mail_is_not_hidden_by_a_later_one_that_was_withdrawn() -> None:
    order = OrderFactory(state="paid", email=GUEST)
    Delivery.objects.create(order=order, kind="order", recipient=GUEST, state="gave_up")
    Delivery.objects.create(order=order, kind="refund", recipient=GUEST, state="withdrawn", about="re_1")
    assert len(conditions._given_up(timezone.now())) == 1


def test_paid_order_whose_only_mail_told_it_to_wait_is_stuck() -> None:
    order = OrderFactory(state="paid", email=GUEST, paid_at=timezone.now() - timedelta(hours=1))
    Delivery.objects.create(order=order, kind="waiting", recipient=GUEST, state="sent", sent_at=timezone.now())
    whats = {one.what for one in find_stuck(longer_than=timedelta(minutes=5)) if one.which == order.reference}
    assert whats == {"paid without access", "paid without mail"}


def test_sender_that_lost_its_claim_withdraws_nothing(smtp: World) -> None:
    order = absorb(OrderFactory(), **DISPUTED)
    delivery = order.deliveries.get()
    other = uuid4()
    Delivery.objects.update(state="sending", claim=other)
    assert outbox._withdraw(delivery, uuid4()) is True
    delivery.refresh_from_db()
    assert (delivery.state, delivery.claim) == ("sending", other)


def test_order_that_is_good_again_when_its_lock_is_held_is_sent(smtp: World) -> None:
    """The sender read the order before the dispute was won: the lock decides, and the mail goes out."""
    order = absorb(OrderFactory(), **DISPUTED)
    delivery, claim = Delivery.objects.select_related("order").get(), uuid4()
    Delivery.objects.update(state="sending", claim=claim)
    absorb(order, disputes=(Dispute(id="du_1", status="won"),))
    assert outbox._withdraw(delivery, claim) is False
    assert written(order) == [("order", 1, "sending")]


def test_success_page_never_promises_a_mail_that_was_withdrawn(smtp: World, client: Client) -> None:
    order = buy(smtp, client, ProductFactory(), card="4000000000000259")
    page = client.get(f"/checkout/done/?session_id={order.stripe_session_id}").content.decode()
    assert "This payment is disputed" in page
    assert "on its way to" not in page


def test_success_page_of_a_refunded_order_says_so(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    world.control("refund", {"session": order.stripe_session_id})
    page = client.get(f"/checkout/done/?session_id={order.stripe_session_id}").content.decode()
    assert "This order was refunded" in page
    assert "$12.50 is on its way back" in page
    assert "your library" not in page


# Nothing due, discounts, expiry


def test_f52_link_that_costs_nothing_is_delivered(world: World) -> None:
    ProductFactory(slug="gift")
    fulfill(pay_link(world, (price(world, amount=0, slug="gift"), 1)), door="test")
    order = Order.objects.get()
    assert (order.state, order.total, order.stripe_payment_intent_id, granted(order)) == ("paid", 0, None, True)
    assert written(order) == [("order", 1, "pending")]


@pytest.mark.parametrize("percent, total", [(100, 0), (40, 750)])
def test_f52_f57_code_on_our_own_checkout_is_compared_before_the_discount(
    world: World, client: Client, percent: int, total: int
) -> None:
    order = begin_checkout(client, ProductFactory(price=1250))
    world.control(f"discount/{order.stripe_session_id}", {"percent": percent})
    world.control(f"pay/{order.stripe_session_id}", {"email": GUEST})
    report(world, client)
    sweep()
    order.refresh_from_db()
    assert (order.state, order.total, order.attention, granted(order)) == ("paid", total, "", True)
    assert order.lines.get().unit_price == 1250
    body = mails.compose(Delivery(order=order, kind="order", recipient=GUEST)).body
    assert ("Total paid: $7.50" if total else "Free of charge") in body


def test_f44_discounted_order_refunded_in_full_gives_no_access(world: World, client: Client) -> None:
    order = begin_checkout(client, ProductFactory(price=1250))
    world.control(f"discount/{order.stripe_session_id}", {"percent": 40})
    world.control(f"pay/{order.stripe_session_id}", {"email": GUEST})
    world.control("refund", {"session": order.stripe_session_id, "amount": 749})
    fulfill(str(order.stripe_session_id), door="test")
    assert granted(order)
    world.control("refund", {"session": order.stripe_session_id, "amount": 1})
    fulfill(str(order.stripe_session_id), door="test")
    assert not granted(order)


@pytest.mark.parametrize("changes", [{"amount_subtotal": 1249}, {"amount_subtotal": 1251}, {"currency": "eur"}])
def test_f57_other_amount_than_was_sold_is_held_and_grants_nothing(changes: dict[str, Any]) -> None:
    order = absorb(OrderFactory(), **changes)
    assert (order.state, granted(order), written(order)) == ("paid", False, [])
    assert order.attention.startswith("Stripe charged ")


def test_f57_tax_on_top_is_no_other_amount(world: World) -> None:
    order = absorb(OrderFactory(), amount_total=1488)
    assert (order.total, order.attention, granted(order)) == (1488, "", True)


def test_f55_expired_closes_an_unpaid_order_and_tells_nobody(world: World, client: Client) -> None:
    order = begin_checkout(client, ProductFactory())
    world.control(f"expire/{order.stripe_session_id}", {})
    report(world, client)
    sweep()
    assert (states(order), granted(order)) == (("expired", [], []), False)


def test_f55_expired_that_arrives_after_the_payment_changes_nothing(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client)
    sweep()
    before = (states(order), written(order), order.timeline.count())
    assert post_event(client, late_event(world, "checkout.session.expired", order)).status_code == 200
    sweep()
    assert (states(order), written(order), order.timeline.count()) == before
    assert StripeEvent.objects.get(type="checkout.session.expired").state == "handled"


def test_signed_in_buyers_mails_lead_to_the_library(world: World) -> None:
    user = UserFactory()
    order = absorb(OrderFactory(user=user, email=user.email), refunds=(refund(1250),))
    sweep()
    absorb(order, refunds=(refund(1250, "failed"),))
    mail = mails.compose(order.deliveries.get(kind="refund_failed"))
    assert f"http://localhost/links/{order.reference}." in mail.body
    assert "/library/" in str(mail.alternatives[0][0])
