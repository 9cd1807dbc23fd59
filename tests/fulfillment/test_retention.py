"""The inbox forgets bodies after a month and ids after a year; what was not handled it keeps."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from fulfillment import inbox, retention
from fulfillment.models import Delivery, Entitlement, StripeEvent
from orders.models import Order
from sandbox.world.server import World
from storefront.celery import app
from tests.factories import ProductFactory
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
    return out.getvalue()


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
    with pytest.raises(CommandError):
        run("--days", "0")


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
