"""The database at its worst: transactions that meet, connections that break, no room left, clocks that differ."""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from fulfillment import inbox, outbox
from fulfillment.delivery_models import Delivery
from fulfillment.fulfill import fulfill
from fulfillment.models import Entitlement, StripeEvent
from fulfillment.sweep import sweep
from orders.models import Order, OrderLine
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_sweep import process_environment, wait_until
from tests.steps import DELIVERED, GUEST, buy, events, post_event, report, states

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def failing_with(code: str, *, times: int, on: str = "orders_order") -> None:
    """The database refuses the next writes to a table with this SQLSTATE. A sequence counts, whatever is undone."""
    execute(
        "CREATE SEQUENCE writes",
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('writes') <= {times} THEN RAISE 'refused' USING ERRCODE = '{code}'; END IF;
            RETURN NEW; END $$""",
        f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {on} FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


def writes() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM writes")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_f23_transaction_that_met_another_is_tried_three_times(world: World, client: Client, code: str) -> None:
    order = buy(world, client, ProductFactory())
    failing_with(code, times=2)
    assert not fulfill(str(order.stripe_session_id), door="sweep").stale
    assert writes() == 3
    assert states(order) == DELIVERED


def test_f23_transaction_that_keeps_meeting_others_is_left_to_the_sweep(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    failing_with("40001", times=3)
    assert inbox.handle(StripeEvent.objects.get().event_id) is False
    assert (writes(), states(order)) == (3, ("open", [], []))
    assert StripeEvent.objects.get().note.startswith("OperationalError: ")
    StripeEvent.objects.update(next_attempt_at=Now())
    sweep()
    assert states(order) == ("paid", ["active"], ["sent"])


def test_f23_other_errors_of_the_database_are_not_tried_again(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    failing_with("57014", times=1)
    with pytest.raises(OperationalError), transaction.atomic():
        fulfill(str(order.stripe_session_id), door="sweep")
    assert writes() == 1


@pytest.mark.django_db(transaction=True)
def test_f23_deadlock_with_a_real_transaction_delivers_once(
    world: World, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Locks are taken in our order, the other takes them the other way round; PostgreSQL ends ours after a second."""
    order = buy(world, client, ProductFactory())
    holding, crossing = threading.Event(), threading.Thread(target=lambda: lock_backwards(order, holding))
    crossing.start()
    holding.wait(10)
    assert not fulfill(str(order.stripe_session_id), door="sweep").stale
    crossing.join()
    assert states(order) == DELIVERED
    assert sum(record.getMessage().count("deadlock detected") for record in caplog.records) == 1


def lock_backwards(order: Order, holding: threading.Event) -> None:
    try:
        with transaction.atomic():
            OrderLine.objects.select_for_update().get(order=order)
            holding.set()
            wait_until(somebody_waits_for_a_lock)
            Order.objects.select_for_update().get(pk=order.pk)
    finally:
        connection.close()


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"""
        )
        return bool(cursor.fetchone()[0])


@contextmanager
def connection_that_breaks_at_commit(change: str, *, when: str = "true") -> Iterator[None]:
    """The server ends the connection while it commits this change of a row, and once only."""
    table = change.split()[2]
    execute(
        "CREATE SEQUENCE writes",
        """CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('writes') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RETURN NULL; END $$""",
        f"""CREATE CONSTRAINT TRIGGER break_off AFTER {change}
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION break_off()""",
    )
    try:
        yield
    finally:
        execute(f"DROP TRIGGER break_off ON {table}", "DROP FUNCTION break_off", "DROP SEQUENCE writes")


@pytest.mark.django_db(transaction=True)
def test_f22_connection_that_breaks_at_commit_leaves_nothing_and_the_sweep_delivers(
    world: World, client: Client
) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    with connection_that_breaks_at_commit("INSERT ON fulfillment_entitlement"):
        assert inbox.handle(StripeEvent.objects.get().event_id) is False
        assert states(order) == ("open", [], [])
        assert StripeEvent.objects.get().note.startswith("OperationalError: terminating connection")
        StripeEvent.objects.update(next_attempt_at=Now())
        sweep()
    assert states(order) == ("paid", ["active"], ["sent"])
    assert StripeEvent.objects.get().state == "handled"


@pytest.mark.django_db(transaction=True)
def test_f32_i7_mail_accepted_while_the_database_breaks_off_is_repeated_once_at_most(smtp: World) -> None:
    """Nobody could note that it was accepted: later one copy more, recognizable by its Message-ID, and no storm."""
    order = OrderFactory(state=Order.State.PAID, email=GUEST)
    mail = Delivery.objects.create(order=order, kind="order", recipient=GUEST)
    with connection_that_breaks_at_commit("UPDATE ON fulfillment_delivery", when="NEW.state = 'sent'"):
        with pytest.raises(OperationalError):
            outbox.send(mail.pk)
        for _ in range(5):  # the lease of who broke off, then the wait of what is unconfirmed
            Delivery.objects.filter(state__in=Delivery.DUE_STATES).update(next_attempt_at=Now())
            sweep()
    received = smtp.mails(to=GUEST)
    assert (len(received), {one["message_id"] for one in received}) == (2, {mail.message_id})
    mail.refresh_from_db()
    assert (mail.state, mail.attempts) == ("sent", 3)
    assert list(mail.attempt_log.values_list("outcome", flat=True)) == ["unconfirmed", "accepted"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "timeout", "seconds": 30},
        {"kind": "error", "status": 429},
        {"kind": "error", "status": 500},
        {"kind": "drop"},
    ],
    ids=["silent", "429", "500", "hangs up"],
)
def test_f16_no_transaction_is_open_while_stripe_is_waited_for(
    world: World, client: Client, fault: dict[str, object]
) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    event_id = StripeEvent.objects.get().event_id
    world.control("faults", {"area": "api", "path": "/v1/checkout/sessions", **fault})
    began, results = time.monotonic(), []
    worker = threading.Thread(target=lambda: results.append(handled_elsewhere(event_id)))
    worker.start()
    seen = []
    while worker.is_alive():
        seen.append(open_transactions())
        time.sleep(0.01)
    assert results == [False]
    assert time.monotonic() - began < 10
    # A claim is one statement of its own: whatever is open is open for its instant.
    assert max(seen) < 0.5
    event = StripeEvent.objects.get()
    assert (event.state, event.attempts, states(order)) == ("received", 1, ("open", [], []))
    assert event.note.startswith("StripeUnavailable: ")
    world.control("faults/clear", {})
    StripeEvent.objects.update(next_attempt_at=Now())
    sweep()
    assert states(order) == ("paid", ["active"], ["sent"])


def handled_elsewhere(event_id: str) -> bool:
    try:
        return inbox.handle(event_id)
    finally:
        connection.close()


def open_transactions() -> float:
    """Seconds for which the oldest transaction of anybody else is open."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT COALESCE(MAX(EXTRACT(epoch FROM clock_timestamp() - xact_start)), 0) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"""
        )
        return float(cursor.fetchone()[0])


