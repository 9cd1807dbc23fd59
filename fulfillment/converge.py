"""Make our rows agree with what Stripe says: order, entitlements, mail. One transaction, no network, no Celery."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.utils import timezone

from catalog.payment_link_models import PaymentLink
from fulfillment import measures
from fulfillment.announce import announce
from fulfillment.hold_models import held_lines
from fulfillment.models import Entitlement
from orders import checkout, language, payments, sites
from orders.facts import Facts
from orders.history import recorded
from orders.matching import match
from orders.models import Order, OrderLine, TimelineEntry, is_reference, new_reference
from storefront import trace

log = logging.getLogger(__name__)

# Whoever comes by these looks at one order on purpose, and may have to learn that it was never paid.
BY_HAND = ("replay", "books")


@dataclass(frozen=True)
class Outcome:
    """What one run came to. `due` are the deliveries that now wait to be sent."""

    order: Order | None = None
    stale: bool = False
    due: tuple[int, ...] = ()
    reason: str = ""
    facts: Facts | None = None  # those that were absorbed

    @property
    def is_foreign(self) -> bool:
        return self.order is None and not self.stale


@transaction.atomic
def converge(facts: Facts, *, seen: int, door: str) -> Outcome:
    """Bring the order of `facts.session_id`, its entitlements and its mails in line with `facts`.

    `seen` is the order's facts_version read before Stripe was asked. If it has moved since and the facts differ from
    those absorbed meanwhile, ours may be the older ones: nothing is written and the outcome is stale, as it is when
    the session was known to be further already. May be repeated at will, at once from many processes; whatever Stripe
    says is an outcome, never an exception.
    """
    order = _locked_order(facts)
    if order is None and (site := sites.other_site(facts.metadata)):
        return Outcome(reason=f"a Checkout Session of another shop, {site[:100]}")
    if order is None:
        return Outcome(reason="a Checkout Session that was abandoned, or that another application made")
    # `seen` was read by the session's id: it says nothing about an order that does not know its session (any more).
    knows = order.stripe_session_id is not None
    if knows and order.facts_version != seen and order.facts_digest != facts.digest:
        return Outcome(order=order, stale=True)
    if door not in BY_HAND and payments.is_behind(order, facts):
        return Outcome(order=order, stale=True)
    now = timezone.now()
    lines, unmatched = _locked_lines(order, facts, door=door)
    attention, refunded = order.attention, [line.refunded for line in lines]
    changes = payments.absorb(order, lines, facts, now=now, unmatched=unmatched)
    order.facts_version += 1
    order.facts_digest = facts.digest
    order.save()
    OrderLine.objects.bulk_update(
        [line for line, before in zip(lines, refunded, strict=True) if line.refunded != before], ["refunded"]
    )
    if order.attention and order.attention != attention:
        log.error("order %s needs a person: %s", order.reference, order.attention)
    _note(order, [(change.kind, change.detail) for change in changes], door=door)
    deliverable = [] if payments.mismatch(order, lines, facts) else lines
    _grant(order, deliverable, door=door)
    return Outcome(order=order, facts=facts, due=announce(order, deliverable, facts.refunds))


def _locked_order(facts: Facts) -> Order | None:
    """The order of this session, locked until the transaction ends; made when the session is ours to keep."""
    orders = Order.objects.select_for_update(of=("self",))
    order = orders.filter(stripe_session_id=facts.session_id).first() or _own_order(facts)
    abandoned = payments.state_of(facts) == Order.State.EXPIRED
    if order or abandoned or not (sites.is_marked(facts.payment_link, facts.metadata) or _is_known(facts)):
        return order
    # Whoever comes second waits here for the first to commit, then finds its row.
    Order.objects.bulk_create([_order_from(facts)], ignore_conflicts=True)
    return orders.get(stripe_session_id=facts.session_id)


def _is_known(facts: Facts) -> bool:
    """Whether our rows know where it comes from, whatever site it names: the shop may have moved to another address
    since its links were made."""
    by_link = facts.payment_link and PaymentLink.objects.filter(link_id=facts.payment_link).exists()
    return bool(by_link) or _original(facts) is not None


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


def _original(facts: Facts) -> Order | None:
    """The order whose expired session was recovered: Stripe made this one as its copy, metadata included.

    https://docs.stripe.com/payments/checkout/abandoned-carts
    """
    if not facts.recovered_from or facts.payment_link:
        return None
    began = Order.objects.filter(source=Order.Source.CHECKOUT).exclude(stripe_session_id=facts.session_id)
    order = began.filter(stripe_session_id=facts.recovered_from).first()
    reference = facts.metadata.get("storefront_order")
    if order is None and reference == facts.client_reference_id:  # a copy of a copy, of which nobody told us
        return began.filter(reference=reference).first()
    return order


def _lost_reference(facts: Facts) -> str:
    """The number of an order of our own that is gone with a database, as its mails name it; "" for all others."""
    reference = facts.metadata.get("storefront_order", "")
    ours = reference == facts.client_reference_id and not facts.payment_link and is_reference(reference)
    return reference if ours and not Order.objects.filter(reference=reference).exists() else ""


def _order_from(facts: Facts) -> Order:
    """One of a Payment Link, the copy of a recovered one, or our own whose row was lost with a database."""
    original, lost = _original(facts), _lost_reference(facts)
    return Order(
        reference=lost or new_reference(),
        user_id=original.user_id if original else None,
        email=original.email if original and not original.erased_at else "",
        language=original.language if original else language.of_stripe(facts.locale),
        source=Order.Source.CHECKOUT if original or lost else Order.Source.PAYMENT_LINK,
        stripe_session_id=facts.session_id,
        currency=original.currency if original else facts.currency,
        livemode=facts.livemode,
    )


def _locked_lines(order: Order, facts: Facts, *, door: str) -> tuple[list[OrderLine], str]:
    """The order's lines by id, and why there are none. What we did not begin gets its lines as soon as they are known:
    as sold the first time from the order that was recovered, or from what Stripe says was sold."""
    lines = list(order.lines.select_for_update().order_by("pk"))
    if lines:
        return lines, ""
    if original := _original(facts):
        _note(order, [(TimelineEntry.Kind.CREATED, f"recovered from order {original.reference}")], door=door)
        return [_copy(line, order) for line in original.lines.order_by("pk")], ""
    if payments.state_of(facts) in (Order.State.OPEN, Order.State.EXPIRED):
        return [], ""
    sold, unmatched = match(facts)
    added = [
        checkout.add_line(order, one.product, one.edition, unit_price=one.unit_price, quantity=one.quantity)
        for one in sold
    ]
    return added, unmatched


def _copy(line: OrderLine, order: Order) -> OrderLine:
    return OrderLine.objects.create(
        order=order,
        product_id=line.product_id,
        edition_id=line.edition_id,
        name=line.name,
        unit_price=line.unit_price,
        quantity=line.quantity,
    )


def _note(order: Order, entries: Iterable[tuple[TimelineEntry.Kind, str]], *, door: str) -> None:
    event = str(trace.current().get("event", "")) if door == "webhook" else ""
    TimelineEntry.objects.bulk_create(
        [TimelineEntry(order=order, kind=kind, door=door, detail=detail[:300], event=event) for kind, detail in entries]
    )


def deliver(order: Order, lines: list[OrderLine], *, door: str) -> None:
    """Give each line the access that the order's facts allow, and write the order's mail once it is paid."""
    _grant(order, lines, door=door)
    announce(order, lines)


def follow(order: Order, *, door: str) -> None:
    """What the order's lines gave follows its facts and holds once more. The caller holds the order's lock.

    A line that gave nothing yet is left to `converge`: whether it may be delivered is for Stripe's facts to say.
    """
    deliver(order, list(order.lines.exclude(entitlement=None).order_by("pk")), door=door)


def access_of(order: Order, line: OrderLine, *, is_held: bool) -> tuple[Entitlement.State, Entitlement.Reason]:
    """The state of a line's entitlement and the reason, from nothing but the facts on the order and our own hold.

    What happened to the money comes first: lifting a hold gives nothing back that was refunded.
    """
    states, reasons = Entitlement.State, Entitlement.Reason
    if not order.is_paid:
        return states.REVOKED, reasons.UNPAID
    if order.is_refunded or line.refunded >= line.amount > 0:
        return states.REVOKED, reasons.REFUNDED
    if order.dispute == Order.Dispute.OPEN:
        return states.SUSPENDED, reasons.DISPUTED
    if order.dispute == Order.Dispute.LOST:
        return states.SUSPENDED, reasons.DISPUTE_LOST
    if is_held:
        return states.SUSPENDED, reasons.HELD
    return states.ACTIVE, reasons.NONE


def _grant(order: Order, lines: list[OrderLine], *, door: str) -> None:
    """Each line of a paid order has an entitlement, and each entitlement follows the money, and our own holds."""
    known = {one.order_line_id: one for one in Entitlement.objects.filter(order_line__in=lines)}
    held = held_lines(order, lines)
    entries = []
    for line in lines:
        entitlement = known.get(line.pk)
        if entitlement is None and not order.is_paid:
            continue
        state, reason = access_of(order, line, is_held=line.pk in held)
        wanted = (state, reason, order.user_id, "" if order.user_id else order.email)
        right = entitlement or Entitlement(order_line=line, product_id=line.product_id, state="", reason="")
        before = (right.state, right.reason, right.user_id, right.email)
        if before == wanted:
            continue
        right.state, right.reason, right.user_id, right.email = wanted
        right.save()
        if before[:2] != wanted[:2]:
            detail = f"{line.name}: {recorded(state)}" + (f", {recorded(reason)}" if reason else "")
            entries.append((TimelineEntry.Kind.ACCESS, detail))
    _note(order, entries, door=door)
    if len(known) < len(lines) and order.is_paid:
        transaction.on_commit(partial(measures.in_library, order), robust=True)
