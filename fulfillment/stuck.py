"""What should have happened by now and has not: each row says since when, why, and which command mends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from fulfillment import heartbeats
from fulfillment.delivery_models import Delivery, DeliveryAttempt
from fulfillment.models import Entitlement, StripeEvent
from orders import stripe_api
from orders.models import Order, OrderLine

MOST = 500  # rows of each kind: who has more stuck than that has one problem, not many


@dataclass(frozen=True)
class Stuck:
    """One thing that is stuck. `which` is an event's id, an order's reference or a process; `mend` says what to run."""

    what: str
    which: str
    since: datetime
    why: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what} {self.which} since {self.since:%Y-%m-%d %H:%M:%S}: {self.why}\n    {self.mend}"


def find_stuck(*, longer_than: timedelta) -> list[Stuck]:
    """Everything that waits longer than that, or waits for a person; the oldest first within each kind.

    Reads our own rows only, with a constant number of queries, and at most 500 rows of each kind. An order is named
    once for one cause: not as undelivered when it needs a person, or when its mail is named itself.
    """
    before = timezone.now() - longer_than
    return [
        *_events(before),
        *_orders_needing_attention(),
        *_lines_without_access(before),
        *_orders_without_mail(before),
        *_mails(before),
        *_orders_unsettled(before),
        *_silent(longer_than),
    ]


def _events(before: datetime) -> Iterator[Stuck]:
    states = StripeEvent.State
    late = Q(state=states.FAILED) | Q(state=states.RECEIVED, received_at__lt=before)
    for event in StripeEvent.objects.filter(late).defer("body").order_by("received_at")[:MOST]:
        yield Stuck(
            what="event failed" if event.state == states.FAILED else "event not handled",
            which=event.event_id,
            since=event.received_at,
            why=event.note or f"{event.type}, {event.attempts} tries",
            mend=_manage("replay --event", event.event_id),
        )


def _orders_needing_attention() -> Iterator[Stuck]:
    for order in Order.objects.exclude(attention="").order_by("created_at")[:MOST]:
        what_to_do = _manage("replay --order", order.reference)
        if not order.email:
            what_to_do = _manage("resend", order.reference, "--to ADDRESS") + " && " + what_to_do
        yield Stuck(
            what="order needs a person",
            which=order.reference,
            since=order.paid_at or order.created_at,
            why=order.attention,
            mend=what_to_do,
        )


def _lines_without_access(before: datetime) -> Iterator[Stuck]:
    lines = OrderLine.objects.filter(
        ~Exists(Entitlement.objects.filter(order_line=OuterRef("pk"))),
        order__state=Order.State.PAID,
        order__paid_at__lt=before,
        order__attention="",
    ).exclude(order__total__gt=0, order__refunded=F("order__total"))
    for line in lines.select_related("order").order_by("order__paid_at", "pk")[:MOST]:
        yield Stuck(
            what="paid without access",
            which=line.order.reference,
            since=line.order.paid_at or line.order.created_at,
            why=f"{line.name} is not in the buyer's library",
            mend=_manage("replay --order", line.order.reference),
        )


def _orders_without_mail(before: datetime) -> Iterator[Stuck]:
    """Paid, and no mail accepted: unless one is named by `_mails`, or it was withdrawn since its access ended."""
    of_payment = (Delivery.Kind.WAITING, Delivery.Kind.FAILED)
    mails = Delivery.objects.filter(order=OuterRef("pk")).exclude(kind__in=of_payment)
    named = Q(state=Delivery.State.GAVE_UP) | Q(state__in=Delivery.DUE_STATES, created_at__lt=before)
    orders = Order.objects.filter(
        ~Exists(mails.filter(Q(state__in=(Delivery.State.SENT, Delivery.State.WITHDRAWN)) | named)),
        state=Order.State.PAID,
        paid_at__lt=before,
        attention="",
    )
    for order in orders.order_by("paid_at")[:MOST]:
        yield Stuck(
            what="paid without mail",
            which=order.reference,
            since=order.paid_at or order.created_at,
            why="no mail about it was accepted",
            mend=_manage("resend", order.reference)
            if order.email
            else _manage("resend", order.reference, "--to ADDRESS"),
        )


def _mails(before: datetime) -> Iterator[Stuck]:
    """Mails not accepted in time, and those given up on that no later mail of the order made good."""
    made_good = Delivery.objects.filter(
        order=OuterRef("order"), state=Delivery.State.SENT, created_at__gt=OuterRef("created_at")
    )
    # A letter that is refused is nothing to mend: nobody paid for it, and who asks for one again gets another.
    given_up = Q(~Exists(made_good), state=Delivery.State.GAVE_UP, order__isnull=False)
    late = given_up | Q(state__in=Delivery.DUE_STATES, created_at__lt=before)
    replies = DeliveryAttempt.objects.filter(delivery=OuterRef("pk")).order_by("-pk").values("reply")[:1]
    mails = Delivery.objects.filter(late).select_related("order").annotate(last_reply=replies)
    for mail in mails.order_by("created_at")[:MOST]:
        gave_up = mail.state == Delivery.State.GAVE_UP
        yield Stuck(
            what="mail given up" if gave_up else "mail not accepted",
            which=mail.name,
            since=mail.created_at,
            why=f"{mail}: {mail.last_reply or 'no answer yet'}, {mail.attempts} tries",
            mend=_manage("resend", mail.name, "--to ADDRESS") if gave_up else _manage("sweep"),
        )


def _orders_unsettled(before: datetime) -> Iterator[Stuck]:
    # The sweep asks with one key: it leaves out what was begun in the other mode.
    for order in Order.objects.unsettled(before).filter(livemode=stripe_api.is_live())[:MOST]:
        yield Stuck(
            what="payment not asked about",
            which=order.reference,
            since=order.next_check_at or order.created_at,
            why=f"{order.get_state_display()}, and no sweep has asked Stripe since",
            mend=_manage("sweep"),
        )


def _silent(longer_than: timedelta) -> Iterator[Stuck]:
    for pulse in heartbeats.silent(longer_than=max(longer_than, heartbeats.SILENT)):
        yield Stuck(
            what="no sign of life from",
            which=pulse.name,
            since=pulse.at,
            why=pulse.what,
            mend="start it again; what is due meanwhile: " + _manage("sweep"),
        )


def _manage(*words: str) -> str:
    return " ".join(("python manage.py", *words))
