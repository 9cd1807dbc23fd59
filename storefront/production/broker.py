"""The broker: whether a message gets there and back, and how many wait."""

import secrets
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from kombu import Producer, Queue

from storefront.celery import app
from storefront.production.lines import Line, brief, ok, warning, wrong

MANY = 1000  # messages: more are no burst, nobody takes them
QUEUES = ("celery", "mail")


def check() -> Iterator[Line]:
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
            _there_and_back(connection)
            waiting = {name: _length(connection, name) for name in QUEUES}
    except Exception as error:  # noqa: BLE001 - each transport has errors of its own
        do = "Is it up, and is CELERY_BROKER_URL right? Meanwhile the sweep delivers, only less quickly."
        yield wrong("broker", f"takes no message: {brief(error)}", do)
        return
    yield ok("broker", f"{_transport()}: a message came back")
    yield from (_queue(name, length) for name, length in waiting.items())


def _transport() -> str:
    return str(settings.CELERY_BROKER_URL).partition(":")[0].partition("+")[0]


def _there_and_back(connection: Any) -> None:
    """Through a queue of its own, which is gone afterwards; ValueError where the message is."""
    channel, text = connection.channel(), secrets.token_hex(8)
    queue = Queue(f"check-{text}", durable=False, auto_delete=True, expires=60, channel=channel)
    queue.declare()
    try:
        Producer(channel).publish(text, routing_key=queue.name, serializer="json")
        message = queue.get(no_ack=True)
        if message is None or message.payload != text:
            raise ValueError("a message was taken and is gone")
    finally:
        queue.delete()
        channel.close()


def _length(connection: Any, name: str) -> int:
    """An own channel each: AMQP closes the one on which a queue was asked for that is not there yet."""
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue=name, passive=True).message_count)
    except connection.channel_errors:
        return 0
    finally:
        channel.close()


def _queue(name: str, length: int) -> Line:
    if length > MANY:
        return warning(f"queue {name}", f"{length} messages wait", "Start more workers: see the Procfile.")
    return ok(f"queue {name}", f"{length} {'message waits' if length == 1 else 'messages wait'}")
