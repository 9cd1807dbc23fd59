"""Giving money back in the admin: what people choose and write, and what they are told."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from fulfillment.models import Entitlement
from orders.models import Order
from orders.refund_models import RefundRequest
from sandbox.world.server import World
from tests.orders.test_refunds import at_stripe, paid_with_two_lines

pytestmark = pytest.mark.django_db

CHOSEN = {"what": "all", "reason": "requested_by_customer", "note": "asked by phone"}


def address(order: Order) -> str:
    return f"/admin/orders/order/{order.pk}/refund/"


def send(desk: Client, order: Order, **typed: Any) -> Any:
    """Open the form, fill it in, send it."""
    key = desk.get(address(order)).context["form"]["key"].value()
    return desk.post(address(order), {"key": key, **CHOSEN, **typed})


def told(desk: Client, answer: Any) -> list[str]:
    assert answer.status_code == 303, answer.context["form"].errors
    return [str(message) for message in desk.get(answer["Location"]).context["messages"]]


def errors(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    found: dict[str, list[str]] = dict(answer.context["form"].errors)
    return found


def test_f60_everything_goes_back_and_access_ends_at_once(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    answer = send(desk, order)
    assert told(desk, answer) == ["$12.50 goes back to the customer. Stripe says: succeeded."]
    order.refresh_from_db()
    assert (order.refunded, Entitlement.objects.get().state, at_stripe(order)) == (
        1250,
        "revoked",
        [(1250, "succeeded")],
    )
    assert "There is nothing left to give back here." in desk.get(address(order)).content.decode()


@pytest.mark.parametrize(
    "currency, price, typed, amount",
    [
        ("usd", 1250, "2.50", 250),
        ("eur", 1250, " 2,50 ", 250),
        ("usd", 1250, "0.01", 1),
        ("usd", 1250, "12.5", 1250),
        ("jpy", 1250, "500", 500),
        ("kwd", 5120, "1.25", 1250),
        ("isk", 50_000, "300", 30_000),
    ],
)
def test_f60_amount_is_read_as_people_write_it(
    desk: Client, paid: Callable[..., Order], currency: str, price: int, typed: str, amount: int
) -> None:
    order = paid(price=price, currency=currency)
    told(desk, send(desk, order, what="amount", amount=typed))
    assert at_stripe(order) == [(amount, "succeeded")]


@pytest.mark.parametrize(
    "currency, price, typed, most",
    [
        ("usd", 1250, "", "$12.50"),
        ("usd", 1250, "0", "$12.50"),
        ("usd", 1250, "-5", "$12.50"),
        ("usd", 1250, "1e3", "$12.50"),
        ("usd", 1250, "1.005", "$12.50"),
        ("jpy", 1250, "5.5", "¥1,250"),
        ("kwd", 5120, "1.255", "KWD\xa05.12"),
    ],
)
def test_amount_that_is_none_is_refused(
    desk: Client, paid: Callable[..., Order], currency: str, price: int, typed: str, most: str
) -> None:
    order = paid(price=price, currency=currency)
    said = f"Write how much to give back as a plain number: at most {most}, and no more decimals than that."
    assert errors(send(desk, order, what="amount", amount=typed)) == {"amount": [said]}
    assert RefundRequest.objects.count() == 0


def test_disputed_payment_gets_no_form_but_the_way_to_answer(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    Order.objects.update(dispute="open")
    page = desk.get(address(order)).content.decode()
    assert "answer the dispute instead" in page
    assert "Give the money back" not in page


def test_more_than_is_left_is_refused_before_stripe_is_asked(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    answer = send(desk, order, what="amount", amount="12.51")
    assert errors(answer) == {"__all__": ["Only $12.50 is left to give back."]}
    assert (RefundRequest.objects.count(), LogEntry.objects.count(), at_stripe(order)) == (0, 0, [])


def test_chosen_lines_go_back(desk: Client, world: World) -> None:
    order = paid_with_two_lines(world)
    first, second = order.lines.all()
    page = desk.get(address(order)).content.decode()
    assert f"{second.name}: $8.00" in page
    told(desk, send(desk, order, what="lines", lines=[second.pk]))
    assert at_stripe(order) == [(800, "succeeded")]
    page = desk.get(address(order)).content.decode()
    assert (f"{first.name}: $12.50" in page, f"{second.name}: $8.00" in page) == (True, False)


@pytest.mark.parametrize(
    "typed, field",
    [
        ({"what": ""}, "what"),
        ({"what": "some"}, "what"),
        ({"what": "all", "amount": "3.00"}, "amount"),
        ({"what": "lines"}, "lines"),
        ({"reason": ""}, "reason"),
        ({"reason": "bored"}, "reason"),
        ({"note": " "}, "note"),
        ({"key": "no key"}, "key"),
    ],
)
def test_form_that_leaves_a_doubt_moves_no_money(desk: Client, world: World, typed: dict[str, str], field: str) -> None:
    order = paid_with_two_lines(world)
    assert list(errors(send(desk, order, **typed))) == [field]
    assert (RefundRequest.objects.count(), at_stripe(order)) == (0, [])


def test_ticked_lines_with_everything_chosen_are_a_doubt(desk: Client, world: World) -> None:
    order = paid_with_two_lines(world)
    answer = send(desk, order, what="all", lines=[order.lines.all()[0].pk])
    assert list(errors(answer)) == ["lines"]


def test_s60_every_refund_is_in_the_audit_with_who_and_why(
    desk: Client, owner: Any, paid: Callable[..., Order]
) -> None:
    order = paid()
    send(desk, order, what="amount", amount="2.50")
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.get_change_message()) == (
        owner,
        str(order.pk),
        "refund of $2.50 asked: asked by phone",
    )
    detail = order.timeline.get(kind="by_hand").detail
    who = f"o…@example.com (user {owner.pk})"
    assert detail == f"refund of $2.50 asked, the customer asked for it: asked by phone – {who}"


def test_form_that_is_sent_twice_is_one_refund(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    form = {**CHOSEN, "key": str(uuid.uuid4()), "what": "amount", "amount": "2.50"}
    for _ in range(2):
        assert told(desk, desk.post(address(order), form)) == [
            "$2.50 goes back to the customer. Stripe says: succeeded."
        ]
    assert at_stripe(order) == [(250, "succeeded")]
    assert (LogEntry.objects.count(), order.timeline.filter(kind="by_hand").count()) == (1, 1)


def test_silent_stripe_is_no_reason_to_ask_anew(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    world.control("faults", {"area": "api", "kind": "drop", "path": "/v1/refunds", "method": "POST"})
    answer = send(desk, order, what="amount", amount="2.50")
    assert told(desk, answer) == [
        "Stripe has not answered about $2.50 yet. The shop asks again by itself: do not ask anew."
    ]
    page = desk.get(address(order)).content.decode()
    assert "waiting for Stripe" in page
    assert "$10.00" in page


def test_refusal_is_said_and_kept(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    world.control("dispute", {"session": order.stripe_session_id})
    [said] = told(desk, send(desk, order))
    assert said.startswith("$12.50 was not given back. The customer's bank has disputed this payment")
    page = desk.get(address(order)).content.decode()
    assert "Refused" in page
    assert "disputed this payment and has the money" in page
