"""One change of many products: first a plan that can be shown, then all of it in one transaction, or nothing."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils.translation import gettext as _

from catalog import money, publishing
from catalog.models import Category, Product
from catalog.pricing import Pricing

MOST = 5000  # products in one change
SHOWN = ("name", "slug", "status", "price", "currency")

# One statement for any number of prices.
NEW_PRICES = """
    UPDATE catalog_product AS product SET price = wanted.price, updated_at = now()
    FROM unnest(%s::bigint[], %s::integer[]) AS wanted (id, price)
    WHERE product.id = wanted.id"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What becomes of one product: `was` and `becomes` as they are stored, the same where it is so already.

    `why_not`: it stays as it is, for this reason. `before` and `after` are for the page, `recorded` for the log.
    """

    product: Product
    was: str | int
    becomes: str | int
    before: str = ""
    after: str = ""
    recorded: str = ""
    why_not: str = ""

    @property
    def changes(self) -> bool:
        return not self.why_not and self.was != self.becomes


@dataclass(frozen=True)
class Plan:
    rows: tuple[Row, ...]

    @property
    def changes(self) -> list[Row]:
        return [row for row in self.rows if row.changes]

    @property
    def impossible(self) -> list[Row]:
        return [row for row in self.rows if row.why_not]

    @property
    def same(self) -> int:
        return len(self.rows) - len(self.changes) - len(self.impossible)

    @property
    def digest(self) -> str:
        """The same for the same changes of the same products, in any language."""
        told = [(row.product.pk, row.was, row.becomes, bool(row.why_not)) for row in self.rows]
        return hashlib.sha256(repr(told).encode()).hexdigest()


@dataclass(frozen=True)
class Act:
    """Something that can be done to products: what it needs to know of them, what it makes of each, how it is
    written."""

    products: Callable[[QuerySet[Product]], QuerySet[Product]]
    row: Callable[[Any], Row]
    write: Callable[[list[Row]], None]


class ChangedMeanwhile(Exception):
    """What would be done now is not what was shown. Nothing was done."""


def plan(act: Act, ids: Collection[int]) -> Plan:
    """What the act would do now. Writes nothing, and asks as often for many products as for one."""
    return _plan(act, Product.objects.filter(pk__in=ids))


def carry_out(act: Act, ids: Collection[int], *, shown: str, record: Callable[[list[Row]], None]) -> Plan:
    """Do what was shown as the plan with the digest `shown`, all of it or nothing, and have it recorded with it.

    Raises ChangedMeanwhile. So it may be sent twice: the second time there is another plan.
    """
    try:
        with transaction.atomic():
            found = _plan(act, Product.objects.select_for_update(of=("self",), no_key=True).filter(pk__in=ids))
            if found.digest != shown:
                raise ChangedMeanwhile
            if found.changes:
                act.write(found.changes)
                record(found.changes)
    except IntegrityError as error:  # the last file of one went between the look and the commit
        raise ChangedMeanwhile from error
    return found


def _plan(act: Act, products: QuerySet[Product]) -> Plan:
    return Plan(tuple(act.row(product) for product in act.products(products.only(*SHOWN)).order_by("pk")))


# The acts


def set_status(status: Product.Status) -> Act:
    """Publish, archive, or take back to draft. What cannot be delivered or charged is not published."""

    def row(product: Any) -> Row:
        publishes = status == Product.Status.PUBLISHED != product.status
        old = Product.Status(product.status)
        return Row(
            product=product,
            was=str(old),
            becomes=str(status),
            before=str(old.label),
            after=str(status.label),
            recorded=f"{old} → {status}",
            why_not=" ".join(publishing.stops(product)) if publishes else "",
        )

    def write(rows: list[Row]) -> None:
        now: dict[str, Any] = {"status": status, "updated_at": Now()}
        if status != Product.Status.DRAFT:
            now["published_at"] = Coalesce("published_at", Now())
        _of(rows).update(**now)

    return Act(publishing.with_facts if status == Product.Status.PUBLISHED else _as_they_are, row, write)


def set_price(pricing: Pricing) -> Act:
    def row(product: Product) -> Row:
        try:
            new, why_not = pricing.new_price(product.price, product.currency), ""
        except ValidationError as error:
            new, why_not = product.price, " ".join(error.messages)
        before, after = (_price(amount, product.currency) for amount in (product.price, new))
        told = [money.recorded(amount, product.currency) for amount in (product.price, new)]
        return Row(
            product=product,
            was=f"{product.price} {product.currency}",
            becomes=f"{new} {product.currency}",
            before=before,
            after=after,
            recorded=" → ".join(told),
            why_not=why_not,
        )

    def write(rows: list[Row]) -> None:
        prices = [int(str(row.becomes).split()[0]) for row in rows]
        with connection.cursor() as cursor:
            cursor.execute(NEW_PRICES, [[row.product.pk for row in rows], prices])

    return Act(_as_they_are, row, write)


def set_category(category: Category, *, inside: bool) -> Act:
    """Put into the category or take out of it."""
    through = Product.categories.through

    def products(found: QuerySet[Product]) -> QuerySet[Product]:
        return found.annotate(is_inside=Exists(through.objects.filter(product=OuterRef("pk"), category=category)))

    def row(product: Any) -> Row:
        said = {True: _("in %(category)s"), False: _("not in %(category)s")}
        return Row(
            product=product,
            was=int(product.is_inside),
            becomes=int(inside),
            before=said[product.is_inside] % {"category": category},
            after=said[inside] % {"category": category},
            recorded=f"put into {category}" if inside else f"taken out of {category}",
        )

    def write(rows: list[Row]) -> None:
        ids = [row.product.pk for row in rows]
        if inside:
            links = (through(product_id=pk, category_id=category.pk) for pk in ids)
            through.objects.bulk_create(links, ignore_conflicts=True)
        else:
            through.objects.filter(category=category, product_id__in=ids).delete()
        _of(rows).update(updated_at=Now())

    return Act(products, row, write)


def _as_they_are(products: QuerySet[Product]) -> QuerySet[Product]:
    return products


def _of(rows: list[Row]) -> QuerySet[Product]:
    return Product.objects.filter(pk__in=[row.product.pk for row in rows])


def _price(amount: int, currency: str) -> str:
    return money.display(amount, currency) if amount else _("free")