def test_f66_database_without_room_asks_stripe_to_repeat(world: World, client: Client) -> None:
    """PostgreSQL says 53100 when a disk is full."""
    order = buy(world, client, ProductFactory())
    event = events(world, "checkout.session.completed")[0]
    failing_with("53100", times=1, on="fulfillment_stripeevent")
    with transaction.atomic():
        answer = post_event(client, event)
        transaction.set_rollback(True)  # a request of its own would have rolled back by itself
    assert (answer.status_code, StripeEvent.objects.count()) == (503, 0)
    assert client.get("/").status_code == 200
    assert post_event(client, event).status_code == 200
    sweep()
    assert states(order) == ("paid", ["active"], ["sent"])


def manage_with_wrong_clock(world: World, seconds: int, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.wrong_clock", str(seconds), *command],
        cwd=ROOT,
        env=process_environment(world) | {"SWEEP_GRACE_SECONDS": "2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seconds", [600, -600])
def test_f47_lease_holds_whatever_the_clock_of_another_says(smtp: World, client: Client, seconds: int) -> None:
    """A sweep ten minutes ahead must not take what others hold; one ten minutes behind must see what is due."""
    buy(smtp, client, ProductFactory())
    report(smtp, client, "checkout.session.completed")
    held = StripeEvent.objects.create(
        event_id="evt_held", type="checkout.session.completed", object_id="cs_test_none", body=b"{}"
    )
    held_mail = Delivery.objects.create(
        order=OrderFactory(state="paid", email="held@example.com"), kind="order", recipient=GUEST
    )
    lease = timezone.now() + timedelta(seconds=50)
    StripeEvent.objects.filter(pk=held.pk).update(claim=uuid.uuid4(), next_attempt_at=lease, attempts=1)
    Delivery.objects.filter(pk=held_mail.pk).update(state="sending", claim=uuid.uuid4(), next_attempt_at=lease)
    past = timezone.now() - timedelta(seconds=3)  # older than the sweep's grace
    StripeEvent.objects.update(received_at=past)
    Delivery.objects.update(created_at=past)
    assert "swept: 1 events, " in manage_with_wrong_clock(smtp, seconds, "sweep")
    held.refresh_from_db()
    held_mail.refresh_from_db()
    assert (held.state, held.attempts, held.next_attempt_at) == ("received", 1, lease)
    assert (held_mail.state, held_mail.attempts, held_mail.next_attempt_at) == ("sending", 0, lease)
    assert Entitlement.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_f47_what_a_wrong_clock_wrote_is_due_at_once_and_its_lease_ends_in_time(smtp: World, client: Client) -> None:
    """A web process four minutes ahead, within what signatures allow, stores an event; a sender like it dies."""
    order = buy(smtp, client, ProductFactory())
    session = order.stripe_session_id
    event = f'{{"id": "evt_1", "type": "checkout.session.completed", "data": {{"object": {{"id": "{session}"}}}}}}'
    store = f"from fulfillment import inbox; inbox.store({event.encode()!r}); inbox.handle('evt_1')"
    manage_with_wrong_clock(smtp, 240, "shell", "-c", store)
    assert states(order) == DELIVERED
    assert outbox.send(Delivery.objects.get().pk) is True
    stored = StripeEvent.objects.get()
    assert abs(stored.received_at - timezone.now()) < timedelta(seconds=30)
    mail = Delivery.objects.create(order=order, kind="link", recipient=GUEST)
    claim = f"import uuid; from fulfillment import outbox; outbox._claim({mail.pk}, uuid.uuid4())"
    manage_with_wrong_clock(smtp, 240, "shell", "-c", claim)
    mail.refresh_from_db()
    assert mail.state == "sending"
    assert timedelta(seconds=20) < mail.next_attempt_at - timezone.now() <= outbox.LEASE
