"""What a load balancer asks: is the process alive, and can it do its work?"""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from fulfillment.models import Delivery, StripeEvent


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, with how much work is waiting; 503 otherwise. The broker is not asked: without
    it the sweep delivers."""
    now = timezone.now()
    try:
        connection.ensure_connection()
        waiting = {
            "events_due": StripeEvent.objects.due(now).count(),
            "deliveries_due": Delivery.objects.due(now).count(),
        }
    except DatabaseError:
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok", **waiting})
