"""The admin's pages that suspend what an order gave, and restore it."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fulfillment import admin_pages, holds
from fulfillment.hold_models import Hold
from fulfillment.mail_pages import ReasonForm
from orders.models import Order

PERMISSION = "orders.suspend_order"
WHOLE = "order"


class SuspendForm(ReasonForm):
    key = forms.UUIDField(widget=forms.HiddenInput)
    what = forms.ChoiceField(label=gettext_lazy("Suspend"), widget=forms.RadioSelect)
    field_order = ("what", "reason")

    def __init__(self, order: Order, data: QueryDict | None) -> None:
        super().__init__(data, initial={"key": uuid.uuid4(), "what": WHOLE})
        lines = [(str(line.pk), line.name) for line in order.lines.all()]
        choices = [(WHOLE, _("the whole order")), *(lines if len(lines) > 1 else [])]
        self.fields["what"].choices = choices  # type: ignore[attr-defined]

    @property
    def line_id(self) -> int | None:
        what = self.cleaned_data["what"]
        return None if what == WHOLE else int(what)


class RestoreForm(ReasonForm):
    holds = forms.MultipleChoiceField(label=gettext_lazy("Restore"), widget=forms.CheckboxSelectMultiple)
    field_order = ("holds", "reason")

    def __init__(self, found: list[Hold], data: QueryDict | None) -> None:
        super().__init__(data, initial={"holds": [str(hold.pk) for hold in found]})
        words = [(str(hold.pk), _named(hold)) for hold in found]
        self.fields["holds"].choices = words  # type: ignore[attr-defined]


def _named(hold: Hold) -> str:
    return _("%(what)s: %(reason)s") % {
        "what": hold.line.name if hold.line else _("the whole order"),
        "reason": hold.reason,
    }


@admin_pages.for_order(PERMISSION)
def suspend(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    form = SuspendForm(order, admin_pages.sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            _suspend(model_admin, request, order, form)
        except holds.HoldRefused as refused:
            form.add_error(None, str(refused))
        else:
            messages.success(request, _("Access is suspended. Nothing that Stripe says restores it: you do."))
            return admin_pages.back_to(order)
    lead = _(
        "From now on nothing that was bought with this order can be read or downloaded, by link or in the library, and "
        "no mail with a link goes out. The money stays where it is. The buyer sees that access is suspended, and is "
        "asked to write to you; your reason is not shown to them."
    )
    return _page(model_admin, request, order, form, title=_("Suspend access"), button=_("Suspend"), lead=lead)


@transaction.atomic
def _suspend(model_admin: ModelAdmin, request: HttpRequest, order: Order, form: SuspendForm) -> None:
    given = form.cleaned_data
    again = Hold.objects.filter(key=given["key"]).exists()
    hold = holds.place(
        order.pk, line_id=form.line_id, key=given["key"], by=admin_pages.actor(request), reason=given["reason"]
    )
    if not again:
        admin_pages.log(model_admin, request, order, f"access suspended, {_what(hold)}: {given['reason']}")


def _what(hold: Hold) -> str:
    return hold.line.name if hold.line else "the whole order"


@admin_pages.for_order(PERMISSION)
def restore(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    title, found = _("Restore access"), list(order.holds.open().select_related("line"))
    if not found:
        lead = _("Nothing of this order is suspended by hand.")
        return _page(model_admin, request, order, None, title=title, lead=lead)
    form = RestoreForm(found, admin_pages.sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            restored = _restore(model_admin, request, order, form)
        except holds.HoldRefused as refused:
            form.add_error(None, str(refused))
        else:
            _tell(request, restored)
            return admin_pages.back_to(order)
    lead = _(
        "What the order gives follows its payment again: what was paid for can be read, and what was refunded or is "
        "disputed stays closed. A mail that was held back is sent."
    )
    return _page(model_admin, request, order, form, title=title, button=_("Restore"), lead=lead)


@transaction.atomic
def _restore(model_admin: ModelAdmin, request: HttpRequest, order: Order, form: RestoreForm) -> holds.Restored:
    given = form.cleaned_data
    ids = [int(pk) for pk in given["holds"]]
    restored = holds.lift(order.pk, ids, by=admin_pages.actor(request), reason=given["reason"])
    admin_pages.log(model_admin, request, order, f"access restored: {given['reason']}")
    return restored


def _tell(request: HttpRequest, restored: holds.Restored) -> None:
    if restored.open:
        messages.success(request, _("Can be read again: %(names)s.") % {"names": ", ".join(restored.open)})
    for name, reason in restored.closed:
        messages.warning(request, _("%(name)s stays closed: %(reason)s.") % {"name": name, "reason": reason.lower()})


def _page(
    model_admin: ModelAdmin, request: HttpRequest, order: Order, form: forms.Form | None, *, title: str, **words: Any
) -> HttpResponse:
    return admin_pages.render(model_admin, request, "act", title=title, order=order, form=form, **words)
