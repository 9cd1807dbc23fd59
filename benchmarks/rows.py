"""What a pass of the sweep costs to find a thousand stuck rows of each kind among a million."""

import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from benchmarks import stand
from benchmarks.report import Figure, Section

ROWS, STUCK, ROUNDS = 1_000_000, 1_000, 5
FILL = (
    """INSERT INTO fulfillment_stripeevent (event_id, type, object_id, livemode, account, api_version, endpoint, body,
           received_at, state, handled_at, attempts, next_attempt_at, note)
       SELECT 'evt_' || n, 'checkout.session.completed', 'cs_test_' || n, false, '', '2026-10-28.endive', '', '',
           now() - n * interval '1 second', CASE WHEN n <= %(stuck)s THEN 'received' ELSE 'handled' END,
           now(), 1, now() - n * interval '1 second', ''
       FROM generate_series(1, %(rows)s) n""",
    """INSERT INTO orders_order (reference, email, state, source, total, refunded, currency, dispute, livemode,
           stripe_session_id, stripe_customer_id, checkout_key, checkout_url, facts_version, facts_digest, attention,
           created_at, paid_at, next_check_at)
       SELECT 'R' || n, 'reader' || n || '@example.com', CASE WHEN n <= %(stuck)s THEN 'open' ELSE 'paid' END,
           'checkout', 1250, 0, 'usd', '', false, 'cs_test_' || n, '', '', '', 1, '', '',
           now() - n * interval '1 second', now(), CASE WHEN n <= %(stuck)s THEN now() END
       FROM generate_series(1, %(rows)s) n""",
    """INSERT INTO fulfillment_delivery (order_id, kind, seq, recipient, state, attempts, next_attempt_at, created_at,
           sent_at)
       SELECT id, 'order', 1, email, CASE WHEN state = 'open' THEN 'pending' ELSE 'sent' END, 1, now(), created_at,
           now()
       FROM orders_order""",
    "ANALYZE",
)


def run() -> Section:
    with stand.servers() as servers, servers.connect() as database:
        for statement in FILL:
            database.execute(statement, {"rows": ROWS, "stuck": STUCK} if "%(" in statement else None)
        os.environ.update(servers.environment)
        import django

        django.setup()
        return measured()


def measured() -> Section:
    from fulfillment import alerts, stuck, sweep
    from orders import refunds

    looks: dict[str, Callable[[], Any]] = {
        "events that are due": sweep._events_due,  # noqa: SLF001 - what one pass begins with
        "orders to ask about": sweep._orders_due,  # noqa: SLF001
        "mails to send": sweep._deliveries_due,  # noqa: SLF001
        "refunds without an answer": refunds.due,
        "alerts, all conditions": alerts.check,
        "stuck --minutes 5, everything": lambda: stuck.find_stuck(longer_than=timedelta(minutes=5)),
    }
    for look in looks.values():  # connections, caches
        look()
    times = {name: milliseconds(look) for name, look in looks.items()}
    found = Section("rows")
    found.figures = [Figure(f"{name}: median", value, "ms") for name, value in times.items()]
    one_pass = sum(value for name, value in times.items() if not name.startswith("stuck")) / 1000
    found.figures.append(Figure("a pass of the sweep, but for what it then does", one_pass, "s", at_most=1))
    found.notes = [
        f"{ROWS:,} events, orders and mails each, {STUCK:,} of each stuck; what is done for each is in `burst`",
        *plans(),
    ]
    return found


def milliseconds(act: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def plans() -> list[str]:
    """How PostgreSQL finds what is due: the line of each plan that names the index."""
    from django.db.models.functions import Now

    from fulfillment.models import Delivery, StripeEvent
    from orders.models import Order

    due = (
        StripeEvent.objects.due(Now()).order_by("next_attempt_at").values_list("event_id")[:200],
        Order.objects.unsettled(Now()).values_list("pk")[:200],
        Delivery.objects.due(Now()).order_by("next_attempt_at").values_list("pk")[:200],
    )
    return [line.strip(" ->") for query in due for line in query.explain().splitlines() if "Scan" in line]
