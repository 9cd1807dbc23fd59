"""What Stripe has and we have not is found and mended; twice, or in a dry run, nothing changes."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from fulfillment.delivery_models import Delivery
from fulfillment.models import Cursor, Entitlement, StripeEvent
from fulfillment.reconcile import OVERLAP, SLICE, reconcile
from fulfillment.sweep import sweep
from orders import stripe_api
from orders.models import Order, TimelineEntry
from sandbox.world.objects.account import event as event_about
from sandbox.world.server import World
from storefront.celery import app
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_sweep import ROOT, process_environment
from tests.steps import DELIVERED, begin_checkout, buy, events, pay_by_link, post_event, report, states

pytestmark = pytest.mark.django_db

MODELS = (Order, Entitlement, Delivery, TimelineEntry, StripeEvent)
CLEAN = "0 differed, 0 mended; 0 wrong\n"


def run(*arguments: str, code: int = 0) -> str:
    out = StringIO()
    if code:
        with pytest.raises(SystemExit) as ended:
            call_command("reconcile", *arguments, stdout=out)
        assert ended.value.code == code
    else:
        call_command("reconcile", *arguments, stdout=out)
    return out.getvalue()


def dump() -> list[list[object]]:
    return [list(model.objects.order_by("pk").values()) for model in MODELS]


def no_events_left_to_find() -> None:
    """Stripe's events are behind the cursor, overlap included: only the lists of sessions and money remain."""
    Cursor.objects.update_or_create(name="stripe events", defaults={"at": timezone.now() + timedelta(hours=1)})


