"""The admin's page of an order: everything that is known about it, and what a person can do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from fulfillment import (
    address_page,
    admin_pages,
    customer_admin,
    evidence_page,
    finding,
    give_pages,
    hold_pages,
    mail_pages,
    needs,
    refund_page,
    replay_pages,
    timeline,
)
from fulfillment.hold_models import is_held
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


class NeedsFilter(admin.SimpleListFilter):
    title = _("attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("needs a person"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        return queryset.filter(pk__in=needs.orders_in_need().values("pk")) if self.value() == "yes" else queryset


@dataclass(frozen=True)
class Act:
    """One thing to do about an order. Without a label it is a step of another's page. `fits` says whether there is
    anything to do: what would change nothing is not offered, and its page says so. None: there always is."""

    name: str
    view: Callable[..., HttpResponse]
    permission: str
    label: Any = ""
    address: str = ""
    fits: Callable[[Order], bool] | None = None
    takes_away: bool = False

    @property
    def url_name(self) -> str:
        return f"admin:orders_order_{self.name}"

    @property
    def path(self) -> str:
        return f"<int:order_id>/{self.address or self.name + '/'}"


def _opens_something(order: Order) -> bool:
    return not order.erased_at and Entitlement.objects.active(timezone.now()).filter(order_line__order=order).exists()


def _was_paid_at_stripe(order: Order) -> bool:
    return bool(order.stripe_payment_intent_id)


def _can_be_refunded(order: Order) -> bool:
    return order.is_paid and _was_paid_at_stripe(order) and not order.is_refunded


def _can_be_suspended(order: Order) -> bool:
    return order.is_paid and not order.is_refunded and not is_held(order)


ACTS = (
    Act("mail", mail_pages.send_again, mail_pages.PERMISSION, _("Send the mail again"), fits=_opens_something),
    Act("address", address_page.correct, mail_pages.PERMISSION, _("Correct the address")),
    Act("grant", give_pages.give_to_buyer, give_pages.PERMISSION, _("Give a free copy")),
    Act("restore", hold_pages.restore, hold_pages.PERMISSION, _("Restore"), fits=lambda it: it.holds.open().exists()),
    Act("evidence", evidence_page.show, evidence_page.PERMISSION, _("Evidence"), fits=_was_paid_at_stripe),
    Act("replay", replay_pages.replay_order, replay_pages.PERMISSION, _("Replay")),
    Act(
        "links", mail_pages.void_links, mail_pages.PERMISSION, _("Make links invalid"),
        fits=lambda it: it.is_paid, takes_away=True,
    ),
    Act(
        "suspend", hold_pages.suspend, hold_pages.PERMISSION, _("Suspend"), fits=_can_be_suspended, takes_away=True
    ),
    Act("refund", refund_page.refund, refund_page.PERMISSION, _("Refund"), fits=_can_be_refunded, takes_away=True),
    Act("evidence_text", evidence_page.as_text, evidence_page.PERMISSION, address="evidence.txt"),
    Act("evidence_save", evidence_page.save, evidence_page.PERMISSION, address="evidence/save/"),
    Act("evidence_submit", evidence_page.submit, evidence_page.PERMISSION, address="evidence/submit/"),
)  # fmt: skip


@admin.register(Order)
class OrderDesk(OrderAdmin):
    change_form_template = "admin/shop/order.html"
    change_list_template = "admin/shop/orders.html"
    list_display = ("reference", "buyer", "bought", "standing_and_needs", "amount", "begun")
    list_filter: ClassVar[Any] = (NeedsFilter, *OrderAdmin.list_filter)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return needs.with_needs(super().get_queryset(request))

    @admin.display(description=_("e-mail address"), ordering="email")
    def buyer(self, order: Order) -> str:
        return gettext("forgotten") if order.erased_at else order.email or "–"

    @admin.display(description=_("state"), ordering="state")
    def standing_and_needs(self, order: Order) -> SafeString | str:
        said, found = self.standing(order), needs.needs(order)
        short = f"{found[:79]}…" if len(found) > 80 else found
        return format_html('{}<br><span class="needed">{}</span>', said, short) if found else said

    @admin.display(description=_("begun"), ordering="created_at")
    def begun(self, order: Order) -> str:
        return date_format(timezone.localtime(order.created_at), "Y-m-d H:i")

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
        """A search that finds one order leads to it. Of a whole card number no more is kept than its end."""
        typed = request.GET.get("q", "").strip()
        if end := finding.end_of_card(typed):
            messages.warning(request, gettext("Only the last four digits of a card are looked for. Type no more."))
            return HttpResponseRedirect(f"?{urlencode({'q': end})}", status=303)
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
    offered = [act for act in ACTS if act.label and may(act.permission) and (act.fits is None or act.fits(order))]
    return {
        "acts": [act for act in offered if not act.takes_away],
        "acts_that_take_away": [act for act in offered if act.takes_away],
        "customer_page": customer_admin.address(order.email) if _has_customer(request, order) else "",
        "moments": timeline.moments(order, seen),
        "steps": timeline.next_steps(order, seen),
        "mails": seen.mails,
        "mail_failed": timeline.refused_mail(order, seen.mails),
        "rights": _rights(order) if may("fulfillment.view_entitlement") else [],
        "downloads": _downloads(order) if "downloads" in kinds else [],
    }


def _has_customer(request: HttpRequest, order: Order) -> bool:
    return bool(order.email) and not order.erased_at and request.user.has_perm("fulfillment.view_customer")


def _rights(order: Order) -> Any:
    return Entitlement.objects.filter(order_line__order=order).select_related("product", "user").order_by("pk")


def _downloads(order: Order) -> Any:
    rows = Download.objects.filter(entitlement__order_line__order=order).select_related("file")
    return rows.order_by("-started_at")[:SHOWN]
