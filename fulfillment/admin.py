from django.contrib import admin

from fulfillment import (
    books_admin,
    customer_admin,
    delivery_admin,
    event_admin,
    order_admin,
    product_admin,
)
from fulfillment.long_lists import UncountedPaginator
from fulfillment.models import Download, Entitlement
from orders import payment_link_admin
from orders.admin import ReadOnly

# Django looks for admins here; these modules register theirs.
__all__ = [
    "books_admin", "customer_admin", "delivery_admin", "event_admin", "order_admin", "payment_link_admin",
    "product_admin",
]  # fmt: skip


@admin.register(Entitlement)
class EntitlementAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("product", "user", "email", "state", "reason", "created_at")
    list_filter = ("state",)
    search_fields = ("email", "user__email", "=order_line__order__reference")
    list_select_related = ("product", "user")
    paginator = UncountedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER


@admin.register(Download)
class DownloadAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("file", "entitlement", "via", "address", "started_at", "last_at", "ranges", "bytes")
    list_filter = ("via",)
    list_select_related = ("file", "entitlement__product", "entitlement__user")
    paginator = UncountedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
