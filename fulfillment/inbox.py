"""The inbox: events are stored before they are acknowledged, and handled later, as often as it takes."""

import json
import logging
import re
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from fulfillment import event_types, lagging, measures
from fulfillment.event_failures import EventFailure
from fulfillment.event_types import By
from fulfillment.fulfill import fulfill
from fulfillment.models import StripeEvent
from orders import stripe_api
from orders.models import Order
from storefront import trace

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
# Ten tries over sixteen hours, then the event is parked for a person: `replay` takes it up again. While Stripe itself
# cannot be asked, the last wait repeats for ever.
BACK_OFF = [timedelta(seconds=s) for s in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800)]

EVENT_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}", re.ASCII)
PLAIN = re.compile(r"[A-Za-z0-9_.\-]{0,250}", re.ASCII)


INSERT = """
    INSERT INTO fulfillment_stripeevent (event_id, type, object_id, livemode, account, api_version, endpoint, body,
        state, attempts, note)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0, %s)
    ON CONFLICT (event_id) DO UPDATE
    SET state = EXCLUDED.state, next_attempt_at = EXCLUDED.next_attempt_at, body = EXCLUDED.body, note = ''
    WHERE fulfillment_stripeevent.state = 'ignored' AND EXCLUDED.state = 'received'
        AND fulfillment_stripeevent.handled_at IS NULL"""


class EventMalformed(ValueError):
    """Signed, but not an event that can be stored."""


class EventIgnored(Exception):
    """There is nothing to do for this event, ever; the message says why."""


class EventPurged(EventIgnored):
    """It was handled long ago and its body, which named the payment, is no longer kept."""


@dataclass(frozen=True)
class Parsed:
    """What is read from an event before it is stored: ids and labels, never facts about money."""

    event_id: str
    type: str
    object_id: str
    livemode: bool
    account: str
    api_version: str


def parse(body: bytes) -> Parsed:
    """Raises EventMalformed for anything but one JSON object with a Stripe event's id and type."""
    event = _json(body)
    if not isinstance(event, dict) or not EVENT_ID.fullmatch(_text(event.get("id"))):
        raise EventMalformed("not a Stripe event")
    return Parsed(
        event_id=event["id"],
        type=_text(event.get("type"))[:100],
        object_id=_text(_object(event).get("id")),
        livemode=event.get("livemode") is True,
        account=_text(event.get("account")),
        api_version=_text(event.get("api_version"))[:40],
    )


def _json(body: bytes) -> Any:
    """The decoded body. What the quick parser refuses and Python takes (NaN, half of a surrogate pair) is taken."""
    try:
        return orjson.loads(body)
    except ValueError:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise EventMalformed("not JSON") from error


def _text(value: Any) -> str:
    """The value if it is a plain identifier, else "": a column takes no NUL, no lone surrogate, no list."""
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else ""


