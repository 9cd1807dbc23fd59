"""Suspending what an order gave by hand, and restoring it: whatever the facts about the money then say."""

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.addresses import without_addresses
from accounts.models import User
from fulfillment.converge import follow
from fulfillment.hold_models import Hold
from fulfillment.models import Entitlement
from orders.history import by_hand
from orders.models import Order
from storefront.celery import enqueue

DOOR = "admin"


class HoldRefused(Exception):
    """Nothing was changed; the message says why, for whoever asked."""


@dataclass(frozen=True)
class Restored:
    """Lines whose files can be read again, and those that stay closed, each with the reason."""

    open: tuple[str, ...]
    closed: tuple[tuple[str, str], ...]


@transaction.atomic
def place(order_id: int, *, line_id: int | None = None, key: uuid.UUID, by: User, reason: str) -> Hold:
    """Suspend the access that an order gives, or one of its lines, from now on: whatever Stripe says later.

    May be repeated under the same `key`, which is the form's. The order is locked, so a convergence that runs at the
    same moment ends before this, or sees the hold. An order that is not paid yet is delivered suspended.
    Raises HoldRefused.
    """
    order = _locked(order_id)
    if placed := Hold.objects.filter(key=key).first():
        if placed.order_id != order.pk:
            raise HoldRefused(_("This form belongs to another order. Please open it again."))
        return placed
    line = order.lines.filter(pk=line_id).first() if line_id else None
    if line_id and line is None:
        raise HoldRefused(_("That line belongs to another order."))
    if order.holds.open().filter(line__in=[line] if line else []).exists() or _is_whole(order):
        raise HoldRefused(_("That is suspended already."))
    hold = Hold.objects.create(order=order, line=line, key=key, placed_by=by, reason=_kept(reason))
    by_hand(order, f"access suspended, {line.name if line else 'the whole order'}", by=by, reason=reason, door=DOOR)
    follow(order, door=DOOR)
    return hold


@transaction.atomic
def lift(order_id: int, hold_ids: list[int], *, by: User, reason: str) -> Restored:
    """End these holds of an order. What its lines give then is computed from the facts: a refund stays a refund.

    A mail that was withdrawn because its link would have led to nothing is written again.
    Raises HoldRefused where none of them is open any more.
    """
    order = _locked(order_id)
    holds = list(order.holds.open().filter(pk__in=hold_ids).select_related("line"))
    if not holds:
        raise HoldRefused(_("That is not suspended any more."))
    Hold.objects.filter(pk__in=[hold.pk for hold in holds]).update(
        lifted_at=timezone.now(), lifted_by=by, lifted_reason=_kept(reason)
    )
    names = ", ".join(hold.line.name if hold.line else "the whole order" for hold in holds)
    by_hand(order, f"access restored, {names}", by=by, reason=reason, door=DOOR)
    follow(order, door=DOOR)
    enqueue("fulfillment.tasks.send_due_mails")
    rights = list(Entitlement.objects.filter(order_line__order=order).select_related("order_line").order_by("pk"))
    closed = tuple((one.order_line.name, one.get_reason_display()) for one in rights if not one.is_active)
    return Restored(tuple(one.order_line.name for one in rights if one.is_active), closed)


def _locked(order_id: int) -> Order:
    # Not its key: a sender that holds one of the mails writes to the timeline, and both would wait for ever.
    return Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order_id)


def _is_whole(order: Order) -> bool:
    return order.holds.open().filter(line=None).exists()


def _kept(reason: str) -> str:
    return without_addresses(reason).replace("\x00", "")[:160]
