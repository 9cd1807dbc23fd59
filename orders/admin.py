"""Orders as this app knows them. fulfillment.order_admin registers them, with what a person can do about one."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, Prefetch, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog import money
from orders.models import Order, OrderLine
from orders.refund_models import RefundRequest
from orders.stripe_desk import dashboard_address


class ReadOnly:
    """Rows that follow from facts: shown, never typed over."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OrderLineInline(ReadOnly, admin.TabularInline):
    model = OrderLine
    fields = ("name", "product", "edition", "amount", "refunded_amount")
    readonly_fields = fields

    @admin.display(description=_("amount"))
    def amount(self, line: OrderLine) -> str:
        return line.amount_display

    @admin.display(description=_("refunded"))
    def refunded_amount(self, line: OrderLine) -> str:
        return money.display(line.refunded, line.order.currency)


def _moment(at: datetime) -> str:
    """To the second, so that what happened in one go can be told apart."""
    return date_format(timezone.localtime(at), "Y-m-d H:i:s")


class RefundRequestInline(ReadOnly, admin.TabularInline):
    model = RefundRequest
    fields = ("when", "asked_by", "amount_shown", "line", "reason", "note", "outcome")
    readonly_fields = fields
    verbose_name_plural = _("refunds asked for here")

    @admin.display(description=_("when"))
    def when(self, row: RefundRequest) -> str:
        return _moment(row.asked_at)

    @admin.display(description=_("amount"))
    def amount_shown(self, row: RefundRequest) -> str:
        return row.amount_display

    @admin.display(description=_("outcome"))
    def outcome(self, row: RefundRequest) -> str:
        return ", ".join(filter(None, [row.get_state_display(), row.answer, row.stripe_refund_id]))


class RefundedFilter(admin.SimpleListFilter):
    title = _("given back")
    parameter_name = "refunded"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("all or a part")), ("all", _("all of it"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        if not self.value():
            return queryset
        some = queryset.filter(refunded__gt=0)
        return some.filter(refunded=F("total")) if self.value() == "all" else some


class OrderAdmin(ReadOnly, admin.ModelAdmin):
    list_filter: ClassVar[Any] = ("state", RefundedFilter, "dispute", "source", "livemode")
    view_on_site = False  # an order's own page is its buyer's
    search_fields = ("=reference",)  # fulfillment.finding looks for more
    search_help_text = _(
        "E-mail address or its beginning, order number, the last four digits of a card (or: visa 4242), or an id of "
        "Stripe’s: cs_, pi_, ch_, re_, du_, dp_, cus_ or evt_."
    )
    date_hierarchy = "created_at"
    inlines = (OrderLineInline, RefundRequestInline)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "reference", "email", "user", "standing", "amount", "refunded_amount", "payment", "dispute",
                    "attention", "created_at", "paid_at",
                )
            },
        ),
        (
            _("More"),
            {
                "classes": ("collapse",),
                "fields": (
                    "source", "livemode", "stripe_session_id", "stripe_payment_intent_id", "stripe_charge_id",
                    "stripe_customer_id", "buyer_address", "buyer_agent", "links_void_before", "next_check_at",
                    "facts_version",
                ),
            },
        ),
    )  # fmt: skip
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        orders: QuerySet[Order] = super().get_queryset(request)
        return orders.prefetch_related(Prefetch("lines", OrderLine.objects.only("order_id", "name")))

    @admin.display(description=_("what"))
    def bought(self, order: Order) -> str:
        first, *others = [line.name for line in order.lines.all()] or ["–"]
        return gettext("%(product)s and %(n)s more") % {"product": first, "n": len(others)} if others else first

    @admin.display(description=_("state"), ordering="state")
    def standing(self, order: Order) -> str:
        """Of the payment, and whether it was given back."""
        if order.is_refunded:
            return gettext("given back")
        return gettext("partly given back") if order.refunded else order.get_state_display()

    @admin.display(description=_("paid with"))
    def payment(self, order: Order) -> SafeString | str:
        """Leads to Stripe's own page of the payment, where the shop's Stripe has one."""
        address = dashboard_address(order)
        if not address:
            return order.paid_with or "–"
        words = (order.paid_with or gettext("paid"), address, gettext("see it at Stripe"))
        return format_html('{} – <a href="{}" rel="noreferrer">{}</a>', *words)

    @admin.display(description=_("total"), ordering="total")
    def amount(self, order: Order) -> str:
        return order.total_display

    @admin.display(description=_("refunded"))
    def refunded_amount(self, order: Order) -> str:
        return order.refunded_display
