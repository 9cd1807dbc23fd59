"""Each invariant is silent about a healthy order, and names the offender once its rows are broken on purpose."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from fulfillment import outbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import StripeEvent
from fulfillment.sweep import Swept, sweep_mail, sweep_money
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.proof.invariants import INVARIANTS, acknowledged, changes, snapshot, violations
from tests.steps import buy, events, report

pytestmark = pytest.mark.django_db

DROP = {
    "event": "ALTER TABLE fulfillment_stripeevent DROP CONSTRAINT fulfillment_stripeevent_event_id_key",
    "entitlement": "ALTER TABLE fulfillment_entitlement DROP CONSTRAINT fulfillment_entitlement_order_line_id_key",
    "session": "ALTER TABLE orders_order DROP CONSTRAINT orders_order_stripe_session_id_key",
    "intent": "ALTER TABLE orders_order DROP CONSTRAINT orders_order_stripe_payment_intent_id_key",
    "accepted": "DROP INDEX delivery_accepted_once",
    "delivery": "DROP INDEX delivery_once",
}


def copy_of(table: str, **other: str) -> str:
    """A statement that inserts the table's row once more, with other values in some columns."""
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, table)
    names = [column.name for column in described if column.name != "id"]
    values = [other.get(name, name) for name in names]
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM {table} LIMIT 1"  # noqa: S608


def history(kind: str, detail: str, door: str = "test") -> str:
    entry = f"id, now(), '{kind}', '{door}', '{detail}'"
    return f"INSERT INTO orders_timelineentry (order_id, at, kind, door, detail) SELECT {entry} FROM orders_order"  # noqa: S608


FORGOTTEN = (
    """UPDATE orders_order SET erased_at = now(), email = 'erased-1@invalid', user_id = NULL, buyer_address = NULL,
        buyer_agent = ''""",
    "UPDATE fulfillment_delivery SET recipient = 'erased-1@invalid'",
    "UPDATE fulfillment_entitlement SET email = 'erased-1@invalid', user_id = NULL",
)


