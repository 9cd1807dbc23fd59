"""Seconds from a payment to the library and to the accepted mail, with twenty payments every second."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from benchmarks import stand, traffic
from benchmarks.processes import cpu_seconds, memory_mb
from benchmarks.report import Figure, Section, percentile

RATE, SECONDS = 20, 60
PATIENCE = 60  # seconds after the last payment
DELIVERED = """
    SELECT o.stripe_session_id, e.created_at, d.sent_at
    FROM orders_order o
    JOIN orders_orderline l ON l.order_id = o.id
    JOIN fulfillment_entitlement e ON e.order_line_id = l.id
    JOIN fulfillment_delivery d ON d.order_id = o.id AND d.kind = 'order' AND d.state = 'sent'"""


def run() -> Section:
    with stand.shop() as shop, shop.connect() as database:
        sessions = traffic.begin(RATE * SECONDS)
        before = {name: cpu_seconds(pid) for name, pid in shop.pids.items()}
        began = time.monotonic()
        paid = pay_at_a_rate(shop, sessions)
        rows = wait_until_delivered(database, len(sessions))
        took = time.monotonic() - began
        cpu = {name: (cpu_seconds(pid) - before[name]) / took for name, pid in shop.pids.items()}
        memory = {name: memory_mb(pid) for name, pid in shop.pids.items()}
    return section(paid, rows, cpu, memory)


def pay_at_a_rate(shop: stand.Shop, sessions: list[str]) -> dict[str, datetime]:
    """When each payment was made: just before the local Stripe was told to take it."""
    paid: dict[str, datetime] = {}

    def pay(session_id: str, number: int) -> None:
        paid[session_id] = datetime.now(UTC)
        traffic.control(shop, f"pay/{session_id}", {"email": traffic.BUYER.format(number)})

    began = time.monotonic()
    threads = []
    for number, session_id in enumerate(sessions):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        threads.append(threading.Thread(target=pay, args=(session_id, number)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return paid


def wait_until_delivered(database: Any, number: int) -> list[Any]:
    end = time.monotonic() + PATIENCE
    while len(rows := database.execute(DELIVERED).fetchall()) < number and time.monotonic() < end:
        time.sleep(0.5)
    return list(rows)


def section(paid: dict[str, datetime], rows: list[Any], cpu: dict[str, float], memory: dict[str, float]) -> Section:
    library = [(granted - paid[session]).total_seconds() for session, granted, _ in rows]
    mail = [(sent - paid[session]).total_seconds() for session, _, sent in rows]
    found = Section("orders")
    found.figures = [
        Figure("orders paid, at 20 a second", len(paid)),
        Figure("of them delivered, library and mail", len(rows), at_least=len(paid)),
        Figure("paid to library: p50", percentile(library, 0.5), "s"),
        Figure("paid to library: p99", percentile(library, 0.99), "s", at_most=2),
        Figure("paid to mail accepted: p50", percentile(mail, 0.5), "s"),
        Figure("paid to mail accepted: p99", percentile(mail, 0.99), "s", at_most=5),
        *(Figure(f"memory of {name} (PSS, its children included)", value, "MB") for name, value in memory.items()),
    ]
    busy = ", ".join(f"{name} {value:.2f}" for name, value in cpu.items())
    found.notes = [
        "the stack of make run, DEBUG off: web, worker with beat, sweep, and the local Stripe on the same two cores",
        f"cores in use meanwhile: {busy}",
    ]
    return found
