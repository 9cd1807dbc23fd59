"""A copy of a product to begin another one with: its texts, price and groups, nothing that was uploaded or sold."""

from collections.abc import Iterator
from itertools import count

from django.db import transaction
from django.utils.translation import gettext as _

from catalog.models import Product, ProductQuerySet

COPIED = ("summary", "description", "price", "currency", "sample_pages")
LONGEST_NAME, LONGEST_SLUG = 120, 140  # as in Product
STEM = 60  # letters that all names tried for one copy begin with


@transaction.atomic
def duplicate(product: Product, *, known_as: str = "") -> tuple[Product, bool]:
    """A draft with what was written about `product`, and whether it is new.

    `known_as` is the name that the copy was going to have: where one of that name is there, it is the copy of a first
    click, and no other one is made.
    """
    Product.objects.select_for_update(no_key=True).get(pk=product.pk)  # of two clicks the second one waits
    copies = _begin_like_a_copy(product)
    if made := copies.filter(name=known_as).exclude(pk=product.pk).first():
        return made, False
    fields = {field: getattr(product, field) for field in COPIED}
    made = Product.objects.create(**fields, name=free_name(product), slug=free_slug(product))
    made.categories.set(product.categories.all())
    made.tags.set(product.tags.all())
    return made, True


def free_name(product: Product) -> str:
    """ "Copy of …", cut to fit, with a number where that one is taken."""
    taken = {name.lower() for name in _begin_like_a_copy(product).values_list("name", flat=True)}
    return next(name for name in _every_name(product) if name.lower() not in taken)


def free_slug(product: Product) -> str:
    like_it = Product.objects.filter(slug__istartswith=product.slug[:STEM])
    taken = {slug.lower() for slug in like_it.values_list("slug", flat=True)}
    return next(slug for slug in _every_slug(product) if slug.lower() not in taken)


def _begin_like_a_copy(product: Product) -> ProductQuerySet:
    return Product.objects.filter(name__istartswith=_copy_name(product, 1)[:STEM])


def _every_name(product: Product) -> Iterator[str]:
    return (_copy_name(product, number) for number in count(1))


def _copy_name(product: Product, number: int) -> str:
    suffix = f" ({number})" if number > 1 else ""
    whole = _("Copy of %(name)s") % {"name": product.name}
    return whole[: LONGEST_NAME - len(suffix)].rstrip() + suffix


def _every_slug(product: Product) -> Iterator[str]:
    suffixes = ("-copy" if number == 1 else f"-copy-{number}" for number in count(1))
    return (product.slug[: LONGEST_SLUG - len(suffix)] + suffix for suffix in suffixes)
