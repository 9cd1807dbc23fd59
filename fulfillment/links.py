"""Links from mails: signed and stateless, for one order, for a while. Nothing to steal is stored."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.urls import reverse

from orders.models import Order

SIGNER = signing.TimestampSigner(salt="fulfillment.links", sep=".")


@dataclass(frozen=True)
class Opened:
    """What a link's token says: whose order, and whether its time is over."""

    reference: str
    expired: bool


def token(order: Order) -> str:
    return SIGNER.sign(order.reference)


def address(order: Order) -> str:
    return settings.SITE_URL + reverse("link", args=[token(order)])


def read(token: str) -> Opened | None:
    """Who the token is for, or None for one that this shop never signed."""
    try:
        reference = SIGNER.unsign(token)
    except signing.BadSignature:
        return None
    try:
        SIGNER.unsign(token, max_age=timedelta(hours=settings.LINK_HOURS))
    except signing.SignatureExpired:
        return Opened(reference=reference, expired=True)
    return Opened(reference=reference, expired=False)
