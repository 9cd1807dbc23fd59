"""Many events at once: each handled once, several at a time, in any number of workers."""

import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from fulfillment import burst
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement, StripeEvent
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.fulfillment.test_at_once import at_once, roomy_pool  # noqa: F401 - a fixture
from tests.steps import buy, report

pytestmark = pytest.mark.django_db(transaction=True)


def bought(world: World, client: Client, number: int) -> None:
    for _ in range(number):
        buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")


def test_f1_all_that_is_due_is_handled(world: World, client: Client, drain: Callable[[], int]) -> None:
    bought(world, client, 5)
    assert burst.handle_events() == 5
    assert burst.handle_events() == 0
    assert list(Order.objects.values_list("state", flat=True)) == ["paid"] * 5
    assert (Entitlement.objects.count(), Delivery.objects.count()) == (5, 5)


def test_f16_waits_for_stripe_happen_at_the_same_time(world: World, client: Client, drain: Callable[[], int]) -> None:
    bought(world, client, 8)
    world.control("faults", {"area": "api", "kind": "timeout", "seconds": 0.4, "path": "/v1/checkout"})
    began = time.perf_counter()
    assert burst.handle_events() == 8
    assert time.perf_counter() - began < 8 * 0.4 / 2


def test_event_that_is_held_or_put_off_is_left_alone(world: World, client: Client, drain: Callable[[], int]) -> None:
    bought(world, client, 2)
    held = StripeEvent.objects.first()
    assert held is not None
    held.next_attempt_at = timezone.now() + timedelta(seconds=60)
    held.save()
    assert burst.handle_events() == 1
    held.refresh_from_db()
    assert (held.state, held.attempts) == ("received", 0)


def test_f70_one_that_fails_holds_up_no_other(world: World, client: Client, drain: Callable[[], int]) -> None:
    bought(world, client, 3)
    StripeEvent.objects.create(
        event_id="evt_0", type="charge.refunded", object_id="ch_1", body=json.dumps({"data": 1}).encode() + b"}"
    )
    assert burst.handle_events() == 3
    failed = StripeEvent.objects.get(event_id="evt_0")
    assert (failed.state, failed.attempts, failed.note.split(":")[0]) == ("received", 1, "JSONDecodeError")


@pytest.mark.usefixtures("roomy_pool")
def test_f13_workers_share_a_burst_and_meet_at_no_row(world: World, client: Client, drain: Callable[[], int]) -> None:
    bought(world, client, 30)
    shares = at_once(*[burst.handle_events] * 3)
    assert sum(shares) == 30
    assert set(StripeEvent.objects.values_list("state", "attempts")) == {("handled", 1)}
    assert set(Order.objects.values_list("state", "facts_version")) == {("paid", 1)}


def test_f13_f33_mails_leave_several_at_a_time_and_each_once(
    smtp: World, client: Client, drain: Callable[[], int]
) -> None:
    bought(smtp, client, 8)
    assert burst.handle_events() == 8
    smtp.control("faults", {"area": "mail", "kind": "slow", "seconds": 0.4})
    began = time.perf_counter()
    assert burst.send_mails() == 8
    assert time.perf_counter() - began < 8 * 0.4 / 2
    assert set(Delivery.objects.values_list("state", "attempts")) == {("sent", 1)}
    assert len(smtp.mails()) == 8
