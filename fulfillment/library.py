"""The library: what one can read now, newest first, with every edition of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import SimpleLazyObject
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from catalog.models import Edition, Product
from fulfillment.access import Actor, held, owned_products
from fulfillment.models import Entitlement
from orders.models import Order


@dataclass(frozen=True)
class Item:
    """One product on the shelf. `editions` are newest first and empty while access is suspended or has ended."""

    product: Product
    entitlement: Entitlement
    editions: Sequence[Edition]


def items(actor: Actor, *, order: Order | None = None) -> list[Item]:
    """What this actor holds (of one order, if given), newest first; each product once, its best right counting."""
    entitlements = held(actor).select_related("product", "order_line__order").order_by("-created_at", "-pk")
    if order is not None:
        entitlements = entitlements.filter(order_line__order=order)
    best: dict[int, Entitlement] = {}
    for entitlement in entitlements:
        kept = best.get(entitlement.product_id)
        if kept is None or (not kept.is_active and entitlement.is_active):
            best[entitlement.product_id] = entitlement
    editions = _editions(list(best.values()))
    return [Item(one.product, one, editions.get(one.product_id, []) if one.is_active else []) for one in best.values()]


def _editions(entitlements: list[Entitlement]) -> dict[int, list[Edition]]:
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
    return render(request, "fulfillment/library.html", {"items": items(Actor.of(request))})


def owned(request: HttpRequest) -> dict[str, Any]:
    """For every template: `owned`, the ids of the products in the visitor's library. One query, where it is used."""
    if not getattr(request, "user", AnonymousUser()).is_authenticated:  # a 400 page comes before any user is known
        return {"owned": frozenset()}
    return {"owned": SimpleLazyObject(lambda: owned_products(Actor.of(request)))}
