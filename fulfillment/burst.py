"""Do all that is due of one kind, several rows at once: most of the time of each is spent waiting for a network."""

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from django.db import close_old_connections
from django.db.models.functions import Now

from fulfillment import inbox, news, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.event_types import LEADS, By
from fulfillment.models import StripeEvent
from storefront import trace
from storefront.celery import enqueue

log = logging.getLogger(__name__)

Key = TypeVar("Key", int, str)

SESSION_TYPES = [kind for kind, by in LEADS.items() if by is By.SESSION]
AT_ONCE = 8  # rows; fewer than the connections that a process may keep (DATABASE_POOL_SIZE)
BATCH = 100  # rows looked up at once
PATIENCE = 2.0  # seconds after which others get their turn; what is left gets a wake-up of its own


def handle_events() -> int:
    """Handle events until none is due; returns how many. May run in any number of workers at once."""
    return _do_all(_events_due, inbox.handle, again="fulfillment.tasks.handle_due_events")


def send_mails() -> int:
    """Send mails until none is due; returns how many were accepted. May run in any number of workers at once."""
    return _do_all(_mails_due, outbox.send, again="fulfillment.tasks.send_due_mails")


def _events_due() -> list[str]:
    """Those of Checkout Sessions first: afterwards the payment's own find their order without asking Stripe for it."""
    due = StripeEvent.objects.due(Now()).order_by("next_attempt_at").values_list("event_id", flat=True)
    return list(due.filter(type__in=SESSION_TYPES)[:BATCH]) or list(due[:BATCH])


def _mails_due() -> list[int]:
    """Those about orders first. Letters only where none waits, and a few at a time: then no order waits for long."""
    due = Delivery.objects.due(Now()).order_by("next_attempt_at").values_list("pk", flat=True)
    if about_orders := list(due.filter(order__isnull=False)[:BATCH]):
        return about_orders
    some = list(due[:AT_ONCE])
    return some or (list(due[:AT_ONCE]) if news.write_letters() else [])


def _do_all(due: Callable[[], list[Key]], act: Callable[[Key], bool], *, again: str) -> int:
    """`act` claims its row, so workers that see the same rows share them. They begin at different ones, or they would
    meet at every row."""
    done, end = 0, time.monotonic() + PATIENCE
    while keys := due():
        random.shuffle(keys)
        results = _at_once(act, keys)
        done += results.count(True)
        if None in results:  # the database is in trouble: the sweep looks again
            break
        if time.monotonic() > end:
            enqueue(again)
            break
    return done


def _at_once(act: Callable[[Key], bool], keys: list[Key]) -> list[bool | None]:
    if len(keys) == 1:
        return [_guarded(act, keys[0])]
    ids = trace.current()
    return list(_threads(act.__module__).map(lambda key: _in_thread(act, key, ids), keys))


@cache
def _threads(lane: str) -> ThreadPoolExecutor:
    """Kept for the life of the process: each thread keeps its connection to Stripe open."""
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix=lane)


def _in_thread(act: Callable[[Key], bool], key: Key, ids: dict[str, str | int]) -> bool | None:
    try:
        with trace.about(**ids):
            return _guarded(act, key)
    finally:
        close_old_connections()  # back into the pool, as after a request


def _guarded(act: Callable[[Key], bool], key: Key) -> bool | None:
    """None for a row that could not even be marked as failed, which must not stop the others."""
    with trace.about():  # what is noted of this row is not said of the next
        try:
            return act(key)
        except Exception:
            log.exception("%s.%s(%r) failed", act.__module__, act.__name__, key)
            return None
