"""The account itself, its customers, webhook endpoints and events."""

import time

from sandbox.world.ids import chance, new_id
from sandbox.world.objects import API_VERSION, Body, address

ACCOUNT_ID = "acct_1SandboxWorld0000"


def account(shop_name: str) -> Body:
    return {
        "id": ACCOUNT_ID,
        "object": "account",
        "business_profile": {
            "annual_revenue": None,
            "estimated_worker_count": None,
            "mcc": None,
            "minority_owned_business_designation": None,
            "name": shop_name,
            "product_description": None,
            "support_address": None,
            "support_email": None,
            "support_phone": None,
            "support_url": None,
            "url": None,
        },
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": 1700000000,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "type": "standard",
    }


def customer(*, email: str | None, name: str | None, metadata: dict[str, str]) -> Body:
    return {
        "id": new_id("customer"),
        "object": "customer",
        "address": address() if name else None,
        "balance": 0,
        "created": int(time.time()),
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": email,
        "invoice_prefix": chance(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": metadata,
        "name": name,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def webhook_endpoint(*, url: str, enabled_events: list[str], **given: object) -> Body:
    body: Body = {
        "id": new_id("webhook_endpoint"),
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": int(time.time()),
        "description": None,
        "enabled_events": enabled_events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }
    return body | given


def event(kind: str, subject: Body, *, previous: Body | None, request_id: str | None, key: str | None) -> Body:
    """An event about `subject` as it is now; `previous` holds the values that the change replaced."""
    data: Body = {"object": subject}
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": new_id("event"),
        "object": "event",
        "api_version": API_VERSION,
        "created": int(time.time()),
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": request_id, "idempotency_key": key},
        "type": kind,
    }
