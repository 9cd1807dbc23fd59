"""5,000 events in ten seconds, of 2,500 payments: acknowledged at once, and how long until all are handled."""

import json
import time
from typing import Any

import psycopg

from benchmarks import buyers, stand
from benchmarks.orders import usage
from benchmarks.report import Figure, Section

EVENTS, SECONDS, CONNECTIONS = 5000, 10, 64
TYPES = ("checkout.session.completed", "payment_intent.succeeded")
PATIENCE = 240.0  # seconds


def run() -> Section:
    with stand.shop() as shop, shop.connect() as database:
        bodies = events(shop)
        before, began = usage(shop), time.monotonic()
        answers = stand.load(
            shop.ports.shop, bodies=bodies, connections=CONNECTIONS, seconds=SECONDS, rate=len(bodies) / SECONDS
        )
        handled = buyers.wait_until(lambda: waiting(database, "received", "fulfillment_stripeevent") == 0, PATIENCE)
        drained = time.monotonic() - began
        buyers.wait_until(lambda: waiting(database, "pending", "fulfillment_delivery") == 0, PATIENCE)
        mailed = time.monotonic() - began
        after = usage(shop)
        states = dict(database.execute("SELECT state, count(*) FROM fulfillment_stripeevent GROUP BY state").fetchall())
        granted = database.execute("SELECT count(*) FROM fulfillment_entitlement").fetchone()
    found = Section("burst")
    found.figures += [
        Figure("events acknowledged with 200", answers["statuses"].get("200", 0), at_least=len(bodies)),
        Figure("acknowledged: p50", answers["p50_ms"], "ms"),
        Figure("acknowledged: p99", answers["p99_ms"], "ms"),
        Figure("from the first event until all are handled", drained, "s", at_most=90),
        Figure("from the first event until all mails are accepted", mailed, "s"),
    ]
    cpu = {name: after[name] - before[name] for name in before}
    shares = ", ".join(f"{name} {used:.0f} s" for name, used in sorted(cpu.items(), key=lambda each: -each[1]))
    found.notes += [
        f"states {states}, entitlements {granted}; handled {handled:.0f} s after the last answer",
        f"processor time: {shares}",
    ]
    return found


def events(shop: stand.Shop) -> list[str]:
    """The bodies of the events of payments that Stripe has kept to itself so far."""
    buyers.control(shop, "faults", {"area": "webhooks", "kind": "drop"})
    sessions = buyers.open_orders(EVENTS // len(TYPES))
    buyers.at_once(lambda session_id: buyers.pay(shop, session_id), sessions)
    found: list[dict[str, Any]] = []
    for kind in TYPES:
        found += buyers.control(shop, f"events?type={kind}&limit={EVENTS}")["events"]
    for event in found:
        event.pop("deliveries")
    return [json.dumps(event, indent=2) for event in sorted(found, key=lambda event: event["created"])]


def waiting(database: "psycopg.Connection[Any]", state: str, table: str) -> int:
    """How many rows are in this state. A number of its own each time: the table changes meanwhile."""
    row = database.execute(f"SELECT count(*) FROM {table} WHERE state = %s", [state]).fetchone()  # noqa: S608 - ours
    return int(row[0]) if row else 0
