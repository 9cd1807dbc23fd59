"""Mail over real SMTP: sent once, tried again when that is safe, never repeated after a confirmation."""

import smtplib
import uuid
from collections.abc import Iterator
from datetime import timedelta
from email.message import Message

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core import mail
from django.utils import timezone
from pytest_django import Settings

from fulfillment import outbox
from fulfillment.delivery_models import Delivery, DeliveryAttempt
from fulfillment.smtp import Result
from orders.models import Order, OrderLine
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.steps import GUEST

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivery() -> Delivery:
    order = OrderFactory(state=Order.State.PAID, email=GUEST, product=ProductFactory(name="Knots & “Bends”"))
    return Delivery.objects.create(order=order, kind="order", recipient=GUEST)


@pytest.fixture
def fault(smtp: World) -> Iterator[World]:
    yield smtp
    smtp.control("faults/clear", {})


def due_now(delivery: Delivery) -> None:
    Delivery.objects.filter(pk=delivery.pk).update(next_attempt_at=timezone.now())


def outcomes(delivery: Delivery) -> list[str]:
    return list(delivery.attempt_log.values_list("outcome", flat=True))


def wait(delivery: Delivery) -> timedelta:
    delivery.refresh_from_db()
    return delivery.next_attempt_at - timezone.now()


def test_i6_i7_mail_is_accepted_once_and_not_sent_again(smtp: World, delivery: Delivery) -> None:
    assert outbox.send(delivery.pk) is True
    assert outbox.send(delivery.pk) is False
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, outcomes(delivery)) == ("sent", 1, ["accepted"])
    received = smtp.mails(to=GUEST)
    assert [one["message_id"] for one in received] == [f"<{delivery.name}.order.1@shop.example>"]
    assert Order.objects.get().timeline.get().detail == "order and its files: Sent"


def test_mail_names_product_reference_amount_and_a_link_that_opens(
    smtp: World, delivery: Delivery, client: object
) -> None:
    outbox.send(delivery.pk)
    received = smtp.mails(to=GUEST)[0]
    for part in (received["text"], received["html"].replace("&amp;", "&")):
        assert "Knots & “Bends”" in part
        assert delivery.name in part
        assert "$12.50" in part
        assert "http://localhost/links/" in part
    assert "48" in received["text"]


def test_f29_refused_recipient_is_final_and_visible(fault: World, delivery: Delivery) -> None:
    fault.control("faults", {"area": "mail", "kind": "refuse_recipient", "code": 550})
    assert outbox.send(delivery.pk) is False
    delivery.refresh_from_db()
    assert (delivery.state, outcomes(delivery)) == ("gave_up", ["permanent"])
    assert delivery.attempt_log.get().reply.startswith("550 ")
    assert "gave up, 550 " in Order.objects.get().timeline.get().detail.lower()


@pytest.mark.parametrize("kind, code", [("refuse_recipient", 451), ("refuse_message", 451), ("refuse_recipient", 421)])
def test_f28_temporary_refusal_backs_off_and_is_tried_again(
    fault: World, delivery: Delivery, kind: str, code: int
) -> None:
    fault.control("faults", {"area": "mail", "kind": kind, "code": code, "count": 1})
    assert outbox.send(delivery.pk) is False
    assert timedelta(seconds=3) < wait(delivery) <= timedelta(seconds=5)
    assert (delivery.state, outcomes(delivery)) == ("pending", ["temporary"])
    assert outbox.send(delivery.pk) is False
    due_now(delivery)
    assert outbox.send(delivery.pk) is True
    assert outcomes(delivery) == ["temporary", "accepted"]


def test_f28_server_that_is_away_backs_off_longer_each_time(settings: Settings, delivery: Delivery) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    waits = []
    for _ in range(4):
        outbox.send(delivery.pk)
        waits.append(round(wait(delivery).total_seconds()))
        due_now(delivery)
    assert waits == [5, 30, 120, 600]


def test_f28_last_try_gives_up(settings: Settings, delivery: Delivery) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    Delivery.objects.update(attempts=10)
    outbox.send(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == "gave_up"


def test_f30_silence_before_the_text_is_safe_to_repeat_at_once(
    fault: World, settings: Settings, delivery: Delivery
) -> None:
    settings.EMAIL_TIMEOUT = 0.3
    fault.control("faults", {"area": "mail", "kind": "hang_before", "seconds": 1, "count": 1})
    outbox.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempt_log.get().phase, outcomes(delivery)) == (
        "pending",
        "started",
        ["temporary"],
    )
    due_now(delivery)
    assert outbox.send(delivery.pk) is True
    assert len(fault.mails(to=GUEST)) == 1


@pytest.mark.parametrize("kind", ["hang_after", "drop_after"])
def test_f31_i7_break_after_the_final_dot_is_repeated_once_with_the_same_message_id(
    fault: World, settings: Settings, delivery: Delivery, kind: str
) -> None:
    """The server has the mail and never said so."""
    settings.EMAIL_TIMEOUT = 0.3
    fault.control("faults", {"area": "mail", "kind": kind, "count": 1} | ({"seconds": 1} if "hang" in kind else {}))
    assert outbox.send(delivery.pk) is False
    assert timedelta(minutes=14) < wait(delivery) <= timedelta(minutes=15)
    assert (delivery.state, outcomes(delivery)) == ("unconfirmed", ["unconfirmed"])
    due_now(delivery)
    assert outbox.send(delivery.pk) is True
    assert len({one["message_id"] for one in fault.mails(to=GUEST)}) == 1


