"""Celery's doors. A task takes an id, may run twice, and holds no logic."""

from fulfillment import inbox, outbox
from fulfillment import sweep as sweeping
from storefront.celery import app


@app.task(max_retries=2)
def handle_event(event_id: str) -> None:
    inbox.handle(event_id)


@app.task(max_retries=2)
def send_delivery(delivery_id: int) -> None:
    outbox.send(delivery_id)


@app.task(max_retries=2)
def sweep() -> None:
    sweeping.sweep()
