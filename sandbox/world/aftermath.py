"""What happens to money after it was paid: refunds that succeed or fail, disputes that are won or lost."""

from typing import Any

from sandbox.world.account import Account
from sandbox.world.errors import ApiError
from sandbox.world.events import emit
from sandbox.world.ids import chance
from sandbox.world.objects import aftermath as build
from sandbox.world.store import Body

OPEN_DISPUTES = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")


def charge_of(account: Account, *, intent_id: str, param: str = "payment_intent") -> Body:
    """The charge that paid this intent; Stripe's error where none has."""
    intent = account.need("payment_intent", intent_id, param)
    charge = account.store.get("charge", intent["latest_charge"] or "")
    if charge is None or charge["status"] != "succeeded":
        message = f"This PaymentIntent ({intent_id}) does not have a successful charge to refund."
        raise ApiError(message, code="payment_intent_unexpected_state", param=param)
    return charge


def refund(
    account: Account,
    charge_id: str,
    *,
    amount: int | None = None,
    reason: str | None = None,
    metadata: dict[str, str] | None = None,
    pending: bool = False,
) -> Body:
    """Give back `amount`, or what is left. Never more than was paid, never during or after a chargeback."""
    with account.store.transaction():
        charge = account.need("charge", charge_id, "charge")
        amount = refundable(account, charge, amount)
        body = build.refund(charge=charge, amount=amount, reason=reason, metadata=metadata or {}, pending=pending)
        account.store.add(body)
        refunded = charge["amount_refunded"] + amount
        before = {"amount_refunded": charge["amount_refunded"], "refunded": charge["refunded"]}
        charge = account.change(charge, amount_refunded=refunded, refunded=refunded == charge["amount"])
        emit(account, "refund.created", body)
        emit(account, "charge.refunded", charge, previous=before)
        if not pending:
            body = confirm(account, body)
    return body


def refundable(account: Account, charge: Body, amount: int | None) -> int:
    left = charge["amount_captured"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise ApiError(f"Charge {charge['id']} has not been paid.", code="charge_not_refundable")
    blocking = [one for one in account.store.find("dispute", ("charge", "=", charge["id"])) if blocks(one)]
    if blocking:
        raise ApiError(f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if left == 0:
        raise ApiError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount is not None and amount < 1:
        raise ApiError("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount is not None and amount > left:
        raise ApiError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            code="amount_too_large",
            param="amount",
        )
    return left if amount is None else amount


def blocks(dispute: Body) -> bool:
    return dispute["status"] not in ("won", "warning_closed") and not dispute["is_charge_refundable"]


def confirm(account: Account, body: Body) -> Body:
    """The bank has taken the refund: it has a reference, and `refund.updated` says so."""
    details = {**body["destination_details"]}
    kind = details["type"]
    details[kind] = {**details[kind], "reference": chance(11).upper(), "reference_status": "available"}
    before = {"destination_details": body["destination_details"], "status": body["status"]}
    body = account.change(body, status="succeeded", pending_reason=None, destination_details=details)
    emit(account, "refund.updated", body, previous=before)
    return body


def confirm_refund(account: Account, refund_id: str) -> Body:
    with account.store.transaction():
        body = account.need("refund", refund_id)
        if body["status"] != "pending":
            raise ApiError(f"This refund is {body['status']}.", code="refund_unexpected_state")
        return confirm(account, body)


def fail_refund(account: Account, refund_id: str, reason: str = "lost_or_stolen_card") -> Body:
    """A refund that the bank sent back, also one that had succeeded: the charge counts as not refunded again.

    https://docs.stripe.com/refunds#failed-refunds
    """
    with account.store.transaction():
        body = account.need("refund", refund_id)
        if body["status"] not in ("pending", "succeeded"):
            raise ApiError(f"This refund is {body['status']}.", code="refund_unexpected_state")
        before = {"status": body["status"]}
        body = account.change(body, status="failed", failure_reason=reason, pending_reason=None)
        charge = account.store.need("charge", body["charge"])
        account.change(charge, amount_refunded=charge["amount_refunded"] - body["amount"], refunded=False)
        emit(account, "refund.failed", body)
        emit(account, "refund.updated", body, previous=before)
        emit(account, "charge.refund.updated", body, previous=before)
    return body


def open_dispute(
    account: Account,
    charge_id: str,
    *,
    amount: int | None = None,
    reason: str = "fraudulent",
    inquiry: bool = False,
) -> Body:
    """The buyer's bank takes the money back, or (inquiry) only asks. One open dispute per charge."""
    with account.store.transaction():
        charge = account.need("charge", charge_id, "charge")
        earlier = account.store.find("dispute", ("charge", "=", charge_id))
        if charge["status"] != "succeeded" or any(one["status"] in OPEN_DISPUTES for one in earlier):
            raise ApiError("This charge cannot be disputed now.", code="charge_disputed")
        amount = charge["amount"] if amount is None else amount
        body = build.dispute(charge=charge, amount=amount, reason=reason, inquiry=inquiry)
        if not inquiry:
            body["balance_transactions"] = [build.movement(body, back=False)]
        account.store.add(body)
        account.change(charge, disputed=True)
        emit(account, "charge.dispute.created", body)
        if not inquiry:
            emit(account, "charge.dispute.funds_withdrawn", body)
    return body


def answer_dispute(account: Account, dispute_id: str, *, evidence: Body, submit: bool, **fields: Any) -> Body:
    """Add evidence; submitting it hands the case to the bank."""
    with account.store.transaction():
        body = account.need("dispute", dispute_id)
        if body["status"] not in OPEN_DISPUTES:
            raise ApiError("This dispute is already closed.", code="dispute_already_closed")
        details = {
            **body["evidence_details"],
            "has_evidence": bool(evidence) or body["evidence_details"]["has_evidence"],
        }
        status = body["status"]
        if submit:
            details |= {"submission_count": details["submission_count"] + 1, "submission_method": "manual"}
            status = "warning_under_review" if status.startswith("warning_") else "under_review"
        before = {"status": body["status"], "evidence_details": body["evidence_details"]}
        changed = {
            "evidence": {**body["evidence"], **evidence},
            "evidence_details": details,
            "status": status,
        }
        body = account.change(body, **changed, **fields)
        emit(account, "charge.dispute.updated", body, previous=before)
    return body


def close_dispute(account: Account, dispute_id: str, *, won: bool) -> Body:
    """The bank has decided. Won brings the money back; an inquiry that ends well merely closes."""
    with account.store.transaction():
        body = account.need("dispute", dispute_id)
        if body["status"] not in OPEN_DISPUTES:
            raise ApiError("This dispute is already closed.", code="dispute_already_closed")
        inquiry = body["status"].startswith("warning_")
        status = ("warning_closed" if inquiry else "won") if won else "lost"
        movements = body["balance_transactions"]
        if won and movements:
            movements = [*movements, build.movement(body, back=True)]
        if not won and not movements:  # the inquiry became a chargeback and was lost at once
            movements = [build.movement(body, back=False)]
        before = {"status": body["status"]}
        body = account.change(body, status=status, balance_transactions=movements, is_charge_refundable=False)
        emit(account, "charge.dispute.closed", body, previous=before)
        if won and movements:
            emit(account, "charge.dispute.funds_reinstated", body)
    return body
