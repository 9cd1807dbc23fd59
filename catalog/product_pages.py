"""The admin's pages about one product: as a shopper sees it, and a copy of it to begin another one with."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from catalog import duplicate, views
from catalog.models import Product

View = Callable[[ModelAdmin, HttpRequest, int], HttpResponse]


def urls(model_admin: ModelAdmin) -> list[URLPattern]:
    def page(view: View, *methods: str) -> Callable[..., HttpResponse]:
        @wraps(view)
        def shown(request: HttpRequest, pk: int) -> HttpResponse:
            if not model_admin.has_view_permission(request):
                raise PermissionDenied
            if request.method not in methods:
                return HttpResponseNotAllowed(methods)
            return view(model_admin, request, pk)

        return model_admin.admin_site.admin_view(never_cache(shown))

    return [
        path("<int:pk>/preview/", page(preview, "GET", "HEAD"), name="catalog_product_preview"),
        path("<int:pk>/duplicate/", page(copy, "GET", "HEAD", "POST"), name="catalog_product_duplicate"),
    ]


def preview(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """The page as a stranger would find it, whether it is published or not. Nothing can be bought or loaded there."""
    product = get_object_or_404(views.as_page(Product.objects.all()), pk=pk)
    stranger = {"user": AnonymousUser(), "owned": frozenset[int]()}
    answer = render(request, "catalog/preview.html", {**views.page_context(product), **stranger})
    answer["X-Robots-Tag"] = "noindex"
    return answer


def copy(model_admin: ModelAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """GET says what a copy takes along; POST makes it. The form names the copy, so that a second click finds it."""
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    product = get_object_or_404(Product, pk=pk)
    if request.method == "POST":
        made, is_new = duplicate.duplicate(product, known_as=request.POST.get("name", ""))
        if is_new:
            model_admin.log_addition(request, made, f"Copy of product {product.pk}, {product}")
            messages.success(request, _("This is the copy, a draft. Give it a name of its own, and its files."))
        else:
            messages.info(request, _("The copy was made already: this is it."))
        return HttpResponseRedirect(reverse("admin:catalog_product_change", args=[made.pk]), status=303)
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": _("Duplicate %(product)s") % {"product": product},
        "product": product,
        "name": duplicate.free_name(product),
    }
    return TemplateResponse(request, "admin/shop/duplicate.html", context)
