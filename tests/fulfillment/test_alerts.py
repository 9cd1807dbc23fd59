"""A person hears of trouble: once per case, at most one mail per kind in 15 minutes, never with an address in it."""

import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from fulfillment import alerts, conditions, refusals
from fulfillment.book_models import BooksCheck, Difference
from fulfillment.delivery_models import Delivery
from fulfillment.event_types import FRAUD_WARNING
from fulfillment.models import Alert, Entitlement, Heartbeat, StripeEvent, WebhookMinute
from fulfillment.sweep import sweep
from orders.models import Order
from sandbox.world.server import World
from tests.factories import OrderFactory
from tests.steps import GUEST, post_event, signed

pytestmark = pytest.mark.django_db
ADMIN = "operator@shop.example"
EVENT = {"id": "evt_1", "type": "checkout.session.completed", "livemode": False}

OLD = "ABCDEFGHJKMNPQRS"


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    forget_counts()
    yield
    forget_counts()


def forget_counts() -> None:
    refusals._forget()
    refusals._writes.clear()
    next_second()


def next_second() -> None:
    """Refusals counted so far may be written by the next answer."""
    refusals._flushed_at = float("-inf")


def ago(**duration: float) -> Any:
    return timezone.now() - timedelta(**duration)


def later(**duration: float) -> None:
    """Let this much time pass for the alerts."""
    for alert in Alert.objects.all():
        alert.next_mail_at -= timedelta(**duration)
        if alert.last_sent_at:
            alert.last_sent_at -= timedelta(**duration)
        alert.save()


def sent() -> list[EmailMessage]:
    """The mails since the last call."""
    found = list(mail.outbox)
    mail.outbox.clear()
    return found


def told() -> list[str]:
    """Check, and the subjects of the mails that this sent."""
    number = alerts.check()
    subjects = [str(message.subject) for message in sent()]
    assert len(subjects) == number
    return subjects


def attention(reference: str = OLD) -> Order:
    return OrderFactory(state="paid", email=GUEST, reference=reference, attention=f"{GUEST} whsec_secret")


def granted(order: Order, **state: str) -> Order:
    line = order.lines.get()
    Entitlement.objects.create(order_line=line, product=line.product, email=GUEST, **state)
    return order


# Each condition fires, and stops.


def mail_waits() -> Callable[[], Any]:
    order = granted(OrderFactory(state="paid", email=GUEST, reference=OLD))
    Delivery.objects.create(order=order, kind="order", recipient=GUEST, created_at=ago(seconds=121))
    return lambda: Delivery.objects.update(state="sent", sent_at=timezone.now())


def no_access() -> Callable[[], Any]:
    order = OrderFactory(state="paid", email=GUEST, reference=OLD, paid_at=ago(seconds=121))
    return lambda: granted(order)


def event_waits() -> Callable[[], Any]:
    StripeEvent.objects.create(event_id="evt_1", type="refund.created", received_at=ago(seconds=301))
    return lambda: StripeEvent.objects.update(state="handled", handled_at=timezone.now())


def event_failed() -> Callable[[], Any]:
    StripeEvent.objects.create(event_id="evt_1", type="refund.created", state="failed", note=f"KeyError: {GUEST}")
    return lambda: StripeEvent.objects.update(state="received")


def mail_given_up() -> Callable[[], Any]:
    order = granted(OrderFactory(state="paid", email=GUEST, reference=OLD))
    Delivery.objects.create(order=order, kind="order", recipient=GUEST, state="gave_up")
    return lambda: Delivery.objects.create(order=order, kind="order", seq=2, recipient="right@example.com")


def needs_attention() -> Callable[[], Any]:
    attention()
    return lambda: Order.objects.update(attention="", state="expired")


def disputed() -> Callable[[], Any]:
    granted(
        OrderFactory(state="paid", email=GUEST, reference=OLD, dispute="open"), state="suspended", reason="disputed"
    )
    return lambda: Entitlement.objects.update(state="active", reason="")


