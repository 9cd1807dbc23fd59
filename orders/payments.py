"""What Stripe's facts mean for an order: its state, its refunds, its dispute. Computed each time, never patched."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError

from accounts.addresses import normalize
from catalog import money
from orders.facts import Facts
from orders.history import recorded
from orders.models import Order, OrderLine, TimelineEntry

# A refund in any of these holds the money back; a failed or canceled one gave it to the seller again.
# https://docs.stripe.com/api/refunds/object#refund_object-status
REFUND_STANDS = ("pending", "requires_action", "succeeded")
# Inquiries ("warning_…") take no money away, so they take no access away either.
# https://docs.stripe.com/disputes/how-disputes-work
DISPUTE_OPEN = ("needs_response", "under_review")

LONGEST_WAIT = timedelta(hours=6)

# What a Checkout Session never comes back from. Money may be refunded, but what was completed is never open again, and
# what was paid never waits for its payment again.
# https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-status
PAST = {
    Order.State.OPEN: (Order.State.PROCESSING, Order.State.FAILED, Order.State.EXPIRED, Order.State.PAID),
    Order.State.PROCESSING: (Order.State.EXPIRED, Order.State.PAID),
}


@dataclass(frozen=True)
class Change:
    """One difference that absorbing made, for the timeline."""

    kind: TimelineEntry.Kind
    detail: str


def state_of(facts: Facts) -> Order.State:
    """Only money that arrived, or that was never due, makes an order paid: a completed session may still be unpaid.

    https://docs.stripe.com/checkout/fulfillment#delayed-notification
    """
    if facts.status == "complete":
        if facts.payment_status in ("paid", "no_payment_required"):
            return Order.State.PAID
        failed = facts.payment_intent_status in ("requires_payment_method", "canceled")
        return Order.State.FAILED if failed else Order.State.PROCESSING
    return Order.State.EXPIRED if facts.status == "expired" else Order.State.OPEN


def is_behind(order: Order, facts: Facts) -> bool:
    """Whether the session was further already: an answer may come from a copy of Stripe's data that lags."""
    return order.state in PAST.get(state_of(facts), ())


def refunded_of(facts: Facts) -> int:
    stands = sum(refund.amount for refund in facts.refunds if refund.status in REFUND_STANDS)
    return min(stands, facts.amount_total)


def dispute_of(facts: Facts) -> Order.Dispute:
    statuses = {dispute.status for dispute in facts.disputes}
    if statuses & set(DISPUTE_OPEN):
        return Order.Dispute.OPEN
    if "lost" in statuses:
        return Order.Dispute.LOST
    return Order.Dispute.WON if "won" in statuses else Order.Dispute.NONE


def absorb(order: Order, lines: list[OrderLine], facts: Facts, *, now: datetime, unmatched: str = "") -> list[Change]:
    """Assign what Stripe says to the order and its lines, saving neither; returns what changed.

    `unmatched` says why an order that Stripe knows and we did not begin has no lines. Repeating it with the same facts
    changes nothing. The caller holds the order's lock and has ruled out staleness.
    """
    before = (order.state, order.refunded, order.dispute, order.attention)
    if not order.erased_at and (order.paid_at is None or not order.email):
        order.email = _usable_email(facts.email) or order.email
    order.state = state_of(facts)
    order.total = facts.amount_total
    if order.source != Order.Source.CHECKOUT:  # our own sessions are made in the order's currency; a link has its own
        order.currency = facts.currency
    order.refunded, order.dispute = refunded_of(facts), dispute_of(facts)
    order.stripe_session_id = facts.session_id
    order.stripe_payment_intent_id = facts.payment_intent_id or None
    order.stripe_customer_id = facts.customer_id
    order.stripe_charge_id = facts.charge_id
    order.paid_by, order.paid_brand = facts.paid_by, facts.paid_brand
    order.paid_last4 = "" if order.erased_at else facts.paid_last4  # who was forgotten must not come back
    if order.is_paid and order.paid_at is None:
        order.paid_at = facts.paid_at or now
    _spread_refund(order, lines, facts)
    order.attention = problem(order, lines, facts, unmatched)
    _plan_next_check(order, now)
    return _changes(order, before)


