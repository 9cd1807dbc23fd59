"""Real processes that are paused, ended and killed in the middle of their work."""

import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from fulfillment import inbox, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement, StripeEvent
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from storefront.celery import app
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_sweep import process_environment, wait_until
from tests.scripted_smtp import SILENCE, scripted_server
from tests.steps import GUEST, buy, report, states

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
SESSIONS = "/v1/checkout/sessions"


@contextmanager
def process(*command: str, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    running = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def stripe_takes(world: World, seconds: float) -> None:
    """For the next answer about a session."""
    fault = {"area": "api", "kind": "timeout", "path": SESSIONS, "method": "GET", "seconds": seconds, "count": 1}
    world.control("faults", fault)


def event_is_being_handled() -> bool:
    return StripeEvent.objects.filter(attempts=1).exclude(claim=None).exists()


def lease_ends(model: type[StripeEvent] | type[Delivery]) -> None:
    """As if a minute had passed."""
    model.objects.update(next_attempt_at=Now())


def what_there_is() -> tuple[int, int, int, int]:
    order = Order.objects.get()
    return Order.objects.count(), Entitlement.objects.count(), Delivery.objects.count(), order.timeline.count()


@pytest.fixture
def reported(smtp: World, client: Client) -> Order:
    """Paid, and its event stored; nothing has been done about it yet."""
    order = buy(smtp, client, ProductFactory())
    report(smtp, client, "checkout.session.completed")
    return order


def test_f15_worker_paused_past_its_lease_changes_nothing_when_it_goes_on(smtp: World, reported: Order) -> None:
    """It sleeps while Stripe answers it; the lease ends; a sweep delivers; then it wakes up with its old answer."""
    stripe_takes(smtp, 1.5)
    with process("manage.py", "sweep", environment=process_environment(smtp) | {"SWEEP_GRACE_SECONDS": "0"}) as sleeper:
        wait_until(event_is_being_handled)
        sleeper.send_signal(signal.SIGSTOP)
        lease_ends(StripeEvent)
        sweep()
        assert states(reported) == ("paid", ["active"], ["sent"])
        before, event = what_there_is(), StripeEvent.objects.get()
        time.sleep(1.5)  # the answer waits in its socket
        sleeper.send_signal(signal.SIGCONT)
        output, _ = sleeper.communicate(timeout=20)
    assert sleeper.returncode == 0, output
    assert what_there_is() == before
    after = StripeEvent.objects.get()
    assert (after.state, after.handled_at, after.attempts) == ("handled", event.handled_at, 2)
    assert len(smtp.mails(to=GUEST)) == 1


def test_f15_i7_sender_paused_before_the_text_sends_nothing_when_it_goes_on(smtp: World) -> None:
    order = OrderFactory(state=Order.State.PAID, email=GUEST)
    mail = Delivery.objects.create(order=order, kind="order", recipient=GUEST)
    with scripted_server(RCPT=SILENCE) as server:
        environment = process_environment(smtp) | {
            "EMAIL_URL": f"smtp://127.0.0.1:{server.port}",
            "SWEEP_GRACE_SECONDS": "0",
        }
        with process("manage.py", "sweep", environment=environment) as sleeper:
            assert server.reached["RCPT"].wait(20)
            sleeper.send_signal(signal.SIGSTOP)
            lease_ends(Delivery)
            assert outbox.send(mail.pk) is True
            server.go_on.set()
            sleeper.send_signal(signal.SIGCONT)
            output, _ = sleeper.communicate(timeout=20)
    assert sleeper.returncode == 0, output
    assert server.texts == []
    assert len(smtp.mails(to=GUEST)) == 1
    assert list(mail.attempt_log.values_list("outcome", flat=True)) == ["temporary", "accepted"]


def test_f14_f65_worker_killed_in_the_middle_leaves_the_rest_to_the_sweep(smtp: World, reported: Order) -> None:
    stripe_takes(smtp, 2)
    with process("manage.py", "sweep", environment=process_environment(smtp) | {"SWEEP_GRACE_SECONDS": "0"}) as victim:
        wait_until(event_is_being_handled)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    sweep()
    assert StripeEvent.objects.get().state == "received"  # still its own, until the lease ends
    lease_ends(StripeEvent)
    sweep()
    assert states(reported) == ("paid", ["active"], ["sent"])
    assert (StripeEvent.objects.get().attempts, len(smtp.mails(to=GUEST))) == (2, 1)


def test_f65_sweep_told_to_end_finishes_what_it_has_begun(smtp: World, reported: Order) -> None:
    stripe_takes(smtp, 2)
    environment = process_environment(smtp) | {"SWEEP_GRACE_SECONDS": "0"}
    with process("manage.py", "sweep", "--watch", "1", environment=environment) as sweeping:
        wait_until(event_is_being_handled)
        began = time.monotonic()
        sweeping.terminate()
        output, _ = sweeping.communicate(timeout=30)
    assert time.monotonic() - began < 30
    assert sweeping.returncode == 0, output
    assert StripeEvent.objects.get().state == "handled"
    assert states(reported)[:2] == ("paid", ["active"])


def test_f65_sweep_ends_though_one_of_its_lanes_took_the_signal(smtp: World, reported: Order) -> None:
    """The kernel may give a signal to any thread, and Python's handlers run in the first one alone."""
    environment = process_environment(smtp) | {"SWEEP_GRACE_SECONDS": "0"}
    with process("manage.py", "sweep", "--watch", "1", environment=environment) as sweeping:
        wait_until(lambda: states(reported) == ("paid", ["active"], ["sent"]))
        lane = max(int(thread.name) for thread in Path(f"/proc/{sweeping.pid}/task").iterdir())
        assert ctypes.CDLL(None).tgkill(sweeping.pid, lane, int(signal.SIGTERM)) == 0
        output, _ = sweeping.communicate(timeout=30)
    assert sweeping.returncode == 0, output


@contextmanager
def worker_process(world: World) -> Iterator["subprocess.Popen[str]"]:
    command = ["-m", "celery", "--app", "storefront", "worker", "--concurrency", "1", "--queues", "celery,mail"]
    with process(*command, "--loglevel", "WARNING", environment=process_environment(world)) as worker:
        yield worker


@pytest.mark.usefixtures("drain")
def test_f65_worker_told_to_end_finishes_its_task(smtp: World, reported: Order) -> None:
    stripe_takes(smtp, 2)
    with worker_process(smtp) as worker:
        wait_until(event_is_being_handled, 30)
        began = time.monotonic()
        worker.terminate()
        output, _ = worker.communicate(timeout=30)
    assert time.monotonic() - began < 30
    assert worker.returncode == 0, output
    assert (StripeEvent.objects.get().state, StripeEvent.objects.get().attempts) == ("handled", 1)
    assert states(reported)[:2] == ("paid", ["active"])


@pytest.mark.usefixtures("drain")
def test_f69_tasks_of_another_release_are_left_alone_and_the_others_go_on(smtp: World, reported: Order) -> None:
    """What an older or newer release had queued: a task that is gone, arguments that are too many or wrong."""
    app.send_task("fulfillment.tasks.gone_long_ago", [1])
    event_id = StripeEvent.objects.get().event_id
    app.send_task("fulfillment.tasks.handle_event", [event_id, "one too many"])
    app.send_task("fulfillment.tasks.send_delivery", ["not a number"])
    app.send_task("fulfillment.tasks.handle_event", [event_id])
    with worker_process(smtp) as worker:
        wait_until(lambda: Delivery.objects.filter(state="sent").exists(), 30)
        assert worker.poll() is None
    assert states(reported) == ("paid", ["active"], ["sent"])
    assert len(smtp.mails(to=GUEST)) == 1


def test_f12_task_handed_out_again_while_it_runs_does_nothing(smtp: World, reported: Order) -> None:
    """The broker lost patience with a slow task and gave it to two more workers."""
    event_id = StripeEvent.objects.get().event_id
    stripe_takes(smtp, 1.5)
    slow = in_thread(lambda: inbox.handle(event_id))
    wait_until(event_is_being_handled)
    assert [inbox.handle(event_id), inbox.handle(event_id)] == [False, False]
    slow.join()
    assert (states(reported), StripeEvent.objects.get().attempts) == (("paid", ["active"], ["pending"]), 1)

    smtp.control("faults", {"area": "mail", "kind": "slow", "seconds": 1.5, "count": 1})
    mail = Delivery.objects.get()
    slow = in_thread(lambda: outbox.send(mail.pk))
    wait_until(lambda: Delivery.objects.filter(state="sending").exists())
    assert [outbox.send(mail.pk), outbox.send(mail.pk)] == [False, False]
    slow.join()
    mail.refresh_from_db()
    assert (mail.state, mail.attempts, len(smtp.mails(to=GUEST))) == ("sent", 1, 1)


def in_thread(act: Callable[[], object]) -> Thread:
    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    return thread
