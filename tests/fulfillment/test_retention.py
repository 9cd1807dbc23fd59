"""The inbox forgets bodies after a month and ids after a year; what was not handled it keeps."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import SignIn
from fulfillment import inbox, retention
from fulfillment.delivery_models import Delivery
from fulfillment.models import Download, Entitlement, StripeEvent
from orders.models import Order
from sandbox.world.server import World
from storefront.celery import app
from tests.factories import OrderFactory, ProductFactory, UserFactory
from tests.steps import buy, events, post_event, report

pytestmark = pytest.mark.django_db

BODY = b'{"id": "evt_1"}'
KINDS = ("handled", "ignored", "received", "failed")


def event(state: str, *, days: float) -> StripeEvent:
    at = timezone.now() - timedelta(days=days)
    return StripeEvent.objects.create(
        event_id=f"evt_{state}_{days:g}".replace(".", "_"),
        type="charge.refunded",
        body=BODY,
        state=state,
        received_at=at,
        handled_at=at if state == "handled" else None,
    )


def left() -> dict[str, bytes]:
    return {row.event_id: bytes(row.body) for row in StripeEvent.objects.order_by("event_id")}


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("purge_events", *arguments, stdout=out)
    return "".join(line for line in out.getvalue().splitlines(keepends=True) if "forg" not in line)


def test_f42_only_settled_events_past_the_days_lose_their_body() -> None:
    for state in KINDS:
        event(state, days=31)
        event(state, days=29)
    assert run() == "purged: 2 bodies, 0 rows\n"
    emptied = {"evt_handled_31", "evt_ignored_31"}
    assert left() == {f"evt_{state}_{days}": BODY for state in KINDS for days in (29, 31)} | dict.fromkeys(emptied, b"")


def test_f42_rows_go_after_400_days_unless_they_were_not_handled() -> None:
    for state in KINDS:
        event(state, days=401)
        event(state, days=399)
    assert run() == "purged: 2 bodies, 2 rows\n"
    assert left() == {
        "evt_failed_399": BODY,
        "evt_failed_401": BODY,
        "evt_handled_399": b"",
        "evt_ignored_399": b"",
        "evt_received_399": BODY,
        "evt_received_401": BODY,
    }


def test_days_may_be_chosen_and_nonsense_is_refused() -> None:
    event("handled", days=8)
    assert run("--days", "9") == "purged: 0 bodies, 0 rows\n"
    assert run("--days", "7") == "purged: 1 bodies, 0 rows\n"
    for nonsense in ("0", "-30", "1.5", "36501", "month", "9" * 10_000, "30\x00"):
        with pytest.raises(CommandError):
            run("--days", nonsense)


def test_longer_than_400_days_keeps_rows_as_long() -> None:
    event("handled", days=450)
    assert run("--days", "500") == "purged: 0 bodies, 0 rows\n"
    assert left() == {"evt_handled_450": BODY}


def test_dry_run_counts_and_changes_nothing() -> None:
    event("handled", days=31)
    event("handled", days=401)
    before = left()
    assert run("--dry-run") == "would purge: 1 bodies, 1 rows\n"
    assert left() == before


def test_progress_is_shown_and_every_batch_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "SHOW_EVERY", 4)
    for days in range(31, 40):
        event("handled", days=days)
    assert run() == "4 rows so far\n8 rows so far\npurged: 9 bodies, 0 rows\n"
    assert set(left().values()) == {b""}


def test_second_run_finds_nothing() -> None:
    event("handled", days=31)
    run()
    assert run() == "purged: 0 bodies, 0 rows\n"


@pytest.mark.parametrize("batch", [1, 2, 5, 7])
def test_batches_leave_no_row_out(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(retention, "BATCH", batch)
    for number in range(5):
        event("handled", days=31 + number)
        event("handled", days=401 + number)
    assert run() == "purged: 5 bodies, 5 rows\n"
    assert set(left().values()) == {b""}


def test_f42_old_event_sent_again_is_still_a_noop(world: World, client: Client) -> None:
    """A resend of an event whose body is gone."""
    buy(world, client, ProductFactory())
    report(world, client, "checkout.session.completed")
    inbox.handle(StripeEvent.objects.get().event_id)
    StripeEvent.objects.update(received_at=timezone.now() - timedelta(days=31))
    run()
    version = Order.objects.get().facts_version
    sent = events(world, "checkout.session.completed")[0]
    assert post_event(client, sent).status_code == 200
    assert inbox.handle(sent["id"]) is False
    assert (Order.objects.get().facts_version, StripeEvent.objects.get().state) == (version, "handled")
    assert (bytes(StripeEvent.objects.get().body), Entitlement.objects.count(), Delivery.objects.count()) == (b"", 1, 1)


def test_purged_money_event_says_that_it_cannot_name_its_payment() -> None:
    purged = event("handled", days=31)
    run()
    purged.refresh_from_db()
    with pytest.raises(inbox.EventPurged, match="replay its order or session instead"):
        inbox.session_of(purged)


def test_beat_purges_every_night(settings: Settings) -> None:
    event("handled", days=31)
    entry = settings.CELERY_BEAT_SCHEDULE["purge events"]
    app.loader.import_default_modules()
    task: Callable[..., None] = app.tasks[entry["task"]]
    task(*entry["args"])
    assert left() == {"evt_handled_31": b""}


def visitors(*, days: float) -> None:
    """A sign-in, a purchase and a download of that many days ago."""
    at = timezone.now() - timedelta(days=days)
    user = UserFactory()
    SignIn.objects.create(user=user, at=at, address="192.0.2.1", agent="Firefox")
    order = OrderFactory(created_at=at, buyer_address="192.0.2.1", buyer_agent="Firefox")
    file = order.lines.get().edition.files.get()
    Download.objects.create(file=file, via="free", address="192.0.2.1", agent="Firefox", started_at=at, last_at=at)


def test_where_visitors_came_from_is_forgotten_after_400_days() -> None:
    visitors(days=401)
    visitors(days=399)
    told = "1 sign-ins, addresses of 1 orders and 1 downloads"
    assert str(retention.forget_visitors(dry_run=True)) == told
    out = StringIO()
    call_command("purge_events", stdout=out)
    assert out.getvalue().splitlines()[1] == f"forgot: {told}"
    assert SignIn.objects.count() == 1
    assert list(Order.objects.order_by("created_at").values_list("buyer_address", "buyer_agent")) == [
        (None, ""),
        ("192.0.2.1", "Firefox"),
    ]
    assert list(Download.objects.order_by("last_at").values_list("address", "agent")) == [
        (None, ""),
        ("192.0.2.1", "Firefox"),
    ]
    assert str(retention.forget_visitors()) == "0 sign-ins, addresses of 0 orders and 0 downloads"
