"""Which orders need a person, and why: one rule for the list of orders, an order's page and the dashboard.

A dispute is told apart: once it is answered it takes the bank months, and there is nothing to do.
"""

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from fulfillment.delivery_models import Delivery
from orders.models import Order


def refused_mails() -> QuerySet[Delivery]:
    """Mails about orders that were given up, unless another was written since, and not withdrawn. Whoever was forgotten
    misses none."""
    later = Delivery.objects.filter(order=OuterRef("order"), pk__gt=OuterRef("pk"))
    later = later.exclude(state=Delivery.State.WITHDRAWN)
    given_up = Delivery.objects.filter(state=Delivery.State.GAVE_UP, order__isnull=False, order__erased_at=None)
    return given_up.filter(~Exists(later))


def orders_in_need() -> QuerySet[Order]:
    """Those that are held, and those whose last mail was refused, each kind by an index of its own."""
    orders = Order.objects.order_by()
    # Not one condition with OR, for which PostgreSQL would read every order there ever was.
    held, refused = orders.exclude(attention="").values("pk"), refused_mails().order_by().values("order")
    return Order.objects.filter(pk__in=held.union(refused))


def with_needs(orders: QuerySet[Order]) -> QuerySet[Order]:
    """The same orders, each with what `needs` reads of its mails."""
    return orders.annotate(mail_refused=Exists(refused_mails().filter(order=OuterRef("pk"))))


def needs(order: Order) -> str:
    """What a person is needed for, "" for most orders. For one that comes from `with_needs`."""
    refused = getattr(order, "mail_refused", False)
    return " ".join(filter(None, [order.attention, _("No mail reaches the buyer.") if refused else ""]))
