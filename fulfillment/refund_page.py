"""The admin's page that gives money back: everything, chosen lines, or an amount."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog import money
from fulfillment import admin_pages
from fulfillment.refunding import carry_out
from orders import refunds
from orders.models import Order
from orders.refund_models import RefundRequest

PERMISSION = "orders.refund_order"
ALL, LINES, AMOUNT = "all", "lines", "amount"


class RefundForm(forms.Form):
    """Nothing is chosen beforehand, and what was filled in for another choice is an error: money follows from it."""

    key = forms.UUIDField(widget=forms.HiddenInput)
    what = forms.ChoiceField(label=gettext_lazy("Give back"), widget=forms.RadioSelect)
    lines = forms.MultipleChoiceField(
        label=gettext_lazy("Lines"), required=False, widget=forms.CheckboxSelectMultiple, choices=()
    )
    amount = forms.CharField(
        label=gettext_lazy("Amount"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"autocomplete": "off", "inputmode": "decimal"}),
    )
    reason = forms.ChoiceField(label=gettext_lazy("Reason"), help_text=gettext_lazy("Stripe is told this one."))
    note = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=500,
        help_text=admin_pages.REASON_HELP,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, order: Order, data: QueryDict | None) -> None:
        super().__init__(data, initial={"key": uuid.uuid4()})
        self.order = order
        self.fields["reason"].choices = [("", "–"), *RefundRequest.Reason.choices]  # type: ignore[attr-defined]
        whats = [(ALL, _("everything that is left")), (LINES, _("these lines")), (AMOUNT, _("this amount"))]
        lines = [(line, refunds.line_left(line)) for line in order.lines.all()]
        self.fields["lines"].choices = [  # type: ignore[attr-defined]
            (str(line.pk), f"{line.name}: {money.display(left, order.currency)}") for line, left in lines if left
        ]
        if len(lines) < 2:
            del whats[1], self.fields["lines"]
        self.fields["what"].choices = whats  # type: ignore[attr-defined]
        self.fields["amount"].help_text = _("In %(currency)s. Access stays unless a whole line is paid back.") % {
            "currency": order.currency.upper()
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        what = cleaned.get("what")
        if what and what != LINES and cleaned.get("lines"):
            self.add_error("lines", _("Lines are ticked, but something else is to be given back."))
        if what and what != AMOUNT and cleaned.get("amount"):
            self.add_error("amount", _("An amount is written here, but something else is to be given back."))
        if what == LINES and not cleaned.get("lines"):
            self.add_error("lines", _("Tick the lines to give back."))
        if what == AMOUNT:
            self._clean_amount(cleaned)
        return cleaned

    def _clean_amount(self, cleaned: dict[str, Any]) -> None:
        try:
            cleaned["amount"] = money.read(cleaned.get("amount", ""), self.order.currency)
        except ValidationError:  # it speaks of prices
            cleaned["amount"] = 0
        if not cleaned["amount"]:
            left = money.display(refunds.left(self.order), self.order.currency)
            said = _("Write how much to give back as a plain number: at most %(left)s, and no more decimals than that.")
            self.add_error("amount", ValidationError(said % {"left": left}, code="amount"))


@admin_pages.for_order(PERMISSION)
def refund(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    """The row is committed before Stripe is asked; what Stripe then says is told, and the order follows at once."""
    form = RefundForm(order, admin_pages.sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            asked = _ask(model_admin, request, order, form)
        except refunds.RefundRefused as refused:
            form.add_error(None, str(refused))
        else:
            for row in asked.rows:
                carry_out(row.pk, door="admin")
                row.refresh_from_db()
                _tell(request, row)
            return admin_pages.back_to(order)
    left = refunds.left(order)
    context = {
        "order": order,
        "form": form,
        "left": left,
        "left_display": money.display(left, order.currency),
        "on_its_way": money.display(max(0, order.total - order.refunded - left), order.currency),
        "earlier": order.refund_requests.select_related("line", "asked_by"),
        "possible": bool(left and order.is_paid and order.stripe_payment_intent_id) and not _is_disputed(order),
        "is_disputed": _is_disputed(order),
    }
    return admin_pages.render(model_admin, request, "refund", title=_("Refund"), **context)


def _is_disputed(order: Order) -> bool:
    """Stripe refuses refunds of what the bank takes or has taken back."""
    return order.dispute in (Order.Dispute.OPEN, Order.Dispute.LOST)


@transaction.atomic
def _ask(model_admin: ModelAdmin, request: HttpRequest, order: Order, form: RefundForm) -> refunds.Asked:
    given = form.cleaned_data
    asked = refunds.request(
        order.pk,
        key=given["key"],
        by=admin_pages.actor(request),
        reason=given["reason"],
        note=given["note"],
        lines=[int(pk) for pk in given.get("lines", ())],
        amount=given["amount"] if given["what"] == AMOUNT else None,
    )
    if not asked.again:
        amounts = ", ".join(f"{row.amount_display}{f' for {row.line}' if row.line else ''}" for row in asked.rows)
        admin_pages.log(model_admin, request, order, f"refund of {amounts} asked: {given['note']}")
    return asked


def _tell(request: HttpRequest, row: RefundRequest) -> None:
    words = {"amount": row.amount_display, "answer": row.answer}
    states = RefundRequest.State
    if row.state == states.MADE:
        messages.success(request, _("%(amount)s goes back to the customer. Stripe says: %(answer)s.") % words)
    elif row.state == states.ACCEPTED:
        messages.warning(request, _("Stripe gives %(amount)s back; the order follows in a minute.") % words)
    elif row.state == states.REFUSED:
        messages.error(request, _("%(amount)s was not given back. %(answer)s") % words)
    else:
        messages.warning(
            request,
            _("Stripe has not answered about %(amount)s yet. The shop asks again by itself: do not ask anew.") % words,
        )
