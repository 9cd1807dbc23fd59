"""What a person must hear of: each condition is read from our own rows, newest first, by a query over a partial index.

Another one is one more function and one more entry in CONDITIONS. Lines name events and orders by reference, never an
address, because they are mailed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, Max, Min, OuterRef, Q, Sum
from django.urls import reverse

from fulfillment import event_types, heartbeats, needs, refusals
from fulfillment.book_models import BooksCheck, Difference
from fulfillment.delivery_models import Delivery
from fulfillment.models import Alert, Entitlement, StripeEvent, WebhookMinute
from orders import stripe_api
from orders.history import recorded
from orders.models import Order, OrderLine, is_reference

UNDELIVERED = timedelta(minutes=2)
UNHANDLED = timedelta(minutes=5)
UNCHECKED = timedelta(hours=1)  # the books
SPIKE, SPIKE_WINDOW = 10, timedelta(minutes=10)  # so many refused webhooks in so much time
LATELY = timedelta(hours=1)  # orders begun since are checked for missing access at every pass; older ones by `stuck`
TODAY = timedelta(days=1)  # how long what Stripe once told of stays a case
MOST = 200  # cases of one kind that are looked at, the newest

Kind = Alert.Kind


@dataclass(frozen=True)
class Case:
    """One thing that is wrong now. `key` tells it from others of its kind; `line` may be mailed to anybody."""

    key: str
    line: str


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How one kind of trouble is found, at most MOST cases of it, and what the mail says: what is wrong, what helps.

    `reminds`: whether people are told again after a day while it lasts.
    """

    find: Callable[[datetime], list[Case]]
    what: str
    mend: Callable[[], str]
    reminds: bool = True


def _undelivered(now: datetime) -> list[Case]:
    """Paid, and after two minutes the mail is not accepted or a line is not in the library."""
    late = Delivery.objects.filter(
        state__in=Delivery.DUE_STATES, kind=Delivery.Kind.ORDER, created_at__lte=now - UNDELIVERED
    )
    unsent = late.order_by("-next_attempt_at").values_list("order__reference", "created_at")[:MOST]
    missing = OrderLine.objects.filter(
        ~Exists(Entitlement.objects.filter(order_line=OuterRef("pk"))),
        order__created_at__gte=now - LATELY,
        order__state=Order.State.PAID,
        order__paid_at__lte=now - UNDELIVERED,
        order__attention="",
    ).exclude(order__total__gt=0, order__refunded=F("order__total"))
    ungiven = missing.order_by("-order__created_at").values_list("order__reference", "order__created_at")[:MOST]
    waiting = {reference: f"order {reference}, mail waits since {_time(at)}" for reference, at in unsent}
    without = {reference: f"order {reference} of {_time(at)}, no access" for reference, at in ungiven}
    return [Case(reference, line) for reference, line in (waiting | without).items()][:MOST]


def _unhandled(now: datetime) -> list[Case]:
    states = StripeEvent.State
    # Two queries, each in the order of its own index: together they would read every event there ever was.
    late = StripeEvent.objects.filter(state=states.RECEIVED, received_at__lte=now - UNHANDLED)
    failed = StripeEvent.objects.filter(state=states.FAILED)
    return [
        # Given up is another case than late, so the key holds the state.
        Case(f"{event_id} {what}", f"event {event_id} ({kind}), {what}, received {_time(at)}")
        for what, events in (
            ("given up", failed.order_by("-received_at")),
            ("not handled yet", late.order_by("-next_attempt_at")),
        )
        for event_id, kind, at in events.values_list("event_id", "type", "received_at")[:MOST]
    ][:MOST]


def _given_up(now: datetime) -> list[Case]:
    mails = needs.refused_mails().order_by("-created_at")
    return [
        Case(str(pk), f"order {reference}, written {_time(at)}")
        for pk, reference, at in mails.values_list("pk", "order__reference", "created_at")[:MOST]
    ]


def _attention(now: datetime) -> list[Case]:
    orders = Order.objects.exclude(attention="").order_by("-created_at")
    return _orders(orders.values_list("reference", "created_at")[:MOST])


