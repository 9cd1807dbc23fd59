"""Refunds asked for at the desk: a row first, then Stripe, then the order; one refund whatever breaks in between."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement
from fulfillment.refunding import carry_out
from fulfillment.sweep import sweep
from orders import checkout, refunds, stripe_api, stripe_desk
from orders.models import Order
from orders.refund_models import RefundRequest
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.fulfillment.test_at_once import at_once
from tests.steps import buy, pay

pytestmark = pytest.mark.django_db

REFUNDS = "/v1/refunds"
NOTE = "asked by phone"


@pytest.fixture
def owner(db: None) -> User:
    user: User = UserFactory(email="owner@example.com", is_staff=True, is_superuser=True)
    return user


def paid(world: World, *, price: int = 1250, currency: str = "usd") -> Order:
    order = buy(world, Client(), ProductFactory(price=price, currency=currency))
    fulfill(str(order.stripe_session_id), door="webhook")
    order.refresh_from_db()
    return order


def paid_with_two_lines(world: World) -> Order:
    """$12.50 and $8.00."""
    order = OrderFactory(total=2050)
    product = ProductFactory(price=800)
    checkout.add_line(order, product, product.editions.get())
    checkout.ensure_session(order)
    pay(world, order)
    fulfill(str(order.stripe_session_id), door="webhook")
    order.refresh_from_db()
    return order


def ask(order: Order, owner: User, *, key: uuid.UUID | None = None, **wanted: Any) -> list[RefundRequest]:
    rows = refunds.request(
        order.pk, key=key or uuid.uuid4(), by=owner, reason="requested_by_customer", note=NOTE, **wanted
    ).rows
    for row in rows:
        carry_out(row.pk, door="admin")
        row.refresh_from_db()
    return rows


def at_stripe(order: Order) -> list[tuple[int, str]]:
    """Amount and state of each refund that Stripe has, oldest first."""
    found = stripe_api.fetch_facts(str(order.stripe_session_id)).refunds
    return [(refund.amount, refund.status) for refund in found]


def access(order: Order) -> list[str]:
    return list(Entitlement.objects.filter(order_line__order=order).order_by("pk").values_list("state", flat=True))


def due_again(row: RefundRequest, *, hours: float = 1) -> None:
    """As if it had been asked for that long ago and its turn had come again."""
    at = timezone.now()
    RefundRequest.objects.filter(pk=row.pk).update(next_attempt_at=at, asked_at=at - timedelta(hours=hours))


def silence(world: World, **fault: Any) -> None:
    """Stripe makes the refund, and its answer gets lost: at the first try and both repetitions."""
    lost = {"area": "api", "kind": "drop", "when": "after", "path": REFUNDS, "method": "POST", "count": 3}
    world.control("faults", lost | fault)


def last_entry(order: Order) -> str:
    entry = order.timeline.filter(kind="by_hand").last()
    return entry.detail if entry else ""


@pytest.mark.parametrize(
    "price, currency", [(1250, "usd"), (1999, "eur"), (500, "jpy"), (5120, "kwd"), (50_000, "isk"), (9000, "krw")]
)
def test_f60_everything_goes_back_in_every_kind_of_currency(
    world: World, owner: User, price: int, currency: str
) -> None:
    order = paid(world, price=price, currency=currency)
    [row] = ask(order, owner)
    order.refresh_from_db()
    assert (row.state, row.amount, row.answer) == ("made", price, "succeeded")
    assert at_stripe(order) == [(price, "succeeded")]
    assert (order.refunded, order.lines.get().refunded, access(order)) == (price, price, ["revoked"])
    assert refunds.left(order) == 0


def test_f60_amounts_add_up_and_access_ends_with_the_last(world: World, owner: User) -> None:
    order = paid(world)
    ask(order, owner, amount=250)
    order.refresh_from_db()
    assert (order.refunded, access(order), refunds.left(order)) == (250, ["active"], 1000)
    ask(order, owner)
    order.refresh_from_db()
    assert (order.refunded, access(order)) == (1250, ["revoked"])
    assert sorted(at_stripe(order)) == [(250, "succeeded"), (1000, "succeeded")]
    with pytest.raises(refunds.RefundRefused, match="nothing left"):
        ask(order, owner)


def test_f60_refund_of_a_line_ends_that_lines_access_alone(world: World, owner: User) -> None:
    order = paid_with_two_lines(world)
    first, second = order.lines.all()
    [row] = ask(order, owner, lines=[second.pk])
    second.refresh_from_db()
    assert (row.line, row.amount, row.state) == (second, 800, "made")
    assert (access(order), refunds.line_left(first), refunds.line_left(second)) == (["active", "revoked"], 1250, 0)
    with pytest.raises(refunds.RefundRefused, match="given back already"):
        ask(order, owner, lines=[second.pk])
    ask(order, owner, lines=[first.pk])
    order.refresh_from_db()
    assert (order.refunded, access(order)) == (2050, ["revoked", "revoked"])


def test_f60_two_lines_of_one_form_are_two_refunds(world: World, owner: User) -> None:
    order = paid_with_two_lines(world)
    rows = ask(order, owner, lines=[line.pk for line in order.lines.all()])
    assert [row.amount for row in rows] == [1250, 800]
    assert sorted(at_stripe(order)) == [(800, "succeeded"), (1250, "succeeded")]


def test_f60_refund_that_fails_later_computes_back(world: World, owner: User) -> None:
    order = paid(world)
    [row] = ask(order, owner)
    world.control(f"refund/{row.stripe_refund_id}/fail", {})
    fulfill(str(order.stripe_session_id), door="webhook")
    order.refresh_from_db()
    assert (order.refunded, access(order), refunds.left(order)) == (0, ["active"], 1250)
    ask(order, owner)
    order.refresh_from_db()
    assert (order.refunded, access(order)) == (1250, ["revoked"])


def test_line_of_another_order_is_refused(world: World, owner: User) -> None:
    order, other = paid(world), paid(world)
    with pytest.raises(refunds.RefundRefused):
        ask(order, owner, lines=[other.lines.get().pk])
    assert RefundRequest.objects.count() == 0


def test_who_asked_and_why_stands_in_the_timeline(world: World, owner: User) -> None:
    order = paid(world)
    ask(order, owner, amount=250)
    kinds = list(order.timeline.values_list("kind", "door", "detail"))
    asked = f"refund of $2.50 asked, the customer asked for it: {NOTE} – o…@example.com (user {owner.pk})"
    assert kinds[-2:] == [("by_hand", "admin", asked), ("refunded", "admin", "$2.50 of $12.50")]


def test_row_is_committed_before_stripe_is_asked(world: World, owner: User) -> None:
    order = paid(world)
    row = refunds.request(order.pk, key=uuid.uuid4(), by=owner, reason="duplicate", note=NOTE).rows[0]
    assert (row.state, row.attempts, at_stripe(order)) == ("waiting", 0, [])
    assert refunds.left(order) == 0


@pytest.mark.parametrize(
    "before, left, words",
    [
        (lambda world, order: world.control("refund", {"session": order}), 0, "given back already"),
        (lambda world, order: world.control("refund", {"session": order, "amount": 1000}), 250, "more than is left"),
        (lambda world, order: world.control("dispute", {"session": order}), 1250, "disputed this payment"),
        (
            lambda world, _order: world.control(
                "faults",
                {"area": "api", "kind": "error", "path": REFUNDS, "status": 400, "error_code": "balance_insufficient"},
            ),
            1250,
            "too little money in your Stripe balance",
        ),
    ],
)
def test_s60_what_stripe_refuses_is_said_in_plain_words_and_kept(
    world: World, owner: User, before: Callable[[World, str], Any], left: int, words: str
) -> None:
    order = paid(world)
    before(world, str(order.stripe_session_id))
    [row] = ask(order, owner)
    assert row.state == "refused"
    assert words in row.answer
    assert last_entry(order) == f"refund of $12.50 refused: {row.answer}"
    order.refresh_from_db()
    assert (
        refunds.left(order) == left
    )  # the order has learned what Stripe knew, and what was refused holds nothing back


def test_lost_answer_is_found_again_and_makes_no_second_refund(world: World, owner: User) -> None:
    order = paid(world)
    silence(world)
    [row] = ask(order, owner, amount=250)
    assert (row.state, row.stripe_refund_id, refunds.left(order)) == ("waiting", None, 1000)
    due_again(row)
    assert sweep().refunds == 1
    row.refresh_from_db()
    order.refresh_from_db()
    assert (row.state, order.refunded, at_stripe(order)) == ("made", 250, [(250, "succeeded")])
    assert sweep().refunds == 0


def test_same_key_is_the_same_refund_at_stripe(world: World) -> None:
    """Where Stripe's list lags behind, the key alone holds."""
    order = paid(world)
    asked: dict[str, Any] = {"amount": 250, "reason": "duplicate", "metadata": {}, "key": "refund-one"}
    first, second = (
        stripe_desk.create_refund(payment_intent_id=str(order.stripe_payment_intent_id), **asked) for _ in range(2)
    )
    assert (first, at_stripe(order)) == (second, [(250, "succeeded")])


