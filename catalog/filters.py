"""What a visitor asks the catalog for: the parameters of its address, read with patience, and written back."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Q
from django.http import QueryDict
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext as _

from catalog import money, search
from catalog.models import Category, Product, ProductQuerySet, Tag
from catalog.sorting import NEWEST, SORTS, Sort

# From one currency to the next along the index: to read them all off 100,000 products would take longer than a search.
CURRENCIES = """
    WITH RECURSIVE used AS (
        SELECT min(currency) AS code FROM catalog_product WHERE status = 'published'
        UNION ALL
        SELECT (SELECT min(currency) FROM catalog_product WHERE status = 'published' AND currency > used.code)
        FROM used WHERE used.code IS NOT NULL
    )
    SELECT code FROM used WHERE code IS NOT NULL
    ORDER BY code <> (
        SELECT currency FROM catalog_product WHERE status = 'published' ORDER BY published_at DESC, id DESC LIMIT 1
    ), code"""

# What makes a shelf of the shop, its category or tag, one visitor's question.
NO_QUESTION: dict[str, Any] = {
    "q": "",
    "kind": "",
    "currency": "",
    "least": "",
    "most": "",
    "free": False,
    "sort_name": "",
}


def currencies() -> list[str]:
    """Those in which something is on sale, that of the newest product first: it applies where none is chosen."""
    with connection.cursor() as cursor:
        cursor.execute(CURRENCIES)
        return [code for (code,) in cursor.fetchall()]


@dataclass(frozen=True)
class Filters:
    """What was asked for. Amounts are kept as they were written, so that the form shows them again."""

    q: str = ""
    category: Category | None = None
    tag: Tag | None = None
    kind: str = ""
    currency: str = ""
    least: str = ""
    most: str = ""
    free: bool = False
    sort_name: str = ""  # "" is the order that fits: the best match of a search, else the newest
    currencies: list[str] = field(default_factory=list)

    @cached_property
    def terms(self) -> list[search.Term]:
        return search.terms(self.q)

    @property
    def sort(self) -> Sort:
        return SORTS.get(self.sort_name, NEWEST)

    @property
    def sorts(self) -> list[tuple[str, str | Promise]]:
        """What the form offers, "" for what it is without a choice."""
        named = [(sort.name, sort.label) for sort in SORTS.values()]
        return [("", _("Best match")), (NEWEST.name, NEWEST.label), *named] if self.q else [("", NEWEST.label), *named]

    @property
    def by_match(self) -> bool:
        """Whether the best match comes first, which only a search has."""
        return bool(self.q) and not self.sort_name

    @property
    def priced_in(self) -> str:
        """The one currency to which amounts apply: 5 dollars are neither more nor less than 500 yen. "" where prices
        are not asked about, or nothing has one."""
        asked = bool(self.currency or self.least or self.most or (self.sort.by_price and not self.by_match))
        return (self.currency or next(iter(self.currencies), "")) if asked else ""

    @cached_property
    def errors(self) -> dict[str, str]:
        """By field, why an amount was not understood; it filters nothing then."""
        return {name: answer for name in ("least", "most") if isinstance(answer := self._amount(name), str)}

    def _amount(self, name: str) -> int | str | None:
        """Minor units, or what is wrong with them; None where nothing was asked."""
        text = getattr(self, name)
        if not text or not self.priced_in:
            return None
        try:
            return money.read(text, self.priced_in)
        except ValidationError as error:
            return " ".join(error.messages)

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out."""
        return any((self.q, self.category, self.tag, self.kind, self.priced_in, self.free))

    @property
    def is_shelf(self) -> bool:
        """Whether this is a place of the shop, the catalog or one of its categories or tags in its own order, rather
        than one visitor's question: what search engines may keep."""
        return not (self.category and self.tag) and self == replace(self, **NO_QUESTION)

    @property
    def is_refined(self) -> bool:
        """Whether the form's folded part was used."""
        return self != replace(self, **{**NO_QUESTION, "q": self.q, "tag": None})

    def products(self, words_in: str = "words") -> ProductQuerySet:
        """Everything on sale that was asked for, in no order yet. `words_in` is where a search looks: "words" or
        "name_words"."""
        wanted = Q()
        if self.q:
            wanted &= Q((words_in, search.matching(self.terms))) if self.terms else Q(pk__in=())
        if self.category:
            wanted &= Q(categories=self.category)
        if self.tag:
            wanted &= Q(tags=self.tag)
        if self.kind:
            wanted &= Q(kinds__contains=[self.kind])
        if self.free:
            wanted &= Q(price=0)
        if self.priced_in:
            wanted &= Q(currency=self.priced_in)
        for name, lookup in (("least", "price__gte"), ("most", "price__lte")):
            amount = self._amount(name)
            if isinstance(amount, int):
                wanted &= Q((lookup, amount))
        return Product.objects.on_sale().filter(wanted)

    def address(self, **changes: Any) -> str:
        """Where this is shown, changed by that; `after` names a place in it."""
        return reverse("catalog") + self.query(**changes)

    def query(self, *, after: str = "", **changes: Any) -> str:
        """The address's part from the question mark on, "" where there is none."""
        asked = replace(self, **changes)
        values = {
            "q": asked.q,
            "category": asked.category.slug if asked.category else "",
            "tag": asked.tag.slug if asked.tag else "",
            "type": asked.kind,
            "currency": asked.currency,
            "least": asked.least,
            "most": asked.most,
            "free": "1" if asked.free else "",
            "sort": asked.sort_name,
            "after": after,
        }
        text = urlencode({name: value for name, value in values.items() if value})
        return f"?{text}" if text else ""

    def chosen(self) -> Iterator[tuple[str, str]]:
        """Each thing that was asked for in words, and the address without it."""
        if self.q:
            yield _("“%(words)s”") % {"words": self.q}, self.address(q="")
        if self.category:
            yield self.category.name, self.address(category=None)
        if self.tag:
            yield self.tag.name, self.address(tag=None)
        if self.kind:
            yield str(Product.Kind(self.kind).label), self.address(kind="")
        if self.free:
            yield _("Free"), self.address(free=False)
        for name, words in (("least", _("From %(amount)s")), ("most", _("Up to %(amount)s"))):
            amount = self._amount(name)
            if isinstance(amount, int):
                shown = money.display(amount, self.priced_in)
                yield words % {"amount": shown}, self.address(**{name: ""})
        if self.currency:
            yield _("Prices in %(currency)s") % {"currency": self.currency.upper()}, self.address(currency="")


def read(asked: QueryDict) -> Filters:
    """What the address asks for. What can only come from outside the form is left out; a category or tag that does
    not exist raises Http404, because its page is gone."""

    def text(name: str, longest: int = 20) -> str:
        return str(asked.get(name, "")).replace("\x00", "").strip()[:longest]

    used = currencies()
    words, sort = " ".join(text("q", search.LONGEST).split()), text("sort")
    category, tag = text("category", 60), text("tag", 40)
    return Filters(
        q=words,
        category=get_object_or_404(Category, slug=category) if category else None,
        tag=get_object_or_404(Tag, slug=tag) if tag else None,
        kind=text("type") if text("type") in Product.Kind.values else "",
        currency=text("currency") if text("currency") in used else "",
        least=text("least"),
        most=text("most"),
        free=bool(text("free")),
        sort_name=sort if sort in SORTS or (words and sort == NEWEST.name) else "",
        currencies=used,
    )
