"""Celery's doors. A task takes an id, may run twice, and holds no logic."""

import logging
from datetime import timedelta

from django.utils import timezone

from fulfillment import alerts, burst, inbox, outbox, retention
from fulfillment import reconcile as reconciling
from fulfillment import sweep as sweeping
from storefront.celery import app

log = logging.getLogger(__name__)


@app.task(max_retries=2)
def handle_event(event_id: str) -> None:
    inbox.handle(event_id)


@app.task(max_retries=2)
def handle_due_events() -> None:
    burst.handle_events()


@app.task(max_retries=2)
def send_due_mails() -> None:
    burst.send_mails()


@app.task(max_retries=2)
def send_delivery(delivery_id: int) -> None:
    outbox.send(delivery_id)


@app.task(max_retries=2)
def sweep() -> None:
    sweeping.sweep()


@app.task(max_retries=2)
def check_alerts() -> None:
    alerts.check()


@app.task(max_retries=2)
def purge_events(days: int) -> None:
    retention.purge_events(older_than=timedelta(days=days))


# Acknowledged at once: it may take longer than the broker waits, and the next one makes up for one that was lost.
@app.task(max_retries=0, acks_late=False, soft_time_limit=3000, time_limit=3060)
def reconcile(hours: int) -> None:
    reconciling.reconcile(since=timezone.now() - timedelta(hours=hours), say=log.warning)
