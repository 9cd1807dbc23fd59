"""Every promise is a constraint in the database: each is broken here on purpose."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from catalog.models import File
from fulfillment.delivery_models import Delivery, DeliveryAttempt
from fulfillment.models import Entitlement, StripeEvent
from orders.models import Order, OrderLine
from orders.refund_models import RefundRequest
from tests.factories import OrderFactory, ProductFactory

pytestmark = pytest.mark.django_db

KEY = uuid.uuid4()


def order(**fields: Any) -> Order:
    return OrderFactory(**fields)


def entitlement(line: OrderLine, **fields: Any) -> Entitlement:
    return Entitlement.objects.create(order_line=line, product=line.product, **fields)


def delivery(**fields: Any) -> Delivery:
    return Delivery.objects.create(**{"order": order(), "kind": "order", "recipient": "a@b.co"} | fields)


def event(**fields: Any) -> StripeEvent:
    return StripeEvent.objects.create(**{"event_id": "evt_1", "type": "x", "body": b""} | fields)


def refund(**fields: Any) -> RefundRequest:
    given = {"order": fields.get("order") or order(), "amount": 100, "reason": "duplicate", "note": "n"}
    return RefundRequest.objects.create(**given | fields)


def line_refunded_twice() -> None:
    line = order().lines.get()
    twice(refund, order=line.order, line=line, key=KEY)


def twice(make: Callable[..., Any], **fields: Any) -> None:
    make(**fields)
    make(**fields)


def same_product_twice() -> None:
    line = order().lines.get()
    line.pk = None
    line.save()


def entitled_twice() -> None:
    line = order().lines.get()
    twice(lambda: entitlement(line))


def mailed_twice() -> None:
    for_order = order()
    twice(lambda: delivery(order=for_order))


def accepted_twice() -> None:
    row = delivery()
    twice(lambda: DeliveryAttempt.objects.create(delivery=row, outcome="accepted"))


@pytest.mark.parametrize(
    "constraint, breaking",
    [
        ("orders_order_reference", lambda: twice(order, reference="SAME")),
        ("orders_order_stripe_session_id", lambda: twice(order, stripe_session_id="cs_1")),
        ("orders_order_stripe_payment_intent_id", lambda: twice(order, stripe_payment_intent_id="pi_1")),
        ("order_refunded_within_total", lambda: order(total=100, refunded=101)),
        ("order_refunded_within_total", lambda: order(refunded=-1)),
        ("order_paid_has_time", lambda: order(state="paid", paid_at=None)),
        ("order_one_open_checkout", lambda: twice(order, checkout_key="same buyer, same product")),
        ("order_line_once_per_product", same_product_twice),
        ("order_line_price_not_negative", lambda: order().lines.update(unit_price=-1)),
        ("order_line_quantity_from_one", lambda: order().lines.update(quantity=0)),
        ("order_line_refunded_not_negative", lambda: order().lines.update(refunded=-1)),
        ("fulfillment_stripeevent_event_id", lambda: twice(event)),
        ("event_handled_has_time", lambda: event(state="handled")),
        ("fulfillment_entitlement_order_line_id", entitled_twice),
        ("entitlement_ended_has_reason", lambda: entitlement(order().lines.get(), state="revoked")),
        ("delivery_once", mailed_twice),
        ("delivery_sent_has_time", lambda: delivery(state="sent")),
        ("delivery_accepted_once", accepted_twice),
        ("refund_request_once_per_form", lambda: twice(refund, order=order(), key=KEY)),
        ("refund_request_once_per_form", line_refunded_twice),
        ("refund_request_amount_positive", lambda: refund(amount=0)),
        ("refund_request_made_has_id", lambda: refund(state="made")),
        ("refund_request_made_has_id", lambda: refund(state="accepted")),
        ("refund_request_made_has_id", lambda: refund(state="refused", stripe_refund_id="re_1")),
        ("orders_refundrequest_stripe_refund_id", lambda: twice(refund, state="made", stripe_refund_id="re_1")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_i2_i5_i6_database_refuses(constraint: str, breaking: Callable[[], Any]) -> None:
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        breaking()


def test_two_settled_orders_may_share_a_checkout_key() -> None:
    twice(order, checkout_key="k", state="paid", paid_at=timezone.now())
    assert Order.objects.count() == 2


@pytest.mark.parametrize(
    "statement", ["UPDATE orders_timelineentry SET detail = 'x'", "DELETE FROM orders_timelineentry"]
)
def test_i10_timeline_is_append_only(statement: str) -> None:
    order().timeline.create(kind="created", door="test")
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


FORGOTTEN = "UPDATE orders_order SET erased_at = now(), email = 'erased-1@invalid', buyer_agent = ''"
TAKEN_OUT = "UPDATE orders_timelineentry SET detail = 'mail: gave up, 550 <…>: unknown'"


def test_timeline_loses_addresses_once_its_buyer_is_forgotten_and_nothing_else() -> None:
    sold = order()
    sold.timeline.create(kind="mail", door="outbox", detail="mail: gave up, 550 <bob@example.com>: unknown")
    tries = [
        TAKEN_OUT,  # not erased yet
        "UPDATE orders_timelineentry SET detail = ''",
        f"{TAKEN_OUT}, at = now()",
        f"{TAKEN_OUT}, kind = 'state'",
        "DELETE FROM orders_timelineentry",
    ]
    with connection.cursor() as cursor:
        for number, statement in enumerate(tries):
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                cursor.execute(statement)
            if number == 0:
                cursor.execute(FORGOTTEN)
        cursor.execute(TAKEN_OUT)
    assert sold.timeline.get().detail == "mail: gave up, 550 <…>: unknown"


@pytest.mark.parametrize(
    "change",
    [{"email": "bob@example.com"}, {"email": ""}, {"buyer_address": "192.0.2.1"}, {"buyer_agent": "Firefox"}],
)
def test_erased_order_names_nobody(change: dict[str, str]) -> None:
    sold = order()
    with connection.cursor() as cursor:
        cursor.execute(FORGOTTEN)
    with pytest.raises(IntegrityError, match="order_erased_names_nobody"), transaction.atomic():
        Order.objects.filter(pk=sold.pk).update(**change)


@pytest.mark.parametrize("change", [{"key": "other"}, {"sha256": "0" * 64}])
def test_f56_s54_file_that_was_sold_is_neither_deleted_nor_exchanged(change: dict[str, str]) -> None:
    sold = order().lines.get().edition.files.get()
    with pytest.raises(IntegrityError, match="was sold"), transaction.atomic():
        File.objects.filter(pk=sold.pk).delete()
    with pytest.raises(IntegrityError, match="was sold"), transaction.atomic():
        File.objects.filter(pk=sold.pk).update(**change)
    File.objects.filter(pk=sold.pk).update(name="A better name.pdf", position=2)


def test_f56_what_was_sold_cannot_be_deleted() -> None:
    line = order().lines.get()
    for sold in (line.product, line.edition, line.order):
        with pytest.raises(ProtectedError), transaction.atomic():
            sold.delete()


def test_unsold_product_can_be_deleted_whole() -> None:
    product = ProductFactory()
    product.delete()
    assert File.objects.count() == 0
