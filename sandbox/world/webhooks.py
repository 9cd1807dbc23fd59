"""Webhooks: which endpoints get an event, the queue of deliveries, and the thread that signs, posts and retries."""

import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from sandbox.world.account import Account
from sandbox.world.errors import invalid
from sandbox.world.ids import chance
from sandbox.world.store import Body, Store

TIMEOUT = 10.0
WORKERS = 16
logger = logging.getLogger(__name__)


def check_loopback(url: str, param: str = "url") -> str:
    """The address itself when it is plain HTTP to this machine; the sandbox talks to nobody else."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise invalid(f"The sandbox sends webhooks only to http://127.0.0.1 or localhost, not to {url}", param)
    return url


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def signature(payload: bytes, secrets: Iterable[str], timestamp: int) -> str:
    """The Stripe-Signature header, one signature for each secret: a rolled one signs on until it expires.

    https://docs.stripe.com/webhooks#verify-manually
    """
    content = b"%d." % timestamp + payload
    signed = (hmac.new(secret.encode(), content, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={timestamp}", *(f"v1={one}" for one in signed)])


def secrets_of(store: Store, endpoint: Body) -> list[str]:
    private = store.private(endpoint["id"])
    return [str(private["secret"]), *private.get("former", ())]


def endpoints_for(store: Store, kind: str) -> list[Body]:
    found = store.find("webhook_endpoint", ("status", "=", "enabled"), order="ASC")
    return [body for body in found if {"*", kind} & set(body["enabled_events"])]


def enqueue(account: Account, event: Body, endpoint: str) -> None:
    """Queue one delivery, with the webhook faults in force now decided for it."""
    kind, now = event["type"], time.time()
    take = account.faults.take
    state, due, copies, batch = "pending", now, 1, None
    if take("webhooks", "drop", type=kind):
        state = "dropped"
    if fault := take("webhooks", "duplicate", type=kind):
        copies = fault.options["times"]
    if fault := take("webhooks", "delay", type=kind):
        due = now + fault.options["seconds"]
    if fault := take("webhooks", "reorder", type=kind):
        batch, due = open_window(account, fault.options["order"], fault.options["seconds"])
    insert(account.store, event["id"], endpoint, state=state, due=due, copies=copies, batch=batch)


def open_window(account: Account, order: str, seconds: float) -> tuple[str, float]:
    """The batch that deliveries of the next `seconds` gather in; a new one once the last has been sent."""
    batch, due = account.window
    if due <= time.time() or not batch.startswith(order):
        batch, due = f"{order}-{chance(8)}", time.time() + seconds
        account.window = (batch, due)
    return batch, due


def insert(
    store: Store,
    event: str,
    endpoint: str,
    *,
    state: str = "pending",
    due: float = 0.0,
    copies: int = 1,
    batch: str | None = None,
) -> int:
    return store.insert(
        "INSERT INTO deliveries (event, endpoint, state, due, copies, batch) VALUES (?, ?, ?, ?, ?, ?)",
        *(event, endpoint, state, due, copies, batch),
    )


def send_again(account: Account, event_id: str, *, times: int = 1, parallel: bool = False) -> None:
    """Deliver an event `times` more to every endpoint that wants it, one after another or all at once."""
    event = account.need("event", event_id)
    batch = f"serial-{chance(8)}"
    with account.store.transaction():
        for endpoint in endpoints_for(account.store, event["type"]):
            if parallel:
                insert(account.store, event_id, endpoint["id"], copies=times)
            for _ in range(0 if parallel else times):
                insert(account.store, event_id, endpoint["id"], batch=batch)


def send_now(account: Account) -> int:
    """Make every delivery that waits for its hour due at once; how many there were."""
    with account.store.transaction():
        return account.store.run("UPDATE deliveries SET due = 0 WHERE state = 'pending' AND due > ?", time.time())


def history(store: Store, event_id: str) -> list[dict[str, Any]]:
    """The event's deliveries with every attempt, oldest first."""
    deliveries = [dict(row) for row in store.rows("SELECT * FROM deliveries WHERE event = ? ORDER BY id", event_id)]
    for delivery in deliveries:
        rows = store.rows("SELECT * FROM attempts WHERE delivery = ? ORDER BY rowid", delivery["id"])
        delivery["tries"] = [dict(row) for row in rows]
    return deliveries


def unsent(store: Store) -> int:
    """How many deliveries still wait for their first try or a retry."""
    return int(store.rows("SELECT count(*) AS n FROM deliveries WHERE state = 'pending'")[0]["n"])


def post(url: str, payload: bytes, header: str) -> tuple[int | None, str | None]:
    """One POST; (status, None) or (None, what went wrong). Redirects are not followed, as Stripe does not."""
    parts = urlsplit(check_loopback(url))
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": header,
        "User-Agent": "Stripe/1.0 (sandbox)",
    }
    try:
        connection.connect()
        # A name may resolve to anything; the peer that answered is what counts.
        if not ipaddress.ip_address(connection.sock.getpeername()[0]).is_loopback:
            return None, "not a loopback address"
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.request("POST", target, payload, headers)
        response = connection.getresponse()
        response.read(65536)
        return response.status, None
    except (OSError, http.client.HTTPException) as error:
        return None, f"{type(error).__name__}: {error}"[:200]
    finally:
        connection.close()


