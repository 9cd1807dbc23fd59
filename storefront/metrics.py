"""Figures for Prometheus: what waits, read from the database when asked, and what each process has counted."""

import ipaddress
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, Min
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from fulfillment import heartbeats, measures
from fulfillment.book_models import Difference
from fulfillment.delivery_models import Delivery
from fulfillment.event_types import label
from fulfillment.models import Entitlement, StripeEvent
from orders.models import Order

# A proxy adds at least one of these, and then the address is the proxy's own.
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For scrapers on this machine or its private network that come directly, and for bearers of METRICS_TOKEN.
    For all others there is no such page."""
    if not (_has_token(request) or _is_near(request)):
        raise Http404
    registry = CollectorRegistry()
    registry.register(Backlog())
    registry.register(Processes() if settings.PROMETHEUS_MULTIPROC_DIR else measures.REGISTRY)
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not settings.METRICS_TOKEN or scheme.lower() != "bearer":
        return False
    return constant_time_compare(token.strip(), settings.METRICS_TOKEN)


def _is_near(request: HttpRequest) -> bool:
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:  # a Unix socket has none, and behind it stands a proxy
        return False
    # Before Python 3.13 every IPv4 address counts as private when it is written as ::ffff:1.2.3.4.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_private


class Processes(Collector):
    """The sum over all processes of this machine, those that have ended included."""

    def collect(self) -> Iterator[Metric]:
        # A process that is killed while it starts leaves an empty file, over which the library would stumble for ever.
        files = [str(path) for path in Path(settings.PROMETHEUS_MULTIPROC_DIR).glob("*.db") if path.stat().st_size]
        yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]


class Backlog(Collector):
    """What waits now. A constant number of queries, each over an index of nothing but what waits."""

    def collect(self) -> Iterator[Metric]:
        try:
            found = list(_backlog(timezone.now()))
        except DatabaseError:
            yield _gauge("shop_database_up", "Whether the database answers.", 0)
            return
        yield _gauge("shop_database_up", "Whether the database answers.", 1)
        yield from found


def _backlog(now: datetime) -> Iterator[Metric]:
    yield from _events(now)
    yield from _deliveries(now)
    given_up = Delivery.objects.filter(state=Delivery.State.GAVE_UP, order__isnull=False).count()
    yield _gauge("shop_deliveries_given_up", "Mails refused, or tried for days.", given_up)
    attention = Order.objects.exclude(attention="").count()
    yield _gauge("shop_orders_attention", "Orders that need a person.", attention)
    unsettled = Order.objects.unsettled(now).order_by().aggregate(n=Count("pk"), oldest=Min("next_check_at"))
    yield _gauge("shop_orders_overdue", "Orders that Stripe must be asked about by now.", unsettled["n"])
    yield _gauge(
        "shop_orders_overdue_seconds", "How long the first of them waits.", seconds_since(unsettled["oldest"], now)
    )
    disputed = Entitlement.objects.filter(reason=Entitlement.Reason.DISPUTED)
    yield _gauge(
        "shop_orders_disputed",
        "Orders with an open dispute.",
        disputed.aggregate(n=Count("order_line__order", distinct=True))["n"],
    )
    differ = Difference.objects.filter(resolved_at=None).count()
    yield _gauge("shop_books_differences", "Differences between our books and Stripe's.", differ)
    age = GaugeMetricFamily("shop_heartbeat_age_seconds", "Since a part's last sign of life.", labels=["name"])
    for pulse in heartbeats.pulses():
        age.add_metric([pulse.name], max(0.0, pulse.age.total_seconds()))
    yield age


def _events(now: datetime) -> Iterator[Metric]:
    """What is settled is counted by the process that settles it (shop_events_settled_total): no query over the inbox
    grows with it. The states that wait each have an index of their own, and types unknown to the shop share a name."""
    states = StripeEvent.State
    waiting = GaugeMetricFamily("shop_events_waiting", "Events by type and state.", labels=["type", "state"])
    numbers: Counter[str] = Counter()
    oldest: list[datetime] = []
    for state in (states.RECEIVED, states.FAILED):
        rows = StripeEvent.objects.filter(state=state).values_list("type").annotate(Count("pk"), Min("received_at"))
        by_type: Counter[str] = Counter()
        for kind, number, first in rows:
            by_type[label(kind)] += number
            oldest += [first] if state == states.RECEIVED else []
        for name, number in sorted(by_type.items()):
            waiting.add_metric([name, state.value], number)
        numbers[state] = by_type.total()
    yield waiting
    yield _gauge("shop_events_unhandled", "Events of Stripe that are stored and not handled.", numbers[states.RECEIVED])
    age = seconds_since(min(oldest, default=None), now)
    yield _gauge("shop_events_oldest_unhandled_seconds", "Age of the oldest of them.", age)
    yield _gauge("shop_events_failed", "Events given up, for `replay --failed`.", numbers[states.FAILED])


def _deliveries(now: datetime) -> Iterator[Metric]:
    waiting = Delivery.objects.filter(state__in=Delivery.DUE_STATES).values_list("state")
    rows = {state: (n, oldest) for state, n, oldest in waiting.annotate(Count("pk"), Min("created_at"))}
    count = GaugeMetricFamily("shop_deliveries_waiting", "Mails that are not accepted yet.", labels=["state"])
    for state in Delivery.DUE_STATES:
        count.add_metric([state.value], rows.get(state, (0, None))[0])
    yield count
    oldest = min((at for _, at in rows.values()), default=None)
    yield _gauge("shop_deliveries_oldest_seconds", "Age of the oldest of them.", seconds_since(oldest, now))


def seconds_since(at: datetime | None, now: datetime) -> float:
    return max(0.0, (now - at).total_seconds()) if at else 0.0


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
