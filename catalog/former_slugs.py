"""A product that moved is still found where it was: by its readers' bookmarks, and by what names its slug at Stripe."""

from collections.abc import Iterable

from django.db.models import Exists, OuterRef

from catalog.models import Product
from catalog.slug_models import FormerSlug


def remember(product: Product, slug: str) -> None:
    """The product was to be found by this slug. Of two that had it, the one that had it last is found."""
    FormerSlug.objects.update_or_create(slug=slug.lower(), defaults={"product": product})


def moved_to(slug: str) -> Product | None:
    """The product on sale that shoppers found by this slug, unless another product has it now, be it a draft."""
    others = Product.objects.filter(slug__iexact=OuterRef("slug")).exclude(pk=OuterRef("product"))
    rows = FormerSlug.objects.filter(~Exists(others), slug=slug.lower(), product__status=Product.Status.PUBLISHED)
    row = rows.select_related("product").first()
    return row.product if row else None


def products(slugs: Iterable[str]) -> dict[str, Product]:
    """Whatever had these slugs, by slug in small letters, on sale or not."""
    rows = FormerSlug.objects.filter(slug__in={slug.lower() for slug in slugs}).select_related("product")
    return {row.slug: row.product for row in rows}
