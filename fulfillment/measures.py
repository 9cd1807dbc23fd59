"""Counters and histograms of this process, for /metrics. Summed over processes through PROMETHEUS_MULTIPROC_DIR."""

import logging
import os
import platform

from django.conf import settings
from django.utils import timezone
from prometheus_client import CollectorRegistry, Counter, Histogram, values

from fulfillment.event_types import label
from orders.models import Order

log = logging.getLogger(__name__)

if settings.PROMETHEUS_MULTIPROC_DIR:
    # Containers that share the folder number their processes alike: two would write into one file.
    MACHINE = platform.node()
    values.ValueClass = values.MultiProcessValue(lambda: f"{MACHINE}-{os.getpid()}")  # type: ignore[no-untyped-call]

# A registry of our own: the default one adds figures of the one process that happens to answer.
REGISTRY = CollectorRegistry()
SECONDS = (0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 120, 300, 900, 3600, 86400)

WEBHOOK_ANSWERS = Counter("shop_webhook_answers", "Answers to Stripe's webhooks.", ["status"], registry=REGISTRY)
EVENTS = Counter(
    "shop_events_settled", "Events of Stripe handled, ignored or given up.", ["type", "state"], registry=REGISTRY
)
ALERTS = Counter("shop_alerts", "Mails to those who run the shop.", ["kind"], registry=REGISTRY)
PASSES = Counter("shop_sweep_passes", "Passes of the sweep, by what it looks after.", ["lane"], registry=REGISTRY)
PAID_TO_LIBRARY = Histogram(
    "shop_paid_to_library_seconds", "From the payment to the first access.", buckets=SECONDS, registry=REGISTRY
)
PAID_TO_MAIL = Histogram(
    "shop_paid_to_mail_seconds", "From the payment to the accepted mail.", buckets=SECONDS, registry=REGISTRY
)


def _count(counter: Counter, *labels: str | int) -> None:
    """Never in the way of the work: a full disk or a folder that was deleted costs the figure alone."""
    try:
        counter.labels(*labels).inc()
    except OSError as error:
        log.warning("%s could not be counted: %s", counter, error)


def webhook_answered(status: int) -> None:
    _count(WEBHOOK_ANSWERS, status)


def event_settled(kind: str, state: str) -> None:
    _count(EVENTS, label(kind), state)


def alert_mailed(kind: str) -> None:
    _count(ALERTS, kind)


def swept(lane: str) -> None:
    _count(PASSES, lane)


def in_library(order: Order) -> None:
    PAID_TO_LIBRARY.observe(_since_paid(order))


def mail_accepted(order: Order) -> None:
    PAID_TO_MAIL.observe(_since_paid(order))


def _since_paid(order: Order) -> float:
    """Seconds, from 0 up: Stripe tells the payment's time in whole seconds, by a clock that is not ours."""
    return max(0.0, (timezone.now() - (order.paid_at or order.created_at)).total_seconds())
