"""Which orders need a person: the list, an order's page and the dashboard go by one rule, quickly."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from fulfillment.delivery_models import Delivery
from fulfillment.needs import orders_in_need
from fulfillment.timeline import next_steps, read
from orders.models import Order
from tests.desk.test_finding import FILL
from tests.factories import OrderFactory
from tests.steps import GUEST

pytestmark = pytest.mark.django_db

# One mail that was sent for each order that has none.
FILL_MAILS = """
    INSERT INTO fulfillment_delivery (order_id, kind, seq, recipient, state, attempts, sent_at)
    SELECT id, 'order', 1, email, 'sent', 1, now() FROM orders_order
    WHERE NOT EXISTS (SELECT FROM fulfillment_delivery WHERE order_id = orders_order.id)"""


def mailed(order: Order, *states: str) -> Order:
    for seq, state in enumerate(states, 1):
        Delivery.objects.create(
            order=order, kind="order", seq=seq, recipient=GUEST, state=state, sent_at=order.created_at
        )
    return order


def paid(**fields: str) -> Order:
    order: Order = OrderFactory(state="paid", email=GUEST, **fields)
    return order


CASES: tuple[tuple[Callable[[], Order], bool], ...] = (
    (lambda: mailed(paid(), "sent"), False),
    (lambda: mailed(paid(attention="Nobody knows why."), "sent"), True),
    (lambda: mailed(paid(), "gave_up"), True),
    (lambda: mailed(paid(), "gave_up", "pending"), False),
    (lambda: mailed(paid(), "gave_up", "withdrawn"), True),
    (lambda: mailed(paid(), "sent", "gave_up"), True),
    # Once it is answered, the bank takes months.
    (lambda: mailed(paid(dispute="open"), "sent"), False),
)


@pytest.mark.parametrize("make, needed", CASES)
def test_list_page_and_rule_agree(desk: Client, make: Callable[[], Order], needed: bool) -> None:
    order = make()
    assert orders_in_need().exists() == needed
    assert any(step.needs_person for step in next_steps(order, read(order))) == needed
    page = desk.get("/admin/orders/order/?attention=yes").content.decode()
    assert (order.reference in page) == needed
    strip = desk.get("/admin/").content.decode()
    assert ("1 order needs a person" in strip, "no order needs a person" in strip) == (needed, not needed)


def test_reason_stands_in_the_list(desk: Client) -> None:
    mailed(paid(), "gave_up")
    paid(attention="Paid $1.00 instead of $12.50.")
    text = desk.get("/admin/orders/order/").content.decode()
    assert "No mail reaches the buyer." in text
    assert "Paid $1.00 instead of $12.50." in text


@pytest.mark.parametrize(
    "query, index",
    [
        ("attention=yes", "order_attention"),
        ("attention=yes", "delivery_given_up"),
        ("refunded=yes", "order_refunded"),
        ("refunded=all", "order_refunded"),
        ("dispute__exact=open", "order_disputed"),
    ],
)
def test_lists_of_few_are_found_by_their_own_index(desk: Client, query: str, index: str) -> None:
    mailed(paid(attention="Nobody knows why."), "gave_up")
    with connection.cursor() as cursor:
        cursor.execute(FILL, [20_000])
        cursor.execute(FILL_MAILS)
        # Both, by hand: whether autovacuum has looked at them by now is anybody's guess, and the plan goes by it.
        cursor.execute("ANALYZE orders_order, fulfillment_delivery")
    with CaptureQueriesContext(connection) as captured:
        assert desk.get(f"/admin/orders/order/?{query}").status_code == 200
    [rows] = [
        one["sql"] for one in captured if one["sql"].startswith('SELECT "orders_order"."id", "orders_order"."ref')
    ]
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + rows)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert index in plan, plan
    assert "Seq Scan on orders_order" not in plan, plan