BROKEN: list[tuple[str, str, Callable[[], list[str]]]] = [
    (
        "I1 acked is stored",
        "was acknowledged",
        lambda: ["DELETE FROM fulfillment_stripeevent WHERE type = 'checkout.session.completed'"],
    ),
    ("I1 stored once", "2 times", lambda: [DROP["event"], copy_of("fulfillment_stripeevent")]),
    ("I2 paid is delivered", "has 0 entitlements", lambda: ["DELETE FROM fulfillment_entitlement"]),
    (
        "I2 paid is delivered",
        "0 of them active",
        lambda: ["UPDATE fulfillment_entitlement SET state = 'revoked', reason = 'refunded'"],
    ),
    (
        "I2 paid is delivered",
        "2 entitlements, 2 of them",
        lambda: [DROP["entitlement"], copy_of("fulfillment_entitlement")],
    ),
    (
        "I2 paid is delivered",
        "has no line",
        lambda: ["DELETE FROM fulfillment_entitlement", "DELETE FROM orders_orderline"],
    ),
    ("I3 paid at Stripe is paid here", "is open with 1250 usd", lambda: ["UPDATE orders_order SET state = 'open'"]),
    ("I3 paid at Stripe is paid here", "is paid with 1249 usd", lambda: ["UPDATE orders_order SET total = 1249"]),
    ("I3 paid at Stripe is paid here", "is paid with 1250 eur", lambda: ["UPDATE orders_order SET currency = 'eur'"]),
    (
        "I3 paid at Stripe is paid here",
        "has no order",
        lambda: ["UPDATE orders_order SET stripe_session_id = 'cs_test_other'"],
    ),
    (
        "I3 one session, one order",
        "has 2 orders",
        lambda: [DROP["session"], DROP["intent"], copy_of("orders_order", reference="'ANOTHER'")],
    ),
    (
        "I4 nothing for nothing",
        "the session is not ours",
        lambda: ["UPDATE orders_order SET stripe_session_id = 'cs_test_other'"],
    ),
    (
        "I5 one mail row",
        "has 0 mails",
        lambda: ["DELETE FROM fulfillment_deliveryattempt", "DELETE FROM fulfillment_delivery"],
    ),
    (
        "I5 one mail row",
        "has 2 mails",
        lambda: [DROP["delivery"], copy_of("fulfillment_delivery", state="'pending'")],
    ),
    (
        "I5 one mail row",
        "is open and has 1 mails",
        lambda: ["UPDATE orders_order SET state = 'open', paid_at = NULL"],
    ),
    *(
        ("I21 the forgotten stay forgotten", f"erased, and {what} names somebody", lambda row=row: [*FORGOTTEN, row])
        for what, row in (
            ("a mail", "UPDATE fulfillment_delivery SET recipient = 'back@example.com'"),
            ("an entitlement", "UPDATE fulfillment_entitlement SET email = 'back@example.com'"),
            (
                "a receipt",
                """INSERT INTO orders_billing (order_id, name, address, vat_number, changed_at)
                    SELECT id, 'Bob', '', '', now() FROM orders_order""",
            ),
            (
                "the order",
                """ALTER TABLE orders_order DROP CONSTRAINT order_erased_names_nobody;
                    UPDATE orders_order SET email = 'back@example.com'""",
            ),
        )
    ),
    (
        "I22 what is suspended by hand stays closed",
        "was suspended by hand",
        lambda: [
            """INSERT INTO fulfillment_hold (order_id, placed_at, reason, key, lifted_reason)
                SELECT id, now(), 'why', gen_random_uuid(), '' FROM orders_order"""
        ],
    ),
    ("I6 accepted once", "2 times", lambda: [DROP["accepted"], copy_of("fulfillment_deliveryattempt")]),
    (
        "I7 copies at the mail server",
        "is gave_up after 0 unconfirmed tries, 1 copies",
        lambda: ["DELETE FROM fulfillment_deliveryattempt", "UPDATE fulfillment_delivery SET state = 'gave_up'"],
    ),
    ("I7 copies at the mail server", "no try was accepted", lambda: ["DELETE FROM fulfillment_deliveryattempt"]),
    ("I8 the right reader", "instead of a@b.co", lambda: ["UPDATE fulfillment_delivery SET recipient = 'a@b.co'"]),
    ("I8 the right reader", "and the order for a@b.co", lambda: ["UPDATE orders_order SET email = 'a@b.co'"]),
    ("I8 the right reader", "instead of nobody", lambda: ["UPDATE fulfillment_delivery SET seq = 2"]),
    (
        "I9 drained",
        "of type checkout.session.completed is received",
        lambda: ["UPDATE fulfillment_stripeevent SET state = 'received' WHERE type = 'checkout.session.completed'"],
    ),
    (
        "I9 drained",
        "is handled",
        lambda: ["UPDATE fulfillment_stripeevent SET claim = gen_random_uuid() WHERE state = 'handled'"],
    ),
    ("I9 drained", "is sending", lambda: ["UPDATE fulfillment_delivery SET state = 'sending'"]),
    ("I9 drained", "is gave_up", lambda: ["UPDATE fulfillment_delivery SET state = 'gave_up'"]),
    (
        "I9 drained",
        "has 1 unfinished tries",
        lambda: ["UPDATE fulfillment_deliveryattempt SET finished_at = NULL"],
    ),
    ("I9 drained", "needs a person", lambda: ["UPDATE orders_order SET attention = 'what is this'"]),
    ("I10 legal history", "from paid to expired", lambda: [history("state", "paid → expired")]),
    ("I10 legal history", "was paid and went from open to paid", lambda: [history("state", "open → paid")]),
    ("I10 legal history", "ends with paid", lambda: ["UPDATE orders_order SET state = 'failed'"]),
    ("I10 nothing happened twice", 'Active" twice', lambda: [history("access", "The Book: Active")]),
    ("I10 nothing happened twice", "tells of 2 sent mails and has 1", lambda: [history("mail", "x: Sent", "outbox")]),
    ("I11 refunds", "says 1250 of 1250 returned, Stripe 0", lambda: ["UPDATE orders_order SET refunded = 1250"]),
    ("I11 refunds", "is active with 1250 of 1250", lambda: ["UPDATE orders_orderline SET refunded = 1250"]),
    ("I12 disputes", 'the dispute is "open"', lambda: ["UPDATE orders_order SET dispute = 'open'"]),
    ("I12 disputes", "with the dispute lost", lambda: ["UPDATE orders_order SET dispute = 'lost'"]),
    (
        "I12 disputes",
        "is suspended with the dispute",
        lambda: ["UPDATE fulfillment_entitlement SET state = 'suspended', reason = 'disputed'"],
    ),
    ("I14 mode", "has livemode t", lambda: ["UPDATE orders_order SET livemode = true"]),
    ("I14 mode", "livemode t and is handled", lambda: ["UPDATE fulfillment_stripeevent SET livemode = true"]),
    (
        "I18 in time after the healing",
        "reached its library",
        lambda: ["UPDATE fulfillment_entitlement SET created_at = now() + interval '1 hour'"],
    ),
    (
        "I18 in time after the healing",
        "reached its mailbox",
        lambda: ["UPDATE fulfillment_delivery SET sent_at = now() + interval '1 hour'"],
    ),
]


