"""Celery's doors. A task takes an id, may run twice, and holds no logic."""

import logging
from datetime import timedelta

from django.utils import timezone

from catalog import count_views, storage_look
from fulfillment import alerts, books, burst, heartbeats, inbox, news, outbox, retention
from fulfillment import reconcile as reconciling
from fulfillment import sweep as sweeping
from orders import sales, stripe_api
from orders import summarize as daily
from storefront.celery import app

log = logging.getLogger(__name__)


@app.task(max_retries=2)
def handle_event(event_id: str) -> None:
    heartbeats.alive("worker")
    inbox.handle(event_id)


@app.task(max_retries=2)
def handle_due_events() -> None:
    heartbeats.alive("worker")
    burst.handle_events()


@app.task(max_retries=2)
def send_due_mails() -> None:
    heartbeats.alive("mail")
    burst.send_mails()


@app.task(max_retries=2)
def send_delivery(delivery_id: int) -> None:
    heartbeats.alive("mail")
    outbox.send(delivery_id)


@app.task(max_retries=2)
def tell_owners() -> None:
    heartbeats.alive("worker")
    news.go_on()


@app.task(max_retries=2)
def sweep() -> None:
    sweeping.sweep()


# Beat sends it to each queue. A queue that is long may keep it waiting, so the tasks above give signs as well.
@app.task(max_retries=2)
def give_sign(queue: str) -> None:
    heartbeats.alive("beat", queue)


@app.task(max_retries=2)
def check_alerts() -> None:
    alerts.check()


@app.task(max_retries=2)
def purge_events(days: int) -> None:
    retention.purge_events(older_than=timedelta(days=days))
    retention.forget_visitors()
    retention.forget_askers()


@app.task(max_retries=0)
def count_sales() -> None:
    sales.count()


# Acknowledged at once: it may take longer than the broker waits, and the next one makes up for one that was lost.
@app.task(max_retries=0, acks_late=False, soft_time_limit=3000, time_limit=3060)
def reconcile(hours: int) -> None:
    reconciling.reconcile(since=timezone.now() - timedelta(hours=hours), say=log.warning)


@app.task(max_retries=0, acks_late=False, soft_time_limit=3000, time_limit=3060)
def check_books(hours: int) -> None:
    try:
        checked = books.check(since=timezone.now() - timedelta(hours=hours), say=log.debug)
    except (stripe_api.StripeUnavailable, stripe_api.StripeRefused) as error:
        log.warning("books not checked: %s", error)  # the check has kept the reason, and the next one comes soon
    else:
        log.info("books: %s, %d differ", checked, len(checked.found))


@app.task(max_retries=0)
def summarize() -> None:
    daily.summarize()


@app.task(max_retries=0)
def summarize_lately(days: int) -> None:
    daily.summarize_since(timezone.localdate() - timedelta(days=days))
    count_views.fold()


@app.task(max_retries=0)
def look_at_storage() -> None:
    storage_look.look()
