"""The buyer's “wrong address?”: whoever has just paid says where the mail should have gone."""

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.addresses import MAX_LENGTH
from accounts.forms import AddressField
from fulfillment.resend import ResendRefused, resend_order
from orders import browser
from orders.models import Order

DOOR = "wrong address"
AT_MOST = 3  # corrections of one order: who mistypes more often than that is writing to strangers


class AddressForm(forms.Form):
    email = AddressField(
        label=gettext_lazy("The right address"),
        max_length=MAX_LENGTH,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def wrong_address(request: HttpRequest, reference: str) -> HttpResponse:
    """Correct the address and mail the files there; what went to the wrong one opens nothing any more.

    404 for every browser but the one that pressed "Buy", whoever is signed in there and whether the order exists.
    """
    order = get_object_or_404(Order, reference=reference, reference__in=browser.references(request))
    if not browser.may_correct(request, order):
        messages.error(request, _("The address can be corrected within an hour of the payment. Please write to us."))
        return redirect(order)
    form = AddressForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and _correct(request, order, form):
        query = urlencode({"session_id": order.stripe_session_id or ""})
        return HttpResponseRedirect(f"{reverse('checkout_done')}?{query}", status=303)
    return render(request, "orders/wrong_address.html", {"order": order, "form": form})


def _correct(request: HttpRequest, order: Order, form: AddressForm) -> bool:
    try:
        # A typo is noticed within seconds: the mail may wait until the minute since the last one is over.
        sent = resend_order(order.reference, to=form.cleaned_data["email"], door=DOOR, wait=True, at_most=AT_MOST)
    except ResendRefused:
        form.add_error(None, ValidationError(_("It cannot be corrected here any more. Please write to us.")))
        return False
    messages.success(request, _("The mail goes to %(email)s within a minute.") % {"email": sent.delivery.recipient})
    return True
