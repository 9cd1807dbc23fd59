"""How one payment may differ between Stripe's books and ours, what that means, and what mends it.

The rules are written out once more here, instead of asking the code that keeps the books: a check that shares their
mistakes would find none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.utils.translation import gettext_noop

from catalog import money
from fulfillment.access import right_of
from fulfillment.book_models import Difference
from fulfillment.delivery_models import Delivery
from fulfillment.hold_models import held_lines
from fulfillment.models import Entitlement
from orders import payments
from orders.facts import Dispute, Facts, Refund
from orders.history import recorded
from orders.models import Order, OrderLine
from orders.sites import is_marked

Kind = Difference.Kind
Mend = Difference.Mend

AT_STRIPE = (Order.Source.CHECKOUT, Order.Source.PAYMENT_LINK)  # free orders and gifts have no money behind them

MEANINGS: dict[Kind, str] = {
    Kind.NO_ORDER: gettext_noop("A buyer paid, and the shop has no order for it: they got nothing."),
    Kind.UNPAID_HERE: gettext_noop("A buyer paid, and the order does not show it: they got nothing."),
    Kind.UNPAID_THERE: gettext_noop(
        "The order counts as paid, and Stripe has no money for it: somebody may read for nothing."
    ),
    Kind.UNKNOWN_THERE: gettext_noop("The order counts as paid, and this Stripe account knows no such payment."),
    Kind.OTHER_ORDER: gettext_noop(
        "The payment was made for one order and is held by another: the wrong buyer may have the goods."
    ),
    Kind.AMOUNT: gettext_noop("The order shows another amount than Stripe took: sums and receipts are wrong."),
    Kind.WORTH: gettext_noop("Stripe took something else than the order's lines are worth."),
    Kind.INTENT: gettext_noop(
        "The order does not know its payment by its ids: it would not learn of a refund or a dispute."
    ),
    Kind.REFUND: gettext_noop(
        "The order shows other refunds than Stripe made: access may be open that was paid back, or closed."
    ),
    Kind.DISPUTE: gettext_noop(
        "The order shows the dispute otherwise than the bank: access may be open, or closed, wrongly."
    ),
    Kind.HELD: gettext_noop("The money arrived, and nothing is delivered until a person has looked at the order."),
    Kind.NO_ACCESS: gettext_noop("It is paid for, and its buyer cannot read it."),
    Kind.FREE_ACCESS: gettext_noop(
        "Somebody can read what is not paid, was paid back, is disputed, or was suspended by hand."
    ),
    Kind.NO_MAIL: gettext_noop(
        "The buyer paid, and no mail about it was accepted. The goods are in the library all the same."
    ),
}

# What a person must do: instead of a command, or before it.
BY_HAND: dict[Kind, str] = {
    Kind.UNKNOWN_THERE: gettext_noop(
        "See whether STRIPE_SECRET_KEY is of the account that was paid. If it is, no payment made this order paid: its "
        "timeline tells what the shop did; set the row right in the database."
    ),
    Kind.OTHER_ORDER: gettext_noop(
        "Compare the timelines of both orders, and give each its own session in the database."
    ),
    Kind.AMOUNT: gettext_noop(
        "Refund the payment in Stripe's dashboard, or correct the order's currency in the database."
    ),
    Kind.WORTH: gettext_noop("Refund the payment in Stripe's dashboard, or correct the lines' prices in the database."),
    Kind.HELD: gettext_noop(
        "Remove the cause that the order names; without an address: resend ORDER --to ADDRESS. Then:"
    ),
    Kind.FREE_ACCESS: gettext_noop(
        "The order has no payment that could be asked about: correct its state in the database."
    ),
}
NO_COMMAND = gettext_noop("No command can: look at the order and at its payment in Stripe's dashboard.")


@dataclass(frozen=True)
class Found:
    """One difference: what is the case on each side, in plain words and without an address, and what mends it."""

    kind: Kind
    at_stripe: str
    here: str
    mend: Mend = Mend.REPLAY


def compare(facts: Facts | None, order: Order | None) -> list[Found]:
    """All that differs about one payment. `facts` is None where Stripe has none; the order bears its rows.

    Reads nothing that was not loaded with the order: lines, their entitlements, mails.
    """
    if order is None:
        paid = facts is not None and is_marked(facts.payment_link, facts.metadata) and _is_paid(facts)
        return [Found(Kind.NO_ORDER, _paid(facts), "no order")] if facts and paid else []
    if facts and (other := _other_order(facts, order)):
        return [Found(Kind.OTHER_ORDER, *other, Mend.PERSON)]
    if order.source in AT_STRIPE and order.is_paid != bool(facts and _is_paid(facts)):
        return [_payment(facts, order)]  # all else follows from it
    figures = _figures(facts, order) if facts and order.is_paid else ()
    return [*figures, *compare_here(order, facts)]


def compare_here(order: Order, facts: Facts | None = None) -> list[Found]:
    """What differs between our own rows. `facts` tell what to say about Stripe's side, and whether to ask it helps."""
    found = list(_free_access(facts, order))
    if order.is_refunded:
        return found  # nothing is owed any more, not even a mail that would lead to nothing
    if order.is_paid and order.attention:
        return [Found(Kind.HELD, _paid(facts), order.attention), *found]
    return [*_no_access(facts, order), *found, *_no_mail(facts, order)]


