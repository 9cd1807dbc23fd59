"""Two tabs with one product: the later save of the two loses nothing in silence, and is not refused for nothing."""

import html
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from catalog import bulk, stale
from catalog.models import Product
from catalog.pricing import How, Pricing
from catalog.stripe_price_models import StripePrice
from tests.catalog.samples import upload
from tests.catalog.test_admin import NO_PRICES, PRODUCTS
from tests.factories import CategoryFactory, EditionFactory, FileFactory, ProductFactory, TagFactory, UserFactory

pytestmark = pytest.mark.django_db

NOTHING = "Nothing was saved, and your entries are still here."


@pytest.fixture(autouse=True)
def owner(client: Client) -> User:
    user: User = UserFactory(email="owner@example.com", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def product() -> Product:
    made: Product = ProductFactory(name="Knots", slug="knots", description="Ten.", price=1250)
    made.categories.add(CategoryFactory(name="Crafts"), CategoryFactory(name="Sea"))
    return made


def path_of(product: Product) -> str:
    return f"{PRODUCTS}{product.pk}/change/"


def opened(client: Client, product: Product) -> dict[str, Any]:
    """What a tab that is opened now would send."""
    form = client.get(path_of(product)).context["adminform"].form
    names = [name for name in form.fields if name not in ("file_order", "new_files", "uploads", "cover_image")]
    shown = {name: form[name].value() for name in names}
    places = {f"file_order-{pk}": place for pk, place in form.initial["file_order"].items()}
    return {**{name: value for name, value in shown.items() if value not in (None, False)}, **places, **NO_PRICES}


def said(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(answer.context["adminform"].form.non_field_errors())


def test_later_save_is_refused_and_says_by_whom_what_and_keeps_what_was_typed(client: Client, product: Product) -> None:
    other = Client()
    other.force_login(UserFactory(email="ada@example.com", is_staff=True, is_superuser=True))
    mine, theirs = opened(client, product), opened(other, product)
    assert other.post(path_of(product), {**theirs, "price": "15.00"}).status_code == 302
    mine |= {"summary": "My words.", "categories": mine["categories"][:1]}
    answer = client.post(path_of(product), mine)
    text = html.unescape(said(answer))
    assert text.startswith("This product was changed since you opened this page, by ada@example.com at ")
    assert NOTHING in text
    assert f'<a href="{path_of(product)}" target="_blank"' in text
    assert "It differs from yours in: Summary, Categories, Price." in text
    assert f'<a href="{path_of(product)}" target="_blank"' in answer.content.decode()
    form = answer.context["adminform"].form
    assert (form["summary"].value(), form["categories"].value()) == ("My words.", [str(mine["categories"][0])])
    product.refresh_from_db()
    assert (product.summary, product.price, product.categories.count()) == ("A book.", 1500, 2)


def test_second_save_goes_through_unless_it_was_changed_again(client: Client, product: Product) -> None:
    mine = {**opened(client, product), "summary": "My words."}
    Product.objects.update(price=1500)
    stamp = client.post(path_of(product), mine).context["adminform"].form["stamp"].value()
    Product.objects.update(price=1600)
    answer = client.post(path_of(product), {**mine, "stamp": stamp})
    assert NOTHING in said(answer)
    stamp = answer.context["adminform"].form["stamp"].value()
    assert f'<input type="hidden" name="stamp" value="{stamp}"' in answer.content.decode()
    assert client.post(path_of(product), {**mine, "stamp": stamp}).status_code == 302
    product.refresh_from_db()
    assert (product.summary, product.price) == ("My words.", 1250)


def test_nobody_is_named_who_saved_it_before(client: Client, product: Product) -> None:
    assert client.post(path_of(product), {**opened(client, product), "summary": "Mine."}).status_code == 302
    mine = {**opened(client, product), "summary": "My words."}
    mine["stamp"] = f"{mine['stamp'].partition('.')[0]}.{int(timezone.now().timestamp()) + 60}"
    Product.objects.update(price=1500)  # by a command, which leaves no entry
    assert said(client.post(path_of(product), mine)).startswith("This product was changed since you opened this page. ")


CHANGES: dict[str, Callable[[Product], object]] = {
    "name": lambda _product: Product.objects.update(name="Hitches"),
    "status": lambda _product: Product.objects.update(status="archived"),
    "bulk price": lambda product: bulk.carry_out(
        act := bulk.set_price(Pricing(How.RAISE, "10")),
        [product.pk],
        shown=bulk.plan(act, [product.pk]).digest,
        record=lambda _rows: None,
    ),
    "category": lambda product: product.categories.remove(product.categories.all()[0]),
    "tag": lambda product: product.tags.add(TagFactory()),
    "price in Stripe": lambda product: StripePrice.objects.create(product=product, price_id="price_1"),
    "file": lambda product: FileFactory(edition=product.editions.get(), position=2),
    "edition": lambda product: FileFactory(edition=EditionFactory(product=product, number=2)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whatever_the_form_holds_counts(client: Client, product: Product, change: Callable[[Product], object]) -> None:
    mine = {**opened(client, product), "summary": "My words."}
    change(product)
    assert NOTHING in said(client.post(path_of(product), mine))


def test_what_the_form_does_not_hold_does_not_count(client: Client, product: Product) -> None:
    """Workers draw covers, count sales and read contents while somebody writes."""
    mine = {**opened(client, product), "summary": "My words."}
    Product.objects.update(cover="0" * 32, cover_height=800, sales=7, contents="One", updated_at=timezone.now())
    assert client.post(path_of(product), mine).status_code == 302


def test_second_click_and_files_alone_undo_nothing_and_are_not_refused(client: Client, product: Product) -> None:
    mine = {**opened(client, product), "summary": "My words."}
    assert client.post(path_of(product), mine).status_code == 302
    assert client.post(path_of(product), mine).status_code == 302
    assert client.post(path_of(product), {**mine, "new_files": upload(b"More.\n", "more.txt")}).status_code == 302
    assert "Choose the files" not in said(client.post(path_of(product), {**mine, "summary": "Other words."}))
    mine |= {"summary": "Other words.", "new_files": upload(b"More.\n", "more.txt")}
    assert f"{NOTHING} Choose the files once more." in said(client.post(path_of(product), mine))


@pytest.mark.parametrize("stamp", ["", "x", ".", "0" * 64, f"{'0' * 64}.٣", f"x.{'9' * 5000}", "x.99999999999"])
def test_s61_form_without_a_stamp_of_ours_is_refused_and_no_error(client: Client, product: Product, stamp: str) -> None:
    assert NOTHING in said(client.post(path_of(product), {**opened(client, product), "name": "Other", "stamp": stamp}))


@pytest.mark.django_db(transaction=True)
def test_two_saves_at_once_are_one_after_the_other(client: Client, owner: User, product: Product) -> None:
    """The second one waits for the first at the product's row, and then sees what it wrote."""
    forms = [{**opened(client, product), "summary": words} for words in ("One.", "Two.")]
    answers: list[int] = []

    def save(form: dict[str, Any]) -> None:
        browser = Client()
        browser.force_login(owner)
        answers.append(browser.post(path_of(product), form).status_code)
        connections.close_all()

    threads = [threading.Thread(target=save, args=[form]) for form in forms]
    with transaction.atomic():
        stale.lock(str(product.pk))
        for thread in threads:
            thread.start()
        threads[0].join(0.5)  # both are at the row by now
        assert answers == []
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 302]


def test_stamp_is_one_query_however_much_there_is(
    product: Product, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    FileFactory.create_batch(3, edition=product.editions.get())
    with django_assert_num_queries(1):
        assert stale.stamp(str(product.pk))
    for nothing in ("", "x", "-1", "٣", str(2**70), "999999"):
        assert stale.stamp(nothing) == ""
