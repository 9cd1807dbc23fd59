from xml.etree import ElementTree as ET

import pytest
from defusedxml.ElementTree import fromstring
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from catalog import sitemaps
from catalog.models import Product
from tests.factories import CategoryFactory, ProductFactory

pytestmark = pytest.mark.django_db

MAP = {"m": "http://www.sitemaps.org/schemas/sitemap/0.9"}
SHOP = "https://shop.example.com"


@pytest.fixture(autouse=True)
def address(settings: Settings) -> None:
    settings.SITE_URL = SHOP


def places(client: Client, path: str) -> dict[str, str | None]:
    """Each address with the date of its last change."""
    answer = client.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/xml")
    root: ET.Element = fromstring(answer.content)
    return {str(one.findtext("m:loc", None, MAP)): one.findtext("m:lastmod", None, MAP) for one in root}


def test_sitemaps_lead_to_every_product_on_sale(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "IDS", 3)
    products = ProductFactory.create_batch(8)
    ProductFactory(status=Product.Status.DRAFT)
    found: dict[str, str | None] = {}
    sections = list(places(client, "/sitemap.xml"))
    assert sections[0] == f"{SHOP}/sitemap-pages.xml"
    for section in sections[1:]:
        held = places(client, section.removeprefix(SHOP))
        assert 1 <= len(held) <= 3
        found |= held
    assert found == {f"{SHOP}{product.get_absolute_url()}": product.updated_at.isoformat() for product in products}


def test_section_tells_its_last_change(client: Client) -> None:
    ProductFactory()
    last = ProductFactory()
    dates = list(places(client, "/sitemap.xml").values())
    assert dates == [None, last.updated_at.isoformat()]


def test_pages_are_the_catalog_and_its_categories_in_use(client: Client) -> None:
    art, _ = CategoryFactory(slug="art"), CategoryFactory(slug="empty")
    ProductFactory().categories.add(art)
    ProductFactory(status=Product.Status.DRAFT).categories.add(CategoryFactory(slug="drafts"))
    assert list(places(client, "/sitemap-pages.xml")) == [f"{SHOP}/", f"{SHOP}/?category=art"]


def test_sitemaps_ask_the_database_once(client: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    section = ProductFactory.create_batch(5)[0].pk // sitemaps.IDS
    for path in ("/sitemap.xml", "/sitemap-pages.xml", f"/sitemap-{section}.xml"):
        with django_assert_num_queries(1):
            client.get(path)


@pytest.mark.parametrize("section", ["1000000", "9" * 30, "-1", "x"])
def test_s61_section_without_products_is_not_found(client: Client, section: str) -> None:
    assert client.get(f"/sitemap-{section}.xml").status_code == 404


def test_robots_keep_to_the_public_pages(client: Client) -> None:
    answer = client.get("/robots.txt")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    lines = answer.content.decode().splitlines()
    for folder in ("admin", "library", "links", "checkout", "orders", "accounts", "downloads"):
        assert f"Disallow: /{folder}/" in lines
    assert f"Sitemap: {SHOP}/sitemap.xml" in lines
    assert not any(line.startswith("Disallow: /products") for line in lines)
