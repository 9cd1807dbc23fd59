"""The dashboard's numbers, against numbers that are counted in another way: order by order, in Python."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import override_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as property_settings
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from catalog.models import Product
from catalog.view_models import ProductViews
from orders import figures, summarize
from orders.daily_models import CountedZone, DailyProductSales, DailySales, Uncounted
from orders.figures import Figures, Looks, Sums
from orders.models import Order, OrderLine
from orders.spans import span, start
from tests.factories import OrderFactory, ProductFactory

pytestmark = pytest.mark.django_db

TODAY = date(2026, 11, 4)  # a Wednesday


def sold(product: Product, at: datetime, **kwargs: Any) -> Order:
    order: Order = OrderFactory(
        product=product, **{"state": "paid", "paid_at": at, "currency": product.currency, **kwargs}
    )
    return order


def read(unit: str = "day", currency: str = "") -> Figures:
    return figures.read(unit, currency, today=TODAY)


def rows(sql: str, *values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def noon(days_ago: int) -> datetime:
    return datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC) - timedelta(days=days_ago)


# Some orders of every kind, and what they come to.


def test_each_number_is_what_its_name_says() -> None:
    book = ProductFactory(price=1000)
    sold(book, noon(1))
    sold(book, noon(1), refunded=400)
    sold(book, noon(2), refunded=1000)
    sold(book, noon(3), dispute="lost", refunded=100)
    sold(book, noon(3), dispute="open")
    sold(book, noon(3), dispute="won")
    sold(book, noon(4), source="payment_link")
    sold(book, noon(5), source="manual", total=0)
    sold(ProductFactory(price=0), noon(5), source="free", total=0)
    for state in ("open", "processing", "failed", "expired"):
        sold(book, noon(1), state=state)
    assert read().total == Sums(orders=9, sales=7, revenue=7000, refunds=3, refunded=1500, disputes=3, lost=900)
    assert (read().total.kept, read().total.average, read().total.free) == (4600, 1000, 2)
    assert {source: (one.orders, one.revenue) for source, one in read().sources.items()} == {
        "checkout": (6, 6000), "payment_link": (1, 1000), "manual": (1, 0), "free": (1, 0),
    }  # fmt: skip
    assert [bar.revenue for bar in read().bars[-6:]] == [0, 1000, 3000, 1000, 2000, 0]


def test_only_whole_periods_are_summed_and_the_running_one_stands_apart() -> None:
    book = ProductFactory(price=1000)
    for days_ago, times in ((0, 1), (1, 2), (30, 4), (31, 8), (60, 16), (61, 32)):
        for _ in range(times):
            sold(book, noon(days_ago))
    found = read()
    assert (found.so_far.orders, found.total.orders, found.total_before.orders) == (1, 6, 24)
    assert (len(found.bars), len(found.bars_before)) == (31, 30)


def test_weeks_begin_on_monday_and_months_on_their_first() -> None:
    weeks, months = span("week", TODAY), span("month", TODAY)
    assert (weeks.running, weeks.now[-1], weeks.now[0], weeks.before[0]) == (
        date(2026, 11, 2), date(2026, 10, 26), date(2026, 8, 10), date(2026, 5, 18),
    )  # fmt: skip
    assert (months.running, months.now[-1], months.now[0], months.before[0]) == (
        date(2026, 11, 1), date(2026, 10, 1), date(2025, 11, 1), date(2024, 11, 1),
    )  # fmt: skip
    sold(ProductFactory(price=1000), datetime(2026, 11, 1, 23, 59, 59, tzinfo=UTC))  # a Sunday, the first
    assert (read("week").total.orders, read("week").so_far.orders) == (1, 0)
    assert (read("month").total.orders, read("month").so_far.orders) == (0, 1)


def test_currencies_are_never_added_up() -> None:
    for currency, price, times in (("usd", 1000, 2), ("jpy", 500, 3), ("kwd", 5120, 1)):
        for _ in range(times):
            sold(ProductFactory(price=price, currency=currency), noon(1))
    assert (read().currency, read().currencies) == ("jpy", ["jpy", "kwd", "usd"])
    assert [read(currency=code).total.revenue for code in ("usd", "jpy", "kwd")] == [2000, 1500, 5120]
    assert read(currency="eur").currency == "jpy"


def test_shop_that_sold_nothing_has_zeros() -> None:
    found = read()
    assert (found.currency, found.currencies, found.total, found.best) == ("usd", [], Sums(), [])
    assert (found.total.average, found.looks.rate) == (0, None)


def test_test_orders_do_not_count_in_a_live_shop(settings: Settings) -> None:
    book = ProductFactory(price=1000)
    sold(book, noon(1))
    sold(book, noon(1), livemode=True)
    sold(book, noon(1), livemode=True)
    summarize.summarize()
    assert read().total.orders == 1
    settings.STRIPE_SECRET_KEY = "sk_live_only_for_a_test"
    assert (read().total.orders, read().best[0].units) == (2, 2)


# Best sellers and conversion.


def test_best_sellers_by_revenue_with_their_part_of_discounts_and_without_taxes() -> None:
    one, two, three = (ProductFactory(name=f"Book {n}", price=price) for n, price in ((1, 1000), (2, 500), (3, 3000)))
    seen(three, TODAY - timedelta(days=9), 1)  # from then on views are counted
    sold(one, noon(1), total=1190)
    discounted = sold(one, noon(2), total=1000)  # for lines worth 1500
    OrderLine.objects.create(order=discounted, product=two, edition=two.editions.get(), name="Two", unit_price=500)
    many = sold(two, noon(3), total=2000, source="payment_link")
    OrderLine.objects.filter(order=many).update(quantity=4)
    sold(three, noon(4), total=0)
    assert [(each.name, each.units, each.revenue, each.looks.bought) for each in read().best] == [
        ("Book 2", 5, 2333, 1), ("Book 1", 2, 1666, 2),
    ]  # fmt: skip


def seen(product: Product, day: date, count: int, slot: int = 0) -> None:
    ProductViews.objects.create(product=product, day=day, slot=slot, count=count)


def test_conversion_is_orders_of_the_shop_s_pages_over_their_views_while_these_are_counted() -> None:
    book, free, other = ProductFactory(price=1000), ProductFactory(price=0), ProductFactory(price=500, currency="jpy")
    first = TODAY - timedelta(days=40)
    seen(book, first, 10)
    seen(book, TODAY - timedelta(days=2), 30, slot=1)
    seen(book, TODAY - timedelta(days=2), 20, slot=3)
    seen(free, TODAY - timedelta(days=2), 1000)
    seen(other, TODAY - timedelta(days=2), 1000)
    seen(book, TODAY, 1000)
    for days_ago in (0, 1, 2, 40, 41, 50):  # views are counted for 40 days
        sold(book, noon(days_ago))
    sold(book, noon(1), source="payment_link")
    found = read(currency="usd")
    assert (found.looks, found.looks_before) == (Looks(50, 2), Looks(10, 1))
    assert (found.looks.rate, found.best[0].looks) == (0.04, Looks(1050, 3))  # with what runs still


# The day is the shop's.


@pytest.mark.parametrize(
    "zone, day, hours",
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/Havana", date(2026, 11, 1), 25),  # its midnight comes twice
        ("Asia/Beirut", date(2026, 3, 29), 23),  # its midnight never comes
        ("Asia/Kolkata", date(2026, 6, 1), 24),
        ("Pacific/Auckland", date(2026, 9, 27), 23),
    ],
)
@pytest.mark.parametrize("is_counted", [True, False])
def test_day_has_its_own_hours_from_its_first_moment_to_its_last(
    settings: Settings, zone: str, day: date, hours: int, is_counted: bool
) -> None:
    settings.TIME_ZONE = zone
    first, last = edges(ZoneInfo(zone), day)
    assert (last - first) == timedelta(hours=hours) - timedelta(microseconds=1)
    book = ProductFactory(price=1000)
    inside = [first, first + timedelta(minutes=30), first + timedelta(hours=1), first + timedelta(hours=12), last]
    for at in (first - timedelta(microseconds=1), *inside, last + timedelta(microseconds=1)):
        sold(book, at)
    if is_counted:
        assert summarize.summarize() == 3
    found = figures.read("day", today=day + timedelta(days=2))
    assert [bar.orders for bar in found.bars[-4:]] == [1, 5, 1, 0]


def edges(zone: ZoneInfo, day: date) -> tuple[datetime, datetime]:
    """The first and the last microsecond that a clock in this zone shows this date, found by looking at the clock."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=30)
    minutes = [at + timedelta(minutes=n) for n in range(60 * 80)]
    inside = [moment for moment in minutes if moment.astimezone(zone).date() == day]
    return inside[0], inside[-1] + timedelta(minutes=1) - timedelta(microseconds=1)


