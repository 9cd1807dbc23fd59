"""The backstop delivers everything alone, whatever became of Celery and its broker."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from catalog import samples
from catalog.models import Product
from catalog.sample_models import Sample
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement, StripeEvent
from fulfillment.sweep import Swept, _events_open, sweep, sweep_covers, sweep_mail, sweep_money, sweep_news
from orders.models import Order
from sandbox.parts import web_command
from sandbox.world.server import World, free_port
from tests.catalog.samples import book
from tests.factories import OrderFactory, ProductFactory
from tests.steps import GUEST, begin_checkout, buy, events, pay_by_link, report, signed

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]


def test_f4_f11_f27_stored_event_is_handled_and_its_mail_sent(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    report(world, client)
    swept = sweep()
    assert swept.events >= 1
    assert (swept.mails, swept.failed) == (1, 0)
    assert (Entitlement.objects.get().state, Delivery.objects.get().state) == ("active", "sent")
    assert mail.outbox[0].to == [GUEST]


def test_f37_f40_order_nobody_told_us_about_is_asked_for_after_a_minute(world: World, client: Client) -> None:
    """No webhook, no success page."""
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


def test_f71_order_whose_session_we_never_heard_of_is_found(world: World, client: Client) -> None:
    """Stripe made the session, the answer got lost, and yet it was paid."""
    order = buy(world, client, ProductFactory())
    Order.objects.update(stripe_session_id=None, checkout_url="", next_check_at=timezone.now())
    sweep()
    order.refresh_from_db()
    assert (order.state, Order.objects.count()) == ("paid", 1)


def test_f71_order_whose_request_cannot_be_repeated_is_given_up_until_its_payment_is_known(
    world: World, client: Client, settings: Settings
) -> None:
    """The answer got lost, and the shop sends something else since: a new release, a moved cover. Nobody is alarmed."""
    order = begin_checkout(client, ProductFactory())
    session_id = order.stripe_session_id
    Order.objects.update(stripe_session_id=None, checkout_url="", next_check_at=timezone.now())
    settings.SITE_URL = "https://moved.example.com"
    assert (sweep().orders, sweep().orders) == (1, 0)
    order.refresh_from_db()
    assert (order.state, order.attention, order.next_check_at) == ("expired", "", None)
    assert order.timeline.filter(kind="state").get().detail == "open → expired"
    world.control(f"pay/{session_id}", {"email": GUEST})
    report(world, client)
    sweep()
    order.refresh_from_db()
    assert (order.state, order.stripe_session_id, Delivery.objects.get().state) == ("paid", session_id, "sent")


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


def test_f65_pass_ends_between_two_rows_when_it_is_told_to(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    Order.objects.update(next_check_at=timezone.now())
    swept = Swept(stopping=lambda: True)
    sweep_money(swept)
    assert swept.work == 0


def test_f16_stripe_away_leaves_the_order_for_later_and_the_others_go_on(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    Order.objects.update(next_check_at=timezone.now())
    other = OrderFactory(state="paid", email=GUEST)
    Delivery.objects.create(order=other, kind="link", recipient=GUEST)
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


def test_f70_one_poisonous_event_does_not_stop_the_others(world: World, client: Client) -> None:
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


def test_product_whose_sample_is_due_is_looked_after(world: World) -> None:
    product = ProductFactory(content=book(9), cover_failed=True)
    samples.want(product)
    assert (sweep().samples, sweep().work) == (1, 0)
    assert [page.number for page in product.samples.get(state="made").pages.all()] == [1, 2, 3]


def test_sample_of_a_file_that_cannot_be_drawn_is_looked_at_once(world: World) -> None:
    samples.want(ProductFactory(cover_failed=True))
    assert (sweep().failed, sweep().work) == (0, 0)
    assert Sample.objects.get().state == "failed"


def test_young_sample_is_left_to_the_worker(world: World, settings: Settings) -> None:
    settings.SWEEP_GRACE_SECONDS = 5
    samples.want(ProductFactory(cover_failed=True))
    assert sweep().samples == 0


def test_f68_i20_sweeping_twice_changes_nothing(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    report(world, client)
    sweep()
    before = [list(model.objects.order_by("pk").values()) for model in (Order, Entitlement, Delivery, StripeEvent)]
    assert sweep().work == 0
    assert before == [
        list(model.objects.order_by("pk").values()) for model in (Order, Entitlement, Delivery, StripeEvent)
    ]


def said(*, events: int = 0, mails: int = 0, again: int = 0) -> str:
    rest = f"0 orders, 0 refunds, {mails} mails, 0 covers, 0 samples, 0 news, 0 uploads"
    return f"swept: {events} events, {rest}; {again} to try again\n"


def test_command_prints_counts_and_ends_nonzero_when_something_failed(world: World, client: Client) -> None:
    out = StringIO()
    call_command("sweep", stdout=out)
    assert out.getvalue() == said(events=0, mails=0, again=0)
    buy(world, client, ProductFactory())
    Order.objects.update(next_check_at=timezone.now())
    world.control("faults", {"area": "api", "kind": "error", "status": 500})
    with pytest.raises(SystemExit) as ended:
        call_command("sweep", stdout=out)
    assert ended.value.code == 1


def one_shot() -> tuple[str, int]:
    """What `sweep` printed, and how it ended."""
    out = StringIO()
    try:
        call_command("sweep", stdout=out)
    except SystemExit as ended:
        return out.getvalue(), int(str(ended.code))
    return out.getvalue(), 0


def test_command_fails_while_an_event_cannot_be_handled(world: World, client: Client) -> None:
    """Nothing is raised: the row says why, and waits."""
    buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    world.control("faults", {"area": "api", "kind": "error", "status": 429})
    assert one_shot() == (
        said(events=0, mails=0, again=1),
        1,
    )
    world.control("faults/clear", {})
    StripeEvent.objects.update(next_attempt_at=timezone.now())
    assert one_shot() == (
        said(events=1, mails=1, again=0),
        0,
    )


def test_f29_command_fails_when_a_mail_is_refused(smtp: World, client: Client) -> None:
    buy(smtp, client, ProductFactory())
    report(smtp, client, "checkout.session.completed")
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "code": 550, "to": GUEST})
    assert one_shot() == (
        said(events=1, mails=0, again=1),
        1,
    )


def test_f19_command_fails_when_an_order_needs_a_person(world: World) -> None:
    fulfill(pay_by_link(world, slug="not-there-yet"), door="test")
    Order.objects.update(next_check_at=timezone.now())
    assert one_shot()[1] == 1


def test_row_that_another_worker_holds_is_no_failure(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    key = StripeEvent.objects.get().event_id
    assert _events_open([key]) == 1
    StripeEvent.objects.update(claim=uuid.uuid4())
    assert _events_open([key]) == 0


def test_command_goes_on_until_nothing_is_due_and_shows_each_pass() -> None:
    """After an outage more waits than one pass looks at."""
    StripeEvent.objects.bulk_create(
        StripeEvent(event_id=f"evt_{n}", type="charge.succeeded", body=b"{}") for n in range(450)
    )
    printed, code = one_shot()
    assert [line.split(" events")[0] for line in printed.splitlines()] == ["swept: 200", "swept: 200", "swept: 50"]
    assert (code, StripeEvent.objects.filter(state="ignored").count()) == (0, 450)


@pytest.mark.parametrize("seconds", ["-5", "0", "nan", "inf", "1e9", "soon", "5\x00"])
def test_s61_interval_that_is_none_is_refused(seconds: str) -> None:
    """A negative one would spin."""
    with pytest.raises(CommandError):
        call_command("sweep", f"--watch={seconds}", stdout=StringIO())


def test_pass_costs_the_same_few_queries_when_nothing_is_due(
    world: World, client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """A few of it look for what is due; the rest are the alerts'."""
    buy(world, client, ProductFactory())
    report(world, client)
    sweep()
    for lane, queries in ((sweep_money, 3), (sweep_mail, 2), (sweep_covers, 2), (sweep_news, 5)):
        with django_assert_num_queries(queries):
            lane(Swept())
    with django_assert_num_queries(28):
        sweep()


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
def test_f8_f11_f38_webhook_answers_without_a_broker_and_the_sweep_delivers(
    smtp: World, client: Client, broker: Callable[[], AbstractContextManager[str]]
) -> None:
    """Real processes, and no Celery anywhere. The interval of the sweep is the one of production."""
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