def facts(world: World) -> dict[str, Any]:
    """What the world knows. Our test posts the events itself, so all of them count as acknowledged."""
    return {
        "ledger": world.control("ledger")["sessions"],
        "acked": [event["id"] for event in events(world)],
        "mails": world.mails(),
        "cut_off": False,
        "healed_at": timezone.now() + timedelta(seconds=1),
    }


def sweep() -> None:
    sweep_money(Swept())
    sweep_mail(Swept())


def break_it(*statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@pytest.fixture
def order(smtp: World, client: Client) -> Order:
    """One order, paid, fulfilled and mailed."""
    order = buy(smtp, client, ProductFactory(name="The Book"))
    report(smtp, client)
    sweep()
    order.refresh_from_db()
    return order


@pytest.fixture
def healthy(order: Order, smtp: World) -> dict[str, Any]:
    known = facts(smtp)
    assert violations(connection, **known) == []
    return known


@pytest.mark.parametrize("invariant, sentence, breaking", BROKEN, ids=[f"{row[0]}: {row[1]}" for row in BROKEN])
def test_broken_rows_are_named(
    healthy: dict[str, Any], invariant: str, sentence: str, breaking: Callable[[], list[str]]
) -> None:
    break_it(*breaking())
    named = [found for found in violations(connection, **healthy) if found.startswith(invariant)]
    assert sentence in "\n".join(named)


def test_every_invariant_is_broken_by_a_test() -> None:
    names = {row[0] for row in BROKEN} | {"I9 nobody waits", "I19 nothing was asked for twice"}
    assert [name for name in INVARIANTS if not name.startswith(tuple(names))] == []


ACTIVE = "I4 nothing for nothing: order {0}: line {1} is active, and the session is"


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"paid": False, "status": "expired"}, f"{ACTIVE} expired, unpaid"),
        ({"paid": False, "status": "expired"}, "I9 drained: order {0} is paid, and its session expired"),
        ({"refunded": 1250}, f"{ACTIVE} complete, 1250 of 1250 returned"),
        ({"refunded": 500}, "I11 refunds: order {0} says 0 of 1250 returned, Stripe 500"),
        ({"dispute_status": "lost"}, f"{ACTIVE} complete, dispute lost"),
        ({"dispute_status": "under_review"}, 'I12 disputes: order {0}: the dispute is "", at Stripe "open"'),
        ({"dispute_status": "won"}, 'I12 disputes: order {0}: the dispute is "", at Stripe "won"'),
    ],
)
def test_rows_that_disagree_with_stripe_are_named(
    order: Order, healthy: dict[str, Any], change: dict[str, Any], sentence: str
) -> None:
    known = {**healthy, "ledger": [{**healthy["ledger"][0], **change}]}
    assert sentence.format(order.reference, order.lines.get().pk) in violations(connection, **known)


def test_second_session_of_one_order_is_named(order: Order, healthy: dict[str, Any]) -> None:
    twin = {**healthy["ledger"][0], "session": "cs_test_twin", "paid": False, "status": "open"}
    known = {**healthy, "ledger": [*healthy["ledger"], twin]}
    assert violations(connection, **known) == [
        f"I19 nothing was asked for twice: order {order.reference} has 2 sessions"
    ]


