"""What a buyer writes about themselves for the receipt: name or company, address, VAT number."""

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import limits
from orders.billing_models import Billing
from orders.models import Order, TimelineEntry
from orders.views import visible_orders

MOST_LINES = 6
CHANGES = 20  # of one order in ten minutes


class BillingForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name or company"),
        max_length=120,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    address = forms.CharField(
        label=gettext_lazy("Postal address"),
        max_length=400,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "street-address"}),
    )
    vat_number = forms.CharField(label=gettext_lazy("VAT number"), max_length=30, required=False)

    def clean_address(self) -> str:
        """Lines without blanks around them or between them; a receipt has room for six."""
        lines = [line for raw in self.cleaned_data["address"].splitlines() if (line := raw.strip())]
        if len(lines) > MOST_LINES:
            raise forms.ValidationError(_("Please write the address in at most six lines."), code="lines")
        return "\n".join(lines)

    def clean_vat_number(self) -> str:
        return " ".join(self.cleaned_data["vat_number"].split()).upper()


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def billing(request: HttpRequest, reference: str) -> HttpResponse:
    """Write or correct the details, at any time, for whoever may see the order; 404 for everybody else."""
    order = get_object_or_404(visible_orders(request).filter(state=Order.State.PAID), reference=reference)
    form = BillingForm(request.POST if request.method == "POST" else None, initial=_written(order))
    if request.method == "POST" and form.is_valid():
        if not limits.key_within("billing", order.reference, CHANGES):
            return limits.too_often(request)
        _write(order, form.cleaned_data)
        messages.success(request, _("Your receipt shows these details now."))
        return HttpResponseRedirect(reverse("receipt", args=[order.reference]), status=303)
    return render(request, "orders/billing.html", {"order": order, "form": form})


def _written(order: Order) -> dict[str, str]:
    billing = Billing.objects.filter(order=order).first() or Billing()
    return {"name": billing.name, "address": billing.address, "vat_number": billing.vat_number}


@transaction.atomic
def _write(order: Order, details: dict[str, str]) -> None:
    """Keep the details and note that they changed, not to what: the timeline is kept for good."""
    # Not its key: a sender that holds one of the mails writes to the timeline, and both would wait for ever.
    locked = Order.objects.select_for_update(of=("self",), no_key=True).get(pk=order.pk)
    if locked.erased_at or _written(order) == details:
        return
    Billing.objects.update_or_create(order=order, defaults={**details, "changed_at": timezone.now()})
    order.timeline.create(kind=TimelineEntry.Kind.BILLING, door="order page", detail="changed by the buyer")