def _other_order(facts: Facts, order: Order) -> tuple[str, str] | None:
    """Our own sessions name their order; an order that was restored from a payment bears another name."""
    if order.stripe_session_id not in (None, facts.session_id):
        return f"{facts.session_id} was made for this order", f"it names {order.stripe_session_id}"
    claimed = claim(facts)
    if order.source == Order.Source.CHECKOUT and claimed not in ("", order.reference):
        return f"{facts.session_id} was made for order {claimed}", f"order {order.reference} names it"
    return None


def claim(facts: Facts) -> str:
    """The reference of the order that made this session, or "". A buyer can set one of the copies, never both."""
    named = facts.metadata.get("storefront_order", "")
    return named if named == facts.client_reference_id and not facts.payment_link else ""


def _payment(facts: Facts | None, order: Order) -> Found:
    """One side says that it is paid, and the other does not."""
    if facts is None:
        by = order.stripe_session_id or "no session"
        return Found(Kind.UNKNOWN_THERE, "no such payment", f"paid, by {by}", Mend.PERSON)
    kind = Kind.UNPAID_THERE if order.is_paid else Kind.UNPAID_HERE
    return Found(kind, _paid(facts), recorded(Order.State(order.state)))


def _figures(facts: Facts, order: Order) -> Iterator[Found]:
    lines, is_ours = list(order.lines.all()), order.source == Order.Source.CHECKOUT
    took = money.recorded(facts.amount_total, facts.currency)
    if (order.total, order.currency) != (facts.amount_total, facts.currency):
        by_hand = is_ours and order.currency != facts.currency
        noted = money.recorded(order.total, order.currency)
        yield Found(Kind.AMOUNT, took, noted, Mend.PERSON if by_hand else Mend.REPLAY)
    worth = sum(line.amount for line in lines)
    settled = order.attention or order.is_refunded  # a person knows, or has given it back
    if is_ours and lines and worth != facts.amount_subtotal and order.currency == facts.currency and not settled:
        took = money.recorded(facts.amount_subtotal, facts.currency)
        yield Found(Kind.WORTH, took, f"lines worth {money.recorded(worth, order.currency)}", Mend.PERSON)
    ids = (facts.session_id, facts.payment_intent_id)
    known = (order.stripe_session_id or "", order.stripe_payment_intent_id or "")
    if ids != known:
        yield Found(Kind.INTENT, " ".join(filter(None, ids)), " ".join(filter(None, known)) or "no ids")
    yield from _refunds(facts, order, lines)
    dispute = verdict(facts.disputes)
    if order.dispute != dispute:
        there, here = (f"dispute: {recorded(state).lower()}" for state in (dispute, Order.Dispute(order.dispute)))
        yield Found(Kind.DISPUTE, there, here)


def _refunds(facts: Facts, order: Order, lines: list[OrderLine]) -> Iterator[Found]:
    stands = given_back(facts.refunds, facts.amount_total)
    noted = f"{money.recorded(order.refunded, order.currency)} given back"
    if order.refunded != stands:
        yield Found(Kind.REFUND, f"{money.recorded(stands, facts.currency)} given back", noted)
        return
    on_lines = sum(line.refunded for line in lines)
    if on_lines > order.refunded and not order.is_refunded:
        too_much = money.recorded(on_lines, order.currency)
        yield Found(Kind.REFUND, noted, f"{too_much} given back on its lines")
    for line in lines:
        named = [refund for refund in facts.refunds if refund.order_line == str(line.pk)]
        least = given_back(named, facts.amount_total)
        if line.refunded < (line.amount if order.is_refunded else least):
            here = f"{money.recorded(line.refunded, order.currency)} of it for {line.name}"
            yield Found(Kind.REFUND, noted, here)
            return


def given_back(refunds: Iterable[Refund], total: int) -> int:
    """A refund that failed or was canceled gave the money to the shop again."""
    return min(total, sum(refund.amount for refund in refunds if refund.status in payments.REFUND_STANDS))


