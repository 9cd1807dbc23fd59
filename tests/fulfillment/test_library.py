"""The library: found by title, sorted, in pages, and marked where something came since the last visit."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from catalog.models import Edition, Product
from fulfillment.library import PER_PAGE
from fulfillment.models import Entitlement
from fulfillment.visits import LibraryVisit, note_visit
from orders.models import Order
from tests.factories import EditionFactory, FileFactory, OrderFactory, ProductFactory, UserFactory

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture
def reader(client: Client) -> User:
    user: User = UserFactory()
    client.force_login(user)
    return user


def own(user: User, name: str, **dates: Any) -> Entitlement:
    """The user bought it, at `at`; its edition is from then, too."""
    at = dates.pop("at", timezone.now() - 48 * HOUR)
    product = ProductFactory(name=name)
    Edition.objects.filter(product=product).update(published_at=at)
    order = OrderFactory(product=product, user=user, email=user.email, state=Order.State.PAID)
    return Entitlement.objects.create(order_line=order.lines.get(), product=product, user=user, created_at=at)


def new_edition(product: Product, number: int = 2, **fields: Any) -> Edition:
    edition: Edition = EditionFactory(product=product, number=number, **fields)
    FileFactory(edition=edition)
    return edition


def titles(client: Client, query: str = "") -> list[str]:
    page = client.get(f"/library/{query}").content.decode()
    return re.findall(r'<h2>\s*<a href="/products/[^"]*">([^<]*)</a>', page)


def was_here(user: User, ago: timedelta) -> None:
    LibraryVisit.objects.update_or_create(user=user, defaults={"last_at": timezone.now() - ago, "previous_at": None})


def badges(client: Client) -> list[str]:
    return re.findall(r'<span class="badge good">([^<]*)</span>', client.get("/library/").content.decode())


@pytest.mark.parametrize(
    "query, found",
    [
        ("sky", ["The Quiet Sky"]),
        ("SKY quiet", ["The Quiet Sky"]),
        ("etude", ["Études"]),
        ("ÉTU", ["Études"]),
        ("%00", ["Études", "The Quiet Sky"]),
        ("sk_", []),
        ("%25", []),
        ("x" * 5000, []),
        ("%F0%9F%98%80", []),
        ("%ED%A0%80", []),
    ],
)
def test_search_finds_every_word_in_the_title_whatever_case_and_accents(
    client: Client, reader: User, query: str, found: list[str]
) -> None:
    own(reader, "The Quiet Sky")
    own(reader, "Études")
    if query == "%00":  # nothing to search for is no search
        query = ""
    assert titles(client, f"?q={query}&sort=title") == found


def test_search_with_a_nul_is_answered(client: Client, reader: User) -> None:
    own(reader, "The Quiet Sky")
    assert client.get("/library/?q=%00&sort=%00&page=%00").status_code == 200


def test_sorts_by_purchase_by_title_and_by_the_last_edition(client: Client, reader: User) -> None:
    now = timezone.now()
    first = own(reader, "Zebra", at=now - 9 * HOUR)
    own(reader, "apple", at=now - 8 * HOUR)
    own(reader, "Mango", at=now - 7 * HOUR)
    new_edition(first.product, published_at=now)
    assert titles(client) == ["Mango", "apple", "Zebra"]
    assert titles(client, "?sort=title") == ["apple", "Mango", "Zebra"]
    assert titles(client, "?sort=updated") == ["Zebra", "Mango", "apple"]
    assert titles(client, "?sort=nonsense") == ["Mango", "apple", "Zebra"]


def test_a_product_owned_twice_is_shown_once_with_its_living_right(client: Client, reader: User) -> None:
    old = own(reader, "The Quiet Sky")
    order = OrderFactory(product=old.product, user=reader, email=reader.email, state=Order.State.PAID)
    Entitlement.objects.create(
        order_line=order.lines.get(), product=old.product, user=reader, state="revoked", reason="refunded"
    )
    assert titles(client) == ["The Quiet Sky"]
    assert client.get("/library/").content.count(b"/downloads/") == 1


def test_thousand_items_come_in_pages_at_the_same_cost(
    client: Client, reader: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    began = timezone.now() - 2000 * HOUR
    first = own(reader, "Book 0000", at=began)
    client.get("/library/")
    with django_assert_num_queries(9):
        client.get("/library/")
    products = Product.objects.bulk_create(
        Product(name=f"Book {n:04}", slug=f"b-{n}", price=100, status="draft") for n in range(1, 1000)
    )
    editions = Edition.objects.bulk_create(Edition(product=one, number=1, published_at=began) for one in products)
    for edition in editions[-30:]:
        FileFactory(edition=edition)
    order = first.order_line.order
    lines = order.lines.bulk_create(
        type(first.order_line)(order=order, product=e.product, edition=e, name=e.product.name, unit_price=100)
        for e in editions
    )
    Entitlement.objects.bulk_create(
        Entitlement(order_line=line, product=line.product, user=reader, created_at=began + n * HOUR)
        for n, line in enumerate(lines, 1)
    )
    with django_assert_num_queries(9):
        page = client.get("/library/").content.decode()
    assert page.count("<article") == PER_PAGE
    assert "Page 1 of 42" in page
    assert "Book 0999" in page
    last = client.get("/library/?sort=title&page=42").content.decode()
    assert (last.count("<article"), "Book 0999" in last, 'rel="next"' in last) == (16, True, False)
    assert "Page 42 of 42" in client.get("/library/?page=999999").content.decode()
    for nonsense in ("0", "-1", "1e9", "%00", "9" * 30, "²", "x"):
        assert "Page 1 of 42" in client.get(f"/library/?page={nonsense}").content.decode(), nonsense
    assert client.get("/library/?q=Book+001&page=1").content.count(b"<article") == 11


def test_first_visit_marks_nothing(client: Client, reader: User) -> None:
    own(reader, "The Quiet Sky")
    assert badges(client) == []


def test_what_came_since_the_last_visit_is_marked_for_the_whole_visit(client: Client, reader: User) -> None:
    old = own(reader, "Old and updated")
    own(reader, "Old")
    was_here(reader, 24 * HOUR)
    lately = timezone.now() - timedelta(minutes=40)
    own(reader, "Fresh", at=lately)
    new_edition(old.product, notes="A chapter on winter.", published_at=lately)
    for _ in range(3):
        assert sorted(badges(client)) == ["New", "New edition"]
    page = client.get("/library/").content.decode()
    assert "2 things are new since you were here on" in page
    assert "A chapter on winter." in page
    was_here(reader, timedelta(minutes=31))
    assert badges(client) == []


def test_updated_edition_says_when_and_what_changed_and_keeps_the_older_one(client: Client, reader: User) -> None:
    right = own(reader, "The Quiet Sky")
    Edition.objects.update(notes="The first one.")
    new_edition(right.product, notes="Maps are drawn anew.", published_at="2026-03-01T12:00:00Z")
    page = " ".join(client.get("/library/").content.decode().split())
    assert "Edition 2 · updated on March 1, 2026" in page
    assert '<h3>What changed</h3> <div class="prose"><p>Maps are drawn anew.</p></div>' in page
    assert "1 older edition" in page
    assert "The first one." in page
    assert page.count("/downloads/") == 2


def test_looks_within_half_an_hour_are_one_visit(reader: User) -> None:
    assert note_visit(reader) is None
    assert note_visit(reader) is None
    was_here(reader, timedelta(minutes=29))
    assert note_visit(reader) is None
    was_here(reader, timedelta(minutes=31))
    before = LibraryVisit.objects.get().last_at
    assert note_visit(reader) == before
    assert note_visit(reader) == before


def test_head_and_strangers_leave_no_visit(client: Client) -> None:
    client.get("/library/")
    user = UserFactory()
    client.force_login(user)
    client.head("/library/")
    assert not LibraryVisit.objects.exists()


def test_ended_access_says_why_and_offers_no_bytes(client: Client, reader: User) -> None:
    own(reader, "The Quiet Sky")
    Entitlement.objects.update(state="suspended", reason="disputed")
    page = client.get("/library/").content.decode()
    assert "The bank is looking into this payment." in page
    assert "/downloads/" not in page
    assert "all.zip" not in page
