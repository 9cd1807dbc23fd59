import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from catalog.models import Category, Edition, File, Product
from catalog.sample_models import Sample, SamplePage
from fulfillment.models import Entitlement
from orders.models import Order
from tests.factories import (
    CategoryFactory,
    EditionFactory,
    FileFactory,
    OrderFactory,
    ProductFactory,
    TagFactory,
    UserFactory,
)

pytestmark = pytest.mark.django_db


def give(user: User, product: Product, **kwargs: Any) -> Entitlement:
    order = OrderFactory(product=product, user=user, state=Order.State.PAID)
    return Entitlement.objects.create(order_line=order.lines.get(), product=product, user=user, **kwargs)


def names(page: Any) -> list[str]:
    return [product.name for product in page.context["products"]]


def walk(client: Client, path: str = "/") -> list[str]:
    """The names on all pages, by the links that lead from one to the next."""
    found: list[str] = []
    link = path
    for _ in range(100):
        page = client.get(link)
        assert page.status_code == 200
        found += names(page)
        more = re.search(r'rel="next"\s+href="([^"]+)"', page.content.decode())
        if not more:
            return found
        link = f"/{more[1].replace('&amp;', '&')}"
    raise AssertionError("the pages never end")


# The list


def test_list_shows_what_is_on_sale_newest_first(client: Client) -> None:
    ProductFactory(name="First")
    ProductFactory(name="Second")
    ProductFactory(name="Draft", status=Product.Status.DRAFT)
    ProductFactory(name="Gone", status=Product.Status.ARCHIVED)
    assert names(client.get("/")) == ["Second", "First"]


def test_list_without_products_says_so(client: Client) -> None:
    assert "still empty" in client.get("/").content.decode()


@pytest.mark.parametrize("count", [3, 60])
def test_list_asks_the_database_the_same_for_few_and_many(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    categories = CategoryFactory.create_batch(5)
    for product in ProductFactory.create_batch(count):
        product.categories.set(categories)
    with django_assert_num_queries(4):  # products, all currencies, categories and tags
        client.get("/")
    client.force_login(UserFactory())
    with django_assert_num_queries(8):  # and the session, the user, the proven addresses, what is owned
        client.get("/")


def test_list_sets_no_cookie(client: Client) -> None:
    ProductFactory()
    assert client.get("/").cookies == {}
    assert client.get("/?after=1-1").cookies == {}


def test_pages_show_every_product_once_although_all_were_published_at_once(client: Client, settings: Settings) -> None:
    settings.PRODUCTS_PER_PAGE = 4
    at = datetime(2026, 1, 1, 12, 30, 15, 999_999, tzinfo=UTC)
    made = ProductFactory.create_batch(13, published_at=at)
    assert walk(client) == [product.name for product in reversed(made)]


def test_pages_keep_order_to_the_microsecond(client: Client, settings: Settings) -> None:
    settings.PRODUCTS_PER_PAGE = 1
    for microsecond in (3, 1, 4, 0, 999_999, 2):
        ProductFactory(name=f"at {microsecond}", published_at=datetime(2026, 1, 1, 0, 0, 0, microsecond, UTC))
    assert walk(client) == ["at 999999", "at 4", "at 3", "at 2", "at 1", "at 0"]


def test_full_last_page_has_no_next(client: Client, settings: Settings) -> None:
    settings.PRODUCTS_PER_PAGE = 3
    ProductFactory.create_batch(3)
    assert client.get("/").context["next"] == ""


def test_page_after_the_last_product_leads_to_the_first(client: Client) -> None:
    ProductFactory()
    answer = client.get("/?after=1-1")
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_product_that_appears_between_two_pages_shifts_nothing(client: Client, settings: Settings) -> None:
    settings.PRODUCTS_PER_PAGE = 2
    ProductFactory(name="One"), ProductFactory(name="Two"), ProductFactory(name="Three")
    first = client.get("/")
    ProductFactory(name="New")
    assert names(first) == ["Three", "Two"]
    assert names(client.get(f"/?after={first.context['next']}")) == ["One"]


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=",
        "after=-",
        "after=1-",
        "after=-1",
        "after=1--1",
        "after=1.5-1",
        "after=1e9-1",
        "after=99999999999999999999-1",
        "after=1-99999999999999999999",
        "after=1%00-1",
        "after=%00",
        "after=%FF%FE",
        "after=%ED%A0%80",
        "after=１-１",
        "after=1-1%0A",
        "after[]=1-1",
        "after=" + "9" * 7_000,
        "category=",
        "category=%00",
        "page=2",
    ],
)
def test_s61_cursor_that_names_no_place_shows_the_first_page(client: Client, query: str) -> None:
    ProductFactory(name="Here")
    page = client.get(f"/?{query}")
    assert (page.status_code, names(page)) == (200, ["Here"])
    assert page.context["is_first_page"]


