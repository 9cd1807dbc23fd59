"""The admin's page that forgets a customer who asked for it."""

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.addresses import MAX_LENGTH, without_addresses
from accounts.forms import AddressField
from fulfillment import admin_pages
from fulfillment.customer_models import Customer
from fulfillment.customers import Person
from fulfillment.erase import EraseRefused, erase_address
from fulfillment.mail_pages import ReasonForm

PERMISSION = "accounts.delete_user"  # of the roles, the owner's alone


class EraseForm(ReasonForm):
    email = AddressField(
        label=gettext_lazy("The customer’s address"),
        max_length=MAX_LENGTH,
        widget=forms.EmailInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text=gettext_lazy("Typed out, so that nobody is erased by accident."),
    )
    field_order = ("reason", "email")

    def __init__(self, email: str, data: QueryDict | None) -> None:
        super().__init__(data)
        self.expected = email
        self.fields["reason"].help_text = admin_pages.LOGGED_HELP

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email != self.expected:
            raise forms.ValidationError(_("This is not the address of this customer."), code="other")
        return email


def erase(model_admin: ModelAdmin, request: HttpRequest, someone: Person) -> HttpResponse:
    """Says what goes and what stays; does it once the address is typed. It cannot be undone."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    form = EraseForm(someone.email, admin_pages.sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            _erase(request, someone.email, form.cleaned_data["reason"])
        except EraseRefused as refused:
            form.add_error(None, _why(refused))
        else:
            messages.success(request, _("The customer is erased. Redact the payments in Stripe’s dashboard, too."))
            return HttpResponseRedirect(reverse("admin:fulfillment_customer_changelist"), status=303)
    lead = _(
        "%(email)s asked to be forgotten: the account, its addresses, what was downloaded from where and the names on "
        "receipts go, and every mailed link stops working. Orders, amounts and refunds stay, as the law asks of a "
        "shop, and name nobody from then on. Stripe keeps its own records. It cannot be undone."
    )
    context = {
        "form": form,
        "button": _("Erase for good"),
        "lead": lead % {"email": someone.email},
        "back": f"{reverse('admin:fulfillment_customer_person')}?{urlencode({'email': someone.email})}",
    }
    return admin_pages.render(model_admin, request, "act", title=_("Erase this customer"), **context)


@transaction.atomic
def _erase(request: HttpRequest, email: str, reason: str) -> None:
    """With an entry in the log that names no address: the log outlives the wish to be forgotten."""
    erased = erase_address(email)
    LogEntry.objects.create(
        user=admin_pages.actor(request),
        content_type=ContentType.objects.get_for_model(Customer, for_concrete_model=False),
        object_repr="erased",
        action_flag=DELETION,
        change_message=without_addresses(f"erased {erased}: {reason}"),
    )


def _why(refused: EraseRefused) -> str:
    if not refused.orders:
        return _("People of the shop are not erased: take “active” away from their account.")
    said = _("Nothing was erased: a payment, a refund or a dispute is still open: %(orders)s.")
    return said % {"orders": ", ".join(refused.orders)}
