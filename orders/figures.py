"""The shop's figures over some time: from the days that were counted, and from the orders where a day changed since.

So they are right at any moment, whoever counts or does not, and it takes the same few statements with ten orders and
with a million. Amounts are minor units of one currency.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from orders import stripe_api
from orders.spans import Span, span
from orders.summarize import OF_DAYS, PRODUCT_COLUMNS, PRODUCTS, SALES, SALES_COLUMNS

BEST = 10


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What some days come to; see `DailySales` for each of these."""

    orders: int = 0
    sales: int = 0
    revenue: int = 0
    refunds: int = 0
    refunded: int = 0
    disputes: int = 0
    lost: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(**{name: mine + getattr(other, name) for name, mine in vars(self).items()})

    @property
    def kept(self) -> int:
        """Of the revenue, what was neither given back nor lost to a bank."""
        return self.revenue - self.refunded - self.lost

    @property
    def free(self) -> int:
        """Orders that cost nothing."""
        return self.orders - self.sales

    @property
    def average(self) -> int:
        """What a sale comes to, rounded down."""
        return self.revenue // self.sales if self.sales else 0


@dataclass(frozen=True)
class Looks:
    """Views of pages of products that cost something, and orders begun there that were paid, while views are counted:
    an order counts once for each of its products."""

    views: int = 0
    bought: int = 0

    @property
    def rate(self) -> float | None:
        """None where nobody looked."""
        return self.bought / self.views if self.views else None


@dataclass(frozen=True)
class Seller:
    product_id: int
    name: str
    units: int
    revenue: int
    looks: Looks


@dataclass(frozen=True, kw_only=True)
class Figures:
    """`bars` has one sum for each unit of the span, the running one at the end; `bars_before` those before. `sources`
    and `best` are compared with nothing, so what was sold in the running unit counts in them."""

    span: Span
    currency: str
    currencies: list[str]
    bars: list[Sums]
    bars_before: list[Sums]
    sources: dict[str, Sums]
    looks: Looks
    looks_before: Looks
    best: list[Seller] = field(default_factory=list)

    @property
    def total(self) -> Sums:
        """Of the whole units."""
        return sum(self.bars[:-1], Sums())

    @property
    def total_before(self) -> Sums:
        return sum(self.bars_before, Sums())

    @property
    def so_far(self) -> Sums:
        """Of the unit that still runs."""
        return self.bars[-1]


# The days that are settled, from the copies; the others, from the orders: materialized, so that PostgreSQL plans this
# part as when these days are counted, and does not turn a few days into a walk over all orders.
SETTLED = "SELECT {columns} FROM {table} WHERE day >= %(first)s AND NOT day = ANY(%(days)s)"
DAILY = f"""({SETTLED.format(columns=SALES_COLUMNS, table="orders_dailysales")}
    UNION ALL SELECT {SALES_COLUMNS} FROM live) AS daily"""  # noqa: S608 - made of our own texts alone
DAILY_PRODUCTS = f"""({SETTLED.format(columns=PRODUCT_COLUMNS, table="orders_dailyproductsales")}
    UNION ALL SELECT {PRODUCT_COLUMNS} FROM live) AS daily"""  # noqa: S608 - the same

BARS = f"""
    WITH live AS MATERIALIZED ({SALES.format(orders=OF_DAYS)})
    SELECT date_trunc(%(unit)s, daily.day::timestamp)::date, currency, source, sum(orders)::bigint, sum(sales)::bigint,
        sum(revenue)::bigint, sum(refunds)::bigint, sum(refunded)::bigint, sum(disputes)::bigint, sum(lost)::bigint
    FROM {DAILY}
    WHERE livemode = %(livemode)s
    GROUP BY 1, 2, 3"""  # noqa: S608 - the same

# Views know no currency: those of a product count for the currency that it is priced in now.
LOOKS = f"""
    WITH live AS MATERIALIZED ({PRODUCTS.format(orders=OF_DAYS)}),
    since AS (SELECT coalesce(min(day), 'infinity') AS day FROM catalog_productviews)
    SELECT daily.day >= %(first_now)s AS is_now, 0 AS views, sum(daily.bought)::bigint AS bought
    FROM {DAILY_PRODUCTS}, since
    WHERE livemode = %(livemode)s AND currency = %(currency)s AND daily.day < %(running)s AND daily.day >= since.day
    GROUP BY 1
    UNION ALL
    SELECT seen.day >= %(first_now)s, sum(seen.count)::bigint, 0
    FROM catalog_productviews AS seen JOIN catalog_product AS product ON product.id = seen.product_id
    WHERE seen.day >= %(first)s AND seen.day < %(running)s AND product.currency = %(currency)s AND product.price > 0
    GROUP BY 1"""  # noqa: S608 - the same

