"""Talks to Stripe. Its functions, and those of `stripe_lists` and `stripe_desk`, take and return our own values, never
Stripe's objects."""

import enum
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import stripe
from django.conf import settings

from orders.facts import CheckoutSession, Dispute, Facts, ListedSession, NewSession, PaidLine, Refund
from orders.sites import is_marked

SIGNATURE_TOLERANCE = 300  # seconds, https://docs.stripe.com/webhooks#replay-attacks
STRIPE = "https://api.stripe.com"
API_VERSION = str(stripe.api_version)  # what this release of the library speaks, and so what we read
TYPES_AT_ONCE = 20  # event types that one request may name
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
    session = ask(
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
            **new.mark,
            **({"product_slug": new.lines[0].slug} if len(new.lines) == 1 else {}),
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
                        "metadata": {"product_slug": line.slug},
                        **({"images": [line.image_url]} if line.image_url else {}),
                    },
                },
            }
            for line in new.lines
        ],
    }
    if new.email:
        params["customer_email"] = new.email
    if new.language:
        params["locale"] = new.language
    return params


def fetch_facts(session_id: str, patience: Patience = Patience.WORKER) -> Facts:
    """Everything Stripe says now about one Checkout Session: lines, payment, refunds, disputes.

    One request; one more for disputes where the charge says that there are any, and one for each further page of a
    session with more than ten lines or refunds. Refunds that failed are among the refunds.
    Raises SessionUnknown, StripeRefused, StripeUnavailable.
    """
    if not SESSION_ID.fullmatch(session_id):
        raise SessionUnknown(f"{session_id[:60]!r} is not the id of a Checkout Session")
    expand = ["payment_intent.latest_charge.refunds", "line_items.data.price.product"]
    session = get(f"/v1/checkout/sessions/{session_id}", {"expand": expand}, patience)
    intent = session.get("payment_intent") or {}
    charge = intent.get("latest_charge") or {}
    return facts_of(
        session,
        refunds=_refunds(intent.get("id", ""), charge.get("refunds") or {}, patience),
        disputes=_disputes(intent["id"], patience) if charge.get("disputed") else (),
        lines=_lines(session["id"], session.get("line_items") or {}, patience),
    )


def facts_of(
    session: dict[str, Any],
    *,
    refunds: tuple[Refund, ...],
    disputes: tuple[Dispute, ...],
    lines: tuple[PaidLine, ...] = (),
) -> Facts:
    intent = session.get("payment_intent") or {}
    charge = intent.get("latest_charge") or {}
    return Facts(
        session_id=session["id"],
        livemode=session["livemode"],
        status=session.get("status") or "",
        payment_status=session["payment_status"],
        client_reference_id=session.get("client_reference_id") or "",
        metadata={key: _plain(value) for key, value in (session.get("metadata") or {}).items()},
        payment_link=_id(session.get("payment_link")),
        email=(session.get("customer_details") or {}).get("email") or "",
        amount_subtotal=session.get("amount_subtotal") or 0,
        amount_total=session.get("amount_total") or 0,
        currency=session.get("currency") or "",
        customer_id=_id(session.get("customer")),
        payment_intent_id=intent.get("id", ""),
        payment_intent_status=intent.get("status", ""),
        paid_at=datetime.fromtimestamp(charge["created"], UTC) if charge.get("paid") else None,
        refunds=refunds,
        disputes=disputes,
        lines=lines,
        locale=session.get("locale") or "",
        recovered_from=_id(session.get("recovered_from")),
        charge_id=_plain(charge.get("id") or ""),
        **_paid_with(charge.get("payment_method_details") or {}),
    )


def _paid_with(details: dict[str, Any]) -> dict[str, str]:
    """https://docs.stripe.com/api/charges/object#charge_object-payment_method_details"""
    kind = _plain(details.get("type") or "")
    found = details.get(kind) or {}  # Link and PayPal, among others, have neither brand nor digits
    brand, last4 = _plain(found.get("brand") or ""), _plain(found.get("last4") or "")
    return {"paid_by": kind[:40], "paid_brand": brand[:30], "paid_last4": last4[-4:]}


def _lines(session_id: str, first: dict[str, Any], patience: Patience) -> tuple[PaidLine, ...]:
    """Every line in Stripe's order; `first` is the page that the session brought along, ten lines at most."""
    rows = first.get("data") or []
    if first.get("has_more"):
        path = f"/v1/checkout/sessions/{session_id}/line_items"
        rows = all_rows(path, {"expand": ["data.price.product"]}, patience)
    return tuple(_line(row) for row in rows)


