from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from fulfillment import order_admin, product_admin, replay_pages
from fulfillment.books_admin import DifferenceAdmin  # noqa: F401 - Django looks for admins here
from fulfillment.models import Delivery, DeliveryAttempt, Download, Entitlement, StripeEvent
from orders import payment_link_admin
from orders.admin import ReadOnly

__all__ = ["order_admin", "payment_link_admin", "product_admin"]  # they register pages of their own


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("event_id", "type", "state", "attempts", "received_at", "note")
    list_filter = ("state", "type")
    search_fields = ("=event_id", "=object_id")
    fields = (
        "event_id", "type", "object_id", "livemode", "account", "api_version", "endpoint", "received_at",
        "state", "handled_at", "attempts", "next_attempt_at", "note", "payload",
    )  # fmt: skip
    readonly_fields = ("payload",)
    show_full_result_count = False
    actions = ("replay",)

    def get_urls(self) -> list[URLPattern]:
        page: Callable[..., HttpResponse] = self.admin_site.admin_view(self.replay_page)
        return [path("replay/", page, name="fulfillment_stripeevent_replay"), *super().get_urls()]

    def replay_page(self, request: HttpRequest) -> HttpResponse:
        return replay_pages.replay_events(self, request)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(replay_pages.PERMISSION)

    @admin.action(description=_("See what a replay would change"), permissions=["replay"])
    def replay(self, request: HttpRequest, events: QuerySet[StripeEvent]) -> HttpResponse:
        """Only leads to the page that shows the difference, and has the button."""
        return redirect(replay_pages.address(events.values_list("pk", flat=True)))

    @admin.display(description=_("payload"))
    def payload(self, event: Any) -> str:
        return bytes(event.body).decode("utf-8", "replace")


@admin.register(Entitlement)
class EntitlementAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("product", "user", "email", "state", "reason", "created_at")
    list_filter = ("state",)
    search_fields = ("email", "user__email", "=order_line__order__reference")
    list_select_related = ("product", "user")


class AttemptInline(ReadOnly, admin.TabularInline):
    model = DeliveryAttempt


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("name", "kind", "recipient", "state", "attempts", "created_at", "sent_at")
    list_filter = ("state", "kind")
    search_fields = ("recipient", "=order__reference")
    list_select_related = ("order",)
    exclude = ("claim",)
    inlines = (AttemptInline,)


@admin.register(Download)
class DownloadAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("file", "entitlement", "via", "address", "started_at", "last_at", "ranges", "bytes")
    list_filter = ("via",)
    list_select_related = ("file", "entitlement__product", "entitlement__user")
