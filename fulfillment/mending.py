"""The acts that mend a difference of the books: what the operators' commands do, for one payment, and a second look."""

from dataclasses import dataclass

from django.db import DatabaseError
from django.db.models.functions import Now

from fulfillment import books, outbox
from fulfillment.book_models import Difference
from fulfillment.both_sides import Payment, look_at
from fulfillment.delivery_models import Delivery, DeliveryAttempt
from fulfillment.differences import Found
from fulfillment.fulfill import fulfill
from fulfillment.resend import ResendRefused, resend_order
from orders import stripe_api
from orders.models import Order

DOOR = "books"
Mend = Difference.Mend


@dataclass(frozen=True)
class Mended:
    """Whether the difference is gone, and a sentence about what was done."""

    is_gone: bool
    said: str


def mend(difference: Difference) -> Mended:
    """Do what mends this difference as it is by now, and look again: its row is closed where it is gone.

    May be repeated; what is gone already is left alone. Raises stripe_api.StripeUnavailable, and then nothing is known.
    """
    payment = look_at(difference.session_id, difference.order_id)
    found = next((one for one in payment.found if one.kind == difference.kind), None)
    said = _act(found, payment) if found else "it was gone already"
    books.look_again(difference.session_id, difference.order_id)
    difference.refresh_from_db()
    return Mended(is_gone=difference.resolved_at is not None, said=said)


def _act(found: Found, payment: Payment) -> str:
    """Run the act; what it says, or why it could not be done."""
    try:
        if found.mend == Mend.REPLAY:
            return _replay(payment.session_id)
        if found.mend == Mend.RESEND and payment.order:
            return _send([resend_order(payment.order.reference, reason="the books", door=DOOR).delivery.pk])
        if found.mend == Mend.SEND and payment.order:
            return _send_waiting(payment.order)
    except (ResendRefused, stripe_api.StripeRefused, DatabaseError) as error:
        return f"it could not be done: {error}"
    return "only a person can mend it"


def _replay(session_id: str) -> str:
    outcome = fulfill(session_id, door=DOOR)
    if outcome.stale:
        raise stripe_api.StripeUnavailable("others are changing the same order")
    return "; ".join(filter(None, ["fulfilled again", _send(list(outcome.due))]))


def _send_waiting(order: Order) -> str:
    """What waits for its next try is tried now. What another sender holds, or may have sent, keeps its time; what a
    mail server has accepted already only learns so: its buyer has it."""
    waiting = order.deliveries.filter(kind=Delivery.Kind.ORDER, state__in=Delivery.DUE_STATES)
    accepted = DeliveryAttempt.objects.filter(outcome=DeliveryAttempt.Outcome.ACCEPTED, delivery__in=waiting)
    if attempt := accepted.first():
        sent_at = attempt.finished_at or attempt.started_at
        waiting.filter(pk=attempt.delivery_id).update(state=Delivery.State.SENT, sent_at=sent_at, claim=None)
        return f"the mail was accepted at {sent_at:%Y-%m-%d %H:%M}, and now its row says so"
    waiting.filter(state=Delivery.State.PENDING).update(next_attempt_at=Now())
    due = list(Delivery.objects.due(Now()).filter(pk__in=waiting).values_list("pk", flat=True))
    return _send(due) or "the mail cannot be sent now: a sender holds it, or waits to hear whether it arrived"


def _send(delivery_ids: list[int]) -> str:
    """Send these now rather than wait for a worker, so that what the mail server says can be told."""
    said = []
    for delivery_id in delivery_ids:
        accepted = outbox.send(delivery_id)
        attempt = Delivery.objects.get(pk=delivery_id).attempt_log.last()
        said.append("the mail was accepted" if accepted else f"the mail: {attempt.reply if attempt else 'no answer'}")
    return "; ".join(said)
