"""The only place that talks to Stripe: the functions take and return our own values, never Stripe's objects."""

import enum
import json
import re
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import stripe
from django.conf import settings

from orders.facts import CheckoutSession, Dispute, Facts, ListedSession, NewSession, Refund, is_marked

SIGNATURE_TOLERANCE = 300  # seconds, https://docs.stripe.com/webhooks#replay-attacks
SESSION_ID = re.compile(r"cs_(test|live)_[A-Za-z0-9]{1,200}", re.ASCII)


class Patience(enum.Enum):
    """How long a caller can wait: (connect, read) seconds for each try, and how many tries follow the first."""

    PAGE = (1.0, 1.5, 0)
    CHECKOUT = (2.0, 5.0, 2)
    WORKER = (2.0, 4.0, 1)


class StripeUnavailable(Exception):
    """No answer, or one that says: try again later. Nothing is known about whether the request took effect."""


class StripeBroken(StripeUnavailable):
    """Stripe answered that something is wrong on its side, and keeps that answer for the idempotency key.

    https://docs.stripe.com/api/idempotent_requests
    """


class StripeRefused(Exception):
    """Stripe answered no, and would answer no again."""


class SessionUnknown(StripeRefused):
    """This account has no such Checkout Session."""


class RequestChanged(StripeRefused):
    """The idempotency key was used before for a request with other parameters."""


class SignatureInvalid(Exception):
    """The bytes were not signed by Stripe with one of the configured secrets, or not lately."""


def is_live() -> bool:
    """Whether the configured key moves real money."""
    return "_live_" in settings.STRIPE_SECRET_KEY


def create_session(new: NewSession) -> CheckoutSession:
    """Make a Checkout Session for an order. May be repeated: the same order gives the same session for 24 hours.

    https://docs.stripe.com/api/checkout/sessions/create, https://docs.stripe.com/api/idempotent_requests
    """
    session = _ask(
        lambda client: client.v1.checkout.sessions.create(
            params=_session_params(new),
            options={"idempotency_key": f"order-{new.reference}"},
        ),
        Patience.CHECKOUT,
    )
    return CheckoutSession(id=session.id, url=session.url or "")


def _session_params(new: NewSession) -> dict[str, Any]:
    params: dict[str, Any] = {
        "mode": "payment",
        "client_reference_id": new.reference,
        "metadata": {
            "storefront_order": new.reference,
            "product_slug": ",".join(line.slug for line in new.lines),
        },
        "payment_intent_data": {"metadata": {"storefront_order": new.reference}},
        "success_url": new.success_url,
        "cancel_url": new.cancel_url,
        "line_items": [
            {
                "quantity": line.quantity,
                "price_data": {
                    "currency": new.currency,
                    "unit_amount": line.unit_price,
                    "product_data": {
                        "name": line.name,
                        **({"images": [line.image_url]} if line.image_url else {}),
                    },
                },
            }
            for line in new.lines
        ],
    }
    if new.email:
        params["customer_email"] = new.email
    return params


def fetch_facts(session_id: str, patience: Patience = Patience.WORKER) -> Facts:
    """Everything Stripe says now about one Checkout Session: payment, refunds, disputes.

    One request, and one more for each of refunds and disputes where the charge says that there are any.
    Raises SessionUnknown, StripeRefused, StripeUnavailable.
    """
    if not SESSION_ID.fullmatch(session_id):
        raise SessionUnknown(f"{session_id[:60]!r} is not the id of a Checkout Session")
    session = _ask(
        lambda client: client.v1.checkout.sessions.retrieve(
            session_id, params={"expand": ["payment_intent.latest_charge", "line_items"]}
        ),
        patience,
    ).to_dict()
    intent = session.get("payment_intent") or {}
    charge = intent.get("latest_charge") or {}
    return Facts(
        session_id=session["id"],
        livemode=session["livemode"],
        status=session.get("status") or "",
        payment_status=session["payment_status"],
        client_reference_id=session.get("client_reference_id") or "",
        # PostgreSQL takes no NUL, not even in a comparison.
        metadata={key: str(value).replace("\x00", "") for key, value in (session.get("metadata") or {}).items()},
        payment_link=_id(session.get("payment_link")),
        email=(session.get("customer_details") or {}).get("email") or "",
        line_count=len((session.get("line_items") or {}).get("data") or ()),
        amount_subtotal=session.get("amount_subtotal") or 0,
        amount_total=session.get("amount_total") or 0,
        currency=session.get("currency") or "",
        customer_id=_id(session.get("customer")),
        payment_intent_id=intent.get("id", ""),
        payment_intent_status=intent.get("status", ""),
        paid_at=datetime.fromtimestamp(charge["created"], UTC) if charge.get("paid") else None,
        refunds=_refunds(intent["id"], patience) if charge.get("amount_refunded") else (),
        disputes=_disputes(intent["id"], patience) if charge.get("disputed") else (),
    )


def _refunds(payment_intent_id: str, patience: Patience) -> tuple[Refund, ...]:
    def every_page(client: stripe.StripeClient) -> list[dict[str, Any]]:
        found = client.v1.refunds.list(params={"payment_intent": payment_intent_id, "limit": 100})
        return [refund.to_dict() for refund in found.auto_paging_iter()]

    rows = _ask(every_page, patience)
    return tuple(
        Refund(
            id=row["id"],
            amount=row["amount"],
            status=row.get("status") or "",
            order_line=(row.get("metadata") or {}).get("order_line", ""),
        )
        for row in sorted(rows, key=lambda row: row["id"])
    )


