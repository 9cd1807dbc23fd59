from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from catalog.demo_books import books
from catalog.models import Edition, File, Product
from tests.factories import ProductFactory

pytestmark = pytest.mark.django_db


def load(*args: str) -> str:
    out = StringIO()
    call_command("load_demo", *args, stdout=out)
    return out.getvalue()


def test_demo_fills_the_shop_once(settings: Settings, client: Client, tmp_path: Path) -> None:
    settings.DEBUG = True
    assert load() == "12 demo books added, 12 products in the shop\n"
    assert load() == "0 demo books added, 12 products in the shop\n"
    assert User.objects.get(email="admin@example.com").is_superuser
    shown = client.get("/").content.decode()
    places = [shown.index(f"/products/{book.slug}/") for book in books()]
    assert places == sorted(places)
    assert Product.objects.filter(price=0).count() == 1
    for book in books():
        path = tmp_path / book.slug
        book.write_pdf(path)
        files = File.objects.filter(edition__product__slug=book.slug, media_type="application/pdf")
        assert files.order_by("-edition__number")[0].size == path.stat().st_size
    sounds = File.objects.filter(edition__product__slug="five-slow-soundscapes", media_type="audio/wav")
    assert sounds.count() == 5
    second, first = Edition.objects.filter(product__slug="small-python-habits")
    assert (second.number, first.number, first.notes) == (2, 1, "")
    assert second.notes.startswith("Four new habits")
    assert first.published_at
    assert second.published_at
    assert (second.published_at - first.published_at).days == 182


def test_book_of_an_older_release_gets_the_editions_that_came_since(settings: Settings) -> None:
    settings.DEBUG = True
    load()
    book = Product.objects.get(slug="small-python-habits")
    newest = book.editions.get(number=2)
    notes, files = newest.notes, list(newest.files.values_list("name", "size"))
    newest.delete()
    assert load() == "0 demo books added, 12 products in the shop\n"
    again = book.editions.get(number=2)
    assert (again.notes, list(again.files.values_list("name", "size"))) == (notes, files)
    assert load() == "0 demo books added, 12 products in the shop\n"
    assert book.editions.count() == 2


def test_book_of_somebody_s_own_under_the_address_of_a_demo_book_is_left_alone(settings: Settings) -> None:
    settings.DEBUG = True
    own = ProductFactory(name="My habits", slug="small-python-habits")
    load()
    assert own.editions.count() == 1


@pytest.mark.parametrize("arguments", [[], ["--reset"]])
def test_demo_is_refused_when_debug_is_off(arguments: list[str]) -> None:
    """A12"""
    with pytest.raises(CommandError, match="DEBUG is off, so nothing was touched"):
        load(*arguments)
    assert User.objects.count() == 0
