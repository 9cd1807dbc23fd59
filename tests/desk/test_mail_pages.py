"""Sending an order's mail again from the admin, to the right address; making what was mailed invalid."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from accounts.addresses import masked
from fulfillment import links, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from orders.models import Order
from sandbox.world.server import World
from tests.steps import GUEST

pytestmark = pytest.mark.django_db

RIGHT = "right@example.com"


def address(order: Order, page: str = "mail") -> str:
    return f"/admin/orders/order/{order.pk}/{page}/"


def a_while_ago() -> None:
    Delivery.objects.update(created_at=timezone.now() - timedelta(minutes=5))


def told(desk: Client, answer: Any) -> list[str]:
    assert answer.status_code == 303, answer.context["form"].errors
    return [str(message) for message in desk.get(answer["Location"]).context["messages"]]


def test_mail_is_sent_again_with_who_and_why(desk: Client, owner: Any, paid: Callable[..., Order]) -> None:
    order = paid()
    a_while_ago()
    answer = desk.post(address(order), {"email": GUEST, "reason": "asked by phone"})
    assert told(desk, answer) == [f"The mail is on its way to {GUEST}."]
    assert list(order.deliveries.order_by("seq").values_list("seq", "recipient")) == [(1, GUEST), (2, GUEST)]
    entry = order.timeline.get(kind="mail")
    assert (entry.door, entry.detail) == (
        "admin",
        f"sent again (asked by phone – o…@example.com (user {owner.pk}))",
    )
    assert LogEntry.objects.get().get_change_message() == "mail sent again: asked by phone"
    order.refresh_from_db()
    assert order.links_void_before is None


def test_f29_f58_wrong_address_is_corrected_and_its_links_end(
    desk: Client, owner: Any, client: Client, paid: Callable[..., Order]
) -> None:
    order = paid()
    a_while_ago()
    token = links.token(order)
    assert client.get(f"/links/{token}/").status_code == 200
    told(desk, desk.post(address(order), {"email": " Right@Example.com", "reason": "typo"}))
    order.refresh_from_db()
    assert (order.email, Entitlement.objects.get().email) == (RIGHT, RIGHT)
    assert order.deliveries.get(seq=2).recipient == RIGHT
    detail = f"address corrected: {masked(GUEST)} → {masked(RIGHT)} (typo – o…@example.com (user {owner.pk}))"
    assert order.timeline.get(kind="mail").detail == detail
    assert client.get(f"/links/{token}/").status_code == 410
    assert client.get(f"/links/{links.token(order)}/").status_code == 200


@pytest.mark.parametrize("typed, field", [({"reason": " "}, "reason"), ({"email": "a@b@c"}, "email")])
def test_reason_and_address_are_asked_for(
    desk: Client, paid: Callable[..., Order], typed: dict[str, str], field: str
) -> None:
    order = paid()
    a_while_ago()
    answer = desk.post(address(order), {"email": RIGHT, "reason": "typo", **typed})
    assert list(answer.context["form"].errors) == [field]
    assert (order.deliveries.count(), LogEntry.objects.count()) == (1, 0)


def test_f72_second_mail_within_a_minute_is_refused_on_the_form(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    answer = desk.post(address(order), {"email": GUEST, "reason": "again"})
    [said] = answer.context["form"].errors["__all__"]
    assert said == f"Order {order.reference} had a mail within the last minute. Please try again in a minute."
    assert (order.deliveries.count(), LogEntry.objects.count()) == (1, 0)


def test_all_mailed_links_are_made_invalid(
    desk: Client, owner: Any, client: Client, paid: Callable[..., Order]
) -> None:
    order = paid()
    token = links.token(order)
    answer = desk.post(address(order, "links"), {"reason": "forwarded to a list"})
    assert told(desk, answer) == ["No link that was mailed until now opens anything any more."]
    page = client.get(f"/links/{token}/")
    assert (page.status_code, "This link was made invalid" in page.content.decode()) == (410, True)
    who = f"o…@example.com (user {owner.pk})"
    detail = f"all mailed links made invalid: forwarded to a list – {who}"
    assert order.timeline.get(kind="by_hand").detail == detail
    assert LogEntry.objects.get().get_change_message() == "all mailed links made invalid: forwarded to a list"
    assert list(desk.post(address(order, "links"), {}).context["form"].errors) == ["reason"]


def test_f29_refused_recipient_is_shown_with_the_servers_words(
    desk: Client, smtp: World, paid: Callable[..., Order]
) -> None:
    order = paid()
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "to": GUEST})
    outbox.send(order.deliveries.get().pk)
    page = desk.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    reply = order.deliveries.get().attempt_log.get().reply
    assert reply.startswith("550 ")
    assert f"could not be delivered. The mail server said: {reply}" in " ".join(page.split())
