"""The admin's page of an order: everything that is known about it, and what a person can do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from fulfillment import (
    address_page,
    admin_pages,
    evidence_page,
    finding,
    give_pages,
    hold_pages,
    mail_pages,
    refund_page,
    replay_pages,
    timeline,
)
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download, Entitlement
from orders.admin import OrderAdmin
from orders.models import Order

SHOWN = 50  # downloads
# The permission that it takes to see each kind of row of the timeline.
VISIBLE = {
    "mails": "fulfillment.view_delivery",
    "downloads": "fulfillment.view_download",
    "events": "fulfillment.view_stripeevent",
}


@dataclass(frozen=True)
class Act:
    """One thing to do about an order. Without a label it is a step of another's page."""

    name: str
    view: Callable[..., HttpResponse]
    permission: str
    label: Any = ""
    address: str = ""

    @property
    def path(self) -> str:
        return f"<int:order_id>/{self.address or self.name + '/'}"


ACTS = (
    Act("mail", mail_pages.send_again, mail_pages.PERMISSION, _("Send the mail again")),
    Act("links", mail_pages.void_links, mail_pages.PERMISSION, _("Make links invalid")),
    Act("address", address_page.correct, mail_pages.PERMISSION, _("Correct the address")),
    Act("grant", give_pages.give_to_buyer, give_pages.PERMISSION, _("Give a free copy")),
    Act("suspend", hold_pages.suspend, hold_pages.PERMISSION, _("Suspend")),
    Act("restore", hold_pages.restore, hold_pages.PERMISSION, _("Restore")),
    Act("refund", refund_page.refund, refund_page.PERMISSION, _("Refund")),
    Act("evidence", evidence_page.show, evidence_page.PERMISSION, _("Evidence")),
    Act("evidence_text", evidence_page.as_text, evidence_page.PERMISSION, address="evidence.txt"),
    Act("evidence_save", evidence_page.save, evidence_page.PERMISSION, address="evidence/save/"),
    Act("evidence_submit", evidence_page.submit, evidence_page.PERMISSION, address="evidence/submit/"),
    Act("replay", replay_pages.replay_order, replay_pages.PERMISSION, _("Replay")),
)


@admin.register(Order)
class OrderDesk(OrderAdmin):
    change_form_template = "admin/shop/order.html"
    change_list_template = "admin/shop/orders.html"

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(act.path, self.admin_site.admin_view(partial(act.view, self)), name=f"orders_order_{act.name}")
            for act in ACTS
        ]
        give = self.admin_site.admin_view(partial(give_pages.give_to_anybody, self))
        return [path("grant/", give, name="orders_order_give"), *own, *super().get_urls()]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        if not search_term.strip():
            return queryset, False
        return queryset.filter(finding.sought(search_term)), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A search that finds one order leads to it."""
        typed = request.GET.get("q", "").strip()
        if typed and set(request.GET) == {"q"} and self.has_view_permission(request):
            found = list(finding.find(typed).order_by("pk")[:2])
            if len(found) == 1:
                return admin_pages.back_to(found[0])
        more = {"may_give": request.user.has_perm(give_pages.PERMISSION)}
        return super().changelist_view(request, {**more, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        order = self.get_object(request, object_id)
        more = _context(request, order) if order else {}
        return super().change_view(request, object_id, form_url, {**more, **(extra_context or {})})


def _context(request: HttpRequest, order: Order) -> dict[str, Any]:
    """What the page shows beside the order's own fields, as far as this person may see each kind of row."""
    may = request.user.has_perm
    kinds = [kind for kind, permission in VISIBLE.items() if may(permission)]
    seen = timeline.read(order, kinds=kinds)
    return {
        "acts": [
            (act.label, reverse(f"admin:orders_order_{act.name}", args=[order.pk]))
            for act in ACTS
            if act.label and may(act.permission) and _fits(act, order)
        ],
        "moments": timeline.moments(order, seen),
        "steps": timeline.next_steps(order, seen),
        "mails": seen.mails,
        "mail_failed": next((mail for mail in seen.mails[-1:] if mail.state == Delivery.State.GAVE_UP), None),
        "rights": _rights(order) if may("fulfillment.view_entitlement") else [],
        "downloads": _downloads(order) if "downloads" in kinds else [],
    }


def _fits(act: Act, order: Order) -> bool:
    """Whether there is anything to do: nobody restores what nobody has suspended."""
    return act.name != "restore" or order.holds.open().exists()


def _rights(order: Order) -> Any:
    return Entitlement.objects.filter(order_line__order=order).select_related("product", "user").order_by("pk")


def _downloads(order: Order) -> Any:
    rows = Download.objects.filter(entitlement__order_line__order=order).select_related("file")
    return rows.order_by("-started_at")[:SHOWN]
