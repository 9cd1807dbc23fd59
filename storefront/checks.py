"""System checks: mistakes in the settings that would cost money or trust, said before the shop starts."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

from orders import stripe_api

PLACEHOLDERS = ("whsec_", "whsec_...", "whsec_…", "whsec_changeme", "changeme")


@register(Tags.security)
def stripe_base_matches_key(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """A live key is told to nobody but Stripe; a stand-in for Stripe must be on this machine."""
    if settings.STRIPE_API_BASE == stripe_api.STRIPE:
        return []
    if stripe_api.is_live():
        return [
            Error(
                f"STRIPE_API_BASE is {settings.STRIPE_API_BASE}, and the key is a live one.",
                hint="Remove STRIPE_API_BASE, or use a test key: a live key must never be sent anywhere but to Stripe.",
                id="storefront.E001",
            )
        ]
    if urlsplit(settings.STRIPE_API_BASE).hostname not in ("127.0.0.1", "localhost", "::1"):
        return [
            Error(
                f"STRIPE_API_BASE is {settings.STRIPE_API_BASE}, which is neither Stripe nor on this machine.",
                hint="Remove STRIPE_API_BASE, or let it name the sandbox on this machine.",
                id="storefront.E002",
            )
        ]
    return []


@register(Tags.security)
def webhook_secrets_are_real(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """An empty or guessable secret would let anybody report payments."""
    weak = [s for s in settings.STRIPE_WEBHOOK_SECRETS if s in PLACEHOLDERS or len(s) < 16 or "=whsec_" in s]
    if weak:
        return [
            Error(
                "STRIPE_WEBHOOK_SECRETS holds a placeholder, a secret of under 16 characters or a label that is none.",
                hint="Copy the signing secret (whsec_…) of the endpoint from Stripe's dashboard. A label before it"
                " is made of letters, digits, '-', '_' and '.': old=whsec_…",
                id="storefront.E003",
            )
        ]
    if not settings.STRIPE_WEBHOOK_SECRETS and not settings.DEBUG:
        return [
            Error(
                "STRIPE_WEBHOOK_SECRETS is empty, so Stripe cannot report payments.",
                hint="Add an endpoint for /webhooks/stripe/ in Stripe's dashboard and copy its signing secret here.",
                id="storefront.E004",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def site_is_https(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.HTTPS:
        return []
    return [
        checks.Warning(
            f"SITE_URL is {settings.SITE_URL}: mails would link to pages without encryption.",
            hint="Serve the shop over https and let SITE_URL start with https://.",
            id="storefront.W001",
        )
    ]
