"""What search engines read: robots.txt and the sitemaps. https://www.sitemaps.org/protocol.html

Each sitemap of products holds those of 10,000 ids, so that its address stays and none has to be counted through.
"""

from datetime import datetime

from django.conf import settings
from django.db.models import F, Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from catalog.models import Category, Product

IDS = 10_000  # the protocol allows 50,000 addresses
PRIVATE = ("accounts", "admin", "checkout", "downloads", "library", "links", "orders")


@require_safe
@cache_control(public=True, max_age=3600)
def robots(request: HttpRequest) -> HttpResponse:
    lines = ["User-agent: *", *(f"Disallow: /{folder}/" for folder in PRIVATE)]
    lines += ["", f"Sitemap: {settings.SITE_URL}{reverse('sitemap')}", ""]
    return HttpResponse("\n".join(lines), content_type="text/plain; charset=utf-8")


@require_safe
@cache_control(public=True, max_age=3600)
def sitemap(request: HttpRequest) -> HttpResponse:
    """The sitemap of sitemaps."""
    sections = Product.objects.on_sale().values(section=F("pk") / IDS).annotate(changed=Max("updated_at"))
    places: list[tuple[str, datetime | None]] = [(reverse("sitemap_pages"), None)]
    places += [
        (reverse("sitemap_products", args=[row["section"]]), row["changed"]) for row in sections.order_by("section")
    ]
    return _answer(request, "catalog/sitemap_index.xml", places)


@require_safe
@cache_control(public=True, max_age=3600)
def sitemap_pages(request: HttpRequest) -> HttpResponse:
    """The catalog and its categories."""
    on_sale = Category.objects.filter(products__in=Product.objects.on_sale())
    changed = on_sale.annotate(changed=Max("products__updated_at")).values_list("slug", "changed")
    catalog = reverse("catalog")
    places: list[tuple[str, datetime | None]] = [(catalog, None)]
    places += [(f"{catalog}?category={slug}", at) for slug, at in changed.order_by("slug")]
    return _answer(request, "catalog/sitemap.xml", places)


@require_safe
@cache_control(public=True, max_age=3600)
def sitemap_products(request: HttpRequest, section: int) -> HttpResponse:
    products = Product.objects.on_sale().filter(pk__gte=section * IDS, pk__lt=(section + 1) * IDS).order_by("pk")
    found = products.values_list("slug", "updated_at")
    if not found:
        raise Http404
    return _answer(request, "catalog/sitemap.xml", [(reverse("product", args=[slug]), at) for slug, at in found])


def _answer(request: HttpRequest, template: str, places: list[tuple[str, datetime | None]]) -> HttpResponse:
    return render(request, template, {"places": places}, content_type="application/xml")
