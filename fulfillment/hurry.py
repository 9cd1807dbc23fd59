"""One more try, now, for a mail that waits or was given up: somebody mended what stood in its way."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models.functions import Now

from accounts.addresses import without_addresses
from accounts.models import User
from fulfillment.delivery_models import Delivery
from orders.history import by_hand
from orders.models import NOBODY, Order
from storefront.celery import enqueue

# One that may have arrived is not hurried: its second copy waits until the first would be there.
STATES = (Delivery.State.PENDING, Delivery.State.GAVE_UP)


@transaction.atomic
def try_now(delivery: Delivery, *, by: User, reason: str) -> bool:
    """Make the mail due at once; False where it neither waits nor was given up by now. May be repeated.

    Whether it is still true is asked when it is sent, as for any other. One whose reader was forgotten stays as it is.
    """
    if delivery.order_id is not None:  # the order first, as everybody locks
        Order.objects.select_for_update(no_key=True).get(pk=delivery.order_id)
    rows = Delivery.objects.filter(pk=delivery.pk, state__in=STATES).exclude(recipient__endswith=NOBODY)
    if not rows.update(state=Delivery.State.PENDING, next_attempt_at=Now(), claim=None):
        return False
    note(delivery, "mail tried now", by=by, reason=reason)
    enqueue("fulfillment.tasks.send_due_mails")
    return True


def note(delivery: Delivery, what: str, *, by: User, reason: str) -> None:
    """In the admin's log, and in the order's timeline if there is one. By the mail's name: the log outlives the wish
    to be forgotten."""
    if delivery.order is not None:
        by_hand(delivery.order, what, by=by, reason=reason)
    LogEntry.objects.create(
        user=by,
        content_type=ContentType.objects.get_for_model(Delivery),
        object_id=str(delivery.pk),
        object_repr=delivery.name,
        action_flag=CHANGE,
        change_message=without_addresses(f"{what}: {reason}"),
    )
