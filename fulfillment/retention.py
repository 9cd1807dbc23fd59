"""What the inbox forgets: bodies of handled events after a while, their ids only much later."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from fulfillment.models import StripeEvent, StripeEventQuerySet

BATCH = 1000  # rows in one statement, so that no lock is held for long
SHOW_EVERY = 10 * BATCH
# Stripe repeats a webhook for days and shows events for 30; an id that is kept makes even an old copy a no-op.
KEEP_IDS = timedelta(days=400)

Say = Callable[[str], object]


@dataclass(frozen=True)
class Purged:
    """How many events lost (or, in a dry run, would lose) their body, and how many rows went altogether."""

    bodies: int
    rows: int

    def __str__(self) -> str:
        return f"{self.bodies} bodies, {self.rows} rows"


def purge_events(*, older_than: timedelta, dry_run: bool = False, say: Say = lambda _: None) -> Purged:
    """Empty the bodies of handled and ignored events received before `older_than` ago; rows go after 400 days.

    Events that were not handled, or failed, are never touched. May be repeated, and stopped between any two batches.
    """
    now = timezone.now()
    done = StripeEvent.objects.filter(state__in=StripeEvent.SETTLED)
    forget = now - max(KEEP_IDS, older_than)
    gone = done.filter(received_at__lt=forget)
    stale = done.filter(received_at__lt=now - older_than, received_at__gte=forget).exclude(body=b"")
    if dry_run:
        return Purged(bodies=stale.count(), rows=gone.count())
    return Purged(rows=_delete(gone, say), bodies=_empty(stale, say))


def _delete(events: StripeEventQuerySet, say: Say) -> int:
    total = 0
    while batch := list(events.values_list("pk", flat=True)[:BATCH]):
        total += events.filter(pk__in=batch).delete()[0]
        _progress(total, "rows", say)
    return total


def _progress(total: int, what: str, say: Say) -> None:
    if total % SHOW_EVERY == 0:
        say(f"{total} {what} so far")


def _empty(events: StripeEventQuerySet, say: Say) -> int:
    """Walks by id, so that no batch looks again at what an earlier one has emptied."""
    total, last = 0, 0
    while batch := list(events.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        total += events.filter(pk__in=batch).update(body=b"")
        last = batch[-1]
        _progress(total, "bodies", say)
    return total