def test_lost_answer_is_found_when_stripe_has_forgotten_the_key(world: World, owner: User) -> None:
    order = paid(world)
    silence(world)
    [row] = ask(order, owner, amount=250)
    due_again(row, hours=30)
    assert carry_out(row.pk)
    row.refresh_from_db()
    assert (row.state, at_stripe(order)) == ("made", [(250, "succeeded")])


def test_request_that_never_reached_stripe_is_asked_again_for_a_day_only(world: World, owner: User) -> None:
    order = paid(world)
    silence(world, when="before")
    [row] = ask(order, owner, amount=250)
    due_again(row, hours=24)
    assert carry_out(row.pk)
    row.refresh_from_db()
    assert (row.state, at_stripe(order)) == ("refused", [])
    assert "no refund was made" in row.answer


def test_request_that_never_reached_stripe_is_made_by_the_sweep(world: World, owner: User) -> None:
    order = paid(world)
    silence(world, when="before")
    [row] = ask(order, owner, amount=250)
    assert sweep().refunds == 0  # its page may still be at work
    due_again(row)
    assert sweep().refunds == 1
    assert at_stripe(order) == [(250, "succeeded")]


def test_waits_grow_while_stripe_is_silent(world: World, owner: User) -> None:
    order = paid(world)
    world.control("faults", {"area": "api", "kind": "error", "status": 503, "path": REFUNDS})
    [row] = ask(order, owner, amount=250)
    waits = []
    for _ in range(3):
        row.refresh_from_db()
        waits.append(round((row.next_attempt_at - timezone.now()).total_seconds()))
        due_again(row)
        carry_out(row.pk)
    assert waits == [5, 30, 120]