def test_another_time_zone_counts_everything_anew(settings: Settings) -> None:
    book = ProductFactory(price=1000)
    sold(book, datetime(2026, 11, 2, 23, 30, tzinfo=UTC))
    summarize.summarize()
    assert [bar.orders for bar in read().bars[-3:]] == [1, 0, 0]
    settings.TIME_ZONE = "Asia/Tokyo"
    assert [bar.orders for bar in read().bars[-3:]] == [0, 1, 0]  # before anybody has counted
    assert summarize.summarize() == 1
    assert [bar.orders for bar in read().bars[-3:]] == [0, 1, 0]
    assert list(DailySales.objects.values_list("day", flat=True)) == [date(2026, 11, 3)]


# What happens later to an order of long ago.


def test_refund_of_an_old_order_changes_its_own_day_at_once_and_for_good() -> None:
    order = sold(ProductFactory(price=1000), noon(20))
    summarize.summarize()
    assert (Uncounted.objects.count(), read().bars[-21].refunded) == (0, 0)
    Order.objects.filter(pk=order.pk).update(refunded=300)
    assert figures.unsettled(TODAY - timedelta(days=60)) == [TODAY - timedelta(days=20)]
    assert read().bars[-21].refunded == 300
    assert summarize.summarize() == 1
    assert (read().bars[-21].refunded, summarize.summarize()) == (300, 0)
    Order.objects.filter(pk=order.pk).update(refunded=0)  # the refund has failed
    assert read().bars[-21].refunded == 0


