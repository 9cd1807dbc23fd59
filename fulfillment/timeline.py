"""All that happened to an order as the desk reads it, and what happens next. `story` tells its buyer less, in words of
their own."""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.addresses import without_addresses
from fulfillment.delivery_models import Delivery, DeliveryAttempt
from fulfillment.models import Download, StripeEvent
from fulfillment.story import first_downloads
from orders.history import named_in_full, recorded
from orders.models import Order, TimelineEntry
from orders.refund_models import RefundRequest

Kind = TimelineEntry.Kind

MOST = 200  # rows of each kind: an order with more of them has a story of its own
ALL = frozenset({"mails", "downloads", "events"})


@dataclass(frozen=True)
class Moment:
    """One thing that happened. `door`: what learned of it; `event`: the id of the event that told of it, if one did;
    `event_pk`: its row, where somebody may see it. `after`: how long after the payment."""

    at: datetime
    words: str
    door: str = ""
    event: str = ""
    event_pk: int | None = None
    after: timedelta | None = None
    is_trouble: bool = False

    @property
    def after_display(self) -> str:
        """In the largest unit that it fills twice: 90 s, 5 min, 30 h, 4 d; "" before the payment."""
        if self.after is None:
            return ""
        seconds = round(self.after.total_seconds())
        for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
            if seconds >= 2 * size:
                return f"{seconds // size} {name}"
        return f"{seconds} s"


@dataclass(frozen=True)
class Seen:
    """The rows that the timeline is made of, as far as whoever looks may see them."""

    entries: list[TimelineEntry]
    mails: list[Delivery] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    events: list[StripeEvent] = field(default_factory=list)


def read(order: Order, *, kinds: Collection[str] = ALL) -> Seen:
    """Everything about the order in five queries, however much there is of it."""
    entries = list(order.timeline.order_by("-pk")[:MOST])[::-1]
    mails = list(order.deliveries.prefetch_related("attempt_log").order_by("pk")[:MOST]) if "mails" in kinds else []
    downloads = first_downloads().filter(entitlement__order_line__order=order).select_related("file")[:MOST]
    return Seen(
        entries,
        mails,
        list(downloads) if "downloads" in kinds else [],
        _events(order, entries) if "events" in kinds else [],
    )


def _events(order: Order, entries: list[TimelineEntry]) -> list[StripeEvent]:
    """Those about its session, payment and charge, and those that its history names, without their bodies."""
    about = list(filter(None, [order.stripe_session_id, order.stripe_payment_intent_id, order.stripe_charge_id]))
    named = sorted({entry.event for entry in entries} - {""})
    if not about and not named:
        return []
    found = StripeEvent.objects.exclude(state=StripeEvent.State.IGNORED)
    return list(found.filter(Q(object_id__in=about) | Q(event_id__in=named)).defer("body").order_by("pk")[:MOST])


def moments(order: Order, seen: Seen) -> list[Moment]:
    """Oldest first."""
    entries = named_in_full(seen.entries)
    paid = _paid(order, entries)
    rows = {event.event_id: event.pk for event in seen.events}
    told = [
        *(_entry(entry, rows) for entry in entries if not _is_told_by_its_mail(entry, seen)),
        *([paid] if paid else []),
        *(_event(event) for event in seen.events),
        *(moment for mail in seen.mails for moment in _mail(mail)),
        *_opened(order),
        *(_download(one) for one in seen.downloads),
    ]
    paid_at = paid.at if paid else order.paid_at
    return [_placed(one, paid_at) for one in sorted(told, key=lambda one: one.at)]


def _placed(moment: Moment, paid_at: datetime | None) -> Moment:
    return replace(moment, after=moment.at - paid_at) if paid_at and moment.at > paid_at else moment


def _paid(order: Order, entries: list[TimelineEntry]) -> Moment | None:
    """Stripe tells whole seconds: what led to the payment within the same second comes before it."""
    if not (order.paid_at and order.total):
        return None
    words = {"amount": order.total_display, "how": order.paid_with}
    said = _("Paid %(amount)s with %(how)s") % words if order.paid_with else _("Paid %(amount)s") % words
    led = [entry.at for entry in entries if entry.kind in (Kind.CREATED, Kind.CHECKOUT_STARTED)]
    at = max((one for one in led if one < order.paid_at + timedelta(seconds=1)), default=order.paid_at)
    return Moment(max(at, order.paid_at), said, door="Stripe")


def _is_told_by_its_mail(entry: TimelineEntry, seen: Seen) -> bool:
    return bool(seen.mails) and entry.door == "outbox" and entry.detail.endswith(f": {recorded(Delivery.State.SENT)}")


def _entry(entry: TimelineEntry, rows: dict[str, int]) -> Moment:
    heads = {
        Kind.CREATED: _("Order begun"),
        Kind.CHECKOUT_STARTED: _("Buyer sent to Stripe’s page"),
        Kind.STATE: _("Payment"),
        Kind.REFUNDED: _("Refunded"),
        Kind.DISPUTE: _("Dispute"),
        Kind.ACCESS: _("Access"),
        Kind.ATTENTION: _("Needs a person"),
        Kind.MAIL: _("Mail"),
        Kind.BY_HAND: _("By hand"),
        Kind.BILLING: _("Details for the receipt"),
    }
    settled = entry.kind == Kind.ATTENTION and entry.detail == "settled"
    head = _("Needs nobody any more") if settled else heads[Kind(entry.kind)]
    return Moment(
        entry.at,
        f"{head}: {entry.detail}" if entry.detail and not settled else str(head),
        door=entry.door,
        event=entry.event,
        event_pk=rows.get(entry.event),
        is_trouble=entry.kind == Kind.ATTENTION and not settled,
    )


