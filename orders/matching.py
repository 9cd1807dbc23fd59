"""Which products the lines of somebody else's Checkout Session are: a Payment Link's, or one whose order we lost."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q

from catalog import former_slugs
from catalog.models import Edition, Product
from catalog.stripe_price_models import StripePrice
from orders.facts import Facts, PaidLine

LONGEST = 300  # characters that an order keeps about what is wrong with it
MEND = " Mend that, then replay this order."


@dataclass(frozen=True)
class Sold:
    """One product of a session, with the edition that its buyer gets; `unit_price` in minor units, from Stripe."""

    product: Product
    edition: Edition
    unit_price: int
    quantity: int


class _Unmatched(Exception):
    """A line that cannot be delivered; the message says what is missing."""


def match(facts: Facts) -> tuple[list[Sold], str]:
    """What the session sold, or a sentence for the person who has to mend what is missing: one of the two is empty.

    All lines or none. A line's price decides, since only the shop's people write it; where no product has that price,
    the slug in the metadata of the price or of Stripe's product; for a single line the session's own metadata, which a
    Payment Link hands on. Nothing that the buyer can set is looked at.
    """
    if not facts.lines:
        return [], "Nothing was delivered: the payment has no lines." + MEND
    by_price, by_slug = _known(facts)
    sold: dict[int, Sold] = {}
    missing = []
    for line in facts.lines:
        try:
            product = by_price.get(line.price_id) or _named(line, facts, by_slug)
            _add(sold, product, line)
        except _Unmatched as reason:
            missing.append(str(reason))
    return ([], _sentence(missing)) if missing else (list(sold.values()), "")


def _slug(line: PaidLine, facts: Facts) -> str:
    return line.slug or (facts.metadata.get("product_slug", "") if len(facts.lines) == 1 else "")


def _known(facts: Facts) -> tuple[dict[str, Product], dict[str, Product]]:
    """Products by price id, and by slug in lower case, be it a former one: a query for each."""
    prices = StripePrice.objects.filter(price_id__in={line.price_id for line in facts.lines}).select_related("product")
    by_price = {price.price_id: price.product for price in prices}
    slugs = {_slug(line, facts).lower() for line in facts.lines if line.price_id not in by_price} - {""}
    wanted = Q(pk__in=[])
    for slug in slugs:
        wanted |= Q(slug__iexact=slug)
    now = {product.slug.lower(): product for product in Product.objects.filter(wanted)}
    return by_price, {**(former_slugs.products(slugs - now.keys()) if slugs - now.keys() else {}), **now}


def _named(line: PaidLine, facts: Facts, by_slug: dict[str, Product]) -> Product:
    slug = _slug(line, facts)
    if not slug:
        raise _Unmatched(f"“{line.name[:60]}” names no product: enter its price {line.price_id[:60]} at one")
    if slug.lower() not in by_slug:
        raise _Unmatched(f"“{line.name[:60]}” names the slug {slug[:80]!r}, which no product has")
    return by_slug[slug.lower()]


def _add(sold: dict[int, Sold], product: Product, line: PaidLine) -> None:
    """The same product twice counts as more of it, as an order has one line for each."""
    edition = product.edition_on_sale()
    if edition is None:
        raise _Unmatched(f"“{product.name}” has no published file: add one")
    each, rest = divmod(line.amount, line.quantity)
    # Packages and fractions of a cent do not divide: what was charged is right, and the number is not what is sold.
    unit_price, quantity = (line.amount, 1) if rest else (each, line.quantity)
    before = sold.get(product.pk)
    if before and before.unit_price != unit_price:
        raise _Unmatched(f"“{product.name}” was sold at two prices at once, which is for a person to settle")
    sold[product.pk] = Sold(product, edition, unit_price, quantity + (before.quantity if before else 0))


def _sentence(missing: Iterable[str]) -> str:
    text = "Nothing was delivered: " + "; ".join(dict.fromkeys(missing))
    room = LONGEST - len(MEND) - 1
    return (text if len(text) <= room else text[: room - 1] + "…") + "." + MEND
