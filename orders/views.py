"""Pages about orders: what somebody bought, and the way back from a checkout that was left."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User, proven_emails
from catalog.models import Product
from orders import browser
from orders.models import Order, OrderQuerySet


def visible_orders(request: HttpRequest) -> OrderQuerySet:
    """The orders this visitor may see: their own, and those their browser began."""
    began = Order.objects.filter(reference__in=browser.references(request), erased_at=None)
    if isinstance(request.user, User):
        return Order.objects.owned_by(request.user, proven_emails(request.user)) | began
    return began


@never_cache
@login_required
@require_safe
def order_list(request: HttpRequest) -> HttpResponse:
    orders = visible_orders(request).confirmed().prefetch_related("lines")[:200]
    return render(request, "orders/list.html", {"orders": orders})


@never_cache
@require_safe
def checkout_cancelled(request: HttpRequest) -> HttpResponse:
    """Where Stripe's "back" leads: nothing was charged, and the product is one click away."""
    product = Product.objects.on_sale().filter(slug=request.GET.get("product", "")[:140].replace("\x00", "")).first()
    return render(request, "orders/cancelled.html", {"product": product})