def _event(event: StripeEvent) -> Moment:
    words = _("Stripe told: %(type)s") % {"type": event.type}
    is_trouble = event.state == StripeEvent.State.FAILED
    if event.state != StripeEvent.State.HANDLED:
        words += f" ({event.get_state_display()}{f', {without_addresses(event.note)[:200]}' if event.note else ''})"
    return Moment(event.received_at, words, "webhook", event.event_id, event.pk, is_trouble=is_trouble)


def _mail(mail: Delivery) -> Iterator[Moment]:
    words = {"mail": mail.get_kind_display(), "email": mail.recipient}
    for attempt in mail.attempt_log.all():
        refused = attempt.outcome not in (DeliveryAttempt.Outcome.ACCEPTED, DeliveryAttempt.Outcome.UNKNOWN)
        if attempt.outcome == DeliveryAttempt.Outcome.ACCEPTED:
            said = _("Mailed “%(mail)s” to %(email)s") % words
        else:
            said = _("Tried to mail “%(mail)s” to %(email)s") % words
        reply = f": {attempt.get_outcome_display()}, {attempt.reply}" if refused else ""
        yield Moment(attempt.finished_at or attempt.started_at, said + reply, "outbox", is_trouble=refused)


def _opened(order: Order) -> Iterator[Moment]:
    if order.link_opened_at:
        yield Moment(order.link_opened_at, _("Link opened for the first time, perhaps by a mail scanner"), "link")


def _download(one: Download) -> Moment:
    words = _("Downloaded %(file)s for the first time") % {"file": one.file.name}
    return Moment(one.started_at, f"{words} ({one.address})" if one.address else words, one.via)


@dataclass(frozen=True)
class Step:
    """What happens next, or what somebody has to do. `at` is when the shop goes on by itself, or until when to act.
    `needs_person`: as in `needs`, the rule of the list and the dashboard."""

    words: str
    needs_person: bool = False
    is_trouble: bool = False
    at: datetime | None = None


def next_steps(order: Order, seen: Seen) -> list[Step]:
    """The most urgent first; never empty."""
    steps = [*_of_people(order, seen), *_of_refunds(order), *_of_payment(order, seen), *_of_mails(order, seen.mails)]
    return steps or [Step(_done(order))]


def _of_people(order: Order, seen: Seen) -> Iterator[Step]:
    if order.attention:
        what = (
            _("Remove the cause, then press “Replay”.") if order.email else _("Correct the address; all else follows.")
        )
        yield Step(f"{order.attention} {what}", needs_person=True)
    if order.dispute == Order.Dispute.OPEN:
        by = _due_by(seen.events)
        soon = _("The bank disputes this payment. Answer under “Evidence”.")
        in_time = _("The bank disputes this payment. Answer under “Evidence”, before:")
        yield Step(in_time if by else soon, is_trouble=True, at=by)
    if order.holds.open().exists():
        yield Step(_("Access is suspended by hand. It stays so until somebody presses “Restore”."))


def _due_by(events: Iterable[StripeEvent]) -> datetime | None:
    """By when the bank wants an answer, as Stripe's latest event about it says; the page "Evidence" asks Stripe."""
    told = [event.pk for event in events if event.type.startswith("charge.dispute.")]
    body = StripeEvent.objects.filter(pk=told[-1]).values_list("body", flat=True).first() if told else None
    try:
        details = json.loads(bytes(body or b"{}"))["data"]["object"]["evidence_details"]
        return datetime.fromtimestamp(details["due_by"], tz=UTC)
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _of_refunds(order: Order) -> Iterator[Step]:
    for row in RefundRequest.objects.unsettled().filter(order=order):
        words = {"amount": row.amount_display}
        yield Step(_("%(amount)s is on its way back; Stripe is asked again by:") % words, at=row.next_attempt_at)


def _of_payment(order: Order, seen: Seen) -> Iterator[Step]:
    states = Order.State
    if order.state == states.OPEN:
        yield Step(
            _("Waiting for the buyer to pay on Stripe’s page; Stripe is asked again by:"), at=order.next_check_at
        )
    elif order.state == states.PROCESSING:
        yield Step(_("Waiting for the payment, which takes days; Stripe is asked again by:"), at=order.next_check_at)
    elif order.state == states.FAILED:
        told = any(mail.kind == Delivery.Kind.FAILED and mail.state == Delivery.State.SENT for mail in seen.mails)
        yield Step(_("The payment failed, and the buyer was told.") if told else _("The payment failed."))


def _of_mails(order: Order, mails: list[Delivery]) -> Iterator[Step]:
    for mail in mails:
        if mail.state in Delivery.DUE_STATES:
            words = {"mail": mail.get_kind_display(), "email": mail.recipient}
            again = _("The mail “%(mail)s” to %(email)s is tried again by:") if mail.attempts else None
            yield Step((again or _("The mail “%(mail)s” to %(email)s goes out by:")) % words, at=mail.next_attempt_at)
    if refused := refused_mail(order, mails):
        words = {"email": refused.recipient}
        yield Step(
            _("No mail reaches %(email)s. Ask the buyer for another address and press “Correct the address”.") % words,
            needs_person=True,
        )


def refused_mail(order: Order, mails: list[Delivery]) -> Delivery | None:
    """The last of the order's mails, if it was given up: as `needs.refused_mails` has it."""
    last = next((mail for mail in reversed(mails) if mail.state != Delivery.State.WITHDRAWN), None)
    return last if last and last.state == Delivery.State.GAVE_UP and not order.erased_at else None


def _done(order: Order) -> str:
    if order.state == Order.State.EXPIRED:
        return _("Nothing to do: it was never paid.")
    if order.is_refunded:
        return _("Nothing to do: everything was given back.")
    return _("Nothing to do.")