def _line(row: dict[str, Any]) -> PaidLine:
    price = row.get("price") or {}
    product = price.get("product")
    described = [one for one in (price, product) if isinstance(one, dict)]  # a product may be deleted, or an id
    slugs = ((one.get("metadata") or {}).get("product_slug") for one in described)
    return PaidLine(
        name=_plain(row.get("description") or ""),
        price_id=_plain(price.get("id") or ""),
        slug=_plain(next((slug for slug in slugs if slug), "")),
        quantity=row.get("quantity") or 1,
        amount=row.get("amount_subtotal") or 0,
    )


def _plain(value: Any) -> str:
    """Text that PostgreSQL takes, if only in a comparison: no NUL, no lone surrogate."""
    return str(value).replace("\x00", "").encode("utf-8", "replace").decode()


def _refunds(payment_intent_id: str, first: dict[str, Any], patience: Patience) -> tuple[Refund, ...]:
    """All of them, by id; `first` is the page that the charge brought along, the ten newest."""
    rows = first.get("data") or []
    if first.get("has_more"):
        rows = all_rows("/v1/refunds", {"payment_intent": payment_intent_id}, patience)
    return tuple(refund_of(row) for row in sorted(rows, key=lambda row: row["id"]))


def refund_of(row: dict[str, Any]) -> Refund:
    return Refund(
        id=row["id"],
        amount=row["amount"],
        status=row.get("status") or "",
        order_line=_plain((row.get("metadata") or {}).get("order_line", "")),
    )


def _disputes(payment_intent_id: str, patience: Patience) -> tuple[Dispute, ...]:
    rows = all_rows("/v1/disputes", {"payment_intent": payment_intent_id}, patience)
    return tuple(Dispute(id=row["id"], status=row["status"]) for row in sorted(rows, key=lambda row: row["id"]))


def session_of_payment_intent(payment_intent_id: str) -> str | None:
    """The id of the Checkout Session that made this PaymentIntent, or None where none did."""
    found = get("/v1/checkout/sessions", {"payment_intent": payment_intent_id, "limit": 1})["data"]
    return str(found[0]["id"]) if found else None


def events_between(start: datetime, end: datetime, types: list[str]) -> list[bytes]:
    """The bodies of all events of these types made from `start` to `end`, the newest first.

    Stripe counts whole seconds: those of both ends are in. It takes at most 20 types in one request.
    https://docs.stripe.com/api/events/list
    """
    created = {"gte": int(start.timestamp()), "lte": int(end.timestamp()) + 1}
    found: list[dict[str, Any]] = []
    for some in in_groups(types):
        found += all_rows("/v1/events", {"created": created, "types": some})
    found.sort(key=lambda event: event["created"], reverse=True)
    return [json.dumps(event).encode() for event in found]


def in_groups(types: list[str]) -> list[list[str]]:
    """As many types as one request for events may name in each."""
    return [types[first : first + TYPES_AT_ONCE] for first in range(0, len(types), TYPES_AT_ONCE)]


def complete_sessions_since(since: datetime) -> list[ListedSession]:
    """Every complete Checkout Session made since then, paid or not. https://docs.stripe.com/api/checkout/sessions/list"""
    params = {"created": {"gte": int(since.timestamp())}, "status": "complete"}
    return [_listed(row) for row in all_rows("/v1/checkout/sessions", params)]


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
    params = {"created": {"gte": int(since.timestamp())}}
    rows = all_rows("/v1/refunds", params) + all_rows("/v1/disputes", params)
    return list(dict.fromkeys(intent_id for row in rows if (intent_id := _id(row.get("payment_intent")))))


def get(path: str, params: dict[str, Any], patience: Patience = Patience.WORKER) -> dict[str, Any]:
    """One answer as Stripe's JSON says it: building the library's objects takes three times as long as all the rest."""
    found: dict[str, Any] = ask(lambda client: client.raw_request("get", path, **params).data, patience)
    return found


def pages(path: str, params: dict[str, Any], patience: Patience = Patience.WORKER) -> Iterator[list[dict[str, Any]]]:
    """The rows of a list, a hundred at a time, each page asked for when it is wanted."""
    params = {**params, "limit": 100}
    while True:
        page = get(path, params, patience)
        if page["data"]:
            yield page["data"]
        if not page["has_more"]:
            return
        params["starting_after"] = page["data"][-1]["id"]


def all_rows(path: str, params: dict[str, Any], patience: Patience = Patience.WORKER) -> list[dict[str, Any]]:
    return [row for page in pages(path, params, patience) for row in page]


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


def ask(call: Any, patience: Patience) -> Any:
    """What `call` gets from Stripe's client; raises StripeUnavailable, StripeRefused or one of their kinds."""
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
