"""The library: what one can read, with every edition of it, and what is new there since the last visit."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.db.models import Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from catalog.models import Edition, Product
from fulfillment.access import Actor, held, owned_products
from fulfillment.models import Entitlement
from fulfillment.visits import note_visit
from orders.models import Order

PER_PAGE = 24
LONGEST_SEARCH = 100  # characters
SORTS = {"newest": _("Newest first"), "title": _("By title"), "updated": _("Last updated first")}


@dataclass(frozen=True)
class Item:
    """One product on the shelf. `editions` are newest first and empty while access is suspended or has ended.

    `since` is when the reader was here before: None where nothing is told to be new.
    """

    product: Product
    entitlement: Entitlement
    editions: Sequence[Edition]
    since: datetime | None = None

    @property
    def is_new(self) -> bool:
        """Whether it came into the library since the last visit."""
        return self.since is not None and self.entitlement.created_at > self.since

    @property
    def has_new_edition(self) -> bool:
        """Whether what was there at the last visit has an edition since."""
        published_at = self.editions[0].published_at if self.editions else None
        return not self.is_new and self.since is not None and published_at is not None and published_at > self.since

    @property
    def was_updated(self) -> bool:
        """Whether there is an edition after the one that was sold."""
        return bool(self.editions) and self.editions[0].number > self.entitlement.order_line.edition.number

    @property
    def has_many_files(self) -> bool:
        return bool(self.editions) and len(self.editions[0].files.all()) > 1


@dataclass(frozen=True)
class Spine:
    """What is known of one product on the shelf before its page is shown."""

    entitlement_id: int
    product_id: int
    name: str
    came_at: datetime
    is_active: bool
    updated_at: datetime | None = None

    def is_news(self, since: datetime) -> bool:
        return self.is_active and max(self.came_at, self.updated_at or self.came_at) > since


def items(actor: Actor, *, order: Order | None = None, slug: str = "") -> list[Item]:
    """What this actor holds (of one order or product, if given), newest first; each product once, its best right
    counting."""
    entitlements = _with_products(held(actor)).order_by("-created_at", "-pk")
    if order is not None:
        entitlements = entitlements.filter(order_line__order=order)
    if slug:
        entitlements = entitlements.filter(product__slug=slug)
    best: dict[int, Entitlement] = {}
    for entitlement in entitlements:
        kept = best.get(entitlement.product_id)
        if kept is None or (not kept.is_active and entitlement.is_active):
            best[entitlement.product_id] = entitlement
    return _filled(list(best.values()))


def _with_products(entitlements: Any) -> Any:
    return entitlements.select_related("product", "order_line__order", "order_line__edition")


def _filled(entitlements: Sequence[Entitlement], since: datetime | None = None) -> list[Item]:
    editions = _editions(entitlements)
    return [
        Item(one.product, one, editions.get(one.product_id, []) if one.is_active else [], since) for one in entitlements
    ]


def _editions(entitlements: Sequence[Entitlement]) -> dict[int, list[Edition]]:
    """Published editions with files, and those that were sold, by product; two queries however many there are."""
    products = [one.product_id for one in entitlements]
    sold = [one.order_line.edition_id for one in entitlements]
    found: dict[int, list[Edition]] = {}
    rows = Edition.objects.filter(Q(published_at__isnull=False) | Q(pk__in=sold), product__in=products)
    for edition in rows.prefetch_related("files").order_by("-number"):
        if edition.files.all():
            found.setdefault(edition.product_id, []).append(edition)
    return found


@never_cache
@login_required
@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """One page of the shelf. A look is noted, so that the next visit can tell what came since; nothing else changes."""
    assert isinstance(request.user, User)  # noqa: S101 - login_required lets nobody else in
    since = note_visit(request.user) if request.method == "GET" else None
    shelf = _shelf(Actor.of(request))
    query = " ".join(request.GET.get("q", "")[:LONGEST_SEARCH].split())
    sort = request.GET.get("sort", "")
    found = _sorted(_matching(shelf, query), sort)
    pages = max(1, -(-len(found) // PER_PAGE))
    page = min(_number(request.GET.get("page", "")), pages)
    context = {
        "items": _page(found[(page - 1) * PER_PAGE : page * PER_PAGE], since),
        "is_empty": not shelf,
        "news": sum(spine.is_news(since) for spine in shelf) if since else 0,
        "since": since,
        "query": query,
        "sort": sort if sort in SORTS else "newest",
        "sorts": SORTS.items(),
        "page": page,
        "pages": pages,
        "may_search": len(shelf) > 1,
    }
    return render(request, "fulfillment/library.html", context)


def _shelf(actor: Actor) -> list[Spine]:
    """Each product that this actor holds once, the newest first. Two queries, and little of each row: a page of a long
    shelf is found without reading the others."""
    now = timezone.now()
    best: dict[int, Spine] = {}
    rows = held(actor).order_by("-created_at", "-pk")
    for pk, product, name, came_at, state, until in rows.values_list(
        "pk", "product_id", "product__name", "created_at", "state", "valid_until"
    ):
        is_active = state == Entitlement.State.ACTIVE and (until is None or until > now)
        kept = best.get(product)
        if kept is None or (not kept.is_active and is_active):
            best[product] = Spine(pk, product, name, came_at, is_active)
    updated = _updated(best)
    return [
        Spine(one.entitlement_id, one.product_id, one.name, one.came_at, one.is_active, updated.get(one.product_id))
        for one in best.values()
    ]


def _updated(products: Iterable[int]) -> dict[int, datetime]:
    published = Edition.objects.deliverable().filter(product__in=list(products)).order_by()
    return dict(published.values_list("product").annotate(Max("published_at")))


def _matching(shelf: list[Spine], query: str) -> list[Spine]:
    """Those whose title has every word of the query in it, whatever the case and the accents."""
    words = _folded(query).split()
    return [spine for spine in shelf if all(word in _folded(spine.name) for word in words)]


def _folded(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def _sorted(shelf: list[Spine], sort: str) -> list[Spine]:
    if sort == "title":
        return sorted(shelf, key=lambda spine: (_folded(spine.name), spine.product_id))
    if sort == "updated":
        return sorted(shelf, key=lambda spine: spine.updated_at or spine.came_at, reverse=True)
    return sorted(shelf, key=lambda spine: (spine.came_at, spine.entitlement_id), reverse=True)


def _number(text: str) -> int:
    """The page that is asked for, from 1 up."""
    return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def _page(spines: list[Spine], since: datetime | None) -> list[Item]:
    found = _with_products(Entitlement.objects).in_bulk([spine.entitlement_id for spine in spines])
    return _filled([found[spine.entitlement_id] for spine in spines if spine.entitlement_id in found], since)


def owned(request: HttpRequest) -> dict[str, Any]:
    """For every template: `owned`, the ids of the products in the visitor's library. One query, where it is used."""
    if not getattr(request, "user", AnonymousUser()).is_authenticated:  # a 400 page comes before any user is known
        return {"owned": frozenset()}
    return {"owned": SimpleLazyObject(lambda: owned_products(Actor.of(request)))}
