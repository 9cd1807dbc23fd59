"""A product's preview and its copy in the admin: what they show, who may, and nothing by looking."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import ADDITION, LogEntry
from django.test import Client

from catalog import samples
from catalog.models import Product
from tests.catalog.samples import pdf
from tests.factories import CategoryFactory, EditionFactory, FileFactory, ProductFactory
from tests.steps import body_of

pytestmark = pytest.mark.django_db


def preview_of(product: Product) -> str:
    return f"/admin/catalog/product/{product.pk}/preview/"


def copy_of(product: Product) -> str:
    return f"/admin/catalog/product/{product.pk}/duplicate/"


def text_of(answer: Any) -> str:
    """The page without what differs from one answer to the next."""
    return re.sub(r'value="\w{64}"', "", " ".join(answer.content.decode().split()))


def dump() -> str:
    models: list[Any] = [
        *(model for app in ("catalog", "orders", "fulfillment") for model in apps.get_app_config(app).get_models()),
        LogEntry,
    ]
    return str([list(model.objects.order_by("pk").values()) for model in models])


# Preview


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_preview_shows_what_is_not_published(desk: Client, status: str) -> None:
    product = ProductFactory(name="Knots", status=status, description="Ten *knots*.", price=1250)
    assert Client().get(product.get_absolute_url()).status_code == 404
    answer = desk.get(preview_of(product))
    page = text_of(answer)
    assert "Preview: not published." in page
    assert "<em>knots</em>" in page
    assert "Buy for $12.50" in page
    assert (answer["X-Robots-Tag"], answer["Cache-Control"]) == (
        "noindex",
        "max-age=0, no-cache, no-store, must-revalidate, private",
    )
    assert '<meta name="robots" content="noindex">' in page
    assert answer["Content-Security-Policy"] == desk.get("/")["Content-Security-Policy"]


def test_nothing_can_be_bought_or_found_by_the_preview(desk: Client) -> None:
    for price in (1250, 0):
        product = ProductFactory(status="draft", price=price)
        FileFactory(edition=product.editions.get(), name="more.pdf")
        page = text_of(desk.get(preview_of(product)))
        assert "In the preview this button does nothing." in page
        assert re.findall(r'<form [^>]*action="([^"]*)"', page) == ["/language/"]
        assert "/downloads/" not in page
        for part in ("ld+json", "canonical", 'rel="alternate"', "og:title", "product:price"):
            assert part not in page, part
        assert desk.post(preview_of(product)).status_code == 405
        assert desk.post(f"{product.get_absolute_url()}buy/").status_code == 404


def test_preview_is_the_page_that_a_stranger_sees(desk: Client) -> None:
    """Word for word, but for the banner, the button and what search engines are told."""
    product = ProductFactory(name="Knots", summary="Ten.", description="Ten *knots*.", price=1250)
    product.categories.add(CategoryFactory())
    public, shown = (
        text_of(answer) for answer in (Client().get(product.get_absolute_url()), desk.get(preview_of(product)))
    )

    def main(page: str) -> str:
        page = page[page.index("<main") : page.index("</main>")]
        page = re.sub(r'<p class="notice warning">.*?</p>', "", page)
        return re.sub(r'<form method="post" action="/products/.*?</form>|<p class="button.*?</p> <p.*?</p>', "", page)

    assert " ".join(main(shown).split()) == " ".join(main(public).split())
    assert "Preview: published." in shown


def test_preview_shows_the_owner_of_a_book_what_strangers_see(desk: Client, paid: Callable[..., Any]) -> None:
    order = paid(client=desk)
    product = order.lines.get().product
    assert "In your library" in text_of(desk.get(product.get_absolute_url()))
    page = text_of(desk.get(preview_of(product)))
    assert "In your library" not in page
    assert "Sign in" in page


def test_preview_shows_the_pages_of_a_draft_to_look_inside(desk: Client) -> None:
    product = ProductFactory(status="draft", content=pdf(pages=9))
    samples.want(product)
    sample = product.samples.get()
    assert samples.make(sample.pk)
    page = text_of(desk.get(preview_of(product)))
    pictures = set(re.findall(r"/samples/\S+-480\.webp", page))
    assert len(pictures) == sample.pages.count() > 0
    for picture in pictures:
        assert body_of(desk.get(picture))[8:12] == b"WEBP"


def test_preview_without_files_says_what_shoppers_would_read(desk: Client) -> None:
    product = ProductFactory(status="draft", content=None)
    assert "This is not available at the moment." in text_of(desk.get(preview_of(product)))
    FileFactory(edition=EditionFactory(product=product, published_at=None))
    assert "This is not available at the moment." in text_of(desk.get(preview_of(product)))


def test_pages_lead_to_the_preview_and_to_shoppers_page_once_it_is_there(desk: Client) -> None:
    product = ProductFactory(status="draft")
    change = f"/admin/catalog/product/{product.pk}/change/"
    assert preview_of(product) in text_of(desk.get(change))
    assert copy_of(product) in text_of(desk.get(change))
    assert "View on site" not in text_of(desk.get(change))
    assert preview_of(product) in text_of(desk.get("/admin/catalog/product/"))
    Product.objects.update(status="published", published_at="2026-01-01T00:00Z")
    assert f'href="{product.get_absolute_url()}"' in text_of(desk.get(change))


def test_product_s_page_says_whether_it_is_ready(desk: Client) -> None:
    product = ProductFactory(status="draft", content=None)
    change = f"/admin/catalog/product/{product.pk}/change/"
    page = text_of(desk.get(change))
    assert "It cannot be published yet." in page
    assert "add a file before you publish" in page
    FileFactory(edition=EditionFactory(product=product))
    assert "It can be published. You could make it better:" in text_of(desk.get(change))


# Duplicate


def test_copy_is_made_and_opened(desk: Client) -> None:
    product = ProductFactory(name="Knots", slug="knots")
    page = text_of(desk.get(copy_of(product)))
    assert "<strong>Copy of Knots</strong>" in page
    assert Product.objects.count() == 1
    answer = desk.post(copy_of(product), {"name": "Copy of Knots"})
    made = Product.objects.get(slug="knots-copy")
    assert (answer.status_code, answer["Location"]) == (303, f"/admin/catalog/product/{made.pk}/change/")
    assert "This is the copy, a draft." in text_of(desk.get(answer["Location"]))
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.object_id) == (ADDITION, str(made.pk))
    assert entry.change_message == f"Copy of product {product.pk}, Knots"


def test_second_click_leads_to_the_same_copy(desk: Client) -> None:
    product = ProductFactory()
    first, second = (desk.post(copy_of(product), {"name": f"Copy of {product.name}"}) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert "The copy was made already" in text_of(desk.get(second["Location"]))
    assert (Product.objects.count(), LogEntry.objects.count()) == (2, 1)


# Who may


def test_s60_preview_is_for_who_may_see_products_and_a_copy_for_who_may_add_them(staff: Callable[..., Client]) -> None:
    product = ProductFactory(status="draft")
    before = dump()
    for browser, seen, copied in (
        (staff(), 403, 403),
        (staff("add_product"), 403, 403),
        (staff("view_product"), 200, 403),
        (staff("change_product"), 200, 403),
        (staff("view_product", "add_product"), 200, 200),
    ):
        assert browser.get(preview_of(product)).status_code == seen
        assert browser.get(copy_of(product)).status_code == copied
        if copied == 403:
            assert browser.post(copy_of(product)).status_code == 403
    assert dump() == before
    assert copy_of(product) not in text_of(staff("change_product").get(f"/admin/catalog/product/{product.pk}/change/"))
    assert staff("view_product", "add_product").post(copy_of(product)).status_code == 303


def test_s19_strangers_are_sent_to_sign_in(owner: Any) -> None:
    product = ProductFactory(status="draft")
    for path in (preview_of(product), copy_of(product)):
        for answer in (Client().get(path), Client().post(path)):
            assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={path}")
    assert Product.objects.count() == 1


def test_s38_no_copy_without_the_token_and_none_by_looking(owner: Any) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner)
    product = ProductFactory(status="draft")
    before = dump()
    assert strict.post(copy_of(product)).status_code == 403
    for path in (preview_of(product), copy_of(product), f"/admin/catalog/product/{product.pk}/change/"):
        assert strict.get(path).status_code == 200
        assert strict.head(path).status_code == 200
    assert dump() == before


def test_product_that_is_not_there_is_404(desk: Client) -> None:
    for pk in (1, 2**70):
        for page in ("preview", "duplicate"):
            assert desk.get(f"/admin/catalog/product/{pk}/{page}/").status_code == 404
        assert desk.post(f"/admin/catalog/product/{pk}/duplicate/").status_code == 404


def test_preview_needs_as_many_queries_for_many_files_as_for_one(desk: Client, django_assert_num_queries: Any) -> None:
    product = ProductFactory(status="draft")
    desk.get(preview_of(product))
    with django_assert_num_queries(8):
        desk.get(preview_of(product))
    for number in range(9):
        FileFactory(edition=product.editions.get(), name=f"{number}.pdf")
        product.categories.add(CategoryFactory())
    with django_assert_num_queries(8):
        desk.get(preview_of(product))
