"""One page of the catalog: which products, where the next page begins, and how many there are in all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.db.models import Value

from catalog import search, sorting
from catalog.filters import Filters
from catalog.models import Product, ProductQuerySet
from catalog.sorting import NEWEST

# So many products are found first and sorted then, which costs the same however rare they are. Where there are more,
# they lie so close in any order that walking along its index meets enough of them soon.
FEW = 1000
NOT_SHOWN = ("description", "contents")


@dataclass(frozen=True)
class Shelf:
    products: list[Product]
    next: str  # the cursor of the page after this one, "" where there is none
    is_first: bool
    total: int | None  # how many on all pages; None where they were not counted, or are more than FEW


def page(filters: Filters, cursor: str) -> Shelf:
    """The products that follow a cursor; from the first on where it names no place."""
    shelf = _best_matches(filters, cursor) if filters.by_match else _sorted(filters, cursor)
    if filters.terms:
        _mark(shelf.products, filters.terms)
    return shelf


def _sorted(filters: Filters, cursor: str) -> Shelf:
    products, total = _narrowed(filters.products()) if filters.is_narrow else (filters.products(), None)
    if not filters.terms:  # only the excerpts of a search need the long texts
        products = products.defer(*NOT_SHOWN)
    after = filters.sort.position(cursor)
    found = filters.sort.page(products, after, settings.PRODUCTS_PER_PAGE + 1)
    return _shelf(found, filters.sort.cursor, is_first=after is None, total=total)


def _best_matches(filters: Filters, cursor: str) -> Shelf:
    after = _match_position(cursor)
    found, total = _matches(filters, after, settings.PRODUCTS_PER_PAGE + 1)
    return _shelf(found, _match_cursor, is_first=after is None, total=total)


def _shelf(found: list[Product], cursor: Callable[[Product], str], *, is_first: bool, total: int | None) -> Shelf:
    """One product more than fits tells that there is a next page."""
    shown = found[: settings.PRODUCTS_PER_PAGE]
    return Shelf(shown, cursor(shown[-1]) if len(found) > len(shown) else "", is_first, total)


def _narrowed(products: ProductQuerySet) -> tuple[ProductQuerySet, int | None]:
    """The same products by their ids, and how many, if they are few. Without this PostgreSQL would have to guess
    whether to sort what it finds or to find along what is sorted, and a wrong guess costs a second."""
    ids = list(products.values_list("pk", flat=True)[: FEW + 1])
    return (products, None) if len(ids) > FEW else (Product.objects.filter(pk__in=ids), len(ids))


# The best match first: the rank of the name, then the newest

MatchPosition = tuple[int, sorting.Position]


def _match_cursor(product: Product) -> str:
    return f"{cast('Any', product).rank}-{sorting.microseconds(cast('Any', product).published_at)}-{product.pk}"


def _match_position(cursor: str) -> MatchPosition | None:
    rank, _, rest = cursor.partition("-")
    place = NEWEST.position(rest)
    return (int(rank), place) if place and sorting.WHOLE.fullmatch(rank) else None


def _matches(filters: Filters, after: MatchPosition | None, length: int) -> tuple[list[Product], int | None]:
    """Names that match come first, ranked if they are few; what has the words elsewhere comes after, the newest first:
    to rank it would mean to read every text that was found."""
    products, total = _narrowed(filters.products())
    if total is not None:
        return _ranked(products, filters, after, length), total
    shown: list[Product] = []
    if after is None or after[0] > 0:
        named, few = _narrowed(filters.products("name_words"))
        if few is None:
            shown = NEWEST.page(named.annotate(rank=Value(1)), after and after[1], length)
        else:
            shown = _ranked(named, filters, after, length)
        after = None
    if len(shown) < length:
        rest = products.exclude(name_words=search.matching(filters.terms)).annotate(rank=Value(0))
        shown += NEWEST.page(rest, after and after[1], length - len(shown))
    return shown, None


def _ranked(products: ProductQuerySet, filters: Filters, after: MatchPosition | None, length: int) -> list[Product]:
    ranked = products.annotate(rank=search.rank(filters.terms))
    if after:
        rank, (published_at, pk) = after
        ranked = ranked.filter(sorting.beyond(("rank", rank), ("published_at", published_at), ("pk", pk)))
    return list(ranked.order_by("-rank", "-published_at", "-pk")[:length])


def _mark(products: list[Product], terms: list[search.Term]) -> None:
    for product in products:
        cast("Any", product).found = search.found(
            name=product.name,
            summary=product.summary,
            texts=(product.description, product.contents),
            looked_for=terms,
        )
