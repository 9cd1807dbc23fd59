"""The admin's page of an order: what it shows, and what it offers to whom."""

from collections.abc import Callable

import pytest
from django.test import Client

from fulfillment import outbox
from fulfillment.models import Download, Entitlement
from orders.models import Order
from sandbox.world.server import World

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
