"""What fulfilling a session would change, row by row: done for real in a transaction that is rolled back."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q

from fulfillment.converge import converge
from fulfillment.delivery_models import Delivery
from fulfillment.foretell import Snapshot, sentences
from fulfillment.models import Entitlement
from orders import stripe_api
from orders.facts import Facts
from orders.history import recorded
from orders.models import Order, TimelineEntry

ORDER = ("state", "total", "refunded", "currency", "dispute", "email", "attention", "paid_at", "stripe_session_id")


@dataclass(frozen=True)
class Preview:
    """`changes` has a line of fields for each row that would be new or different, `sentences` tells the same to people.

    `reason` says why the session is not ours, or "".
    """

    name: str
    changes: tuple[str, ...]
    sentences: tuple[str, ...]
    reason: str


def preview(session_id: str, *, door: str) -> Preview:
    """What `fulfill` would do now. Writes nothing and wakes nobody.

    Raises stripe_api.StripeUnavailable, StripeRefused or SessionUnknown.
    """
    seen = Order.objects.facts_version(session_id)
    facts = stripe_api.fetch_facts(session_id)
    with transaction.atomic():
        known = _order_of(facts)
        before = dict(_rows(known)) if known else {}
        outcome = converge(facts, seen=seen, door=door)
        after = dict(_rows(outcome.order)) if outcome.order else {}
        transaction.set_rollback(True)
    if outcome.stale:
        raise stripe_api.StripeUnavailable("others are changing the same order")
    # A reference that is rolled back is one that nobody will ever see again.
    name = f"order {known.reference}" if known else f"new order for {session_id}"
    return Preview(
        name=name,
        changes=tuple(difference(before, after)),
        sentences=sentences(before, after),
        reason=outcome.reason,
    )


def difference(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """`row: field: old → new, …` for each row that differs; a row that is new shows all that is not empty in it."""
    for row, fields in after.items():
        old = before.get(row, {})
        changed = [
            f"{field}: {value}" if row not in before else f"{field}: {old.get(field) or '–'} → {value or '–'}"
            for field, value in fields.items()
            if value != old.get(field, "")
        ]
        if changed or row not in before:
            yield f"{'' if row in before else 'new '}{row}: {', '.join(changed)}"


def _order_of(facts: Facts) -> Order | None:
    """The order that converge will find, locked, so that nobody changes it between the two looks."""
    known = Q(stripe_session_id=facts.session_id)
    never_told = Q(stripe_session_id=None, reference=facts.client_reference_id)
    orders = Order.objects.select_for_update(of=("self",)).filter(known | never_told)
    return orders.order_by(F("stripe_session_id").asc(nulls_last=True)).first()


def _rows(order: Order) -> Iterator[tuple[str, dict[str, str]]]:
    """Every row of the order, without what each run moves: its version and when to look again."""
    yield "order", _fields(order, ORDER)
    for line in order.lines.order_by("pk"):
        yield f"line {line.name}", _fields(line, ("unit_price", "quantity", "refunded"))
    for entitlement in Entitlement.objects.filter(order_line__order=order).select_related("order_line").order_by("pk"):
        yield f"entitlement {entitlement.order_line.name}", _fields(entitlement, ("state", "reason", "email"))
    for mail in Delivery.objects.filter(order=order).order_by("pk"):
        yield f"delivery {mail.kind} {mail.seq}", _fields(mail, ("state", "recipient"))
    for number, entry in enumerate(TimelineEntry.objects.filter(order=order).order_by("pk"), 1):
        yield f"timeline {number}", {recorded(TimelineEntry.Kind(entry.kind)): entry.detail or "·"}


def _fields(row: object, names: tuple[str, ...]) -> dict[str, str]:
    values = {name: getattr(row, name) for name in names}
    return {name: "" if value is None else str(value) for name, value in values.items()}