@pytest.mark.parametrize("query", ["after=99999999999999999-1", "after=99999999999999999-99999999999999999"])
def test_cursor_of_the_far_future_shows_everything(client: Client, query: str) -> None:
    ProductFactory(name="Here")
    assert names(client.get(f"/?{query}")) == ["Here"]


def test_last_of_several_cursors_counts(client: Client) -> None:
    ProductFactory(name="Here")
    assert names(client.get("/?after=1-1&after=x")) == ["Here"]


def test_category_shows_its_products_and_pages_keep_it(client: Client, settings: Settings) -> None:
    settings.PRODUCTS_PER_PAGE = 2
    novels = CategoryFactory(name="Novels", slug="novels")
    for n in range(5):
        ProductFactory(name=f"Novel {n}").categories.add(novels)
    ProductFactory(name="Cookbook")
    assert walk(client, "/?category=novels") == [f"Novel {n}" for n in (4, 3, 2, 1, 0)]


def test_only_categories_with_something_on_sale_are_offered(client: Client) -> None:
    novels, empty, drafts = (CategoryFactory(name=name) for name in ("Novels", "Empty", "Drafts"))
    for _ in range(2):
        ProductFactory().categories.add(novels)
    ProductFactory(status=Product.Status.DRAFT).categories.add(drafts)
    assert list(client.get("/").context["categories"]) == [novels]
    assert client.get(f"/?category={empty.slug}").status_code == 200


@pytest.mark.parametrize("slug", ["nowhere", "x" * 5_000, "%27%20OR%201=1--", "%F0%9F%98%80"])
def test_s61_unknown_category_is_not_found(client: Client, slug: str) -> None:
    Category.objects.create(name="Novels", slug="novels")
    assert client.get(f"/?category={slug}").status_code == 404


def test_list_marks_what_the_visitor_owns(client: Client) -> None:
    user = UserFactory()
    give(user, ProductFactory(name="Mine"))
    give(user, ProductFactory(name="Taken back"), state=Entitlement.State.REVOKED, reason="refunded")
    give(UserFactory(), ProductFactory(name="Another's"))
    assert "In your library" not in client.get("/").content.decode()
    client.force_login(user)
    cards = client.get("/").content.decode().split('<li class="card">')[1:]
    assert {re.sub(r"\s+", " ", card.split("</a>")[0].split(">")[-1]): "In your library" in card for card in cards} == {
        "Mine": True,
        "Taken back": False,
        "Another&#x27;s": False,
    }


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_list_is_only_read(client: Client, method: str) -> None:
    assert getattr(client, method)("/").status_code == 405


# A product


def test_product_page_shows_the_product_and_its_files(client: Client) -> None:
    product = ProductFactory(name="Quiet Evenings", price=1250, description="# Inside\n\n*Calm.*")
    FileFactory(edition=product.editions.get(), name="Map.pdf")
    page = client.get(product.get_absolute_url()).content.decode()
    for text in ("Quiet Evenings", "$12.50", "<h2>Inside</h2>", "<em>Calm.</em>", "Quiet Evenings.pdf", "Map.pdf"):
        assert text in page


