"""Suspending and restoring access in the admin: with a reason, once per form, and honest about what stays closed."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from fulfillment.fulfill import fulfill
from fulfillment.hold_models import Hold
from fulfillment.models import Entitlement
from orders.models import Order
from sandbox.world.server import World

pytestmark = pytest.mark.django_db


def address(order: Order, page: str) -> str:
    return f"/admin/orders/order/{order.pk}/{page}/"


def suspend(desk: Client, order: Order, **given: str) -> Any:
    form = {"what": "order", "reason": "stolen card", "key": str(uuid.uuid4())}
    return desk.post(address(order, "suspend"), form | given)


def restore(desk: Client, order: Order, **given: Any) -> Any:
    holds = [str(pk) for pk in Hold.objects.open().values_list("pk", flat=True)]
    return desk.post(address(order, "restore"), {"holds": holds, "reason": "it was theirs"} | given)


def told(desk: Client, answer: Any) -> list[str]:
    assert answer.status_code == 303, answer.context["form"].errors
    return [str(message) for message in desk.get(answer["Location"]).context["messages"]]


def access() -> tuple[str, str]:
    right = Entitlement.objects.get()
    return right.state, right.reason


def test_access_is_suspended_and_restored_with_who_and_why(
    desk: Client, owner: Any, paid: Callable[..., Order]
) -> None:
    order = paid()
    assert told(desk, suspend(desk, order)) == ["Access is suspended. Nothing that Stripe says restores it: you do."]
    assert access() == ("suspended", "held")
    name = order.lines.get().name
    assert "the whole order: stolen card" in desk.get(address(order, "restore")).content.decode()
    assert told(desk, restore(desk, order)) == [f"Can be read again: {name}."]
    assert access() == ("active", "")
    assert [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")] == [
        "access suspended, the whole order: stolen card",
        "access restored: it was theirs",
    ]
    assert Hold.objects.get().placed_by == owner


def test_same_form_sent_twice_suspends_once(desk: Client, paid: Callable[..., Order]) -> None:
    order, key = paid(), str(uuid.uuid4())
    assert [suspend(desk, order, key=key).status_code for _ in range(2)] == [303, 303]
    assert (Hold.objects.count(), LogEntry.objects.count()) == (1, 1)
    assert suspend(desk, order).context["form"].non_field_errors() == ["That is suspended already."]


def test_restoring_is_offered_where_something_is_suspended(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()

    def offered() -> bool:
        page = desk.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
        return address(order, "restore") in page

    assert not offered()
    suspend(desk, order)
    assert offered()
    restore(desk, order)
    assert not offered()


def test_restored_order_that_was_refunded_says_that_it_stays_closed(
    world: World, desk: Client, paid: Callable[..., Order]
) -> None:
    order = paid()
    suspend(desk, order)
    world.control("refund", {"session": order.stripe_session_id})
    fulfill(str(order.stripe_session_id), door="webhook")
    desk.get(f"/admin/orders/order/{order.pk}/change/")
    assert told(desk, restore(desk, order))[-1:] == [f"{order.lines.get().name} stays closed: refunded."]
    assert access() == ("revoked", "refunded")


@pytest.mark.parametrize("given, field", [({"reason": " "}, "reason"), ({"what": "7"}, "what"), ({"key": "x"}, "key")])
def test_suspending_asks_for_what_it_needs(
    desk: Client, paid: Callable[..., Order], given: dict[str, str], field: str
) -> None:
    order = paid()
    assert list(suspend(desk, order, **given).context["form"].errors) == [field]
    assert (Hold.objects.count(), access()) == (0, ("active", ""))


def test_restoring_asks_for_a_reason_and_a_hold(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    suspend(desk, order)
    assert list(restore(desk, order, reason="").context["form"].errors) == ["reason"]
    assert list(restore(desk, order, holds=[]).context["form"].errors) == ["holds"]
    other = str(Hold.objects.get().pk + 1)
    assert list(restore(desk, order, holds=[other]).context["form"].errors) == ["holds"]
    assert access() == ("suspended", "held")


def test_order_of_which_nothing_is_suspended_says_so(desk: Client, paid: Callable[..., Order]) -> None:
    page = desk.get(address(paid(), "restore")).content.decode()
    assert ("Nothing of this order is suspended by hand." in page, '<form method="post" novalidate' in page) == (
        True,
        False,
    )
