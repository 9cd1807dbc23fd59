"""Links from mails: signed and stateless, for one order, for a while. Nothing to steal is stored."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from fulfillment.models import Delivery
from orders.models import Order
from storefront.celery import enqueue

SIGNER = signing.TimestampSigner(salt="fulfillment.links", sep=".")
FRESH_LINK_EVERY = timedelta(minutes=1)


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


def mail_fresh(order: Order) -> Delivery | None:
    """Write a mail with a fresh link to the order's own address; None while the last one is under a minute old.

    Ten clicks at once make one mail: the unique (order, kind, seq) lets only one of them win.
    """
    last = order.deliveries.filter(kind=Delivery.Kind.LINK).order_by("-seq").first()
    if not order.email or (last and last.created_at > timezone.now() - FRESH_LINK_EVERY):
        return None
    delivery, created = Delivery.objects.get_or_create(
        order=order,
        kind=Delivery.Kind.LINK,
        seq=last.seq + 1 if last else 1,
        defaults={"recipient": order.email},
    )
    if not created:
        return None
    enqueue("fulfillment.tasks.send_delivery", delivery.pk)
    return delivery