def _object(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("data")
    found = data.get("object") if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def store(body: bytes, *, endpoint: str = "") -> str | None:
    """Write a verified event into the inbox; returns its id, or None when nothing will ever follow from it.

    `endpoint` is the label of the secret that signed it. May be repeated: the first row stays as it is, unless it was
    ignored for a mode that the shop's key has by now.
    Raises EventMalformed; OperationalError when the database cannot take it.
    """
    parsed = parse(body)
    trace.note(event=parsed.event_id)
    reason = _reason_to_ignore(parsed)
    state = StripeEvent.State.IGNORED if reason else StripeEvent.State.RECEIVED
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    # Django's own cursors write the values into the text, which PostgreSQL then parses and plans anew each time.
    with CursorWrapper(psycopg.Cursor(database.connection), database) as cursor:
        cursor.execute(
            INSERT,
            [
                parsed.event_id, parsed.type, parsed.object_id, parsed.livemode, parsed.account, parsed.api_version,
                endpoint, body, state.value, reason,
            ],
        )  # fmt: skip
        is_new = cursor.rowcount
    if reason and is_new:
        measures.event_settled(parsed.type, state)
        log.info("event %s is ignored: %s", parsed.event_id, reason)
    return None if reason else parsed.event_id


def _reason_to_ignore(parsed: Parsed) -> str:
    return event_types.reason_to_ignore(
        parsed.type, account=parsed.account, livemode=parsed.livemode, shop_is_live=stripe_api.is_live()
    )


def handle(event_id: str) -> bool:
    """Handle one stored event, unless it is handled or held by another worker; True when it was handled now.

    The row is claimed under a lease and marked only after the work is done, so a crash at any point repeats it. A
    failure is noted on the row and tried again later, ten times over a day.
    """
    trace.note(event=event_id)
    claim = uuid.uuid4()
    claimed = (
        StripeEvent.objects.due(Now())
        .filter(event_id=event_id)
        .update(claim=claim, next_attempt_at=Now() + LEASE, attempts=F("attempts") + 1)
    )
    if not claimed:
        return False
    event = StripeEvent.objects.get(event_id=event_id)
    try:
        note = _work(event)
    except EventIgnored as reason:
        return _finish(event, claim, state=StripeEvent.State.IGNORED, note=str(reason))
    except stripe_api.StripeUnavailable as error:
        log.warning("event %s waits: %s", event.event_id, error)
        _postpone(event, claim, note=f"StripeUnavailable: {error}", may_park=False)
        return False
    except Exception as error:  # whatever it is, the row must say so and the next event must go on
        log.exception("event %s of type %s failed", event.event_id, event.type)
        _postpone(event, claim, note=f"{type(error).__name__}: {error}")
        return False
    return _finish(event, claim, state=StripeEvent.State.HANDLED, note=note)


def _work(event: StripeEvent) -> str:
    """What to note on the handled row: of a warning the order it is about, for the alert that names it."""
    session_id = session_of(event)
    if event.type == event_types.PAYMENT_SUCCEEDED and _is_settled(session_id):
        return ""
    outcome = fulfill(session_id, door="webhook")
    if outcome.stale:
        raise stripe_api.StripeUnavailable("others are changing the same order")
    if outcome.order is None:
        raise EventIgnored(outcome.reason)
    missing = lagging.missing(event.type, event.object_id, outcome.facts) if outcome.facts else ""
    if missing and event.attempts <= lagging.PATIENT_TRIES:
        raise stripe_api.StripeUnavailable(f"its answer does not tell of {missing} yet")
    return f"order {outcome.order.reference}" if event.type == event_types.FRAUD_WARNING else ""


def _is_settled(session_id: str) -> bool:
    """Whether Stripe has told us already that this session is paid, and no person is needed. That its payment succeeded
    is no news then: asking once more would double the calls that a sale takes."""
    return Order.objects.filter(stripe_session_id=session_id, state=Order.State.PAID, attention="").exists()


def session_of(event: StripeEvent) -> str:
    """The id of the Checkout Session that this event is about. Only ids are read from it.

    Raises EventIgnored where no session of ours can be behind it; StripeUnavailable.
    """
    if event.account:
        raise EventIgnored(f"an event of the connected account {event.account}")
    by = event_types.LEADS.get(event.type)
    if by is None:
        raise EventIgnored("nothing in the shop follows from this type")
    if by is By.SESSION:
        return event.object_id
    intent_id = event.object_id if by is By.INTENT else named_intent(event)
    if not intent_id:
        raise EventIgnored("no PaymentIntent behind it")
    session_id = session_behind(intent_id)
    if session_id is None:
        raise EventIgnored("a payment that no Checkout Session made")
    return session_id


def named_intent(event: StripeEvent) -> str:
    """The id of the PaymentIntent that the event's object names, or ""."""
    if not event.body:
        raise EventPurged("its body was purged: replay its order or session instead")
    named = _object(json.loads(bytes(event.body))).get("payment_intent")
    return _text(named.get("id") if isinstance(named, dict) else named)


def session_behind(intent_id: str) -> str | None:
    """The id of the Checkout Session that made a PaymentIntent, from our rows or else from Stripe; None if none did."""
    known = Order.objects.filter(stripe_payment_intent_id=intent_id).values_list("stripe_session_id", flat=True).first()
    return known or stripe_api.session_of_payment_intent(intent_id)


def _finish(event: StripeEvent, claim: uuid.UUID, *, state: StripeEvent.State, note: str) -> bool:
    """Only who still holds the claim may finish: a worker that overslept its lease has lost the row to another."""
    held = StripeEvent.objects.filter(pk=event.pk, claim=claim, state=StripeEvent.State.RECEIVED)
    finished = bool(held.update(state=state, handled_at=timezone.now(), note=note, claim=None))
    if finished:
        measures.event_settled(event.type, state)
        log.info("event %s of type %s is %s", event.event_id, event.type, state.value)
    return finished


def _postpone(event: StripeEvent, claim: uuid.UUID, *, note: str, may_park: bool = True) -> None:
    """Try again later, and keep what went wrong this time: the row itself only has the last error."""
    parked = may_park and event.attempts >= len(BACK_OFF)
    state = StripeEvent.State.FAILED if parked else StripeEvent.State.RECEIVED
    note = note.replace("\x00", "")[:2000]
    with transaction.atomic():
        held = StripeEvent.objects.filter(pk=event.pk, claim=claim).update(
            state=state,
            next_attempt_at=Now() + BACK_OFF[min(event.attempts, len(BACK_OFF)) - 1],
            note=note,
            claim=None,
        )
        if held:
            EventFailure.objects.create(event=event, attempt=event.attempts, error=note)
    if held and parked:
        measures.event_settled(event.type, state)
