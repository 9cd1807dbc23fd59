"""What the head of a page says to search engines and to whoever shows a link."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from catalog import structured
from catalog.models import Product
from catalog.templatetags.shop import json_ld
from tests.factories import CategoryFactory, ProductFactory, TagFactory

pytestmark = pytest.mark.django_db


def described(client: Client, product: Product) -> dict[str, Any]:
    page = client.get(product.get_absolute_url()).content.decode()
    block = re.search(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
    assert block
    found: dict[str, Any] = json.loads(block[1])
    return found


def metas(client: Client, path: str) -> dict[str, str]:
    page = client.get(path).content.decode()
    return dict(re.findall(r'<meta (?:property|name)="([^"]+)"\s+content="([^"]*)">', page))


def canonical(client: Client, path: str) -> str:
    found = re.search(r'<link rel="canonical"\s+href="([^"]+)">', client.get(path).content.decode())
    assert found
    return found[1].replace("&amp;", "&")


def test_product_is_described_with_its_offer(client: Client, settings: Settings) -> None:
    settings.SITE_URL = "https://shop.example.com"
    settings.SITE_NAME = "Paper Lantern"
    product = ProductFactory(name="Slow Bread", slug="slow-bread", summary="It takes time.", cover="c0", price=1250)
    product.categories.add(CategoryFactory(name="Cooking"))
    assert described(client, product) == {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": "Slow Bread",
        "description": "It takes time.",
        "sku": "slow-bread",
        "url": "https://shop.example.com/products/slow-bread/",
        "image": "https://shop.example.com/covers/c0-640.webp",
        "category": ["Cooking"],
        "offers": {
            "@type": "Offer",
            "url": "https://shop.example.com/products/slow-bread/",
            "price": "12.50",
            "priceCurrency": "USD",
            "availability": "https://schema.org/InStock",
            "seller": {"@type": "Organization", "name": "Paper Lantern"},
        },
    }


@pytest.mark.parametrize(
    "price, currency, written",
    [
        (0, "usd", "0.00"),
        (500, "jpy", "500"),
        (5120, "kwd", "5.12"),
        (500, "isk", "5"),
        (99_999_999, "eur", "999999.99"),
    ],
)
def test_price_has_the_decimals_of_its_currency(client: Client, price: int, currency: str, written: str) -> None:
    product = ProductFactory(price=price, currency=currency)
    offer = described(client, product)["offers"]
    assert (offer["price"], offer["priceCurrency"]) == (written, currency.upper())
    found = metas(client, product.get_absolute_url())
    assert (found["product:price:amount"], found["product:price:currency"]) == (written, currency.upper())


def test_product_that_cannot_be_had_now_is_out_of_stock() -> None:
    offer = structured.product(ProductFactory(), can_be_had=False)["offers"]
    assert offer["availability"] == "https://schema.org/OutOfStock"


def test_s58_nothing_in_the_data_ends_its_block(client: Client) -> None:
    evil = "</script><script>alert(1)</script><!--&\u2028"
    product = ProductFactory(name=evil, summary=evil)
    product.categories.add(CategoryFactory(name=evil))
    assert described(client, product)["name"] == evil
    assert b"<script>alert" not in client.get(product.get_absolute_url()).content
    assert json_ld({"a": "<&>"}) == ('<script type="application/ld+json">{"a": "\\u003c\\u0026\\u003e"}</script>')


def test_product_says_what_a_shared_link_shows(client: Client, settings: Settings) -> None:
    settings.SITE_URL = "https://shop.example.com"
    product = ProductFactory(name="Salt & <b>", summary="", slug="salt", cover="c0", cover_height=800)
    found = metas(client, product.get_absolute_url())
    assert found["og:title"] == found["og:description"] == "Salt &amp; &lt;b&gt;"
    assert found["og:url"] == canonical(client, product.get_absolute_url()) == "https://shop.example.com/products/salt/"
    assert found["og:image"] == "https://shop.example.com/covers/c0-640.webp"
    assert (found["og:image:width"], found["og:image:height"]) == ("640", "800")
    assert found["og:type"] == "product"


@pytest.mark.parametrize(
    "path, address, kept",
    [
        ("/", "/", True),
        ("/?utm_source=x&after=nonsense", "/", True),
        ("/?category=art", "/?category=art", True),
        ("/?tag=paper", "/?tag=paper", True),
        ("/?category=art&type=&least=&sort=newest", "/?category=art", True),
        ("/?category=art&tag=paper", "/?category=art&tag=paper", False),
        ("/?category=art&sort=price", "/?category=art", False),
        ("/?q=book", "/", False),
        ("/?q=book&tag=paper&type=pdf&most=5", "/?tag=paper", False),
        ("/?after=99999999999999999-1", "/", False),
    ],
)
def test_search_engines_keep_shelves_and_not_questions(
    client: Client, settings: Settings, path: str, address: str, kept: bool
) -> None:
    settings.SITE_URL = "https://shop.example.com"
    product = ProductFactory(cover="c0")
    product.categories.add(CategoryFactory(name="Art", slug="art"))
    product.tags.add(TagFactory(name="Paper", slug="paper"))
    found = metas(client, path)
    assert canonical(client, path) == f"https://shop.example.com{address}"
    assert found["og:url"].replace("&amp;", "&") == f"https://shop.example.com{address}"
    assert ("robots" not in found) is kept
    assert found.get("robots", "noindex, follow") == "noindex, follow"


def test_list_says_what_a_shared_link_shows(client: Client) -> None:
    product = ProductFactory(cover="c0")
    product.categories.add(CategoryFactory(name="Art", slug="art"))
    found = metas(client, "/?category=art")
    assert found["og:type"] == "website"
    assert found["og:title"].startswith("Art · ")
    assert "yours to keep" in found["og:description"]
    assert found["og:image"].endswith("/covers/c0-640.webp")
