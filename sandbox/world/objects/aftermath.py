"""What may follow a payment: refunds and disputes, and the movements of money behind a dispute."""

import time

from sandbox.world.ids import new_id
from sandbox.world.objects import Body

EVIDENCE_WORDS = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal "
    "customer_communication customer_email_address customer_name customer_purchase_ip customer_signature "
    "duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt "
    "refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number "
    "uncategorized_file uncategorized_text"
)
EVIDENCE = tuple(EVIDENCE_WORDS.split())
EVIDENCE_FILES = (
    "cancellation_policy customer_communication customer_signature duplicate_charge_documentation receipt "
    "refund_policy service_documentation shipping_documentation uncategorized_file"
).split()
DISPUTE_FEE = 1500
WEEK = 7 * 24 * 3600


def refund(*, charge: Body, amount: int, reason: str | None, metadata: dict[str, str], pending: bool) -> Body:
    by_card = charge["payment_method_details"]["type"] == "card"
    card = {"reference": None, "reference_status": "pending", "reference_type": "acquirer_reference_number"}
    bank = {"reference": None, "reference_status": "pending"}
    details: Body = (
        {"type": "card", "card": card | {"type": "refund"}}
        if by_card
        else {"type": "us_bank_transfer", "us_bank_transfer": bank}
    )
    return {
        "id": new_id("refund"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": int(time.time()),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": details,
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "pending_reason": "processing" if pending else None,
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if pending else "succeeded",
        "transfer_reversal": None,
    }


def dispute(*, charge: Body, amount: int, reason: str, inquiry: bool) -> Body:
    """A chargeback, or an inquiry that has not taken the money (yet)."""
    case = {"brand": "visa", "case_type": "inquiry" if inquiry else "chargeback", "network": "visa"}
    return {
        "id": new_id("dispute"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": int(time.time()),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": int(time.time()) + WEEK,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "intended_submission_method": None,
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"type": "card", "card": case | {"network_reason_code": "10.4"}},
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }


def movement(dispute_body: Body, *, back: bool) -> Body:
    """The balance transaction that takes the disputed amount and the fee, or gives the amount back."""
    amount, currency, now = dispute_body["amount"], dispute_body["currency"], int(time.time())
    fee = 0 if back else DISPUTE_FEE
    fees = [{"amount": fee, "application": None, "currency": currency, "description": "Dispute fee"}]
    sign = 1 if back else -1
    return {
        "id": new_id("balance_transaction"),
        "object": "balance_transaction",
        "amount": sign * amount,
        "available_on": now,
        "balance_type": "payments",
        "created": now,
        "currency": currency,
        "description": f"Chargeback {'reversal' if back else 'withdrawal'} for {dispute_body['charge']}",
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [one | {"type": "stripe_fee"} for one in fees if fee],
        "net": sign * amount - fee,
        "reporting_category": "dispute_reversal" if back else "dispute",
        "source": dispute_body["id"],
        "status": "available",
        "type": "adjustment",
    }
