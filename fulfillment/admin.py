from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from fulfillment.models import Delivery, DeliveryAttempt, Download, Entitlement, StripeEvent
from orders.admin import ReadOnly


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
    list_display = ("order", "kind", "recipient", "state", "attempts", "created_at", "sent_at")
    list_filter = ("state", "kind")
    search_fields = ("recipient", "=order__reference")
    list_select_related = ("order",)
    exclude = ("claim",)
    inlines = (AttemptInline,)


@admin.register(Download)
class DownloadAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("file", "entitlement", "via", "address", "started_at", "last_at", "ranges")
    list_filter = ("via",)
    list_select_related = ("file", "entitlement__product", "entitlement__user")