def _usable_email(address: str) -> str:
    try:
        return normalize(address)
    except ValidationError:
        return ""


def _spread_refund(order: Order, lines: list[OrderLine], facts: Facts) -> None:
    """A refund falls on the line it was made for; the whole amount, or an order of one line, leaves no question."""
    for line in lines:
        own = sum(r.amount for r in facts.refunds if r.status in REFUND_STANDS and r.order_line == str(line.pk))
        if len(lines) == 1:
            own = order.refunded
        covered = order.is_refunded or own >= _paid_for(line, lines, order) > 0
        line.refunded = line.amount if covered else min(own, line.amount)


def _paid_for(line: OrderLine, lines: list[OrderLine], order: Order) -> int:
    """The line's part of what was paid: its price, or less by the order's discount. Tax and shipping are no line's."""
    worth = _worth(lines)
    return line.amount if order.total >= worth else line.amount * order.total // worth


def problem(order: Order, lines: list[OrderLine], facts: Facts, unmatched: str = "") -> str:
    """Why a person must look at this order, or "". An order that was paid is kept whatever is wrong with it.

    Money that went back whole leaves nothing to mend.
    """
    if state_of(facts) not in (Order.State.PAID, Order.State.PROCESSING) or order.is_refunded:
        return ""
    if not lines:
        return unmatched or "The order has no lines: nothing was delivered."
    if mismatch(order, lines, facts):
        paid = money.recorded(facts.amount_subtotal, facts.currency)
        worth = money.recorded(_worth(lines), order.currency)
        return f"Stripe charged {paid} for lines worth {worth}: nothing was delivered."
    return "" if order.email else "The payment has no usable e-mail address."


def mismatch(order: Order, lines: list[OrderLine], facts: Facts) -> bool:
    """Whether Stripe charged something else than this order's own lines. A Payment Link names its own price."""
    if order.source != Order.Source.CHECKOUT:
        return False
    return (facts.amount_subtotal, facts.currency) != (_worth(lines), order.currency)


def _worth(lines: list[OrderLine]) -> int:
    return sum(line.amount for line in lines)


def _plan_next_check(order: Order, now: datetime) -> None:
    """Unsettled orders are asked about again, and so are those that a person has to mend, until they are."""
    if order.state not in Order.UNSETTLED:
        order.checkout_key, order.checkout_url = "", ""
    waiting = order.state in Order.UNSETTLED or (order.is_paid and order.attention)
    order.next_check_at = now + next_wait(order, now) if waiting else None


def next_wait(order: Order, now: datetime) -> timedelta:
    """As long as the order is old, from a minute to six hours: looks get rarer, however often other doors look."""
    first = timedelta(seconds=settings.OPEN_ORDER_SECONDS)
    return min(max(first, now - order.created_at), LONGEST_WAIT)


def _changes(order: Order, before: tuple[str, int, str, str]) -> list[Change]:
    kinds = TimelineEntry.Kind
    state, refunded, dispute, attention = before
    changes = []
    if order.state != state:
        # Both ends, so that the history is a chain without gaps.
        changes.append(Change(kinds.STATE, f"{recorded(Order.State(state))} → {recorded(Order.State(order.state))}"))
    if order.refunded != refunded:
        back, total = (money.recorded(amount, order.currency) for amount in (order.refunded, order.total))
        changes.append(Change(kinds.REFUNDED, f"{back} of {total}"))
    if order.dispute != dispute:
        changes.append(Change(kinds.DISPUTE, recorded(Order.Dispute(order.dispute))))
    if order.attention != attention:
        changes.append(Change(kinds.ATTENTION, order.attention or "settled"))
    return changes
