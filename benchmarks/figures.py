"""The dashboard over 1,000,000 orders of two years: from the counted days, and beside it from the orders alone."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks import stand
from benchmarks.report import Figure, Section

ORDERS, PRODUCTS, DAYS = 1_000_000, 200, 730
REPEATS = 5
PRODUCT_ROWS = f"""
    INSERT INTO catalog_product (id, name, slug, summary, description, status, price, currency, cover, cover_height,
        cover_failed, created_at, updated_at, published_at)
    SELECT n, 'Book ' || n, 'book-' || n, '', '', 'published', 500 + n * 10, 'usd', '', 0, false, now(), now(), now()
    FROM generate_series(1, {PRODUCTS}) AS n"""  # noqa: S608 - numbers of ours
EDITION_ROWS = """
    INSERT INTO catalog_edition (id, product_id, number, notes, published_at)
    SELECT id, id, 1, '', now() FROM catalog_product"""
ORDER_ROWS = f"""
    INSERT INTO orders_order (id, reference, email, state, source, total, refunded, currency, dispute, livemode,
        stripe_customer_id, checkout_key, checkout_url, facts_version, facts_digest, attention, created_at, paid_at)
    SELECT n, lpad(n::text, 16, 'X'), 'buyer' || n || '@example.com', 'paid', 'checkout',
        500 + (n % {PRODUCTS} + 1) * 10,
        CASE WHEN n % 50 = 0 THEN 100 ELSE 0 END, 'usd', '', false, '', '', '', 1, '', '', at, at
    FROM (
        SELECT n, now() - n * interval '{DAYS} days' / {ORDERS} AS at FROM generate_series(1, {ORDERS}) AS n
    ) AS made"""  # noqa: S608 - the same
LINE_ROWS = f"""
    INSERT INTO orders_orderline (order_id, product_id, edition_id, name, unit_price, quantity, refunded)
    SELECT id, id % {PRODUCTS} + 1, id % {PRODUCTS} + 1, 'Book', total, 1, 0 FROM orders_order"""  # noqa: S608 - the same
VIEW_ROWS = f"""
    INSERT INTO catalog_productviews (product_id, day, slot, count)
    SELECT product.id, current_date - day, 0, 100 FROM catalog_product AS product, generate_series(0, {DAYS}) AS day"""  # noqa: S608 - the same


def run() -> Section:
    found = Section("figures")
    with stand.servers() as servers, servers.connect() as database:
        began = time.monotonic()
        # Published without a file, and sold by nobody: what triggers promise is not measured here.
        for table in ("catalog_product", "orders_order", "orders_orderline"):
            database.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in (PRODUCT_ROWS, EDITION_ROWS, ORDER_ROWS, LINE_ROWS, VIEW_ROWS):
            database.execute(statement)
        for table in ("orders_order", "orders_orderline"):
            database.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        database.execute("VACUUM ANALYZE")
        found.notes.append(f"{ORDERS:,} orders over {DAYS} days written in {time.monotonic() - began:.0f} s")
        os.environ.update(servers.environment)
        import django

        django.setup()
        measure(found, database)
    return found


def measure(found: Section, database: Any) -> None:
    from orders import summarize
    from orders.figures import read

    live = {unit: milliseconds(lambda unit=unit: read(unit), 2) for unit in ("day", "month")}  # type: ignore[misc]
    before = read("month")
    seconds = milliseconds(summarize.summarize_all, 1) / 1000
    found.figures.append(Figure(f"all {DAYS} days counted anew", seconds, "s"))
    database.execute("VACUUM ANALYZE")
    for unit, slow in live.items():
        took = milliseconds(lambda unit=unit: read(unit), REPEATS)  # type: ignore[misc]
        found.figures.append(Figure(f"figures by {unit}, from the counted days", took, "ms", at_most=300))
        found.figures.append(Figure(f"figures by {unit}, from the orders alone: times as long", slow / took, ""))
    assert read("month") == before
    database.execute("UPDATE orders_order SET refunded = 1 WHERE id IN (1, 100000, 400000)")
    found.figures.append(
        Figure("figures by month, three days changed since", milliseconds(lambda: read("month"), REPEATS), "ms")
    )
    found.notes += slowest(lambda: read("month"))
    found.figures.append(Figure("these three days counted anew", milliseconds(summarize.summarize, 1), "ms"))


def slowest(act: Callable[[], object]) -> list[str]:
    """The plan of whichever of its statements takes longest."""
    from django.db import connection

    from benchmarks.search import explained, statements_of

    with statements_of(connection) as statements:
        act()
    took, plan = max(explained(connection, *statement) for statement in statements)
    return [f"the slowest of {len(statements)} statements, {took:.0f} ms: {plan}"]


def milliseconds(act: Callable[[], object], repeats: int) -> float:
    """The median."""
    took = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)
