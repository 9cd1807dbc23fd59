"""The catalogue: a list of what is on sale, and a page for each product."""

from typing import Any, TypeVar

from django.db.models import Manager, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import redirect, render
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from catalog import count_views, filters, former_slugs, outlines, shelf, spelling, structured
from catalog.models import Category, Edition, Product, Tag
from catalog.sample_models import Sample, SamplePage

MOST_TAGS = 60  # to choose from; the others are found by the chips of their products
NEWEST_INSTEAD = 4  # shown where nothing was found
DAY = 24 * 60 * 60  # seconds

Group = TypeVar("Group", Category, Tag)


@require_safe
@gzip_page
def product_list(request: HttpRequest) -> HttpResponse:
    """One page of products. The next one starts after the last product shown, however many there are."""
    asked = filters.read(request.GET)
    shown = shelf.page(asked, request.GET.get("after", ""))
    if not shown.products and not shown.is_first:
        return redirect(asked.address())
    categories = in_use(Category.objects, "categories")
    context = {
        "asked": asked,
        "heading": heading(asked),
        "canonical": asked.address() if asked.is_shelf else asked.address(**filters.NO_QUESTION),
        "may_be_indexed": asked.is_shelf and shown.is_first,
        "chosen": list(asked.chosen()),
        "products": shown.products,
        "total": shown.total,
        "few": shelf.FEW,
        "next": shown.next,
        "next_query": asked.query(after=shown.next),
        "is_first_page": shown.is_first,
        "categories": categories,
        "category": asked.category,
        "chips": [(each, asked.address(category=each)) for each in categories],
        "all": asked.address(category=None),
        "tags": in_use(Tag.objects, "tags", MOST_TAGS),
        "kinds": Product.Kind.choices,
    }
    if not shown.products and asked.is_narrow:
        nearest = spelling.nearest(asked.q) if asked.q else ""
        context |= {"nearest": nearest, "nearest_address": asked.address(q=nearest)}
        context["newest"] = Product.objects.on_sale().newest_first().defer(*shelf.NOT_SHOWN)[:NEWEST_INSTEAD]
    return render(request, "catalog/list.html", context)


def heading(asked: filters.Filters) -> str:
    """What the page is about, in its first heading and its title; "" for the whole catalog."""
    if asked.q:
        return _("Search: %(words)s") % {"words": asked.q}
    return " · ".join(each.name for each in (asked.category, asked.tag) if each)


def in_use(groups: Manager[Group], name: str, most: int | None = None) -> list[Group]:
    """The categories or tags that have something on sale, by name."""
    # One product of each is looked for. With Exists() PostgreSQL may prefer to read all of them.
    on_sale = Product.objects.on_sale().filter(Q((name, OuterRef("pk"))))
    return list(groups.alias(one=Subquery(on_sale.values("pk")[:1])).filter(one__isnull=False)[:most])


@require_safe
@gzip_page
def product_detail(request: HttpRequest, slug: str) -> HttpResponse:
    product = as_page(Product.objects.on_sale()).filter(slug=slug).first()
    if product is None:
        return _moved(request, slug)
    page = render(request, "catalog/product.html", page_context(product))
    count_views.count(request, product)  # after the page, which has read the user that it asks about
    return page


def _moved(request: HttpRequest, slug: str) -> HttpResponse:
    """To the address of today, with what the link said besides. Browsers may forget it after a day: the old address
    may become that of another product."""
    product = former_slugs.moved_to(slug)
    if product is None:
        raise Http404
    query = request.META.get("QUERY_STRING", "")
    answer = HttpResponsePermanentRedirect(f"{product.get_absolute_url()}{'?' if query else ''}{query}")
    patch_cache_control(answer, max_age=DAY)
    return answer


def as_page(products: QuerySet[Product]) -> QuerySet[Product]:
    """With all that a product's page shows of them."""
    editions = Edition.objects.filter(published_at__isnull=False).prefetch_related("files")
    return products.prefetch_related(Prefetch("editions", editions), "categories", "tags").defer("contents")


def page_context(product: Product) -> dict[str, Any]:
    """What stands on the page of a product that was read by `as_page`, whoever looks at it."""
    newest = next((edition for edition in product.editions.all() if edition.files.all()), None)
    return {
        "product": product,
        "edition": newest,
        "structured": structured.product(product, can_be_had=newest is not None),
        "pages": _sample_pages(newest) if newest else [],
        "contents": outlines.contents(newest.files.all()) if newest else [],
    }


def _sample_pages(edition: Edition) -> list[SamplePage]:
    """What anybody may see of it, with the sample that the pages belong to."""
    pages = SamplePage.objects.filter(sample__edition=edition, sample__state=Sample.State.MADE)
    return list(pages.select_related("sample"))
