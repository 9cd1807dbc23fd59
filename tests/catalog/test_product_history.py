"""What a product's history says of a saved form: what was changed, from what to what, in words."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from catalog.models import Product
from catalog.stripe_price_models import StripePrice
from tests.catalog.samples import png, upload
from tests.catalog.test_stale import opened, path_of
from tests.factories import CategoryFactory, FileFactory, ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

Save = Callable[..., str]


@pytest.fixture
def product() -> Product:
    made: Product = ProductFactory(name="Knots", slug="knots", price=1250)
    return made


@pytest.fixture
def save(client: Client, product: Product) -> Save:
    """Save the product's form with these fields changed; what its history then says."""
    client.force_login(UserFactory(is_staff=True, is_superuser=True))

    def send(**typed: Any) -> str:
        assert client.post(path_of(product), {**opened(client, product), **typed}).status_code == 302
        return LogEntry.objects.latest("pk").get_change_message()

    return send


def test_price_is_told_as_a_change_of_many_tells_it(save: Save, product: Product) -> None:
    assert save(price="15") == "$12.50 → $15.00"
    assert save(currency="eur") == "$15.00 → €15.00"
    assert save(price="0", status="draft") == "€15.00 → €0.00; published → draft"
    assert save(price="0") == "No fields changed."


def test_names_addresses_and_states_are_told_from_what_to_what(save: Save) -> None:
    said = save(name="Hitches", slug="hitches", status="archived")
    assert said == "name Knots → Hitches; address knots → hitches; published → archived"


def test_texts_and_groups_are_named(save: Save) -> None:
    typed = {"summary": "New.", "description": "New.", "sample_pages": "2", "categories": [CategoryFactory().pk]}
    assert save(**typed) == "changed summary, description, categories, pages to look inside"
    assert save(cover_image=upload(png(), "c.png")) == "changed cover"


def test_files_and_editions_are_named(save: Save) -> None:
    files = [upload(b"One.\n", "one.txt"), upload(b"Two.\n", "two.txt")]
    assert save(new_files=files) == "new files in edition 1: one.txt, two.txt"
    typed = {"as_new_edition": "on", "edition_notes": "Better.", "tell_owners": "on"}
    assert save(new_files=upload(b"Three.\n", "three.txt"), **typed) == "new edition 2: three.txt"


def test_order_of_files_is_told(save: Save, product: Product) -> None:
    file = FileFactory(edition=product.editions.get(), position=2)
    assert save(**{f"file_order-{file.pk}": 1, f"file_order-{file.pk - 1}": 2}) == "changed order of the files"


def test_prices_in_stripe_are_told(save: Save, product: Product) -> None:
    typed = {"stripe_prices-TOTAL_FORMS": "1", "stripe_prices-0-price_id": "price_1"}
    assert save(**typed) == "added price_1"
    row = {"stripe_prices-0-id": str(StripePrice.objects.get().pk), "stripe_prices-0-product": str(product.pk)}
    known = {**typed, **row, "stripe_prices-INITIAL_FORMS": "1"}
    known["stripe_prices-0-price_id"] = "price_2"
    assert save(**known) == "changed price_2"
    assert save(**{**known, "stripe_prices-0-DELETE": "on"}) == "removed price_2"


def test_history_is_in_english_whoever_saves(save: Save, client: Client) -> None:
    client.cookies["django_language"] = "de"
    assert save(price="15.00", sample_pages="3") == "$12.50 → $15.00; changed pages to look inside"
