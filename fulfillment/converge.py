"""Make our rows agree with what Stripe says: order, entitlements, mail. One transaction, no network, no Celery."""

import logging
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from catalog.models import Product
from fulfillment import measures
from fulfillment.models import Delivery, Entitlement
from orders import checkout, payments
from orders.facts import Facts, is_marked
from orders.models import Order, OrderLine, TimelineEntry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What one run came to. `due` are the deliveries that now wait to be sent."""

    order: Order | None = None
    stale: bool = False
    due: tuple[int, ...] = ()
    reason: str = ""

    @property
    def is_foreign(self) -> bool:
        return self.order is None and not self.stale


@transaction.atomic
def converge(facts: Facts, *, seen: int, door: str) -> Outcome:
    """Bring the order of `facts.session_id`, its entitlements and its delivery in line with `facts`.

    `seen` is the order's facts_version read before Stripe was asked. If it has moved since and the facts differ from
    those absorbed meanwhile, ours may be the older ones: nothing is written and the outcome is stale. May be repeated
    at will, at once from many processes; whatever Stripe says is an outcome, never an exception.
    """
    order = _locked_order(facts)
    if order is None:
        return Outcome(reason="a Checkout Session that was abandoned, or that another application made")
    if order.facts_version != seen and order.facts_digest != facts.digest:
        return Outcome(order=order, stale=True)
    now = timezone.now()
    lines = _locked_lines(order, facts)
    before = order.attention
    changes = payments.absorb(order, lines, facts, now=now)
    order.facts_version += 1
    order.facts_digest = facts.digest
    order.save()
    OrderLine.objects.bulk_update(lines, ["refunded"])
    if order.attention and order.attention != before:
        log.error("order %s needs a person: %s", order.reference, order.attention)
    for change in changes:
        order.timeline.create(kind=change.kind, door=door, detail=change.detail)
    if not payments.mismatch(order, lines, facts):
        deliver(order, lines, door=door)
    return Outcome(order=order, due=_due(order))


def _locked_order(facts: Facts) -> Order | None:
    """The order of this session, locked until the transaction ends; made when the session is ours to keep."""
    orders = Order.objects.select_for_update(of=("self",))
    order = orders.filter(stripe_session_id=facts.session_id).first() or _own_order(facts)
    abandoned = payments.state_of(facts) == Order.State.EXPIRED
    if order or abandoned or not is_marked(facts.payment_link, facts.metadata):
        return order
    # Whoever comes second waits here for the first to commit, then finds its row.
    Order.objects.bulk_create([_order_from(facts)], ignore_conflicts=True)
    return orders.get(stripe_session_id=facts.session_id)


def _own_order(facts: Facts) -> Order | None:
    """The order that made this session but never learned its id. A buyer can set the reference on a Payment Link's
    address, so both copies of ours must agree and no link may be involved."""
    if facts.payment_link or facts.metadata.get("storefront_order") != facts.client_reference_id:
        return None
    return (
        Order.objects.select_for_update(of=("self",))
        .filter(reference=facts.client_reference_id, stripe_session_id=None)
        .first()
    )


def _order_from(facts: Facts) -> Order:
    return Order(
        source=Order.Source.PAYMENT_LINK,
        stripe_session_id=facts.session_id,
        currency=facts.currency,
        livemode=facts.livemode,
    )


def _locked_lines(order: Order, facts: Facts) -> list[OrderLine]:
    """The order's lines by id. One that came by a Payment Link gets its line from the slug, as soon as it is known."""
    lines = list(order.lines.select_for_update().order_by("pk"))
    if lines or facts.line_count > 1 or payments.state_of(facts) in (Order.State.OPEN, Order.State.EXPIRED):
        return lines
    slug = facts.metadata.get("product_slug", "")
    product = Product.objects.filter(slug__iexact=slug).exclude(slug="").first()
    edition = product.edition_on_sale() if product else None
    if product is None or edition is None:
        return []
    return [checkout.add_line(order, product, edition, unit_price=facts.amount_subtotal)]


def deliver(order: Order, lines: list[OrderLine], *, door: str) -> None:
    """Give each line the access that the order's facts allow, and write the order's mail once it is paid."""
    granted = [
        _grant(order, line, door=door)
        for line in lines
        if order.is_paid or Entitlement.objects.filter(order_line=line).exists()
    ]
    if any(granted):
        transaction.on_commit(partial(measures.in_library, order), robust=True)
    if order.is_paid and lines and order.email:
        Delivery.objects.get_or_create(
            order=order, kind=Delivery.Kind.ORDER, seq=1, defaults={"recipient": order.email}
        )


def access_of(order: Order, line: OrderLine) -> tuple[Entitlement.State, Entitlement.Reason]:
    """The state of a line's entitlement and the reason, from nothing but the facts on the order."""
    states, reasons = Entitlement.State, Entitlement.Reason
    if not order.is_paid:
        return states.REVOKED, reasons.UNPAID
    if order.is_refunded or line.refunded >= line.amount > 0:
        return states.REVOKED, reasons.REFUNDED
    if order.dispute == Order.Dispute.OPEN:
        return states.SUSPENDED, reasons.DISPUTED
    if order.dispute == Order.Dispute.LOST:
        return states.SUSPENDED, reasons.DISPUTE_LOST
    return states.ACTIVE, reasons.NONE


def _grant(order: Order, line: OrderLine, *, door: str) -> bool:
    """Whether this is the first time that the line gets an entitlement."""
    state, reason = access_of(order, line)
    email = "" if order.user_id else order.email
    entitlement, created = Entitlement.objects.get_or_create(
        order_line=line, defaults={"product_id": line.product_id, "state": state, "reason": reason}
    )
    entitlement.user_id, entitlement.email = order.user_id, email
    changed = created or (entitlement.state, entitlement.reason) != (state, reason)
    entitlement.state, entitlement.reason = state, reason
    entitlement.save()
    if changed:
        detail = f"{line.name}: {state.label}" + (f", {reason.label}" if reason else "")
        order.timeline.create(kind=TimelineEntry.Kind.ACCESS, door=door, detail=detail[:300])
    return created


def _due(order: Order) -> tuple[int, ...]:
    return tuple(Delivery.objects.due(Now()).filter(order=order).values_list("pk", flat=True))