def refused() -> Callable[[], Any]:
    WebhookMinute.objects.create(minute=ago(minutes=2), refused=4, failed=2)
    WebhookMinute.objects.create(minute=ago(minutes=9), refused=4)
    return lambda: WebhookMinute.objects.filter(refused=4, failed=0).update(minute=ago(minutes=10, seconds=1))


def clock_behind() -> Callable[[], Any]:
    WebhookMinute.objects.create(minute=ago(minutes=2), clock_skew=121)
    return lambda: WebhookMinute.objects.update(minute=ago(minutes=11))


def clock_ahead() -> Callable[[], Any]:
    WebhookMinute.objects.create(minute=ago(minutes=2), clock_skew=-600)
    return lambda: WebhookMinute.objects.update(minute=ago(minutes=11))


def silent() -> Callable[[], Any]:
    Heartbeat.objects.create(name="worker", at=ago(seconds=46), missed_at=ago(seconds=16))
    return lambda: Heartbeat.objects.update(at=timezone.now(), missed_at=None)


def other_mode() -> Callable[[], Any]:
    StripeEvent.objects.create(event_id="evt_mode", type="refund.created", state="ignored", livemode=True)
    return lambda: StripeEvent.objects.update(received_at=ago(hours=25))


def fraud_warned() -> Callable[[], Any]:
    StripeEvent.objects.create(
        event_id="evt_fraud", type=FRAUD_WARNING, state="handled", handled_at=ago(minutes=1), note=f"order {OLD}"
    )
    return lambda: StripeEvent.objects.update(received_at=ago(hours=25))


def books_differ() -> Callable[[], Any]:
    fields = {"livemode": False, "mend": "replay", "here": f"write to {GUEST}"}
    Difference.objects.create(kind="amount", subject=OLD, **fields)
    Difference.objects.create(kind="held", subject=OLD, **fields)  # told as an order that needs a person
    Difference.objects.create(kind="no_mail", subject=OLD, **fields | {"livemode": True})
    return lambda: Difference.objects.update(resolved_at=timezone.now())


def books_not_checked() -> Callable[[], Any]:
    BooksCheck.objects.create(since=ago(days=2), livemode=False, began_at=ago(minutes=61), ended_at=ago(minutes=60))
    BooksCheck.objects.create(since=ago(days=2), livemode=False, ended_at=timezone.now(), failure="StripeUnavailable")
    BooksCheck.objects.create(since=ago(days=2), livemode=False)  # killed
    return lambda: BooksCheck.objects.filter(failure="", ended_at=None).update(ended_at=timezone.now())


CONDITIONS: list[tuple[Callable[[], Callable[[], Any]], str, str, str]] = [
    (mail_waits, "undelivered", f"order {OLD}, mail waits since", "manage.py stuck --minutes 2"),
    (no_access, "undelivered", f"order {OLD} of", "manage.py stuck --minutes 2"),
    (event_waits, "event", "event evt_1 (refund.created), not handled yet, received", "manage.py replay --failed"),
    (event_failed, "event", "event evt_1 (refund.created), given up, received", "manage.py replay --failed"),
    (mail_given_up, "mail", f"order {OLD}, written", "manage.py resend ORDER --to ADDRESS"),
    (needs_attention, "attention", f"order {OLD} of", "http://localhost/admin/orders/order/?attention=yes"),
    (disputed, "dispute", f"order {OLD} of", "http://localhost/admin/orders/order/?dispute__exact=open"),
    (refused, "webhook", "8 answered with 4xx and 2 with 5xx in 10 minutes", "STRIPE_WEBHOOK_SECRETS"),
    (clock_behind, "clock", "this machine's clock is 121 seconds behind Stripe's", "timedatectl"),
    (clock_ahead, "clock", "this machine's clock is 600 seconds ahead of Stripe's", "timedatectl"),
    (silent, "silence", "the worker of the queue `celery`, last heard of", "manage.py stuck"),
    (other_mode, "mode", "1 in live mode within a day, this shop's key is for test mode", "manage.py reconcile"),
    (fraud_warned, "fraud", f"order {OLD}, warned", "refund it there"),
    (books_differ, "books", f"amounts differ: {OLD}, since ", "http://localhost/admin/fulfillment/difference/"),
    (books_not_checked, "books", "not compared with Stripe's since ", "python manage.py books --mend"),
]


