"""Handle what is due in the inbox, several events at once: most of the time of each is spent waiting for Stripe."""

import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.db import close_old_connections
from django.db.models.functions import Now

from fulfillment import inbox
from fulfillment.models import StripeEvent
from storefront.celery import enqueue

log = logging.getLogger(__name__)

AT_ONCE = 8  # events; no more than the connections a process may keep (DATABASE_POOL_SIZE)
BATCH = 100  # rows looked up at once
PATIENCE = 2.0  # seconds after which mails get their turn in the same worker; what is left gets a wake-up of its own


def handle_due() -> int:
    """Handle events until none is due; returns how many. May run in any number of workers at once.

    Each row is claimed by `inbox.handle`, so two workers that see the same rows share them. They begin at different
    ones, or they would meet at every row.
    """
    handled, end = 0, time.monotonic() + PATIENCE
    while found := due():
        random.shuffle(found)
        results = _all(found)
        handled += results.count(True)
        if None in results:  # the database is in trouble: the sweep looks again
            break
        if time.monotonic() > end:
            enqueue("fulfillment.tasks.handle_due_events")
            break
    return handled


def due() -> list[str]:
    """The ids of the events that have waited longest."""
    events = StripeEvent.objects.due(Now()).order_by("next_attempt_at")
    return list(events.values_list("event_id", flat=True)[:BATCH])


def _all(event_ids: list[str]) -> list[bool | None]:
    if len(event_ids) == 1:
        return [_handle(event_ids[0])]
    return list(_threads().map(_handle_in_thread, event_ids))


@cache
def _threads() -> ThreadPoolExecutor:
    """Kept for the life of the process: each thread keeps its connection to Stripe open."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="events")


def _handle_in_thread(event_id: str) -> bool | None:
    try:
        return _handle(event_id)
    finally:
        close_old_connections()  # back into the pool, as after a request


def _handle(event_id: str) -> bool | None:
    """Whether it was handled now; None when not even that could be written down, which must not stop the others."""
    try:
        return inbox.handle(event_id)
    except Exception:
        log.exception("event %s could not be handled", event_id)
        return None
