"""What narrows and sorts the list, alone and together, through its pages, and nonsense in any of it."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from catalog import shelf
from catalog.models import Product
from tests.catalog.test_views import names, walk
from tests.factories import CategoryFactory, FileFactory, ProductFactory, TagFactory

pytestmark = pytest.mark.django_db

SORTS = ("", "best-selling", "price", "price-down", "title")


def listed(client: Client, **asked: Any) -> list[str]:
    return names(client.get("/", asked))


def test_each_order(client: Client) -> None:
    for name, price, sales in (("beta", 900, 5), ("Alpha", 500, 9), ("Éclair", 700, 0), ("gamma", 0, 7)):
        ProductFactory(name=name, price=price)
        Product.objects.filter(name=name).update(sales=sales)
    assert listed(client) == ["gamma", "Éclair", "Alpha", "beta"]
    assert listed(client, sort="price") == ["gamma", "Alpha", "Éclair", "beta"]
    assert listed(client, sort="price-down") == ["beta", "Éclair", "Alpha", "gamma"]
    assert listed(client, sort="title") == ["Alpha", "beta", "gamma", "Éclair"]
    assert listed(client, sort="best-selling") == ["Alpha", "gamma", "beta", "Éclair"]


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("words", ["", "owls"])
@pytest.mark.parametrize("sort", SORTS)
def test_pages_of_each_order_show_every_product_once(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, sort: str, words: str, few: int
) -> None:
    """Although most have the same price and as many sales."""
    monkeypatch.setattr(shelf, "FEW", few)
    settings.PRODUCTS_PER_PAGE = 3
    for n in range(10):
        ProductFactory(name=f"Owls - {n} - %&?", price=500 if n % 3 else 700)
    Product.objects.filter(price=700).update(sales=2)
    settings.PRODUCTS_PER_PAGE = 100
    whole = listed(client, sort=sort, q=words)
    settings.PRODUCTS_PER_PAGE = 3
    assert len(set(whole)) == 10
    assert walk(client, f"/?{urlencode({'sort': sort, 'q': words})}") == whole


def test_prices_of_several_currencies_are_never_compared(client: Client) -> None:
    ProductFactory(name="Dollars", price=500, currency="usd")
    ProductFactory(name="Yen", price=500, currency="jpy")
    ProductFactory(name="Euros", price=400, currency="eur")
    assert listed(client) == ["Euros", "Yen", "Dollars"]
    assert listed(client, sort="price") == ["Euros"]  # the newest product’s, until another is chosen
    assert listed(client, sort="price", currency="jpy") == ["Yen"]
    assert listed(client, currency="usd") == ["Dollars"]
    assert listed(client, currency="usd", least="5") == ["Dollars"]
    assert listed(client, currency="usd", least="5.01") == []
    assert listed(client, currency="jpy", least="500", most="500") == ["Yen"]
    page = client.get("/?most=4").content.decode()
    assert 'value="jpy"' in page
    assert "Up to €4.00" in page


def test_shop_of_one_currency_offers_no_other(client: Client) -> None:
    ProductFactory()
    ProductFactory(currency="eur", status=Product.Status.DRAFT)
    assert 'name="currency"' not in client.get("/").content.decode()


@pytest.mark.parametrize(
    "asked, shown",
    [
        ({"least": "5"}, ["Dear", "Fair"]),
        ({"most": "5"}, ["Fair", "Free"]),
        ({"most": "5,00"}, ["Fair", "Free"]),
        ({"least": "0.5", "most": "9.99"}, ["Fair"]),
        ({"least": "9", "most": "1"}, []),
        ({"free": "1"}, ["Free"]),
        ({"free": "1", "least": "1"}, []),
        ({"least": "999999999.99"}, []),
        ({"most": "999999999"}, ["Dear", "Fair", "Free"]),
    ],
)
def test_price(client: Client, asked: dict[str, str], shown: list[str]) -> None:
    for name, price in (("Free", 0), ("Fair", 500), ("Dear", 5000)):
        ProductFactory(name=name, price=price)
    assert listed(client, **asked) == shown


@pytest.mark.parametrize("text", ["x", "-1", "1e3", "1.234", "１", "9" * 400, "NaN", "1.", "$5"])
def test_amount_that_cannot_be_read_filters_nothing_and_says_so(client: Client, text: str) -> None:
    ProductFactory(name="Here")
    page = client.get("/", {"least": text})
    assert names(page) == ["Here"]
    html = page.content.decode()
    assert 'aria-describedby="wrong-least"' in html
    assert re.search(r'id="wrong-least">[^<]{20,}</p>', html)


def test_type_tag_category_and_words_narrow_together_and_last_through_the_pages(
    client: Client, settings: Settings
) -> None:
    settings.PRODUCTS_PER_PAGE = 2
    art, paper = CategoryFactory(slug="art"), TagFactory(slug="paper")
    expected = []
    for n in range(12):
        product = ProductFactory(name=f"Folding {n}", price=500)
        FileFactory(edition=product.editions.get(), media_type="video/mp4" if n % 2 else "audio/mpeg")
        if n % 3:
            product.categories.add(art, CategoryFactory())
        if n != 5:
            product.tags.add(paper, TagFactory())
        if n % 2 and n % 3 and n != 5:
            expected.append(product.name)
    ProductFactory(name="Folding nothing")
    query = "q=fold&category=art&tag=paper&type=video&least=1&most=9&sort=title"
    assert len(expected) == 3
    assert walk(client, f"/?{query}") == sorted(expected)


def test_page_with_everything_asks_the_database_the_same_for_few_and_many(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    art, paper = CategoryFactory(slug="art"), TagFactory(slug="paper")
    for count in (1, 30):
        for product in ProductFactory.create_batch(count):
            product.categories.add(art)
            product.tags.add(paper)
        with django_assert_num_queries(7):  # and the category and tag that were named
            client.get("/?q=book&category=art&tag=paper&type=pdf&most=100&sort=price")


def chips(html: str) -> Iterator[str]:
    return (address.replace("&amp;", "&") for address in re.findall(r'<a href="([^"]*)">[^<]*<span', html))


def test_each_thing_asked_for_can_be_left_out(client: Client) -> None:
    CategoryFactory(slug="art"), TagFactory(slug="paper"), ProductFactory()
    page = client.get("/?q=zzz&category=art&tag=paper&type=video&free=1&most=5").content.decode()
    assert sorted(chips(page)) == sorted(
        [
            "/?category=art&tag=paper&type=video&most=5&free=1",
            "/?q=zzz&tag=paper&type=video&most=5&free=1",
            "/?q=zzz&category=art&type=video&most=5&free=1",
            "/?q=zzz&category=art&tag=paper&most=5&free=1",
            "/?q=zzz&category=art&tag=paper&type=video&most=5",
            "/?q=zzz&category=art&tag=paper&type=video&free=1",
        ]
    )
    assert page.count(">Without: ") == 6


def test_tag_is_shown_on_the_product_and_leads_to_the_others(client: Client) -> None:
    paper = TagFactory(name="Paper", slug="paper")
    for name in ("One", "Two"):
        ProductFactory(name=f"Book {name}").tags.add(paper)
    ProductFactory()
    assert (
        '<a class="tag" href="/?tag=paper">Paper</a>'
        in client.get(Product.objects.get(name="Book One").get_absolute_url()).content.decode()
    )
    page = client.get("/?tag=paper")
    assert names(page) == ["Book Two", "Book One"]
    assert '<h1 id="heading">Paper</h1>' in page.content.decode()


def test_only_tags_with_something_on_sale_are_offered(client: Client) -> None:
    used, drafted = TagFactory(), TagFactory()
    ProductFactory().tags.add(used)
    ProductFactory(status=Product.Status.DRAFT).tags.add(drafted)
    assert client.get("/").context["tags"] == [used]


@pytest.mark.parametrize("name", ["category", "tag"])
def test_s61_unknown_group_is_not_found(client: Client, name: str) -> None:
    for value in ("nowhere", "x" * 5_000, "' OR 1=1--", "\U0001f600"):
        assert client.get("/", {name: value}).status_code == 404


@pytest.mark.parametrize(
    "query",
    ["type=x", "type=pdf%00x", "sort=x", "sort=match", "currency=xxx", "currency=", "free=", "least=", "sort=newest"],
)
def test_s61_what_the_form_does_not_offer_is_left_out(client: Client, query: str) -> None:
    ProductFactory(name="Here")
    page = client.get(f"/?{query}")
    assert (page.status_code, names(page)) == (200, ["Here"])
    assert not page.context["asked"].is_narrow


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    "after", ["x", "-", "1-", "-1", "%00-1", "1-%00", "a-1%0A", "9" * 400 + "-1", "1-" + "9" * 40, "%FF-%FF", "１-１"]
)
def test_s61_cursor_that_names_no_place_shows_the_first_page(client: Client, sort: str, after: str) -> None:
    ProductFactory(name="Here")
    page = client.get(f"/?sort={sort}&after={after}")
    assert page.status_code in (200, 302)
    assert page.status_code == 302 or names(page) == ["Here"]


@pytest.mark.parametrize("sort", SORTS)
def test_s61_cursor_of_absurd_numbers_is_answered(client: Client, sort: str) -> None:
    ProductFactory(name="Here")
    for after in ("9" * 17 + "-1", "1-" + "9" * 17, "0-0", "9" * 17 + "-" + "9" * 17):
        assert client.get(f"/?sort={sort}&after={after}").status_code in (200, 302)


def test_page_after_the_last_leads_to_the_first_of_the_same(client: Client) -> None:
    ProductFactory(name="Here", price=500)
    answer = client.get("/?q=here&sort=price&most=9&after=99999999-1")
    assert (answer.status_code, answer["Location"]) == (302, "/?q=here&most=9&sort=price")
