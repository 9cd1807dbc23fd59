"""The admin's pages about customers, by address: find one; what they own, paid and downloaded; mail it all to them."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.addresses import normalize
from fulfillment import admin_pages, customers, erase_page, give_pages, hurry, lost_link
from fulfillment.customer_models import Customer
from fulfillment.customers import Person
from fulfillment.delivery_models import Delivery
from fulfillment.mail_pages import PERMISSION, ReasonForm
from orders.admin import ReadOnly

PAGE = "admin:fulfillment_customer_person"


@admin.register(Customer)
class CustomerAdmin(ReadOnly, admin.ModelAdmin):
    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        return [
            path("", site(self.changelist_view), name="fulfillment_customer_changelist"),
            path("person/", site(self.person), name="fulfillment_customer_person"),
            path("mail/", site(self.mail), name="fulfillment_customer_mail"),
            path("erase/", site(self.erase), name="fulfillment_customer_erase"),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self._check(request)
        words = request.GET.get("q", "").strip().lower().replace("\x00", "")
        long_enough = len(words) >= customers.SHORTEST
        found = customers.find(words) if long_enough else []
        emails = found if words else customers.latest()
        context = {
            "words": words,
            "too_short": bool(words) and not long_enough,
            "shortest": customers.SHORTEST,
            "is_full": len(found) == customers.FOUND,
            "found": [(email, known, _address(PAGE, email)) for email, known in customers.with_accounts(emails)],
        }
        return admin_pages.render(self, request, "customers", title=_("Customers"), **context)

    def person(self, request: HttpRequest) -> HttpResponse:
        self._check(request)
        someone = _person(request)
        context = {
            "person": someone,
            "acts": _acts(request, someone),
            "others": [(user, _address(PAGE, user.email)) for user in customers.others_with(someone)],
            "last_seen": customers.last_seen(someone),
            "refused_news": customers.refused_news(someone),
            **_rows(request, someone),
        }
        return admin_pages.render(self, request, "customer", title=someone.email, **context)

    def mail(self, request: HttpRequest) -> HttpResponse:
        """Asks why, then has everything bought with the address mailed there, as its owner could ask for."""
        self._check(request)
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        email = _person(request).email
        form = ReasonForm(admin_pages.sent(request))
        form.fields["reason"].help_text = admin_pages.LOGGED_HELP
        if request.method == "POST" and form.is_valid():
            lost_link.ask(email)
            letter = Delivery.objects.filter(order=None, kind=Delivery.Kind.LOST, recipient=email).latest("pk")
            what = "everything bought mailed to its address"
            hurry.note(letter, what, by=admin_pages.actor(request), reason=form.cleaned_data["reason"])
            messages.success(
                request, _("If anything was bought with %(email)s, the mail is on its way.") % {"email": email}
            )
            return HttpResponseRedirect(_address(PAGE, email), status=303)
        context = {
            "form": form,
            "button": _("Send the mail"),
            "lead": _("One mail to %(email)s, with fresh links to everything that was bought with it.")
            % {"email": email},
            "back": _address(PAGE, email),
        }
        return admin_pages.render(self, request, "act", title=_("Mail everything bought"), **context)

    def erase(self, request: HttpRequest) -> HttpResponse:
        self._check(request)
        return erase_page.erase(self, request, _person(request))

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied


def _person(request: HttpRequest) -> Person:
    try:
        return customers.person(normalize(request.GET.get("email", "")))
    except ValidationError as error:
        raise Http404 from error


def address(email: str) -> str:
    """Of the page about whoever has this address."""
    return _address(PAGE, email)


def _address(name: str, email: str) -> str:
    return f"{reverse(name)}?{urlencode({'email': email})}"


def _acts(request: HttpRequest, someone: Person) -> list[tuple[str, str]]:
    may = request.user.has_perm
    found = []
    if may(PERMISSION):
        found.append((_("Mail everything bought"), _address("admin:fulfillment_customer_mail", someone.email)))
    if may(give_pages.PERMISSION):
        found.append((_("Give a free copy"), _address("admin:orders_order_give", someone.email)))
    if someone.user and may("accounts.view_user"):
        found.append((_("The account"), reverse("admin:accounts_user_change", args=[someone.user.pk])))
    if may(erase_page.PERMISSION):
        found.append((_("Erase this customer"), _address("admin:fulfillment_customer_erase", someone.email)))
    return found


def _rows(request: HttpRequest, someone: Person) -> dict[str, Any]:
    """As far as this person may see each kind of row."""
    may = request.user.has_perm
    shown: dict[str, Any] = {"most": customers.ROWS}
    if may("orders.view_order"):
        before = request.GET.get("before", "")
        place = int(before) if before.isascii() and before.isdigit() and len(before) <= 18 else None
        orders, more = customers.page_of_orders(someone.orders, before=place)
        shown |= {"orders": orders, "paid": customers.paid(someone.orders), "is_later_page": place is not None}
        shown["older"] = f"?{urlencode({'email': someone.email, 'before': str(more)})}" if more else ""
    if may("fulfillment.view_entitlement") or may("fulfillment.view_download"):
        rights = customers.newest_rights(someone)
        if may("fulfillment.view_entitlement"):
            shown |= {"rights": rights, "owns": _owned(rights)}
        if may("fulfillment.view_download"):
            shown["downloads"] = customers.downloads([right.pk for right in rights])
    if may("fulfillment.view_delivery"):
        shown["mails"] = customers.mails(someone)
        shown["notes"] = customers.notes(shown["mails"])
    return shown


def _owned(rights: list[Any]) -> str:
    number = len({right.product_id for right in rights if right.is_active})
    return ngettext("can read %(number)s product", "can read %(number)s products", number) % {"number": number}
