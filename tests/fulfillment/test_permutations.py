"""Events of one life, delivered in every order there is, end where Stripe's own ledger is."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import factorial
from typing import Any, TypeVar

import pytest
from django.db import transaction
from django.test import Client

from fulfillment import inbox
from fulfillment.converge import converge
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement, StripeEvent
from orders import stripe_api
from orders.facts import Facts
from orders.history import recorded
from orders.models import Order, TimelineEntry
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.steps import begin_checkout, buy, events, pay

pytestmark = pytest.mark.django_db

End = tuple[Any, ...]
T = TypeVar("T")
E = TypeVar("E")


class _Undo(Exception):
    """Takes a trial back, so that the next one begins where this one did."""


def every_order(things: Sequence[T], act: Callable[[T], object], seen: Callable[[], E]) -> list[E]:
    """What is seen after acting on all things, for each order there is. What two orders begin with is done once."""
    if not things:
        return [seen()]
    ends = []
    for first in things:
        try:
            with transaction.atomic():
                act(first)
                ends += every_order([thing for thing in things if thing is not first], act, seen)
                raise _Undo
        except _Undo:
            pass
    return ends


def end_of(order: Order) -> End:
    """How an order stands: its own axes, the access of each line, and the mails, each once."""
    order.refresh_from_db()
    rights = Entitlement.objects.filter(order_line__order=order).order_by("order_line")
    assert StripeEvent.objects.exclude(state="handled").count() == 0
    return (
        order.state,
        order.refunded,
        order.dispute,
        tuple(rights.values_list("state", flat=True)),
        tuple(sorted(order.deliveries.values_list("kind", "seq"))),
    )


def all_orders_of(world: World, order: Order, *types: str) -> set[End]:
    """The ends that come of one event of each type, handled in all possible orders; held against the ledger."""

    def arrive(body: bytes) -> None:
        event_id = inbox.store(body)
        assert event_id
        assert inbox.handle(event_id) is True

    def seen() -> End:
        chain(order)
        return end_of(order)

    bodies = [json.dumps(events(world, kind)[-1]).encode() for kind in types]
    ends = every_order(bodies, arrive, seen)
    assert len(ends) == factorial(len(types))
    row = next(one for one in world.control("ledger")["sessions"] if one["session"] == order.stripe_session_id)
    assert {(state == "paid", refunded) for state, refunded, *_ in ends} == {(row["paid"], row["refunded"])}
    assert {dispute for _, _, dispute, *_ in ends} == {row["dispute_status"] or ""}
    return set(ends)


def chain(order: Order) -> None:
    """I10: the history of the state begins where orders begin, has no gap, and ends where the order is."""
    order.refresh_from_db()
    labels = [recorded(Order.State.OPEN)]
    for detail in order.timeline.filter(kind=TimelineEntry.Kind.STATE).values_list("detail", flat=True):
        before, _, after = detail.partition(" → ")
        assert before == labels[-1]
        labels.append(after)
    assert labels[-1] == recorded(Order.State(order.state))
    assert set(pairwise(labels)) <= {(recorded(one), recorded(other)) for one, other in ALLOWED}


S = Order.State
ALLOWED = {
    (S.OPEN, S.PROCESSING), (S.OPEN, S.PAID), (S.OPEN, S.FAILED), (S.OPEN, S.EXPIRED), (S.PROCESSING, S.PAID),
    (S.PROCESSING, S.FAILED), (S.FAILED, S.PAID), (S.FAILED, S.PROCESSING),
}  # fmt: skip


def test_f45_f17_all_120_orders_of_a_lifes_five_events_end_as_the_ledger(world: World, client: Client) -> None:
    """Paid, disputed and won, then refunded in full."""
    order = buy(world, client, ProductFactory())
    dispute = world.control("dispute", {"session": order.stripe_session_id})
    world.control(f"dispute/{dispute['id']}/close", {"status": "won"})
    world.control("refund", {"session": order.stripe_session_id})
    ends = all_orders_of(
        world,
        order,
        "checkout.session.completed",
        "payment_intent.succeeded",
        "charge.dispute.created",
        "charge.refunded",
        "refund.updated",
    )
    assert ends == {("paid", 1250, "won", ("revoked",), (("order", 1), ("refund", 1)))}


@pytest.mark.parametrize("status, access", [("won", "active"), ("lost", "suspended")])
def test_f61_all_24_orders_of_refund_dispute_close_and_failing_refund(
    world: World, client: Client, status: str, access: str
) -> None:
    order = buy(world, client, ProductFactory())
    made = world.control("refund", {"session": order.stripe_session_id, "amount": 400})
    dispute = world.control("dispute", {"session": order.stripe_session_id, "amount": 850})
    world.control(f"dispute/{dispute['id']}/close", {"status": status})
    world.control(f"refund/{made['id']}/fail", {})
    ends = all_orders_of(
        world, order, "refund.created", "charge.dispute.created", "charge.dispute.closed", "refund.failed"
    )
    # The refund had failed by the time anybody asked: there was nothing to tell.
    assert ends == {("paid", 0, status, (access,), (("order", 1),))}


@pytest.fixture
def life(world: World, client: Client) -> tuple[Order, list[Facts]]:
    """What Stripe answered after each act of one life: on its way, paid, disputed, won, refunded."""
    order = begin_checkout(client, ProductFactory())
    session_id = str(order.stripe_session_id)
    pay(world, order, method="bank_debit")
    answers = [stripe_api.fetch_facts(session_id)]
    world.control(f"settle/{session_id}", {"result": "succeeded"})
    answers.append(stripe_api.fetch_facts(session_id))
    dispute = world.control("dispute", {"session": session_id})
    answers.append(stripe_api.fetch_facts(session_id))
    world.control(f"dispute/{dispute['id']}/close", {"status": "won"})
    answers.append(stripe_api.fetch_facts(session_id))
    world.control("refund", {"session": session_id})
    answers.append(stripe_api.fetch_facts(session_id))
    return order, answers


def test_f17_answers_that_overtake_each_other_end_as_the_last_one(life: tuple[Order, list[Facts]]) -> None:
    """Five workers asked Stripe one after the other, none having seen another's work, and write in each of 120 orders.

    Who comes second is stale and asks again, which by now gives the last answer.
    """
    order, answers = life
    assert len({facts.digest for facts in answers}) == 5

    def write(facts: Facts) -> None:
        if converge(facts, seen=0, door="test").stale:
            converge(answers[-1], seen=version(order), door="test")

    def seen() -> End:
        chain(order)
        return end_of(order)

    ends = every_order(answers, write, seen)
    assert len(ends) == 120
    once = (("order", 1), ("refund", 1))
    # Whoever asked while the money was on its way had something to say; the mail is withdrawn when its turn comes.
    assert set(ends) == {("paid", 1250, "won", ("revoked",), mails) for mails in (once, (*once, ("waiting", 1)))}


def version(order: Order) -> int:
    return Order.objects.facts_version(str(order.stripe_session_id))


def test_i10_history_is_a_chain_whatever_was_missed(life: tuple[Order, list[Facts]]) -> None:
    order, answers = life
    for missing in range(5):
        with transaction.atomic():
            for facts in [one for number, one in enumerate(answers) if number != missing]:
                converge(facts, seen=version(order), door="test")
            chain(order)
            transaction.set_rollback(True)
    fulfill(str(order.stripe_session_id), door="test")
    details = order.timeline.filter(kind="state").values_list("detail", flat=True)
    assert list(details) == ["open → paid"]
