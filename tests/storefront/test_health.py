import pytest
from django.db import connection
from django.test import Client

from tests.steps import post_event


def test_alive_needs_no_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db
def test_ready_tells_how_much_is_waiting(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.json() == {"status": "ok", "events_due": 0, "deliveries_due": 0}
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_without_database_ready_is_503_and_the_webhook_asks_stripe_to_try_again(client: Client) -> None:
    """F7"""
    before = connection.settings_dict["HOST"]
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    connection.settings_dict["HOST"] = "/nowhere"
    try:
        assert client.get("/readyz").status_code == 503
        event = {"id": "evt_1", "type": "checkout.session.completed", "livemode": False}
        assert post_event(client, event).status_code == 503
    finally:
        connection.close_pool()  # type: ignore[attr-defined]
        connection.settings_dict["HOST"] = before
    assert post_event(client, event).status_code == 200
