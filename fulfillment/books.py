"""Do our books agree with Stripe's, and with themselves? Every payment of a period is looked at from both sides.

Stripe's lists and our rows are compared a hundred at a time. What seems to differ is looked at once more by itself,
with fresh answers, before anything is said about it: between two reads both sides may have moved.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from django.db.models import Q
from django.utils import timezone

from fulfillment import bookkeeping
from fulfillment.book_models import BooksCheck, Difference
from fulfillment.both_sides import Payment, in_flight, loaded, look_at, order_behind, orders_of
from fulfillment.differences import AT_STRIPE, compare_here, given_back, verdict
from fulfillment.models import Entitlement
from orders import payments, stripe_api, stripe_lists
from orders.facts import Facts, TakenBack
from orders.models import Order
from orders.sites import is_marked

SESSION_LIFE = timedelta(hours=24)  # one that was paid just now may have been made a day ago
BATCH = 100  # payments compared with one set of queries
SHOW_EVERY = 1000  # sessions
CLOSER = 300  # differences looked at by themselves; after a backup was restored the lists must do for the rest

SIDES = ("stripe", "here")
Say = Callable[[str], None]
Key = TypeVar("Key", int, str)


@dataclass
class Checked:
    """What one check has come to. Amounts are minor units, of the payments made in the period."""

    since: datetime
    began: datetime
    keep: bool
    sessions: int = 0
    foreign: int = 0
    in_flight: int = 0
    closer: int = 0
    amounts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (currency, column)
    found: list[Difference] = field(default_factory=list)  # rows of this check; saved elsewhere, if at all
    seen: set[int] = field(default_factory=set)  # orders
    settled: set[str] = field(default_factory=set)  # the subjects of differences that were looked at

    def __str__(self) -> str:
        return f"{self.sessions} sessions compared, {self.foreign} of others, {self.in_flight} in flight"

    @property
    def totals(self) -> dict[str, dict[str, int]]:
        """For each currency stripe_paid, here_paid, stripe_refunded, here_refunded."""
        columns = [f"{side}_{what}" for what in ("paid", "refunded") for side in SIDES]
        currencies = sorted({currency for currency, _ in self.amounts})
        return {currency: {column: self.amounts[currency, column] for column in columns} for currency in currencies}


def check(*, since: datetime, keep: bool = True, say: Say = print) -> Checked:
    """Compare every payment made since then; a row is opened for each difference, and closed when it is gone.

    What is still open from earlier checks is looked at again, however old. `keep` False writes nothing. May be
    repeated, stopped anywhere, and run by many at once. Raises stripe_api.StripeUnavailable or StripeRefused where
    Stripe could not be asked to the end; what was not looked at stays as it was.
    """
    checked = Checked(since=since, began=timezone.now(), keep=keep)
    if not keep:
        _look(checked, say)
        return checked
    record = BooksCheck.objects.create(since=since, began_at=checked.began, livemode=stripe_api.is_live())
    try:
        _look(checked, say)
    except (stripe_api.StripeUnavailable, stripe_api.StripeRefused) as error:
        record.failure = f"{type(error).__name__}: {error}"[:300]
        raise
    finally:
        record.sessions, record.foreign, record.in_flight = checked.sessions, checked.foreign, checked.in_flight
        record.totals, record.ended_at = checked.totals, timezone.now()
        record.save()
    bookkeeping.forget(checked.began)
    return checked


def look_again(session_id: str, order_id: int | None, *, keep: bool = True) -> Checked:
    """The same for one payment alone."""
    checked = Checked(since=timezone.now(), began=timezone.now(), keep=keep)
    _settle([look_at(session_id, order_id)], checked)
    checked.sessions = 1
    return checked


def _look(checked: Checked, say: Say) -> None:
    began = checked.since - SESSION_LIFE
    taken = stripe_lists.taken_back(began)
    for page in stripe_lists.complete_facts(began, taken):
        before = checked.sessions
        _compare_page(page, checked)
        if checked.sessions // SHOW_EVERY > before // SHOW_EVERY:
            say(f"{checked} …")
    for doubtful in (_without_session(checked), _older(taken, checked), _left_open(checked)):
        while batch := list(islice(doubtful, BATCH)):
            _settle(batch, checked)


def _compare_page(page: list[Facts], checked: Checked) -> None:
    now, orders = timezone.now(), orders_of(page)
    doubtful: list[Payment] = []
    agreed: list[Payment] = []
    for facts in page:
        order = order_behind(facts, orders)
        if order is None and not is_marked(facts.payment_link, facts.metadata):
            checked.foreign += 1
            continue
        checked.sessions += 1
        if order:
            checked.seen.add(order.pk)
        payment = Payment(facts.session_id, facts, order, now)
        (doubtful if payment.found else agreed).append(payment)
    for payment in agreed:
        _count(payment, checked)
    if checked.keep:
        bookkeeping.close([name for payment in agreed for name in payment.subjects], looked_at=now)
    _settle([_closer(payment, checked) for payment in doubtful], checked)


def _closer(payment: Payment, checked: Checked) -> Payment:
    if checked.closer >= CLOSER:
        return payment
    checked.closer += 1
    return look_at(payment.session_id, payment.order.pk if payment.order else None)


def _settle(looked_at: list[Payment], checked: Checked) -> None:
    """Write down what differs now, and that the rest no longer does. What is in flight is neither."""
    for payment, flying in zip(looked_at, in_flight(looked_at), strict=True):
        found = payment.found
        checked.settled.update(payment.subjects)
        rows = [
            bookkeeping.row(one, order=payment.order, session_id=payment.session_id, looked_at=payment.looked_at)
            for one in found
            if one.kind not in flying
        ]
        checked.found += rows
        if len(rows) < len(found):
            checked.in_flight += 1
        else:
            _count(payment, checked)
        if checked.keep:
            bookkeeping.close(payment.subjects, but=payment.unsettled, looked_at=payment.looked_at)
            bookkeeping.keep(rows)


def _count(payment: Payment, checked: Checked) -> None:
    """Into the totals of the period. When it was paid is asked of Stripe, where Stripe knows."""
    facts, order, amounts = payment.facts, payment.order, checked.amounts
    is_paid = facts is not None and payments.state_of(facts) == Order.State.PAID
    at = facts.paid_at if facts and is_paid else order.paid_at if order else None
    if at is not None and at < checked.since:
        return
    if facts and is_paid:
        amounts[facts.currency, "stripe_paid"] += facts.amount_total
        amounts[facts.currency, "stripe_refunded"] += given_back(facts.refunds, facts.amount_total)
    if order and order.is_paid and order.source in AT_STRIPE:
        amounts[order.currency, "here_paid"] += order.total
        amounts[order.currency, "here_refunded"] += order.refunded


def _without_session(checked: Checked) -> Iterator[Payment]:
    """Orders that Stripe's list did not show, and that say they are paid or give access without money."""
    # An order is older than its payment by at most a session's life, and there is an index on its age.
    made = (checked.since - 2 * SESSION_LIFE, checked.began)
    lately = Order.objects.filter(livemode=stripe_api.is_live(), created_at__range=made)
    paid = Q(state=Order.State.PAID, paid_at__range=(checked.since, checked.began))
    open_to_read = Q(lines__entitlement__state=Entitlement.State.ACTIVE)
    disputed = Order.objects.filter(dispute=Order.Dispute.OPEN, pk__in=_disputed())
    for orders in (lately.filter(paid), lately.filter(~Q(state=Order.State.PAID), open_to_read), disputed):
        unseen: list[int] = []
        for order_id in orders.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=1000):
            if order_id not in checked.seen:
                checked.seen.add(order_id)
                unseen.append(order_id)
        for batch in _in_batches(unseen):
            for order in loaded(Order.objects.filter(pk__in=batch)):
                if order.source in AT_STRIPE:
                    yield look_at(str(order.stripe_session_id or ""), order.pk)
                else:
                    yield Payment("", None, order, timezone.now())


