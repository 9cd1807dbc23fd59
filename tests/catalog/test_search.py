"""Words and what they find, in pages of the shop: tests/catalog/test_filters.py has what narrows them."""

import re

import pytest
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from catalog import search, shelf
from catalog.models import Product
from tests.catalog.test_views import names, walk
from tests.factories import ProductFactory

pytestmark = pytest.mark.django_db


def found(client: Client, words: str) -> list[str]:
    return names(client.get("/", {"q": words}))


@pytest.mark.parametrize("field", ["name", "summary", "description", "contents"])
def test_word_is_found_wherever_it_stands(client: Client, field: str) -> None:
    there = ProductFactory(**{field: "All about kestrels and why"})
    ProductFactory()
    for words in ("kestrels", "KESTRELS", "kestrel", "kes", "about kes", "kestrel wh"):
        assert found(client, words) == [there.name], words
    assert found(client, "estrels") == []


@pytest.mark.parametrize(
    "name, words",
    [
        ("Éclairs für Anfänger", "éclairs anf"),
        ("Éclairs für Anfänger", "ÉCLAIRS FÜR"),
        ("Brot & Butter", "& butter"),
        ("Don't panic", "don't"),
        ("Node.js by hand", "node.j"),
        ("C++ and you", "c++"),
        ("Pi is 3.14159", "3.14159"),
        ("The well-tempered clavier", "well-temp"),
        ("The well-tempered clavier", "tempered"),
        ("Мастер и Маргарита", "маргар"),
        ("Back\\slash", "back\\slash"),
        ("Kochen für Gäste", "'gäste'"),
    ],
)
def test_name_is_found_as_it_is_written(client: Client, name: str, words: str) -> None:
    ProductFactory(name=name)
    ProductFactory(name="Another")
    assert found(client, words) == [name]


def test_all_words_must_be_there_in_any_place(client: Client) -> None:
    ProductFactory(name="Slow bread", contents="Flour and water")
    ProductFactory(name="Quick bread")
    assert found(client, "water bread") == ["Slow bread"]
    assert found(client, "bread wine") == []


def test_word_of_three_letters_finds_what_begins_with_it_and_a_shorter_one_only_at_the_end(client: Client) -> None:
    ProductFactory(name="Plants at home")
    assert found(client, "plant home") == found(client, "home pl") == ["Plants at home"]
    assert found(client, "pl home") == []


def test_names_come_first_then_the_newest(client: Client) -> None:
    ProductFactory(name="A long title that has bread in it somewhere")
    ProductFactory(name="Bread")
    ProductFactory(name="Older", description="bread")
    ProductFactory(name="Newer", contents="bread bread bread bread")
    ProductFactory(name="Breadcrumbs")
    assert found(client, "bread") == [
        "Bread",
        "Breadcrumbs",
        "A long title that has bread in it somewhere",
        "Newer",
        "Older",
    ]


def test_what_is_not_on_sale_is_not_found(client: Client) -> None:
    for status in (Product.Status.DRAFT, Product.Status.ARCHIVED):
        ProductFactory(name=f"Secret {status}", status=status)
    assert found(client, "secret") == []