@pytest.mark.parametrize("files", [1, 40])
def test_product_page_asks_the_database_the_same_for_few_and_many(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, files: int
) -> None:
    product = ProductFactory()
    product.categories.set(CategoryFactory.create_batch(files))
    product.tags.set(TagFactory.create_batch(files))
    for number in range(2, files + 1):
        FileFactory(edition=EditionFactory(product=product, number=number))
    with django_assert_num_queries(6):  # the product, editions, files, categories, tags, pages to look into
        client.get(product.get_absolute_url())
    client.force_login(UserFactory())
    with django_assert_num_queries(10):  # and the session, the user, the proven addresses, what is owned
        client.get(product.get_absolute_url())


def with_sample(product: Product, *, pages: int = 3, pdf_size: int = 120_000, **sample: Any) -> Sample:
    edition = product.editions.latest("number")
    sample = {"edition": edition, "state": "made", "made_at": timezone.now(), "pdf_size": pdf_size, **sample}
    made: Sample = product.samples.create(**sample)
    SamplePage.objects.bulk_create(SamplePage(sample=made, number=2 * n + 1, height=1281) for n in range(pages))
    return made


@pytest.mark.parametrize("pages", [1, 30])
def test_looking_inside_takes_no_more_queries(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, pages: int
) -> None:
    product = ProductFactory()
    with_sample(product, pages=pages)
    with django_assert_num_queries(6):
        page = client.get(product.get_absolute_url())
    assert page.content.decode().count('<img src="/samples/') == 2 * pages  # in the strip, and large


def test_product_page_shows_its_pages_as_links_to_larger_ones(client: Client) -> None:
    product = ProductFactory(name="Slow & Bread", slug="slow-bread")
    sample = with_sample(product)
    page = client.get(product.get_absolute_url()).content.decode()
    for number in (1, 3, 5):
        assert f'<a href="/samples/{sample.key}/{number}-960.webp">' in page
        assert f'<img src="/samples/{sample.key}/{number}-480.webp"' in page
        assert f'alt="Page {number} of Slow &amp; Bread"' in page
    assert page.count('width="480"\n                 height="640"') == 3
    assert page.count('loading="lazy"') == 6
    text = re.sub(r"\s+", " ", page)
    assert f'<a href="/samples/{sample.key}/sample.pdf" download="slow-bread-sample.pdf">' in text
    assert "Download the sample (PDF, 117.2 KB)" in text
    assert 'src="/static/viewer.js" defer' in text


def test_product_page_without_sample_pdf_offers_none(client: Client) -> None:
    product = ProductFactory()
    with_sample(product, pdf_size=0)
    page = client.get(product.get_absolute_url()).content.decode()
    assert "Look inside" in page
    assert "Download the sample" not in page


@pytest.mark.parametrize(
    "sample", [{"state": "wanted", "due_at": timezone.now()}, {"state": "failed", "problem": "Broken."}, {"pages": 0}]
)
def test_product_page_without_pages_has_nothing_to_look_into(client: Client, sample: dict[str, Any]) -> None:
    product = ProductFactory()
    with_sample(product, **sample)
    page = client.get(product.get_absolute_url()).content.decode()
    assert "Look inside" not in page
    assert "viewer.js" not in page


def test_pages_of_an_edition_that_is_no_longer_on_sale_are_not_shown(client: Client) -> None:
    product = ProductFactory()
    with_sample(product)
    FileFactory(edition=EditionFactory(product=product, number=2))
    assert "Look inside" not in client.get(product.get_absolute_url()).content.decode()


