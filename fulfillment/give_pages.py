"""The admin's pages that give a product away: to an order's buyer, or to any address."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.addresses import MAX_LENGTH
from accounts.forms import AddressField
from catalog.models import Product
from fulfillment import admin_pages, giving
from fulfillment.mail_pages import ReasonForm
from orders.models import Order

PERMISSION = "orders.grant_order"
OFFERED = 500  # names that are offered while one is being typed; any other may be typed


class GiveForm(ReasonForm):
    key = forms.UUIDField(widget=forms.HiddenInput)
    product = forms.CharField(
        label=gettext_lazy("Product"),
        max_length=140,
        help_text=gettext_lazy("Its name, or the last part of its address."),
        widget=forms.TextInput(attrs={"class": "vTextField", "list": "products", "autocomplete": "off"}),
    )
    email = AddressField(
        label=gettext_lazy("To"),
        max_length=MAX_LENGTH,
        widget=forms.EmailInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text=gettext_lazy("Whoever has this mailbox can read it, in the library too."),
    )
    field_order = ("product", "email", "reason")

    def __init__(self, data: QueryDict | None, *, email: str) -> None:
        super().__init__(data, initial={"key": uuid.uuid4(), "email": email})

    def clean_product(self) -> Product:
        typed = self.cleaned_data["product"]
        product = Product.objects.filter(Q(name__iexact=typed) | Q(slug__iexact=typed)).order_by("pk").first()
        if product is None:
            raise ValidationError(_("There is no product with this name."), code="unknown")
        return product


def give_to_anybody(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    if not (model_admin.has_view_permission(request) and request.user.has_perm(PERMISSION)):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponseNotAllowed(("GET", "HEAD", "POST"))
    return _page(model_admin, request, None)


@admin_pages.for_order(PERMISSION)
def give_to_buyer(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    return _page(model_admin, request, order)


def _page(model_admin: ModelAdmin, request: HttpRequest, order: Order | None) -> HttpResponse:
    email = request.GET.get("email", "")[:MAX_LENGTH]
    if order:
        email = "" if order.erased_at else order.email
    form = GiveForm(admin_pages.sent(request), email=email)
    if request.method == "POST" and form.is_valid():
        try:
            given = _give(model_admin, request, order, form)
        except giving.GiveRefused as refused:
            form.add_error(None, str(refused))
        else:
            words = {"product": form.cleaned_data["product"], "email": given.order.email}
            messages.success(request, _("%(product)s is given. The mail is on its way to %(email)s.") % words)
            return admin_pages.back_to(given.order)
    context: dict[str, Any] = {
        "order": order,
        "form": form,
        "button": _("Give it away"),
        "products": Product.objects.exclude(status=Product.Status.DRAFT).order_by("name")[:OFFERED],
        "lead": _(
            "This makes an order of its own, at no price, and mails the files as if they had been bought. A draft can "
            "be given away as well, once it has an edition with files: to somebody who reviews it, say."
        ),
    }
    return admin_pages.render(model_admin, request, "give", title=_("Give a free copy"), **context)


@transaction.atomic
def _give(model_admin: ModelAdmin, request: HttpRequest, order: Order | None, form: GiveForm) -> giving.Given:
    asked = form.cleaned_data
    given = giving.give(
        asked["product"],
        to=asked["email"],
        key=asked["key"],
        by=admin_pages.actor(request),
        reason=asked["reason"],
        like=order,
    )
    if not given.again:
        model_admin.log_addition(request, given.order, f"free copy of {asked['product']}: {asked['reason']}")
        if order:
            admin_pages.log(model_admin, request, order, f"free copy given, {given.order}: {asked['reason']}")
    return given