@pytest.mark.parametrize("few", [0, 2, 4, 1000])
def test_pages_show_each_hit_once_and_in_order_however_many_count_as_few(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """By their ids, or along the index: names, then the others."""
    monkeypatch.setattr(shelf, "FEW", few)
    settings.PRODUCTS_PER_PAGE = 2
    for n in range(5):
        ProductFactory(name=f"Text {n}", description="on owls")
    for n in range(4):
        ProductFactory(name=f"Owls {n}")
    ProductFactory(name="Nothing of that kind")
    assert walk(client, "/?q=owl") == [f"Owls {n}" for n in (3, 2, 1, 0)] + [f"Text {n}" for n in (4, 3, 2, 1, 0)]


def test_page_of_a_search_asks_the_database_the_same_for_few_and_many(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for count in (1, 30):
        ProductFactory.create_batch(count, description="on owls")
        with django_assert_num_queries(5):  # which, the products, currencies, categories, tags
            client.get("/?q=owls")


def test_how_many_are_found_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    ProductFactory(name="Owls")
    assert "1 product\n" in client.get("/?q=owls").content.decode()
    ProductFactory(name="More owls")
    assert "2 products\n" in client.get("/?q=owls").content.decode()
    monkeypatch.setattr(shelf, "FEW", 1)
    assert "More than 1 product" in client.get("/?q=owls").content.decode()


def test_search_columns_are_never_read(client: Client) -> None:
    product = ProductFactory(name="Owls")
    assert (product.name_words is None, Product.objects.get().words) == (False, None)
    assert b"Owls" in client.get("/?q=owls").content


@pytest.mark.parametrize("text", ["\U0001f989 ", "ab ", "a-b-c-d/e.f@g.hi ", "w" * 3_000 + " ", "漢", "x=1&y "])
def test_texts_of_any_length_can_be_kept(text: str) -> None:
    product = ProductFactory()
    for long in (text * 60_000, "".join(f"{text.strip()}{n:x} " for n in range(60_000))):
        product.description, product.contents = long[:20_000], long[:100_000]
        product.save()
    assert Product.objects.filter(pk=product.pk, words=search.matching(search.terms("book"))).exists()


# Marks


@pytest.mark.parametrize(
    "text, words, marked",
    [
        ("Slow Bread", "bread", "Slow <mark>Bread</mark>"),
        ("Breads, breads", "bread", "<mark>Breads</mark>, <mark>breads</mark>"),
        ("Shortbread", "bread", "Shortbread"),
        ("Art for artists", "art artist", "<mark>Art</mark> for <mark>artists</mark>"),
        ("At home", "at home", "<mark>At</mark> <mark>home</mark>"),
        ("Attic home", "at home", "Attic <mark>home</mark>"),
        ("C++ & <b>", "c++ <b>", "<mark>C++</mark> &amp; <mark>&lt;b&gt;</mark>"),
        ("<script>alert(1)</script>", "alert", "&lt;script&gt;<mark>alert</mark>(1)&lt;/script&gt;"),
        ("mark &amp; ampersand", "amp", "mark &amp;<mark>amp</mark>; <mark>ampersand</mark>"),
        ("", "bread", ""),
    ],
)
def test_marks_stand_around_words_and_the_rest_is_escaped(text: str, words: str, marked: str) -> None:
    assert search.mark(text, search.marks(search.terms(words))) == marked


def test_s58_hit_in_a_name_of_markup_stays_text(client: Client) -> None:
    evil = "<img src=x onerror=alert(1)>"
    ProductFactory(name=f"{evil} owls", summary=f"{evil} owls", description=f"{evil} kestrel")
    page = client.get("/", {"q": "img owls kestrel alert"}).content.decode()
    assert "<img src=x" not in page
    assert "&lt;<mark>img</mark> src=x onerror=<mark>alert</mark>(1)&gt; <mark>owls</mark>" in page


def test_excerpt_shows_a_word_that_stands_in_the_text_alone(client: Client) -> None:
    ProductFactory(
        name="Owls",
        description=f"{'Long before. ' * 20}See [the *kestrel*](https://example.com/x) there. {'After. ' * 20}",
    )
    page = client.get("/?q=owls+kestrel").content.decode()
    excerpt = re.search(r'excerpt">([^\n]*)</p>', page)
    assert excerpt
    assert "See the <mark>kestrel</mark> there." in excerpt[1]
    assert (excerpt[1][:2], excerpt[1][-2:]) == ("… ", " …")
    assert "example.com" not in excerpt[1]
    assert "excerpt" not in client.get("/?q=owls").content.decode()


# Nothing found


def test_nothing_found_says_what_was_searched_and_shows_what_is_new(client: Client) -> None:
    ProductFactory(name="Slow Bread")
    page = client.get("/?q=zzz+<b>").content.decode()
    assert "Nothing was found for “zzz &lt;b&gt;”." in page
    assert "New in the shop" in page
    assert "Slow Bread" in page
    assert "Did you mean" not in page


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("bred", "bread"),
        ("houseplatns", "houseplants"),
        ("slow bred", "slow bread"),
        ("houseplnts", "houseplants"),
        ("mäd", ""),
    ],
)
def test_nearest_spelling_is_offered_and_finds_something(client: Client, typed: str, meant: str) -> None:
    ProductFactory(name="Slow Bread")
    ProductFactory(name="Rescue Your Houseplants")
    ProductFactory(name="Bread drafts", status=Product.Status.DRAFT)
    page = client.get("/", {"q": typed})
    assert page.context["nearest"] == meant
    if meant:
        assert f'Did you mean <a href="{page.context["nearest_address"]}">{meant}</a>?' in page.content.decode()
        assert names(client.get(page.context["nearest_address"])) != []


def test_empty_search_is_the_catalog(client: Client) -> None:
    ProductFactory(name="Here")
    for query in ("q=", "q=+++", "q=%00"):
        page = client.get(f"/?{query}")
        assert (names(page), page.context["asked"].q) == (["Here"], "")


@pytest.mark.parametrize("words", ["???", "'", "\\", "&|!<->", ":*", "-", "\U0001f600", "x" * 5_000, "\ufffd"])
def test_s61_search_for_no_word_finds_nothing(client: Client, words: str) -> None:
    ProductFactory(name="Here")
    assert found(client, words) == []


@pytest.mark.parametrize(
    "query", ["after=x", "after=1-1", "after=1-1-x", "after=-1-1-1", "after=1-%00-1", "after=1--1"]
)
def test_s61_cursor_of_another_order_shows_the_first_hits(client: Client, query: str) -> None:
    ProductFactory(name="Here")
    page = client.get(f"/?q=here&{query}")
    assert (page.status_code, names(page), page.context["is_first_page"]) == (200, ["Here"], True)


@pytest.mark.parametrize("after", ["9" * 17 + "-1-1", "5-5-" + "9" * 17, "9-" + "9" * 17 + "-1"])
def test_s61_cursor_of_absurd_numbers_is_answered(client: Client, after: str) -> None:
    ProductFactory(name="Here")
    assert client.get(f"/?q=here&after={after}").status_code in (200, 302)


def test_names_are_found_by_the_index() -> None:
    """As soon as there are enough of them: forbidding the alternative shows that there is one."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    words = search.matching(search.terms("owls"))
    assert "product_words" in Product.objects.filter(words=words).explain()
    assert "product_name_words" in Product.objects.filter(name_words=words).explain()
    assert "product_name_trigrams" in Product.objects.filter(name__trigram_word_similar="owls").explain()