def verdict(disputes: Iterable[Dispute]) -> Order.Dispute:
    statuses = {dispute.status for dispute in disputes}
    if statuses & set(payments.DISPUTE_OPEN):
        return Order.Dispute.OPEN
    if "lost" in statuses:
        return Order.Dispute.LOST
    return Order.Dispute.WON if "won" in statuses else Order.Dispute.NONE


def _no_access(facts: Facts | None, order: Order) -> Iterator[Found]:
    lines = list(order.lines.all())
    held = held_lines(order, lines)
    lacking = [line.name for line in lines if _has_money(order, line) and not _is_open(line) and line.pk not in held]
    if lacking or (order.is_paid and not lines):
        here = f"no access to {', '.join(lacking)}" if lines else "the order has no lines"
        yield Found(Kind.NO_ACCESS, _paid(facts), here[:400], Mend.REPLAY if facts else Mend.PERSON)


def _free_access(facts: Facts | None, order: Order) -> Iterator[Found]:
    held = held_lines(order, list(order.lines.all()))
    lines = [one for one in order.lines.all() if _is_open(one) and (one.pk in held or not _has_money(order, one))]
    if lines:
        names = ", ".join(line.name for line in lines)
        by_hand = ", suspended by hand" if lines[0].pk in held else ""
        here = f"order {_money_state(order, lines[0])}{by_hand}, and access to {names}"
        yield Found(Kind.FREE_ACCESS, _paid(facts), here[:400], Mend.REPLAY if facts else Mend.PERSON)


def _no_mail(facts: Facts | None, order: Order) -> Iterator[Found]:
    mails = [mail for mail in order.deliveries.all() if mail.kind == Delivery.Kind.ORDER]
    if not order.is_paid or any(mail.state == Delivery.State.SENT for mail in mails):
        return
    if order.erased_at and mails:  # whom it was for was forgotten since
        return
    lines = list(order.lines.all())
    if mails and lines and len(held_lines(order, lines)) == len(lines):  # it would lead to nothing
        return
    last = max(mails, key=lambda mail: mail.seq, default=None)
    waiting = [mail for mail in mails if mail.state in Delivery.DUE_STATES]
    mend = Mend.SEND if waiting else Mend.RESEND if last or not facts else Mend.REPLAY
    shown = waiting[0] if waiting else last
    here = (
        f"the mail is {recorded(Delivery.State(shown.state)).lower()}, attempts: {shown.attempts}"
        if shown
        else "no mail was written"
    )
    yield Found(Kind.NO_MAIL, _paid(facts), here, mend)


def _is_open(line: OrderLine) -> bool:
    right = right_of(line)
    return right is not None and right.state == Entitlement.State.ACTIVE


def _has_money(order: Order, line: OrderLine) -> bool:
    return _money_state(order, line) == "paid"


def _money_state(order: Order, line: OrderLine) -> str:
    """What the order says about the money behind one of its lines."""
    if not order.is_paid:
        return recorded(Order.State(order.state))
    if order.is_refunded or line.refunded >= line.amount > 0:
        return "refunded"
    if order.dispute in (Order.Dispute.OPEN, Order.Dispute.LOST):
        return "disputed" if order.dispute == Order.Dispute.OPEN else "lost in a dispute"
    return "paid"


def _is_paid(facts: Facts) -> bool:
    return payments.state_of(facts) == Order.State.PAID


def _paid(facts: Facts | None) -> str:
    """What Stripe says about the payment, in plain words."""
    if facts is None:
        return "nothing"
    if not _is_paid(facts):
        return f"session {facts.status or 'unknown'}, {facts.payment_status}"
    return f"{money.recorded(facts.amount_total, facts.currency)} paid" if facts.amount_total else "nothing was due"


def command(difference: Difference) -> str:
    """The command that mends it, or "" where only a person can."""
    reference = difference.order.reference if difference.order else ""
    is_known = difference.order is not None and difference.order.stripe_session_id == difference.session_id
    what = {
        Mend.REPLAY: f"replay --order {reference}" if is_known else f"replay --session {difference.session_id}",
        Mend.RESEND: f"resend {reference}",
        Mend.SEND: f"books --order {reference} --mend",
        Mend.PERSON: "",
    }[Mend(difference.mend)]
    return f"python manage.py {what}" if what else ""


def by_hand(difference: Difference) -> str:
    """What a person must do instead of the command, or before it; "" where the command does it all."""
    kind = Kind(difference.kind)
    if kind != Kind.HELD and difference.mend != Mend.PERSON:
        return ""
    return BY_HAND.get(kind, NO_COMMAND)
