"""Which mails follow from what is known about an order, and whether one that waits is still true in its turn."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from fulfillment import letters
from fulfillment.delivery_models import Delivery
from fulfillment.hold_models import is_held
from orders.facts import Refund
from orders.models import Order, OrderLine
from orders.payments import REFUND_STANDS

Kind = Delivery.Kind
State = Delivery.State


def announce(order: Order, lines: list[OrderLine], refunds: Iterable[Refund] = ()) -> tuple[int, ...]:
    """Write each mail that is due and was never written; the ids of those that now wait to be sent.

    The caller holds the order's lock. May be repeated: one mail for one happening. `lines` are those that can be
    delivered. An order that was made anonymous has nobody to tell.
    """
    written = _written(order)
    if order.email and not order.erased_at and (new := list(_new(order, lines, refunds, written))):
        # Somebody who asks for a mail once more does not wait for the lock: the number is theirs then.
        Delivery.objects.bulk_create(new, ignore_conflicts=True)
        written = _written(order)
    return tuple(one.pk for one in written if one.is_due)


def _written(order: Order) -> list[Any]:
    """The order's mails so far; `is_due` by the database's clock, as everything that waits."""
    due = Q(state__in=Delivery.DUE_STATES, next_attempt_at__lte=Now())
    return list(order.deliveries.annotate(is_due=ExpressionWrapper(due, BooleanField())).order_by("pk"))


def _new(
    order: Order, lines: list[OrderLine], refunds: Iterable[Refund], written: list[Delivery]
) -> Iterator[Delivery]:
    kinds = {one.kind for one in written}
    if order.state == Order.State.PROCESSING and Kind.WAITING not in kinds:
        yield _mail(order, Kind.WAITING, written)
    if order.state == Order.State.FAILED and order.paid_at is None and Kind.FAILED not in kinds:
        yield _mail(order, Kind.FAILED, written)
    if order.is_paid and lines and _lacks_order_mail(order, written):
        yield _mail(order, Kind.ORDER, written)
    told = {(one.kind, one.about) for one in written}
    for refund in refunds:
        stands = refund.status in REFUND_STANDS
        kind = Kind.REFUND if stands else Kind.REFUND_FAILED
        # Of a refund that failed before anybody was told of it there is nothing to tell.
        if (kind, refund.id) not in told and (stands or (Kind.REFUND, refund.id) in told):
            mail = _mail(order, kind, written, about=refund.id, amount=refund.amount)
            written = [*written, mail]
            yield mail


def _lacks_order_mail(order: Order, written: list[Delivery]) -> bool:
    """One is enough, unless it was withdrawn because the access had ended, and now it is back."""
    states = [one.state for one in written if one.kind == Kind.ORDER]
    return not states or (set(states) == {State.WITHDRAWN} and _opens_something(order))


def _mail(order: Order, kind: Kind, written: list[Delivery], *, about: str = "", amount: int = 0) -> Delivery:
    seq = 1 + max((one.seq for one in written if one.kind == kind), default=0)
    return Delivery(order=order, kind=kind, seq=seq, recipient=order.email, about=about, amount=amount)


def _opens_something(order: Order) -> bool:
    """Whether a link would lead its reader to any file."""
    return order.gives_access and not is_held(order)


def still_true(delivery: Delivery) -> bool:
    """Whether its reader would still be told what is so. Reads `delivery.order` as it was loaded."""
    order, kind = delivery.order, delivery.kind
    if order is None:
        return letters.is_wanted(delivery)
    if kind == Kind.WAITING:
        return order.state == Order.State.PROCESSING
    if kind == Kind.FAILED:
        return order.state == Order.State.FAILED
    if kind in (Kind.ORDER, Kind.LINK):
        return _opens_something(order)
    same = order.deliveries.filter(about=delivery.about)
    if kind == Kind.REFUND:
        return not same.filter(kind=Kind.REFUND_FAILED).exists()
    # A refund that failed is news for those only who may have heard that it was made.
    return not same.filter(kind=Kind.REFUND, state__in=(State.PENDING, State.WITHDRAWN)).exists()
