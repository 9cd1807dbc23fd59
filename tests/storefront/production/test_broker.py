"""Against the tests' own Valkey, and where nobody listens."""

from typing import Any

import pytest
from kombu import Connection, Queue

from storefront.celery import app
from storefront.production import broker
from tests.conftest import purge
from tests.storefront.production.conftest import line, states


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> Connection:
        return Connection("redis://user:password-of-the-broker@127.0.0.1:9/0")

    monkeypatch.setattr(app, "connection_for_write", nowhere)


def keys() -> set[str]:
    with app.connection_for_write() as connection:
        return {key.decode() for key in connection.default_channel.client.keys("*")}


def test_whole_broker_is_green_and_left_as_it_was() -> None:
    purge()
    before = keys()
    lines = list(broker.check())
    assert states(lines) == {"broker": "ok", "queue celery": "ok", "queue mail": "ok"}
    assert line(lines, "broker").found == "redis: a message came back"
    assert line(lines, "queue mail").found == "0 messages wait"
    assert keys() == before


def test_messages_that_wait_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    purge()
    for _ in range(3):
        app.send_task("fulfillment.tasks.sweep", queue="celery")
    assert line(broker.check(), "queue celery").found == "3 messages wait"
    monkeypatch.setattr(broker, "MANY", 2)
    assert line(broker.check(), "queue celery").state == "warning"
    purge()


def test_broker_that_refuses_is_one_line(gone: None) -> None:
    [only] = broker.check()
    assert (only.name, only.state) == ("broker", "wrong")
    assert only.found.startswith("takes no message: ")
    assert "password-of-the-broker" not in only.found


def test_message_that_is_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "get", lambda *_, **__: None)
    [only] = broker.check()
    assert only.found == "takes no message: a message was taken and is gone"
