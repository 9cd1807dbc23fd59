"""The doors around Stripe's page: "Buy" leads there, the success page is where it sends the buyer back."""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import limits
from accounts.models import User
from catalog.models import Product
from fulfillment import library
from fulfillment.access import Actor, owns
from fulfillment.converge import deliver
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from orders import browser, checkout, language, stripe_api
from orders.models import Order, TimelineEntry
from orders.views import visible_orders
from storefront.celery import enqueue

log = logging.getLogger(__name__)

ASK_EVERY = timedelta(seconds=2)
# Seconds until a pending page looks again, by how often it has looked; the last one stays.
REFRESH_SECONDS = {
    Order.State.OPEN: (2, 2, 2, 3, 5, 5, 10, 10, 30),
    Order.State.PROCESSING: (30, 60, 120, 300, 600),  # a bank debit takes days
}


@require_POST
def buy(request: HttpRequest, slug: str) -> HttpResponse:
    """The request decides nothing but which product; all else comes from the database."""
    product = get_object_or_404(Product.objects.on_sale(), slug=slug)
    user = request.user if isinstance(request.user, User) else None
    if user and owns(Actor.of(request), product):
        return redirect("library")
    if product.is_free:
        return _take_free(product, user)
    on_its_way = visible_orders(request).filter(state=Order.State.PROCESSING, lines__product=product).first()
    if on_its_way:  # a bank debit takes days: nobody should pay twice for want of patience
        return redirect(on_its_way)
    # Stolen cards are tried out where a checkout costs nothing. What a visitor owns or gets for free is not counted.
    if not limits.within(
        request,
        "checkout",
        per_network=settings.CHECKOUTS_PER_NETWORK,
        key=f"product {product.pk}",
        per_key=settings.CHECKOUTS_PER_PRODUCT,
    ):
        return limits.too_often(request)
    try:
        order, url = checkout.begin(product, user=user, browser=browser.key(request))
    except (stripe_api.StripeUnavailable, stripe_api.StripeRefused):
        log.exception("checkout for %s could not begin", product)
        return render(request, "orders/unavailable.html", {"product": product}, status=503)
    browser.remember(request, order)
    browser.note_buyer(request, order)
    return HttpResponseRedirect(url, status=303)


def _take_free(product: Product, user: User | None) -> HttpResponse:
    if user:
        give_free(product, user)
        return redirect("library")
    edition = product.edition_on_sale()
    files = list(edition.files.all()) if edition else []
    return redirect("download", files[0].pk) if len(files) == 1 else redirect(product)


@transaction.atomic
def give_free(product: Product, user: User) -> None:
    """Put a free product into the user's library, through an order like any other. May be repeated."""
    User.objects.select_for_update().get(pk=user.pk)  # two clicks at once: the second finds what the first gave
    edition = product.edition_on_sale()
    if edition is None or owns(Actor(user=user), product):
        return
    order = Order.objects.create(
        user=user,
        email=user.email,
        language=language.of_reader(),
        state=Order.State.PAID,
        source=Order.Source.FREE,
        currency=product.currency,
        livemode=stripe_api.is_live(),
        paid_at=timezone.now(),
    )
    line = checkout.add_line(order, product, edition)
    order.timeline.create(kind=TimelineEntry.Kind.CREATED, door="free", detail=product.name)
    deliver(order, [line], door="free")
    enqueue("fulfillment.tasks.send_due_mails")


@never_cache
@require_safe
def checkout_done(request: HttpRequest) -> HttpResponse:
    """Stripe sends the buyer here after paying. Whose session it is not sees nothing of it; a reload changes nothing.

    The page asks Stripe itself, briefly, so a lost webhook is not noticed; without an answer it looks again by itself.
    """
    session_id = request.GET.get("session_id", "")
    known = stripe_api.SESSION_ID.fullmatch(session_id)
    order = visible_orders(request).filter(stripe_session_id=session_id).first() if known else None
    if order is None:
        return render(request, "orders/done_unknown.html")
    if order.state in Order.UNSETTLED and _may_ask(order):
        order = _ask_stripe(order, session_id)
    looked = request.GET.get("looked", "")
    count = int(looked) if looked.isascii() and looked.isdigit() and len(looked) < 4 else 0
    waits = REFRESH_SECONDS.get(Order.State(order.state), (0,))
    context = {
        "order": order,
        "items": library.items(Actor.of(request), order=order),
        "mail": order.deliveries.filter(kind=Delivery.Kind.ORDER).order_by("-seq").first(),
        "may_correct": browser.may_correct(request, order),
        "refresh": waits[min(count, len(waits) - 1)],
        "looked": count + 1,
    }
    return render(request, "orders/done.html", context)


def _may_ask(order: Order) -> bool:
    """At most one request to Stripe per order every two seconds, however often the page is loaded."""
    now = timezone.now()
    recently = Q(asked_at=None) | Q(asked_at__lt=now - ASK_EVERY)
    return bool(Order.objects.filter(recently, pk=order.pk).update(asked_at=now))


def _ask_stripe(order: Order, session_id: str) -> Order:
    try:
        return fulfill(session_id, door="success page", patience=stripe_api.Patience.PAGE).order or order
    except (stripe_api.StripeUnavailable, stripe_api.StripeRefused) as error:
        log.warning("order %s: the success page got no answer from Stripe: %s", order.reference, error)
        return order