def test_f37_lost_webhooks_are_stored_and_handled(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    sent = events(world, "checkout.session.completed", "payment_intent.succeeded")
    assert run().endswith("reconciled: 2 events missing; 1 sessions compared, 0 of others; " + CLEAN)
    assert states(order) == DELIVERED
    stored = dict(StripeEvent.objects.values_list("event_id", "state"))
    assert stored == {event["id"]: "handled" for event in sent}


def test_f40_event_that_was_never_made_is_made_up_for_by_the_session(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory(name="Knots"))
    no_events_left_to_find()
    said = run().splitlines()
    assert said[0] == f"order {order.reference}:"
    assert said[1].startswith("    order: state: open → paid")
    assert said[-1] == ("reconciled: 0 events missing; 1 sessions compared, 0 of others; 1 differed, 1 mended; 0 wrong")
    assert (states(order), StripeEvent.objects.count()) == (DELIVERED, 0)


def test_f25_f40_session_that_no_order_knows_is_delivered(world: World) -> None:
    ProductFactory(slug="knots")
    session_id = pay_by_link(world, slug="knots")
    no_events_left_to_find()
    assert run().startswith(f"new order for {session_id}:\n")
    assert states(Order.objects.get()) == DELIVERED


@pytest.mark.parametrize("lost", [Entitlement, Delivery])
def test_paid_order_that_lacks_something_is_mended(world: World, client: Client, lost: type[Entitlement]) -> None:
    order = buy(world, client, ProductFactory())
    run()
    lost.objects.all().delete()
    assert "1 differed, 1 mended; 0 wrong" in run()
    assert states(order) == DELIVERED


def test_f40_refund_and_dispute_nobody_told_us_about(world: World, client: Client) -> None:
    refunded, disputed = buy(world, client, ProductFactory()), buy(world, Client(), ProductFactory())
    run()
    world.control("refund", {"session": refunded.stripe_session_id})
    world.control("dispute", {"session": disputed.stripe_session_id})
    no_events_left_to_find()
    assert run().endswith("0 events missing; 2 sessions compared, 0 of others; 2 differed, 2 mended; 0 wrong\n")
    assert (states(refunded)[1], states(disputed)[1]) == (["revoked"], ["suspended"])


def test_f53_delayed_payment_is_compared_too(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory(), method="bank_debit")
    no_events_left_to_find()
    assert "1 differed, 1 mended" in run()
    assert states(order) == ("processing", [], ["pending"])
    assert run().endswith(CLEAN)
    world.control(f"settle/{order.stripe_session_id}", {"result": "succeeded"})
    assert "1 differed, 1 mended" in run()
    assert states(order) == ("paid", ["active"], ["pending", "pending"])


def test_foreign_and_open_sessions_are_left_alone(world: World, client: Client) -> None:
    world.control("trigger", {"type": "checkout.session.completed"})
    begin_checkout(client, ProductFactory())
    assert run().endswith("1 sessions compared, 1 of others; " + CLEAN)
    assert Order.objects.count() == 1
    assert set(StripeEvent.objects.values_list("state", flat=True)) == {"ignored"}


def test_what_a_person_must_mend_is_wrong_until_it_is(world: World) -> None:
    pay_by_link(world, slug="not-yet")
    said = run(code=1)
    assert f"order {Order.objects.get().reference} needs a person: " in said
    assert said.endswith("1 wrong\n")
    run(code=1)
    ProductFactory(slug="not-yet")
    call_command("replay", "--order", Order.objects.get().reference, stdout=StringIO())
    assert run().endswith(CLEAN)


def test_i20_twice_changes_nothing_at_all(world: World, client: Client) -> None:
    """Not even the version of the facts."""
    refunded = buy(world, client, ProductFactory())
    world.control("refund", {"session": refunded.stripe_session_id})
    world.control("dispute", {"session": buy(world, Client(), ProductFactory()).stripe_session_id})
    buy(world, Client(), ProductFactory(), method="bank_debit")
    report(world, client, "checkout.session.completed")
    sweep()
    run()
    before = dump()
    assert run().startswith("reconciled: 0 events missing; 3 sessions compared, ")
    assert dump() == before


def test_dry_run_says_what_differs_and_changes_nothing(world: World, client: Client, drain: Callable[[], int]) -> None:
    order = buy(world, client, ProductFactory())
    before = dump()
    said = run("--dry-run")
    for event in events(world, "checkout.session.completed", "payment_intent.succeeded"):
        assert f"event {event['id']} was missing\n" in said
    assert f"order {order.reference}:\n    order: state: open → paid" in said
    assert said.endswith(
        "would reconcile: 2 events missing; 1 sessions compared, 0 of others; 1 differed, 0 mended; 0 wrong\n"
    )
    assert (dump(), Cursor.objects.count(), drain()) == (before, 0, 0)


def test_dry_run_counts_an_event_on_the_edge_of_two_slices_once(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    since = timezone.now() + OVERLAP - SLICE - timedelta(milliseconds=10)
    found = reconcile(since=since, dry_run=True, say=lambda _: None)
    assert found.missing == 2


def test_f39_cursor_stays_until_all_is_stored(world: World, client: Client) -> None:
    """Killed in the middle of a page, the next run begins there again."""
    for _ in range(3):
        buy(world, Client(), ProductFactory())
    said: list[str] = []

    def killed(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            raise KeyboardInterrupt

    day = timezone.now() - timedelta(days=1)
    with pytest.raises(KeyboardInterrupt):
        reconcile(since=day, say=killed)
    assert StripeEvent.objects.count() == 2
    assert Cursor.objects.get().at < Order.objects.earliest("pk").created_at  # an empty slice before was read
    began = timezone.now()
    assert run().startswith("event ")
    assert StripeEvent.objects.count() == 6
    assert Cursor.objects.get().at >= began
    sweep()
    assert set(StripeEvent.objects.values_list("state", flat=True)) == {"handled"}


def test_f39_cursor_overlaps_by_ten_minutes_and_moves_forward_only(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    ahead = timezone.now() + timedelta(minutes=9)
    Cursor.objects.create(name="stripe events", at=ahead)
    assert "reconciled: 2 events missing" in run()
    assert Cursor.objects.get().at == ahead


def test_f39_250_events_of_one_moment_are_all_found(world: World) -> None:
    """Three pages, many of the same second."""
    for _ in range(125):
        world.control("trigger", {"type": "checkout.session.completed"})
    hour = timezone.now() - timedelta(hours=1)
    sent = {event["id"] for event in events(world, "checkout.session.completed", "payment_intent.succeeded")}
    assert len(sent) == 250
    found = reconcile(since=hour, say=lambda _: None)
    assert (found.missing, found.compared, found.foreign, found.wrong) == (250, 125, 125, 0)
    assert set(StripeEvent.objects.values_list("event_id", flat=True)) == sent
    assert len(stripe_api.complete_sessions_since(hour)) == 125


def test_f16_f39_stripe_away_is_wrong_and_moves_no_cursor(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    world.control("faults", {"area": "api", "kind": "error", "status": 429})
    assert run(code=1).endswith("0 mended; 3 wrong\n")
    assert (Cursor.objects.count(), StripeEvent.objects.count()) == (0, 0)


def test_events_failing_leaves_the_sessions_to_be_mended(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    world.control("faults", {"area": "api", "kind": "error", "status": 429, "path": "/v1/events"})
    said = run(code=1)
    assert said.startswith("events: failed, StripeUnavailable")
    assert said.endswith("1 differed, 1 mended; 1 wrong\n")
    assert states(order) == DELIVERED


def test_older_sessions_are_outside_the_window(world: World, client: Client) -> None:
    buy(world, client, ProductFactory())
    assert stripe_api.complete_sessions_since(timezone.now() + timedelta(seconds=5)) == []
    with pytest.raises(CommandError, match="--since"):
        run("--since", "yesterday")


def test_f40_one_of_twenty_orders_whose_event_was_never_made_is_found(world: World, client: Client) -> None:
    orders = [buy(world, Client(), ProductFactory()) for _ in range(20)]
    sent = events(world, "checkout.session.completed")
    for event in (*sent[:7], *sent[8:]):
        post_event(client, event)
    sweep()
    no_events_left_to_find()
    assert run().endswith("0 events missing; 20 sessions compared, 0 of others; 1 differed, 1 mended; 0 wrong\n")
    assert [states(order)[:2] for order in orders] == [("paid", ["active"])] * 20


def lose_the_last(orders: list[Order]) -> None:
    """What a replica that was behind never got: the rows of these orders, and the events about them."""
    ids = [order.pk for order in orders]
    lines = "SELECT id FROM orders_orderline WHERE order_id = ANY(%s)"
    mails = "SELECT id FROM fulfillment_delivery WHERE order_id = ANY(%s)"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # nothing was deleted: it never was there
        for table, where in (
            ("fulfillment_entitlement", f"order_line_id IN ({lines})"),
            ("fulfillment_deliveryattempt", f"delivery_id IN ({mails})"),
            ("fulfillment_delivery", "order_id = ANY(%s)"),
            ("orders_timelineentry", "order_id = ANY(%s)"),
            ("orders_orderline", "order_id = ANY(%s)"),
            ("orders_order", "id = ANY(%s)"),
        ):
            cursor.execute(f"DELETE FROM {table} WHERE {where}", [ids])  # noqa: S608 - no name is from outside
        StripeEvent.objects.filter(object_id__in=[order.stripe_session_id for order in orders]).delete()
        StripeEvent.objects.filter(object_id__in=[order.stripe_payment_intent_id for order in orders]).delete()
        StripeEvent.objects.exclude(type__startswith="checkout.").exclude(type__startswith="payment_intent.").delete()


def end_state() -> dict[str | None, tuple[object, ...]]:
    """Of each session what it led to, without the numbers of rows."""
    fields = ("state", "total", "refunded", "dispute", "email", "source")
    access = ("product", "state", "reason", "email")
    return {
        order.stripe_session_id: (
            *(getattr(order, name) for name in fields),
            *Entitlement.objects.filter(order_line__order=order).values_list(*access),
            *order.deliveries.values_list("kind", "recipient"),
        )
        for order in Order.objects.all()
    }


@pytest.mark.parametrize("cursor", ["kept", "lost"])
def test_f25_last_rows_lost_in_a_failover_are_restored_from_stripe(world: World, client: Client, cursor: str) -> None:
    orders = [buy(world, Client(), ProductFactory(), email=f"reader{n}@example.com") for n in range(5)]
    ProductFactory(slug="by-link")
    pay_by_link(world, slug="by-link")
    world.control("refund", {"session": orders[3].stripe_session_id})
    world.control("dispute", {"session": orders[4].stripe_session_id})
    report(world, client)
    sweep()
    run()
    before, numbers = end_state(), set(Order.objects.filter(source="checkout").values_list("reference", flat=True))
    lose_the_last(list(Order.objects.order_by("-pk")[:4]))
    if cursor == "lost":
        Cursor.objects.all().delete()
    assert (len(before), len(end_state())) == (6, 2)
    assert run().endswith("0 wrong\n")
    assert end_state() == before
    # Under their own numbers, so that the links in mails go on working.
    assert set(Order.objects.filter(source="checkout").values_list("reference", flat=True)) == numbers
    assert run().endswith("6 sessions compared, 0 of others; " + CLEAN)


def test_f25_number_that_another_order_has_is_not_taken_again(world: World, client: Client) -> None:
    """Metadata of a foreign application, or of a slip: the order is kept, under a number of its own."""
    ProductFactory(slug="knots", price=1500)
    taken = OrderFactory(stripe_session_id="cs_test_another")
    for reference in (taken.reference, "x" * 40, "lower case"):
        metadata = {"product_slug": "knots", "storefront_order": reference}
        trigger = {"type": "checkout.session.completed", "metadata": metadata, "client_reference_id": reference}
        world.control("trigger", trigger)
    assert run().endswith("0 wrong\n")
    assert Order.objects.filter(state="paid").count() == 3
    assert not Order.objects.filter(state="paid", reference=taken.reference).exists()


@pytest.mark.django_db(transaction=True)
def test_f39_thousand_events_of_one_second_survive_a_kill_in_the_middle_of_a_page(world: World) -> None:
    """A real process and SIGKILL. The cursor is behind until all is stored, so the next run begins there again."""
    orders = [buy(world, Client(), ProductFactory()) for _ in range(5)]
    second = int(time.time()) - 60
    with world.account.store.transaction():
        for number in range(1000):
            body = {"id": f"re_{number}", "object": "refund", "payment_intent": None, "charge": None}
            event = event_about("refund.created", body, previous=None, request_id=None, key=None)
            world.account.store.add(event | {"created": second})
    environment = process_environment(world) | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "manage.py", "reconcile", "--since", "2h"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(350):
            assert " was missing" in process.stdout.readline()
        process.kill()
    stored = StripeEvent.objects.count()
    assert 350 <= stored < 1000
    assert Cursor.objects.get().at.timestamp() < second
    assert run("--since", "2h").endswith("0 wrong\n")
    assert StripeEvent.objects.filter(object_id__startswith="re_").count() == 1000
    call_command("sweep", stdout=StringIO())  # those that the first run stored wait for it
    assert set(StripeEvent.objects.values_list("state", flat=True)) == {"handled", "ignored"}
    assert [states(order)[0] for order in orders] == ["paid"] * 5


@pytest.mark.parametrize("entry", ["reconcile", "reconcile 30 days"])
def test_beat_reconciles(world: World, client: Client, settings: Settings, entry: str) -> None:
    order = buy(world, client, ProductFactory())
    scheduled = settings.CELERY_BEAT_SCHEDULE[entry]
    app.loader.import_default_modules()
    app.tasks[scheduled["task"]](*scheduled["args"])
    assert states(order) == DELIVERED