def test_accepted_refund_is_entered_after_a_crash(world: World, owner: User) -> None:
    """Stripe has answered, and the process died before the order heard of it."""
    order = paid(world)
    row = refunds.request(order.pk, key=uuid.uuid4(), by=owner, reason="duplicate", note=NOTE, amount=250).rows[0]
    claimed = refunds.claim(row.pk)
    assert claimed
    refunds.ask(claimed)
    assert (claimed.state, refunds.left(order)) == ("accepted", 1000)
    assert not carry_out(row.pk)  # the dead one's lease
    due_again(row)
    assert sweep().refunds == 1
    row.refresh_from_db()
    order.refresh_from_db()
    assert (row.state, order.refunded, refunds.left(order)) == ("made", 250, 1000)


def test_form_sent_twice_is_one_refund_even_with_other_choices(world: World, owner: User) -> None:
    order = paid(world)
    key = uuid.uuid4()
    [first] = ask(order, owner, key=key, amount=250)
    [again] = ask(order, owner, key=key, amount=900)
    assert (again, at_stripe(order)) == (first, [(250, "succeeded")])
    with pytest.raises(refunds.RefundRefused, match="another order"):
        ask(paid(world), owner, key=key)


def test_order_without_a_payment_at_stripe_has_nothing_to_give_back(owner: User) -> None:
    for order in (OrderFactory(), OrderFactory(state="paid", source="free", total=0)):
        with pytest.raises(refunds.RefundRefused, match="no payment at Stripe"):
            ask(order, owner)


def test_requests_of_the_other_mode_are_left_alone(world: World, owner: User) -> None:
    order = paid(world)
    row = refunds.request(order.pk, key=uuid.uuid4(), by=owner, reason="duplicate", note=NOTE).rows[0]
    due_again(row)
    Order.objects.update(livemode=True)
    assert refunds.due() == []


@pytest.fixture
def roomy_pool(settings: Settings) -> Iterator[None]:
    """As many connections as there are threads."""
    pool = connection.settings_dict["OPTIONS"]["pool"]
    before = dict(pool)
    pool.update(max_size=40, timeout=10)
    connection.close_pool()  # type: ignore[attr-defined]
    yield
    pool.update(before)
    connection.close_pool()  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("roomy_pool")
def test_s60_two_people_at_once_never_give_back_more_than_was_paid(world: World, owner: User) -> None:
    order = paid(world)

    def try_to() -> str:
        try:
            return ask(order, owner, amount=1000)[0].state
        except refunds.RefundRefused as refused:
            return str(refused)

    results = at_once(*[try_to] * 6)
    # For the moment between the order's own figure and the request's last state a refund counts twice: $0.00.
    left = {"Only $2.50 is left to give back.", "Only $0.00 is left to give back."}
    assert sorted(one in left for one in results) == [False, *[True] * 5]
    assert at_stripe(order) == [(1000, "succeeded")]
    assert RefundRequest.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("roomy_pool")
def test_s60_ten_copies_of_one_form_at_once_are_one_refund(world: World, owner: User) -> None:
    order = paid(world)
    key = uuid.uuid4()
    at_once(*[lambda: ask(order, owner, key=key, amount=250)] * 10)
    assert (at_stripe(order), RefundRequest.objects.count()) == ([(250, "succeeded")], 1)
    assert RefundRequest.objects.get().state == "made"
