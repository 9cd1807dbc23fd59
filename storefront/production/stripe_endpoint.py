"""The webhook endpoint at Stripe: whether it is registered as we need it, and whether anything arrives by it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import DurationField, ExpressionWrapper, F, Sum
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from fulfillment.event_types import TYPES
from fulfillment.models import StripeEvent, WebhookMinute
from orders import stripe_api, stripe_setup
from orders.stripe_setup import Endpoint
from storefront.production.lines import Line, brief, ok, warning, wrong
from storefront.production.stripe_account import REACH, unanswered

FIX = "python manage.py check_production --only webhook --fix"
LATELY = timedelta(minutes=10)
MANY = 3  # types that are named


@dataclass(frozen=True)
class Fixed:
    """What was done. `secret` signs the events of a new endpoint; Stripe tells it this once."""

    said: str
    secret: str = ""


def check() -> Iterator[Line]:
    yield _registered()
    try:
        yield _arriving()
    except DatabaseError as error:
        yield wrong("webhook events", f"cannot be counted: {brief(error)}", "Mend the database first.")


def fix() -> Fixed:
    """Have an endpoint for our address that is enabled, with our types and version. May be repeated.

    Stripe cannot change the version of an endpoint: one with another version stays, and a new one is made beside it.
    Raises KeyRefused, StripeUnavailable, StripeRefused.
    """
    mine = _mine(stripe_setup.endpoints())
    if mine is None or mine.api_version != stripe_api.API_VERSION:
        made, secret = stripe_setup.add_endpoint(address(), TYPES)
        beside = f" Once its secret is in use, delete the one of another version, {mine.id}." if mine else ""
        return Fixed(f"Registered {made.id} for {address()}.{beside}", secret)
    if not mine.is_enabled or _missing(mine):
        stripe_setup.mend_endpoint(mine, TYPES)
        return Fixed(f"{mine.id} is enabled and gets every event that the shop needs. Its secret is the same.")
    return Fixed(f"{mine.id} was right already.")


def address() -> str:
    return f"{settings.SITE_URL}{reverse('stripe_webhook')}"


def _mine(endpoints: list[Endpoint]) -> Endpoint | None:
    """The endpoint of our address; of several the one that comes nearest."""
    mine = [one for one in endpoints if one.url == address()]
    return min(
        mine,
        key=lambda one: (one.api_version != stripe_api.API_VERSION, not one.is_enabled, len(_missing(one))),
        default=None,
    )


def _missing(endpoint: Endpoint) -> list[str]:
    return [] if "*" in endpoint.types else sorted(TYPES - endpoint.types)


def _registered() -> Line:
    name = "webhook"
    try:
        endpoints = stripe_setup.endpoints()
    except stripe_setup.KeyRefused as error:
        do = f"Give the restricted key “Webhook Endpoints”: read, and write for --fix. Or compare {address()} by hand."
        return warning(name, f"the key may not read it{f' ({error.permission})' if error.permission else ''}", do)
    except (stripe_api.StripeUnavailable, stripe_api.StripeRefused) as error:
        return wrong(name, unanswered(error), REACH)
    return _as_needed(endpoints)


def _as_needed(endpoints: list[Endpoint]) -> Line:
    name = "webhook"
    mine = _mine(endpoints)
    if mine is None:
        near = next((one.url for one in endpoints if one.url.rstrip("/") == address().rstrip("/")), "")
        found = f"Stripe posts to {near} instead, where a redirect loses it" if near else f"none for {address()}"
        return wrong(name, found, FIX)
    if not mine.is_enabled:
        return wrong(name, f"{mine.id} is disabled", FIX)
    if missing := _missing(mine):
        more = f" and {len(missing) - MANY} more" if len(missing) > MANY else ""
        return wrong(name, f"{mine.id} does not get {', '.join(missing[:MANY])}{more}", FIX)
    if mine.api_version != stripe_api.API_VERSION:
        found = f"{mine.id} sends version {mine.api_version or 'of the account'}, not {stripe_api.API_VERSION}"
        return warning(name, f"{found}; it is read all the same", f"{FIX} makes one of this version")
    return ok(name, f"{mine.id}: {len(TYPES)} types, version {mine.api_version}")


def _arriving() -> Line:
    """Stripe never shows a secret again; that ours is the right one is seen by what arrived, signed with it."""
    name = "webhook events"
    do = "Is the endpoint's signing secret in STRIPE_WEBHOOK_SECRETS? See Stripe's dashboard for what it was answered."
    if not settings.STRIPE_WEBHOOK_SECRETS:
        return wrong(name, "no secret is configured, so none can be believed", f"{FIX}, or copy the endpoint's secret.")
    age = ExpressionWrapper(Now() - F("received_at"), output_field=DurationField())
    last = StripeEvent.objects.order_by("-received_at").annotate(age=age).values_list("age", flat=True).first()
    minutes = WebhookMinute.objects.filter(minute__gt=timezone.now() - LATELY)
    refused = minutes.aggregate(refused=Sum("refused", default=0))["refused"]
    if refused:
        return warning(
            name, f"{refused} were refused in {int(LATELY.total_seconds()) // 60} minutes, {_last(last)}", do
        )
    if last is None:
        return warning(name, "none has ever arrived", f"{do} Then send one: stripe trigger payment_intent.succeeded")
    return ok(name, f"{_last(last)}, signed with a secret of ours")


def _last(age: timedelta | None) -> str:
    if age is None:
        return "none has ever arrived"
    seconds = int(age.total_seconds())
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"the last arrived {seconds // size} {unit} ago"
    return f"the last arrived {seconds} s ago"
