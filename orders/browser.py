"""What ties a guest's browser to its own checkout: a key for its double clicks, and the orders it began."""

import time
from datetime import timedelta

from django.http import HttpRequest
from django.utils import timezone

from accounts.visitors import address_of, agent_of
from orders.models import Order

SESSION_KEY = "orders"
KEEP = 20
REMEMBER_FOR = 24 * 3600  # seconds: a guest at a shared computer leaves little behind

CORRECT_FOR = timedelta(hours=1)  # from the payment on: by then whoever mistyped their address has missed the mail


def key(request: HttpRequest) -> str:
    """The same for every POST of one browser, without a cookie of its own: the secret of its CSRF cookie."""
    return str(request.META.get("CSRF_COOKIE", ""))


def remember(request: HttpRequest, order: Order) -> None:
    """From now on this browser may see how this order goes, for a day."""
    kept = dict(list(_remembered(request).items())[-KEEP:])
    kept[order.reference] = int(time.time())
    request.session[SESSION_KEY] = kept


def note_buyer(request: HttpRequest, order: Order) -> None:
    """Keep where "Buy" was pressed last, for the bank should it ask. Forgotten after a while: see retention."""
    Order.objects.filter(pk=order.pk).update(buyer_address=address_of(request), buyer_agent=agent_of(request))


def may_correct(request: HttpRequest, order: Order) -> bool:
    """Whether this browser may correct the address: it pressed "Buy" for this order, and paid within the last hour.

    Neither the address of the page nor an account will do: only the payer knows where the mail should have gone.
    """
    lately = order.paid_at is not None and order.paid_at > timezone.now() - CORRECT_FOR
    return bool(order.is_paid and order.total and lately and order.reference in references(request))


def references(request: HttpRequest) -> frozenset[str]:
    """The orders that this browser began within the last day."""
    oldest = time.time() - REMEMBER_FOR
    return frozenset(reference for reference, began in _remembered(request).items() if began > oldest)


def _remembered(request: HttpRequest) -> dict[str, int]:
    found: dict[str, int] = request.session.get(SESSION_KEY, {})
    return found
