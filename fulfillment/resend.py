"""A mail about an order once more: asked for by its buyer or by an operator."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.addresses import masked, normalize, without_addresses
from fulfillment import links
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from orders.models import Order, TimelineEntry
from storefront.celery import enqueue

AT_MOST_EVERY = timedelta(minutes=1)


class ResendRefused(Exception):
    """No mail was written and nothing was changed; the message says why."""


@dataclass(frozen=True)
class Resent:
    """The mail that was written, and the order's address before it was corrected; None where it was not."""

    delivery: Delivery
    before: str | None = None


@dataclass(frozen=True)
class Corrected:
    """The order's address now, the one before (None where it was the same), and the mail that was written, if any."""

    email: str
    before: str | None
    delivery: Delivery | None


def resend(order: Order, kind: Delivery.Kind, *, wait: bool = False) -> Delivery | None:
    """Write one more mail of this kind, to the order's own address, and wake a sender for it.

    None while the last one is under a minute old, unless the new one may `wait` until that minute is over; and for an
    order that is not paid, has no address or was made anonymous. Ten requests at once make one mail: the unique
    (order, kind, seq) lets only one of them win.
    """
    now = timezone.now()
    last, free_at = _last(order, kind, now)
    if not order.is_paid or not order.email or order.erased_at or (free_at > now and not wait):
        return None
    delivery, created = Delivery.objects.get_or_create(
        order=order,
        kind=kind,
        seq=last + 1,
        defaults={"recipient": order.email, "next_attempt_at": max(now, free_at)},
    )
    if not created:
        return None
    enqueue("fulfillment.tasks.send_due_mails")
    return delivery


def _last(order: Order, kind: Delivery.Kind, now: datetime) -> tuple[int, datetime]:
    """The highest seq of this kind, and when the next mail may go out.

    In one query: a mail that is written between two would give the next a number of its own. One that was withdrawn
    before anybody tried it does not count for the time.
    """
    counts = Q(attempts__gt=0) | Q(state__in=Delivery.DUE_STATES)
    found = order.deliveries.filter(kind=kind).aggregate(
        seq=Max("seq"),
        written=Max("created_at", filter=counts),
        sent=Max("sent_at", filter=counts),
        planned=Max("next_attempt_at", filter=Q(attempts=0, state__in=Delivery.DUE_STATES, next_attempt_at__gt=now)),
    )
    moments = [found[name] + AT_MOST_EVERY for name in ("written", "sent", "planned") if found[name]]
    return found["seq"] or 0, max(moments, default=now)


@transaction.atomic
def resend_order(
    reference: str, *, to: str = "", reason: str = "", door: str, wait: bool = False, at_most: int | None = None
) -> Resent:
    """Send an order's mail again, to the address `to` if one is given, which becomes the order's own.

    All or nothing: where no mail may be written, the address stays as it was. Raises ResendRefused for an order that
    is unknown, gives no access now, has no address, had a mail within the last minute (unless this one may `wait`
    for its end) or was served by this door `at_most` times already; ValidationError for `to`.
    """
    address = normalize(to) if to else ""
    # Not its key: a sender that holds one of the mails writes to the timeline, and both would wait for ever.
    orders = Order.objects.select_for_update(of=("self",), no_key=True)
    order = orders.filter(reference=reference.strip().upper()).first()
    if order is None:
        raise ResendRefused(_("There is no order %(order)s.") % {"order": reference})
    named = {"order": order.reference}
    if not Entitlement.objects.active(timezone.now()).filter(order_line__order=order).exists():
        raise ResendRefused(
            _("Order %(order)s (%(state)s) gives access to nothing now, so there is nothing to mail.")
            % {**named, "state": order.get_state_display()}
        )
    if order.erased_at:
        raise ResendRefused(_("The buyer of order %(order)s asked to be forgotten: nobody can be mailed.") % named)
    if at_most is not None and order.timeline.filter(door=door).count() >= at_most:
        raise ResendRefused(
            _("The mail of order %(order)s was sent again %(n)s times already.") % {**named, "n": at_most}
        )
    before = _correct(order, address, reason=reason, door=door) if address not in ("", order.email) else None
    if not order.email:
        raise ResendRefused(_("Order %(order)s has no address: say where to send the mail.") % named)
    delivery = resend(order, Delivery.Kind.ORDER, wait=wait)
    if delivery is None:
        raise ResendRefused(
            _("Order %(order)s had a mail within the last minute. Please try again in a minute.") % named
        )
    if before is None:
        _note(order, f"sent again{_because(reason)}", door)
    return Resent(delivery=delivery, before=before)


@transaction.atomic
def correct_address(order_id: int, *, to: str, reason: str, door: str) -> Corrected:
    """Make `to` the address of a paid order, whether or not it gives access now; if it does, the mail goes there.

    May be repeated: an address that is the order's already changes nothing and sends nothing. Raises ResendRefused
    for an order that is not paid or was made anonymous; ValidationError for `to`.
    """
    address = normalize(to)
    order = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order_id)
    if order.erased_at:
        raise ResendRefused(_("The buyer of this order asked to be forgotten: it gets no address any more."))
    if not order.is_paid:
        raise ResendRefused(_("This order is not paid: its address is the one that is written on Stripe's page."))
    if address == order.email:
        return Corrected(address, None, None)
    before = _correct(order, address, reason=reason, door=door)
    if order.attention and order.stripe_session_id:  # perhaps for want of an address: the sweep looks again at once
        order.next_check_at = timezone.now()
        order.save(update_fields=["next_check_at"])
    opens = Entitlement.objects.active(timezone.now()).filter(order_line__order=order).exists()
    return Corrected(address, before, resend(order, Delivery.Kind.ORDER, wait=True) if opens else None)


def _correct(order: Order, address: str, *, reason: str, door: str) -> str:
    """The order's mails go to `address` from now on, and a guest's access with them; returns the address before.

    What was mailed to the old address opens nothing any more: a stranger may read it.
    """
    before, order.email = order.email, address
    order.save(update_fields=["email"])
    if order.user_id is None:
        Entitlement.objects.filter(order_line__order=order).update(email=address)
    # What still waits for the wrong mailbox must not arrive there: a sender that holds a row loses its claim.
    waiting = order.deliveries.filter(state__in=Delivery.DUE_STATES).exclude(recipient=address)
    waiting.update(state=Delivery.State.WITHDRAWN, claim=None)
    links.void(order)
    _note(order, f"address corrected: {masked(before)} → {masked(address)}{_because(reason)}", door)
    return before


def _because(reason: str) -> str:
    return f" ({without_addresses(reason)})" if reason else ""


def _note(order: Order, detail: str, door: str) -> None:
    order.timeline.create(kind=TimelineEntry.Kind.MAIL, door=door, detail=detail.replace("\x00", "")[:300])
