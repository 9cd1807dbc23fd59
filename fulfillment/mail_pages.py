"""The admin's pages about an order's mail: send it again, to the right address; make what was mailed invalid."""

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.addresses import MAX_LENGTH
from accounts.forms import AddressField
from fulfillment import admin_pages, links
from fulfillment.resend import ResendRefused, resend_order
from orders.history import who
from orders.models import Order

PERMISSION = "orders.mail_order"


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=160,
        help_text=admin_pages.REASON_HELP,
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


class MailForm(ReasonForm):
    email = AddressField(
        label=gettext_lazy("To"),
        max_length=MAX_LENGTH,
        widget=forms.EmailInput(attrs={"class": "vTextField"}),
        help_text=gettext_lazy("Another address becomes the order's own, and links in earlier mails stop working."),
    )
    field_order = ("email", "reason")


@admin_pages.for_order(PERMISSION)
def send_again(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    form = MailForm(admin_pages.sent(request), initial={"email": order.email})
    if request.method == "POST" and form.is_valid():
        try:
            _send_again(model_admin, request, order, form)
        except ResendRefused as refused:
            form.add_error(None, str(refused))
        else:
            return admin_pages.back_to(order)
    context = {
        "order": order,
        "form": form,
        "button": _("Send the mail"),
        "lead": _("The mail with the link to the files, once more; at most one a minute."),
    }
    return admin_pages.render(model_admin, request, "act", title=_("Send the mail again"), **context)


@transaction.atomic
def _send_again(model_admin: ModelAdmin, request: HttpRequest, order: Order, form: MailForm) -> None:
    reason = f"{form.cleaned_data['reason']} – {who(admin_pages.actor(request))}"
    sent = resend_order(order.reference, to=form.cleaned_data["email"], reason=reason, door="admin")
    what = "mail sent again" if sent.before is None else "address corrected, mail sent again"
    admin_pages.log(model_admin, request, order, f"{what}: {form.cleaned_data['reason']}")
    messages.success(request, _("The mail is on its way to %(email)s.") % {"email": sent.delivery.recipient})


@admin_pages.for_order(PERMISSION)
def void_links(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    form = ReasonForm(admin_pages.sent(request))
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            links.void(order)
            admin_pages.note(
                model_admin, request, order, "all mailed links made invalid", reason=form.cleaned_data["reason"]
            )
        messages.success(request, _("No link that was mailed until now opens anything any more."))
        return admin_pages.back_to(order)
    context = {
        "order": order,
        "form": form,
        "button": _("Make them invalid"),
        "lead": _(
            "Every link that was mailed for this order until now stops working. The customer keeps the library, "
            "and the next mail has a link that works."
        ),
    }
    return admin_pages.render(model_admin, request, "act", title=_("Make all mailed links invalid"), **context)
