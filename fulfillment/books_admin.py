"""The admin's page about the books: what both sides come to, what differs, and a button that mends it."""

import logging
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from catalog import money
from fulfillment import mending
from fulfillment.book_models import BooksCheck, Difference
from fulfillment.differences import MEANINGS, Kind, by_hand, command
from orders import stripe_api
from orders.admin import ReadOnly
from orders.history import recorded
from storefront.celery import enqueue

log = logging.getLogger(__name__)

MOST_OPEN, MOST_RESOLVED = 200, 50  # rows on the page
DAYS = 2  # what the button checks
WHAT = ("paid", "refunded")


@admin.register(Difference)
class DifferenceAdmin(ReadOnly, admin.ModelAdmin):
    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        return [
            path("<int:pk>/mend/", site(self.mend), name="fulfillment_difference_mend"),
            path("check/", site(self.check_now), name="fulfillment_difference_check"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = Difference.objects.select_related("order")
        is_open = rows.open(livemode=stripe_api.is_live())
        resolved = rows.filter(livemode=stripe_api.is_live(), resolved_at__isnull=False).order_by("-resolved_at")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Bookkeeping"),
            "opts": self.opts,
            "checks": _checks(),
            "number_open": is_open.count(),
            "open": [_shown(difference) for difference in is_open[:MOST_OPEN]],
            "resolved": resolved[:MOST_RESOLVED],
            "may_mend": _may_mend(request),
        }
        return TemplateResponse(request, "admin/fulfillment/books.html", context)

    @method_decorator(require_POST)
    def mend(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Run the act that mends this row, and say what came of it. Who did it stands in the order's history."""
        if not _may_mend(request):
            raise PermissionDenied
        difference = get_object_or_404(Difference.objects.select_related("order"), pk=pk)
        try:
            mended = mending.mend(difference)
        except stripe_api.StripeUnavailable as error:
            log.warning("%s could not be mended: %s", difference, error)
            said = _("Stripe could not be asked: nothing is known yet. Try again in a minute.")
            mended = mending.Mended(is_gone=False, said=said)
        text = _("mended") if mended.is_gone else _("still differs")
        _note(request, difference, f"{recorded(Kind(difference.kind))}: {text}, {mended.said}")
        level = messages.SUCCESS if mended.is_gone else messages.WARNING
        self.message_user(request, f"{difference}: {text}, {mended.said}", level)
        return _back()

    @method_decorator(require_POST)
    def check_now(self, request: HttpRequest) -> HttpResponse:
        if not _may_mend(request):
            raise PermissionDenied
        enqueue("fulfillment.tasks.check_books", DAYS * 24)
        self.message_user(request, _("The check begins now; reload the page in a moment."))
        return _back()


def _may_mend(request: HttpRequest) -> bool:
    """Nobody changes a row by hand, but who has this permission may run the acts that mend it."""
    return request.user.has_perm("fulfillment.change_difference")


def _back() -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:fulfillment_difference_changelist"))


def _note(request: HttpRequest, difference: Difference, message: str) -> None:
    LogEntry.objects.log_actions(str(request.user.pk), [difference.order or difference], CHANGE, message)


def _shown(difference: Difference) -> dict[str, Any]:
    return {
        "row": difference,
        "meaning": _(MEANINGS[Kind(difference.kind)]),
        "by_hand": _(what) if (what := by_hand(difference)) else "",
        "command": command(difference),
    }


def _checks() -> list[dict[str, Any]]:
    """The last finished check, the last good one, and the last of a longer period, where these are others."""
    finished = BooksCheck.objects.filter(livemode=stripe_api.is_live(), ended_at__isnull=False)
    last = finished.first()
    if last is None:
        return []
    good = finished.filter(failure="")
    longer = good.filter(since__lt=last.since - timedelta(days=1))
    chosen = [last, *(good[:1] if last.failure else ()), *longer[:1]]
    return [{"check": check, "totals": _totals(check)} for check in dict.fromkeys(chosen)]


def _totals(check: BooksCheck) -> list[dict[str, str | bool]]:
    """A row for each currency and what is counted: both sides and what lies between them."""
    rows: list[dict[str, str | bool]] = []
    for currency, columns in check.totals.items():
        for what in WHAT:
            there, here = columns[f"stripe_{what}"], columns[f"here_{what}"]
            rows.append(
                {
                    "currency": currency.upper(),
                    "what": {"paid": _("paid"), "refunded": _("refunded")}[what],
                    "there": money.display(there, currency),
                    "here": money.display(here, currency),
                    "difference": money.display(here - there, currency),
                    "agrees": here == there,
                }
            )
    return rows
