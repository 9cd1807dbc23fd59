"""Selling from the admin: one form makes a product with its files and its cover."""

import html
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.storage import storages
from django.test import Client
from PIL import Image
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from catalog.models import Category, Edition, File, Product, Tag
from orders.models import Order
from tests.catalog.samples import SVG, pdf, png, upload
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

PRODUCTS, EDITIONS, FILES = (f"/admin/catalog/{model}/" for model in ("product", "edition", "file"))
TYPED = {
    "name": "Quiet Evenings",
    "slug": "quiet-evenings",
    "summary": "Ten short walks.",
    "description": "# Ten walks",
    "price": "12.50",
    "currency": "usd",
    "status": "published",
    "edition_notes": "",
}
NO_PRICES = {"stripe_prices-TOTAL_FORMS": "0", "stripe_prices-INITIAL_FORMS": "0"}


@pytest.fixture(autouse=True)
def owner(client: Client) -> User:
    user: User = UserFactory(email="owner@example.com", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def add(client: Client) -> Callable[..., Any]:
    """Send the form for a new product."""
    return lambda **typed: client.post(f"{PRODUCTS}add/", {**TYPED, **NO_PRICES, **typed})


@pytest.fixture
def change(client: Client) -> Callable[..., Any]:
    """Send the form of a product again, with some fields changed."""

    def send(product: Product, **typed: Any) -> Any:
        path = f"{PRODUCTS}{product.pk}/change/"
        shown = client.get(path).context["adminform"].form.initial
        unchanged = {name: shown[name] for name in (*TYPED, "stamp") if shown.get(name)}
        return client.post(path, {**TYPED, **NO_PRICES, **unchanged, **typed})

    return send


Send = Callable[..., Any]


def errors(answer: Any) -> dict[str, list[str]]:
    """What the form says is wrong, and that the page shows it."""
    assert answer.status_code == 200
    found: dict[str, list[str]] = answer.context["adminform"].form.errors
    page = html.unescape(answer.content.decode())
    for messages in found.values():
        assert all(message in page for message in messages)
    return dict(found)


def stored(file: File) -> bytes:
    with storages["default"].open(file.key) as source:
        content: bytes = source.read()
    return content


def cover(product: Product, width: int) -> Image.Image:
    with storages["covers"].open(f"{product.cover}-{width}.webp") as file:
        image = Image.open(io.BytesIO(file.read()))
        image.load()
    return image


# A new product


def test_one_form_puts_a_product_on_sale(client: Client, add: Send) -> None:
    content = pdf(pages=3)
    category = CategoryFactory()
    answer = add(new_files=upload(content, "Quiet.pdf"), cover_image=upload(png(), "c.png"), categories=[category.pk])
    assert (answer.status_code, answer["Location"]) == (302, PRODUCTS)
    product = Product.objects.get()
    assert (product.name, product.price, product.currency, product.status) == (
        "Quiet Evenings",
        1250,
        "usd",
        Product.Status.PUBLISHED,
    )
    assert list(product.categories.all()) == [category]
    file = File.objects.get(edition__product=product)
    assert stored(file) == content
    assert (file.edition.number, file.name, file.pages) == (1, "Quiet.pdf", 3)
    for width, height in ((320, 427), (640, 853)):
        image = cover(product, width)
        assert (image.format, image.size) == ("WEBP", (width, height))
    page = Client().get("/products/quiet-evenings/").content.decode()
    assert "$12.50" in page
    assert f"/covers/{product.cover}-640.webp" in page


def test_tags_are_given_to_a_product(add: Send) -> None:
    paper, _ = TagFactory(), TagFactory()
    add(new_files=upload(pdf()), tags=[paper.pk])
    assert list(Product.objects.get().tags.all()) == [paper]


def test_categories_and_tags_are_boxes_that_show_what_is_chosen(client: Client, change: Send) -> None:
    product, inside, outside = ProductFactory(), CategoryFactory(name="<b>In"), CategoryFactory(name="Out")
    product.categories.add(inside)

    def boxes(page: str) -> dict[str, bool]:
        found = re.findall(
            r'<input type="checkbox" name="categories" value="\d+" (checked)?>\s*<span>(.*?)</span>', page
        )
        return {name: bool(checked) for checked, name in found}

    page = client.get(f"{PRODUCTS}{product.pk}/change/").content.decode()
    assert boxes(page) == {"&lt;b&gt;In": True, "Out": False}
    assert 'id="id_categories" role="group" aria-label="Categories"' in page
    assert "None yet." in page  # of tags
    refused = change(product, name="", categories=[outside.pk]).content.decode()
    assert boxes(refused) == {"&lt;b&gt;In": False, "Out": True}
    assert change(product, categories=[outside.pk]).status_code == 302
    assert list(product.categories.all()) == [outside]


def test_sizes_are_shown_as_people_write_them(client: Client) -> None:
    file = FileFactory(edition=ProductFactory().editions.get())
    File.objects.filter(pk=file.pk).update(size=1_500_000)
    for path in (FILES, f"{FILES}{file.pk}/change/", f"{PRODUCTS}{file.edition.product_id}/change/"):
        page = client.get(path).content.decode()
        assert "1.4\xa0MB" in page
        assert "1500000" not in page


def test_one_file_needs_no_place(client: Client) -> None:
    product = ProductFactory()
    path, place = f"{PRODUCTS}{product.pk}/change/", '<input type="number" name="file_order-'
    assert place not in client.get(path).content.decode()
    FileFactory(edition=product.editions.get(), position=2)
    assert client.get(path).content.decode().count(place) == 2


def test_tag_that_exists_in_other_letters_is_a_mistake(client: Client) -> None:
    TagFactory(name="Paper")
    answer = client.post("/admin/catalog/tag/add/", {"name": "PAPER", "slug": "other"})
    assert answer.status_code == 200
    assert Tag.objects.count() == 1


def test_price_is_shown_as_it_was_typed(client: Client, add: Send) -> None:
    add(status="draft")
    form = client.get(f"{PRODUCTS}{Product.objects.get().pk}/change/").context["adminform"].form
    assert 'value="12.50"' in str(form["price"])


@pytest.mark.parametrize(
    "price, currency, stored_price, shown",
    [
        ("12,5", "eur", 1250, "12.50"),
        ("500", "jpy", 500, "500"),
        ("5.12", "kwd", 5120, "5.12"),
        ("0", "usd", 0, "0.00"),
    ],
)
def test_price_in_each_kind_of_currency_survives_a_second_save(
    client: Client, add: Send, change: Send, price: str, currency: str, stored_price: int, shown: str
) -> None:
    add(status="draft", price=price, currency=currency)
    product = Product.objects.get()
    assert product.price == stored_price
    assert client.get(f"{PRODUCTS}{product.pk}/change/").context["adminform"].form.initial["price"] == shown
    assert change(product, price=shown, currency=currency).status_code == 302
    product.refresh_from_db()
    assert product.price == stored_price


def test_new_product_is_a_free_draft_unless_said_otherwise(client: Client) -> None:
    form = client.get(f"{PRODUCTS}add/").context["adminform"].form
    assert (form["price"].value(), form["status"].value(), form["currency"].value()) == ("0", "draft", "usd")


def test_several_files_are_uploaded_at_once(add: Send) -> None:
    contents = [pdf(pages=1), b"Track list.\n", pdf(pages=2)]
    uploads = [upload(content, name) for content, name in zip(contents, ("a.pdf", "b.txt", "a.pdf"), strict=True)]
    assert add(new_files=uploads).status_code == 302
    files = list(File.objects.all())
    assert [file.name for file in files] == ["a.pdf", "b.txt", "a.pdf"]
    assert [stored(file) for file in files] == contents
    assert len({file.key for file in files}) == 3


@pytest.mark.django_db(transaction=True)
def test_first_page_becomes_the_cover_when_none_is_given(add: Send, drain: Callable[[], int]) -> None:
    add(new_files=upload(pdf()))
    product = Product.objects.get()
    assert product.cover == ""
    assert drain() == 2  # and what may be seen of it
    product.refresh_from_db()
    assert cover(product, 640).size == (640, product.cover_height)


@pytest.mark.django_db(transaction=True)
def test_no_first_page_is_drawn_when_a_cover_is_given(add: Send, drain: Callable[[], int]) -> None:
    add(new_files=upload(pdf()), cover_image=upload(png(), "c.png"))
    assert drain() == 1  # what may be seen of it
    assert len(storages["covers"].listdir("")[1]) == 2


def test_drawing_becomes_pixels(add: Send) -> None:
    add(status="draft", cover_image=upload(SVG, "cover.svg"))
    product = Product.objects.get()
    assert (cover(product, 320).format, cover(product, 320).size) == ("WEBP", (320, 427))
    assert len(storages["covers"].listdir("")[1]) == 2


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_what_is_not_on_sale_is_saved_at_any_price_and_not_published(
    client: Client, add: Send, change: Send, status: str
) -> None:
    least = "Stripe charges at least $0.50. Ask for that or more, or 0 for free."
    assert add(status=status, price="0.10", new_files=upload(pdf())).status_code == 302
    product = Product.objects.get()
    assert product.price == 10
    page = client.get(f"{PRODUCTS}{product.pk}/change/").content.decode()
    assert least in html.unescape(page)
    assert errors(change(product, status="published", price="0.10")) == {"price": [least]}
    assert change(product, status="published", price="0.50").status_code == 302
    assert errors(change(product, status="published", price="0.10")) == {"price": [least]}


# What is wrong is said, and what was typed stays


TOO_LONG = "Ensure this value has at most 20000 characters (it has 20001)."


@pytest.mark.parametrize(
    "typed, wrong",
    [
        ({"name": "ab"}, {"name": ["Ensure this value has at least 3 characters (it has 2)."]}),
        ({"name": ""}, {"name": ["This field is required."]}),
        ({"name": " a  \n "}, {"name": ["Ensure this value has at least 3 characters (it has 1)."]}),
        ({"name": "x" * 121}, {"name": ["Ensure this value has at most 120 characters (it has 121)."]}),
        ({"name": "OLD book"}, {"name": ["A product with this name exists already."]}),
        ({"name": "old\u2028 \r\n book"}, {"name": ["A product with this name exists already."]}),
        ({"name": "Null\x00byte"}, {"name": ["Null characters are not allowed."]}),
        ({"slug": "OLD-book"}, {"__all__": ["Another product has this name in its address already."]}),
        ({"slug": "a/b"}, {"slug": ["Enter a valid “slug” consisting of letters, numbers, underscores or hyphens."]}),
        ({"price": "1.005"}, {"price": ["USD prices have at most 2 decimals."]}),
        ({"price": "1e9"}, {"price": ["Write the price as a plain number, such as 12.50, or 0 for free."]}),
        ({"price": "-1"}, {"price": ["Write the price as a plain number, such as 12.50, or 0 for free."]}),
        ({"price": "1000000"}, {"price": ["Stripe charges at most $999,999.99."]}),
        ({"price": ""}, {"price": ["This field is required."]}),
        ({"price": "1.50", "currency": "jpy"}, {"price": ["JPY prices have at most 0 decimals."]}),
        ({"currency": "xxx"}, {"currency": ["Select a valid choice. xxx is not one of the available choices."]}),
        ({"status": "published"}, {"status": ["Nothing can be delivered yet: add a file before you publish."]}),
        ({"status": "sold"}, {"status": ["Select a valid choice. sold is not one of the available choices."]}),
        (
            {"description": "x" * 20_001},
            {"description": ["Ensure this value has at most 20000 characters (it has 20001)."]},
        ),
    ],
)
def test_mistake_is_named_and_what_was_typed_stays(add: Send, typed: dict[str, str], wrong: dict[str, Any]) -> None:
    ProductFactory(name="Old Book", slug="old-book")
    answer = add(**{"status": "draft", **typed})
    assert errors(answer) == wrong
    form = answer.context["adminform"].form
    for name, value in {**TYPED, "status": "draft", **typed}.items():
        assert form[name].value() == value
    assert 'value="12.50"' in str(form["price"]) or "price" in typed
    assert Product.objects.count() == 1
    assert File.objects.count() == 1


@pytest.mark.parametrize(
    "content, name, wrong",
    [
        (b"\x89PNG not really", "book.pdf", "book.pdf: It cannot be told what kind of file this is"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "book.pdf", "book.pdf: This is an SVG drawing."),
        (b"MZ\x90", "book.pdf", "book.pdf: This is a Windows program."),
        (b"<html>", "book.pdf.html", "book.pdf.html: This is a web page (HTML)."),
        (b"PK\x03\x04%PDF-1.7", "book.pdf", "book.pdf: This ZIP archive is cut off or damaged."),
        (b"", "book.pdf", "The submitted file is empty."),
    ],
)
def test_file_that_is_no_book_is_refused(add: Send, content: bytes, name: str, wrong: str) -> None:
    found = errors(add(new_files=upload(content, name)))
    assert list(found) == ["new_files"]
    assert found["new_files"][0].startswith(wrong)
    assert not Product.objects.exists()


def test_s49_pdf_with_a_password_is_refused(add: Send) -> None:
    found = errors(add(new_files=upload(pdf(password="secret"))))
    assert list(found) == ["new_files"]
    assert "password" in found["new_files"][0]


def test_each_of_several_bad_files_is_named(add: Send) -> None:
    found = errors(add(new_files=[upload(b"MZ", "a.pdf"), upload(b"Good.\n", "b.txt"), upload(b"MZ", "c.pdf")]))
    assert [message[:6] for message in found["new_files"]] == ["a.pdf:", "c.pdf:"]
    assert not File.objects.exists()
    assert not storages["default"].exists("") or storages["default"].listdir("") == ([], [])


@pytest.mark.parametrize(
    "content, name, wrong",
    [
        (SVG.replace(b"<rect", b"<script>alert(1)</script><rect"), "c.svg", "This SVG contains scripts"),
        (SVG.replace(b"<rect", b"<g onload='x()'/><rect"), "c.svg", "This SVG contains scripts"),
        (b"<!DOCTYPE svg [<!ENTITY a 'b'>]>" + SVG, "c.svg", "This SVG has a DOCTYPE"),
        (b"not an image", "c.png", "This is not an image"),
        (png((10, 10)), "c.png", "This image is too small"),
        (png()[:200], "c.png", "This image is damaged"),
    ],
)
def test_cover_that_cannot_be_shown_is_refused(add: Send, content: bytes, name: str, wrong: str) -> None:
    found = errors(add(status="draft", cover_image=upload(content, name)))
    assert list(found) == ["cover_image"]
    assert found["cover_image"][0].startswith(wrong)
    assert not Product.objects.exists()


def test_file_over_the_limit_is_refused(add: Send, settings: Settings) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    found = errors(add(new_files=upload(b"x" * 200_000, "book.txt")))
    assert found == {"new_files": ["book.txt is too large: a file may have up to 1000\xa0bytes."]}


def test_s61_odd_values_are_mistakes_and_not_errors(add: Send) -> None:
    for value in ("\x00", "x" * 100_000, "-1", "😀", "{{ 7|add:7 }}"):
        for field in TYPED:
            assert add(**{"status": "draft", field: value}).status_code in (200, 302), (field, value)
            Product.objects.all().delete()


# A product that is there


def test_saving_without_files_changes_no_file_and_no_cover(client: Client, change: Send) -> None:
    product = ProductFactory(price=1250)
    Product.objects.update(cover="abc", cover_height=853)
    before = list(File.objects.values())
    assert change(product, name="Another name").status_code == 302
    product.refresh_from_db()
    assert (product.name, product.cover) == ("Another name", "abc")
    assert list(File.objects.values()) == before


def test_files_join_the_newest_edition(change: Send) -> None:
    product = ProductFactory()
    change(product, new_files=upload(b"More.\n", "more.txt"))
    assert list(File.objects.values_list("edition__number", "position", "name")) == [
        (1, 1, f"{product.name}.pdf"),
        (1, 2, "more.txt"),
    ]


def test_files_may_be_a_new_edition(client: Client, change: Send) -> None:
    product = ProductFactory()
    change(product, new_files=upload(b"Two.\n", "two.txt"), as_new_edition="on", edition_notes="Now better.")
    second = Edition.objects.get(number=2)
    assert (second.notes, second.files.get().name) == ("Now better.", "two.txt")
    assert product.edition_on_sale() == second
    page = client.get(f"{PRODUCTS}{product.pk}/change/").content.decode()
    assert re.findall(r"<li>(Edition \d): <a [^>]+>([^<]+)", page) == [
        ("Edition 2", "two.txt"),
        ("Edition 1", f"{product.name}.pdf"),
    ]


def test_what_is_said_of_a_new_edition_is_not_lost_when_its_files_are_missing(change: Send) -> None:
    product = ProductFactory()
    found = errors(change(product, as_new_edition="on", edition_notes="Now better."))
    assert found == {"as_new_edition": ["Choose the files of the new edition above, or take this tick away."]}
    found = errors(change(product, edition_notes="Now better."))
    assert found == {"edition_notes": ["This tells of a new edition: choose its files above, and tick the box."]}
    assert product.editions.count() == 1


def test_file_for_an_unpublished_edition_publishes_nothing(change: Send) -> None:
    product = ProductFactory(content=None, status=Product.Status.DRAFT)
    FileFactory(edition=EditionFactory(product=product, published_at=None))
    found = errors(change(product, status="published", new_files=upload(b"More.\n", "more.txt")))
    assert found == {"status": ["Nothing can be delivered yet: add a file before you publish."]}
    answer = change(product, status="published", new_files=upload(b"New.\n", "new.txt"), as_new_edition="on")
    assert answer.status_code == 302


def test_new_cover_replaces_the_old_one(change: Send) -> None:
    product = ProductFactory()
    Product.objects.update(cover="abc", cover_failed=True)
    change(product, cover_image=upload(png((800, 800)), "c.png"))
    product.refresh_from_db()
    assert len(product.cover) == 32
    assert (product.cover_height, product.cover_failed) == (640, False)


def test_draft_becomes_published_and_keeps_its_date_when_it_is_withdrawn(change: Send) -> None:
    product = ProductFactory(status=Product.Status.DRAFT)
    change(product, status="published")
    product.refresh_from_db()
    published_at = product.published_at
    assert published_at
    change(product, status="archived")
    product.refresh_from_db()
    assert (product.status, product.published_at) == (Product.Status.ARCHIVED, published_at)


# Lists


@pytest.mark.parametrize("count", [2, 30])
@pytest.mark.parametrize("path, queries", [(PRODUCTS, 8), (EDITIONS, 5), (FILES, 5)])
def test_list_asks_the_database_the_same_for_few_and_many(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, path: str, queries: int, count: int
) -> None:
    ProductFactory.create_batch(count)
    with django_assert_num_queries(queries):
        assert client.get(path).status_code == 200


def test_list_counts_what_was_paid_for(client: Client) -> None:
    product = ProductFactory()
    for state in (Order.State.PAID, Order.State.PAID, Order.State.OPEN, Order.State.EXPIRED):
        OrderFactory(product=product, state=state)
    [shown] = client.get(PRODUCTS).context["cl"].result_list
    assert shown.times_sold == 2


@pytest.mark.parametrize(
    "query", ["q=evening", "q=%00", "status__exact=draft", "p=99", "p=x", "o=4.-5", "categories__id__exact=x"]
)
def test_lists_can_be_searched_and_sorted(client: Client, query: str) -> None:
    ProductFactory(name="Quiet Evenings")
    for path in (PRODUCTS, EDITIONS, FILES):
        assert client.get(f"{path}?{query}").status_code in (200, 302), path


def test_s58_names_are_escaped(client: Client) -> None:
    evil = "<script>alert(1)</script>"
    product = ProductFactory(name=evil, summary=evil)
    file = FileFactory(edition=product.editions.get(), name=evil)
    for path in (PRODUCTS, EDITIONS, FILES, f"{PRODUCTS}{product.pk}/change/", f"{FILES}{file.pk}/change/"):
        assert b"<script>alert" not in client.get(path).content, path


# Files and editions


def edit(client: Client, file: File, **typed: Any) -> Any:
    return client.post(f"{FILES}{file.pk}/change/", {"name": file.name, "position": file.position, **typed})


@pytest.mark.parametrize(
    "typed, kept",
    [
        ("Better name.pdf", "Better name.pdf"),
        ("No extension", "No extension.pdf"),
        ("book.pdf.exe", "book-pdf.pdf"),
        ("../../etc/passwd", "passwd.pdf"),
        ("a\r\nSet-Cookie: x", "a Set-Cookie- x.pdf"),
        ("a\u202efdp.exe", "afdp.pdf"),
        ('a"b', "a-b.pdf"),
    ],
)
def test_s46_s56_name_of_a_download_stays_safe_and_keeps_its_type(client: Client, typed: str, kept: str) -> None:
    file = File.objects.get(edition__product=ProductFactory())
    assert edit(client, file, name=typed).status_code == 302
    file.refresh_from_db()
    assert file.name == kept


def test_s54_bytes_of_a_file_cannot_be_changed(client: Client) -> None:
    file = File.objects.get(edition__product=ProductFactory())
    before = File.objects.values().get()
    edit(client, file, key="x", size="1", sha256="0" * 64, media_type="text/html", edition="7")
    assert File.objects.values().get() == before


def sold_archived() -> Product:
    product: Product = ProductFactory()
    OrderFactory(product=product)
    Product.objects.update(status=Product.Status.ARCHIVED)
    return product


def delete(client: Client, row: File | Edition | Product) -> Any:
    path = f"/admin/catalog/{row._meta.model_name}/{row.pk}/delete/"
    return client.post(path, {"post": "yes"})


@pytest.mark.parametrize(
    "make, words",
    [
        (sold_archived, "It was sold, so it stays for those who bought it."),
        (ProductFactory, "It is on sale. Set the product to draft or archived first."),
    ],
)
def test_f56_what_was_sold_or_is_on_sale_is_not_deleted_and_says_why(
    client: Client, make: Callable[[], Product], words: str
) -> None:
    edition = make().editions.get()
    file = edition.files.get()
    for row in (file, edition):
        assert delete(client, row).status_code == 403
        change = f"/admin/catalog/{row._meta.model_name}/{row.pk}/change/"
        page = client.get(change).content.decode()
        assert words in page
        assert "deletelink" not in page
        client.post(
            f"/admin/catalog/{row._meta.model_name}/",
            {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
        )
    assert (File.objects.get(), Edition.objects.get()) == (file, edition)


def test_file_of_a_draft_is_deleted(client: Client) -> None:
    file = File.objects.get(edition__product=ProductFactory(status=Product.Status.DRAFT))
    assert "It can be deleted." in client.get(f"{FILES}{file.pk}/change/").content.decode()
    assert delete(client, file).status_code == 302
    assert not File.objects.exists()


def test_f56_product_that_was_sold_is_not_deleted(client: Client) -> None:
    product = sold_archived()
    assert delete(client, product).status_code in (200, 403)
    assert Product.objects.get() == product


def test_draft_is_deleted_with_its_files(client: Client) -> None:
    assert delete(client, ProductFactory(status=Product.Status.DRAFT)).status_code == 302
    assert not File.objects.exists()


def test_only_edition_of_a_product_on_sale_stays_published(client: Client) -> None:
    product = ProductFactory()
    edition = product.editions.get()
    path, unpublished = f"{EDITIONS}{edition.pk}/change/", {"notes": "", "published_at_0": "", "published_at_1": ""}
    found = errors(client.post(path, unpublished))
    assert found == {"published_at": ["Buyers get nothing but this edition. Take the product off sale first."]}
    FileFactory(edition=EditionFactory(product=product, number=2))
    assert client.post(path, unpublished).status_code == 302
    edition.refresh_from_db()
    assert edition.published_at is None


@pytest.mark.parametrize("path", [f"{EDITIONS}add/", f"{FILES}add/"])
def test_editions_and_files_begin_on_the_products_page(client: Client, path: str) -> None:
    assert client.get(path).status_code == 403


# Who may


def staff(*permissions: str) -> Client:
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.fixture
def pages() -> list[str]:
    product = ProductFactory()
    edition = product.editions.get()
    file, category = edition.files.get(), CategoryFactory()
    rows: list[Product | Edition | File | Category] = [product, edition, file, category]
    found = []
    for row in rows:
        model = f"/admin/catalog/{row._meta.model_name}/"
        found += [model, f"{model}add/", *(f"{model}{row.pk}/{page}/" for page in ("change", "delete", "history"))]
    return found


def test_s60_strangers_are_sent_to_sign_in(pages: list[str]) -> None:
    for path in pages:
        answer = Client().get(path)
        assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={path}")
        assert Client().post(path, TYPED).status_code == 302
    assert Product.objects.count() == 1


def test_s60_customers_are_turned_away(pages: list[str]) -> None:
    browser = Client()
    browser.force_login(UserFactory())
    for path in pages:
        assert browser.get(path, follow=True).status_code == 403, path
        assert browser.post(path, TYPED, follow=True).status_code == 403, path
    assert Product.objects.count() == 1


def test_s60_staff_without_permission_are_turned_away(pages: list[str]) -> None:
    browser = staff()
    for path in pages:
        assert browser.get(path).status_code == 403, path
        assert browser.post(path, TYPED).status_code == 403, path


def test_s60_staff_who_may_only_look_change_nothing(pages: list[str]) -> None:
    browser = staff("view_product", "view_edition", "view_file", "view_category")
    product = Product.objects.get()
    for path in pages:
        look = not path.endswith(("add/", "delete/"))
        assert browser.get(path).status_code == (200 if look else 403), path
    assert "$12.50" in browser.get(f"{PRODUCTS}{product.pk}/change/").content.decode()
    answer = browser.post(f"{PRODUCTS}{product.pk}/change/", {**TYPED, "new_files": upload(b"x\n", "x.txt")})
    assert answer.status_code == 403
    assert Product.objects.values().get()["name"] == product.name
    assert File.objects.count() == 1


def test_s38_forms_of_strangers_are_refused(owner: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    assert strict.post(f"{PRODUCTS}add/", TYPED).status_code == 403


def test_s60_what_staff_did_is_on_record(client: Client, add: Send, owner: User) -> None:
    add(status="draft")
    page = client.get(f"{PRODUCTS}{Product.objects.get().pk}/history/").content.decode()
    assert "owner@example.com" in page
    assert "Added." in page
