"""The pages behind a mail's link. GET shows and changes nothing, so a mail scanner does no harm; buttons POST."""

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from catalog.models import File
from fulfillment import library, links, zips
from fulfillment.access import Actor, may_read
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download
from fulfillment.resend import resend
from orders.models import Order
from orders.views import visible_orders


@never_cache
@require_safe
def link(request: HttpRequest, token: str) -> HttpResponse:
    """The files of one order, each with a button; or word that the time is over, with an offer of a fresh link."""
    opened = links.read(token)
    if opened is None:
        return _private(render(request, "fulfillment/link_invalid.html", status=404))
    if opened.voided:
        return _voided(request)
    order = get_object_or_404(Order, reference=opened.reference)
    if opened.expired:
        return _private(render(request, "fulfillment/link_expired.html", {"token": token, "sent": False}, status=410))
    _note_opening(request, order)
    items = library.items(Actor(link=order.reference), order=order)
    live = [item for item in items if item.editions]
    files = sum(len(item.editions[0].files.all()) for item in live)
    context = {"token": token, "order": order, "items": items, "is_ended": items and not live, "has_many": files > 1}
    return _private(render(request, "fulfillment/link.html", context))


def _note_opening(request: HttpRequest, order: Order) -> None:
    """The first time, for whoever asks whether a mail was read: a sign and no more, as scanners look, too."""
    if request.method == "GET" and order.link_opened_at is None:
        Order.objects.filter(pk=order.pk, link_opened_at=None).update(link_opened_at=timezone.now())


@never_cache
@require_POST
def link_file(request: HttpRequest, token: str, file_id: int) -> HttpResponse:
    """Send the browser on to the bytes, which it can then ask for in ranges."""
    opened = links.read(token)
    if opened is None or not opened.is_open:
        return HttpResponseRedirect(reverse("link", args=[token]), status=303)
    file = get_object_or_404(File.objects.select_related("edition__product"), pk=file_id)
    if may_read(Actor(link=opened.reference), file) is None:
        return _private(render(request, "fulfillment/access_ended.html", status=403))
    address = f"{reverse('download', args=[file.pk])}?{urlencode({'link': token})}"
    return HttpResponseRedirect(address, status=303)


@never_cache
@require_POST
def link_zip(request: HttpRequest, token: str) -> HttpResponseBase:
    """The newest edition of everything in the order as one ZIP. A button, because what GET leads to a scanner reads."""
    opened = links.read(token)
    if opened is None or not opened.is_open:
        return HttpResponseRedirect(reverse("link", args=[token]), status=303)
    order = get_object_or_404(Order, reference=opened.reference)
    items = library.items(Actor(link=order.reference), order=order)
    found = zips.entries(items, folders=len(items) > 1)
    if not found:
        return _private(zips.ended(request, items[0].entitlement if items else None))
    return zips.respond(request, found, name=order.reference, via=Download.Via.LINK)


@never_cache
@require_POST
def link_fresh(request: HttpRequest, token: str) -> HttpResponse:
    """Mail a fresh link to the address of the order, which this page does not tell."""
    opened = links.read(token)
    if opened is None:
        return _private(render(request, "fulfillment/link_invalid.html", status=404))
    if opened.voided:  # whoever holds it may be the wrong person: nothing follows from it, not even a mail
        return _voided(request)
    resend(get_object_or_404(Order, reference=opened.reference), Delivery.Kind.LINK)
    return _private(render(request, "fulfillment/link_expired.html", {"token": token, "sent": True}))


@never_cache
@require_POST
def order_link(request: HttpRequest, reference: str) -> HttpResponse:
    """Mail a fresh link, asked for on the order's own page."""
    order = get_object_or_404(visible_orders(request), reference=reference)
    resend(order, Delivery.Kind.LINK)
    return HttpResponseRedirect(f"{order.get_absolute_url()}?sent=1", status=303)


def _voided(request: HttpRequest) -> HttpResponse:
    return _private(render(request, "fulfillment/link_voided.html", status=410))


def _private(response: HttpResponse) -> HttpResponse:
    # The address holds the token: the site-wide Referrer-Policy, same-origin, tells it to nobody else. "no-referrer"
    # would make browsers send "Origin: null" with the buttons' POST, which the CSRF check refuses.
    response["X-Robots-Tag"] = "noindex"
    return response
