"""Five thousand events in ten seconds: how they are acknowledged, and how long until all are handled."""

import json
import time
from typing import Any

from benchmarks import stand, traffic
from benchmarks.processes import cpu_seconds
from benchmarks.report import Figure, Section

EVENTS, SECONDS, ORDERS = 5000, 10, 500
PATIENCE = 300  # seconds
LEFT = "SELECT count(*) FROM fulfillment_stripeevent WHERE state = 'received'"
PAID = "SELECT count(*) FROM orders_order WHERE state = 'paid'"


def run() -> Section:
    with stand.shop() as shop, shop.connect() as database:
        sessions = traffic.begin(ORDERS)
        traffic.control(shop, "faults", {"area": "webhooks", "kind": "drop"})
        for number, session_id in enumerate(sessions):
            traffic.control(shop, f"pay/{session_id}", {"email": traffic.BUYER.format(number)})
        bodies = events(shop)
        before = {name: cpu_seconds(pid) for name, pid in shop.pids.items()}
        began = time.monotonic()
        answered = stand.load(
            shop.ports.shop, bodies=bodies, connections=32, seconds=SECONDS * 3, rate=EVENTS / SECONDS
        )
        while count(database, LEFT) and time.monotonic() < began + PATIENCE:
            time.sleep(0.2)
        drained = time.monotonic() - began
        cpu = {name: (cpu_seconds(pid) - before[name]) / drained for name, pid in shop.pids.items()}
        left, paid = count(database, LEFT), count(database, PAID)
    return section(answered, drained, left, paid, cpu)


def count(database: Any, query: str) -> int:
    return int(database.execute(query).fetchone()[0])


def events(shop: stand.Shop) -> list[str]:
    """Ten events for each paid session, as ten endpoints would get them: each makes the shop ask Stripe."""
    made = traffic.control(shop, f"events?type=checkout.session.completed&limit={ORDERS}")["events"]
    for event in made:
        event.pop("deliveries")
    copies = EVENTS // len(made)
    return [json.dumps(event | {"id": f"{event['id']}x{copy}"}, indent=2) for copy in range(copies) for event in made]


def section(answered: dict[str, Any], drained: float, left: int, paid: int, cpu: dict[str, float]) -> Section:
    found = Section("burst")
    found.figures = [
        Figure("events posted in 10 seconds", answered["answers"], at_least=EVENTS),
        Figure("of them acknowledged with 200", answered["statuses"].get("200", 0), at_least=EVENTS),
        Figure("seconds until the last was acknowledged", answered["seconds"], "s"),
        Figure("acknowledged: p50", answered["p50_ms"], "ms"),
        Figure("acknowledged: p99", answered["p99_ms"], "ms"),
        Figure("until all were handled", drained, "s", at_most=90),
        Figure("events left over", left, at_most=0),
        Figure("orders paid", paid, at_least=ORDERS),
    ]
    busy = ", ".join(f"{name} {value:.2f}" for name, value in cpu.items())
    found.notes = [
        f"{ORDERS} sessions, {EVENTS // ORDERS} events each with an id of its own: every one is asked about at Stripe",
        f"cores in use until drained: {busy}",
    ]
    return found
