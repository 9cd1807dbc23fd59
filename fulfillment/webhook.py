"""Stripe's webhook: verify, store, acknowledge. Everything else happens later."""

import logging

from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from fulfillment import inbox, measures, refusals
from orders import stripe_api
from storefront.celery import enqueue

log = logging.getLogger(__name__)

MAX_BODY = 256 * 1024  # bytes; Stripe's events are a few kB


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200 once the event is stored, and not before. 400 for what Stripe did not sign, 413 for what it never sends,
    503 while the database is down, so that Stripe tries again; 404 where no secret is configured."""
    if not settings.STRIPE_WEBHOOK_SECRETS:
        raise Http404
    if _declared_size(request) > MAX_BODY:
        return _answer(413, "too large")
    body, header = request.body, request.META.get("HTTP_STRIPE_SIGNATURE", "")
    refusals.compare_clocks(body, header)
    try:
        secret = stripe_api.verify_signature(body, header, settings.STRIPE_WEBHOOK_SECRETS)
        event_id = inbox.store(body, endpoint=settings.STRIPE_WEBHOOK_LABELS.get(secret, ""))
    except (stripe_api.SignatureInvalid, inbox.EventMalformed) as error:
        log.warning("webhook refused: %s", error)
        return _answer(400, str(error))
    except DatabaseError:
        log.exception("an event could not be stored")
        return _answer(503, "try again")
    except Exception:  # becomes a 500: Stripe tries again, and somebody must hear of it
        _count(500)
        raise
    # Also for a row that was there before: its first wake-up may have been lost.
    if event_id:
        enqueue("fulfillment.tasks.handle_due_events")
    return _answer(200, "stored")


def _declared_size(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH") or "0"
    return int(length) if length.isascii() and length.isdigit() and len(length) < 12 else MAX_BODY + 1


def _answer(status: int, text: str) -> HttpResponse:
    _count(status)
    return HttpResponse(text.encode("ascii", "replace"), status=status, content_type="text/plain")


def _count(status: int) -> None:
    measures.webhook_answered(status)
    refusals.answered(status)
