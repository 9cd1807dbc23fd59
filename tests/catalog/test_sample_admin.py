"""The admin chooses what may be seen, sees it, and changes that make it due anew."""

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from catalog import samples
from catalog.models import Edition, File, Product
from catalog.sample_models import Sample
from tests.catalog.samples import book, pdf, upload
from tests.factories import EditionFactory, FileFactory, OrderFactory, ProductFactory, UserFactory
from tests.steps import stamp_of

pytestmark = pytest.mark.django_db

PRODUCTS, EDITIONS, FILES = (f"/admin/catalog/{model}/" for model in ("product", "edition", "file"))


@pytest.fixture(autouse=True)
def owner(client: Client) -> None:
    client.force_login(UserFactory(email="owner@example.com", is_staff=True, is_superuser=True))


@pytest.fixture
def change(client: Client) -> Callable[..., Any]:
    """Send the form of a product again, with some fields changed."""

    def send(product: Product, **typed: Any) -> Any:
        product.refresh_from_db()
        names = ("name", "slug", "summary", "currency", "status", "sample_pages")
        shown = {name: getattr(product, name) for name in names}
        prices = {"stripe_prices-TOTAL_FORMS": "0", "stripe_prices-INITIAL_FORMS": "0"}
        path = f"{PRODUCTS}{product.pk}/change/"
        more = {"price": "12.50", "edition_notes": "", **stamp_of(client, product)}
        return client.post(path, {**shown, **prices, **more, **typed})

    return send


Change = Callable[..., Any]


def wanted(product: Product) -> bool:
    """Whether a sample is wanted; forgets it."""
    return bool(Sample.objects.filter(product=product, state=Sample.State.WANTED).delete()[0])


def page(client: Client, product: Product) -> str:
    """What the product's page says of looking inside, in one line."""
    content = html.unescape(client.get(f"{PRODUCTS}{product.pk}/change/").content.decode())
    field = re.search(r'field-sample_now.*?<div class="readonly">(.*?)</div>\s*</div>\s*</div>', content, re.DOTALL)
    assert field
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", field[1])).strip()


@pytest.mark.parametrize(
    "typed, stored",
    [("3 – 4;9", "3-4, 9"), ("0", ""), ("", ""), (" 12 ", "12"), ("1-99999", "1-99999")],
)
def test_choice_is_stored_in_one_way(change: Change, typed: str, stored: str) -> None:
    product = ProductFactory()
    assert change(product, sample_pages=typed).status_code == 302
    product.refresh_from_db()
    assert product.sample_pages == stored
    assert wanted(product)


@pytest.mark.parametrize(
    "typed, message",
    [
        ("all", "“all” is neither a page nor a range of pages. Write it like 1-5, 12."),
        ("1-5, 9-", "“9-” is neither a page nor a range of pages. Write it like 1-5, 12."),
        ("5-1", "“5-1” is neither a page nor a range of pages. Write it like 1-5, 12."),
        ("<b>", "“<b>” is neither a page nor a range of pages. Write it like 1-5, 12."),
        ("1\x00", "Null characters are not allowed."),
        ("1 " * 60, "Ensure this value has at most 100 characters (it has 119)."),
    ],
)
def test_s61_what_is_no_choice_is_named(change: Change, typed: str, message: str) -> None:
    product = ProductFactory()
    answer = change(product, sample_pages=typed)
    assert answer.context["adminform"].form.errors == {"sample_pages": [message]}
    assert message in html.unescape(answer.content.decode())
    assert not wanted(product)


def test_new_product_shows_the_first_five_pages_and_says_what_is_never_shown(client: Client) -> None:
    answer = client.get(f"{PRODUCTS}add/")
    assert answer.context["adminform"].form["sample_pages"].value() == "1-5"
    assert "Never more than a third of the PDF, nor more than 30 pages" in answer.content.decode()


def test_sample_is_wanted_when_what_it_shows_was_changed(change: Change) -> None:
    product = ProductFactory()
    change(product, summary="Another")
    assert not wanted(product)
    for typed in ({"sample_pages": "2"}, {"name": "Another name"}, {"new_files": upload(pdf(1))}):
        change(product, **typed)
        assert wanted(product), typed
        assert not Sample.objects.exists()