def test_every_kind_but_one_has_its_condition_and_its_test() -> None:
    """`books` joins with the check of the books."""
    assert {kind for _, kind, _, _ in CONDITIONS} == {kind.value for kind in conditions.CONDITIONS}
    assert set(Alert.Kind) - set(conditions.CONDITIONS) <= {Alert.Kind.BOOKS}


@pytest.mark.parametrize("cause, kind, line, mend", CONDITIONS, ids=lambda one: getattr(one, "__name__", ""))
def test_condition_fires_stops_and_fires_again(
    cause: Callable[[], Callable[[], Any]], kind: str, line: str, mend: str
) -> None:
    settle = cause()
    assert alerts.check() == 1
    [message] = sent()
    assert message.to == [ADMIN]
    assert message.subject.startswith(f"[Paper Lantern] {Alert.Kind(kind).label}: {line}")
    assert line in message.body
    assert mend in message.body
    later(minutes=20)
    assert told() == []  # once per case
    settle()
    assert told() == []
    assert [alert.told for alert in Alert.objects.filter(kind=kind)] == [[]]
    later(minutes=20)
    assert told() == []


@pytest.mark.parametrize(
    "cause, younger",
    [
        (mail_waits, lambda: Delivery.objects.update(created_at=ago(seconds=118))),
        (no_access, lambda: Order.objects.update(paid_at=ago(seconds=118))),
        (event_waits, lambda: StripeEvent.objects.update(received_at=ago(seconds=298))),
        (refused, lambda: WebhookMinute.objects.filter(failed=2).update(failed=1)),
        (clock_behind, lambda: WebhookMinute.objects.update(clock_skew=120)),
        (clock_ahead, lambda: WebhookMinute.objects.update(clock_skew=-120)),
        (silent, lambda: Heartbeat.objects.update(missed_at=ago(seconds=13))),
        (other_mode, lambda: StripeEvent.objects.update(livemode=False)),
        (other_mode, lambda: StripeEvent.objects.update(account="acct_1")),
        (fraud_warned, lambda: StripeEvent.objects.update(state="ignored")),
        (books_not_checked, lambda: BooksCheck.objects.update(began_at=ago(minutes=59))),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_below_its_limit_a_condition_is_silent(
    cause: Callable[[], Callable[[], Any]], younger: Callable[[], Any]
) -> None:
    cause()
    younger()
    assert told() == []


def test_shop_in_order_writes_and_mails_nothing() -> None:
    assert told() == []
    assert Alert.objects.count() == 0


def test_f70_event_that_is_late_and_then_given_up_is_told_twice() -> None:
    event_waits()
    assert len(told()) == 1
    StripeEvent.objects.update(state="failed")
    later(minutes=20)
    assert len(told()) == 1


def test_dispute_that_is_lost_is_no_longer_open() -> None:
    disputed()
    assert len(told()) == 1
    Entitlement.objects.update(reason="dispute_lost")
    later(days=2)
    assert told() == []


def test_case_that_comes_again_is_told_again() -> None:
    order = attention()
    assert len(told()) == 1
    Order.objects.update(attention="", state="expired")
    assert told() == []
    Order.objects.filter(pk=order.pk).update(attention="again")
    assert told() == []  # held back
    later(minutes=15)
    assert told() == [f"[Paper Lantern] order needs a person: order {OLD} of {order.created_at:%Y-%m-%d %H:%M} UTC"]


# At most one mail per kind in 15 minutes


def test_cases_within_15_minutes_are_held_back_and_counted() -> None:
    first = attention()
    assert len(told()) == 1
    second, third, fourth = (attention(reference) for reference in ("B" * 16, "C" * 16, "D" * 16))
    for _ in range(5):
        assert told() == []
    Order.objects.filter(pk=fourth.pk).update(attention="", state="expired")
    later(minutes=14, seconds=50)
    assert told() == []
    assert sorted(Alert.objects.get().held_back) == ["B" * 16, "C" * 16, "D" * 16]
    later(seconds=11)
    assert alerts.check() == 1
    [message] = sent()
    assert message.subject == "[Paper Lantern] order needs a person: 2"
    assert [order.reference in message.body for order in (first, second, third, fourth)] == [False, True, True, False]
    assert "Held back since the last mail: 3." in message.body
    assert Alert.objects.get().held_back == []
    later(minutes=20)
    assert told() == []


def test_kinds_do_not_hold_each_other_back() -> None:
    attention()
    assert len(told()) == 1
    clock_behind()
    event_failed()
    assert len(told()) == 2


def test_what_lasts_is_told_again_after_a_day_but_for_disputes_and_warnings() -> None:
    attention()
    fraud_warned()
    disputed_order = granted(
        OrderFactory(state="paid", email=GUEST, dispute="open"), state="suspended", reason="disputed"
    )
    assert len(told()) == 3
    later(hours=23)
    assert told() == []
    later(hours=1, seconds=1)
    subjects = told()
    assert [OLD in subject for subject in subjects] == [True]
    assert disputed_order.reference not in subjects[0]


def test_many_cases_are_named_up_to_twenty() -> None:
    StripeEvent.objects.bulk_create(StripeEvent(event_id=f"evt_{n}", type="x", state="failed") for n in range(250))
    assert alerts.check() == 1
    [message] = sent()
    assert (message.body.count("event evt_"), "… and 180 more" in message.body) == (20, True)
    StripeEvent.objects.create(event_id="evt_new", type="x", state="failed")
    later(minutes=15)
    assert told() == [
        f"[Paper Lantern] event not handled: event evt_new (x), given up, received {ago():%Y-%m-%d %H:%M} UTC"
    ]
    later(minutes=15)
    assert told() == []


def test_checking_costs_the_same_however_much_is_wrong() -> None:
    counts = []
    for number in (0, 1, 30):
        for n in range(number):
            granted(attention(f"{number:08}{n:08}"), state="suspended", reason="disputed")
            StripeEvent.objects.create(event_id=f"evt_{number}_{n}", type="x", state="failed")
            Difference.objects.create(kind="amount", subject=f"{number} {n}", livemode=False, mend="replay")
        alerts.check()
        with CaptureQueriesContext(connection) as captured:
            later_is_quiet = alerts.check()
        assert later_is_quiet == 0
        counts.append(len(captured))
        Alert.objects.update(next_mail_at=ago(minutes=1), last_sent_at=ago(minutes=16))
    assert counts == [16, 16, 16]


def test_each_condition_of_events_has_an_index_of_its_own() -> None:
    """No scan over everything that Stripe ever sent."""
    expected = {
        conditions.Kind.EVENT: ["event_unhandled", "event_failed"],
        conditions.Kind.MODE: ["event_ignored"],
        conditions.Kind.FRAUD: ["event_fraud_warning"],
        conditions.Kind.SILENCE: ["fulfillment_heartbeat_pkey"],
    }
    used: dict[conditions.Kind, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for kind, names in expected.items():
            with CaptureQueriesContext(connection) as captured:
                conditions.CONDITIONS[kind].find(timezone.now())
            plans = []
            for query in captured:
                cursor.execute("EXPLAIN " + query["sql"])
                plans.append("\n".join(row[0] for row in cursor.fetchall()))
            used[kind] = [name for name in names if any(f" {name} " in plan for plan in plans)]
    assert used == expected


# Sent by one, even when many look


@pytest.mark.django_db(transaction=True)
def test_f68_three_sweeps_at_once_send_one_mail(smtp: World) -> None:
    attention()
    event_failed()
    for _ in range(3):
        at_once(*[sweep] * 3)
    received = smtp.mails(to=ADMIN)
    assert sorted(one["subject"].split(":")[0] for one in received) == [
        "[Paper Lantern] event not handled",
        "[Paper Lantern] order needs a person",
    ]
    attention("B" * 16)
    later(minutes=15)
    at_once(*[alerts.check] * 3)
    assert len(smtp.mails(to=ADMIN)) == 3


def at_once(*acts: Callable[[], Any]) -> None:
    barrier = threading.Barrier(len(acts))

    def run(act: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        list(pool.map(run, acts))


def test_sender_that_died_leaves_the_mail_to_the_next(smtp: World) -> None:
    attention()
    Alert.objects.create(kind="attention", claim=uuid.uuid4(), next_mail_at=timezone.now() + alerts.LEASE)
    assert alerts.check() == 0
    later(seconds=61)
    assert alerts.check() == 1
    assert len(smtp.mails(to=ADMIN)) == 1


def test_mail_that_cannot_be_sent_is_logged_and_tried_again(
    smtp: World, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    attention()
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 9
    assert alerts.check() == 0
    [record] = [record for record in caplog.records if record.name == "fulfillment.alerts"]
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(
        f"alert could not be mailed (ConnectionRefusedError): [Paper Lantern] order needs a person: order {OLD} of "
    )
    assert GUEST not in caplog.text
    settings.EMAIL_PORT = port
    assert alerts.check() == 0
    later(seconds=61)
    assert alerts.check() == 1
    [received] = smtp.mails(to=ADMIN)
    assert "Held back" not in received["text"]


def test_f30_silent_mail_server_costs_no_more_than_the_timeout(smtp: World, settings: Settings) -> None:
    attention()
    settings.EMAIL_TIMEOUT = 0.3
    smtp.control("faults", {"area": "mail", "kind": "hang_before", "seconds": 3, "count": 1})
    began = time.monotonic()
    try:
        assert alerts.check() == 0
    finally:
        smtp.control("faults/clear", {})
    assert time.monotonic() - began < 2


def test_without_admins_the_alert_is_logged(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.ADMINS = []
    attention()
    alerts.check()
    alerts.check()
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [error.split(" of ")[0] for error in errors] == [
        f"alert, and ADMINS is empty: [Paper Lantern] order needs a person: order {OLD}"
    ]


def test_s62_i17_no_address_token_or_note_is_mailed(settings: Settings) -> None:
    for cause, *_ in CONDITIONS:
        if cause not in (no_access, event_failed, mail_given_up, needs_attention, disputed):
            cause()
    StripeEvent.objects.update(note=f"{GUEST} whsec_secret sk_test_1", body=GUEST.encode())
    granted(attention("B" * 16), state="suspended", reason="disputed")
    Delivery.objects.create(order=Order.objects.get(reference="B" * 16), kind="order", recipient=GUEST, state="gave_up")
    assert alerts.check() == 11
    text = "".join(message.message().as_string() for message in sent())
    secrets = ["guest@", "whsec_", "sk_", "/links/", settings.SECRET_KEY]
    assert [secret for secret in secrets if secret in text] == []


# Webhooks refused, and clocks


def test_refusals_of_a_minute_are_one_row(client: Client) -> None:
    for secret in ("whsec_somebody_else", ""):
        next_second()
        post_event(client, EVENT, secret=secret)
        post_event(client, EVENT, secret="whsec_somebody_else")
    next_second()
    post_event(client, EVENT)
    assert sum(WebhookMinute.objects.values_list("refused", flat=True)) == 3
    assert set(WebhookMinute.objects.values_list("failed", "clock_skew")) == {(0, 0)}


def test_wrong_secret_is_told(client: Client) -> None:
    for _ in range(10):
        next_second()
        assert post_event(client, EVENT, secret="whsec_somebody_else").status_code == 400
    assert told() == ["[Paper Lantern] webhook refuses: 10 answered with 4xx and 0 with 5xx in 10 minutes"]


def test_short_burst_with_silence_after_it_is_told(client: Client) -> None:
    """Nobody comes to write what was counted in memory."""
    for _ in range(10):
        assert post_event(client, EVENT, secret="whsec_somebody_else").status_code == 400
    assert len(told()) == 1
    assert refusals.AT_ONCE >= conditions.SPIKE


def test_s13_flood_of_unsigned_posts_costs_one_write_a_second(client: Client) -> None:
    began = time.monotonic()
    with CaptureQueriesContext(connection) as captured:
        for _ in range(500):
            client.post("/webhooks/stripe/", b"{}", content_type="application/json")
    assert len(captured) <= 1 + (time.monotonic() - began) + 2 * refusals.AT_ONCE  # a new minute may begin
    next_second()
    post_event(client, EVENT)
    assert sum(WebhookMinute.objects.values_list("refused", flat=True)) == 500
    assert StripeEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_f7_what_was_refused_while_the_database_was_away_is_counted_when_it_is_back(client: Client) -> None:
    before = connection.settings_dict["HOST"]
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["HOST"] = "/nowhere"
    try:
        assert post_event(client, EVENT).status_code == 503
    finally:
        connection.close_pool()  # type: ignore[attr-defined]
        connection.settings_dict["HOST"] = before
    assert post_event(client, EVENT).status_code == 200
    assert list(WebhookMinute.objects.values_list("refused", "failed")) == [(0, 1)]


def test_bug_behind_the_webhook_is_counted_as_500(client: Client, settings: Settings) -> None:
    key, settings.STRIPE_SECRET_KEY = settings.STRIPE_SECRET_KEY, None
    client.raise_request_exception = False
    assert post_event(client, EVENT).status_code == 500
    settings.STRIPE_SECRET_KEY = key
    assert post_event(client, EVENT).status_code == 200
    assert list(WebhookMinute.objects.values_list("refused", "failed")) == [(0, 1)]


@pytest.mark.django_db(transaction=True)
def test_processes_add_to_the_same_minute() -> None:
    minute = timezone.now().replace(second=0, microsecond=0)
    at_once(*[lambda: refusals._write([(minute, 1, 2, 0)] * 20)] * 4)
    assert list(WebhookMinute.objects.values_list("refused", "failed")) == [(80, 160)]


@pytest.mark.parametrize(
    "ahead, status, line",
    [
        (110, 200, ""),
        (-110, 200, ""),
        (200, 200, "200 seconds behind"),
        (-200, 200, "200 seconds ahead"),
        (600, 400, "600 seconds behind"),
        (-600, 400, "600 seconds ahead"),
    ],
)
def test_f47_clock_far_from_the_time_that_stripe_signed_is_told(
    client: Client, ahead: int, status: int, line: str
) -> None:
    at = int(time.time()) + ahead
    assert post_event(client, EVENT, at=at).status_code == status
    skew = sum(WebhookMinute.objects.values_list("clock_skew", flat=True))
    assert skew in (range(ahead - 2, ahead + 1) if line else [0])
    messages = [message.body for message in sent()] if alerts.check() else []
    shown = abs(skew)
    assert [f"clock is {shown} seconds {line.rpartition(' ')[2]} " in text for text in messages] == (
        [True] if line else []
    )


def test_f47_strangers_cannot_raise_the_alarm_about_the_clock(client: Client) -> None:
    """A timestamp is believed only with a signature of ours."""
    body = json.dumps(EVENT).encode()
    stamp = int(time.time()) + 600
    for header in (
        f"t={stamp}",
        f"t={stamp},v1={'a' * 64}",
        signed(body, secret="whsec_somebody_else", at=stamp),
        signed(body, at=stamp).replace(f"t={stamp}", f"t={stamp + 1}"),
        f"t={stamp},v1=é",
    ):
        next_second()
        answer = client.post(
            "/webhooks/stripe/", body, content_type="application/json", headers={"Stripe-Signature": header}
        )
        assert answer.status_code == 400
    assert set(WebhookMinute.objects.values_list("clock_skew", flat=True)) == {0}


def test_counts_older_than_a_day_are_deleted() -> None:
    WebhookMinute.objects.create(minute=ago(hours=25), refused=100)
    kept = WebhookMinute.objects.create(minute=ago(hours=23), refused=100)
    assert told() == []
    assert list(WebhookMinute.objects.all()) == [kept]
