"""A mail about an order once more: asked for by its buyer or by an operator."""

from datetime import timedelta

from django.utils import timezone

from fulfillment.models import Delivery
from orders.models import Order
from storefront.celery import enqueue

AT_MOST_EVERY = timedelta(minutes=1)


def resend(order: Order, kind: Delivery.Kind) -> Delivery | None:
    """Write one more mail of this kind, to the order's own address, and wake a sender for it.

    None while the last one is under a minute old, or where the order has no address. Ten requests at once make one
    mail: the unique (order, kind, seq) lets only one of them win.
    """
    last = order.deliveries.filter(kind=kind).order_by("-seq").first()
    if not order.email or (last and last.created_at > timezone.now() - AT_MOST_EVERY):
        return None
    delivery, created = Delivery.objects.get_or_create(
        order=order, kind=kind, seq=last.seq + 1 if last else 1, defaults={"recipient": order.email}
    )
    if not created:
        return None
    enqueue("fulfillment.tasks.send_delivery", delivery.pk)
    return delivery