def _disputes(now: datetime) -> list[Case]:
    """An order's access is suspended in the transaction that absorbs its dispute, and that has an index."""
    disputed = Entitlement.objects.filter(reason=Entitlement.Reason.DISPUTED)
    orders = disputed.values_list("order_line__order__reference").annotate(at=Max("order_line__order__created_at"))
    return _orders(orders.order_by("-at")[:MOST])


def _orders(rows: Iterable[tuple[Any, ...]]) -> list[Case]:
    return [Case(reference, f"order {reference} of {_time(at)}") for reference, at in rows]


def _refused(now: datetime) -> list[Case]:
    counted = WebhookMinute.objects.filter(minute__gt=now - SPIKE_WINDOW).aggregate(
        refused=Sum("refused", default=0), failed=Sum("failed", default=0)
    )
    if counted["refused"] + counted["failed"] < SPIKE:
        return []
    minutes = int(SPIKE_WINDOW.total_seconds() // 60)
    line = f"{counted['refused']} answered with 4xx and {counted['failed']} with 5xx in {minutes} minutes"
    return [Case("spike", line)]


def _clock(now: datetime) -> list[Case]:
    """Timestamps that Stripe signed, far from our own time: too late by more than five minutes is refused."""
    skew = WebhookMinute.objects.filter(minute__gt=now - SPIKE_WINDOW).exclude(clock_skew=0)
    most, least = skew.aggregate(most=Max("clock_skew"), least=Min("clock_skew")).values()
    cases = []
    if most is not None and most > refusals.SKEW:
        cases.append(Case("behind", f"this machine's clock is {most} seconds behind Stripe's"))
    if least is not None and least < -refusals.SKEW:
        cases.append(Case("ahead", f"this machine's clock is {-least} seconds ahead of Stripe's"))
    return cases


def _books(now: datetime) -> list[Case]:
    """What the check of the books has found, and that it cannot be made. Orders held for a person are told as such."""
    rows = Difference.objects.open(livemode=stripe_api.is_live()).exclude(kind=Difference.Kind.HELD)
    newest = rows.order_by("-first_seen")[:MOST]
    cases = [
        Case(
            f"{row.kind} {row.subject}",
            f"{recorded(Difference.Kind(row.kind))}: {row.subject}, since {_time(row.first_seen)}",
        )
        for row in newest
    ]
    good = Q(ended_at__isnull=False, failure="")
    first, last = BooksCheck.objects.aggregate(first=Min("began_at"), last=Max("began_at", filter=good)).values()
    if first is not None and (last or first) < now - UNCHECKED:
        cases.insert(0, Case("unchecked", f"not compared with Stripe's since {_time(last or first)}"))
    return cases


def _silent(now: datetime) -> list[Case]:
    """By the database's clock, not by `now`."""
    return [Case(pulse.name, f"{pulse.what}, last heard of {_time(pulse.at)}") for pulse in heartbeats.missed()]


def _other_mode(now: datetime) -> list[Case]:
    """Test events on a live shop, or the reverse: one case, however many come."""
    other = not stripe_api.is_live()
    ignored = StripeEvent.objects.filter(
        state=StripeEvent.State.IGNORED, account="", livemode=other, received_at__gt=now - TODAY
    )
    kinds = list(ignored.order_by("-received_at").values_list("type", "received_at")[:MOST])
    times = [at for kind, at in kinds if not kind.startswith(event_types.THIN)]
    if not times:
        return []
    ours, theirs = ("test", "live") if other else ("live", "test")
    number = f"{len(times)} or more" if len(kinds) >= MOST else str(len(times))
    return [Case(theirs, f"{number} in {theirs} mode within a day, this shop's key is for {ours} mode")]


def _fraud_warnings(now: datetime) -> list[Case]:
    """The order stands in the note of the event, once that is handled; payments of others are ignored."""
    warned = StripeEvent.objects.filter(
        type=event_types.FRAUD_WARNING, state=StripeEvent.State.HANDLED, received_at__gt=now - TODAY
    ).order_by("-received_at")
    return [
        # A note may hold anything, an error's text too: only a number is mailed.
        Case(
            event_id,
            f"{note if is_reference(note.removeprefix('order ')) else f'event {event_id}'}, warned {_time(at)}",
        )
        for event_id, note, at in warned.values_list("event_id", "note", "received_at")[:MOST]
    ]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _orders_page(query: str) -> str:
    return f"{_admin('orders_order')}?{query}"


def _admin(model: str) -> str:
    return f"{settings.SITE_URL}{reverse(f'admin:{model}_changelist')}"


CONDITIONS: dict[Kind, Condition] = {
    Kind.UNDELIVERED: Condition(
        find=_undelivered,
        what="These orders are paid, and two minutes later not delivered:",
        mend=lambda: "What waits, and why:\n  python manage.py stuck --minutes 2\nDo it now:\n  python manage.py sweep",
    ),
    Kind.EVENT: Condition(
        find=_unhandled,
        what="These events of Stripe are not handled, five minutes after they came or after the last try:",
        mend=lambda: (
            "What waits, and why:\n  python manage.py stuck\nAgain, once the cause is gone:\n"
            "  python manage.py replay --failed"
        ),
    ),
    Kind.MAIL: Condition(
        find=_given_up,
        what="The mail of these orders was refused or could not be sent for days. Their books are in the library:",
        mend=lambda: "Ask the buyer for an address that works, then:\n  python manage.py resend ORDER --to ADDRESS",
    ),
    Kind.ATTENTION: Condition(
        find=_attention,
        what="These orders need a person:",
        mend=lambda: (
            f"Why, in the admin:\n  {_orders_page('attention=yes')}\nAgain, once the cause is gone:\n"
            "  python manage.py replay --order ORDER"
        ),
    ),
    Kind.DISPUTE: Condition(
        find=_disputes,
        what="The buyer's bank disputes these payments. The access is suspended; Stripe sets a date for your answer:",
        mend=lambda: f"The orders, in the admin:\n  {_orders_page('dispute__exact=open')}",
        reminds=False,  # a bank takes months
    ),
    Kind.WEBHOOK: Condition(
        find=_refused,
        what="The shop does not accept what is posted to its webhook:",
        mend=lambda: (
            "If Stripe's dashboard shows failed deliveries, compare STRIPE_WEBHOOK_SECRETS with the endpoint's\n"
            "signing secret; if not, strangers are knocking. Then fetch what was missed:\n  python manage.py reconcile"
        ),
    ),
    Kind.CLOCK: Condition(
        find=_clock,
        what="The clocks disagree. Beyond five minutes the shop refuses Stripe's webhooks:",
        mend=lambda: "Is the time set by NTP?\n  timedatectl",
    ),
    Kind.SILENCE: Condition(
        find=_silent,
        what="No sign of life comes from:",
        mend=lambda: (
            "Start it again. Orders are delivered as long as the sweep or a worker runs:\n"
            "  python manage.py stuck\nIf it is meant to be off: this mail comes daily for a week, then no more."
        ),
    ),
    Kind.MODE: Condition(
        find=_other_mode,
        what="Stripe sends events of the other mode than the key in STRIPE_SECRET_KEY. They are kept and ignored:",
        mend=lambda: (
            "Give each mode an endpoint and a shop of its own, or correct the key. Then fetch what was missed:\n"
            "  python manage.py reconcile"
        ),
    ),
    Kind.FRAUD: Condition(
        find=_fraud_warnings,
        what="The card's issuer believes these payments to be fraud. A refund now may spare you a dispute:",
        mend=lambda: "Look at the order in the admin. If the issuer is right, refund it there.",
        reminds=False,
    ),
    Kind.BOOKS: Condition(
        find=_books,
        what="The shop's books do not agree with Stripe's, or with themselves:",
        mend=lambda: (
            f"What it means, and buttons that mend it:\n  {_admin('fulfillment_difference')}\nOr:\n"
            "  python manage.py books --mend"
        ),
    ),
}