@pytest.mark.parametrize(
    "change",
    [
        {"state": "failed"}, {"total": 900}, {"refunded": 1}, {"dispute": "open"}, {"currency": "eur"},
        {"source": "manual"}, {"paid_at": noon(3)}, {"livemode": True},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_is_counted_marks_the_day(change: dict[str, Any]) -> None:
    order = sold(ProductFactory(price=1000), noon(20))
    summarize.summarize()
    Order.objects.filter(pk=order.pk).update(**change)
    days = {TODAY - timedelta(days=20)} | ({TODAY - timedelta(days=3)} if "paid_at" in change else set())
    assert set(figures.unsettled(TODAY - timedelta(days=60))) == days


def test_what_is_not_counted_marks_nothing() -> None:
    order = sold(ProductFactory(price=1000), noon(20))
    OrderFactory()
    summarize.summarize()
    order.email, order.attention, order.facts_version = "new@example.com", "look", 7
    order.save()
    OrderLine.objects.filter(order=order).update(name="Another", refunded=10)
    assert Uncounted.objects.count() == 0


def test_line_and_deletion_mark_the_day() -> None:
    order = sold(ProductFactory(price=1000), noon(20))
    summarize.summarize()
    OrderLine.objects.filter(order=order).update(quantity=2)
    assert [each.units for each in read().best] == [2]
    summarize.summarize()
    assert [each.units for each in read().best] == [2]
    OrderLine.objects.filter(order=order).delete()
    order.delete()
    assert (read().total, read().best) == (Sums(), [])
    assert summarize.summarize() == 1
    assert (DailySales.objects.count(), DailyProductSales.objects.count()) == (0, 0)


# The copies and the orders say the same, whatever happened in whatever order.


def test_counting_twice_changes_nothing() -> None:
    book = ProductFactory(price=1000)
    for days_ago in (1, 2, 2, 50):
        sold(book, noon(days_ago))
    assert (summarize.summarize(), summarize.summarize()) == (3, 0)
    before = copies()
    assert summarize.summarize_since(TODAY - timedelta(days=60)) >= 61
    assert summarize.summarize_all() == 3
    assert copies() == before
    assert len(before[0]) == 3


def copies() -> tuple[list[Any], list[Any]]:
    sales = DailySales.objects.order_by("day", "livemode", "currency", "source")
    products = DailyProductSales.objects.order_by("day", "livemode", "currency", "product")
    return list(sales.values_list(*columns(DailySales))), list(products.values_list(*columns(DailyProductSales)))


def columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.fields if field.attname != "id"]


@pytest.mark.parametrize("unit", ["day", "week", "month"])
def test_order_of_a_unit_that_has_not_begun_is_in_no_figure(unit: str) -> None:
    """Clocks disagree: Stripe's may be past midnight already."""
    summarize.summarize()
    sold(ProductFactory(price=1000), noon(-40))
    found = read(unit)
    assert (found.so_far, found.sources, found.best) == (Sums(), {}, [])


def test_missing_mark_is_made_good_by_the_night() -> None:
    """A trigger may be switched off, by a restore for example."""
    order = sold(ProductFactory(price=1000), noon(20))
    summarize.summarize()
    Order.objects.filter(pk=order.pk).update(refunded=1000)
    Uncounted.objects.all().delete()
    assert read().total.refunded == 0
    summarize.summarize_since(TODAY - timedelta(days=30))
    assert read().total.refunded == 1000


minutes = st.integers(0, 65 * 24 * 60)
moments = st.builds(lambda n: datetime(2026, 9, 1, tzinfo=UTC) + timedelta(minutes=n), minutes)
makings = st.fixed_dictionaries(
    {
        "paid_at": moments,
        "total": st.integers(0, 3000),
        "lines": st.lists(
            st.tuples(st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=3, unique_by=lambda x: x[0]
        ),
        "source": st.sampled_from(Order.Source.values),
        "currency": st.sampled_from(["usd", "jpy"]),
    }
)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), makings),
        st.tuples(st.just("refund"), st.tuples(st.integers(0, 99), st.integers(0, 3000))),
        st.tuples(st.just("dispute"), st.tuples(st.integers(0, 99), st.sampled_from(Order.Dispute.values))),
        st.tuples(st.just("unpay"), st.tuples(st.integers(0, 99), st.sampled_from(["paid", "failed"]))),
        st.tuples(st.just("move"), st.tuples(st.integers(0, 99), moments)),
        st.tuples(st.just("count"), st.none()),
    ),
    max_size=25,
)


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def three(db: None) -> list[Product]:
    return [ProductFactory(price=price) for price in (0, 700, 1250)]


