"""The catalogue: a list of what is on sale, and a page for each product."""

import re
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from catalog import outlines
from catalog.models import Category, Edition, Product, Sample, SamplePage

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
CURSOR = re.compile(r"([0-9]{1,17})-([0-9]{1,17})")  # microseconds up to the year 5138, and an id


@require_safe
@gzip_page
def product_list(request: HttpRequest) -> HttpResponse:
    """One page of products, newest first. The next one starts after the last product shown, however many there are."""
    products = Product.objects.on_sale().newest_first().prefetch_related("categories")
    category = None
    if slug := request.GET.get("category", "").replace("\x00", ""):
        category = get_object_or_404(Category, slug=slug[:60])
        products = products.filter(categories=category)
    if after := _position(request.GET.get("after", "")):
        published_at, pk = after
        products = products.filter(Q(published_at__lt=published_at) | Q(published_at=published_at, pk__lt=pk))
    page = list(products[: settings.PRODUCTS_PER_PAGE + 1])
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
    return f"{((product.published_at or EPOCH) - EPOCH) // MICROSECOND}-{product.pk}"


def _position(cursor: str) -> tuple[datetime, int] | None:
    """The time and id that a cursor names, or None where it is not one of ours."""
    match = CURSOR.fullmatch(cursor)
    return (EPOCH + int(match[1]) * MICROSECOND, int(match[2])) if match else None


@require_safe
@gzip_page
def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    editions = Edition.objects.filter(published_at__isnull=False).prefetch_related("files")
    products = Product.objects.on_sale().prefetch_related(Prefetch("editions", editions), "categories")
    product = get_object_or_404(products, slug=slug)
    newest = next((edition for edition in product.editions.all() if edition.files.all()), None)
    context = {
        "product": product,
        "edition": newest,
        "pages": _sample_pages(newest) if newest else [],
        "contents": outlines.contents(newest.files.all()) if newest else [],
    }
    return render(request, "catalog/product.html", context)


def _sample_pages(edition: Edition) -> list[SamplePage]:
    """What anybody may see of it, with the sample that the pages belong to."""
    pages = SamplePage.objects.filter(sample__edition=edition, sample__state=Sample.State.MADE)
    return list(pages.select_related("sample"))
