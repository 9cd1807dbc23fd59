"""A shop that has a past: what the sweep needs to find 1,000 stuck rows of each kind among 1,000,000."""

import os
import time
from collections.abc import Callable
from typing import Any

from benchmarks import stand
from benchmarks.report import Figure, Section

ROWS, STUCK = 1_000_000, 1_000
EVENTS = """
    INSERT INTO fulfillment_stripeevent (event_id, type, object_id, livemode, account, api_version, body, received_at,
        state, handled_at, attempts, next_attempt_at, note)
    SELECT 'evt_' || n, 'checkout.session.completed', 'cs_test_' || n, false,
        CASE WHEN stuck THEN 'acct_elsewhere' ELSE '' END, '2026-10-28', '{}', now() - n * interval '2 seconds',
        CASE WHEN stuck THEN 'received' ELSE 'handled' END, CASE WHEN NOT stuck THEN now() END, 1,
        now() - n * interval '2 seconds', ''
    FROM (SELECT n, n % (%(rows)s / %(stuck)s) = 0 AS stuck FROM generate_series(1, %(rows)s) AS n) AS numbers"""
ORDERS = """
    INSERT INTO orders_order (reference, email, state, source, total, refunded, currency, dispute, livemode,
        stripe_session_id, stripe_customer_id, checkout_key, checkout_url, facts_version, facts_digest, attention,
        created_at, paid_at, next_check_at)
    SELECT lpad(n::text, 16, 'X'), 'buyer' || n || '@example.com', CASE WHEN stuck THEN 'open' ELSE 'paid' END,
        'checkout', 1250, 0, 'usd', '', false, 'cs_test_' || n, '', '', '', 1, '', '', now() - n * interval '2 seconds',
        CASE WHEN NOT stuck THEN now() END, CASE WHEN stuck THEN now() - n * interval '1 second' END
    FROM (SELECT n, n % (%(rows)s / %(stuck)s) = 0 AS stuck FROM generate_series(1, %(rows)s) AS n) AS numbers"""


def run() -> Section:
    found = Section("rows")
    with stand.servers() as servers, servers.connect() as database:
        began = time.monotonic()
        for statement in (EVENTS, ORDERS):
            database.execute(statement.replace("%(rows)s", str(ROWS)).replace("%(stuck)s", str(STUCK)))
        database.execute("ANALYZE")
        found.notes.append(f"{ROWS:,} events and as many orders written in {time.monotonic() - began:.0f} s")
        os.environ.update(servers.environment)
        import django

        django.setup()
        sweep_all(found)
        for name, query in due_queries().items():
            found.notes.append(f"{name}: {plan(database, query)}")
    return found


def sweep_all(found: Section) -> None:
    """The stuck events are those of connected accounts: handling one asks nobody, so the time is the sweep's own."""
    from fulfillment import sweep
    from orders.models import Order

    searches: dict[str, Callable[[], list[Any]]] = {
        "events": sweep._events_due,  # noqa: SLF001 - what the sweep asks is what is measured
        "orders": sweep._orders_due,  # noqa: SLF001
        "mails": sweep._deliveries_due,  # noqa: SLF001
        "covers": sweep._products_wanting_covers,  # noqa: SLF001
        "samples": sweep._samples_due,  # noqa: SLF001
    }
    for search in searches.values():
        search()  # connects, and reads the pages once
    began = time.perf_counter()
    lengths = {name: len(search()) for name, search in searches.items()}
    one = time.perf_counter() - began
    assert (lengths["events"], lengths["orders"]) == (sweep.BATCH, sweep.BATCH), lengths
    passes = STUCK // sweep.BATCH
    found.figures.append(Figure(f"{passes} passes find all {STUCK:,} of each kind", one * passes, "s", at_most=1))
    # Stripe is not here: the orders are put off as a look at them would do.
    Order.objects.filter(next_check_at__isnull=False).update(
        next_check_at=None, state="paid", paid_at="2026-01-01T00:00Z"
    )
    began = time.perf_counter()
    swept = 0
    while handled := sweep_events():
        swept += handled
    found.figures.append(
        Figure(f"{STUCK:,} stuck events claimed, handled and marked", time.perf_counter() - began, "s")
    )
    assert swept == STUCK, swept


def sweep_events() -> int:
    from fulfillment import sweep

    swept = sweep.Swept()
    sweep.sweep_money(swept)
    assert not swept.failed, swept
    return swept.events


def due_queries() -> dict[str, Any]:
    from django.utils import timezone

    from fulfillment import sweep
    from fulfillment.models import StripeEvent
    from orders.models import Order

    now = timezone.now()
    return {
        "plan, events due": StripeEvent.objects.due(now).order_by("next_attempt_at")[: sweep.BATCH],
        "plan, orders unsettled": Order.objects.unsettled(now)[: sweep.BATCH],
    }


def plan(database: Any, query: Any) -> str:
    """The nodes of the plan with their indexes, the outermost first."""
    lines = query.explain().splitlines()
    return " / ".join(line.strip().removeprefix("->  ").split("  (")[0] for line in lines if "(cost" in line)
