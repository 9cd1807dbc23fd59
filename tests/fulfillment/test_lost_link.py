"""“Lost my link”: the same answer for every address, and everything bought with it in one mail."""

import re
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from fulfillment import alerts, lost_link, outbox, retention
from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement
from fulfillment.stuck import find_stuck
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.scripted_smtp import SILENCE, scripted_server
from tests.steps import GUEST

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_rate_limits")]

STRANGER = "nobody.here@example.com"


def bought(name: str, *, email: str = GUEST, **order: object) -> Order:
    made: Order = OrderFactory(product=ProductFactory(name=name), email=email, state=Order.State.PAID, **order)
    line = made.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, user=made.user, email="" if made.user else email)
    return made


def lose(client: Client, email: str) -> tuple[int, str, bytes]:
    answer = client.post("/lost/", {"email": email})
    return answer.status_code, answer.headers.get("Location", ""), answer.content


def text_of(smtp: World, to: str = GUEST) -> str:
    [received] = smtp.mails(to=to)
    assert received["text"].count("http") >= 1
    return str(received["text"])


def test_mail_lists_everything_bought_with_the_address_each_with_a_link_that_opens(smtp: World, client: Client) -> None:
    guests = bought("The Quiet Sky")
    accounts = bought("Slow Bread", email=GUEST, user=UserFactory(email=GUEST))
    bought("Not theirs", email="other@example.com")
    assert lose(client, f" {GUEST.upper()} ")[:2] == (303, "/lost/?sent=1")
    assert sweep().mails == 1
    text = text_of(smtp)
    found = re.findall(r"http://localhost(/links/\S+)", text)
    assert len(found) == 2
    assert "Not theirs" not in text
    pages = [client.get(path).content.decode() for path in found]
    assert accounts.reference in pages[0]
    assert "Slow Bread" in pages[0]
    assert guests.reference in pages[1]
    assert "The Quiet Sky" in pages[1]
    assert smtp.mails(to=GUEST)[0]["subject"] == "What you bought at Paper Lantern"


def test_every_address_gets_the_same_answer_with_the_same_queries(client: Client) -> None:
    bought("The Quiet Sky")
    UserFactory(email="reader@example.com")
    found = []
    lose(client, "first@example.com")  # a network's first row in the cache is inserted, later ones are updated
    for email in (GUEST, "reader@example.com", STRANGER):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            answer = lose(client, email)
        shapes = [re.sub(r"'[^']*'|[0-9.]+", "?", query["sql"]) for query in captured.captured_queries]
        found.append((answer, [shape for shape in shapes if "SELECT COUNT" not in shape]))
    assert found[0] == found[1] == found[2]
    assert Delivery.objects.count() == 4
    page = client.get("/lost/?sent=1").content.decode()
    assert "If something was bought with that address, a mail is on its way there." in page


def test_address_that_bought_nothing_gets_no_mail_and_is_forgotten(smtp: World, client: Client) -> None:
    lose(client, STRANGER)
    swept = sweep()
    assert (swept.mails, swept.failed) == (0, 0)
    assert Delivery.objects.get().state == "withdrawn"
    assert smtp.mails() == []
    assert retention.forget_askers() == 0
    Delivery.objects.update(created_at=timezone.now() - retention.KEEP_ASKERS * 2)
    assert retention.forget_askers() == 1
    assert not Delivery.objects.exists()


def test_account_with_the_unproven_address_finds_nothing(smtp: World, client: Client) -> None:
    user = UserFactory(email="real@example.com")
    user.emailaddress_set.create(email=STRANGER, verified=False)
    bought("The Quiet Sky", email="real@example.com", user=user)
    lose(client, STRANGER)
    sweep()
    assert smtp.mails() == []


@pytest.mark.parametrize(
    "order, right, why",
    [
        ({"refunded": 1250}, {"state": "revoked", "reason": "refunded"}, "This was refunded"),
        ({"dispute": "open"}, {"state": "suspended", "reason": "disputed"}, "The bank is looking into this payment"),
        ({"dispute": "lost"}, {"state": "suspended", "reason": "dispute_lost"}, "The bank took this payment back"),
        ({}, {"valid_until": "2020-01-01T00:00:00Z"}, "Access to its files has ended"),
        ({"state": "processing"}, None, "The payment is on its way"),
        ({}, None, "needs a person’s eye"),
    ],
)
def test_order_without_access_says_why_instead_of_a_link(
    smtp: World, client: Client, order: dict[str, object], right: dict[str, str] | None, why: str
) -> None:
    made = bought("The Quiet Sky")
    Order.objects.filter(pk=made.pk).update(**order)
    if right is None:
        Entitlement.objects.all().delete()
    else:
        Entitlement.objects.update(**right)
    lose(client, GUEST)
    sweep()
    text = text_of(smtp)
    assert why in text
    assert "/links/" not in text


