"""The catalogue: a list of what is on sale, and a page for each product."""

from datetime import datetime

from django.conf import settings
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from catalog.models import Category, Edition, Product, ProductQuerySet

MICROSECOND = 1_000_000


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    """One page of products, newest first. The next one starts after the last product shown, however many there are."""
    products = Product.objects.on_sale().newest_first().prefetch_related("categories")
    category = None
    if slug := request.GET.get("category", "").replace("\x00", ""):
        category = get_object_or_404(Category, slug=slug[:60])
        products = products.filter(categories=category)
    after = request.GET.get("after", "")
    page = list(_after(products, after)[: settings.PRODUCTS_PER_PAGE + 1])
    if after and not page:
        return redirect("catalog")
    shown = page[: settings.PRODUCTS_PER_PAGE]
    context = {
        "products": shown,
        "next": _cursor(shown[-1]) if len(page) > len(shown) else "",
        "is_first_page": not after,
        "categories": Category.objects.filter(products__status=Product.Status.PUBLISHED).distinct(),
        "category": category,
    }
    return render(request, "catalog/list.html", context)


def _cursor(product: Product) -> str:
    published_at = product.published_at or timezone.now()
    return f"{int(published_at.timestamp()) * MICROSECOND + published_at.microsecond}-{product.pk}"


def _after(products: ProductQuerySet, cursor: str) -> ProductQuerySet:
    """The products behind the one that `cursor` names; all of them where it names none."""
    microseconds, _, pk = cursor.partition("-")
    if not (microseconds.isdecimal() and pk.isdecimal() and len(microseconds) < 18 and len(pk) < 18):
        return products
    seconds, rest = divmod(int(microseconds), MICROSECOND)
    try:
        published_at = datetime.fromtimestamp(seconds, timezone.get_default_timezone()).replace(microsecond=rest)
    except (ValueError, OverflowError, OSError):
        return products
    return products.filter(Q(published_at__lt=published_at) | Q(published_at=published_at, pk__lt=int(pk)))


@require_safe
def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    editions = Edition.objects.filter(published_at__isnull=False).prefetch_related("files")
    products = Product.objects.on_sale().prefetch_related(Prefetch("editions", editions), "categories")
    product = get_object_or_404(products, slug=slug)
    newest = next((edition for edition in product.editions.all() if edition.files.all()), None)
    return render(request, "catalog/product.html", {"product": product, "edition": newest})