def test_product_page_says_what_it_is(client: Client) -> None:
    product = ProductFactory(content=None, status=Product.Status.DRAFT)
    edition = EditionFactory(product=product, number=3, published_at=datetime(2026, 3, 9, 12, tzinfo=UTC))
    FileFactory(edition=edition, pages=40, size=1_000_000)
    FileFactory(edition=edition, pages=8, size=500_000)
    FileFactory(edition=edition, size=500_000, media_type="audio/mpeg")
    Product.objects.update(status=Product.Status.PUBLISHED, published_at=timezone.now())
    page = re.sub(r"\s+", " ", client.get(product.get_absolute_url()).content.decode())
    facts = re.findall(r"<dt>(.*?)</dt> <dd>(.*?)</dd>", page)
    assert [(name.strip(), re.sub("<.*?>", "", value).strip()) for name, value in facts] == [
        ("Pages", "48"),
        ("Size", "1.9 MB"),
        ("Formats", "PDF · MP3"),
        ("Edition", "3"),
        ("Last update", "March 9, 2026"),
    ]


def test_product_page_lists_what_is_inside(client: Client) -> None:
    product = ProductFactory()
    entries = [{"title": f"Chapter <{n}>", "level": n % 2, "page": n or None} for n in range(15)]
    File.objects.update(outline=entries)
    page = client.get(product.get_absolute_url()).content.decode()
    shown, folded = page.split("<details>")
    assert shown.count("Chapter &lt;") == 12
    assert folded.count("Chapter &lt;") == 3
    assert "3 more entries" in folded
    assert page.count('<ol class="outline">') == 9
    FileFactory(edition=product.editions.get(), name="Extra.pdf", outline=entries[:2])
    assert "<h3>Extra.pdf</h3>" in client.get(product.get_absolute_url()).content.decode()


def test_product_page_shows_the_newest_published_edition_with_files(client: Client) -> None:
    product = ProductFactory()
    FileFactory(edition=EditionFactory(product=product, number=2), name="Second.pdf")
    FileFactory(edition=EditionFactory(product=product, number=3, published_at=None), name="Secret.pdf")
    EditionFactory(product=product, number=4)
    page = client.get(product.get_absolute_url())
    assert page.context["edition"] == Edition.objects.get(number=2)
    assert "Second.pdf" in page.content.decode()
    assert "Secret.pdf" not in page.content.decode()


@pytest.mark.parametrize("status", [Product.Status.DRAFT, Product.Status.ARCHIVED])
def test_product_that_is_not_on_sale_is_not_found(client: Client, status: Product.Status) -> None:
    assert client.get(ProductFactory(status=status).get_absolute_url()).status_code == 404


@pytest.mark.parametrize("slug", ["nowhere", "BOOK", "x" * 5_000, "a%00b", "..%2f", "%F0%9F%98%80", "book;x", "book."])
def test_s61_product_at_another_address_is_not_found(client: Client, slug: str) -> None:
    ProductFactory(slug="book")
    assert client.get(f"/products/{slug}/").status_code == 404


def test_owner_sees_the_library_instead_of_a_price_button(client: Client) -> None:
    product, user = ProductFactory(), UserFactory()
    give(user, product)
    buy = f'action="/products/{product.slug}/buy/"'
    assert buy in client.get(product.get_absolute_url()).content.decode()
    client.force_login(user)
    page = client.get(product.get_absolute_url()).content.decode()
    assert "In your library" in page
    assert buy not in page


def test_s58_names_and_texts_are_escaped(client: Client) -> None:
    evil = "<script>alert(1)</script>{{ 7|add:7 }}\"'"
    product = ProductFactory(name=evil, summary=evil, description=evil)
    FileFactory(edition=product.editions.get(), name=evil)
    product.categories.add(CategoryFactory(name=evil))
    for path in ("/", product.get_absolute_url()):
        page = client.get(path)
        assert b"<script>alert" not in page.content
        assert b"{{ 7|add:7 }}" in page.content
        assert "script-src 'self'" in page["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/products/slow-bread/"])
def test_pages_for_newcomers_are_compressed(path: str, client: Client) -> None:
    ProductFactory(slug="slow-bread", description="A long story. " * 100)
    plain = client.get(path)
    packed = client.get(path, HTTP_ACCEPT_ENCODING="gzip")
    assert ("Content-Encoding" in plain.headers, packed.headers["Content-Encoding"]) == (False, "gzip")
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert len(packed.content) < len(plain.content) / 2
