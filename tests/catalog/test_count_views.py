"""Views are counted by product and day: whose they are is asked and forgotten, and counting never costs the page."""

import logging
import threading
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from catalog import count_views
from catalog.models import Product
from catalog.view_models import SLOTS, ProductViews
from tests.factories import ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0"
CUBOT = "Mozilla/5.0 (Linux; Android 9; CUBOT_X18) AppleWebKit/537.36 Chrome/99.0 Mobile Safari/537.36"


def shopper(**headers: str) -> Client:
    return Client(headers={"user-agent": FIREFOX, **headers})


def views() -> int:
    return int(ProductViews.objects.aggregate(n=Sum("count", default=0))["n"])


def test_each_look_of_a_shopper_counts_for_the_product_and_the_day() -> None:
    book, other = ProductFactory(), ProductFactory()
    for _ in range(20):
        shopper().get(book.get_absolute_url())
    shopper().get(other.get_absolute_url())
    rows = ProductViews.objects.values_list("product", "day").annotate(n=Sum("count")).order_by("product")
    assert list(rows) == [(book.pk, timezone.localdate(), 20), (other.pk, timezone.localdate(), 1)]


def test_the_day_is_the_shop_s(settings: Settings) -> None:
    book = ProductFactory()
    for zone in ("Pacific/Kiritimati", "Pacific/Niue"):  # never on the same day
        settings.TIME_ZONE = zone
        shopper().get(book.get_absolute_url())
    first, last = ProductViews.objects.order_by("day").values_list("day", flat=True)
    assert last - first == timedelta(days=1)


@pytest.mark.parametrize("agent", [FIREFOX, CUBOT])
def test_buyer_who_is_signed_in_counts(agent: str) -> None:
    client = Client(headers={"user-agent": agent})
    client.force_login(UserFactory())
    client.get(ProductFactory().get_absolute_url())
    assert views() == 1


@pytest.mark.parametrize(
    "agent",
    [
        "",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36",
        "curl/8.5.0",
        "python-requests/2.32",
        "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "Slackbot-LinkExpanding 1.0",
    ],
)
def test_program_does_not_count(agent: str) -> None:
    Client(headers={"user-agent": agent}).get(ProductFactory().get_absolute_url())
    assert views() == 0


@pytest.mark.parametrize(
    "header, value", [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")]
)
def test_page_fetched_ahead_of_a_click_does_not_count(header: str, value: str) -> None:
    shopper(**{header: value}).get(ProductFactory().get_absolute_url())
    assert views() == 0


def test_staff_head_and_pages_that_are_not_there_do_not_count() -> None:
    book, draft = ProductFactory(), ProductFactory(status="draft")
    owner = shopper()
    owner.force_login(UserFactory(is_staff=True))
    assert owner.get(book.get_absolute_url()).status_code == 200
    assert shopper().head(book.get_absolute_url()).status_code == 200
    assert shopper().get(draft.get_absolute_url()).status_code == 404
    assert views() == 0


def test_counting_takes_one_statement_and_sets_no_cookie(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    url = ProductFactory().get_absolute_url()
    with django_assert_num_queries(6 + 3):  # the page's, and counting between a savepoint and its release
        answer = shopper().get(url)
    assert set(answer.cookies) == set(Client().get(url).cookies)  # of the button alone


def test_days_that_are_over_become_one_row_and_keep_their_sum() -> None:
    book, today = ProductFactory(), timezone.localdate()
    for day in (today, today - timedelta(days=1), today - timedelta(days=2)):
        for slot in range(SLOTS):
            ProductViews.objects.create(product=book, day=day, slot=slot, count=10 + slot)
    count_views.fold()
    count_views.fold()
    rows = ProductViews.objects.values_list("day").order_by("-day")
    assert [n for (_, n) in rows.annotate(n=Sum("count"))] == [46, 46, 46]
    assert ProductViews.objects.count() == 2 * SLOTS + 1


def test_product_that_was_looked_at_can_be_deleted() -> None:
    book = ProductFactory()
    shopper().get(book.get_absolute_url())
    book.delete()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert views() == 0


# Whatever the database says to it, the page is shown.


@pytest.mark.django_db(transaction=True)
def test_row_that_is_locked_costs_a_tenth_of_a_second_and_no_page(caplog: pytest.LogCaptureFixture) -> None:
    book = ProductFactory()
    for slot in range(SLOTS):
        ProductViews.objects.create(product=book, day=timezone.localdate(), slot=slot)
    before = setting("lock_timeout"), setting("synchronous_commit")
    held, done = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold_rows, args=(held, done))
    holder.start()
    try:
        assert held.wait(10)
        began = timezone.now()
        with caplog.at_level(logging.WARNING):
            assert shopper().get(book.get_absolute_url()).status_code == 200
        assert timezone.now() - began < timedelta(seconds=5)
    finally:
        done.set()
        holder.join()
    assert "could not be counted: canceling statement due to lock timeout" in caplog.text
    assert views() == 0
    assert (setting("lock_timeout"), setting("synchronous_commit")) == before


def hold_rows(held: threading.Event, done: threading.Event) -> None:
    with transaction.atomic():
        list(ProductViews.objects.select_for_update())
        held.set()
        done.wait(10)
    connection.close()


def setting(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return str(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_database_that_takes_no_writes_shows_the_page(caplog: pytest.LogCaptureFixture) -> None:
    url = ProductFactory().get_absolute_url()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        with caplog.at_level(logging.WARNING):
            assert shopper().get(url).status_code == 200
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off")
    assert "read-only transaction" in caplog.text
    assert views() == 0


@pytest.mark.django_db(transaction=True)
def test_none_is_lost_when_many_look_at_once() -> None:
    book = ProductFactory()
    threads = [threading.Thread(target=look, args=(book, 25)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert views() == 200
    assert ProductViews.objects.count() <= SLOTS


def look(book: Product, times: int) -> None:
    request: Any = type("Request", (), {"method": "GET", "headers": {"User-Agent": FIREFOX}, "user": None})()
    for _ in range(times):
        count_views.count(request, book)
    connection.close()


def test_row_says_which_day() -> None:
    assert str(ProductViews(day=date(2026, 1, 2), count=3)) == "2026-01-02: 3"
