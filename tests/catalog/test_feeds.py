from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from defusedxml.ElementTree import fromstring
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from catalog import feeds
from catalog.models import Product
from tests.factories import CategoryFactory, ProductFactory

pytestmark = pytest.mark.django_db

ATOM = {"a": "http://www.w3.org/2005/Atom"}


@pytest.fixture(autouse=True)
def address(settings: Settings) -> None:
    settings.SITE_URL = "https://shop.example.com"


def read(client: Client, path: str = "/feed/") -> ET.Element:
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/atom+xml; charset=utf-8")
    found: ET.Element = fromstring(answer.content)
    return found


def text(node: Any, path: str) -> list[str]:
    return [one.text or "" for one in node.findall(path, ATOM)]


def test_feed_has_what_is_new_and_on_sale(client: Client) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    ProductFactory(name="Old", published_at=datetime(2025, 1, 1, tzinfo=UTC))
    new = ProductFactory(name="Salt & <b>", slug="salt", summary="Fine.", published_at=at)
    new.categories.add(CategoryFactory(name="Cooking"))
    ProductFactory(status=Product.Status.DRAFT)
    found = read(client)
    entries = found.findall("a:entry", ATOM)
    assert [text(entry, "a:title") for entry in entries] == [["Salt & <b>"], ["Old"]]
    assert text(entries[0], "a:id") == ["https://shop.example.com/products/salt/"]
    assert text(entries[0], "a:published") == ["2026-01-02T03:04:05+00:00"]
    assert text(entries[0], "a:summary") == ["Fine. $12.50"]
    assert [one.get("term") for one in entries[0].findall("a:category", ATOM)] == ["Cooking"]
    links = {one.get("rel"): one.get("href") for one in found.findall("a:link", ATOM)}
    assert links == {"alternate": "https://shop.example.com/", "self": "https://shop.example.com/feed/"}


def test_feed_of_a_category_has_its_products(client: Client) -> None:
    art = CategoryFactory(name="Art", slug="art")
    ProductFactory(name="Drawing").categories.add(art)
    ProductFactory(name="Baking")
    found = read(client, "/feed/art/")
    assert text(found, "a:entry/a:title") == ["Drawing"]
    assert text(found, "a:title")[0].startswith("Art · ")
    assert found.findall("a:link", ATOM)[0].get("href") == "https://shop.example.com/?category=art"


def test_feed_ends_after_the_newest(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    ProductFactory.create_batch(feeds.ENTRIES + 1)
    with django_assert_num_queries(2):  # products, their categories
        assert len(read(client).findall("a:entry", ATOM)) == feeds.ENTRIES


def test_feed_of_an_empty_shop_is_whole(client: Client) -> None:
    assert read(client).findall("a:entry", ATOM) == []


def test_feed_leaves_out_what_xml_cannot_hold(client: Client) -> None:
    ProductFactory(name="A\x01b\x0bc\ufffe", summary="\x1f").categories.add(CategoryFactory(name="\x02d"))
    assert text(read(client), "a:entry/a:title") == ["Abc"]


def test_feed_is_named_in_the_head_of_the_pages(client: Client) -> None:
    product = ProductFactory()
    product.categories.add(CategoryFactory(slug="art"))
    for path, feed in (("/", "/feed/"), ("/?category=art", "/feed/art/"), (product.get_absolute_url(), "/feed/")):
        assert f'href="{feed}"' in client.get(path).content.decode()


@pytest.mark.parametrize("path", ["/feed/nowhere/", "/feed/" + "x" * 3_000 + "/", "/feed/%00/"])
def test_s61_feed_of_an_unknown_category_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_feed_may_be_cached_by_all_and_sets_no_cookie(client: Client) -> None:
    answer = client.get("/feed/")
    assert answer["Cache-Control"] == "public, max-age=300"
    assert not answer.cookies
    assert not answer.has_header("Vary")