class Dispatcher(threading.Thread):
    """Sends what is due and runs the timers. One thread decides, a few workers wait for slow endpoints."""

    def __init__(self, account: Account, on_timer: Callable[[str, str], None]) -> None:
        super().__init__(name="webhooks", daemon=True)
        self.account, self.store, self.on_timer = account, account.store, on_timer
        self.wake = threading.Event()
        self.stopped = threading.Event()
        self.flying: set[int] = set()
        self.jobs: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        self.store.committed = self.wake.set

    def run(self) -> None:
        for number in range(WORKERS):
            threading.Thread(target=self.work, name=f"webhook-{number}", daemon=True).start()
        while not self.stopped.is_set():
            self.wake.clear()
            try:
                self.run_timers()
                pause = self.start_due()
            except Exception:
                if self.stopped.is_set():
                    return
                logger.exception("webhook dispatcher")
                pause = 0.5
            self.wake.wait(pause)

    def stop(self) -> None:
        self.stopped.set()
        self.wake.set()
        self.join(2)

    def run_timers(self) -> None:
        for act, identifier in self.account.due_timers():
            self.account.stop_timer(act, identifier)
            self.on_timer(act, identifier)

    def start_due(self) -> float:
        """Hand due deliveries to the workers; seconds until the next one, or the next timer."""
        now = time.time()
        rows = self.store.rows(
            "SELECT id, due, batch FROM deliveries WHERE state = 'pending' ORDER BY due, id LIMIT 500"
        )
        rows = [row for row in rows if row["id"] not in self.flying]
        batches: dict[str, list[int]] = {}
        for row in rows:
            if row["due"] <= now:
                batches.setdefault(row["batch"] or str(row["id"]), []).append(row["id"])
        for batch, ids in batches.items():
            self.flying.update(ids)
            self.jobs.put(in_order(batch, ids))
        waiting = [float(row["due"]) - now for row in rows if row["due"] > now]
        timer = self.account.next_timer()
        waiting += [] if timer is None else [timer - now]
        return max(0.001, min([0.5, *waiting]))

    def work(self) -> None:
        while True:
            for delivery in self.jobs.get():
                try:
                    self.deliver(delivery)
                except Exception:
                    if self.stopped.is_set():
                        return
                    logger.exception("webhook delivery")
                finally:
                    self.flying.discard(delivery)
            self.wake.set()

    def deliver(self, delivery: int) -> None:
        found = self.store.rows("SELECT * FROM deliveries WHERE id = ? AND state = 'pending'", delivery)
        event = self.store.get("event", found[0]["event"]) if found else None
        endpoint = self.store.get("webhook_endpoint", found[0]["endpoint"]) if found else None
        if event is None or endpoint is None:
            self.store.run("UPDATE deliveries SET state = 'dropped' WHERE id = ?", delivery)
            return
        payload = json.dumps(event, indent=2).encode()
        results = self.post_copies(
            endpoint["url"], payload, secrets_of(self.store, endpoint), copies=found[0]["copies"]
        )
        self.record(delivery, found[0]["attempts"], results)

    def post_copies(self, url: str, payload: bytes, secrets: list[str], *, copies: int) -> list[tuple[Any, ...]]:
        """Post the same event `copies` times at the same moment; each result is a row of the log."""
        results: list[tuple[Any, ...]] = []
        start = threading.Barrier(copies)

        def once() -> None:
            start.wait()
            at, began = time.time(), time.perf_counter()
            status, error = post(url, payload, signature(payload, secrets, int(at)))
            results.append((at, status, (time.perf_counter() - began) * 1000, error))

        others = [threading.Thread(target=once, daemon=True) for _ in range(copies - 1)]
        for thread in others:
            thread.start()
        once()
        for thread in others:
            thread.join()
        return results

    def record(self, delivery: int, attempts: int, results: list[tuple[Any, ...]]) -> None:
        """Keep the log; plan the retry, with growing pauses, where none of the copies was answered with 2xx."""
        delivered = any(status is not None and 200 <= status < 300 for _, status, _, _ in results)
        delays = self.account.retry_delays
        state = "delivered" if delivered else "pending" if attempts < len(delays) else "failed"
        due = time.time() + (delays[attempts] if state == "pending" else 0)
        with self.store.transaction():
            for result in results:
                self.store.run("INSERT INTO attempts VALUES (?, ?, ?, ?, ?)", delivery, *result)
            self.store.run(
                "UPDATE deliveries SET state = ?, due = ?, attempts = attempts + 1, batch = NULL, copies = 1 "
                "WHERE id = ?",
                *(state, due, delivery),
            )


def in_order(batch: str, ids: list[int]) -> list[int]:
    """The order in which a batch is sent: shuffled so that it differs from the true one, reversed, or as it is."""
    if batch.startswith("reverse-"):
        return ids[::-1]
    if batch.startswith("shuffle-") and len(ids) > 1:
        mixed = ids[:]
        while mixed == ids:
            random.shuffle(mixed)
        return mixed
    return ids
