"""What a load balancer asks: is the process alive, and can it do its work?"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min, Q
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from fulfillment import heartbeats
from fulfillment.delivery_models import Delivery
from fulfillment.models import StripeEvent

LATE = timedelta(minutes=5)
LOOK_AGAIN = 5  # seconds: reading all migrations takes a tenth of one


class _Schema:
    """What this process knows of the migrations. Once applied they stay so; the next release is another process."""

    applied = False
    looked_at = float("-inf")


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and has every migration; 503 with the reasons otherwise.

    Work that is late and processes that are silent are told, and are no reason to take the shop away from its
    visitors: another web process would be no help. The broker is not asked: without it the sweep delivers.
    """
    try:
        connection.ensure_connection()
        if not _is_migrated():
            return _not_ready("migrations are pending")
        found = waiting(timezone.now())
        silent = heartbeats.silent()
    except DatabaseError:
        return _not_ready("the database does not answer")
    reasons = [*_late(found), *(f"{one.what}: no sign of life for {_seconds(one.age)} s" for one in silent)]
    return JsonResponse({"status": "late" if reasons else "ok", "reasons": reasons, **found})


def _late(waiting: dict[str, int]) -> Iterator[str]:
    for what, seconds in (
        ("an event is not handled", waiting["oldest_event_seconds"]),
        ("a mail is not accepted", waiting["oldest_delivery_seconds"]),
    ):
        if seconds > LATE.total_seconds():
            yield f"{what} for {seconds} s"


def _seconds(age: timedelta) -> int:
    return int(age.total_seconds())


def _not_ready(reason: str) -> JsonResponse:
    return JsonResponse({"status": "not ready", "reasons": [reason]}, status=503)


def _is_migrated() -> bool:
    if not _Schema.applied and time.monotonic() - _Schema.looked_at >= LOOK_AGAIN:
        executor = MigrationExecutor(connection)
        _Schema.applied = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        _Schema.looked_at = time.monotonic()
    return _Schema.applied


def waiting(now: datetime) -> dict[str, int]:
    """How much is due, and for how many seconds the oldest waits: an event to be handled, a mail to be accepted."""
    events = StripeEvent.objects.filter(state=StripeEvent.State.RECEIVED).aggregate(
        due=Count("pk", filter=Q(next_attempt_at__lte=now)), oldest=Min("received_at")
    )
    deliveries = Delivery.objects.filter(state__in=Delivery.DUE_STATES).aggregate(
        due=Count("pk", filter=Q(next_attempt_at__lte=now)), oldest=Min("created_at")
    )
    return {
        "events_due": events["due"],
        "oldest_event_seconds": _age(events["oldest"], now),
        "deliveries_due": deliveries["due"],
        "oldest_delivery_seconds": _age(deliveries["oldest"], now),
    }


def _age(at: datetime | None, now: datetime) -> int:
    return max(0, int((now - at).total_seconds())) if at else 0
