"""Trouble that a person must hear of, by mail to ADMINS: at most one mail per kind in 15 minutes.

The conditions are read from our own rows at every pass of the sweep and by beat. Each of the current cases has a key;
a case is told once, and again after a day while it lasts. Mails name events and orders by reference, never an address.
"""

import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Exists, Max, Min, OuterRef, Q, Sum
from django.urls import reverse
from django.utils import timezone

from fulfillment import refusals
from fulfillment.book_models import BooksCheck, Difference
from fulfillment.models import Alert, Delivery, Entitlement, StripeEvent, WebhookMinute
from orders import stripe_api
from orders.models import Order, OrderLine

log = logging.getLogger(__name__)

QUIET = timedelta(minutes=15)  # between two mails of one kind
LEASE = timedelta(seconds=60)  # for sending one; a mail that could not be sent is tried again after it
REMIND = timedelta(days=1)
UNDELIVERED = timedelta(minutes=2)
UNHANDLED = timedelta(minutes=5)
UNCHECKED = timedelta(hours=1)
SPIKE, SPIKE_WINDOW = 10, timedelta(minutes=10)  # so many refused webhooks in so much time
LATELY = timedelta(hours=1)  # orders begun since are checked for missing access at every pass; older ones by `stuck`
MOST = 200  # cases of one kind that are looked at, the newest
SHOWN = 20  # and named in a mail
KEPT = 2000  # keys remembered

Kind = Alert.Kind


@dataclass(frozen=True)
class Case:
    """One thing that is wrong now. `key` tells it from others of its kind; `line` may be mailed to anybody."""

    key: str
    line: str


def check() -> int:
    """Mail what is new; the number of mails sent. May run at any number of places at once: one of them sends.

    A constant number of queries while there is no news. Raises what the database raises, and nothing of the mail's.
    """
    now = timezone.now()
    WebhookMinute.objects.filter(minute__lt=now - timedelta(days=1)).delete()
    rows = {row.kind: row for row in Alert.objects.all()}
    return sum(_consider(kind, find(now), rows.get(kind), now) for kind, find in CONDITIONS.items())


def _consider(kind: Kind, cases: list[Case], row: Alert | None, now: datetime) -> bool:
    if row is None:
        if not cases:
            return False
        Alert.objects.bulk_create([Alert(kind=kind, next_mail_at=now)], ignore_conflicts=True)
        row = Alert.objects.get(kind=kind)
    _forget_settled(row, cases)
    if not _is_news(row, cases, now):
        return False
    if row.next_mail_at > now:
        if row.last_sent_at is not None and row.last_sent_at > now - QUIET:
            _hold_back(row, cases)
        return False
    return _mail(kind, cases, now)


def _is_news(row: Alert, cases: list[Case], now: datetime) -> bool:
    if any(case.key not in row.told for case in cases):
        return True
    if not cases or row.last_sent_at is None or row.kind == Kind.DISPUTE:  # a bank takes months
        return False
    return row.last_sent_at <= now - REMIND


def _forget_settled(row: Alert, cases: list[Case]) -> None:
    """What is over is news when it comes again. While there are more cases than we look at, nobody knows."""
    current = {case.key for case in cases}
    if len(cases) >= MOST or set(row.told) <= current:
        return
    left = [key for key in row.told if key in current]
    Alert.objects.filter(pk=row.pk, last_sent_at=row.last_sent_at).update(told=left)
    row.told = left


def _hold_back(row: Alert, cases: list[Case]) -> None:
    known = {*row.told, *row.held_back}
    news = [case.key for case in cases if case.key not in known]
    if news:
        held = Alert.objects.filter(pk=row.pk, last_sent_at=row.last_sent_at, held_back=row.held_back)
        held.update(held_back=[*row.held_back, *news][-KEPT:])


def _mail(kind: Kind, cases: list[Case], now: datetime) -> bool:
    """Send the mail, unless another process has the turn. A process that dies here leaves it to the next lease."""
    claim = uuid.uuid4()
    turn = Alert.objects.filter(kind=kind, next_mail_at__lte=now)
    if not turn.update(claim=claim, next_mail_at=now + LEASE):
        return False
    row = Alert.objects.get(kind=kind)
    news = [case for case in cases if case.key not in row.told]
    if not _is_news(row, cases, now) or not _send(_message(kind, news or cases, row)):
        Alert.objects.filter(kind=kind, claim=claim).update(claim=None)
        return False
    keys = [case.key for case in cases]
    told = [*(key for key in row.told if key not in keys), *reversed(keys)] if len(cases) >= MOST else keys
    Alert.objects.filter(kind=kind, claim=claim).update(
        claim=None, last_sent_at=now, next_mail_at=now + QUIET, told=told[-KEPT:], held_back=[]
    )
    return True


