"""The admin's replay: first what it would change, in words, then the form that asks why and does it."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from fulfillment import admin_pages
from fulfillment.fulfill import fulfill
from fulfillment.mail_pages import ReasonForm
from fulfillment.models import StripeEvent
from fulfillment.preview import Preview, preview
from fulfillment.replay import Replayed, Selection, replay
from orders import stripe_api
from orders.models import Order

PERMISSION = "orders.replay_order"
AT_MOST = 50  # events on one page: each is a question to Stripe while somebody waits
TROUBLE = (stripe_api.StripeUnavailable, stripe_api.StripeRefused)


@admin_pages.for_order(PERMISSION)
def replay_order(model_admin: ModelAdmin, request: HttpRequest, order: Order) -> HttpResponse:
    """GET asks Stripe and rolls back; POST fulfills."""
    if not order.stripe_session_id:
        messages.error(request, _("This order has no Checkout Session to ask Stripe about."))
        return admin_pages.back_to(order)
    form = ReasonForm(admin_pages.sent(request))
    if request.method == "POST" and form.is_valid():
        _fulfill(model_admin, request, order, reason=form.cleaned_data["reason"])
        return admin_pages.back_to(order)
    previews, problem = _difference(str(order.stripe_session_id))
    context = {"order": order, "form": form, "previews": previews, "problem": problem}
    return admin_pages.render(model_admin, request, "replay", title=_("Replay"), **context)


def _difference(session_id: str) -> tuple[list[Preview], str]:
    """What would change, if anything, and why Stripe could not be asked, or ""."""
    try:
        seen = preview(session_id, door="replay")
    except TROUBLE as error:
        return [], str(error)
    return [seen] if seen.changes else [], ""


def _fulfill(model_admin: ModelAdmin, request: HttpRequest, order: Order, *, reason: str) -> None:
    admin_pages.note(model_admin, request, order, "replayed", reason=reason)
    session_id = str(order.stripe_session_id)
    try:
        stale = fulfill(session_id, door="replay").stale
    except TROUBLE as error:
        messages.error(request, _("Stripe could not be asked: %(why)s") % {"why": error})
        return
    if stale:
        messages.warning(request, _("Others are changing this order right now. Look again in a minute."))
    else:
        messages.success(request, _("The order is in line with Stripe."))


def address(ids: Iterable[int]) -> str:
    """The page about these events."""
    return f"{reverse('admin:fulfillment_stripeevent_replay')}?{urlencode({'ids': ','.join(map(str, ids))})}"


def replay_events(model_admin: ModelAdmin, request: HttpRequest) -> HttpResponse:
    """GET shows what a replay of the events named by `ids` would change, and rolls back; POST replays them."""
    if not (model_admin.has_view_permission(request) and request.user.has_perm(PERMISSION)):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponseNotAllowed(("GET", "HEAD", "POST"))
    ids = [word for word in request.GET.get("ids", "").split(",") if word.isascii() and word.isdigit()][:AT_MOST]
    events = StripeEvent.objects.filter(pk__in=[number for number in map(int, ids) if number < 2**63]).order_by("pk")
    names = tuple(events.values_list("event_id", flat=True))
    if not names:
        messages.error(request, _("Choose events in the list first."))
        return HttpResponseRedirect(reverse("admin:fulfillment_stripeevent_changelist"), status=303)
    form = ReasonForm(admin_pages.sent(request))
    form.fields["reason"].help_text = admin_pages.LOGGED_HELP
    run = partial(replay, Selection(events=names), say=_nobody)
    if request.method == "POST" and form.is_valid():
        for event in events:
            model_admin.log_change(request, event, f"replayed: {form.cleaned_data['reason']}")
        _tell(request, run())
        return HttpResponseRedirect(reverse("admin:fulfillment_stripeevent_changelist"), status=303)
    replayed = run(dry_run=True)
    context: dict[str, Any] = {"form": form, "events": events, "previews": replayed.previews, "left": replayed.left}
    return admin_pages.render(model_admin, request, "replay", title=_("Replay"), **context)


def _nobody(line: str) -> None:
    """The page shows what was found in its own way."""


def _tell(request: HttpRequest, replayed: Replayed) -> None:
    tell = messages.error if replayed.failed else messages.success
    number = len(replayed.sessions)
    said = [ngettext("Replayed %(n)s payment.", "Replayed %(n)s payments.", number) % {"n": number}]
    if skipped := replayed.counts["skipped"]:
        said.append(ngettext("%(n)s event was skipped.", "%(n)s events were skipped.", skipped) % {"n": skipped})
    if replayed.failed:
        said.append(ngettext("%(n)s event failed.", "%(n)s events failed.", replayed.failed) % {"n": replayed.failed})
    tell(request, " ".join(said))
    for line in replayed.left[:10]:
        messages.info(request, line)
