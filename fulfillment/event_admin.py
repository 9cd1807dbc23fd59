"""The admin's page of an event: what Stripe sent, what became of it, and a way to replay it."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from fulfillment import event_types, replay_pages
from fulfillment.inbox import EVENT_ID
from fulfillment.long_lists import UncountedPaginator
from fulfillment.models import StripeEvent
from fulfillment.moments import moment, tried
from fulfillment.payloads import ids_in, readable
from orders.admin import ReadOnly
from orders.models import Order


class TypeFilter(admin.SimpleListFilter):
    """The types that the shop knows. Asking the table which there are would read all of it."""

    title = _("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in (*event_types.LEADS, *event_types.WITHOUT_EFFECT)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[StripeEvent]) -> QuerySet[StripeEvent]:
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnly, admin.ModelAdmin):
    change_form_template = "admin/shop/event.html"
    list_display = ("event_id", "type", "state", "attempts", "received_at", "note_in_short")
    list_filter = ("state", "received_at", TypeFilter)
    search_fields = ("event_id", "object_id")  # see get_search_results
    search_help_text = _("The whole id: of an event (evt_…), or of what it is about (cs_…, pi_…, ch_…, re_…, du_…).")
    fields = (
        "event_id", "type", "object_id", "received_at", "state", "handled_at", "tries", "note",
        "livemode", "account", "api_version", "endpoint",
    )  # fmt: skip
    readonly_fields = ("tries",)
    paginator = UncountedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ("replay",)

    def get_urls(self) -> list[URLPattern]:
        page: Callable[..., HttpResponse] = self.admin_site.admin_view(self.replay_page)
        return [path("replay/", page, name="fulfillment_stripeevent_replay"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[StripeEvent]:
        """Without the bodies, which may be 256 kB each."""
        events: QuerySet[StripeEvent] = super().get_queryset(request).defer("body")
        return events

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Ids are compared as they are: Django's own way, regardless of case, could use no index."""
        wanted = search_term.strip().replace("\x00", "")
        if not wanted:
            return queryset, False
        return queryset.filter(**{"event_id" if EVENT_ID.fullmatch(wanted) else "object_id": wanted}), False

    def replay_page(self, request: HttpRequest) -> HttpResponse:
        return replay_pages.replay_events(self, request)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(replay_pages.PERMISSION)

    @admin.action(description=_("See what a replay would change"), permissions=["replay"])
    def replay(self, request: HttpRequest, events: QuerySet[StripeEvent]) -> HttpResponse:
        """Only leads to the page that shows the difference, and has the button."""
        return redirect(replay_pages.address(events.values_list("pk", flat=True)))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        event = self.get_object(request, object_id)
        more = _context(request, event) if event and self.has_view_permission(request, event) else {}
        return super().change_view(request, object_id, form_url, {**more, **(extra_context or {})})

    @admin.display(description=_("tries"))
    def tries(self, event: Any) -> str:
        return _tries(event)

    @admin.display(description=_("note"))
    def note_in_short(self, event: StripeEvent) -> str:
        return event.note if len(event.note) <= 80 else f"{event.note[:79]}…"


def _tries(event: StripeEvent) -> str:
    said = tried(event.attempts)
    if event.state != StripeEvent.State.RECEIVED:
        return said
    at = moment(event.next_attempt_at)
    if event.claim:
        return gettext("%(tries)s; a worker has it now, until %(at)s at most") % {"tries": said, "at": at}
    return gettext("%(tries)s, next at %(at)s") % {"tries": said, "at": at}


def _context(request: HttpRequest, event: StripeEvent) -> dict[str, Any]:
    body = bytes(event.body)
    may = request.user.has_perm
    return {
        "payload": readable(body),
        "about": _order(event, body) if may("orders.view_order") else None,
        "failures": list(event.failures.order_by("pk")) if may("fulfillment.view_eventfailure") else [],
        "replay_address": replay_pages.address([event.pk]) if may(replay_pages.PERMISSION) else "",
    }


def _order(event: StripeEvent, body: bytes) -> Order | None:
    """The order that it is about, as far as the event itself tells: both ids are unique keys."""
    ids = [event.object_id, *ids_in(body)]
    known = Q(stripe_session_id__in=ids) | Q(stripe_payment_intent_id__in=ids)
    return Order.objects.filter(known).first()
