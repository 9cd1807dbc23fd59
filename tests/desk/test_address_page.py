"""Correcting an order's address in the admin: who gets what from then on, with access or without."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from accounts.addresses import masked
from fulfillment import links
from fulfillment.delivery_models import Delivery
from fulfillment.erase import erase_address
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, UserFactory
from tests.steps import GUEST

pytestmark = pytest.mark.django_db

RIGHT = "right@example.com"


def address(order: Order) -> str:
    return f"/admin/orders/order/{order.pk}/address/"


def correct(desk: Client, order: Order, **given: str) -> Any:
    return desk.post(address(order), {"email": RIGHT, "reason": "typo"} | given)


def told(desk: Client, answer: Any) -> list[str]:
    assert answer.status_code == 303, answer.context["form"].errors
    return [str(message) for message in desk.get(answer["Location"]).context["messages"]]


def test_f29_everything_moves_to_the_right_address(
    desk: Client, owner: Any, client: Client, paid: Callable[..., Order]
) -> None:
    """Within the minute after the first mail, too: the next one waits for its end."""
    order = paid()
    astray = links.token(order)
    assert told(desk, correct(desk, order)) == [f"The mail goes to {RIGHT} within a minute."]
    order.refresh_from_db()
    assert (order.email, Entitlement.objects.get().email) == (RIGHT, RIGHT)
    mails = order.deliveries.order_by("seq").values_list("recipient", "state")
    assert list(mails) == [(GUEST, "withdrawn"), (RIGHT, "pending")]
    assert client.get(f"/links/{astray}/").status_code == 410
    detail = f"address corrected: {masked(GUEST)} → {masked(RIGHT)} (typo – o…@example.com (user {owner.pk}))"
    assert order.timeline.get(kind="mail").detail == detail
    assert LogEntry.objects.get().get_change_message() == "address corrected: typo"


def test_double_click_changes_nothing_more(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    correct(desk, order)
    desk.get(address(order))
    assert told(desk, correct(desk, order))[-1] == f"{RIGHT} is the address of this order already."
    assert (order.deliveries.count(), LogEntry.objects.count()) == (2, 1)


def test_order_that_gives_no_access_is_corrected_without_a_mail(
    world: World, desk: Client, paid: Callable[..., Order]
) -> None:
    order = paid()
    world.control("refund", {"session": order.stripe_session_id})
    fulfill(str(order.stripe_session_id), door="webhook")
    said = told(desk, correct(desk, order))
    assert said == [f"The address is {RIGHT} now. No mail was sent: the order gives access to nothing."]
    assert not order.deliveries.filter(kind=Delivery.Kind.ORDER, recipient=RIGHT).exists()
    order.refresh_from_db()
    assert order.email == RIGHT


def test_order_that_waits_for_an_address_is_looked_at_again_at_once(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    Order.objects.update(attention="The payment has no usable e-mail address.", next_check_at=None)
    correct(desk, order)
    order.refresh_from_db()
    assert order.next_check_at is not None


def test_page_says_who_gets_what(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    assert "move to the library of whoever signs in with the right address" in desk.get(address(order)).content.decode()
    Order.objects.update(user=UserFactory(email="account@example.com"))
    page = desk.get(address(order)).content.decode()
    assert "stay in the library of the account account@example.com." in page


def test_erased_and_unpaid_orders_keep_what_they_have(desk: Client, paid: Callable[..., Order]) -> None:
    order, open_one = paid(), OrderFactory(email=GUEST)
    erase_address("nobody@example.com")
    Order.objects.filter(pk=open_one.pk).update(email="other@example.com")
    erase_address(GUEST)
    for one, words in ((order, "asked to be forgotten"), (open_one, "is not paid")):
        [said] = correct(desk, one).context["form"].non_field_errors()
        assert words in said
    assert not Order.objects.filter(email=RIGHT).exists()


@pytest.mark.parametrize("typed, field", [({"reason": " "}, "reason"), ({"email": "a@b@c"}, "email")])
def test_reason_and_address_are_asked_for(
    desk: Client, paid: Callable[..., Order], typed: dict[str, str], field: str
) -> None:
    order = paid()
    assert list(correct(desk, order, **typed).context["form"].errors) == [field]
    assert LogEntry.objects.count() == 0