@given(acts=acts, zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Asia/Kolkata"]))
@property_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_copies_orders_and_counting_one_by_one_agree(three: list[Product], acts: list[Any], zone: str) -> None:
    with undone(), override_settings(TIME_ZONE=zone):
        CountedZone.objects.all().delete()
        summarize.summarize()
        orders: list[Order] = []
        for name, given_ in acts:
            ACTS[name](orders, three, given_)
        for unit in ("day", "week", "month"):
            for currency in ("usd", "jpy"):
                expected = counted(orders, unit, currency, ZoneInfo(zone))
                mixed = told(read(unit, currency))
                summarize.summarize()
                settled = told(read(unit, currency))
                CountedZone.objects.all().delete()
                live = told(read(unit, currency))
                summarize.summarize_all()
                if currency in read(unit, currency).currencies:
                    assert mixed == settled == live == expected


def sell(orders: list[Order], products: list[Product], made: dict[str, Any]) -> None:
    lines = made["lines"]
    order = Order.objects.create(
        state="paid", livemode=False, **{name: made[name] for name in ("paid_at", "total", "source", "currency")}
    )
    for which, quantity in lines:
        product = products[which]
        OrderLine.objects.create(
            order=order, product=product, edition=product.editions.get(), name=product.name,
            unit_price=product.price, quantity=quantity,
        )  # fmt: skip
    orders.append(order)


def change(orders: list[Order], which: int, **fields: Any) -> None:
    if orders:
        order = orders[which % len(orders)]
        for name, value in fields.items():
            setattr(order, name, value)
        order.save()


def refund(orders: list[Order], _products: list[Product], values: tuple[int, int]) -> None:
    if orders:
        change(orders, values[0], refunded=min(values[1], orders[values[0] % len(orders)].total))


ACTS: dict[str, Callable[[list[Order], list[Product], Any], Any]] = {
    "sell": sell,
    "refund": refund,
    "dispute": lambda orders, _products, values: change(orders, values[0], dispute=values[1]),
    "unpay": lambda orders, _products, values: change(orders, values[0], state=values[1]),
    "move": lambda orders, _products, values: change(orders, values[0], paid_at=values[1]),
    "count": lambda *_: summarize.summarize(),
}


def told(found: Figures) -> tuple[list[Sums], list[Sums], dict[str, Sums], list[tuple[int, int, int]]]:
    best = sorted((each.product_id, each.units, each.revenue) for each in found.best)
    return found.bars, found.bars_before, found.sources, best


def counted(
    orders: list[Order], unit: str, currency: str, zone: ZoneInfo
) -> tuple[list[Sums], list[Sums], dict[str, Sums], list[tuple[int, int, int]]]:
    """What `told` says, by looking at each order."""
    periods = span(unit, TODAY)
    bars: dict[date, Sums] = {}
    sources: dict[str, Sums] = {}
    best: dict[int, tuple[int, int]] = {}
    for order in orders:
        order.refresh_from_db()
        assert order.paid_at is not None
        if order.state != "paid" or order.currency != currency:
            continue
        begins = start(unit, order.paid_at.astimezone(zone).date())
        one = Sums(
            orders=1,
            sales=int(order.total > 0),
            revenue=order.total,
            refunds=int(order.refunded > 0),
            refunded=order.refunded,
            disputes=int(order.dispute != ""),
            lost=order.total - order.refunded if order.dispute == "lost" else 0,
        )
        bars[begins] = bars.get(begins, Sums()) + one
        if begins not in (*periods.now, periods.running):
            continue
        sources[order.source] = sources.get(order.source, Sums()) + one
        lines = list(order.lines.all())
        worth = sum(line.amount for line in lines)
        for line in lines:
            if order.total > 0 and line.amount > 0:
                part = line.amount if order.total >= worth else line.amount * order.total // worth
                units, revenue = best.get(line.product_id, (0, 0))
                best[line.product_id] = (units + line.quantity, revenue + part)
    return (
        [bars.get(begins, Sums()) for begins in (*periods.now, periods.running)],
        [bars.get(begins, Sums()) for begins in periods.before],
        sources,
        sorted((key, *values) for key, values in best.items()),
    )


def test_numbers_are_those_of_plain_sql() -> None:
    book, yen = ProductFactory(price=1000), ProductFactory(price=500, currency="jpy")
    for days_ago in (1, 1, 5, 29, 30, 31):
        sold(book, noon(days_ago), refunded=days_ago)
        sold(yen, noon(days_ago))
    for currency in ("usd", "jpy"):
        [(orders, revenue, refunded)] = rows(
            """SELECT count(*), sum(total), sum(refunded) FROM orders_order WHERE state = 'paid' AND currency = %s
               AND paid_at >= timestamptz '2026-10-05 00:00+00' AND paid_at < timestamptz '2026-11-04 00:00+00'""",
            currency,
        )
        total = read(currency=currency).total
        assert (total.orders, total.revenue, total.refunded) == (orders, revenue, refunded)
    assert (orders, revenue) == (5, 2500)


# What it takes.


@pytest.mark.parametrize("many", [0, 30])
def test_statements_are_as_many_for_few_and_many(django_assert_num_queries: DjangoAssertNumQueries, many: int) -> None:
    for n in range(many):
        sold(ProductFactory(price=1000, currency=("usd", "eur")[n % 2]), noon(n))
    summarize.summarize()
    for n in range(many):
        sold(ProductFactory(price=1000), noon(n))
    with django_assert_num_queries(4):
        read()


@pytest.mark.django_db(transaction=True)
def test_two_who_count_at_once_leave_it_to_one_and_nothing_is_counted_twice() -> None:
    book = ProductFactory(price=1000)
    for days_ago in (1, 2, 2):
        sold(book, noon(days_ago))
    counting, done = threading.Event(), threading.Event()
    other = threading.Thread(target=hold_the_count, args=(counting, done))
    other.start()
    try:
        assert counting.wait(10)
        assert summarize.summarize() == 0
        assert read().total.orders == 3  # from the orders
    finally:
        done.set()
        other.join()
    assert (Uncounted.objects.count(), summarize.summarize()) == (0, 0)
    assert read().total.orders == 3
    assert sum(DailySales.objects.values_list("orders", flat=True)) == 3


def hold_the_count(counting: threading.Event, done: threading.Event) -> None:
    """Has counted, and commits when told to."""
    with transaction.atomic():
        summarize.summarize()
        counting.set()
        done.wait(10)
    connection.close()
