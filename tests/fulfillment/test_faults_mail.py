"""Mail servers at their worst: absent, busy, silent, slow; and mails that can never be sent."""

import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from fulfillment import outbox
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_sweep import process_environment, sweep_process, wait_until
from tests.scripted_smtp import HANG_UP, SILENCE, scripted_server
from tests.steps import GUEST, buy, report

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery() -> Delivery:
    order = OrderFactory(state=Order.State.PAID, email=GUEST)
    return Delivery.objects.create(order=order, recipient=GUEST, kind="order")


def mail_server(settings: Settings, *, host: str = "127.0.0.1", port: int = 25) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = host, port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False


def is_tried_again_in_five_seconds(delivery: Delivery) -> bool:
    delivery.refresh_from_db()
    wait = delivery.next_attempt_at - timezone.now()
    attempt = delivery.attempt_log.get()
    assert (delivery.state, delivery.attempts, attempt.outcome) == ("pending", 1, "temporary")
    assert attempt.finished_at is not None
    return timedelta(0) < wait <= timedelta(seconds=5)


def test_f28_host_that_no_name_server_knows_is_tried_again(settings: Settings, delivery: Delivery) -> None:
    mail_server(settings, host="mail.invalid")
    assert outbox.send(delivery.pk) is False
    assert is_tried_again_in_five_seconds(delivery)
    assert delivery.attempt_log.get().reply.startswith("gaierror: ")


@pytest.mark.parametrize("code", ["421", "450", "451", "452"])
@pytest.mark.parametrize("step", ["connect", "MAIL", "RCPT", "DATA", "text"])
def test_f28_refusal_for_now_at_any_step_is_tried_again(
    smtp: World, settings: Settings, delivery: Delivery, step: str, code: str
) -> None:
    with scripted_server(**{step: f"{code} later"}) as server:
        mail_server(settings, port=server.port)
        assert outbox.send(delivery.pk) is False
    assert is_tried_again_in_five_seconds(delivery)
    mail_server(settings, port=smtp.smtp_port)
    Delivery.objects.update(next_attempt_at=Now())
    assert outbox.send(delivery.pk) is True
    assert len(smtp.mails(to=GUEST)) == 1


@pytest.mark.parametrize("step", ["connect", "EHLO", "MAIL", "RCPT", "DATA"])
def test_f28_connection_that_breaks_before_the_text_is_tried_again(
    settings: Settings, delivery: Delivery, step: str
) -> None:
    with scripted_server(**{step: HANG_UP}) as server:
        mail_server(settings, port=server.port)
        assert outbox.send(delivery.pk) is False
    assert server.texts == []
    assert is_tried_again_in_five_seconds(delivery)


def test_f28_server_that_refuses_the_shop_itself_loses_no_mail(settings: Settings, delivery: Delivery) -> None:
    """5xx about the sender is the shop's own trouble: a person mends it, and then the mail must still be there."""
    with scripted_server(MAIL="550 you are not welcome") as server:
        mail_server(settings, port=server.port)
        assert outbox.send(delivery.pk) is False
    assert is_tried_again_in_five_seconds(delivery)


@pytest.mark.parametrize("step", ["connect", "MAIL", "RCPT", "DATA"])
def test_f30_silence_at_any_step_before_the_text_ends_at_the_timeout(
    settings: Settings, delivery: Delivery, step: str
) -> None:
    assert 0 < settings.EMAIL_TIMEOUT <= 10
    settings.EMAIL_TIMEOUT = 0.3
    with scripted_server(**{step: SILENCE}) as server:
        mail_server(settings, port=server.port)
        began = time.monotonic()
        assert outbox.send(delivery.pk) is False
        assert time.monotonic() - began < 8
    assert server.texts == []
    assert is_tried_again_in_five_seconds(delivery)


def test_f31_i7_silence_after_the_text_is_not_repeated_for_a_quarter_of_an_hour(
    settings: Settings, delivery: Delivery
) -> None:
    settings.EMAIL_TIMEOUT = 0.3
    with scripted_server(text=SILENCE) as server:
        mail_server(settings, port=server.port)
        assert outbox.send(delivery.pk) is False
        for _ in range(3):
            sweep()
        assert len(server.texts) == 1
    delivery.refresh_from_db()
    assert delivery.state == "unconfirmed"
    assert timedelta(minutes=14) < delivery.next_attempt_at - timezone.now() <= timedelta(minutes=15)


@pytest.mark.parametrize("recipient", ["bad\nBcc: evil@example.com", "ü@\u2028"])
def test_f34_i8_mail_that_can_never_be_sent_is_parked_and_the_others_flow(
    smtp: World, settings: Settings, recipient: str
) -> None:
    """No form lets such an address in; should one be in the table all the same, it must not hold up the others."""
    poison = Delivery.objects.create(order=OrderFactory(state="paid", email=GUEST), kind="order", recipient=recipient)
    for number in range(5):
        address = f"r{number}@example.com"
        Delivery.objects.create(order=OrderFactory(state="paid", email=address), kind="order", recipient=address)
    for _ in range(len(outbox.BACK_OFF) + 2):
        sweep()
        Delivery.objects.filter(state__in=Delivery.DUE_STATES).update(next_attempt_at=Now())
    poison.refresh_from_db()
    assert poison.state == "gave_up"
    assert "accepted" not in poison.attempt_log.values_list("outcome", flat=True)
    told = [[address] for _name, address in settings.ADMINS]  # that it was given up
    assert sorted(one["to"] for one in smtp.mails()) == told + [[f"r{number}@example.com"] for number in range(5)]


@pytest.mark.django_db(transaction=True)
def test_f33_slow_mail_server_holds_up_mail_alone(smtp: World, client: Client) -> None:
    """Two hundred mails wait at a server that takes seconds for each; the next order is in its library at once."""
    smtp.control("faults", {"area": "mail", "kind": "slow", "seconds": 2})
    waiting = OrderFactory(state=Order.State.PAID, email="early@example.com")
    Delivery.objects.bulk_create(
        Delivery(order=waiting, kind="order", seq=seq, recipient="early@example.com") for seq in range(1, 201)
    )
    order = buy(smtp, client, ProductFactory())
    with sweep_process(process_environment(smtp) | {"SWEEP_GRACE_SECONDS": "0"}) as sweeping:
        wait_until(lambda: Delivery.objects.filter(state="sending").exists(), 20)
        began = time.monotonic()
        report(smtp, client, "checkout.session.completed")
        wait_until(lambda: Entitlement.objects.filter(order_line__order=order).exists(), 10)
        took = time.monotonic() - began
        sent = Delivery.objects.filter(state="sent").count()
        sweeping.terminate()
        output, _ = sweeping.communicate(timeout=15)
    assert sweeping.returncode == 0, output
    assert took < 7  # the watch looks every five seconds
    assert sent < 10
