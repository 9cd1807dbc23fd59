"""Compare our rows with what Stripe has, and mend them: events that never came, sessions, refunds, disputes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from celery.exceptions import SoftTimeLimitExceeded
from django.db.models import Exists, OuterRef
from django.utils import timezone

from fulfillment import event_types, inbox
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Cursor, Entitlement, StripeEvent
from fulfillment.preview import preview
from orders import stripe_api
from orders.facts import ListedSession
from orders.models import Order, OrderLine

CURSOR = "stripe events"
OVERLAP = timedelta(minutes=10)  # Stripe may list an event later than others of its second
SLICE = timedelta(hours=1)  # of events, the oldest first, after which the cursor moves
EVENTS_KEPT = timedelta(days=30)  # by Stripe: https://docs.stripe.com/api/events
SESSION_LIFE = timedelta(hours=24)  # one that was paid just now may have been made a day ago
BATCH = 100  # sessions compared with one query, and how often progress is shown

Say = Callable[[str], None]
DOOR = "reconcile"


@dataclass
class Reconciled:
    """What one run found. `wrong` is what it could not mend, or what needs a person."""

    missing: int = 0
    compared: int = 0
    foreign: int = 0
    differed: int = 0
    mended: int = 0
    wrong: int = 0
    seen: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return (
            f"{self.missing} events missing; {self.compared} sessions compared, {self.foreign} of others; "
            f"{self.differed} differed, {self.mended} mended; {self.wrong} wrong"
        )


def reconcile(*, since: datetime, dry_run: bool = False, say: Say = print) -> Reconciled:
    """Bring in what Stripe has and we have not. May be repeated, run at once by many, and stopped anywhere.

    Events are read from a stored cursor on, or since `since` the first time; sessions, refunds and disputes since
    `since`. `dry_run` says what differs and writes nothing. A part that fails is said, counted as wrong, and never
    stops the others.
    """
    now, found = timezone.now(), Reconciled()
    for part in (_events, _sessions, _money):
        _try(part.__name__.strip("_"), lambda part=part: part(since, now, found, dry_run, say), found, say)  # type: ignore[misc]
    for order in Order.objects.filter(stripe_session_id__in=found.seen).exclude(attention=""):
        found.wrong += 1
        say(f"order {order.reference} needs a person: {order.attention}")
    return found


def _try(name: str, act: Callable[[], None], found: Reconciled, say: Say) -> None:
    try:
        act()
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001 - said and counted; the others go on
        found.wrong += 1
        say(f"{name}: failed, {type(error).__name__}: {error}")


def _events(since: datetime, now: datetime, found: Reconciled, dry_run: bool, say: Say) -> None:
    """Store what the inbox lacks, slice by slice; the cursor moves once all of a slice is stored."""
    cursor = Cursor.objects.filter(name=CURSOR).first()
    start = max((cursor.at if cursor else since) - OVERLAP, now - EVENTS_KEPT)
    width = max(SLICE, (now - start) / 24)
    told: set[str] = set()  # two slices share a second, and a dry run stores nothing that would tell
    while start < now:
        end = min(start + width, now)
        listed = _missing(stripe_api.events_between(start, end, sorted(event_types.TYPES)))
        missing = {event_id: body for event_id, body in listed.items() if event_id not in told}
        told.update(missing)
        found.missing += len(missing)
        for event_id, body in missing.items():
            if not dry_run:
                inbox.store(body)
            say(f"event {event_id} was missing")
        if not dry_run:
            _move_cursor(end)
            _handle(missing, found, say)
        start = end


def _missing(bodies: Iterable[bytes]) -> dict[str, bytes]:
    """The events that the inbox does not have, the oldest first."""
    listed = {inbox.parse(body).event_id: body for body in reversed(list(bodies))}
    known = set(StripeEvent.objects.filter(event_id__in=listed).values_list("event_id", flat=True))
    return {event_id: body for event_id, body in listed.items() if event_id not in known}


def _move_cursor(at: datetime) -> None:
    """Forward only: of two runs at once the slower one must not move it back."""
    Cursor.objects.get_or_create(name=CURSOR, defaults={"at": at})
    Cursor.objects.filter(name=CURSOR, at__lt=at).update(at=at)


def _handle(event_ids: Iterable[str], found: Reconciled, say: Say) -> None:
    for event_id in event_ids:
        inbox.handle(event_id)
    waiting = StripeEvent.objects.filter(event_id__in=list(event_ids)).exclude(state__in=StripeEvent.SETTLED)
    for event in waiting.defer("body"):
        found.wrong += 1
        say(f"event {event.event_id} is not handled: {event.note}")


def _sessions(since: datetime, now: datetime, found: Reconciled, dry_run: bool, say: Say) -> None:
    listed = stripe_api.complete_sessions_since(since - SESSION_LIFE)
    for first in range(0, len(listed), BATCH):
        batch = listed[first : first + BATCH]
        orders = {str(order.stripe_session_id): order for order in _orders([session.id for session in batch])}
        for session in batch:
            _compare(session, orders.get(session.id), found, dry_run, say)
        if len(listed) > BATCH:
            say(f"{first + len(batch)} of {len(listed)} sessions")


def _orders(session_ids: list[str]) -> Iterable[Order]:
    lines = OrderLine.objects.filter(order=OuterRef("pk"))
    without_access = lines.filter(~Exists(Entitlement.objects.filter(order_line=OuterRef("pk"))))
    mails = Delivery.objects.filter(order=OuterRef("pk"), kind=Delivery.Kind.ORDER)
    return Order.objects.filter(stripe_session_id__in=session_ids).annotate(
        lacks=Exists(without_access) | ~Exists(mails)
    )


def _compare(session: ListedSession, order: Order | None, found: Reconciled, dry_run: bool, say: Say) -> None:
    found.compared += 1
    if order is None and not session.is_marked:
        found.foreign += 1
        return
    found.seen.add(session.id)
    if order is None or _differs(session, order):
        _try(session.id, lambda: _mend(session.id, found, dry_run, say), found, say)


def _differs(session: ListedSession, order: Order) -> bool:
    if (session.amount_total, session.currency) != (order.total, order.currency):
        return True
    if not session.is_paid:
        return order.state not in (Order.State.PROCESSING, Order.State.FAILED)
    return not order.is_paid or (order.attention == "" and bool(getattr(order, "lacks", False)))


def _money(since: datetime, now: datetime, found: Reconciled, dry_run: bool, say: Say) -> None:
    """Refunds and disputes: whatever the list says, the order must have."""
    for intent_id in stripe_api.payments_taken_back_since(since):
        _try(intent_id, lambda intent_id=intent_id: _mend_payment(intent_id, found, dry_run, say), found, say)  # type: ignore[misc]


def _mend_payment(intent_id: str, found: Reconciled, dry_run: bool, say: Say) -> None:
    session_id = inbox.session_behind(intent_id)
    if session_id is None:
        found.foreign += 1
        return
    _mend(session_id, found, dry_run, say)


def _mend(session_id: str, found: Reconciled, dry_run: bool, say: Say) -> None:
    """Say how the order of this session differs from Stripe's facts, and make them agree."""
    before = preview(session_id, door=DOOR)
    if before.reason:
        found.foreign += 1
        return
    found.seen.add(session_id)
    if not before.changes:
        return
    found.differed += 1
    say("\n    ".join((f"{before.name}:", *before.changes)))
    if dry_run:
        return
    if fulfill(session_id, door=DOOR).stale or preview(session_id, door=DOOR).changes:
        raise stripe_api.StripeUnavailable("it still differs")
    found.mended += 1
