"""The one Stripe account that this world has: its objects, faults, settings and timers."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from sandbox.world.errors import missing
from sandbox.world.faults import Faults
from sandbox.world.store import Body, Store

# Stripe retries for up to three days with growing pauses; the first ones are quick here, so nobody has to wait.
RETRY_DELAYS = (1, 2, 5, 10, 30, 60, 300, 900, 1800, 3600, 7200, 14400)


class CurrentCall(threading.local):
    """The API call that this thread answers; what it causes names it, as Stripe's events do."""

    request_id: str | None = None
    key: str | None = None


@dataclass
class Account:
    """`settle_after` is the seconds after which a bank debit settles by itself; None leaves it to a person."""

    store: Store
    faults: Faults
    base_url: str
    secret_key: str
    shop_name: str = "PDF shop"
    settle_after: float | None = None
    retry_delays: tuple[float, ...] = RETRY_DELAYS
    call: CurrentCall = field(default_factory=CurrentCall)
    former_key: str = ""  # works beside `secret_key` until it expires
    restricted: dict[str, frozenset[str]] = field(default_factory=dict)  # further keys, and what each may do
    window: tuple[str, float] = ("", 0.0)  # the batch that a reorder fault fills, and when it is sent

    def need(self, kind: str, identifier: str, param: str = "id") -> Body:
        """The object, or Stripe's `resource_missing`."""
        body = self.store.get(kind, identifier)
        if body is None:
            raise missing(kind, identifier, param)
        return body

    def change(self, body: Body, **fields: Any) -> Body:
        return self.store.change(body, **fields)

    def set_timer(self, act: str, identifier: str, due: float) -> None:
        self.store.run("INSERT OR REPLACE INTO timers (due, act, id) VALUES (?, ?, ?)", due, act, identifier)

    def stop_timer(self, act: str, identifier: str) -> None:
        self.store.run("DELETE FROM timers WHERE act = ? AND id = ?", act, identifier)

    def next_timer(self) -> float | None:
        """When the next timer runs, a Unix time."""
        due = self.store.rows("SELECT min(due) AS due FROM timers")[0]["due"]
        return None if due is None else float(due)

    def due_timers(self) -> list[tuple[str, str]]:
        rows = self.store.rows("SELECT act, id FROM timers WHERE due <= ? ORDER BY due", time.time())
        return [(row["act"], row["id"]) for row in rows]
