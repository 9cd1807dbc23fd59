"""An operator fulfills again what is named; twice, or in a dry run, nothing changes."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from catalog.models import Product
from fulfillment import inbox, replay
from fulfillment.delivery_models import Delivery
from fulfillment.models import Alert, Cursor, Entitlement, Heartbeat, StripeEvent
from fulfillment.preview import difference
from fulfillment.reconcile import reconcile
from fulfillment.sweep import sweep
from orders.models import Order, TimelineEntry
from sandbox.world.server import World
from tests.factories import OrderFactory, ProductFactory
from tests.fulfillment.test_sweep import ROOT, process_environment, wait_until
from tests.steps import DELIVERED, GUEST, begin_checkout, buy, pay_by_link, report, states

pytestmark = pytest.mark.django_db

MODELS = (Order, Entitlement, Delivery, TimelineEntry, StripeEvent)
# With each accepted run: the version, so that older facts never win, and when to ask again where a person is needed.
MOVES = {"facts_version", "next_check_at"}


def run(*arguments: str, code: int = 0) -> str:
    out = StringIO()
    if code:
        with pytest.raises(SystemExit) as ended:
            call_command("replay", *arguments, stdout=out)
        assert ended.value.code == code
    else:
        call_command("replay", *arguments, stdout=out)
    return out.getvalue()


def dump(*, without: set[str] = MOVES) -> list[list[dict[str, object]]]:
    return [
        [
            {name: value for name, value in row.items() if name not in without}
            for row in model.objects.order_by("pk").values()
        ]
        for model in MODELS
    ]


def failed_event(world: World, client: Client, product: Product | None = None) -> Order:
    """A paid order whose event was given up on."""
    order = buy(world, client, product or ProductFactory())
    report(world, client, "checkout.session.completed")
    StripeEvent.objects.update(state="failed", attempts=10, note="a bug")
    return order


def test_f70_event_that_failed_comes_back_to_life(world: World, client: Client) -> None:
    order = failed_event(world, client)
    event = StripeEvent.objects.get()
    assert run("--event", event.event_id) == "replayed: 1 sessions, 0 skipped, 0 failed\n"
    event.refresh_from_db()
    assert (event.state, event.note, event.handled_at is not None) == ("handled", "", True)
    assert states(order) == DELIVERED
    assert order.timeline.filter(door="replay").count() == 2


@pytest.mark.parametrize(
    "selector",
    [
        lambda order: ("--session", order.stripe_session_id),
        lambda order: ("--order", order.reference.lower()),
        lambda _: ("--type", "checkout.session.completed"),
        lambda _: ("--since", "2h"),
        lambda _: ("--failed",),
        lambda _: ("--failed", "--type", "checkout.session.completed", "--since", "1d"),
    ],
)
def test_every_selector_finds_the_session(
    world: World, client: Client, selector: Callable[[Order], tuple[str, ...]]
) -> None:
    order = failed_event(world, client)
    assert run(*selector(order)) == "replayed: 1 sessions, 0 skipped, 0 failed\n"
    assert states(order) == DELIVERED


@pytest.mark.parametrize(
    "arguments",
    [
        ("--failed", "--type", "charge.refunded"),
        ("--failed", "--since", "1m"),
        ("--type", "charge.refunded"),
        ("--since", "2999-01-01"),
    ],
)
def test_selectors_narrow_the_inbox_together(world: World, client: Client, arguments: tuple[str, ...]) -> None:
    failed_event(world, client)
    StripeEvent.objects.update(received_at=timezone.now() - timedelta(hours=1))
    assert run(*arguments) == "replayed: 0 sessions, 0 skipped, 0 failed\n"


def test_period_takes_orders_along_whose_events_never_came(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    assert run("--since", "1h") == "replayed: 1 sessions, 0 skipped, 0 failed\n"
    assert states(order) == DELIVERED


def test_session_of_many_events_is_asked_about_once(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    world.control("refund", {"session": order.stripe_session_id})
    report(world, client)
    assert run("--type", "charge.refunded", "--order", order.reference) == "replayed: 1 sessions, 0 skipped, 0 failed\n"
    order.refresh_from_db()
    assert (order.facts_version, order.refunded) == (1, 1250)
    assert StripeEvent.objects.get(type="charge.refunded").state == "handled"


def test_f19_payment_link_with_unknown_slug_is_delivered_after_the_fix(world: World, client: Client) -> None:
    pay_by_link(world, slug="not-yet")
    report(world, client, "checkout.session.completed")
    sweep()
    order = Order.objects.get()
    assert "names the slug 'not-yet', which no product has." in order.attention
    ProductFactory(slug="not-yet")
    run("--order", order.reference)
    assert states(order) == DELIVERED
    assert (order.attention, order.deliveries.get().recipient) == ("", GUEST)


def test_f41_i20_replaying_everything_twice_changes_nothing(world: World, client: Client) -> None:
    refunded = buy(world, client, ProductFactory())
    world.control("refund", {"session": refunded.stripe_session_id})
    world.control("dispute", {"session": buy(world, client, ProductFactory()).stripe_session_id})
    pay_by_link(world, slug="nowhere")
    report(world, client)
    sweep()
    run("--since", "1d")
    before = dump()
    assert " 0 failed" in run("--since", "1d")
    assert dump() == before


def test_f41_stopped_half_way_it_goes_on(world: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done before the kill is done, and the rest follows."""
    orders = [buy(world, Client(), ProductFactory()) for _ in range(3)]
    report(world, client, "checkout.session.completed")
    StripeEvent.objects.update(state="failed")

    def killed(line: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(replay, "SHOW_EVERY", 2)
    with pytest.raises(KeyboardInterrupt):
        replay.replay(replay.Selection(failed=True), say=killed)
    assert StripeEvent.objects.filter(state="failed").count() == 1
    assert run("--failed") == "replayed: 1 sessions, 0 skipped, 0 failed\n"
    assert [states(order) for order in orders] == [DELIVERED] * 3


@pytest.mark.django_db(transaction=True)
def test_f41_killed_half_way_it_goes_on_and_nothing_happens_twice(world: World, client: Client) -> None:
    """A real process and SIGKILL, then the same command again."""
    orders = [buy(world, Client(), ProductFactory()) for _ in range(30)]
    report(world, client, "checkout.session.completed")
    StripeEvent.objects.update(state="failed")
    environment = process_environment(world) | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, "manage.py", "replay", "--failed"], cwd=ROOT, env=environment) as process:
        wait_until(lambda: StripeEvent.objects.filter(state="handled").count() >= 5, 30)
        process.kill()
    left = StripeEvent.objects.filter(state="failed").count()
    assert 0 < left <= 25
    assert run("--failed") == f"replayed: {left} sessions, 0 skipped, 0 failed\n"
    assert [states(order) for order in orders] == [DELIVERED] * 30
    before = dump()
    assert run("--type", "checkout.session.completed") == "replayed: 30 sessions, 0 skipped, 0 failed\n"
    assert dump() == before


