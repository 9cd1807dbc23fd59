"""The admin's page of a mail: what it says, every try and the server's words, and what can be done."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from fulfillment import admin_pages, hurry
from fulfillment.delivery_models import Delivery, DeliveryAttempt
from fulfillment.long_lists import UncountedPaginator
from fulfillment.mail_pages import PERMISSION, ReasonForm
from fulfillment.mail_preview import preview
from fulfillment.moments import moment, tried
from orders.admin import ReadOnly

# Mails are styled where they stand, as mail programs want it. Nothing in one may run, load, be sent or be framed.
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class AttemptInline(ReadOnly, admin.TabularInline):
    model = DeliveryAttempt
    fields = ("started", "finished", "phase", "outcome", "reply")
    readonly_fields = fields
    verbose_name_plural = gettext_lazy("tries, and what the mail server said")

    @admin.display(description=gettext_lazy("begun"))
    def started(self, attempt: DeliveryAttempt) -> str:
        return moment(attempt.started_at)

    @admin.display(description=gettext_lazy("ended"))
    def finished(self, attempt: DeliveryAttempt) -> str:
        return moment(attempt.finished_at) if attempt.finished_at else "–"


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, admin.ModelAdmin):
    change_form_template = "admin/shop/delivery.html"
    list_display = ("name", "kind", "recipient", "state", "attempts", "created_at", "sent_at")
    list_filter = ("state", "kind")
    list_select_related = ("order",)
    search_fields = ("recipient", "order__reference")  # see get_search_results
    search_help_text = gettext_lazy("A whole address, an order’s reference, or the name of a letter.")
    fields = ("order", "kind", "recipient", "state", "tries", "created_at", "sent_at", "message_id")
    readonly_fields = ("tries", "message_id")
    inlines = (AttemptInline,)
    paginator = UncountedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        return [
            path("<int:pk>/html/", site(self.html), name="fulfillment_delivery_html"),
            path("<int:pk>/try/", site(self.try_now), name="fulfillment_delivery_try"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Whole words, compared as they are: a part of one would have the whole table read letter by letter."""
        wanted = search_term.strip().replace("\x00", "")
        if not wanted:
            return queryset, False
        if "@" in wanted:
            return queryset.filter(recipient=wanted.lower()), False
        name = wanted.upper()
        return queryset.filter(Q(order__reference=name) | Q(order=None, about=name)), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        delivery = self.get_object(request, object_id)
        more = _context(request, delivery) if delivery and self.has_view_permission(request, delivery) else {}
        return super().change_view(request, object_id, form_url, {**more, **(extra_context or {})})

    @method_decorator(require_safe)
    def html(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The mail as mail programs show it, in a page that can do nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        shown = preview(get_object_or_404(Delivery.objects.select_related("order"), pk=pk))
        response = HttpResponse(shown.html or shown.why_not)
        response["Content-Security-Policy"] = MAIL_POLICY
        return response

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def try_now(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Asks why, then gives a mail that waits or was given up one more try at once."""
        if not (self.has_view_permission(request) and request.user.has_perm(PERMISSION)):
            raise PermissionDenied
        delivery = get_object_or_404(Delivery.objects.select_related("order"), pk=pk)
        form = ReasonForm(admin_pages.sent(request))
        form.fields["reason"].help_text = admin_pages.LOGGED_HELP
        if request.method == "POST" and form.is_valid():
            by = admin_pages.actor(request)
            if hurry.try_now(delivery, by=by, reason=form.cleaned_data["reason"]):
                messages.success(request, _("The mail is tried now: reload the page in a moment."))
            else:
                messages.error(request, _("Nothing was done: this mail neither waits nor was given up."))
            return HttpResponseRedirect(reverse("admin:fulfillment_delivery_change", args=[pk]), status=303)
        context = {
            "form": form,
            "button": _("Try now"),
            "lead": _("The same mail to the same address, at once. If it fails it waits, or is given up, as before."),
            "back": reverse("admin:fulfillment_delivery_change", args=[pk]),
        }
        return admin_pages.render(self, request, "act", title=_("Try a mail now"), **context)

    @admin.display(description=gettext_lazy("tries"))
    def tries(self, delivery: Any) -> str:
        return _tries(delivery)

    @admin.display(description=gettext_lazy("Message-ID"))
    def message_id(self, delivery: Any) -> str:
        return str(delivery.message_id)


def _tries(delivery: Delivery) -> str:
    said = tried(delivery.attempts)
    if delivery.state not in Delivery.DUE_STATES:
        return said
    at = moment(delivery.next_attempt_at)
    if delivery.state == Delivery.State.SENDING:
        return _("%(tries)s; a sender has it now, until %(at)s at most") % {"tries": said, "at": at}
    return _("%(tries)s, next at %(at)s") % {"tries": said, "at": at}


def _context(request: HttpRequest, delivery: Delivery) -> dict[str, Any]:
    acts = _acts(delivery) if request.user.has_perm(PERMISSION) else []
    return {"preview": preview(delivery), "acts": acts}


def _acts(delivery: Delivery) -> list[tuple[str, str]]:
    found = []
    if delivery.state in hurry.STATES:
        found.append((_("Try now"), reverse("admin:fulfillment_delivery_try", args=[delivery.pk])))
    if delivery.order_id:
        found.append((_("Send the mail again"), reverse("admin:orders_order_mail", args=[delivery.order_id])))
    else:
        page = reverse("admin:fulfillment_customer_mail")
        found.append((_("Mail everything bought"), f"{page}?{urlencode({'email': delivery.recipient})}"))
    return found
