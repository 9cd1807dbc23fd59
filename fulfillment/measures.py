"""Counters and histograms of this process, for /metrics. Summed over processes through PROMETHEUS_MULTIPROC_DIR."""

import logging

from django.utils import timezone
from prometheus_client import CollectorRegistry, Counter, Histogram

from orders.models import Order

log = logging.getLogger(__name__)

# A registry of our own: the default one adds figures of the one process that happens to answer.
REGISTRY = CollectorRegistry()
SECONDS = (0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 120, 300, 900, 3600, 86400)

WEBHOOK_ANSWERS = Counter("shop_webhook_answers", "Answers to Stripe's webhooks.", ["status"], registry=REGISTRY)
PAID_TO_LIBRARY = Histogram(
    "shop_paid_to_library_seconds", "From the payment to the first access.", buckets=SECONDS, registry=REGISTRY
)
PAID_TO_MAIL = Histogram(
    "shop_paid_to_mail_seconds", "From the payment to the accepted mail.", buckets=SECONDS, registry=REGISTRY
)


def webhook_answered(status: int) -> None:
    """Never in the way of an answer: a full disk or a folder that was deleted costs the figure alone."""
    try:
        WEBHOOK_ANSWERS.labels(status).inc()
    except OSError as error:
        log.warning("an answer could not be counted: %s", error)


def in_library(order: Order) -> None:
    PAID_TO_LIBRARY.observe(_since_paid(order))


def mail_accepted(order: Order) -> None:
    PAID_TO_MAIL.observe(_since_paid(order))


def _since_paid(order: Order) -> float:
    """Seconds, from 0 up: Stripe tells the payment's time in whole seconds, by a clock that is not ours."""
    return max(0.0, (timezone.now() - (order.paid_at or order.created_at)).total_seconds())
