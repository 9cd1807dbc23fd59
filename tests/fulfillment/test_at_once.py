"""Real concurrency: every door at the same time, on real connections. One order, one entitlement, one mail."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from fulfillment import inbox, links, outbox
from fulfillment.buying import give_free
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement, StripeEvent
from fulfillment.sweep import sweep
from orders import checkout
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.steps import GUEST, buy, events, post_event

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run all acts in threads that start together; their results, in the order given."""
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


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


@pytest.mark.usefixtures("roomy_pool")
def test_f5_f35_twenty_copies_with_success_page_and_sweep_make_one_delivery(
    smtp: World, client: Client, settings: Settings, drain: Callable[[], int]
) -> None:
    """The copies arrive together, are handled together, and the buyer's page and two sweeps join in."""
    settings.OPEN_ORDER_SECONDS = 0
    order = buy(smtp, client, ProductFactory())
    event = events(smtp, "checkout.session.completed")[0]
    statuses = at_once(*[lambda: post_event(Client(), event).status_code] * 20)
    assert statuses == [200] * 20
    assert StripeEvent.objects.count() == 1
    page = f"/checkout/done/?session_id={order.stripe_session_id}"
    handlers = [lambda: inbox.handle(event["id"])] * 8
    at_once(*handlers, lambda: client.get(page).status_code, sweep, sweep)
    drain()
    sweep()
    order.refresh_from_db()
    assert (order.state, Order.objects.count()) == ("paid", 1)
    assert Entitlement.objects.count() == 1
    assert list(Delivery.objects.values_list("state", "attempts")) == [("sent", 1)]
    assert len(smtp.mails(to=GUEST)) == 1
    assert StripeEvent.objects.get().state == "handled"


@pytest.mark.usefixtures("roomy_pool")
def test_f43_two_endpoints_with_different_event_ids_make_one_delivery(
    world: World, client: Client, settings: Settings
) -> None:
    """The session decides, not the id of the event."""
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_first_endpoint_1", "whsec_second_endpoint"]
    buy(world, client, ProductFactory())
    event = events(world, "checkout.session.completed")[0]
    copies = [event | {"id": f"evt_copy_{number}"} for number in range(10)]
    for number, copy in enumerate(copies):
        secret = settings.STRIPE_WEBHOOK_SECRETS[number % 2]
        assert post_event(client, copy, secret=secret).status_code == 200
    at_once(*[lambda copy=copy: inbox.handle(copy["id"]) for copy in copies])
    for _ in range(5):  # whoever met too much progress of others has put itself off
        StripeEvent.objects.filter(state="received").update(next_attempt_at=Order.objects.get().created_at)
        sweep()
    assert (Order.objects.count(), Entitlement.objects.count(), Delivery.objects.count()) == (1, 1, 1)
    assert set(StripeEvent.objects.values_list("state", flat=True)) == {"handled"}


@pytest.mark.usefixtures("roomy_pool")
def test_f71_twenty_clicks_at_once_open_one_session(world: World) -> None:
    product = ProductFactory()
    began = at_once(*[lambda: checkout.begin(product, user=None, browser="one browser")[1]] * 20)
    assert len(set(began)) == 1
    assert Order.objects.count() == 1
    assert len(world.control("ledger")["sessions"]) == 1


@pytest.mark.usefixtures("roomy_pool")
def test_f13_eight_senders_send_each_mail_once(smtp: World) -> None:
    made = [
        Delivery.objects.create(
            order=OrderFactory(state=Order.State.PAID, email=f"r{n}@example.com"),
            kind="order",
            recipient=f"r{n}@example.com",
        ).pk
        for n in range(10)
    ]
    at_once(*[lambda: [outbox.send(pk) for pk in made]] * 8)
    assert set(Delivery.objects.values_list("state", "attempts")) == {("sent", 1)}
    assert len(smtp.mails()) == 10


@pytest.mark.usefixtures("roomy_pool")
def test_f13_eight_workers_handle_each_event_once() -> None:
    """They lead to no session, so each is tried and put off: twice would show."""
    made = [f"evt_{n}" for n in range(100)]
    StripeEvent.objects.bulk_create(
        StripeEvent(event_id=event_id, type="checkout.session.completed", object_id="none", body=b"{}")
        for event_id in made
    )
    at_once(*[lambda: [inbox.handle(event_id) for event_id in made]] * 8)
    assert set(StripeEvent.objects.values_list("attempts", flat=True)) == {1}


@pytest.mark.usefixtures("roomy_pool")
def test_free_product_taken_ten_times_at_once_is_one_order() -> None:
    product, user = ProductFactory(price=0), UserFactory()
    at_once(*[lambda: give_free(product, user)] * 10)
    assert (Order.objects.count(), Entitlement.objects.count()) == (1, 1)


@pytest.mark.usefixtures("roomy_pool")
def test_f72_ten_fresh_links_at_once_are_one_mail(client: Client) -> None:
    order = OrderFactory(state=Order.State.PAID, email=GUEST)
    answers = at_once(*[lambda: Client().post(f"/links/{links.token(order)}/fresh/").status_code] * 10)
    assert answers == [200] * 10
    assert Delivery.objects.count() == 1