def _message(kind: Kind, cases: list[Case], row: Alert) -> EmailMessage:
    what, mend = TEXTS[kind]
    shown = "\n".join(f"  {case.line}" for case in cases[:SHOWN])
    more = f"\n  … and {len(cases) - SHOWN} more" if len(cases) > SHOWN else ""
    held = f"Held back since the last mail: {len(row.held_back)}.\n\n" if row.held_back else ""
    body = f"{what}\n\n{shown}{more}\n\n{held}{mend()}\n\nNo further mail of this kind is sent for 15 minutes.\n"
    return EmailMessage(
        subject=f"[{settings.SITE_NAME}] {kind.label}: {cases[0].line if len(cases) == 1 else len(cases)}",
        body=body,
        from_email=settings.SERVER_EMAIL,
        to=[address for _name, address in settings.ADMINS],
        headers={"Auto-Submitted": "auto-generated"},
    )


def _send(message: EmailMessage) -> bool:
    """By the configured backend, which gives up after EMAIL_TIMEOUT seconds. What cannot be mailed is logged."""
    if not message.to:
        log.error("alert, and ADMINS is empty: %s", message.subject)
        return True
    try:
        message.send()
    except Exception as error:  # noqa: BLE001 - whatever the mail server does, the sweep goes on
        log.error("alert could not be mailed (%s): %s", type(error).__name__, message.subject)  # noqa: TRY400
        return False
    log.warning("alert mailed: %s", message.subject)
    return True


# The conditions: each one query over a partial index, or over the last hour. The newest first, no more than MOST.


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
    )
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
    """Mails given up on, unless a later mail of the same order was written since."""
    later = Delivery.objects.filter(order=OuterRef("order"), pk__gt=OuterRef("pk"))
    mails = Delivery.objects.filter(~Exists(later), state=Delivery.State.GAVE_UP).order_by("-created_at")
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
    cases = [Case(f"{row.kind} {row.subject}", f"{row}, since {_time(row.first_seen)}") for row in newest]
    good = Q(ended_at__isnull=False, failure="")
    first, last = BooksCheck.objects.aggregate(first=Min("began_at"), last=Max("began_at", filter=good)).values()
    if first is not None and (last or first) < now - UNCHECKED:
        cases.insert(0, Case("unchecked", f"not compared with Stripe's since {_time(last or first)}"))
    return cases


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


CONDITIONS: dict[Kind, Callable[[datetime], list[Case]]] = {
    Kind.UNDELIVERED: _undelivered,
    Kind.EVENT: _unhandled,
    Kind.MAIL: _given_up,
    Kind.ATTENTION: _attention,
    Kind.DISPUTE: _disputes,
    Kind.WEBHOOK: _refused,
    Kind.CLOCK: _clock,
    Kind.BOOKS: _books,
}


def _orders_page(query: str) -> str:
    return f"{_admin('orders_order')}?{query}"


def _admin(model: str) -> str:
    return f"{settings.SITE_URL}{reverse(f'admin:{model}_changelist')}"


# What is wrong, and what helps.
TEXTS: dict[Kind, tuple[str, Callable[[], str]]] = {
    Kind.UNDELIVERED: (
        "These orders are paid, and two minutes later not delivered:",
        lambda: "What waits, and why:\n  python manage.py stuck --minutes 2\nDo it now:\n  python manage.py sweep",
    ),
    Kind.EVENT: (
        "These events of Stripe are not handled, five minutes after they came or after the last try:",
        lambda: (
            "What waits, and why:\n  python manage.py stuck\nAgain, once the cause is gone:\n"
            "  python manage.py replay --failed"
        ),
    ),
    Kind.MAIL: (
        "The mail of these orders was refused or could not be sent for days. Their books are in the library:",
        lambda: "Ask the buyer for an address that works, then:\n  python manage.py resend ORDER --to ADDRESS",
    ),
    Kind.ATTENTION: (
        "These orders need a person:",
        lambda: (
            f"Why, in the admin:\n  {_orders_page('attention=yes')}\nAgain, once the cause is gone:\n"
            "  python manage.py replay --order ORDER"
        ),
    ),
    Kind.DISPUTE: (
        "The buyer's bank disputes these payments. The access is suspended; Stripe sets a date for your answer:",
        lambda: f"The orders, in the admin:\n  {_orders_page('dispute__exact=open')}",
    ),
    Kind.WEBHOOK: (
        "The shop does not accept what is posted to its webhook:",
        lambda: (
            "If Stripe's dashboard shows failed deliveries, compare STRIPE_WEBHOOK_SECRETS with the endpoint's\n"
            "signing secret; if not, strangers are knocking. Then fetch what was missed:\n  python manage.py reconcile"
        ),
    ),
    Kind.CLOCK: (
        "The clocks disagree. Beyond five minutes the shop refuses Stripe's webhooks:",
        lambda: "Is the time set by NTP?\n  timedatectl",
    ),
    Kind.BOOKS: (
        "The shop's books do not agree with Stripe's, or with themselves:",
        lambda: (
            f"What it means, and buttons that mend it:\n  {_admin('fulfillment_difference')}\nOr:\n"
            "  python manage.py books --mend"
        ),
    ),
}
