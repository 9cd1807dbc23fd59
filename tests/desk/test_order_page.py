"""The admin's page of an order: what it shows, and what it offers to whom."""

import uuid
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from accounts.models import User
from fulfillment import giving, holds, outbox
from fulfillment.models import Download, Entitlement
from orders.models import Order, OrderLine
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory

pytestmark = pytest.mark.django_db


def page(client: Client, order: Order) -> str:
    answer = client.get(f"/admin/orders/order/{order.pk}/change/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_everything_about_the_order_stands_on_one_page(desk: Client, smtp: World, paid: Callable[..., Order]) -> None:
    order = paid()
    outbox.send(order.deliveries.get().pk)
    Download.objects.create(
        entitlement=Entitlement.objects.get(),
        file=order.lines.get().edition.files.get(),
        via="link",
        address="192.0.2.7",
        agent="Firefox",
        ranges=3,
        bytes=2048,
    )
    text = page(desk, order)
    for found in ("order and its files 1", "Accepted", "192.0.2.7", "2.0 KB in 3 requests", "Access", "Timeline"):
        assert found in text, found
    assert "Mailed “order and its files” to guest@example.com" in text


def test_acts_are_offered_to_those_who_may(paid: Callable[..., Order], staff: Callable[..., Client]) -> None:
    order = paid()
    offered = {
        "mail_order": "/mail/",
        "refund_order": "/refund/",
        "answer_dispute": "/evidence/",
        "replay_order": "/replay/",
        "grant_order": "/grant/",
        "suspend_order": "/suspend/",
    }
    for permission in offered:
        text = page(staff(permission), order)
        shown = {name for name, path in offered.items() if f"/admin/orders/order/{order.pk}{path}" in text}
        assert shown == {permission}


def test_rows_that_somebody_may_not_see_are_not_shown(paid: Callable[..., Order], staff: Callable[..., Client]) -> None:
    order = paid()
    assert "order and its files 1" not in page(staff(), order)
    assert "order and its files 1" in page(staff("view_delivery"), order)


def test_page_asks_as_often_however_much_there_is(
    desk: Client, paid: Callable[..., Order], django_assert_max_num_queries: Callable[..., object]
) -> None:
    order = paid()
    file, entitlement = order.lines.get().edition.files.get(), Entitlement.objects.get()
    for _ in range(30):
        Download.objects.create(entitlement=entitlement, file=file, via="link")
        order.timeline.create(kind="mail", door="test")
    with django_assert_max_num_queries(30):  # type: ignore[attr-defined]
        page(desk, order)


def acts(client: Client, order: Order) -> set[str]:
    text, start = page(client, order), f"/admin/orders/order/{order.pk}/"
    return {name for name in ("mail", "refund", "evidence", "suspend", "links") if f'"{start}{name}/"' in text}


def test_what_would_change_nothing_is_not_offered(desk: Client, paid: Callable[..., Order], owner: User) -> None:
    order = paid()
    assert acts(desk, order) == {"mail", "refund", "evidence", "suspend", "links"}
    hold = holds.place(order.pk, key=uuid.uuid4(), by=owner, reason="stolen card")
    assert acts(desk, order) == {"refund", "evidence", "links"}
    holds.lift(order.pk, [hold.pk], by=owner, reason="it was theirs")
    product = order.lines.get().product
    free = giving.give(product, to="critic@example.com", key=uuid.uuid4(), by=owner, reason="for a review").order
    assert acts(desk, free) == {"mail", "suspend", "links"}
    Order.objects.filter(pk=order.pk).update(refunded=order.total)
    Entitlement.objects.filter(order_line__order=order).update(state="revoked", reason="refunded")
    assert acts(desk, order) == {"evidence", "links"}


def test_order_leads_to_its_customer_and_to_its_payment_at_stripe(
    desk: Client, paid: Callable[..., Order], staff: Callable[..., Client], settings: Settings
) -> None:
    order = paid()
    customer = "/admin/fulfillment/customer/person/?email=guest%40example.com"
    assert customer in page(desk, order)
    assert customer not in page(staff(), order)
    assert "dashboard.stripe.com" not in page(desk, order)  # the sandbox has none
    settings.STRIPE_API_BASE = "https://api.stripe.com"
    payment = order.stripe_payment_intent_id
    assert f'"https://dashboard.stripe.com/test/payments/{payment}"' in page(desk, order)
    Order.objects.update(livemode=True)
    assert f'"https://dashboard.stripe.com/payments/{payment}"' in page(desk, order)


def listed(client: Client, query: str = "") -> str:
    return " ".join(client.get(f"/admin/orders/order/{query}").content.decode().split())


def test_list_says_what_was_bought_and_what_was_given_back(desk: Client) -> None:
    whole = OrderFactory(state="paid", email="a@example.com", refunded=1250, product=ProductFactory(name="Knots"))
    part = OrderFactory(state="paid", email="b@example.com", refunded=100)
    kept = OrderFactory(state="paid", email="c@example.com", product=ProductFactory(name="Owls"))
    other = ProductFactory()
    OrderLine.objects.create(order=kept, product=other, edition=other.editions.get(), name="Bread", unit_price=1)
    text = listed(desk)
    assert "Owls and 1 more" in text
    assert [f">{said}</td>" in text for said in ("given back", "partly given back", "paid")] == [True] * 3
    found = [[order.reference in listed(desk, query) for order in (whole, part, kept)] for query in QUERIES]
    assert found == [[True, True, False], [True, False, False]]


QUERIES = ("?refunded=yes", "?refunded=all")


def test_list_asks_as_often_however_many_there_are(desk: Client) -> None:
    counts = []
    for _ in range(2):
        OrderFactory.create_batch(5, state="paid", email="a@example.com")
        with CaptureQueriesContext(connection) as captured:
            listed(desk)
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_whole_card_number_is_cut_to_its_end_before_anything_keeps_it(desk: Client) -> None:
    answer = desk.get("/admin/orders/order/", {"q": "4242 4242 4242 4242"})
    assert (answer.status_code, answer["Location"]) == (303, "?q=4242")
    assert "Only the last four digits of a card are looked for." in listed(desk, "?q=4242")
