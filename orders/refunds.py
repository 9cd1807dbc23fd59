"""Giving money back through Stripe: the request is a row before Stripe is asked, so it is neither lost nor doubled."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Sum
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import User
from catalog import money
from orders import stripe_api, stripe_desk
from orders.history import by_hand, recorded
from orders.models import Order, OrderLine
from orders.refund_models import RefundRequest

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
BACK_OFF = [timedelta(seconds=s) for s in (5, 30, 120, 600, 1800, 3600)]  # the last wait repeats
# Stripe knows an idempotency key for 24 hours; later the same key would make a second refund.
# https://docs.stripe.com/api/idempotent_requests
KEY_LIFE = timedelta(hours=23)
# Younger requests are left to the page that made them.
GRACE = timedelta(seconds=15)

State = RefundRequest.State

# https://docs.stripe.com/error-codes
IN_PLAIN_WORDS = {
    "charge_already_refunded": gettext_noop("This payment has been given back already, perhaps in Stripe's dashboard."),
    "charge_disputed": gettext_noop(
        "The customer's bank has disputed this payment and has the money: it cannot be refunded as well."
    ),
    "amount_too_large": gettext_noop("That is more than is left of this payment, perhaps after a refund elsewhere."),
    "amount_too_small": gettext_noop("Stripe does not give back so small an amount."),
    "balance_insufficient": gettext_noop("There is too little money in your Stripe balance. Add some, then try again."),
    "resource_missing": gettext_noop("Stripe does not know this payment: it belongs to another account or mode."),
}
IN_PLAIN_WORDS["insufficient_funds"] = IN_PLAIN_WORDS["balance_insufficient"]


@dataclass(frozen=True)
class Asked:
    """The requests that one form came to; `again` where they had been written before."""

    rows: list[RefundRequest]
    again: bool


class RefundRefused(Exception):
    """Nothing was asked of Stripe; the message says why, for whoever asked."""


def left(order: Order) -> int:
    """What can still be given back, in minor units: paid, less what went back and what is on its way."""
    return max(0, order.total - order.refunded - _unsettled(order))


def line_left(line: OrderLine) -> int:
    """What can still be given back for one line, in minor units; the order's own rest may be less."""
    on_its_way = line.refund_requests.unsettled().aggregate(sum=Sum("amount"))["sum"] or 0
    return max(0, line.amount - line.refunded - on_its_way)


def _unsettled(order: Order) -> int:
    return order.refund_requests.unsettled().aggregate(sum=Sum("amount"))["sum"] or 0


@transaction.atomic
def request(
    order_id: int,
    *,
    key: uuid.UUID,
    by: User,
    reason: str,
    note: str,
    lines: Sequence[int] = (),
    amount: int | None = None,
) -> Asked:
    """Write down what to give back: what is left of `lines`, or `amount` (minor units), or else all that is left.

    May be repeated under the same `key`, which is the form's: the rows of the first time are returned. The order is
    locked, so two people at once cannot give back more than is left. Raises RefundRefused.
    """
    order = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order_id)
    if written := list(RefundRequest.objects.filter(key=key)):
        if any(row.order_id != order.pk for row in written):
            raise RefundRefused(_("This form belongs to another order. Please open it again."))
        return Asked(written, again=True)
    if not order.is_paid or not order.stripe_payment_intent_id:
        raise RefundRefused(_("There is no payment at Stripe to give back."))
    wanted = _wanted(order, lines, amount)
    rest = left(order)
    if sum(cents for _line, cents in wanted) > rest:
        raise RefundRefused(_("Only %(left)s is left to give back.") % {"left": money.display(rest, order.currency)})
    rows = [_write(order, line, cents, key=key, by=by, reason=reason, note=note) for line, cents in wanted]
    return Asked(rows, again=False)


def _wanted(order: Order, lines: Sequence[int], amount: int | None) -> list[tuple[OrderLine | None, int]]:
    if lines:
        chosen = [(line, line_left(line)) for line in order.lines.filter(pk__in=lines).order_by("pk")]
        if len(chosen) != len(set(lines)) or not all(cents for _line, cents in chosen):
            raise RefundRefused(_("One of the lines has been given back already."))
        return list(chosen)
    cents = left(order) if amount is None else amount
    if cents <= 0:
        raise RefundRefused(_("There is nothing left to give back."))
    return [(None, cents)]