def test_f31_second_break_after_the_final_dot_gives_up(fault: World, settings: Settings, delivery: Delivery) -> None:
    fault.control("faults", {"area": "mail", "kind": "drop_after"})
    outbox.send(delivery.pk)
    due_now(delivery)
    outbox.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, outcomes(delivery)) == ("gave_up", ["unconfirmed", "unconfirmed"])


def test_wrong_password_of_the_shop_loses_no_mail(smtp: World, settings: Settings, delivery: Delivery) -> None:
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "shop", "wrong"
    outbox.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, outcomes(delivery)) == ("pending", ["temporary"])


def test_f13_mail_held_by_another_sender_is_left_alone(smtp: World, delivery: Delivery) -> None:
    Delivery.objects.update(state="sending", claim=uuid.uuid4(), next_attempt_at=timezone.now() + outbox.LEASE)
    assert outbox.send(delivery.pk) is False
    assert smtp.mails(to=GUEST) == []


def died(delivery: Delivery, phase: str) -> None:
    """A sender was killed in this phase, and its lease is over."""
    Delivery.objects.update(state="sending", claim=uuid.uuid4(), attempts=1, next_attempt_at=timezone.now())
    delivery.attempt_log.create(phase=phase)


def test_f14_sender_that_died_before_the_text_is_taken_over_at_once(smtp: World, delivery: Delivery) -> None:
    died(delivery, DeliveryAttempt.Phase.STARTED)
    assert outbox.send(delivery.pk) is True
    assert outcomes(delivery) == ["temporary", "accepted"]


def test_f14_f31_sender_that_died_waiting_for_the_reply_is_repeated_later(smtp: World, delivery: Delivery) -> None:
    """Killed after the final dot, the mail may be out."""
    died(delivery, DeliveryAttempt.Phase.BODY)
    assert outbox.send(delivery.pk) is False
    assert smtp.mails(to=GUEST) == []
    assert wait(delivery) > timedelta(minutes=14)
    due_now(delivery)
    assert outbox.send(delivery.pk) is True
    assert outcomes(delivery) == ["unconfirmed", "accepted"]


def test_f15_sender_that_overslept_does_not_move_the_row(smtp: World, delivery: Delivery) -> None:
    """Fenced by the claim."""
    attempt = delivery.attempt_log.create()
    other = uuid.uuid4()
    Delivery.objects.update(state="sending", claim=other)
    outbox._record(delivery, attempt, uuid.uuid4(), Result(DeliveryAttempt.Outcome.TEMPORARY, "late"))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.claim) == ("sending", other)


def test_f15_i6_acceptance_counts_even_when_the_lease_was_lost_meanwhile(
    smtp: World, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow server outlives the lease, another sender calls the mail unconfirmed, and then "250" arrives."""
    plain_data = smtplib.SMTP.data

    def slow_data(client: smtplib.SMTP, text: bytes) -> tuple[int, bytes]:
        answer = plain_data(client, text)
        due_now(delivery)
        assert outbox.send(delivery.pk) is False
        return answer

    monkeypatch.setattr(smtplib.SMTP, "data", slow_data)
    outbox.send(delivery.pk)
    monkeypatch.undo()
    delivery.refresh_from_db()
    assert (delivery.state, outcomes(delivery)) == ("sent", ["accepted"])
    due_now(delivery)
    outbox.send(delivery.pk)
    assert len(smtp.mails(to=GUEST)) == 1


def test_f31_f65_time_limit_after_the_text_left_is_unconfirmed(
    smtp: World, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_data = smtplib.SMTP.data

    def data_then_limit(client: smtplib.SMTP, text: bytes) -> tuple[int, bytes]:
        plain_data(client, text)
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(smtplib.SMTP, "data", data_then_limit)
    outbox.send(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, outcomes(delivery)) == ("unconfirmed", ["unconfirmed"])


def test_f15_sender_that_was_paused_past_its_lease_sends_nothing(
    smtp: World, settings: Settings, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another sender has taken the row over before this one reached the text."""
    say_hello = smtplib.SMTP.ehlo

    def slow_hello(client: smtplib.SMTP, name: str = "") -> tuple[int, bytes]:
        Delivery.objects.update(claim=uuid.uuid4())
        return say_hello(client, name)

    monkeypatch.setattr(smtplib.SMTP, "ehlo", slow_hello)
    assert outbox.send(delivery.pk) is False
    assert smtp.mails(to=GUEST) == []


@pytest.mark.parametrize("name", ["Line\r\nBcc: evil@example.com", "Sep\u2028arator", "Nul\x01"])
def test_s57_product_name_cannot_add_headers(smtp: World, delivery: Delivery, name: str) -> None:
    OrderLine.objects.update(name=name)
    assert outbox.send(delivery.pk) is True
    received = smtp.mails(to=GUEST)[0]
    assert received["to"] == [GUEST]
    assert [name for name, _ in received["headers"] if name.lower() in ("to", "cc", "bcc")] == ["To"]


def test_other_mail_backends_work_too(delivery: Delivery) -> None:
    assert outbox.send(delivery.pk) is True
    message: Message = mail.outbox[0].message()
    assert message["Message-ID"] == delivery.message_id
    assert message["To"] == GUEST
