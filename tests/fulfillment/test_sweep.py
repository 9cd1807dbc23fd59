"""The backstop delivers everything alone, whatever became of Celery and its broker."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from catalog.models import Product
from fulfillment.fulfill import fulfill
from fulfillment.models import Delivery, Entitlement, StripeEvent
from fulfillment.sweep import Swept, sweep, sweep_money
from orders.models import Order
from sandbox.parts import web_command
from sandbox.world.server import World, free_port
from tests.factories import ProductFactory
from tests.steps import GUEST, begin_checkout, buy, events, pay_by_link, report, signed

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]


def test_stored_event_is_handled_and_its_mail_sent(world: World, client: Client) -> None:
    """F4, F11"""
    buy(world, client, ProductFactory())
    report(world, client)
    swept = sweep()
    assert swept.events >= 1
    assert (swept.mails, swept.failed) == (1, 0)
    assert (Entitlement.objects.get().state, Delivery.objects.get().state) == ("active", "sent")
    assert mail.outbox[0].to == [GUEST]


def test_order_nobody_told_us_about_is_asked_for_after_a_minute(world: World, client: Client) -> None:
    """F37, F40: no webhook, no success page."""
    order = buy(world, client, ProductFactory())
    assert sweep().orders == 0
    Order.objects.update(next_check_at=timezone.now())
    assert sweep().orders == 1
    order.refresh_from_db()
    assert (order.state, order.next_check_at, Delivery.objects.get().state) == ("paid", None, "sent")


def test_abandoned_checkout_is_asked_about_less_and_less(world: World, client: Client) -> None:
    order = begin_checkout(client, ProductFactory())
    waits = []
    for age in (0, 1, 2, 60, 600):
        created_at = timezone.now() - timedelta(minutes=age)
        Order.objects.update(next_check_at=timezone.now(), created_at=created_at, asked_at=None)
        sweep()
        client.get(
            f"/checkout/done/?session_id={order.stripe_session_id}"
        )  # a page that looks as well does not put the sweep off
        order.refresh_from_db()
        assert order.next_check_at is not None
        waits.append(round((order.next_check_at - timezone.now()).total_seconds() / 60))
    assert waits == [1, 1, 2, 60, 360]
    world.control(f"expire/{order.stripe_session_id}", {})
    Order.objects.update(next_check_at=timezone.now())
    sweep()
    order.refresh_from_db()
    assert (order.state, order.next_check_at) == ("expired", None)


def test_order_whose_session_we_never_heard_of_is_found(world: World, client: Client) -> None:
    """F71: Stripe made the session, the answer got lost, and yet it was paid."""
    order = buy(world, client, ProductFactory())
    Order.objects.update(stripe_session_id=None, checkout_url="", next_check_at=timezone.now())
    sweep()
    order.refresh_from_db()
    assert (order.state, Order.objects.count()) == ("paid", 1)


def test_session_that_the_key_does_not_know_stays_due_and_is_shown(world: World, client: Client) -> None:
    """The key of another account: nothing may be forgotten because of it."""
    order = buy(world, client, ProductFactory())
    session_id = order.stripe_session_id
    Order.objects.update(stripe_session_id="cs_test_elsewhere", next_check_at=timezone.now())
    sweep()
    order.refresh_from_db()
    assert order.attention.startswith("Stripe refuses to speak of its session: ")
    assert order.next_check_at is not None
    Order.objects.update(stripe_session_id=session_id, next_check_at=timezone.now())
    sweep()
    order = Order.objects.get()
    assert (order.state, order.attention, order.next_check_at) == ("paid", "", None)


def test_paid_order_for_a_person_is_delivered_once_it_can_be(world: World, client: Client) -> None:
    """B2: the product was made after the payment, and nobody needs to know a command."""
    fulfill(pay_by_link(world, slug="not-there-yet"), door="test")
    assert Order.objects.get().next_check_at is not None
    ProductFactory(slug="not-there-yet")
    Order.objects.update(next_check_at=timezone.now())
    sweep()
    order = Order.objects.get()
    assert (order.attention, order.next_check_at, Delivery.objects.get().state) == ("", None, "sent")


def test_file_that_is_gone_is_looked_for_once(world: World, client: Client) -> None:
    product = ProductFactory()
    storages["default"].delete(product.editions.get().files.get().key)
    assert sweep().failed == 0
    assert not Product.objects.wanting_cover().exists()


def test_pass_ends_between_two_rows_when_it_is_told_to(world: World, client: Client) -> None:
    """F65"""
    buy(world, client, ProductFactory())
    Order.objects.update(next_check_at=timezone.now())
    swept = Swept(stopping=lambda: True)
    sweep_money(swept)
    assert swept.work == 0


def test_stripe_away_leaves_the_order_for_later_and_the_others_go_on(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    Order.objects.update(next_check_at=timezone.now())
    Delivery.objects.create(order=order, kind="link", recipient=GUEST)
    world.control("faults", {"area": "api", "kind": "error", "status": 500})
    swept = sweep()
    assert (swept.orders, swept.failed, swept.mails) == (0, 1, 1)
    order.refresh_from_db()
    assert order.next_check_at is not None
    assert timedelta(seconds=50) < order.next_check_at - timezone.now() <= timedelta(seconds=60)


def test_young_rows_are_left_to_the_worker(world: World, client: Client, settings: Settings) -> None:
    settings.SWEEP_GRACE_SECONDS = 5
    buy(world, client, ProductFactory())
    report(world, client)
    assert sweep().work == 0


def test_one_poisonous_event_does_not_stop_the_others(world: World, client: Client) -> None:
    """F70"""
    buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    for number in range(3):
        StripeEvent.objects.create(
            event_id=f"evt_poison_{number}",
            type="charge.refunded",
            body=b"not json",
            next_attempt_at=timezone.now() - timedelta(hours=1),
        )
    sweep()
    assert StripeEvent.objects.get(type="checkout.session.completed").state == "handled"
    assert set(StripeEvent.objects.filter(type="charge.refunded").values_list("state", "attempts")) == {("received", 1)}


def test_product_without_cover_is_looked_after(world: World) -> None:
    product = ProductFactory()  # its bytes are no PDF anybody could draw
    sweep()
    product.refresh_from_db()
    assert (product.cover, product.cover_failed) == ("", True)
    assert not Product.objects.wanting_cover().exists()


def test_sweeping_twice_changes_nothing(world: World, client: Client) -> None:
    """F68, I20"""
    buy(world, client, ProductFactory())
    report(world, client)
    sweep()
    before = [list(model.objects.order_by("pk").values()) for model in (Order, Entitlement, Delivery, StripeEvent)]
    assert sweep().work == 0
    assert before == [
        list(model.objects.order_by("pk").values()) for model in (Order, Entitlement, Delivery, StripeEvent)
    ]


def test_command_prints_counts_and_ends_nonzero_when_something_failed(world: World, client: Client) -> None:
    out = StringIO()
    call_command("sweep", stdout=out)
    assert out.getvalue() == "swept: 0 events, 0 orders, 0 mails, 0 covers; 0 to try again\n"
    buy(world, client, ProductFactory())
    Order.objects.update(next_check_at=timezone.now())
    world.control("faults", {"area": "api", "kind": "error", "status": 500})
    with pytest.raises(SystemExit) as ended:
        call_command("sweep", stdout=out)
    assert ended.value.code == 1


@contextmanager
def frozen_broker() -> Iterator[str]:
    """Accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"redis://127.0.0.1:{silent.getsockname()[1]}/0"


