"""Links from mails: signed and stateless, for one order, for a while. Nothing to steal is stored."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from orders.models import Order

SIGNER = signing.TimestampSigner(salt="fulfillment.links", sep=".")


@dataclass(frozen=True)
class Opened:
    """What a link's token says: whose order, whether its time is over, and whether the shop made it invalid."""

    reference: str
    expired: bool = False
    voided: bool = False

    @property
    def is_open(self) -> bool:
        return not (self.expired or self.voided)


def token(order: Order) -> str:
    """A fresh one. Voided links are told by the second they were signed in: one made in that second counts as later."""
    void_before = order.links_void_before.timestamp() if order.links_void_before else 0
    signed_at = signing.b62_encode(int(max(time.time(), void_before)))
    return signing.Signer.sign(SIGNER, f"{order.reference}{SIGNER.sep}{signed_at}")


def address(order: Order) -> str:
    return settings.SITE_URL + reverse("link", args=[token(order)])


def void(order: Order) -> None:
    """Links that were made before now open nothing any more; those made from now on do. Asked at each use."""
    second = timedelta(seconds=1)
    next_second = timezone.now().replace(microsecond=0) + second
    # Voided twice within a second, what was made between the two must go, too.
    before = order.links_void_before
    order.links_void_before = next_second if before is None else max(next_second, before + second)
    order.save(update_fields=["links_void_before"])


def read(token: str) -> Opened | None:
    """Who the token is for, or None for one that this shop never signed."""
    try:
        reference, _, signed_at = signing.Signer.unsign(SIGNER, token).rpartition(SIGNER.sep)
        at = datetime.fromtimestamp(signing.b62_decode(signed_at), UTC)
    except (signing.BadSignature, ValueError, OverflowError):
        return None
    void_before = Order.objects.filter(reference=reference).values_list("links_void_before", flat=True).first()
    return Opened(
        reference=reference,
        expired=at < timezone.now() - timedelta(hours=settings.LINK_HOURS),
        voided=void_before is not None and at < void_before,
    )
