"""The one list of Stripe's event types: which lead to a Checkout Session, by what, and why others change nothing.

https://docs.stripe.com/api/events/types
"""

import enum


class By(enum.Enum):
    """What an event's object is, and so how the Checkout Session behind it is found."""

    SESSION = "the Checkout Session itself"
    INTENT = "the PaymentIntent of the session"
    PAYMENT = "something that names the PaymentIntent: a charge, refund, dispute or warning"


# Stripe sends it for each sale, beside the session's own event.
PAYMENT_SUCCEEDED = "payment_intent.succeeded"
# The issuer tells of a fraud before there is a dispute. Nothing follows for the order; a person may want to refund it.
FRAUD_WARNING = "radar.early_fraud_warning.created"

LEADS: dict[str, By] = {
    "checkout.session.completed": By.SESSION,
    "checkout.session.async_payment_succeeded": By.SESSION,
    "checkout.session.async_payment_failed": By.SESSION,
    "checkout.session.expired": By.SESSION,
    PAYMENT_SUCCEEDED: By.INTENT,
    "payment_intent.payment_failed": By.INTENT,
    "payment_intent.canceled": By.INTENT,
    # A payment that failed after the checkout was complete may be tried again: then it is on its way once more.
    "payment_intent.processing": By.INTENT,
    "payment_intent.requires_action": By.INTENT,
    "payment_intent.amount_capturable_updated": By.INTENT,
    "charge.refunded": By.PAYMENT,
    # Before 2024-10-28.acacia the three refund.* were only sent for refunds without a charge, so these two are needed.
    # https://docs.stripe.com/changelog/acacia/2024-10-28/refund-webhook-update
    "charge.refund.updated": By.PAYMENT,
    "refund.created": By.PAYMENT,
    "refund.updated": By.PAYMENT,
    "refund.failed": By.PAYMENT,
    "charge.dispute.created": By.PAYMENT,
    "charge.dispute.updated": By.PAYMENT,
    "charge.dispute.closed": By.PAYMENT,
    "charge.dispute.funds_withdrawn": By.PAYMENT,
    "charge.dispute.funds_reinstated": By.PAYMENT,
    FRAUD_WARNING: By.PAYMENT,
}
TYPES = frozenset(LEADS)

_SAID_TWICE = "the PaymentIntent has an event of its own for it"
# Types that touch a payment and yet change nothing in the shop. Asking Stripe twice for each would halve what can be
# handled in a second.
WITHOUT_EFFECT: dict[str, str] = {
    "payment_intent.created": "the payment has only begun",
    "payment_intent.partially_funded": "the payment is not complete: another event follows when it is",
    "charge.succeeded": _SAID_TWICE,
    "charge.failed": _SAID_TWICE,
    "charge.pending": _SAID_TWICE,
    "charge.captured": _SAID_TWICE,
    "charge.expired": _SAID_TWICE,
    "charge.updated": "nothing of an order follows from a charge's details",
    "radar.early_fraud_warning.updated": "only whether a refund still helps: people were told of the warning itself",
}


# Thin events name no object of the version that this shop reads. They need not say which mode they belong to either.
# https://docs.stripe.com/event-destinations#thin-events
THIN = ("v1.", "v2.")


def reason_to_ignore(kind: str, *, account: str, livemode: bool, shop_is_live: bool) -> str:
    """Why nothing will ever follow from an event of this type, or "" when it leads to a session.

    `account` is the connected account that it belongs to, "" for the shop's own: a platform's live endpoint gets the
    test events of its accounts too, so the mode is asked about after that.
    """
    if account:
        return f"an event of the connected account {account}"
    if kind.startswith(THIN):
        return "a thin event, which carries no object: let the endpoint send snapshot events"
    if livemode != shop_is_live:
        return f"livemode is {livemode}, this shop's key is for {'live' if shop_is_live else 'test'} mode"
    return "" if kind in LEADS else WITHOUT_EFFECT.get(kind, "nothing in the shop follows from this type")


def label(kind: str) -> str:
    """The type for a metric: strangers to this list share one name, so that the names are bounded."""
    return kind if kind in LEADS or kind in WITHOUT_EFFECT else "other"