def whole_database() -> dict[str, list[dict[str, object]]]:
    """Every row of every table of ours, but for what each run moves: versions, when to ask again, signs and alerts."""
    labels = ("accounts", "catalog", "orders", "fulfillment")
    models = [model for label in labels for model in apps.get_app_config(label).get_models()]
    return {
        model._meta.label: [
            {name: value for name, value in row.items() if name not in MOVES}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in models
        if model not in (Alert, Heartbeat, Cursor)
    }


def test_i20_sweep_reconcile_and_full_replay_once_more_change_nothing(world: World, client: Client) -> None:
    refunded, disputed = buy(world, Client(), ProductFactory()), buy(world, Client(), ProductFactory())
    buy(world, Client(), ProductFactory(), method="bank_debit")
    begin_checkout(Client(), ProductFactory())
    pay_by_link(world, slug="nowhere")
    world.control("trigger", {"type": "checkout.session.completed"})
    world.control("refund", {"session": refunded.stripe_session_id})
    world.control("dispute", {"session": disputed.stripe_session_id})
    report(world, client)

    def everything() -> None:
        sweep()
        call_command("sweep", stdout=StringIO())
        reconcile(since=timezone.now() - timedelta(days=1), say=lambda _: None)
        run("--since", "1d")

    everything()
    before = whole_database()
    counted = ("orders.Order", "orders.OrderLine", "fulfillment.Entitlement", "fulfillment.Delivery")
    assert [len(before[name]) for name in counted] == [5, 4, 2, 4]
    everything()
    assert whole_database() == before


def test_progress_is_shown(world: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "SHOW_EVERY", 1)
    failed_event(world, client)
    assert run("--failed").splitlines()[0] == "1 so far: 1 sessions, 0 skipped, 0 failed"


def test_one_failure_is_said_and_the_others_go_on(world: World, client: Client) -> None:
    order = failed_event(world, client)
    StripeEvent.objects.create(
        event_id="evt_poison", type="charge.refunded", body=b"no json", state="failed", received_at=order.created_at
    )
    said = run("--failed", code=1)
    assert said.startswith("evt_poison: failed, JSONDecodeError: ")
    assert said.endswith("replayed: 1 sessions, 0 skipped, 1 failed\n")
    assert states(order) == DELIVERED
    assert StripeEvent.objects.get(event_id="evt_poison").state == "failed"


def test_stripe_away_fails_and_writes_nothing(world: World, client: Client) -> None:
    failed_event(world, client)
    before = dump(without=set())
    world.control("faults", {"area": "api", "kind": "error", "status": 500})
    assert run("--failed", code=1).endswith("replayed: 0 sessions, 0 skipped, 1 failed\n")
    assert dump(without=set()) == before


NO_EVENT = "failed, LookupError: there is no such event in the inbox: reconcile fetches what is missing"
NO_ORDER = "failed, LookupError: there is no such order"
NO_SESSION = "failed, LookupError: that is not the id of a Checkout Session"
LONG = "A" * 10_000
# What is nobody's name: as typed, as shown, and what is said of it.
NONSENSE = [
    ("--event", "evt_none", "evt_none", NO_EVENT),
    ("--event", "x\x00y", r"'x\x00y'…", NO_EVENT),
    ("--event", LONG, f"'{'A' * 80}'…", NO_EVENT),
    ("--event", "' OR 1=1 --", "' OR 1=1 --", NO_EVENT),
    ("--order", "NOSUCH", "NOSUCH", NO_ORDER),
    ("--order", "A\x00B", r"'A\x00B'…", NO_ORDER),
    ("--order", LONG, f"'{'A' * 80}'…", NO_ORDER),
    ("--order", "a\nb", r"'a\nb'…", NO_ORDER),
    ("--session", "x", "x", NO_SESSION),
    ("--session", "cs_test_\x00", r"'cs_test_\x00'…", NO_SESSION),
    ("--session", LONG, f"'{'A' * 80}'…", NO_SESSION),
    ("--session", "", "", NO_SESSION),
]


@pytest.mark.parametrize("option, typed, shown, said", NONSENSE, ids=[f"{row[0]} {row[2][:20]}" for row in NONSENSE])
def test_s61_name_of_nothing_is_said_on_one_line_and_fails(option: str, typed: str, shown: str, said: str) -> None:
    """Stripe is not even asked: it is not there."""
    assert run(option, typed, code=1) == f"{shown}: {said}\nreplayed: 0 sessions, 0 skipped, 1 failed\n"


def test_session_that_stripe_does_not_know_fails(world: World) -> None:
    said = run("--session", "cs_test_none", code=1)
    assert said.startswith("cs_test_none: failed, SessionUnknown: ")
    assert said.endswith("replayed: 0 sessions, 0 skipped, 1 failed\n")


@pytest.mark.parametrize(
    "kind, why",
    [
        ("charge.succeeded", "the PaymentIntent has an event of its own for it"),
        ("invoice.paid", "it is none of: charge.dispute.closed, charge.dispute.created, "),
        ("x\x00", "it is none of: "),
        (LONG, "it is none of: "),
    ],
    ids=lambda text: text[:20],
)
def test_s61_type_that_leads_nowhere_is_refused_with_the_reason(kind: str, why: str) -> None:
    with pytest.raises(CommandError) as refused:
        run("--type", kind)
    assert str(refused.value).startswith(f"--type {kind[:80]!r} leads to no order: {why}")
    assert len(str(refused.value)) < 1000


def test_f42_purged_money_event_is_skipped_with_the_reason(world: World) -> None:
    StripeEvent.objects.create(
        event_id="evt_old", type="charge.refunded", body=b"", state="handled", handled_at=timezone.now()
    )
    before = dump(without=set())
    assert run("--event", "evt_old") == (
        "evt_old: skipped, its body was purged: replay its order or session instead\n"
        "replayed: 0 sessions, 1 skipped, 0 failed\n"
    )
    assert dump(without=set()) == before


def test_foreign_session_is_skipped_and_its_event_ignored(world: World, client: Client) -> None:
    world.control("trigger", {"type": "checkout.session.completed"})
    report(world, client, "checkout.session.completed")
    StripeEvent.objects.update(state="failed")
    assert run("--failed").endswith("replayed: 1 sessions, 1 skipped, 0 failed\n")
    event = StripeEvent.objects.get()
    assert event.state == "ignored"
    assert event.note.endswith("another application made")


def test_event_ignored_before_becomes_handled_once_it_is_ours(world: World, client: Client) -> None:
    order = failed_event(world, client)
    StripeEvent.objects.update(state="ignored")
    run("--type", "checkout.session.completed")
    assert (StripeEvent.objects.get().state, states(order)) == ("handled", DELIVERED)


def test_worker_that_held_the_event_cannot_undo_it(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    event = StripeEvent.objects.get()
    run("--event", event.event_id)
    assert inbox.handle(event.event_id) is False
    assert states(order) == DELIVERED


def test_order_without_session_is_skipped(world: World) -> None:
    order = OrderFactory()
    assert run("--order", order.reference) == (
        f"{order.reference}: skipped, it has no Checkout Session\nreplayed: 0 sessions, 1 skipped, 0 failed\n"
    )


def test_f41_dry_run_prints_the_difference_and_changes_nothing(
    world: World, client: Client, drain: Callable[[], int]
) -> None:
    product = ProductFactory(name="Knots")
    order = failed_event(world, client, product)
    before = dump(without=set())
    said = run("--failed", "--dry-run").splitlines()
    paid_at = order.timeline.count() + 1
    assert said[:2] == [f"order {order.reference}:", said[1]]
    assert said[1].startswith(f"    order: state: open → paid, email: – → {GUEST}, paid_at: – → ")
    assert said[2:] == [
        f"    new entitlement Knots: state: active, email: {GUEST}",
        f"    new delivery order 1: state: pending, recipient: {GUEST}",
        f"    new timeline {paid_at}: payment state: open → paid",
        f"    new timeline {paid_at + 1}: Access: Knots: Active",
        "would replay: 1 sessions, 1 would change, 0 skipped, 0 failed",
    ]
    assert (dump(without=set()), drain()) == (before, 0)


@pytest.mark.django_db(transaction=True)
def test_dry_run_wakes_nobody(world: World, client: Client, drain: Callable[[], int]) -> None:
    buy(world, client, ProductFactory())
    run("--since", "1h", "--dry-run")
    assert (drain(), Entitlement.objects.count()) == (0, 0)
    run("--since", "1h")
    assert (drain(), Entitlement.objects.count()) == (1, 1)


def test_dry_run_of_an_order_that_would_be_new(world: World, client: Client) -> None:
    ProductFactory(slug="knots", name="Knots")
    session_id = pay_by_link(world, slug="knots", amount=900)
    said = run("--session", session_id, "--dry-run").splitlines()
    assert said[0] == f"new order for {session_id}:"
    assert said[1].startswith("    new order: state: paid, total: 900, refunded: 0, currency: usd, ")
    assert said[2] == "    new line Knots: unit_price: 900, quantity: 1, refunded: 0"
    assert (Order.objects.count(), StripeEvent.objects.count()) == (0, 0)


def test_dry_run_of_what_is_as_it_should_be_prints_nothing_but_counts(world: World, client: Client) -> None:
    begin_checkout(client, ProductFactory())
    buy(world, Client(), ProductFactory())
    run("--since", "1h")
    assert run("--since", "1h", "--dry-run") == "would replay: 2 sessions, 0 skipped, 0 failed\n"


def test_difference_names_new_rows_and_changed_fields_only() -> None:
    before = {"a": {"x": "1", "y": "2"}, "b": {"x": "1"}}
    after = {"a": {"x": "1", "y": ""}, "b": {"x": "1"}, "c": {"x": "3", "y": ""}}
    assert list(difference(before, after)) == ["a: y: 2 → –", "new c: x: 3"]


def test_without_a_selector_or_with_a_nonsense_period_it_refuses() -> None:
    for arguments in ((), ("--dry-run",)):
        with pytest.raises(CommandError, match="say what to replay"):
            call_command("replay", *arguments, stdout=StringIO())


PERIODS = ["yesterday", "2026-02-31", "-2h", "2", "h", "999999d", "99999d", "0001-01-01", "2h\x00", "２h", "9" * 10_000]


@pytest.mark.parametrize("command", ["replay", "reconcile"])
@pytest.mark.parametrize("period", PERIODS, ids=lambda text: ascii(text)[:20])
def test_s61_period_that_is_none_is_refused_on_one_line(command: str, period: str) -> None:
    with pytest.raises(CommandError) as refused:
        call_command(command, f"--since={period}", stdout=StringIO())
    assert str(refused.value).startswith(f"--since: {period[:40]!r} ")
    assert len(str(refused.value)) < 200
