"""What is never deleted, and what goes along with a product that nobody bought."""

import html
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from catalog.models import Edition, File, Product
from catalog.payment_link_models import PaymentLink
from tests.catalog.test_admin import PRODUCTS
from tests.factories import EditionFactory, FileFactory, OrderFactory, ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

SOLD = "Sold products stay for their buyers. To take it out of the shop, set it to archived."
LINKS = "It has Payment Links, and somebody may still pay by one."


@pytest.fixture(autouse=True)
def editor(client: Client) -> None:
    """May delete products, and neither editions nor files."""
    person = UserFactory(is_staff=True)
    may = ("view_product", "change_product", "delete_product")
    person.user_permissions.set(Permission.objects.filter(codename__in=may))
    client.force_login(person)


@pytest.fixture
def sold() -> Product:
    product: Product = ProductFactory(name="Sold")
    OrderFactory(product=product)
    return product


@pytest.fixture
def linked() -> Product:
    product: Product = ProductFactory(name="Linked", status="draft")
    PaymentLink.objects.create(product=product, price=900, currency="usd")
    return product


def page(client: Client, product: Product) -> str:
    return html.unescape(client.get(f"{PRODUCTS}{product.pk}/change/").content.decode())


def delete_many(client: Client, *products: Product, **typed: str) -> Any:
    chosen = {"action": "delete_selected", "_selected_action": [product.pk for product in products]}
    return client.post(PRODUCTS, {**chosen, **typed}, follow=True)


def test_f56_what_was_sold_has_no_button_and_says_what_to_do_instead(
    client: Client, sold: Product, linked: Product
) -> None:
    for product, why in ((sold, SOLD), (linked, LINKS)):
        shown = page(client, product)
        assert why in shown
        assert "deletelink" not in shown
        assert client.post(f"{PRODUCTS}{product.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Product.objects.count() == 2


@pytest.mark.parametrize("status", ["draft", "published", "archived"])
def test_what_was_never_sold_is_deleted_with_its_editions_and_files(client: Client, status: str) -> None:
    product = ProductFactory(name="Knots", status=status)
    FileFactory(edition=EditionFactory(product=product, number=2), name="two.pdf")
    shown = page(client, product)
    assert "It can be deleted, with its editions and files." in shown
    assert f"{PRODUCTS}{product.pk}/delete/" in shown
    asked = client.get(f"{PRODUCTS}{product.pk}/delete/")
    text = " ".join(asked.content.decode().split())
    for part in ("<li>Knots", "<li>Edition 1", "<li>Edition 2", "<li>two.pdf", "Editions: 2", "Files: 2"):
        assert part in text
    assert client.post(f"{PRODUCTS}{product.pk}/delete/", {"post": "yes"}).status_code == 302
    assert [model.objects.count() for model in (Product, Edition, File)] == [0, 0, 0]


def test_deletion_is_the_last_act_of_the_list(client: Client) -> None:
    ProductFactory()
    acts = client.get(PRODUCTS).context["action_form"].fields["action"].choices
    assert acts[-1] == ("delete_selected", "Delete selected products")
    assert [act for act, _ in acts].count("delete_selected") == 1
    assert acts[1][0] == "publish_selected"


def test_of_many_all_are_deleted_or_none_with_a_plain_reason(client: Client, sold: Product, linked: Product) -> None:
    free = ProductFactory(name="Free to go", status="draft")
    text = html.unescape(delete_many(client, free, sold, linked, post="yes").content.decode())
    assert "Nothing was deleted. These were sold or have Payment Links, so they stay; set them to archived: " in text
    assert "Linked, Sold" in text
    assert Product.objects.count() == 3
    assert "Free to go" in delete_many(client, free).content.decode()
    assert Product.objects.count() == 3
    delete_many(client, free, post="yes")
    assert set(Product.objects.all()) == {sold, linked}


def test_s60_list_offers_no_deletion_to_who_may_not(client: Client) -> None:
    person = UserFactory(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=("view_product", "change_product")))
    client.force_login(person)
    product = ProductFactory(status="draft")
    assert "delete_selected" not in client.get(PRODUCTS).content.decode()
    delete_many(client, product, post="yes")
    assert client.post(f"{PRODUCTS}{product.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Product.objects.get() == product