def test_sample_is_wanted_when_an_edition_is_withdrawn_or_deleted(client: Client) -> None:
    product = ProductFactory(status=Product.Status.DRAFT)
    second = EditionFactory(product=product, number=2)
    FileFactory(edition=second)
    at = {"published_at_0": "2026-01-01", "published_at_1": "12:00:00"}
    form = {"notes": "New.", **at, **{f"initial-{name}": value for name, value in at.items()}}
    client.post(f"{EDITIONS}{second.pk}/change/", form)
    assert not wanted(product)
    client.post(f"{EDITIONS}{second.pk}/change/", {**form, "published_at_0": "", "published_at_1": ""})
    assert wanted(product)
    client.post(f"{EDITIONS}{second.pk}/delete/", {"post": "yes"})
    assert wanted(product)
    client.post(EDITIONS, {"action": "delete_selected", "_selected_action": [Edition.objects.get().pk], "post": "yes"})
    assert not Edition.objects.exists()
    assert wanted(product)


def test_sample_is_wanted_when_a_file_comes_first_or_is_deleted(client: Client) -> None:
    product = ProductFactory(status=Product.Status.DRAFT)
    first = File.objects.get()
    second, third = (FileFactory(edition=product.editions.get(), position=2) for _ in range(2))
    client.post(f"{FILES}{second.pk}/change/", {"name": "other.pdf", "position": "2"})
    assert not wanted(product)
    client.post(f"{FILES}{second.pk}/change/", {"name": "other.pdf", "position": "0"})
    assert wanted(product)
    client.post(f"{FILES}{second.pk}/delete/", {"post": "yes"})
    assert wanted(product)
    chosen = {"action": "delete_selected", "_selected_action": [first.pk, third.pk], "post": "yes"}
    client.post(FILES, chosen)
    assert not File.objects.exists()
    assert wanted(product)


def test_product_page_of_the_admin_shows_pages_and_state(client: Client) -> None:
    product = ProductFactory(content=book(9))
    assert page(client, product) == "It is made when there are files."
    samples.want(product)
    assert page(client, product) == "It is being made. Load this page again in a moment."
    samples.make(product.samples.get().pk)
    shown = page(client, product)
    sample = product.samples.get()
    assert re.fullmatch(r"Made on .+, with a sample PDF of [\d.]+ KB\. Page 1 Page 2 Page 3", shown)
    content = client.get(f"{PRODUCTS}{product.pk}/change/").content.decode()
    assert content.count(f'<img src="/samples/{sample.key}/') == 3
    Sample.objects.update(pdf_size=0)
    assert "There are pictures alone: no sample PDF could be made of these pages." in page(client, product)
    samples.want(product)
    assert page(client, product).endswith("It is being made. Load this page again in a moment. Page 1 Page 2 Page 3")
    Sample.objects.filter(state="made").delete()
    Sample.objects.create(product=product, state="made", made_at=timezone.now())
    assert "there is nothing to show." in page(client, product)


def test_admin_is_told_why_there_is_no_sample(client: Client) -> None:
    product = ProductFactory(content=b"%PDF-1.7 not really")
    samples.want(product)
    samples.make(product.samples.get().pk)
    told = "It could not be made: This PDF is damaged. Export it again from the program it was made with."
    assert page(client, product) == told


def test_product_with_a_sample_is_deleted_by_the_admin(client: Client) -> None:
    product = ProductFactory(content=book(9), status=Product.Status.DRAFT)
    samples.want(product)
    samples.make(product.samples.get().pk)
    Edition.objects.all().delete()
    answer = client.post(f"{PRODUCTS}{product.pk}/delete/", {"post": "yes"})
    assert (answer.status_code, Product.objects.exists()) == (302, False)
    assert Sample.objects.due(Now()).count() == 1


def test_sold_edition_keeps_its_sample_and_the_orders_go_on(client: Client, change: Change) -> None:
    product = OrderFactory().lines.get().product
    assert change(product, sample_pages="2").status_code == 302
    assert wanted(product)