def _write(
    order: Order, line: OrderLine | None, amount: int, *, key: uuid.UUID, by: User, reason: str, note: str
) -> RefundRequest:
    row = RefundRequest.objects.create(
        order=order, line=line, amount=amount, key=key, asked_by=by, reason=reason, note=note
    )
    what, shown = f" for {line}" if line else "", money.recorded(row.amount, order.currency)
    why = recorded(RefundRequest.Reason(row.reason))
    by_hand(order, f"refund of {shown}{what} asked, {why}", by=by, reason=note)
    return row


def due() -> list[int]:
    """Requests whose answer is missing, or not in their order yet; for the sweep."""
    rows = RefundRequest.objects.due(Now()).filter(asked_at__lte=Now() - GRACE, order__livemode=stripe_api.is_live())
    return list(rows.order_by("next_attempt_at").values_list("pk", flat=True)[:100])


def claim(request_id: int) -> RefundRequest | None:
    """The request, if it is due and nobody else goes on with it for the next minute."""
    claimed = RefundRequest.objects.due(Now()).filter(pk=request_id)
    if not claimed.update(next_attempt_at=Now() + LEASE, attempts=F("attempts") + 1):
        return None
    return RefundRequest.objects.select_related("order", "line").get(pk=request_id)


def ask(row: RefundRequest) -> None:
    """Ask Stripe for a claimed refund that waits, and write down the answer. No transaction may be open.

    Every time goes under the same idempotency key, and from the second time on Stripe's own list is looked at first:
    a refund whose answer got lost is found, never made again. Raises StripeUnavailable: then it stays due.
    """
    if row.state != State.WAITING:
        return
    intent, mark = str(row.order.stripe_payment_intent_id), {"refund_request": row.idempotency_key}
    try:
        made = stripe_desk.find_refund(intent, metadata=mark) if row.attempts > 1 else None
        if made is None and timezone.now() - row.asked_at > KEY_LIFE:
            _refuse(row, _("Stripe gave no answer for a day, and no refund was made. Ask again."))
            return
        made = made or stripe_desk.create_refund(
            payment_intent_id=intent,
            amount=row.amount,
            reason=row.reason,
            metadata={**mark, "order_line": str(row.line_id or ""), "storefront_order": row.order.reference},
            key=row.idempotency_key,
        )
    except stripe_api.StripeRefused as refusal:
        _refuse(row, in_plain_words(refusal))
        return
    RefundRequest.objects.filter(pk=row.pk, state=State.WAITING).update(
        state=State.ACCEPTED, stripe_refund_id=made.id, answer=made.status
    )
    row.refresh_from_db()


def in_plain_words(refusal: stripe_api.StripeRefused) -> str:
    """Why Stripe said no, for people; its own words where we have none."""
    known = IN_PLAIN_WORDS.get(stripe_desk.refusal_code(refusal))
    return _(known) if known else str(refusal)


@transaction.atomic
def _refuse(row: RefundRequest, why: str) -> None:
    refused = RefundRequest.objects.filter(pk=row.pk, state=State.WAITING).update(
        state=State.REFUSED, answer=why.replace("\x00", "")[:300]
    )
    if refused:
        by_hand(row.order, f"refund of {money.recorded(row.amount, row.order.currency)} refused: {why}", by=None)
        log.warning("order %s: a refund was refused: %s", row.order.reference, why)
    row.refresh_from_db()


def settle(rows: Sequence[int]) -> None:
    """The order has been brought in line with Stripe since these were accepted: it knows of them by now."""
    RefundRequest.objects.filter(pk__in=rows, state=State.ACCEPTED).update(state=State.MADE)


def accepted(order: Order) -> list[int]:
    """The ids of refunds that Stripe has accepted and the order may not know of."""
    return list(order.refund_requests.filter(state=State.ACCEPTED).values_list("pk", flat=True))


def postpone(row: RefundRequest, why: str) -> None:
    """Try again later, rarer each time; Stripe's answer is still missing, or not in the order yet."""
    RefundRequest.objects.unsettled().filter(pk=row.pk).update(
        next_attempt_at=Now() + BACK_OFF[min(row.attempts, len(BACK_OFF)) - 1],
        answer=why.replace("\x00", "")[:300],
    )
    row.refresh_from_db()
