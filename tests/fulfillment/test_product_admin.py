"""The admin tells owners of a new edition: by a tick, with the number of those who hear of it in sight."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from accounts.models import User
from catalog.models import Product
from fulfillment.models import Entitlement
from fulfillment.news_models import Announcement
from orders.models import Order
from tests.factories import EditionFactory, FileFactory, OrderFactory, ProductFactory, UserFactory
from tests.steps import stamp_of

pytestmark = pytest.mark.django_db

TEXT = b"One plain text."


@pytest.fixture
def owner(client: Client) -> User:
    user: User = UserFactory(is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def book() -> Product:
    product: Product = ProductFactory(name="The Quiet Sky", price=1250)
    order = OrderFactory(product=product, state=Order.State.PAID, email="guest@example.com")
    Entitlement.objects.create(order_line=order.lines.get(), product=product, email="guest@example.com")
    return product


def save(client: Client, product: Product, **fields: Any) -> str:
    form = {
        "name": product.name, "slug": product.slug, "summary": "", "description": "", "price": "12.50",
        "currency": "usd", "status": "published", "stripe_prices-TOTAL_FORMS": "0",
        "stripe_prices-INITIAL_FORMS": "0", **stamp_of(client, product), **fields,
    }  # fmt: skip
    if form.pop("upload", True):
        form["new_files"] = SimpleUploadedFile("second.txt", TEXT)
    answer = client.post(f"/admin/catalog/product/{product.pk}/change/", form, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_new_edition_with_notes_and_the_tick_is_announced(client: Client, owner: User, book: Product) -> None:
    page = client.get(f"/admin/catalog/product/{book.pk}/change/").content.decode()
    assert 'name="tell_owners"' in page
    assert "1 purchase" in page
    page = save(client, book, as_new_edition="on", edition_notes="Maps.", tell_owners="on")
    assert "The owners of earlier editions are told by mail." in page
    found = Announcement.objects.get()
    assert (found.edition.number, found.asked_by) == (2, owner)


@pytest.mark.parametrize("notes", ["Maps.", " "])
def test_nothing_is_said_of_owners_where_there_are_none(client: Client, owner: User, notes: str) -> None:
    product = ProductFactory(price=1250)
    page = client.get(f"/admin/catalog/product/{product.pk}/change/").content.decode()
    assert "Nobody owns it yet." in page
    assert "0 purchases" not in page
    page = save(client, product, as_new_edition="on", edition_notes=notes, tell_owners="on")
    assert product.editions.count() == 2
    assert "The owners" not in page
    page = client.get(f"/admin/catalog/edition/{product.editions.get(number=2).pk}/change/").content.decode()
    assert ("asked for on" if notes.strip() else "Nobody owns an earlier edition.") in page


@pytest.mark.parametrize(
    "fields",
    [
        {"as_new_edition": "on", "edition_notes": "Maps."},
        {"as_new_edition": "on", "edition_notes": " ", "tell_owners": "on"},
        {"edition_notes": "Maps.", "tell_owners": "on"},
        {"as_new_edition": "on", "edition_notes": "Maps.", "tell_owners": "on", "upload": False},
    ],
    ids=["no tick", "no notes", "no new edition", "no files"],
)
def test_nothing_is_announced_without(client: Client, owner: User, book: Product, fields: dict[str, Any]) -> None:
    save(client, book, **fields)
    assert not Announcement.objects.exists()


def test_edition_page_tells_later_and_once(client: Client, owner: User, book: Product) -> None:
    edition = EditionFactory(product=book, number=2)
    FileFactory(edition=edition)
    path = f"/admin/catalog/edition/{edition.pk}/change/"
    page = client.get(path).content.decode()
    assert 'name="tell_owners"' in page
    assert "1 purchase" in page
    form = {"notes": "", "published_at_0": "2026-01-01", "published_at_1": "12:00:00", "tell_owners": "on"}
    assert "Write what changed" in client.post(path, form).content.decode()
    assert not Announcement.objects.exists()
    assert client.post(path, {**form, "notes": "Maps."}).status_code == 302
    assert Announcement.objects.get().edition == edition
    page = client.get(path).content.decode()
    assert 'name="tell_owners"' not in page
    assert "asked for on" in page


def test_first_edition_has_nobody_to_tell(client: Client, owner: User, book: Product) -> None:
    edition = book.editions.get()
    assert b"tell_owners" not in client.get(f"/admin/catalog/edition/{edition.pk}/change/").content


def test_who_may_only_look_tells_nobody(client: Client, book: Product) -> None:
    user = UserFactory(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_product", "view_edition"]))
    client.force_login(user)
    edition = EditionFactory(product=book, number=2, notes="Maps.")
    for path in (f"/admin/catalog/product/{book.pk}/change/", f"/admin/catalog/edition/{edition.pk}/change/"):
        assert b"tell_owners" not in client.get(path).content
        assert client.post(path, {"tell_owners": "on", "notes": "x"}).status_code == 403
    assert not Announcement.objects.exists()
