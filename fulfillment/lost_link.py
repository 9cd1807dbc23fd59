"""“I lost my link”: everything that was bought with an address, mailed to that address. The page tells nobody what."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import limits
from accounts.addresses import MAX_LENGTH
from accounts.forms import AddressField
from accounts.models import proven_owners
from fulfillment import links
from fulfillment.access import right_of
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from orders.models import Order, OrderLine, new_reference
from storefront.celery import enqueue

MOST = 100  # orders in one mail, the newest
PER_NETWORK, PER_ADDRESS = 30, 3  # questions, and mails, in ten minutes


class LostForm(forms.Form):
    email = AddressField(
        label=_("The address you bought with"),
        max_length=MAX_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


@dataclass(frozen=True)
class Bought:
    """One order as its buyer is told of it: a fresh link, or why there is none."""

    order: Order
    names: list[str]
    link: str
    why: str


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def lost(request: HttpRequest) -> HttpResponse:
    """Answers the same, and does the same, for every address: one row is written. Who looks at it later finds out
    whether there is anything to mail.

    Each network may ask so often, and each address is written to so often; whoever asks more often for one is
    answered as before, because a mail is on its way.
    """
    form = LostForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if not limits.network_within(request, "lost link", PER_NETWORK):
            return limits.too_often(request)
        email = form.cleaned_data["email"]
        if limits.key_within("lost link", email, PER_ADDRESS):
            ask(email)
        return HttpResponseRedirect(f"{reverse('lost')}?sent=1", status=303)
    return render(request, "fulfillment/lost.html", {"form": form, "sent": "sent" in request.GET})


def ask(email: str) -> None:
    """Have everything bought with this address mailed there. May be repeated: one mail at a time waits to be sent."""
    letter = Delivery(kind=Delivery.Kind.LOST, recipient=email, about=new_reference())
    Delivery.objects.bulk_create([letter], ignore_conflicts=True)
    enqueue("fulfillment.tasks.send_due_mails")


def content(letter: Delivery) -> dict[str, Any] | None:
    """What the mail tells, or None where nothing was bought with its address: then there is no mail."""
    email = letter.recipient
    orders = Order.objects.filter(Q(email=email) | Q(user_id__in=proven_owners(email)))
    orders = orders.filter(state__in=(Order.State.PAID, Order.State.PROCESSING)).order_by("-created_at", "-pk")
    found = list(orders.prefetch_related("lines__entitlement")[: MOST + 1])
    if not found:
        return None
    return {"bought": [_bought(order) for order in found[:MOST]], "more": len(found) > MOST}


def _bought(order: Order) -> Bought:
    lines = list(order.lines.all())
    live = [line.name for line in lines if _is_active(line)]
    if order.gives_access and live:
        return Bought(order, live, links.address(order), "")
    return Bought(order, [line.name for line in lines], "", _why(order, lines))


def _is_active(line: OrderLine) -> bool:
    right = right_of(line)
    return right is not None and right.is_active


def _why(order: Order, lines: list[OrderLine]) -> str:
    """A word for the templates, which say it in whole sentences."""
    if not order.is_paid:
        return "waiting"
    if order.dispute == Order.Dispute.OPEN:
        return "disputed"
    if order.dispute == Order.Dispute.LOST:
        return "dispute_lost"
    reasons = {right.reason for line in lines if (right := right_of(line))}
    if order.is_refunded or Entitlement.Reason.REFUNDED in reasons:
        return "refunded"
    if Entitlement.Reason.HELD in reasons:
        return "suspended"
    return "over" if reasons else "held"