@contextmanager
def refused_broker() -> Iterator[str]:
    yield "redis://127.0.0.1:9/0"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("broker", [refused_broker, frozen_broker])
def test_webhook_answers_without_a_broker_and_the_sweep_delivers(
    smtp: World, client: Client, broker: Callable[[], AbstractContextManager[str]]
) -> None:
    """F8, F11: real processes, and no Celery anywhere. The interval of the sweep is the one of production."""
    buy(smtp, client, ProductFactory())
    event = events(smtp, "checkout.session.completed")[0]
    with broker() as url:
        environment = {**process_environment(smtp), "CELERY_BROKER_URL": url, "SWEEP_GRACE_SECONDS": "2"}
        with web_process(environment) as address, sweep_process(environment) as sweeping:
            took = [post_over_http(address, event) for _ in range(3)]
            wait_until(lambda: len(smtp.mails(to=GUEST)) == 1)
            sweeping.send_signal(signal.SIGTERM)
            output, _ = sweeping.communicate(timeout=10)
    assert max(took) < 1.5
    assert sweeping.returncode == 0, output
    assert "swept: 1 events" in output
    assert (Entitlement.objects.get().state, Delivery.objects.get().state) == ("active", "sent")


def post_over_http(address: str, event: dict[str, Any]) -> float:
    """Seconds until the shop acknowledged the event."""
    body = json.dumps(event).encode()
    headers = {"Stripe-Signature": signed(body), "Content-Type": "application/json"}
    began = time.monotonic()
    with urllib.request.urlopen(urllib.request.Request(f"{address}/webhooks/stripe/", body, headers)) as answer:
        assert answer.status == 200
    return time.monotonic() - began


@contextmanager
def web_process(environment: dict[str, str]) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(web_command("storefront.wsgi:application", port), cwd=ROOT, env=environment)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def sweep_process(environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "manage.py", "sweep", "--watch", "5"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"did not come true in {seconds:g} seconds"
        time.sleep(0.05)


def process_environment(world: World) -> dict[str, str]:
    """The environment of a process of its own that works on this test's database, Stripe and mailbox."""
    database = os.environ["DATABASE_URL"].rpartition("/")[0] + "/" + connection.settings_dict["NAME"]
    return os.environ | {
        "DATABASE_URL": database,
        "STRIPE_API_BASE": world.base_url,
        "STRIPE_SECRET_KEY": world.secret_key,
        "EMAIL_URL": f"smtp://127.0.0.1:{world.smtp_port}",
        "DEBUG": "true",  # static files without collecting them
    }
