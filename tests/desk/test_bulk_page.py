"""Changing many products in the admin: the list hands them over, a page shows what will be, a button does it."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.test import Client

from catalog import bulk
from catalog.models import Product
from tests.factories import CategoryFactory, ProductFactory

pytestmark = pytest.mark.django_db

LIST, PAGE = "/admin/catalog/product/", "/admin/catalog/product/bulk/"
RAISE = {"how": "raise", "number": "10", "ending": "exact"}


def choose(desk: Client, act: str, products: Iterable[Product], query: str = "", **more: Any) -> Any:
    chosen = {"action": f"{act}_selected", "_selected_action": [product.pk for product in products]}
    return desk.post(f"{LIST}{query}", {**chosen, **more})


def form_of(answer: Any) -> dict[str, str]:
    """The hidden fields of the page's form."""
    assert answer.status_code == 200
    page = answer.content.decode()
    return dict(re.findall(r'<input type="hidden" name="(act|ids|filters|shown)" value="([^"]*)"', page))


def words_of(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def test_products_are_published_from_the_list(desk: Client, owner: Any) -> None:
    ready, bare = (
        ProductFactory(name="Knots", status="draft"),
        ProductFactory(name="Bare", status="draft", content=None),
    )
    page = choose(desk, "publish", [ready, bare], "?status__exact=draft")
    words = words_of(page)
    assert "Publish: 2 products" in words
    assert "Knots Draft Published" in words
    assert "Bare Draft Nothing can be delivered yet: add a file before you publish." in words
    assert set(Product.objects.values_list("status", flat=True)) == {"draft"}
    answer = desk.post(PAGE, {**form_of(page), "apply": "1"})
    assert (answer.status_code, answer["Location"]) == (303, f"{LIST}?status__exact=draft")
    words = words_of(desk.get(answer["Location"]))
    assert "1 product was changed." in words
    assert "1 product stayed as it was." in words
    assert dict(Product.objects.values_list("name", "status")) == {"Knots": "published", "Bare": "draft"}
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.object_repr, entry.action_flag) == (
        owner,
        str(ready.pk),
        "Knots",
        CHANGE,
    )
    assert entry.get_change_message() == "draft → published"


@pytest.mark.parametrize("act, before, after", [("archive", "published", "archived"), ("draft", "archived", "draft")])
def test_products_leave_the_shop_from_the_list(desk: Client, act: str, before: str, after: str) -> None:
    product = ProductFactory(status=before)
    page = choose(desk, act, [product])
    assert "Whoever bought them keeps them." in words_of(page)
    desk.post(PAGE, {**form_of(page), "apply": "1"})
    product.refresh_from_db()
    assert product.status == after


def test_prices_are_asked_for_shown_and_changed(desk: Client) -> None:
    products = [ProductFactory(name="Knots", price=1250), ProductFactory(name="Hitches", price=500, currency="jpy")]
    page = choose(desk, "price", products)
    assert "Change 2 products" not in words_of(page)
    shown = desk.post(PAGE, {**form_of(page), **RAISE})
    words = words_of(shown)
    assert "Knots $12.50 $13.75" in words
    assert "Hitches ¥500 ¥550" in words
    assert 'value="Change 2 products"' in shown.content.decode()
    assert set(Product.objects.values_list("price", flat=True)) == {1250, 500}
    assert desk.post(PAGE, {**form_of(shown), **RAISE, "apply": "1"}).status_code == 303
    assert set(Product.objects.values_list("price", flat=True)) == {1375, 550}
    assert set(LogEntry.objects.values_list("object_repr", "change_message")) == {
        ("Knots", "$12.50 → $13.75"),
        ("Hitches", "¥500 → ¥550"),
    }


@pytest.mark.parametrize(
    "terms, said",
    [
        ({"how": "raise", "number": ""}, "This field is required."),
        ({"how": "set", "number": "much"}, "Write a plain number, such as 12.50."),
        ({"how": "lower", "number": "100"}, "A price can be lowered by more than 0 and less than 100 percent."),
        ({"how": "double", "number": "2"}, "Select a valid choice."),
    ],
)
def test_terms_that_mean_nothing_are_marked(desk: Client, terms: dict[str, str], said: str) -> None:
    product = ProductFactory(price=1250)
    answer = desk.post(PAGE, {"act": "price", "ids": str(product.pk), **terms, "apply": "1"})
    assert said in words_of(answer)
    assert "shown" not in form_of(answer)
    assert Product.objects.get().price == 1250


def test_category_is_chosen_put_and_taken(desk: Client) -> None:
    music, product = CategoryFactory(name="Music"), ProductFactory(name="Knots")
    for act, words, inside in (
        ("put", "Knots not in Music in Music", True),
        ("take", "Knots in Music not in Music", False),
    ):
        page = choose(desk, act, [product])
        shown = desk.post(PAGE, {**form_of(page), "category": music.pk})
        assert words in words_of(shown)
        desk.post(PAGE, {**form_of(shown), "category": music.pk, "apply": "1"})
        assert music.products.exists() is inside
    assert list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True)) == [
        "put into Music",
        "taken out of Music",
    ]


def test_price_that_changed_meanwhile_is_said_and_shown_again(desk: Client) -> None:
    product = ProductFactory(name="Knots", price=1000)
    shown = desk.post(PAGE, {"act": "price", "ids": str(product.pk), **RAISE})
    Product.objects.update(price=2000)
    again = desk.post(PAGE, {**form_of(shown), **RAISE, "apply": "1"})
    words = words_of(again)
    assert "Nothing was changed: what would happen now is not what you were shown." in words
    assert "Knots $20.00 $22.00" in words
    assert (Product.objects.get().price, LogEntry.objects.count()) == (2000, 0)
    assert desk.post(PAGE, {**form_of(again), **RAISE, "apply": "1"}).status_code == 303
    assert Product.objects.get().price == 2200


