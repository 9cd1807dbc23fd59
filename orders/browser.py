"""What ties a guest's browser to its own checkout: a key for its double clicks, and the orders it began."""

import time

from django.http import HttpRequest

from orders.models import Order

SESSION_KEY = "orders"
KEEP = 20
REMEMBER_FOR = 24 * 3600  # seconds: a guest at a shared computer leaves little behind


def key(request: HttpRequest) -> str:
    """The same for every POST of one browser, without a cookie of its own: the secret of its CSRF cookie."""
    return str(request.META.get("CSRF_COOKIE", ""))


def remember(request: HttpRequest, order: Order) -> None:
    """From now on this browser may see how this order goes, for a day."""
    kept = dict(list(_remembered(request).items())[-KEEP:])
    kept[order.reference] = int(time.time())
    request.session[SESSION_KEY] = kept


def references(request: HttpRequest) -> frozenset[str]:
    """The orders that this browser began within the last day."""
    oldest = time.time() - REMEMBER_FOR
    return frozenset(reference for reference, began in _remembered(request).items() if began > oldest)


def _remembered(request: HttpRequest) -> dict[str, int]:
    found: dict[str, int] = request.session.get(SESSION_KEY, {})
    return found
