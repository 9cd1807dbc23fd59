"""The orders in which products can be shown, and the cursors that name a place in each.

A page begins after the last product of the one before, however many came before: there is no offset to count through.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from catalog.models import Product, ProductQuerySet

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
CURSOR = re.compile(r"(.{1,400})-([0-9]{1,17})", re.DOTALL)
WHOLE = re.compile(r"[0-9]{1,17}")  # as microseconds they reach the year 5138

Position = tuple[Any, int]  # the value that is sorted by, and an id


def whole(text: str) -> int | None:
    return int(text) if WHOLE.fullmatch(text) else None


def moment(text: str) -> datetime | None:
    microseconds = whole(text)
    return None if microseconds is None else EPOCH + microseconds * MICROSECOND


def text(text: str) -> str | None:
    """PostgreSQL's texts have no NUL."""
    return None if "\x00" in text else text


def microseconds(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def beyond(*place: tuple[str, Any], descending: bool = True) -> Q:
    """What comes after a place that is given by the fields of an order and their values there."""
    side = "lt" if descending else "gt"
    after = Q()
    for name, value in reversed(place):
        after = Q((f"{name}__{side}", value)) | (Q((name, value)) & after if after else Q())
    # This says nothing new, but PostgreSQL can begin there to read its index.
    name, value = place[0]
    return Q((f"{name}__{side}e", value)) & after


@dataclass(frozen=True)
class Sort:
    """An order by one value, and by id where it is the same. `read` and `write` turn it into text and back."""

    name: str
    label: str | Promise
    key: Any
    descending: bool
    read: Callable[[str], Any]
    write: Callable[[Any], object] = str
    by_price: bool = False

    def page(self, products: ProductQuerySet, after: Position | None, length: int) -> list[Product]:
        """The next `length` products."""
        rows = products.annotate(sort_key=self.key)
        if after:
            value, pk = after
            rows = rows.filter(beyond(("sort_key", value), ("pk", pk), descending=self.descending))
        sign = "-" if self.descending else ""
        return list(rows.order_by(f"{sign}sort_key", f"{sign}pk")[:length])

    def position(self, cursor: str) -> Position | None:
        """The place that a cursor names, or None where it is not one of ours."""
        match = CURSOR.fullmatch(cursor)
        value = self.read(match[1]) if match else None
        return (value, int(match[2])) if match and value is not None else None

    def cursor(self, product: Product) -> str:
        return f"{self.write(cast('Any', product).sort_key)}-{product.pk}"


NEWEST = Sort("newest", _("Newest"), F("published_at"), True, moment, microseconds)
# The others, by name.
SORTS = {
    sort.name: sort
    for sort in (
        Sort("best-selling", _("Best-selling"), F("sales"), True, whole),
        Sort("price", _("Price, low to high"), F("price"), False, whole, by_price=True),
        Sort("price-down", _("Price, high to low"), F("price"), True, whole, by_price=True),
        Sort("title", _("Title"), Lower("name"), False, text),
    )
}
