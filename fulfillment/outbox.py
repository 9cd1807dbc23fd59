"""The outbox: each row is one mail, claimed under a lease, tried until it is accepted or refused for good."""

import logging
import uuid
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from accounts.addresses import without_addresses
from fulfillment import measures, smtp
from fulfillment.announce import still_true
from fulfillment.delivery_models import Delivery, DeliveryAttempt
from fulfillment.mails import compose
from orders.history import recorded
from orders.models import Order, TimelineEntry
from storefront import trace

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
AT_ONCE = timedelta()
BACK_OFF = [timedelta(seconds=s) for s in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 86400)]
# What broke off after the final dot is repeated once, late enough for a slow server to have delivered the first.
UNCONFIRMED_WAIT = timedelta(minutes=15)

Outcome = DeliveryAttempt.Outcome
State = Delivery.State


class ClaimLost(Exception):
    """Another sender holds the row by now."""


def send(delivery_id: int) -> bool:
    """Send one due mail, unless another sender holds it; True when it was accepted now.

    May be repeated: an accepted mail is never sent again, and one that is no longer true is withdrawn. The attempt is
    committed before the network is touched, so a sender that dies leaves behind how far it came.
    """
    claim = uuid.uuid4()
    delivery = _claim(delivery_id, claim)
    if delivery is None:
        return False
    trace.note(delivery=delivery.pk, **({"order": delivery.order.reference} if delivery.order else {}))
    previous = delivery.attempt_log.last()
    if previous is not None and previous.finished_at is None and not _take_over(delivery, previous, claim):
        return False
    if not still_true(delivery) and _withdraw(delivery, claim):
        return False
    attempt = delivery.attempt_log.create()
    try:
        result = smtp.send(compose(delivery), before_body=lambda: _mark_body(attempt, claim))
    except ClaimLost:
        log.warning("delivery %s went to another sender while this one slept", delivery.pk)
        return False
    except Exception as error:  # a mail that cannot be composed must not hold up the others
        log.exception("delivery %s of %s failed", delivery.pk, _about(delivery))
        # A task's time limit may strike after the text has left.
        unknown = attempt.phase == DeliveryAttempt.Phase.BODY
        outcome = Outcome.UNCONFIRMED if unknown else Outcome.TEMPORARY
        result = smtp.Result(outcome, f"{type(error).__name__}: {error}"[:300])
    _record(delivery, attempt, claim, result)
    return result.outcome == Outcome.ACCEPTED


def _claim(delivery_id: int, claim: uuid.UUID) -> Delivery | None:
    claimed = (
        Delivery.objects.due(Now())
        .filter(pk=delivery_id)
        .update(state=State.SENDING, claim=claim, next_attempt_at=Now() + LEASE, attempts=F("attempts") + 1)
    )
    return Delivery.objects.select_related("order").get(pk=delivery_id) if claimed else None


@transaction.atomic
def _withdraw(delivery: Delivery, claim: uuid.UUID) -> bool:
    """Settle a mail that would tell what is no longer so. False when it is true again by now.

    The order's lock decides: whoever changes the order later sees that the mail was withdrawn, and writes another one
    if there is need. A letter has none, and nobody who would need to see it.
    """
    if delivery.order_id is not None:
        delivery.order = Order.objects.select_for_update(no_key=True).get(pk=delivery.order_id)
    if still_true(delivery):
        return False
    held = Delivery.objects.filter(pk=delivery.pk, claim=claim)
    if held.update(state=State.WITHDRAWN, claim=None):
        _tell(delivery, State.WITHDRAWN)
    return True


def _take_over(delivery: Delivery, previous: DeliveryAttempt, claim: uuid.UUID) -> bool:
    """Settle the attempt of a sender that died. False when its mail may be out: then this one has to wait."""
    if previous.phase == DeliveryAttempt.Phase.STARTED:
        _close(previous, smtp.Result(Outcome.TEMPORARY, "the sender died before the text went out"))
        return True
    _record(delivery, previous, claim, smtp.Result(Outcome.UNCONFIRMED, "the sender died waiting for the reply"))
    return False