def _disputes(payment_intent_id: str, patience: Patience) -> tuple[Dispute, ...]:
    found = _ask(
        lambda client: client.v1.disputes.list(params={"payment_intent": payment_intent_id, "limit": 100}),
        patience,
    )
    rows = sorted(found.data, key=lambda row: row.id)
    return tuple(Dispute(id=row.id, status=row.status) for row in rows)


def session_of_payment_intent(payment_intent_id: str) -> str | None:
    """The id of the Checkout Session that made this PaymentIntent, or None where none did."""
    found = _ask(
        lambda client: client.v1.checkout.sessions.list(params={"payment_intent": payment_intent_id, "limit": 1}),
        Patience.WORKER,
    )
    return found.data[0].id if found.data else None


def events_between(start: datetime, end: datetime, types: list[str]) -> list[bytes]:
    """The bodies of all events of these types (20 at most) made from `start` to `end`, the newest first.

    Stripe counts whole seconds: those of both ends are in. https://docs.stripe.com/api/events/list
    """
    created = {"gte": int(start.timestamp()), "lte": int(end.timestamp()) + 1}
    found = _all(lambda client: client.v1.events.list(params={"created": created, "types": types, "limit": 100}))
    return [json.dumps(event, default=str).encode() for event in found]


def complete_sessions_since(since: datetime) -> list[ListedSession]:
    """Every complete Checkout Session made since then, paid or not. https://docs.stripe.com/api/checkout/sessions/list"""
    params: Any = {"created": {"gte": int(since.timestamp())}, "status": "complete", "limit": 100}
    return [_listed(row) for row in _all(lambda client: client.v1.checkout.sessions.list(params=params))]


def _listed(row: dict[str, Any]) -> ListedSession:
    metadata = row.get("metadata") or {}
    return ListedSession(
        id=row["id"],
        is_paid=row["payment_status"] in ("paid", "no_payment_required"),
        amount_total=row.get("amount_total") or 0,
        currency=row.get("currency") or "",
        is_marked=is_marked(_id(row.get("payment_link")), metadata),
    )


def payments_taken_back_since(since: datetime) -> list[str]:
    """The ids of the PaymentIntents that a refund or a dispute made since then is about, each once."""
    params: Any = {"created": {"gte": int(since.timestamp())}, "limit": 100}
    rows = _all(lambda client: client.v1.refunds.list(params=params))
    rows += _all(lambda client: client.v1.disputes.list(params=params))
    return list(dict.fromkeys(intent_id for row in rows if (intent_id := _id(row.get("payment_intent")))))


def _all(call: Any) -> list[dict[str, Any]]:
    """Every row of a list, page by page."""
    return _ask(lambda client: [row.to_dict() for row in call(client).auto_paging_iter()], Patience.WORKER)  # type: ignore[no-any-return]


def verify_signature(body: bytes, header: str, secrets: list[str]) -> str:
    """The one of `secrets` that signed `body` within the last five minutes; raises SignatureInvalid if none did.

    The signature alone: building the library's event objects takes a hundred times as long, and nobody reads them.
    Stricter than Stripe's library, which accepts timestamps from the future.
    https://docs.stripe.com/webhooks#verify-manually
    """
    stamps = re.findall(r"(?:^|,)t=(\d{1,12})(?=,|$)", header, re.ASCII)
    if len(stamps) != 1 or header.count("t=") != 1:
        raise SignatureInvalid("the Stripe-Signature header has no single timestamp")
    if int(stamps[0]) > time.time() + SIGNATURE_TOLERANCE:
        raise SignatureInvalid("the timestamp lies in the future: is this machine's clock right?")
    error: Exception | None = None
    for secret in secrets:
        try:
            if stripe.WebhookSignature.verify_header(body.decode(), header, secret, SIGNATURE_TOLERANCE):
                return secret
        # Strangers choose these bytes; the library raises TypeError for a non-ASCII signature.
        except (stripe.SignatureVerificationError, ValueError, TypeError, AttributeError) as failure:
            error = failure
    raise SignatureInvalid(str(error or "no webhook secret is configured"))


def _ask(call: Any, patience: Patience) -> Any:
    try:
        return call(_client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, patience))
    except stripe.IdempotencyError as error:
        raise RequestChanged(str(error)) from error
    except stripe.RateLimitError as error:
        raise StripeUnavailable(str(error)) from error
    except (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError) as error:
        missing = isinstance(error, stripe.InvalidRequestError) and error.code == "resource_missing"
        if isinstance(error, stripe.InvalidRequestError):
            raise (SessionUnknown if missing else StripeRefused)(str(error)) from error
        # A revoked key is mended by a person, and then everything must go on by itself.
        raise StripeUnavailable(str(error)) from error
    except stripe.APIError as error:
        raise (StripeBroken if error.http_status == 500 else StripeUnavailable)(str(error)) from error
    except (stripe.StripeError, OSError) as error:
        raise StripeUnavailable(str(error)) from error


@lru_cache(maxsize=8)
def _client(key: str, base: str, patience: Patience) -> stripe.StripeClient:
    connect, read, retries = patience.value
    return stripe.StripeClient(
        key,
        base_addresses={"api": base, "files": base, "connect": base, "meter_events": base},
        max_network_retries=retries,
        http_client=stripe.RequestsClient(timeout=(connect, read)),
    )


def _id(value: Any) -> str:
    """The id of a field that may be expanded, absent or null."""
    if isinstance(value, dict):
        return str(value.get("id", ""))
    return str(value or "")
