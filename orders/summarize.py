"""Count the days anew on which something changed: `DailySales` and `DailyProductSales` follow the orders.

The same statements count a day that is not settled yet for whoever asks, so both ways come to the same numbers.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

LOCK = 0x5359_4453  # of the database, for whoever counts; any number that nobody else takes

# The orders of some days. Midnight may come twice, or never, when clocks are set: the index finds a day with some hours
# around it, and the local date decides. With "=" that date would be hashed, and every order read for a few days.
OF_DAYS = """
    unnest(%(days)s::date[]) AS wanted (day)
    JOIN orders_order AS placed ON placed.state = 'paid'
        AND placed.paid_at >= (wanted.day::timestamp AT TIME ZONE %(zone)s) - interval '3 hours'
        AND placed.paid_at < ((wanted.day + 1)::timestamp AT TIME ZONE %(zone)s) + interval '3 hours'
        AND (placed.paid_at AT TIME ZONE %(zone)s)::date IS NOT DISTINCT FROM wanted.day"""
OF_ALL_DAYS = """
    (SELECT paid.*, (paid.paid_at AT TIME ZONE %(zone)s)::date AS day FROM orders_order AS paid
     WHERE paid.state = 'paid') AS placed
    CROSS JOIN LATERAL (SELECT placed.day) AS wanted"""

SALES_COLUMNS = "day, livemode, currency, source, orders, sales, revenue, refunds, refunded, disputes, lost"
SALES = """
    SELECT wanted.day, placed.livemode, placed.currency, placed.source,
        count(*) AS orders,
        count(*) FILTER (WHERE placed.total > 0) AS sales,
        sum(placed.total)::bigint AS revenue,
        count(*) FILTER (WHERE placed.refunded > 0) AS refunds,
        sum(placed.refunded)::bigint AS refunded,
        count(*) FILTER (WHERE placed.dispute <> '') AS disputes,
        coalesce(sum(placed.total - placed.refunded) FILTER (WHERE placed.dispute = 'lost'), 0)::bigint AS lost
    FROM {orders}
    GROUP BY wanted.day, placed.livemode, placed.currency, placed.source"""

# numeric, because a price times a quantity times a total is more than 64 bits hold. As `payments` has it, a discount
# falls on all lines alike, and what was paid beyond their prices is tax.
PRODUCT_COLUMNS = "day, livemode, currency, product_id, units, revenue, bought"
PRODUCTS = """
    SELECT sold.day, sold.livemode, sold.currency, sold.product_id,
        sum(sold.quantity)::bigint AS units,
        sum(CASE WHEN sold.total >= sold.worth THEN sold.amount
            ELSE div(sold.amount * sold.total, sold.worth) END)::bigint AS revenue,
        count(*) FILTER (WHERE sold.source = 'checkout') AS bought
    FROM (
        SELECT wanted.day, placed.livemode, placed.currency, placed.source, placed.total,
            line.product_id, line.quantity, line.unit_price::numeric * line.quantity AS amount,
            sum(line.unit_price::numeric * line.quantity) OVER (PARTITION BY placed.id) AS worth
        FROM {orders}
        JOIN orders_orderline AS line ON line.order_id = placed.id
        WHERE placed.total > 0
    ) AS sold
    WHERE sold.amount > 0
    GROUP BY sold.day, sold.livemode, sold.currency, sold.product_id"""

TABLES = (("orders_dailysales", SALES_COLUMNS, SALES), ("orders_dailyproductsales", PRODUCT_COLUMNS, PRODUCTS))


def summarize() -> int:
    """Count the days anew on which something changed; how many these were.

    The first time, and when the shop's time zone is another one, that is every day. May be repeated, and run at once
    by many: whoever comes while another counts leaves it to them, and what is missed is found the next time.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
        return _count(cursor, _changed(cursor)) if _is_counted(cursor) else _count_all(cursor)


def summarize_since(first: date) -> int:
    """Count every day from `first` to today anew, and those before on which something changed; how many these were.
    Waits for another who counts."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        if not _is_counted(cursor):
            return _count_all(cursor)
        lately = {first + timedelta(days=n) for n in range((timezone.localdate() - first).days + 1)}
        return _count(cursor, lately | _changed(cursor))


def summarize_all() -> int:
    """Count every day there ever was anew; how many these were. Waits for another who counts."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        return _count_all(cursor)


def _is_counted(cursor: Any) -> bool:
    cursor.execute("SELECT EXISTS (SELECT FROM orders_countedzone WHERE zone = %s)", [settings.TIME_ZONE])
    return bool(cursor.fetchone()[0])


def _changed(cursor: Any) -> set[date]:
    """The days that are not settled; they are from now on. What changes after this statement has a row again, and may
    be counted by us already: then it is counted once more, to the same."""
    cursor.execute(
        """WITH gone AS (DELETE FROM orders_uncounted RETURNING paid_at)
           SELECT DISTINCT (paid_at AT TIME ZONE %s)::date FROM gone""",
        [settings.TIME_ZONE],
    )
    return {day for (day,) in cursor.fetchall()}


def _count(cursor: Any, days: Iterable[date]) -> int:
    values = {"days": sorted(days), "zone": settings.TIME_ZONE}
    if values["days"]:
        for table, columns, rows in TABLES:
            cursor.execute(f"DELETE FROM {table} WHERE day = ANY(%(days)s)", values)  # noqa: S608 - names of ours
            cursor.execute(f"INSERT INTO {table} ({columns}) {rows.format(orders=OF_DAYS)}", values)
    return len(values["days"])


def _count_all(cursor: Any) -> int:
    values = {"zone": settings.TIME_ZONE}
    cursor.execute("DELETE FROM orders_uncounted")
    for table, columns, rows in TABLES:
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
        cursor.execute(f"INSERT INTO {table} ({columns}) {rows.format(orders=OF_ALL_DAYS)}", values)
    cursor.execute(
        """INSERT INTO orders_countedzone (id, zone) VALUES (1, %(zone)s)
           ON CONFLICT (id) DO UPDATE SET zone = EXCLUDED.zone""",
        values,
    )
    cursor.execute("SELECT count(DISTINCT day) FROM orders_dailysales")
    return int(cursor.fetchone()[0])
