"""What the admin's pages about one order share: who may, what was done and by whom, how they look."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from orders.history import by_hand
from orders.models import Order

View = Callable[[ModelAdmin, HttpRequest, Order], HttpResponse]
Address = Callable[[ModelAdmin, HttpRequest, int], HttpResponse]

REASON_HELP = _("Why, for whoever looks at this order later. Kept for good.")
LOGGED_HELP = _("Why, for whoever looks at this later. It stays in the log.")


def for_order(permission: str, *methods: str) -> Callable[[View], Address]:
    """The view of an order's page: 403 unless the person may see orders and has `permission` as well."""

    def decorate(view: View) -> Address:
        @wraps(view)
        def checked(model_admin: ModelAdmin, request: HttpRequest, order_id: int) -> HttpResponse:
            if not (model_admin.has_view_permission(request) and request.user.has_perm(permission)):
                raise PermissionDenied
            if request.method not in (methods or ("GET", "HEAD", "POST")):
                return HttpResponseNotAllowed(methods or ("GET", "HEAD", "POST"))
            return view(model_admin, request, get_object_or_404(Order, pk=order_id))

        return checked

    return decorate


def actor(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - the admin lets nobody else in
    return request.user


def sent(request: HttpRequest) -> QueryDict | None:
    """What was sent with the form, an empty form included; None when it is only shown."""
    return request.POST if request.method == "POST" else None


def note(model_admin: ModelAdmin, request: HttpRequest, order: Order, what: str, *, reason: str = "") -> None:
    """An act of a person, in the order's timeline and in the admin's own log."""
    by_hand(order, what, by=actor(request), reason=reason)
    log(model_admin, request, order, f"{what}: {reason}" if reason else what)


def log(model_admin: ModelAdmin, request: HttpRequest, order: Order, what: str) -> None:
    """In the admin's log only, for an act that writes to the timeline itself."""
    model_admin.log_change(request, order, what)


def render(
    model_admin: ModelAdmin, request: HttpRequest, template: str, *, title: Any, **context: Any
) -> TemplateResponse:
    common = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": title}
    return TemplateResponse(request, f"admin/shop/{template}.html", {**common, **context})


def back_to(order: Order) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:orders_order_change", args=[order.pk]), status=303)
