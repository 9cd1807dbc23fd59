"""Real processes, as many as nobody would start: their work is done once, and who dies is missed."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F
from django.test import Client

from fulfillment import alerts
from fulfillment.delivery_models import Delivery
from fulfillment.models import Alert, Entitlement, Heartbeat, StripeEvent
from orders.models import Order
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.fulfillment.test_sweep import ROOT, process_environment, wait_until
from tests.steps import buy, pay_by_link, report

pytestmark = pytest.mark.django_db(transaction=True)

ADMIN = "operator@shop.example"
SWEEP = ("manage.py", "sweep", "--watch", "0.2")


@contextmanager
def process(*command: str, environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    started = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGCONT)
        started.terminate()
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def celery(*words: str) -> tuple[str, ...]:
    return ("-W", "ignore", "-m", "celery", "--quiet", "-A", "storefront", *words)


def heard() -> set[str]:
    return set(Heartbeat.objects.values_list("name", flat=True))


def test_f68_three_sweeps_two_beats_and_a_worker_have_no_second_effect(
    smtp: World, client: Client, drain: Callable[[], int], tmp_path: Path
) -> None:
    orders = [buy(smtp, Client(), ProductFactory(), email=f"reader{n}@example.com") for n in range(8)]
    pay_by_link(smtp, slug="nowhere")  # a person is needed: one alert, whoever finds out
    report(smtp, client)
    environment = process_environment(smtp) | {"SWEEP_GRACE_SECONDS": "0"}
    worker = celery("worker", "--queues=celery,mail", "--concurrency=2", "--without-gossip", "--without-mingle")
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(process(*SWEEP, environment=environment))
        for number in range(2):
            beat = celery("beat", "--schedule", str(tmp_path / f"beat-{number}"), "--pidfile=")
            stack.enter_context(process(*beat, environment=environment))
        stack.enter_context(process(*worker, environment=environment))
        wait_until(lambda: len(smtp.mails()) >= len(orders) + 1, 60)
        wait_until(lambda: heard() == {"sweep", "beat", "worker", "mail"}, 60)
    recipients = sorted(address for one in smtp.mails() for address in one["to"])
    assert recipients == sorted([*(f"reader{n}@example.com" for n in range(8)), ADMIN])
    assert Entitlement.objects.count() == len(orders)
    assert list(Delivery.objects.values_list("state", "attempts")) == [("sent", 1)] * len(orders)
    assert sorted(Order.objects.values_list("attention", flat=True))[:8] == [""] * 8
    assert set(StripeEvent.objects.values_list("state", flat=True)) <= {"handled", "ignored"}


def test_f10_sweep_that_was_stopped_is_missed_and_heard_again(smtp: World) -> None:
    """SIGSTOP: it holds its connections and does nothing. Half a minute is skipped by the rows, not waited for."""

    def later(seconds: int) -> None:
        span = timedelta(seconds=seconds)
        Heartbeat.objects.update(at=F("at") - span, missed_at=F("missed_at") - span)

    environment = process_environment(smtp)
    with process(*SWEEP, environment=environment) as sweeping:
        wait_until(lambda: heard() == {"sweep"}, 30)
        sweeping.send_signal(signal.SIGSTOP)
        later(35)
        assert alerts.check() == 0
        later(15)
        assert alerts.check() == 1
        [mail] = smtp.mails(to=ADMIN)
        assert mail["subject"].startswith(
            "[Paper Lantern] a process is silent: the sweep (`sweep --watch`), last heard"
        )
        sweeping.send_signal(signal.SIGCONT)
        wait_until(lambda: Heartbeat.objects.get().missed_at is None, 30)
        wait_until(lambda: alerts.check() == 0 and Alert.objects.get().told == [], 30)
    assert len(smtp.mails(to=ADMIN)) == 1
