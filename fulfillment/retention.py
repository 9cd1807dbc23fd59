"""What is forgotten after a while: bodies of handled events, later their ids, and where visitors came from."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import SignIn
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download, StripeEvent
from orders.models import Order

BATCH = 1000  # rows in one statement, so that no lock is held for long
SHOW_EVERY = 10 * BATCH
# Stripe repeats a webhook for days and shows events for 30; an id that is kept makes even an old copy a no-op.
KEEP_IDS = timedelta(days=400)
# A bank may ask about a payment for 120 days, in rare cases for 540 after the purchase; most of it is long over by now.
# https://docs.stripe.com/disputes/how-disputes-work
KEEP_VISITORS = timedelta(days=400)
# Somebody asked for what was bought with an address, and nothing was: it may be anybody's, and nobody needs the row.
KEEP_ASKERS = timedelta(days=1)

Say = Callable[[str], object]


@dataclass(frozen=True)
class Purged:
    """How many events lost (or, in a dry run, would lose) their body, and how many rows went altogether."""

    bodies: int
    rows: int

    def __str__(self) -> str:
        return f"{self.bodies} bodies, {self.rows} rows"


@dataclass(frozen=True)
class Forgotten:
    """How many sign-ins went, and from how many orders and downloads the address and the browser's name."""

    sign_ins: int
    orders: int
    downloads: int

    def __str__(self) -> str:
        return f"{self.sign_ins} sign-ins, addresses of {self.orders} orders and {self.downloads} downloads"


def forget_visitors(*, dry_run: bool = False, say: Say = lambda _: None) -> Forgotten:
    """Delete sign-ins, and empty addresses and agents of purchases and downloads, older than KEEP_VISITORS.

    May be repeated, and stopped between any two batches.
    """
    before = timezone.now() - KEEP_VISITORS
    sign_ins = SignIn.objects.filter(at__lt=before)
    orders = Order.objects.filter(created_at__lt=before).exclude(buyer_address=None, buyer_agent="")
    downloads = Download.objects.filter(last_at__lt=before).exclude(address=None, agent="")
    if dry_run:
        return Forgotten(sign_ins.count(), orders.count(), downloads.count())
    return Forgotten(
        sign_ins=_delete(sign_ins, say),
        orders=_change(orders, say, buyer_address=None, buyer_agent=""),
        downloads=_change(downloads, say, address=None, agent=""),
    )


def forget_askers(*, say: Say = lambda _: None) -> int:
    """Delete letters that were never tried because nothing was bought with their address; how many. May be repeated."""
    nothing = Delivery.objects.filter(kind=Delivery.Kind.LOST, state=Delivery.State.WITHDRAWN, attempt_log=None)
    return _delete(nothing.filter(created_at__lt=timezone.now() - KEEP_ASKERS), say)


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
    return Purged(rows=_delete(gone, say), bodies=_change(stale, say, body=b""))


def _delete(rows: QuerySet[Any], say: Say) -> int:
    total = 0
    while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.filter(pk__in=batch).delete()
        total += len(batch)  # and not what went along with them
        _progress(total, "rows", say)
    return total


def _progress(total: int, what: str, say: Say) -> None:
    if total % SHOW_EVERY == 0:
        say(f"{total} {what} so far")


def _change(rows: QuerySet[Any], say: Say, **fields: Any) -> int:
    """Walks by id, so that no batch looks again at what an earlier one has emptied."""
    total, last = 0, 0
    while batch := list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        total += rows.filter(pk__in=batch).update(**fields)
        last = batch[-1]
        _progress(total, "rows", say)
    return total
