"""One payment seen from both sides at one moment, and whether what differs may still be on its way."""

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from fulfillment import event_types
from fulfillment.delivery_models import Delivery
from fulfillment.differences import Found, Kind, claim, compare
from orders import stripe_api, stripe_lists
from orders.facts import Facts, Happened
from orders.models import Order, OrderQuerySet

PAYING = ("checkout.session.", "payment_intent.")
# Events of these types, made by Stripe just now, explain such a difference: their webhooks are on their way.
EXPLAINED_BY: dict[Kind, tuple[str, ...]] = {
    Kind.NO_ORDER: PAYING,
    Kind.UNPAID_HERE: PAYING,
    Kind.UNPAID_THERE: PAYING,
    Kind.AMOUNT: PAYING,
    Kind.INTENT: PAYING,
    Kind.NO_ACCESS: PAYING,
    Kind.NO_MAIL: PAYING,
    Kind.REFUND: ("refund.", "charge.refund"),
    Kind.DISPUTE: ("charge.dispute.",),
}
EXPLAINING = [one for one in event_types.TYPES if one.startswith(tuple(chain(*EXPLAINED_BY.values())))]
# And these are explained by a payment of just now, whatever Stripe tells about it.
SOON = (Kind.NO_ORDER, Kind.UNPAID_HERE, Kind.NO_ACCESS, Kind.NO_MAIL)


@dataclass(frozen=True)
class Payment:
    """Without `facts` Stripe has no such session, without `order` we have none."""

    session_id: str
    facts: Facts | None
    order: Order | None
    looked_at: datetime

    @property
    def found(self) -> list[Found]:
        return compare(self.facts, self.order)

    @property
    def subjects(self) -> list[str]:
        return [self.session_id, self.order.reference] if self.order else [self.session_id]

    @property
    def unsettled(self) -> set[Kind]:
        """The kinds that cannot be closed after this look. Where Stripe knows no such session nothing is settled but
        just that: the key may be of another account."""
        asked = self.facts is not None or not self.session_id
        return {found.kind for found in self.found} | (set() if asked else set(Kind) - {Kind.UNKNOWN_THERE})


def look_at(session_id: str, order_id: int | None = None) -> Payment:
    """One payment as it is now. Raises stripe_api.StripeUnavailable and StripeRefused."""
    facts, order = None, None
    if session_id:
        with contextlib.suppress(stripe_api.SessionUnknown):
            facts = stripe_api.fetch_facts(session_id)
    if order_id is None and session_id:
        orders = orders_of([facts]) if facts else {}
        known = order_behind(facts, orders) if facts else Order.objects.filter(stripe_session_id=session_id).first()
        order_id = known.pk if known else None
    if order_id is not None:
        with transaction.atomic():  # converge holds the order while it moves its rows: so these belong together
            order = next(iter(loaded(Order.objects.select_for_update(of=("self",)).filter(pk=order_id))), None)
    return Payment(session_id, facts, order, timezone.now())


def loaded(orders: OrderQuerySet) -> list[Order]:
    """With all the rows that are compared, in five queries."""
    return list(orders.prefetch_related("lines__entitlement", "deliveries", "holds"))


def orders_of(page: list[Facts]) -> dict[str, Order]:
    """The orders of these sessions by the session's id, and by their own reference for those that never learned it."""
    named = Q(stripe_session_id__in=[facts.session_id for facts in page])
    claimed = Q(reference__in=[name for facts in page if (name := claim(facts))])
    found = loaded(Order.objects.filter(named | claimed))
    return {order.reference: order for order in found} | {str(order.stripe_session_id): order for order in found}


def order_behind(facts: Facts, orders: dict[str, Order]) -> Order | None:
    return orders.get(facts.session_id) or orders.get(claim(facts))


def in_flight(payments: list[Payment]) -> list[set[Kind]]:
    """For each payment the kinds of difference that may settle by themselves: younger than the grace.

    One request for all of them. Older differences of the same payment are not among them.
    """
    grace = timedelta(seconds=settings.BOOKS_GRACE_SECONDS)
    happened: list[Happened] = []
    if any(found.kind in EXPLAINED_BY for payment in payments for found in payment.found):
        first = min(payment.looked_at for payment in payments)
        happened = stripe_lists.happened(first - grace, EXPLAINING)
    return [_explained(payment, happened, payment.looked_at - grace) for payment in payments]


def _explained(payment: Payment, happened: list[Happened], lately: datetime) -> set[Kind]:
    facts, order = payment.facts, payment.order
    about = {payment.session_id, facts.payment_intent_id if facts else ""} - {""}
    types = tuple(event.type for event in happened if event.at > lately and event.about in about)
    kinds = {kind for kind, prefixes in EXPLAINED_BY.items() if any(one.startswith(prefixes) for one in types)}
    paid_at = facts.paid_at if facts else order.paid_at if order else None
    if paid_at and paid_at > lately:
        kinds.update(SOON)
    mails = order.deliveries.all() if order else ()
    if any(mail.state in Delivery.DUE_STATES and mail.created_at > lately for mail in mails):
        kinds.add(Kind.NO_MAIL)
    return kinds
