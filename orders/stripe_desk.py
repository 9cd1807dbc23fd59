"""What the people at the shop ask of Stripe: to give money back, and to hear their side in a dispute."""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from orders.disputes import Case
from orders.facts import Refund
from orders.models import Order
from orders.stripe_api import (
    STRIPE,
    Patience,
    RequestChanged,
    StripeRefused,
    StripeUnavailable,
    all_rows,
    ask,
    refund_of,
)


def dashboard_address(order: Order) -> str:
    """Where Stripe's dashboard shows the order's payment; "" where there is none, or where Stripe is played by another.

    https://docs.stripe.com/dashboard/basics
    """
    if not order.stripe_payment_intent_id or settings.STRIPE_API_BASE != STRIPE:
        return ""
    mode = "" if order.livemode else "test/"
    return f"https://dashboard.stripe.com/{mode}payments/{order.stripe_payment_intent_id}"


def refusal_code(refusal: StripeRefused) -> str:
    """Stripe's code for why it said no, such as `charge_already_refunded`. https://docs.stripe.com/error-codes"""
    return str(getattr(refusal.__cause__, "code", None) or "")


def create_refund(*, payment_intent_id: str, amount: int, reason: str, metadata: dict[str, str], key: str) -> Refund:
    """Give `amount` (minor units) back. May be repeated under the same `key` for a day: one refund is made.

    Raises StripeRefused, whose `refusal_code` tells why; StripeUnavailable, after which nobody knows.
    https://docs.stripe.com/api/refunds/create
    """
    params: Any = {"payment_intent": payment_intent_id, "amount": amount, "reason": reason, "metadata": metadata}
    try:
        made = ask(
            lambda client: client.v1.refunds.create(params=params, options={"idempotency_key": key}),
            Patience.CHECKOUT,
        )
    except RequestChanged as refusal:
        if refusal_code(refusal) == "idempotency_key_in_use":  # the same request is under way elsewhere
            raise StripeUnavailable(str(refusal)) from refusal
        raise
    return refund_of(made.to_dict())


def find_refund(payment_intent_id: str, *, metadata: dict[str, str]) -> Refund | None:
    """The refund of this payment that was made with this metadata, or None. Raises StripeUnavailable, StripeRefused."""
    rows = all_rows("/v1/refunds", {"payment_intent": payment_intent_id})
    return next((refund_of(row) for row in rows if metadata.items() <= (row.get("metadata") or {}).items()), None)


def dispute_cases(payment_intent_id: str) -> tuple[Case, ...]:
    """Every dispute and inquiry about this payment, the newest first. Raises StripeUnavailable, StripeRefused."""
    rows = all_rows("/v1/disputes", {"payment_intent": payment_intent_id})
    return tuple(_case(row) for row in sorted(rows, key=lambda row: row["created"], reverse=True))


def answer_dispute(dispute_id: str, *, evidence: dict[str, str], submit: bool, key: str) -> Case:
    """Save evidence with the dispute; `submit` sends it to the bank, as a rule for good. May be repeated under `key`.

    Raises StripeRefused, StripeUnavailable. https://docs.stripe.com/api/disputes/update
    """
    params: Any = {"evidence": evidence, "submit": submit}
    answered = ask(
        lambda client: client.v1.disputes.update(dispute_id, params=params, options={"idempotency_key": key}),
        Patience.CHECKOUT,
    )
    return _case(answered.to_dict())


def _case(row: dict[str, Any]) -> Case:
    details = row.get("evidence_details") or {}
    due_by = details.get("due_by")
    return Case(
        id=row["id"],
        status=row["status"],
        reason=row.get("reason") or "",
        amount=row["amount"],
        currency=row["currency"],
        opened_at=datetime.fromtimestamp(row["created"], UTC),
        due_by=datetime.fromtimestamp(due_by, UTC) if due_by else None,
        has_evidence=bool(details.get("has_evidence")),
        submissions=details.get("submission_count") or 0,
    )
