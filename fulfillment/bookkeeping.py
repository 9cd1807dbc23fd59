"""The rows of what differs: one for each difference while it lasts, closed when it is gone, forgotten much later."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from fulfillment.book_models import BooksCheck, Difference
from fulfillment.differences import Found
from orders import stripe_api
from orders.models import Order

KEEP_RESOLVED = timedelta(days=90)
KEEP_CHECKS = timedelta(days=14)


def row(found: Found, *, order: Order | None, session_id: str, looked_at: datetime) -> Difference:
    """The row of a difference, not saved."""
    return Difference(
        kind=found.kind,
        subject=order.reference if order else session_id,
        order=order,
        session_id=session_id,
        livemode=stripe_api.is_live(),
        at_stripe=found.at_stripe[:300],
        here=found.here[:400],
        mend=found.mend,
        first_seen=looked_at,
        last_seen=looked_at,
    )


def keep(rows: Iterable[Difference]) -> None:
    """Open a row for each difference that has none, and bring those that have one up to date.

    May be repeated and run by many at once: the database allows one open row for a kind and subject.
    """
    rows = list(rows)
    Difference.objects.bulk_create(rows, ignore_conflicts=True)
    for seen in rows:
        known = Difference.objects.filter(kind=seen.kind, subject=seen.subject, resolved_at=None)
        known.filter(last_seen__lt=seen.last_seen).update(
            at_stripe=seen.at_stripe, here=seen.here, mend=seen.mend, last_seen=seen.last_seen,
            order=seen.order, session_id=seen.session_id, livemode=seen.livemode,
        )  # fmt: skip


def close(subjects: Iterable[str], *, but: Collection[Difference.Kind] = (), looked_at: datetime) -> None:
    """What was open about these and no longer is, as somebody saw at `looked_at`. What another has seen since stays."""
    gone = Difference.objects.filter(subject__in=list(subjects), resolved_at=None, last_seen__lt=looked_at)
    gone.exclude(kind__in=but).update(resolved_at=timezone.now())


def forget(now: datetime) -> None:
    Difference.objects.filter(resolved_at__lt=now - KEEP_RESOLVED).delete()
    BooksCheck.objects.filter(began_at__lt=now - KEEP_CHECKS).delete()
