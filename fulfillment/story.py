"""What happened to an order, told to its buyer: paid, sent, opened, updated, refunded. Never what the desk notes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _

from catalog import money
from catalog.models import Edition
from fulfillment.access import right_of
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download
from orders.history import recorded
from orders.models import Order, OrderQuerySet, TimelineEntry

Kind = TimelineEntry.Kind
NO_NUMBER = re.compile(r"[^0-9.]")
TOLD = (Kind.STATE, Kind.REFUNDED, Kind.DISPUTE, Kind.MAIL, Kind.BILLING)


@dataclass(frozen=True)
class Happening:
    """One thing that happened: `kind` for programs, `words` in the reader's language."""

    at: datetime
    kind: str
    words: str


def first_downloads() -> QuerySet[Download]:
    """Of each file the first download: who reads a book every evening opened it once."""
    return Download.objects.order_by("entitlement_id", "file_id", "started_at").distinct("entitlement_id", "file_id")


def with_story(orders: OrderQuerySet) -> OrderQuerySet:
    """The orders with all that `story` reads, in seven queries however many there are."""
    return orders.prefetch_related(
        Prefetch("timeline", TimelineEntry.objects.filter(kind__in=TOLD)),
        Prefetch("deliveries", Delivery.objects.order_by("pk")),
        "lines__product",
        Prefetch("lines__product__editions", Edition.objects.exclude(published_at=None).order_by("number")),
        "lines__entitlement",
        Prefetch("lines__entitlement__downloads", first_downloads().select_related("file"), to_attr="first_downloads"),
    )


def story(order: Order) -> list[Happening]:
    """Oldest first. `order` comes from `with_story`."""
    told = [*_paid(order), *_entries(order), *_mails(order.deliveries.all()), *_opened(order), *_updated(order)]
    return sorted(told, key=lambda one: one.at)


def _paid(order: Order) -> Iterator[Happening]:
    if order.paid_at and order.total:
        yield Happening(order.paid_at, "paid", _("You paid %(amount)s.") % {"amount": order.total_display})
    elif order.paid_at:
        yield Happening(order.paid_at, "paid", _("You got it free of charge."))


def _entries(order: Order) -> Iterator[Happening]:
    for entry in order.timeline.all():
        if words := _words(entry, order.currency):
            yield Happening(entry.at, entry.kind, words)


def _words(entry: TimelineEntry, currency: str) -> str:
    """What an entry says to the buyer, or "" where it is the shop's own business."""
    if entry.kind == Kind.STATE:
        return _state(entry.detail.rpartition(" → ")[2])
    if entry.kind == Kind.REFUNDED:
        refunded, _of, total = entry.detail.partition(" of ")
        return _("%(refunded)s of %(total)s is refunded.") % {
            "refunded": _amount(refunded, currency),
            "total": _amount(total, currency),
        }
    if entry.kind == Kind.DISPUTE:
        return _dispute(entry.detail)
    if entry.kind == Kind.BILLING:
        return _("The details on your receipt were changed.")
    return _("The address for this order was corrected.") if entry.detail.startswith("address corrected") else ""


def _amount(recorded: str, currency: str) -> str:
    """What `money.recorded` wrote down, in the form of the reader's language."""
    try:
        return money.display(money.read(NO_NUMBER.sub("", recorded), currency), currency)
    except ValidationError:
        return recorded


def _state(after: str) -> str:
    return {
        recorded(Order.State.PROCESSING): _("Your payment is on its way."),
        recorded(Order.State.FAILED): _("The payment did not go through."),
    }.get(after, "")


def _dispute(label: str) -> str:
    return {
        recorded(Order.Dispute.OPEN): _("The bank began to look into the payment, at the cardholder’s request."),
        recorded(Order.Dispute.WON): _("The bank has looked into the payment: it stands."),
        recorded(Order.Dispute.LOST): _("The bank took the payment back."),
    }.get(label, "")


def _mails(deliveries: Iterable[Delivery]) -> Iterator[Happening]:
    for mail in deliveries:
        if mail.state == Delivery.State.SENT and mail.sent_at:
            yield Happening(mail.sent_at, "sent", _sent(mail) % {"email": mail.recipient})
        elif mail.state == Delivery.State.GAVE_UP:  # its last try ended when it was given up
            words = _("Our mail to %(email)s could not be delivered.") % {"email": mail.recipient}
            yield Happening(mail.next_attempt_at, "not sent", words)


def _sent(mail: Delivery) -> str:
    kinds = Delivery.Kind
    return {
        kinds.ORDER: _("The link to your files was mailed to %(email)s."),
        kinds.LINK: _("A fresh link was mailed to %(email)s."),
        kinds.REFUND: _("Word of the refund was mailed to %(email)s."),
    }.get(kinds(mail.kind), _("A mail about this order was sent to %(email)s."))


def _opened(order: Order) -> Iterator[Happening]:
    for line in order.lines.all():
        for download in getattr(right_of(line), "first_downloads", ()):
            words = _("You opened %(file)s for the first time.") % {"file": download.file.name}
            yield Happening(download.started_at, "opened", words)


def _updated(order: Order) -> Iterator[Happening]:
    """Editions that came out after the purchase. Whoever lost access hears of none."""
    for line in order.lines.all():
        right = right_of(line)
        if right is None or not right.is_active or order.paid_at is None:
            continue
        for edition in line.product.editions.all():
            at = edition.published_at
            if at and at > order.paid_at and edition.pk != line.edition_id:
                words = _("A new edition of %(name)s came out; it is yours, too.") % {"name": line.name}
                yield Happening(at, "updated", words)
