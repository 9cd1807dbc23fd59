"""The whole shop with buyers: seconds from the payment to the library and to the accepted mail, and what it takes."""

import time
from typing import Any

from benchmarks import buyers, stand
from benchmarks.processes import cpu_seconds, memory_mb
from benchmarks.report import Figure, Section, percentile

RATE, SECONDS = 20.0, 60
DELIVERED = """
    SELECT o.stripe_session_id, extract(epoch FROM e.created_at)::float8, extract(epoch FROM d.sent_at)::float8
    FROM orders_order o
    LEFT JOIN orders_orderline l ON l.order_id = o.id
    LEFT JOIN fulfillment_entitlement e ON e.order_line_id = l.id
    LEFT JOIN fulfillment_delivery d ON d.order_id = o.id"""
UNSENT = (
    "SELECT count(*) FROM orders_order o LEFT JOIN fulfillment_delivery d ON d.order_id = o.id WHERE d.sent_at IS NULL"
)


def run() -> Section:
    with stand.shop() as shop, shop.connect() as database:
        sessions = buyers.open_orders(int(RATE * SECONDS))
        before, began = usage(shop), time.monotonic()
        paid = buyers.pay_at_rate(shop, sessions, RATE)
        seconds = time.monotonic() - began
        buyers.wait_until(lambda: database.execute(UNSENT).fetchone() == (0,), 60)
        after = usage(shop)
        memory = {name: memory_mb(pid) for name, pid in shop.pids.items()}
        rows = database.execute(DELIVERED).fetchall()
    return section(paid, rows, seconds, {name: after[name] - before[name] for name in before}, memory)


def usage(shop: stand.Shop) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in shop.pids.items()}


def section(
    paid: dict[str, float], rows: list[Any], seconds: float, cpu: dict[str, float], memory: dict[str, float]
) -> Section:
    library = [at - paid[session] for session, at, _ in rows if at is not None]
    mail = [at - paid[session] for session, _, at in rows if at is not None]
    never = float("inf")  # what did not arrive at all is in the percentiles, too
    library += [never] * (len(paid) - len(library))
    mail += [never] * (len(paid) - len(mail))
    found = Section("orders")
    found.figures += [
        Figure("orders paid", len(paid) / seconds, "/s"),
        Figure("paid to library: p50", percentile(library, 0.5), "s"),
        Figure("paid to library: p99", percentile(library, 0.99), "s", at_most=2),
        Figure("paid to accepted mail: p50", percentile(mail, 0.5), "s"),
        Figure("paid to accepted mail: p99", percentile(mail, 0.99), "s", at_most=5),
    ]
    found.figures += [Figure(f"memory of {name} (PSS)", size, "MB") for name, size in memory.items()]
    shares = ", ".join(f"{name} {used / seconds:.0%}" for name, used in sorted(cpu.items(), key=lambda each: -each[1]))
    found.notes.append(f"{len(paid)} orders over {seconds:.0f} s; of one core: {shares}")
    return found
