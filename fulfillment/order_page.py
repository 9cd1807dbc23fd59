"""An order's own page, and its receipt: for whoever made it, or holds its link."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from catalog import money
from fulfillment import links
from fulfillment.story import story, with_story
from orders import browser
from orders.billing_models import Billing
from orders.models import Order, OrderQuerySet
from orders.views import visible_orders


@never_cache
@require_safe
def order_detail(request: HttpRequest, reference: str) -> HttpResponse:
    order = get_object_or_404(with_story(visible_orders(request)), reference=reference)
    mails = list(order.deliveries.all())
    context = {
        "order": order,
        "story": story(order),
        "mail": mails[-1] if mails else None,
        "may_correct": browser.may_correct(request, order),
    }
    return render(request, "orders/detail.html", context)


@never_cache
@require_safe
def receipt(request: HttpRequest, reference: str) -> HttpResponse:
    """A page to print, of a paid order. A mail's link opens it, too: what it says stands in the mail already."""
    orders = _readable(request, reference).filter(state=Order.State.PAID).prefetch_related("lines")
    order = get_object_or_404(orders, reference=reference)
    worth = sum(line.amount for line in order.lines.all())
    context = {
        "order": order,
        "billing": Billing.objects.filter(order=order).first(),
        "worth": money.display(worth, order.currency),
        "adjusted": money.display(order.total - worth, order.currency) if order.total != worth else "",
        "kept": money.display(order.total - order.refunded, order.currency),
        "seller_name": settings.SELLER_NAME,
        "seller_address": settings.SELLER_ADDRESS,
        "seller_tax_id": settings.SELLER_TAX_ID,
        "may_edit": "link" not in request.GET,
    }
    response = render(request, "orders/receipt.html", context)
    response["X-Robots-Tag"] = "noindex"
    return response


def _readable(request: HttpRequest, reference: str) -> OrderQuerySet:
    opened = links.read(request.GET.get("link", ""))
    if opened and opened.is_open and opened.reference == reference:
        return Order.objects.filter(reference=opened.reference, erased_at=None)
    return visible_orders(request)