SELLERS = f"""
    WITH live AS MATERIALIZED ({PRODUCTS.format(orders=OF_DAYS)}),
    since AS (SELECT coalesce(min(day), 'infinity') AS day FROM catalog_productviews),
    best AS (
        SELECT product_id, sum(units)::bigint AS units, sum(revenue)::bigint AS revenue,
            coalesce(sum(bought) FILTER (WHERE daily.day >= since.day), 0)::bigint AS bought
        FROM {DAILY_PRODUCTS}, since
        WHERE livemode = %(livemode)s AND currency = %(currency)s
            AND daily.day >= %(first_now)s AND date_trunc(%(unit)s, daily.day::timestamp)::date <= %(running)s
        GROUP BY product_id ORDER BY revenue DESC, units DESC, product_id LIMIT {BEST}
    )
    SELECT product.id, product.name, best.units, best.revenue, best.bought, coalesce((
        SELECT sum(seen.count) FROM catalog_productviews AS seen
        WHERE seen.product_id = product.id AND seen.day >= %(first_now)s
    ), 0)::bigint
    FROM best JOIN catalog_product AS product ON product.id = best.product_id
    ORDER BY best.revenue DESC, best.units DESC, product.id"""  # noqa: S608 - the same


def read(unit: str, currency: str = "", *, today: date | None = None) -> Figures:
    """The figures of a unit of `spans.UNITS`. A currency in which nothing was sold meanwhile is answered with the one
    that most orders have. Reads only, by four statements however much there is."""
    asked = span(unit, today or timezone.localdate())
    values = {
        "unit": unit, "zone": settings.TIME_ZONE, "livemode": stripe_api.is_live(), "days": unsettled(asked.first),
        "first": asked.first, "first_now": asked.first_now, "running": asked.running,
    }  # fmt: skip
    bars = _rows(BARS, values)
    currencies = _currencies(bars)
    currency = currency if currency in currencies else (currencies or ["usd"])[0]
    values["currency"] = currency
    sums = [(start, source, _sums(row)) for start, code, source, *row in bars if code == currency]
    looks = _looks(_rows(LOOKS, values))
    now = {*asked.now, asked.running}
    return Figures(
        span=asked,
        currency=currency,
        currencies=sorted(currencies),
        bars=_by_start(sums, (*asked.now, asked.running)),
        bars_before=_by_start(sums, asked.before),
        sources=_by_source((source, one) for start, source, one in sums if start in now),
        looks=looks[True],
        looks_before=looks[False],
        best=[
            Seller(key, name, units, revenue, Looks(views, bought))
            for key, name, units, revenue, bought, views in _rows(SELLERS, values)
        ],
    )


def unsettled(first: date) -> list[date]:
    """The days since `first` that must be read from the orders: on which something changed since they were counted, or
    all, as long as nobody has counted the days of this time zone."""
    [[counted, changed]] = _rows(
        """SELECT EXISTS (SELECT FROM orders_countedzone WHERE zone = %(zone)s), (
               SELECT coalesce(array_agg(DISTINCT (paid_at AT TIME ZONE %(zone)s)::date), '{}')
               FROM orders_uncounted WHERE paid_at >= %(first)s::date - interval '2 days')""",
        {"zone": settings.TIME_ZONE, "first": first},
    )
    if counted:
        return sorted(day for day in changed if day >= first)
    # An order may bear a time of tomorrow, when clocks disagree.
    return [first + timedelta(days=n) for n in range((timezone.localdate() - first).days + 2)]


def _rows(statement: str, values: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _sums(row: Iterable[int]) -> Sums:
    return Sums(**dict(zip(Sums.__dataclass_fields__, row, strict=True)))


def _currencies(bars: list[Any]) -> list[str]:
    """Those in which anything was sold, the one with most orders first; while there were only free copies, theirs."""
    orders: dict[str, int] = {}
    sales: dict[str, int] = {}
    for _start, code, _source, number, sold, *_ in bars:
        orders[code] = orders.get(code, 0) + number
        sales[code] = sales.get(code, 0) + sold
    shown = [code for code in orders if sales[code]] or list(orders)
    return sorted(shown, key=lambda code: (-orders[code], code))


def _by_start(sums: list[tuple[date, str, Sums]], starts: Iterable[date]) -> list[Sums]:
    found = dict.fromkeys(starts, Sums())
    for start, _source, one in sums:
        if start in found:
            found[start] += one
    return list(found.values())


def _by_source(sums: Iterable[tuple[str, Sums]]) -> dict[str, Sums]:
    found: dict[str, Sums] = {}
    for source, one in sums:
        found[source] = found.get(source, Sums()) + one
    return found


def _looks(rows: list[Any]) -> dict[bool, Looks]:
    found = {True: Looks(), False: Looks()}
    for is_now, views, bought in rows:
        found[is_now] = Looks(found[is_now].views + views, found[is_now].bought + bought)
    return found