def test_f31_one_repeat_needs_an_unconfirmed_try_and_a_fault(order: Order, healthy: dict[str, Any]) -> None:
    def copies(number: int, *, cut_off: bool) -> list[str]:
        known = {**healthy, "mails": healthy["mails"] * number, "cut_off": cut_off}
        return [found.rpartition("after ")[2] for found in violations(connection, **known)]

    assert copies(2, cut_off=True) == ["0 unconfirmed tries, 2 copies at the server"]
    order.deliveries.get().attempt_log.create(outcome="unconfirmed", phase="body", finished_at=timezone.now())
    assert copies(2, cut_off=False) == ["1 unconfirmed tries, 2 copies at the server"]
    assert copies(2, cut_off=True) == []
    order.deliveries.get().attempt_log.create(outcome="unconfirmed", phase="body", finished_at=timezone.now())
    assert copies(3, cut_off=True) == ["2 unconfirmed tries, 3 copies at the server"]


def test_mail_to_strangers_is_named_and_to_staff_is_not(healthy: dict[str, Any]) -> None:
    alert = {"message_id": "<1.2@host>", "to": ["operator@shop.example"]}
    known = {**healthy, "mails": [*healthy["mails"], alert]}
    assert violations(connection, **known) == [
        'I8 the right reader: mail 1.2 went to ["operator@shop.example"] instead of nobody'
    ]
    assert violations(connection, **known, staff=["operator@shop.example"]) == []


def test_what_was_poisoned_on_purpose_is_excused(order: Order, healthy: dict[str, Any]) -> None:
    StripeEvent.objects.filter(type="checkout.session.completed").update(state="failed")
    Delivery.objects.update(state="gave_up")
    Order.objects.update(attention="what is this")
    assert order.stripe_session_id
    event_id = StripeEvent.objects.get(state="failed").event_id
    excused = [event_id, order.email, order.stripe_session_id]
    named = {found.split(":")[0] for found in violations(connection, **healthy, excused=excused)}
    assert named == {"I7 copies at the mail server", "I10 nothing happened twice"}
    Delivery.objects.update(state="sent")
    assert violations(connection, **healthy, excused=excused) == []


@pytest.mark.django_db(transaction=True)
def test_idle_transaction_and_waiting_lock_are_named(order: Order, smtp: World) -> None:
    known, address = facts(smtp), connection.get_connection_params()
    plain = {key: address[key] for key in ("host", "user", "dbname")}

    def wait() -> None:
        with psycopg.connect(**plain) as waiter:
            waiter.execute("SELECT * FROM orders_order FOR UPDATE")

    with ThreadPoolExecutor(1) as pool, psycopg.connect(**plain) as holder:
        holder.execute("SELECT * FROM orders_order FOR UPDATE")
        pool.submit(wait)
        time.sleep(0.3)
        with psycopg.connect(**plain, autocommit=True) as watcher:
            named = violations(watcher, **known, patience=0.1)
    assert sorted(re.sub(r" \d+.*?(is idle|waits)", r" \1", found).split(" since ")[0] for found in named) == [
        "I9 nobody waits: process is idle in transaction",
        "I9 nobody waits: process waits for a lock",
    ]


def test_i20_another_look_changes_nothing_and_a_change_is_told(order: Order, smtp: World) -> None:
    before = snapshot(connection)
    StripeEvent.objects.update(next_attempt_at=timezone.now())
    Order.objects.update(next_check_at=timezone.now())
    outbox.send(order.deliveries.get().pk)
    sweep()
    assert changes(before, snapshot(connection)) == []
    order.timeline.create(kind="access", door="test", detail="once more")
    told = changes(before, snapshot(connection))
    assert len(told) == 1
    assert told[0].startswith("I20 nothing left to change: is orders_timelineentry ")


def test_acknowledged_is_what_was_answered_with_2xx() -> None:
    def event(name: str, *statuses: int | None) -> dict[str, Any]:
        return {"id": name, "deliveries": [{"tries": [{"status": status} for status in statuses]}]}

    assert acknowledged([event("evt_1", 503, 200), event("evt_2", 503, None), event("evt_3", 204)]) == {
        "evt_1",
        "evt_3",
    }
