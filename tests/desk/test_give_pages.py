"""Free copies: an order of nothing, delivered and mailed as any other; one for each form."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from catalog.models import Product
from fulfillment import books, giving, links
from fulfillment.access import Actor, may_read
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from fulfillment.stuck import find_stuck
from fulfillment.sweep import sweep
from orders.models import Order, is_reference, reference_of
from sandbox.world.server import World
from tests.factories import ProductFactory, UserFactory
from tests.fulfillment.test_at_once import at_once
from tests.proof.invariants import violations
from tests.steps import GUEST, body_of

pytestmark = pytest.mark.django_db

ANYBODY = "/admin/orders/order/grant/"
CRITIC = "critic@example.com"


def give(desk: Client, address: str = ANYBODY, **given: str) -> Any:
    form = {"product": "Knots", "email": CRITIC, "reason": "for a review", "key": str(uuid.uuid4())}
    return desk.post(address, form | given)


def given() -> Order:
    return Order.objects.get(source="manual")


def test_copy_is_delivered_mailed_and_open_as_any_other(smtp: World, desk: Client, owner: User, client: Client) -> None:
    book = ProductFactory(name="Knots")
    answer = give(desk)
    order = given()
    assert (answer.status_code, answer["Location"]) == (303, f"/admin/orders/order/{order.pk}/change/")
    assert (order.state, order.total, order.email, order.user, order.stripe_session_id) == (
        "paid",
        0,
        CRITIC,
        None,
        None,
    )
    line = order.lines.get()
    assert (line.product, line.unit_price, line.edition) == (book, 0, book.editions.get())
    sweep()
    [mail] = smtp.mails(CRITIC)
    assert (mail["to"], "Free of charge" in mail["text"]) == ([CRITIC], True)
    assert may_read(Actor(link=order.reference), line.edition.files.get())
    assert client.get(f"/links/{links.token(order)}/").status_code == 200
    receipt = body_of(client.get(f"/orders/{order.reference}/receipt/?link={links.token(order)}")).decode()
    assert "This is a free copy: nothing was paid for it." in receipt
    who = f"o…@example.com (user {owner.pk})"
    assert list(order.timeline.order_by("pk").values_list("kind", "detail")[:3]) == [
        ("created", "Knots"),
        ("by_hand", f"free copy given: for a review – {who}"),
        ("access", "Knots: Active"),
    ]
    assert LogEntry.objects.get().get_change_message() == "free copy of Knots: for a review"


def test_books_sweep_and_invariants_have_nothing_to_say(smtp: World, desk: Client) -> None:
    ProductFactory(name="Knots")
    give(desk)
    sweep()
    checked = books.check(since=given().created_at, say=lambda _line: None)
    assert (checked.found, find_stuck(longer_than=timezone.now() - given().created_at)) == ([], [])
    assert violations(connection, ledger=smtp.control("ledger")["sessions"], mails=smtp.mails()) == []


def test_same_form_sent_twice_makes_one_order(desk: Client) -> None:
    ProductFactory(name="Knots")
    key = uuid.uuid4()
    first, second = (give(desk, key=str(key)) for _ in range(2))
    assert (first.status_code, first["Location"]) == (second.status_code, second["Location"])
    assert given().reference == reference_of(key)
    assert (Entitlement.objects.count(), Delivery.objects.count(), LogEntry.objects.count()) == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_same_form_at_once_makes_one_order(world: World) -> None:
    book, by, key = ProductFactory(), UserFactory(is_staff=True), uuid.uuid4()
    found = at_once(*[lambda: giving.give(book, to=CRITIC, key=key, by=by, reason="r")] * 6)
    assert sorted(one.again for one in found) == [False] + [True] * 5
    assert (Order.objects.count(), Entitlement.objects.count(), Delivery.objects.count()) == (1, 1, 1)


def test_reference_of_a_key_is_one_and_its_own() -> None:
    key = uuid.UUID(int=1)
    assert is_reference(reference_of(key))
    assert reference_of(key) == reference_of(uuid.UUID(int=1)) != reference_of(uuid.UUID(int=2))


def test_buyer_of_an_order_gets_it_into_the_account_that_bought(desk: Client, paid: Callable[..., Order]) -> None:
    buyer = Client()
    user = UserFactory(email=GUEST)
    buyer.force_login(user)
    order = paid(client=buyer)
    ProductFactory(name="Knots")
    page = f"/admin/orders/order/{order.pk}/grant/"
    assert f'value="{GUEST}"' in desk.get(page).content.decode()
    assert give(desk, page, email=GUEST).status_code == 303
    assert (given().user, given().email) == (user, GUEST)
    assert (
        order.timeline.filter(kind="by_hand")
        .get()
        .detail.startswith(f"free copy of Knots given, order {given().reference}: for a review")
    )


def test_draft_and_what_is_no_longer_sold_can_be_given(desk: Client) -> None:
    for status in (Product.Status.DRAFT, Product.Status.ARCHIVED):
        ProductFactory(name=f"Knots {status}", slug=f"knots-{status}", status=status)
        assert give(desk, product=f"KNOTS-{status}").status_code == 303
    assert Entitlement.objects.active(timezone.now()).count() == 2


@pytest.mark.parametrize(
    "typed, field, said",
    [
        ({"product": "Nothing"}, "product", "There is no product with this name."),
        ({"product": "Empty"}, "__all__", "Empty has no published edition with files."),
        ({"email": GUEST}, "__all__", f"{GUEST} can read Knots already. Send the mail of that order again."),
        ({"email": "a@b@c"}, "email", "Enter a valid email address."),
        ({"reason": ""}, "reason", "This field is required."),
    ],
)
def test_what_cannot_be_given_is_told(desk: Client, typed: dict[str, str], field: str, said: str) -> None:
    ProductFactory(name="Knots")
    ProductFactory(name="Empty", content=None, status=Product.Status.DRAFT)
    give(desk, email=GUEST)
    answer = give(desk, **typed)
    assert answer.context["form"].errors == {field: [said]}
    assert Order.objects.count() == 1


def test_list_offers_it_to_those_who_may(desk: Client, staff: Callable[..., Client]) -> None:
    assert ANYBODY in desk.get("/admin/orders/order/").content.decode()
    assert '<a href="/admin/orders/order/">Orders</a>' in desk.get(ANYBODY).content.decode()
    assert ANYBODY not in staff().get("/admin/orders/order/").content.decode()
