"""Finding an order by what somebody at the shop has of it. What was typed is recognized first, then one index asked."""

import json
import re
from collections.abc import Iterable, Iterator

from django.core.exceptions import ValidationError
from django.db.models import Q

from accounts.addresses import normalize
from fulfillment import inbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import StripeEvent
from orders.models import REFERENCE_ALPHABET, Order, OrderQuerySet, is_reference
from orders.refund_models import RefundRequest

LONGEST = 254  # characters, as long as an address
SHORTEST_ADDRESS, SHORTEST_REFERENCE = 3, 6  # beginnings that are looked for: shorter ones fit too many
EVENTS = 20  # about one refund or dispute

STRIPE_ID = re.compile(r"[a-z]{2,4}_\w{4,250}", re.ASCII)
# "4242", "visa 4242", "Visa •••• 4242", "**** 4242".
CARD = re.compile(r"([a-z][a-z ]*)?[\s•*.x]*([0-9]{4})", re.ASCII | re.IGNORECASE)
WHOLE_CARD = re.compile(r"[0-9](?:[ -]?[0-9]){12,18}", re.ASCII)
BETWEEN = re.compile(r"[\s\-–—./#]")  # what people put into a reference to read it aloud

COLUMNS = {
    "cs_": "stripe_session_id",
    "pi_": "stripe_payment_intent_id",
    "ch_": "stripe_charge_id",
    "py_": "stripe_charge_id",  # what a bank debit's charge is called
    "cus_": "stripe_customer_id",
}


def end_of_card(typed: str) -> str:
    """The last four digits of a whole card number, which nobody should type here; "" for anything else."""
    return typed[-4:] if WHOLE_CARD.fullmatch(typed) else ""


def find(typed: str) -> OrderQuerySet:
    """The orders that fit what was typed: e-mail address, reference, an id of Stripe's, the end of a card."""
    return Order.objects.filter(sought(typed))


def sought(typed: str) -> Q:
    """What to look for. Each guess is a question to one index; the first that finds any order is the answer."""
    text = typed.replace("\x00", "").strip()[:LONGEST]
    return next((guess for guess in _guesses(text) if Order.objects.filter(guess).exists()), Q(pk__in=[]))


def _guesses(text: str) -> Iterator[Q]:
    if STRIPE_ID.fullmatch(text) and "@" not in text:
        yield from _by_stripe_id(text)
    if "@" in text:
        yield Q(email=_address(text))
    reference = BETWEEN.sub("", text).upper()
    if is_reference(reference):
        yield Q(reference=reference)
    if card := CARD.fullmatch(text):
        brand, last4 = (card[1] or "").strip().replace(" ", "_").lower(), card[2]
        digits = Q(paid_last4=last4)
        yield digits & (Q(paid_brand__startswith=brand) | Q(paid_by__startswith=brand)) if brand else digits
    if len(text) >= SHORTEST_ADDRESS:
        yield Q(email__startswith=text.lower())
    if len(reference) >= SHORTEST_REFERENCE and set(reference) <= set(REFERENCE_ALPHABET):
        yield Q(reference__startswith=reference)


def _address(text: str) -> str:
    try:
        return normalize(text)
    except ValidationError:
        return text.lower()


def _by_stripe_id(text: str) -> Iterator[Q]:
    prefix = text[: text.index("_") + 1]
    if column := COLUMNS.get(prefix):
        yield Q(**{column: text})
    if prefix == "evt_":
        yield from _of_events(StripeEvent.objects.filter(event_id=text))
        return
    asked_here = list(RefundRequest.objects.filter(stripe_refund_id=text).values_list("order", flat=True))
    told = list(Delivery.objects.filter(about=text).exclude(order=None).values_list("order", flat=True)[:EVENTS])
    if asked_here or told:
        yield Q(pk__in=[*asked_here, *told])
    yield from _of_events(StripeEvent.objects.exclude(state=StripeEvent.State.IGNORED).filter(object_id=text)[:EVENTS])


def _of_events(events: Iterable[StripeEvent]) -> Iterator[Q]:
    """The orders that these events are about, by the ids in them. What was purged names its own object alone."""
    for event in events:
        named = {event.object_id, *_named(event)} - {""}
        for column in sorted(set(COLUMNS.values())):
            yield Q(**{f"{column}__in": sorted(named)})


def _named(event: StripeEvent) -> set[str]:
    try:
        return {inbox.named_intent(event)}
    except (inbox.EventPurged, json.JSONDecodeError):
        return set()
