from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fulfillment.delivery_models import Delivery
from fulfillment.models import Heartbeat, StripeEvent
from storefront.health import _Schema
from tests.factories import OrderFactory
from tests.steps import GUEST, post_event

IDLE = {
    "status": "ok",
    "reasons": [],
    "events_due": 0,
    "oldest_event_seconds": 0,
    "deliveries_due": 0,
    "oldest_delivery_seconds": 0,
}


@pytest.fixture
def fresh_process() -> Iterator[None]:
    """Knows nothing yet of the migrations."""
    forget()
    yield
    forget()


def forget() -> None:
    _Schema.applied, _Schema.looked_at = False, float("-inf")


def test_alive_needs_no_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_tells_how_much_is_waiting(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.json() == IDLE
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.parametrize("minutes, status", [(4, "ok"), (6, "late")])
def test_late_work_is_told_with_the_reason_and_the_web_stays(client: Client, minutes: int, status: str) -> None:
    """Late mail is no reason for a load balancer to take the shop away."""
    then = timezone.now() - timedelta(minutes=minutes)
    StripeEvent.objects.create(event_id="evt_1", type="x", received_at=then)
    answer = client.get("/readyz")
    seconds = answer.json()["oldest_event_seconds"]
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert answer.json()["reasons"] == ([f"an event is not handled for {seconds} s"] if status == "late" else [])
    assert seconds in (minutes * 60, minutes * 60 + 1)
    StripeEvent.objects.update(state="failed")
    Delivery.objects.create(order=OrderFactory(), kind="order", recipient=GUEST, created_at=then)
    answer = client.get("/readyz")
    seconds = answer.json()["oldest_delivery_seconds"]
    assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert answer.json()["reasons"] == ([f"a mail is not accepted for {seconds} s"] if status == "late" else [])
    assert seconds in (minutes * 60, minutes * 60 + 1)
    Delivery.objects.update(state="gave_up")
    assert client.get("/readyz").json() == IDLE


@pytest.mark.django_db
def test_f10_process_that_is_silent_is_a_reason_and_the_web_stays(client: Client) -> None:
    Heartbeat.objects.create(name="sweep")
    Heartbeat.objects.create(name="worker", at=timezone.now() - timedelta(seconds=70))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "late")
    [reason] = answer.json()["reasons"]
    assert reason in [f"the worker of the queue `celery`: no sign of life for {seconds} s" for seconds in (70, 71)]


@pytest.mark.django_db
@pytest.mark.usefixtures("fresh_process")
def test_pending_migration_is_503_until_it_is_applied(client: Client) -> None:
    newest = MigrationRecorder.Migration.objects.filter(app="fulfillment").latest("pk")
    row = {"app": newest.app, "name": newest.name, "applied": newest.applied}
    newest.delete()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "not ready", "reasons": ["migrations are pending"]},
    )
    with CaptureQueriesContext(connection) as captured:  # asked again at once: nothing is read for it
        assert client.get("/readyz").status_code == 503
    assert len(captured) == 0
    MigrationRecorder.Migration.objects.create(**row)
    _Schema.looked_at -= 5
    assert client.get("/readyz").json() == IDLE


@pytest.mark.django_db
def test_ready_asks_three_times_and_reads_the_migrations_once(client: Client) -> None:
    client.get("/readyz")
    with CaptureQueriesContext(connection) as captured:
        client.get("/readyz")
    assert len(captured) == 3


@pytest.mark.django_db(transaction=True)
def test_f7_without_database_ready_is_503_and_the_webhook_asks_stripe_to_try_again(client: Client) -> None:
    before = connection.settings_dict["HOST"]
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["HOST"] = "/nowhere"
    try:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["the database does not answer"])
        event = {"id": "evt_1", "type": "checkout.session.completed", "livemode": False}
        assert post_event(client, event).status_code == 503
    finally:
        connection.close_pool()  # type: ignore[attr-defined]
        connection.settings_dict["HOST"] = before
    assert post_event(client, event).status_code == 200