def _disputed() -> Iterable[int]:
    """Whose bank has not decided: when it does, that shows on a dispute that may be months old."""
    suspended = Entitlement.objects.filter(reason=Entitlement.Reason.DISPUTED)
    return suspended.values_list("order_line__order", flat=True)


def _older(taken: dict[str, TakenBack], checked: Checked) -> Iterator[Payment]:
    """Orders whose payment is older than the period, and was taken back in it otherwise than they say."""
    for intents in _in_batches(list(taken)):
        orders = Order.objects.filter(stripe_payment_intent_id__in=intents)
        unseen = [order_id for order_id in orders.values_list("pk", flat=True) if order_id not in checked.seen]
        for order in loaded(Order.objects.filter(pk__in=unseen)):
            back = taken[str(order.stripe_payment_intent_id)]
            dispute = verdict(back.disputes) if back.disputes else order.dispute
            if (order.refunded, order.dispute) != (back.refunded, dispute) or compare_here(order):
                yield look_at(str(order.stripe_session_id or ""), order.pk)


def _left_open(checked: Checked) -> Iterator[Payment]:
    """What earlier checks found, and this one has not come across."""
    if checked.keep:
        rows = Difference.objects.open(livemode=stripe_api.is_live()).filter(last_seen__lt=checked.began)
        for subject, session_id, order_id in list(rows.values_list("subject", "session_id", "order")):
            if subject not in checked.settled:
                yield look_at(session_id, order_id)


def _in_batches(ids: list[Key]) -> Iterator[list[Key]]:
    for first in range(0, len(ids), BATCH):
        yield ids[first : first + BATCH]
