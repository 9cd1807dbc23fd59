"""The admin's first page: who sees which part of it, what it says, and that its pictures and tables say the same."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from catalog import storage_look
from catalog.storage_models import StorageLook
from catalog.view_models import ProductViews
from fulfillment import heartbeats, tasks
from fulfillment.delivery_models import Delivery
from fulfillment.models import Cursor, Heartbeat, StripeEvent
from orders import figures
from orders.models import Order
from tests.desk.test_who_may import dump
from tests.factories import OrderFactory, ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

EVERY_PART = [
    "Events of Stripe", "Deliveries", "Attention", "Disputes", "Compared with Stripe", "Bookkeeping", "Processes",
    "Files",
]  # fmt: skip


@pytest.fixture
def somebody(db: None) -> Callable[..., Client]:
    def make(*codenames: str) -> Client:
        user = UserFactory(is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(user)
        return client

    return make


def page(client: Client, query: str = "") -> str:
    answer = client.get(f"/admin/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def parts(text: str) -> dict[str, tuple[str, str, str]]:
    """Of each part of the strip: its level, what it says, and where it leads."""
    found = {}
    for item in re.findall(r'<li class="dash-part (.*?)</li>', text, re.DOTALL):
        level = item.partition('"')[0]
        link = re.search(r'href="(.*?)"', item)
        name, _level, said = (
            re.sub(r"\s*\n\s*", "|", re.sub(r"<[^>]*>", "\n", item.partition(">")[2])).strip("|").split("|")
        )
        found[name] = (level, said.strip(), link[1].replace("&amp;", "&") if link else "")
    return found


def sold(days_ago: int = 1, **kwargs: Any) -> Order:
    at = timezone.now() - timedelta(days=days_ago)
    order: Order = OrderFactory(**{"state": "paid", "paid_at": at, "created_at": at, **kwargs})
    return order


# Who sees what.


def test_staff_see_the_parts_of_the_lists_that_they_may_see(somebody: Callable[..., Client]) -> None:
    sold()
    assert list(parts(page(somebody()))) == []
    assert list(parts(page(somebody("view_order")))) == ["Attention", "Disputes"]
    assert list(parts(page(somebody("view_stripeevent")))) == ["Events of Stripe", "Deliveries", "Processes"]
    assert list(parts(page(somebody("view_difference")))) == ["Compared with Stripe", "Bookkeeping"]
    assert list(parts(page(somebody("view_product")))) == ["Files"]


def test_figures_need_their_own_permission(somebody: Callable[..., Client], desk: Client) -> None:
    sold(total=1250)
    for client, sees in (
        (somebody("view_order", "view_product", "refund_order"), False),
        (somebody("view_figures"), True),
        (desk, True),
    ):
        text = page(client)
        assert ("Best sellers" in text) is sees
        assert ("$12.50" in text) is sees


def test_product_is_linked_for_who_may_see_products(somebody: Callable[..., Client]) -> None:
    product = ProductFactory(name="Quiet Evenings")
    sold(product=product)
    link = f'<a href="/admin/catalog/product/{product.pk}/change/">Quiet Evenings</a>'
    assert link in page(somebody("view_figures", "view_product"))
    text = page(somebody("view_figures"))
    assert "Quiet Evenings" in text
    assert link not in text


def test_strangers_and_buyers_are_sent_away() -> None:
    assert Client().get("/admin/").status_code == 302
    buyer = Client()
    buyer.force_login(UserFactory())
    assert buyer.get("/admin/").status_code == 302


def test_looking_changes_nothing(desk: Client) -> None:
    sold()
    Heartbeat.objects.create(name="sweep", at=timezone.now() - timedelta(days=30))
    before = dump()
    for query in ("", "?period=week", "?period=month"):
        page(desk, query)
    assert dump() == before


# What it says.


def test_tiles_say_the_figures_and_what_they_were(desk: Client) -> None:
    book = ProductFactory(price=1000)
    for days_ago in (1, 2, 3, 40, 41):
        sold(days_ago, product=book)
    sold(2, product=book, refunded=500)
    sold(2, product=book, source="free", total=0)
    sold(0, product=book, total=700)
    ProductViews.objects.create(product=book, day=timezone.localdate() - timedelta(days=5), count=200)
    ProductViews.objects.create(product=book, day=timezone.localdate() - timedelta(days=45), count=50)
    tiles = {tile.name: tile for tile in desk.get("/admin/").context["tiles"]}
    assert {name: (tile.value, tile.before, tile.change, tile.trend) for name, tile in tiles.items()} == {
        "Revenue": ("$40.00", "$20.00", "+100%", "up"),
        "Orders": ("4", "2", "+100%", "up"),
        "Average order": ("$10.00", "$10.00", "±0%", "same"),
        "Refunds": ("$5.00", "$0.00", "", "same"),
        "Conversion": ("2.0%", "4.0%", "−50%", "down"),
    }
    assert tiles["Revenue"].note == "$35.00 kept after refunds and disputes"
    assert tiles["Refunds"].note == "12.5% of the revenue, 1 order"
    assert tiles["Orders"].note == "and 1 that cost nothing"
    assert tiles["Conversion"].note == "4 orders, 200 views"
    assert "$7.00 from 1 order\n" in page(desk)


@pytest.mark.parametrize(
    "query, title, bars",
    [
        ("", "The last 30 days", 31),
        ("?period=week", "The last 12 weeks", 13),
        ("?period=month", "The last 12 months", 13),
        ("?period=nonsense&currency=%00", "The last 30 days", 31),
    ],
)
def test_period_is_chosen_by_a_link(desk: Client, query: str, title: str, bars: int) -> None:
    sold()
    answer = desk.get(f"/admin/{query}")
    assert f">{title}</h2>" in answer.content.decode()
    assert [len(each["chart"].bars) for each in answer.context["charts"]] == [bars, bars]


def test_currency_is_chosen_where_there_are_several(desk: Client) -> None:
    sold()
    assert "&amp;currency=eur" not in page(desk)
    sold(product=ProductFactory(price=900, currency="eur"), currency="eur")
    sold(product=ProductFactory(price=800, currency="jpy"), currency="jpy")
    assert "&amp;currency=eur" in page(desk)
    assert "€9.00" in page(desk, "?currency=eur")
    assert "¥800" in page(desk, "?currency=jpy")
    assert "€9.00" not in page(desk, "?currency=jpy")


def test_free_copy_in_another_currency_adds_no_choice(desk: Client) -> None:
    sold()
    sold(product=ProductFactory(price=0, currency="jpy"), currency="jpy", source="free", total=0)
    assert desk.get("/admin/").context["currencies"] == [("usd", "USD", True)]


def test_currency_of_free_copies_alone_is_shown(desk: Client) -> None:
    sold(product=ProductFactory(price=0, currency="jpy"), currency="jpy", source="free", total=0)
    assert desk.get("/admin/").context["currencies"] == [("jpy", "JPY", True)]


def test_today_so_far_names_what_was_refunded_of_it(desk: Client) -> None:
    sold(0, product=ProductFactory(price=1000))
    assert "of it refunded" not in page(desk)
    sold(0, product=ProductFactory(price=700), refunded=300)
    assert "$17.00 from 2 orders, $3.00 of it refunded" in page(desk)


def test_more_sold_than_looked_at_is_no_conversion(desk: Client) -> None:
    book = ProductFactory(price=1000)
    ProductViews.objects.create(product=book, day=timezone.localdate() - timedelta(days=5), count=1)
    sold(1, product=book)
    assert [each["rate"] for each in desk.get("/admin/").context["best"]] == ["100.0%"]
    sold(2, product=book)
    assert [each["rate"] for each in desk.get("/admin/").context["best"]] == ["–"]


def test_first_page_is_named_for_what_it_shows(desk: Client) -> None:
    text = page(desk)
    assert "Site administration" not in text
    assert re.search(r"<title>\s*How the shop is \|", text)


def test_shop_that_sold_nothing_says_so(desk: Client) -> None:
    text = page(desk)
    assert "Nothing was sold in this time." in text
    assert "No order came in this time." in text


def test_page_speaks_german(desk: Client) -> None:
    sold(total=123456)
    desk.cookies["language"] = "de"
    text = page(desk)
    assert "1.234,56\xa0$" in text
    assert re.findall(r'class="full" x="([^"]*)"', text)[0] == "2.8"


# Pictures.


def pictures(text: str) -> list[ET.Element]:
    return [ET.fromstring(found) for found in re.findall(r"<svg role.*?</svg>", text, re.DOTALL)]  # noqa: S314


def test_picture_has_a_title_a_description_and_its_numbers_in_a_table(desk: Client) -> None:
    sold(1, total=1250, refunded=250)
    sold(2, total=500)
    sold(31, total=400)
    text = page(desk)
    for picture, name in zip(pictures(text), ("Revenue", "Orders"), strict=True):
        title, description = picture.findall("title")[0], picture.findall("desc")[0]
        assert picture.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
        assert (title.text or "").startswith(f"{name}: The last 30 days, ")
    assert "$17.50 in all, before $4.00." in text
    revenue, orders = desk.get("/admin/").context["charts"]
    assert [cells for _label, cells in revenue["rows"]][-3:] == [
        ["$5.00", "$0.00", "$0.00", "$0.00"], ["$12.50", "$2.50", "$0.00", "$4.00"], ["$0.00", "$0.00", "$0.00", "–"],
    ]  # fmt: skip
    assert [cells for _label, cells in orders["rows"]][-2:] == [["1", "0", "1", "1"], ["0", "0", "0", "–"]]
    for cells in ("$12.50", "$2.50", "$4.00"):
        assert f'<td class="amount">{cells}</td>' in text


def test_bars_are_as_high_as_their_numbers(desk: Client) -> None:
    sold(1, total=1000, refunded=250)
    sold(2, total=500)
    sold(31, total=400)
    [revenue, _orders] = pictures(page(desk))
    bars = [
        (rect.attrib["class"], float(rect.attrib["y"]), float(rect.attrib["height"]))
        for rect in revenue.iter("rect")
        if float(rect.attrib["height"])
    ]
    assert bars == [("full", 100.0, 100.0), ("full", 50.0, 150.0), ("gone", 0.0, 50.0)]
    lines = [path.attrib["d"] for path in revenue.iter("path") if path.attrib["class"] == "before"]
    assert [line.split()[1].partition("H")[0] for line in lines[-1:]] == ["120.0"]


def test_nothing_on_the_page_needs_a_weaker_policy(desk: Client) -> None:
    sold()
    answer = desk.get("/admin/")
    text = answer.content.decode()
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", text) == []
    assert [found for found in re.findall(r"<script[^>]*>", text) if "src=" not in found] == []


# How the shop is.


def test_shop_that_is_well_is_green_but_for_what_nobody_has_looked_at(desk: Client) -> None:
    heartbeats._write(["sweep", "worker"])
    Cursor.objects.create(name="stripe events", at=timezone.now())
    tasks.look_at_storage()
    found = parts(page(desk))
    assert list(found) == EVERY_PART
    assert {name for name, (level, *_) in found.items() if level != "good"} == set()
    assert found["Processes"][1] == "all at work: sweep, worker"


def test_parts_tell_what_is_wrong_and_lead_there(desk: Client) -> None:
    now = timezone.now()
    StripeEvent.objects.create(
        event_id="evt_1", type="charge.refunded", object_id="ch_1", body=b"{}", received_at=now - timedelta(minutes=20)
    )
    late = sold(created_at=now, paid_at=now - timedelta(minutes=9))
    Delivery.objects.create(order=late, recipient="a@example.com", created_at=now - timedelta(minutes=9))
    OrderFactory(attention="Nobody knows.")
    Cursor.objects.create(name="stripe events", at=now - timedelta(hours=3))
    Heartbeat.objects.create(name="worker", at=now - timedelta(minutes=5))
    StorageLook.objects.create(pk=1, at=now, problem="the newest file is not there")
    found = parts(page(desk))
    assert found["Events of Stripe"] == (
        "bad", "1 is not handled in time, 20\xa0minutes ago", "/admin/fulfillment/stripeevent/?state__exact=received",
    )  # fmt: skip
    assert found["Deliveries"] == (
        "bad", "1 order is not delivered in time", "/admin/fulfillment/delivery/?state__exact=pending",
    )  # fmt: skip
    assert found["Attention"] == ("bad", "1 order needs a person", "/admin/orders/order/?attention=yes")
    assert found["Compared with Stripe"][:2] == ("bad", "3\xa0hours ago")
    assert found["Processes"] == (
        "bad", "silent: worker (5\xa0minutes)", "/admin/fulfillment/stripeevent/?state__exact=received",
    )  # fmt: skip
    assert found["Files"][:2] == ("bad", "the newest file is not there")
    for _level, _said, address in found.values():
        assert not address or desk.get(address).status_code == 200


@pytest.mark.parametrize(
    "fields, level, said",
    [
        ({"free": 50, "size": 100}, "good", "50\xa0bytes free on the disk"),
        ({"free": 9, "size": 100}, "watch", "9\xa0bytes free on the disk"),
        ({"free": 2, "size": 100}, "bad", "2\xa0bytes free on the disk"),
        ({}, "good", "the storage answers"),
        ({"at": timedelta(hours=2)}, "watch", "last seen 2\xa0hours ago"),
    ],
)
def test_files_are_well_while_they_can_be_read_and_there_is_room(
    desk: Client, fields: dict[str, Any], level: str, said: str
) -> None:
    at = timezone.now() - fields.pop("at", timedelta(0))
    StorageLook.objects.create(pk=1, at=at, **fields)
    assert parts(page(desk))["Files"] == (level, said, "/admin/catalog/product/")


def test_storage_is_looked_at_by_its_newest_file() -> None:
    assert (storage_look.look().problem, StorageLook.objects.count()) == ("", 1)
    product = ProductFactory()
    found = storage_look.look()
    assert found.problem == ""
    assert found.free is not None
    assert 0 < found.free < (found.size or 0)
    file = product.editions.get().files.get()
    product.editions.get().files.update(key=f"{file.key}-gone")
    assert storage_look.look().problem == "the newest file is not there"
    assert StorageLook.objects.count() == 1


def test_storage_that_does_not_answer_is_a_problem_and_no_error(settings: Settings) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {"bucket_name": "b", "endpoint_url": "http://127.0.0.1:9", "access_key": "k", "secret_key": "s"},
        },
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        product = ProductFactory(status="draft", content=None)
        edition = product.editions.create(number=1)
        edition.files.create(name="a.pdf", media_type="application/pdf", key="a", size=1, sha256="0" * 64)
        assert "Could not connect to the endpoint" in storage_look.look().problem


# What it takes.


@pytest.mark.parametrize("many", [1, 20])
def test_page_takes_as_many_statements_for_few_and_many(
    desk: Client, django_assert_num_queries: DjangoAssertNumQueries, many: int
) -> None:
    for n in range(many):
        sold(n, product=ProductFactory(currency=("usd", "eur")[n % 2]), currency=("usd", "eur")[n % 2])
        OrderFactory(attention="Look.")
    page(desk)
    with django_assert_num_queries(25):
        page(desk)


def test_beat_counts_the_days_and_looks_at_the_storage(settings: Settings) -> None:
    schedule = settings.CELERY_BEAT_SCHEDULE
    sold(1, total=1250)
    assert schedule["summarize"]["task"] == tasks.summarize.name
    tasks.summarize()
    assert figures.unsettled(timezone.localdate() - timedelta(days=60)) == []
    Order.objects.update(total=1000)
    assert schedule["summarize 40 days"]["task"] == tasks.summarize_lately.name
    tasks.summarize_lately(*schedule["summarize 40 days"]["args"])
    assert figures.read("day").total.revenue == 1000
    assert schedule["look at the storage"]["task"] == tasks.look_at_storage.name


def test_menu_begins_with_what_is_done_all_day_in_plain_words(desk: Client) -> None:
    menu = desk.get("/admin/").context["app_list"]
    assert [str(app["name"]) for app in menu] == [
        "Orders", "Customers and delivery", "Catalog", "Users", "Roles", "Passkeys and second factors",
    ]  # fmt: skip
    assert [str(model["name"]) for model in menu[-2]["models"]] == ["Roles"]
