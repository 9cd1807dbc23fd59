"""403 and 404: within the admin they look like the admin, lead back, and say whom to ask; elsewhere like the shop."""

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views import defaults

from accounts.models import User
from fulfillment import erase_page, give_pages, mail_pages, order_admin, replay_pages

# What the pages beside Django's own four ask for.
ACTS = {
    **{f"orders_order_{act.name}": act.permission for act in order_admin.ACTS},
    "orders_order_give": give_pages.PERMISSION,
    "fulfillment_customer_mail": mail_pages.PERMISSION,
    "fulfillment_customer_erase": erase_page.PERMISSION,
    "fulfillment_stripeevent_replay": replay_pages.PERMISSION,
}
MOST = 3  # people who are named


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_in_the_admin(request):
        return defaults.permission_denied(request, exception)
    permission = _permission(request)
    roles = _roles(permission) if permission else []
    return _page(request, "denied", 403, roles=roles, is_known=bool(permission), people=_people())


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_in_the_admin(request):
        return defaults.page_not_found(request, exception)
    return _page(request, "missing", 404)


def _is_in_the_admin(request: HttpRequest) -> bool:
    """And let in there: to everybody else it says no more than any other page."""
    return request.path.startswith(reverse("admin:index")) and admin.site.has_permission(request)


def _page(request: HttpRequest, template: str, status: int, **context: object) -> HttpResponse:
    page = TemplateResponse(
        request, f"admin/shop/{template}.html", {**admin.site.each_context(request), **context}, status=status
    )
    return page.render()


def _permission(request: HttpRequest) -> str:
    """What the page asks for, as far as its name tells; "" where it does not."""
    name = (request.resolver_match.url_name or "") if request.resolver_match else ""
    if name in ACTS:
        return ACTS[name]
    app, _space, rest = name.partition("_")
    model, _space, act = rest.partition("_")
    looks = {"changelist": "view", "history": "view", "change": "change" if request.method == "POST" else "view"}
    needed = {**looks, "add": "add", "delete": "delete"}.get(act)
    return f"{app}.{needed}_{model}" if needed else ""


def _roles(permission: str) -> list[str]:
    app, _dot, codename = permission.partition(".")
    asked = Permission.objects.filter(content_type__app_label=app, codename=codename)
    return list(Group.objects.filter(permissions__in=asked).order_by("name").values_list("name", flat=True).distinct())


def _people() -> list[str]:
    """Who gives roles."""
    gives = Permission.objects.filter(content_type__app_label="accounts", codename="change_user")
    may = Q(is_superuser=True) | Q(groups__permissions__in=gives) | Q(user_permissions__in=gives)
    people = User.objects.filter(may, is_staff=True, is_active=True).order_by("email")
    return list(people.values_list("email", flat=True).distinct()[:MOST])
