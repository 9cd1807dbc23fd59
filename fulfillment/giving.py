"""Giving a product away: an order of nothing, delivered and mailed by what delivers and mails every other."""

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User, proven_owners
from catalog.models import Product
from fulfillment.converge import deliver
from fulfillment.models import Entitlement
from orders import checkout, stripe_api
from orders.history import by_hand
from orders.models import Order, TimelineEntry, reference_of
from storefront.celery import enqueue

DOOR = "admin"


class GiveRefused(Exception):
    """Nothing was given; the message says why, for whoever asked."""


@dataclass(frozen=True)
class Given:
    """The order that was made; `again` where the same form had made it before."""

    order: Order
    again: bool


@transaction.atomic
def give(product: Product, *, to: str, key: uuid.UUID, by: User, reason: str, like: Order | None = None) -> Given:
    """Put `product` into the library of whoever has the address `to` (normalized), and mail it there.

    `like` is the order of somebody who gets one more thing: theirs are the account, if `to` is its address, and the
    language of the mail. May be repeated under the same `key`, which is the form's: it makes one order, whose
    reference follows from it. Raises GiveRefused.
    """
    edition = product.edition_on_sale()
    if edition is None:
        raise GiveRefused(_("%(product)s has no published edition with files.") % {"product": product})
    theirs = like if like and like.email == to else None
    now = timezone.now()
    gift = Order(
        reference=reference_of(key),
        user_id=theirs.user_id if theirs else None,
        email=to,
        language=like.language if like else "",
        state=Order.State.PAID,
        source=Order.Source.MANUAL,
        currency=product.currency,
        livemode=stripe_api.is_live(),
        paid_at=now,
    )
    # Whoever comes second with the same form waits here for the first to commit, then finds its row.
    Order.objects.bulk_create([gift], ignore_conflicts=True)
    order = Order.objects.select_for_update(of=("self",), no_key=True).get(reference=gift.reference)
    if order.lines.exists():
        return Given(order, again=True)
    if _has(product, to, gift):
        words = {"email": to, "product": product}
        raise GiveRefused(_("%(email)s can read %(product)s already. Send the mail of that order again.") % words)
    line = checkout.add_line(order, product, edition, unit_price=0)
    order.timeline.create(kind=TimelineEntry.Kind.CREATED, door=DOOR, detail=product.name)
    by_hand(order, "free copy given", by=by, reason=reason, door=DOOR)
    if like:
        by_hand(like, f"free copy of {product.name} given, order {order.reference}", by=by, reason=reason, door=DOOR)
    deliver(order, [line], door=DOOR)
    enqueue("fulfillment.tasks.send_due_mails")
    return Given(order, again=False)


def _has(product: Product, email: str, gift: Order) -> bool:
    users = [*proven_owners(email), *filter(None, [gift.user_id])]
    rights = Entitlement.objects.active(timezone.now()).filter(product=product)
    return rights.filter(Q(email=email) | Q(user__in=users)).exists()
