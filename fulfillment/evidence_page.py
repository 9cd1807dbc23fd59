"""The admin's page for an order in dispute: the evidence as text, saved with Stripe, or submitted to the bank."""

import uuid
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from fulfillment import admin_pages, evidence
from fulfillment.fulfill import fulfill
from orders import stripe_api, stripe_desk
from orders.disputes import Case
from orders.models import Order

PERMISSION = "orders.answer_dispute"
TROUBLE = (stripe_api.StripeUnavailable, stripe_api.StripeRefused)


class SaveForm(forms.Form):
    dispute = forms.CharField(max_length=255, widget=forms.HiddenInput)
    key = forms.UUIDField(widget=forms.HiddenInput)


class SubmitForm(SaveForm):
    final = forms.BooleanField(
        label=gettext_lazy("I have read the evidence. The bank decides by it, and nothing can be added afterwards.")
    )


@admin_pages.for_order(PERMISSION, "GET", "HEAD")
def show(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    cases, problem = _cases(order)
    offers = [
        {
            "case": case,
            "save": SaveForm(initial={"dispute": case.id, "key": uuid.uuid4()}, auto_id=f"save-{case.id}-%s"),
            "submit": SubmitForm(initial={"dispute": case.id, "key": uuid.uuid4()}, auto_id=f"submit-{case.id}-%s"),
        }
        for case in cases
    ]
    context = {"order": order, "offers": offers, "problem": problem, "text": evidence.text(order)}
    return admin_pages.render(model_admin, request, "evidence", title=_("Evidence"), **context)


@admin_pages.for_order(PERMISSION, "GET", "HEAD")
def as_text(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    name = f"evidence-{order.reference}.txt"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return HttpResponse(evidence.text(order), content_type="text/plain; charset=utf-8", headers=headers)


def _answer(model_admin: ModelAdmin, request: HttpRequest, order: Order, *, submit: bool) -> HttpResponse:
    """Noted before Stripe is asked, like a refund; afterwards the order follows what Stripe says."""
    form = (SubmitForm if submit else SaveForm)(request.POST)
    cases, problem = _cases(order)
    named = form.data.get("dispute", "")
    case = next((case for case in cases if case.id == named and case.takes_evidence), None)
    if problem:
        messages.error(request, problem)
    elif not form.is_valid():
        messages.error(request, _("Nothing was sent: tick the box to say that this is final."))
    elif case is None:
        messages.error(request, _("Nothing was sent: this dispute takes no evidence now."))
    else:
        _send(model_admin, request, order, case, submit=submit, key=form.cleaned_data["key"])
    page = reverse("admin:orders_order_evidence", args=[order.pk])
    return HttpResponse(status=303, headers={"Location": page})


def _send(
    model_admin: ModelAdmin, request: HttpRequest, order: Order, case: Case, *, submit: bool, key: uuid.UUID
) -> None:
    what = f"evidence for {case.id} {'submitted to the bank' if submit else 'saved with Stripe'}"
    admin_pages.note(model_admin, request, order, what)
    try:
        stripe_desk.answer_dispute(case.id, evidence=evidence.fields(order), submit=submit, key=f"evidence-{key}")
    except stripe_api.StripeRefused as refusal:
        admin_pages.note(model_admin, request, order, f"evidence for {case.id} refused", reason=_why(refusal))
        messages.error(request, _("Stripe refused it: %(why)s") % {"why": _why(refusal)})
        return
    except stripe_api.StripeUnavailable:
        messages.warning(request, _("Stripe did not answer. Look below whether it has the evidence."))
        return
    if submit:
        messages.success(request, _("The bank has the evidence. Its decision takes weeks; the order then shows it."))
    else:
        messages.success(request, _("Stripe has it as a draft, which the bank does not see. Submit it in time."))
    _follow(order)


def _follow(order: Order) -> None:
    try:
        fulfill(str(order.stripe_session_id), door="admin")
    except TROUBLE:
        return  # Stripe's event brings the same a little later


def _why(refusal: stripe_api.StripeRefused) -> str:
    if stripe_desk.refusal_code(refusal) == "dispute_evidence_page_limit_exceeded":
        return _("It has more pages than this card network takes. Shorten the text and paste it in Stripe's dashboard.")
    return str(refusal)


def _cases(order: Order) -> tuple[tuple[Case, ...], str]:
    """The disputes about this order, and why they cannot be shown, or ""."""
    if not order.stripe_payment_intent_id:
        return (), ""
    try:
        return stripe_desk.dispute_cases(order.stripe_payment_intent_id), ""
    except TROUBLE as error:
        return (), _("Stripe cannot be asked about the dispute now: %(why)s") % {"why": error}


def _post(*, submit: bool) -> Any:
    return admin_pages.for_order(PERMISSION, "POST")(partial(_answer, submit=submit))


save, submit = _post(submit=False), _post(submit=True)