@transaction.atomic
def _mark_body(attempt: DeliveryAttempt, claim: uuid.UUID) -> None:
    """The last moment to stop: a sender that was paused past its lease must not send what another has taken over.

    Renewing the lease locks the row, so nobody takes over between the question and the answer.
    """
    held = Delivery.objects.filter(pk=attempt.delivery_id, claim=claim)
    if not held.update(next_attempt_at=Now() + LEASE):
        raise ClaimLost
    attempt.phase = DeliveryAttempt.Phase.BODY
    attempt.save(update_fields=["phase"])


def _close(attempt: DeliveryAttempt, result: smtp.Result) -> None:
    reply = result.reply.replace("\x00", "")
    DeliveryAttempt.objects.filter(pk=attempt.pk).update(
        finished_at=timezone.now(), outcome=result.outcome, reply=reply
    )


@transaction.atomic
def _record(delivery: Delivery, attempt: DeliveryAttempt, claim: uuid.UUID, result: smtp.Result) -> None:
    """Write how the attempt ended. Only who still holds the claim moves the row, except that an acceptance counts
    whoever holds it: the mail is out, and a repeat would be one too many."""
    row = Delivery.objects.select_for_update().get(pk=delivery.pk)
    accepted = result.outcome == Outcome.ACCEPTED
    if accepted and row.state == State.SENT:
        result = smtp.Result(Outcome.UNCONFIRMED, "accepted, after another attempt had been")
    _close(attempt, result)
    if row.state == State.SENT or not (accepted or row.claim == claim):
        return
    row.state, wait = _after(row, result.outcome)
    row.next_attempt_at = Now() + wait
    row.claim, row.sent_at = None, timezone.now() if row.state == State.SENT else None
    row.save()
    if row.state == State.SENT and delivery.order and (row.kind, row.seq) == (Delivery.Kind.ORDER, 1):
        transaction.on_commit(partial(measures.mail_accepted, delivery.order), robust=True)
    if row.state in (State.SENT, State.GAVE_UP):
        _tell(delivery, State(row.state), result.reply)


def _after(delivery: Delivery, outcome: DeliveryAttempt.Outcome) -> tuple[Delivery.State, timedelta]:
    """The state that follows, and how long to wait until the row is looked at again."""
    if outcome == Outcome.ACCEPTED:
        return State.SENT, AT_ONCE
    if outcome == Outcome.PERMANENT:
        return State.GAVE_UP, AT_ONCE
    if outcome == Outcome.UNCONFIRMED:
        so_far = delivery.attempt_log.filter(outcome=Outcome.UNCONFIRMED).count()
        return (State.GAVE_UP if so_far > 1 else State.UNCONFIRMED), UNCONFIRMED_WAIT
    if delivery.attempts > len(BACK_OFF):
        return State.GAVE_UP, AT_ONCE
    return State.PENDING, BACK_OFF[delivery.attempts - 1]


def _about(delivery: Delivery) -> str:
    return f"{'order' if delivery.order else 'letter'} {delivery.name}"


def _tell(delivery: Delivery, state: Delivery.State, reply: str = "") -> None:
    """In the order's timeline. A letter that is refused is no matter for a person: it was asked for by an address that
    does not exist, or tells of something that the library tells as well."""
    if delivery.order is None:
        if state == State.GAVE_UP:
            log.warning("%s: mail given up: %s", _about(delivery), reply)
        return
    # No address: the timeline outlives the wish to be forgotten.
    detail = f"{recorded(Delivery.Kind(delivery.kind))}: {recorded(state)}"
    if state == State.GAVE_UP:
        log.error("order %s: mail given up: %s", delivery.order.reference, reply)
        detail += f", {without_addresses(reply)}"
    else:
        log.info("order %s: mail %s", delivery.order.reference, state.value)
    delivery.order.timeline.create(kind=TimelineEntry.Kind.MAIL, door="outbox", detail=detail[:300])