@pytest.mark.parametrize("state", ["open", "expired", "failed"])
def test_order_that_was_never_paid_is_not_listed(smtp: World, client: Client, state: str) -> None:
    OrderFactory(email=GUEST, state=state)
    lose(client, GUEST)
    sweep()
    assert smtp.mails() == []


def test_asking_again_while_a_mail_waits_makes_no_second_one(smtp: World, client: Client) -> None:
    bought("The Quiet Sky")
    for _ in range(5):
        lost_link.ask(GUEST)
    assert Delivery.objects.count() == 1
    sweep()
    lost_link.ask(GUEST)
    sweep()
    assert len(smtp.mails(to=GUEST)) == 2


def test_address_is_written_to_three_times_an_hour_and_the_answer_stays_the_same(smtp: World, client: Client) -> None:
    bought("The Quiet Sky")
    for _ in range(6):
        assert lose(client, GUEST)[:2] == (303, "/lost/?sent=1")
        sweep()
    assert len(smtp.mails(to=GUEST)) == 3


def test_network_that_asks_for_many_addresses_is_stopped_whatever_they_bought(client: Client) -> None:
    answers = [lose(client, f"a{n}@example.com")[0] for n in range(32)]
    assert answers == [303] * 30 + [429] * 2


@pytest.mark.parametrize(
    "email",
    ["", "x", "a@b@c", "a\x00@example.com", "x" * 5000 + "@example.com", "\ud800@example.com", "a,b@example.com"],
)
def test_what_is_no_address_is_said_so(client: Client, email: str) -> None:
    answer = client.post("/lost/", {"email": email.encode("utf-8", "surrogatepass")})
    assert b"errorlist" in answer.content or answer.status_code == 400  # bytes that are no UTF-8
    assert not Delivery.objects.exists()


def test_worker_mails_it_at_once(smtp: World, client: Client, drain: Callable[[], int], transactional_db: None) -> None:
    bought("The Quiet Sky")
    lose(client, GUEST)
    drain()
    assert "The Quiet Sky" in text_of(smtp)


def test_f31_mail_whose_reply_was_lost_is_repeated_once_under_the_same_id(smtp: World, settings: Settings) -> None:
    bought("The Quiet Sky")
    lost_link.ask(GUEST)
    letter = Delivery.objects.get()
    with scripted_server(text=SILENCE) as server:
        settings.EMAIL_TIMEOUT, settings.EMAIL_PORT = 0.3, server.port
        assert outbox.send(letter.pk) is False
        assert len(server.texts) == 1
    letter.refresh_from_db()
    assert letter.state == "unconfirmed"
    assert outbox.send(letter.pk) is False  # a quarter of an hour has not passed
    settings.EMAIL_TIMEOUT, settings.EMAIL_PORT = 10, smtp.smtp_port
    Delivery.objects.update(next_attempt_at=Now())
    assert outbox.send(letter.pk) is True
    assert [one["message_id"] for one in smtp.mails(to=GUEST)] == [f"<{letter.about}.lost.1@shop.example>"]
    assert GUEST not in letter.message_id


def test_refused_letter_calls_nobody(smtp: World, client: Client) -> None:
    bought("The Quiet Sky")
    lost_link.ask(GUEST)
    smtp.control("faults", {"area": "mail", "kind": "refuse_recipient", "code": 550, "to": GUEST})
    sweep()
    smtp.control("faults/clear", {})
    assert Delivery.objects.get().state == "gave_up"
    alerts.check()
    assert [one["to"] for one in smtp.mails()] == []
    assert [stuck.what for stuck in find_stuck(longer_than=timedelta())] == ["paid without mail"]  # the order's own


def test_letter_that_nobody_sends_is_found_by_the_operator() -> None:
    lost_link.ask(GUEST)
    time.sleep(0.01)
    [stuck] = find_stuck(longer_than=timedelta())
    assert (stuck.what, stuck.mend) == ("mail not accepted", "python manage.py sweep")


def test_mails_about_orders_go_first(smtp: World) -> None:
    """However many have lost their links."""
    for number in range(30):
        lost_link.ask(f"a{number}@example.com")
    order = bought("The Quiet Sky")
    Delivery.objects.create(order=order, kind="order", recipient=GUEST)
    sweep()
    assert len(smtp.mails(to=GUEST)) == 1
    assert Delivery.objects.filter(kind="lost", state="pending").count() == 30
