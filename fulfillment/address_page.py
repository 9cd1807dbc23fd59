"""The admin's page that corrects an order's address, whatever became of its mails and its access."""

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.addresses import MAX_LENGTH
from accounts.forms import AddressField
from fulfillment import admin_pages
from fulfillment.mail_pages import PERMISSION, ReasonForm
from fulfillment.resend import Corrected, ResendRefused, correct_address
from orders.history import who
from orders.models import Order


class CorrectForm(ReasonForm):
    email = AddressField(
        label=gettext_lazy("The right address"),
        max_length=MAX_LENGTH,
        widget=forms.EmailInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )
    field_order = ("email", "reason")


@admin_pages.for_order(PERMISSION)
def correct(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    form = CorrectForm(admin_pages.sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            corrected = _correct(model_admin, request, order, form)
        except ResendRefused as refused:
            form.add_error(None, str(refused))
        else:
            _tell(request, corrected)
            return admin_pages.back_to(order)
    context = {"order": order, "form": form, "button": _("Correct it"), "lead": _who_gets_what(order)}
    return admin_pages.render(model_admin, request, "act", title=_("Correct the address"), **context)


def _who_gets_what(order: Order) -> str:
    if order.erased_at:
        return _("The buyer asked to be forgotten: this order has no address any more, and gets none.")
    if order.user:
        library = _("The files stay in the library of the account %(account)s.") % {"account": order.user.email}
    else:
        library = _(
            "The files move to the library of whoever signs in with the right address, and leave the old one's."
        )
    mails = _(
        "From now on all mails about this order go to the right address, the one with the link within a minute. Links "
        "that were mailed to the old address stop working, and what still waits for it is not sent."
    )
    return f"{mails} {library}"


@transaction.atomic
def _correct(model_admin: ModelAdmin, request: HttpRequest, order: Order, form: CorrectForm) -> Corrected:
    reason = form.cleaned_data["reason"]
    told = f"{reason} – {who(admin_pages.actor(request))}"
    corrected = correct_address(order.pk, to=form.cleaned_data["email"], reason=told, door="admin")
    if corrected.before is not None:
        admin_pages.log(model_admin, request, order, f"address corrected: {reason}")
    return corrected


def _tell(request: HttpRequest, corrected: Corrected) -> None:
    email = {"email": corrected.email}
    if corrected.before is None:
        messages.info(request, _("%(email)s is the address of this order already.") % email)
    elif corrected.delivery:
        messages.success(request, _("The mail goes to %(email)s within a minute.") % email)
    else:
        messages.warning(
            request, _("The address is %(email)s now. No mail was sent: the order gives access to nothing.") % email
        )
