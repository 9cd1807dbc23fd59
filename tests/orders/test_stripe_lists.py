"""What lists say about many payments is what Stripe says about each of them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from fulfillment import event_types
from orders import stripe_api, stripe_lists
from orders.facts import Facts
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.steps import buy, pay_by_link

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def listed() -> dict[str, Facts]:
    since = timezone.now() - DAY
    pages = stripe_lists.complete_facts(since, stripe_lists.taken_back(since))
    return {facts.session_id: facts for page in pages for facts in page}


def test_listed_facts_are_those_of_each_session_but_for_its_lines(world: World) -> None:
    """Paid, refunded twice, disputed, on its way, by a link, for nothing."""
    orders = [buy(world, Client(), ProductFactory()) for _ in range(3)]
    refunded, disputed = orders[1].stripe_session_id, orders[2].stripe_session_id
    for amount in (100, 200):
        world.control("refund", {"session": refunded, "amount": amount})
    world.control("dispute", {"session": disputed})
    debit = buy(world, Client(), ProductFactory(), method="bank_debit")
    links = [pay_by_link(world, slug="knots"), pay_by_link(world, slug="free", amount=0)]
    sessions = [*(str(order.stripe_session_id) for order in (*orders, debit)), *links]
    found = listed()
    assert sorted(found) == sorted(sessions)
    for session_id in sessions:
        assert sorted_refunds(found[session_id]) == replace(stripe_api.fetch_facts(session_id), lines=())
    assert sorted(refund.amount for refund in found[str(refunded)].refunds) == [100, 200]
    assert [dispute.status for dispute in found[str(disputed)].disputes] == ["needs_response"]


def sorted_refunds(facts: Facts) -> Facts:
    return replace(facts, refunds=tuple(sorted(facts.refunds, key=lambda refund: refund.id)))


def test_taken_back_tells_all_that_was_given_back_of_a_payment(world: World) -> None:
    order = buy(world, Client(), ProductFactory())
    refunds = [world.control("refund", {"session": order.stripe_session_id, "amount": amount}) for amount in (100, 250)]
    world.control(f"refund/{refunds[0]['id']}/fail", {})
    [back] = stripe_lists.taken_back(timezone.now() - DAY).values()
    assert sorted((refund.amount, refund.status) for refund in back.refunds) == [(100, "failed"), (250, "succeeded")]
    assert back.refunded == 250
    assert stripe_lists.taken_back(timezone.now() + DAY) == {}


def test_what_happened_lately_names_the_payment(world: World) -> None:
    order = buy(world, Client(), ProductFactory())
    world.control("refund", {"session": order.stripe_session_id})
    intent_id = stripe_api.fetch_facts(str(order.stripe_session_id)).payment_intent_id
    found = {one.type: one.about for one in stripe_lists.happened(timezone.now() - DAY, event_types.TYPES)}
    assert found == {
        "payment_intent.succeeded": intent_id,
        "checkout.session.completed": order.stripe_session_id,
        "refund.created": intent_id,
        "charge.refunded": intent_id,
        "refund.updated": intent_id,
    }


@pytest.mark.parametrize("path", ["/v1/refunds", "/v1/disputes"])
def test_list_that_cannot_be_read_raises(world: World, path: str) -> None:
    world.control("faults", {"area": "api", "kind": "error", "status": 429, "path": path})
    with pytest.raises(stripe_api.StripeUnavailable):
        stripe_lists.taken_back(timezone.now() - DAY)