def test_other_terms_than_those_shown_are_shown_first(desk: Client) -> None:
    product = ProductFactory(price=1000)
    shown = desk.post(PAGE, {"act": "price", "ids": str(product.pk), **RAISE})
    answer = desk.post(PAGE, {**form_of(shown), **RAISE, "number": "50", "apply": "1"})
    assert "$15.00" in words_of(answer)
    assert Product.objects.get().price == 1000


def test_form_that_is_sent_twice_changes_once(desk: Client) -> None:
    product = ProductFactory(price=1000)
    shown = form_of(desk.post(PAGE, {"act": "price", "ids": str(product.pk), **RAISE}))
    answers = [desk.post(PAGE, {**shown, **RAISE, "apply": "1"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 200]
    assert (Product.objects.get().price, LogEntry.objects.count()) == (1100, 1)


def test_nothing_to_change_offers_no_button(desk: Client) -> None:
    page = choose(desk, "archive", [ProductFactory(status="archived")])
    assert "Nothing would change. 1 product is like that already." in words_of(page)
    assert 'name="apply"' not in page.content.decode()


def test_thousands_are_changed_across_pages_with_as_many_queries(desk: Client, django_assert_num_queries: Any) -> None:
    Product.objects.bulk_create(
        Product(name=f"Book {n}", slug=f"book-{n}", price=1000 + n, currency="usd", status="draft") for n in range(3000)
    )
    page = choose(desk, "price", Product.objects.all()[:1], select_across="1")
    terms = {**form_of(page), **RAISE}
    assert terms["ids"].count(",") == 2999
    shown = desk.post(PAGE, terms)
    with django_assert_num_queries(7):
        assert desk.post(PAGE, {**form_of(shown), **RAISE, "apply": "1"}).status_code == 303
    assert LogEntry.objects.count() == 3000
    assert Product.objects.get(slug="book-2999").price == 4399
    assert Product.objects.get(slug="book-5").price == 1106  # 1105.5


def test_more_than_can_be_shown_are_refused(desk: Client) -> None:
    Product.objects.bulk_create(
        Product(name=f"Book {n}", slug=f"book-{n}", price=1000, currency="usd") for n in range(bulk.MOST + 1)
    )
    answer = choose(desk, "archive", Product.objects.all()[:1], select_across="1")
    assert answer.status_code == 302
    assert "choose up to 5000 products" in words_of(desk.get(answer["Location"]))


@pytest.mark.parametrize(
    "sent",
    [
        {"act": "archive", "ids": ""},
        {"act": "archive", "ids": "1,x"},
        {"act": "archive", "ids": "1,,2"},
        {"act": "archive", "ids": str(2**63)},
        {"act": "archive", "ids": "9" * 30},
        {"act": "archive", "ids": "²"},
        {"act": "delete", "ids": "1"},
        {"ids": "1"},
        {"act": "archive", "ids": ",".join(["1"] * (bulk.MOST + 1))},
    ],
)
def test_what_the_page_would_not_send_is_refused(desk: Client, sent: dict[str, str]) -> None:
    assert desk.post(PAGE, {**sent, "apply": "1"}).status_code == 400


def test_products_that_are_gone_leave_an_empty_page(desk: Client) -> None:
    assert "Nothing would change." in words_of(desk.post(PAGE, {"act": "archive", "ids": "7"}))


def test_address_alone_leads_to_the_list(desk: Client) -> None:
    answer = desk.get(PAGE)
    assert (answer.status_code, answer["Location"]) == (302, LIST)


def test_way_back_stays_in_the_admin(desk: Client) -> None:
    product = ProductFactory()
    page = desk.post(PAGE, {"act": "archive", "ids": str(product.pk), "filters": "//example.com/"})
    answer = desk.post(PAGE, {**form_of(page), "apply": "1"})
    assert answer["Location"] == f"{LIST}?//example.com/"


# Who may


def test_s60_changes_are_for_who_may_change_products(staff: Callable[..., Client]) -> None:
    product = ProductFactory()
    shown = {"act": "archive", "ids": str(product.pk)}
    act = bulk.set_status(Product.Status.ARCHIVED)
    apply = {**shown, "shown": bulk.plan(act, [product.pk]).digest, "apply": "1"}
    for browser in (staff(), staff("view_product"), staff("view_product", "add_product", "delete_product")):
        for sent in (shown, apply):
            assert browser.post(PAGE, sent).status_code == 403
        assert browser.get(PAGE).status_code == 403
    assert "archive_selected" not in staff("view_product").get(LIST).content.decode()
    choose(staff("view_product"), "archive", [product])
    product.refresh_from_db()
    assert (product.status, LogEntry.objects.count()) == ("published", 0)
    allowed = staff("change_product")
    assert allowed.post(PAGE, shown).status_code == 200
    assert allowed.post(PAGE, apply).status_code == 303


def test_s19_s38_strangers_and_forms_of_strangers_change_nothing(owner: Any) -> None:
    product = ProductFactory()
    sent = {"act": "archive", "ids": str(product.pk), "apply": "1"}
    assert Client().post(PAGE, sent)["Location"] == f"/admin/login/?next={PAGE}"
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    assert strict.post(PAGE, sent).status_code == 403
    product.refresh_from_db()
    assert product.status == "published"
