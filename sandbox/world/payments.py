"""The acts of a payment: open a session, pay, be declined, settle later, expire. Each is one transaction."""

import time
from dataclasses import dataclass
from typing import Any

from sandbox.world.account import Account
from sandbox.world.aftermath import open_dispute
from sandbox.world.errors import DOCS, ApiError
from sandbox.world.events import emit
from sandbox.world.ids import chance
from sandbox.world.objects import account as accounts
from sandbox.world.objects import payment as payments
from sandbox.world.objects.payment import Payer
from sandbox.world.objects.session import customer_details, session
from sandbox.world.store import Body


@dataclass(frozen=True)
class Decline:
    code: str
    decline_code: str
    message: str


GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
DECLINES = {
    "4000000000000002": GENERIC,
    "4000000000009995": Decline("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "4000000000000069": Decline("expired_card", "expired_card", "Your card has expired."),
    "4000000000000127": Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
}
DISPUTED_CARD = "4000000000000259"
GOOD_CARDS = ("4242424242424242", "4000056655665556", DISPUTED_CARD)
TEST_CARDS = (*GOOD_CARDS, *DECLINES)
RECOVERABLE_FOR = 30 * 24 * 3600  # seconds
COPIED = (
    "cancel_url", "client_reference_id", "custom_text", "customer", "customer_creation", "customer_email", "locale",
    "metadata", "submit_type", "success_url",
)  # fmt: skip


class Declined(ApiError):
    """The bank said no. The session stays open and the failed attempt is on record."""

    def __init__(self, decline: Decline) -> None:
        super().__init__(
            decline.message,
            status=402,
            kind="card_error",
            code=decline.code,
            decline_code=decline.decline_code,
        )


def open_session(
    account: Account, *, lines: list[Body], intent: Body, wanted_email: str | None = None, **given: Any
) -> Body:
    """A new open session for these line items; `intent` is what its payment intent will carry.

    `wanted_email` fills the page's field and nothing else.
    """
    body = session(
        base_url=account.base_url,
        shop_name=account.shop_name,
        amount=sum(line["amount_total"] for line in lines),
        currency=lines[0]["currency"],
        **given,
    )
    account.store.add(body, lines=lines, intent=intent, wanted_email=wanted_email)
    account.set_timer("expire", body["id"], body["expires_at"])
    return body


def open_one(account: Account, session_id: str) -> Body:
    """The session, which must still be open, in status and by the clock: its timer may be a moment late."""
    body = account.need("checkout.session", session_id)
    if body["status"] == "open" and body["expires_at"] <= time.time():
        body = {**body, "status": "expired"}
    if body["status"] != "open":
        raise ApiError(f"This Checkout Session is {body['status']}.", code="checkout_session_not_open")
    return body


def pay(account: Account, session_id: str, payer: Payer) -> Body:
    """Pay for an open session; the session as it is then. Raises Declined after recording the failed attempt."""
    with account.store.transaction():
        body = open_one(account, session_id)
        if body["amount_total"] == 0:
            return complete(account, body, payer, payment_status="no_payment_required")
        intent, charge = attempt(account, body, payer)
        decline = DECLINES.get(payer.card) if payer.method == "card" else None
        if decline is not None:
            record_failure(account, intent, charge, decline)
        elif payer.method == "card":
            succeed(account, intent, charge)
            body = complete(account, account.need("checkout.session", session_id), payer, payment_status="paid")
        else:
            body = wait_for_bank(account, intent, charge, payer, session_id)
    if decline is not None:
        raise Declined(decline)
    if payer.method == "card" and payer.card == DISPUTED_CARD:
        open_dispute(account, charge["id"])
    return body


def attempt(account: Account, body: Body, payer: Payer) -> tuple[Body, Body]:
    """The payment intent (one per session, made on the first try) with a new pending charge."""
    method = account.store.add(payments.payment_method(payer, body["customer"]))
    if body["payment_intent"] is None:
        wanted = account.store.private(body["id"])["intent"]
        intent = payments.payment_intent(
            amount=body["amount_total"],
            currency=body["currency"],
            customer=body["customer"],
            metadata=wanted.get("metadata", {}),
        )
        intent |= {key: value for key, value in wanted.items() if key != "metadata" and value is not None}
        account.store.add(intent, session=body["id"])
        emit(account, "payment_intent.created", intent)
        account.change(body, payment_intent=intent["id"])
    else:
        intent = account.store.need("payment_intent", body["payment_intent"])
    charge = payments.charge(intent=intent, method=method, payer=payer, base_url=account.base_url)
    account.store.add(charge)
    fields = {"payment_method": method["id"], "latest_charge": charge["id"], "last_payment_error": None}
    return account.change(intent, **fields), charge


def succeed(account: Account, intent: Body, charge: Body) -> None:
    amount = charge["amount"]
    approved = {"outcome": payments.outcome(), "paid": True, "captured": True, "amount_captured": amount}
    charge = account.change(charge, status="succeeded", **approved)
    emit(account, "charge.succeeded", charge)
    intent = account.change(intent, status="succeeded", amount_received=amount, processing=None, next_action=None)
    emit(account, "payment_intent.succeeded", intent)


def record_failure(account: Account, intent: Body, charge: Body, decline: Decline) -> None:
    """The charge fails, the intent waits for another payment method."""
    by_card = charge["payment_method_details"]["type"] == "card"
    refused = payments.outcome(
        network_status="declined_by_network",
        reason=decline.decline_code,
        seller_message="The bank did not approve this payment.",
        type="issuer_declined",
    )
    charge = account.change(
        charge, status="failed", failure_code=decline.code, failure_message=decline.message, outcome=refused
    )
    emit(account, "charge.failed", charge)
    error = {
        "type": "card_error" if by_card else "invalid_request_error",
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "charge": charge["id"],
        "doc_url": DOCS + decline.code.replace("_", "-"),
        "payment_method": account.store.need("payment_method", charge["payment_method"]),
    }
    fields = {"status": "requires_payment_method", "payment_method": None, "processing": None}
    intent = account.change(intent, last_payment_error=error, **fields)
    emit(account, "payment_intent.payment_failed", intent)


def complete(account: Account, body: Body, payer: Payer, *, payment_status: str) -> Body:
    """The buyer is done: the session closes, their address lands in `customer_details`."""
    if body["customer_creation"] == "always" and body["customer"] is None:
        buyer = accounts.customer(email=payer.email, name=payer.name, metadata={})
        account.store.add(buyer)
        emit(account, "customer.created", buyer)
        body = {**body, "customer": buyer["id"]}
    details = customer_details(payer.email, payer.name)
    body = account.change(body, status="complete", payment_status=payment_status, customer_details=details, url=None)
    account.stop_timer("expire", body["id"])
    emit(account, "checkout.session.completed", body)
    return body


def wait_for_bank(account: Account, intent: Body, charge: Body, payer: Payer, session_id: str) -> Body:
    """A delayed method: the session completes unpaid, the money arrives or fails later."""
    emit(account, "charge.pending", charge)
    intent = account.change(intent, status="processing")
    emit(account, "payment_intent.processing", intent)
    body = complete(account, account.need("checkout.session", session_id), payer, payment_status="unpaid")
    if account.settle_after is not None:
        account.set_timer("settle", session_id, time.time() + account.settle_after)
    return body


def settle(account: Account, session_id: str, *, succeeded: bool = True) -> Body:
    """End the wait for a bank debit: the session becomes paid, or stays unpaid for good."""
    with account.store.transaction():
        body = account.need("checkout.session", session_id)
        if body["status"] != "complete" or body["payment_status"] != "unpaid" or is_settled(account, body):
            raise ApiError("Nothing to settle: this session waits for no bank.", code="payment_intent_unexpected_state")
        account.stop_timer("settle", session_id)
        intent = account.store.need("payment_intent", body["payment_intent"])
        charge = account.store.need("charge", intent["latest_charge"])
        if succeeded:
            succeed(account, intent, charge)
            body = account.change(body, payment_status="paid")
            emit(account, "checkout.session.async_payment_succeeded", body)
        else:
            bank = Decline("payment_intent_payment_attempt_failed", "insufficient_funds", "The bank debit failed.")
            record_failure(account, intent, charge, bank)
            emit(account, "checkout.session.async_payment_failed", body)
    return body


def is_settled(account: Account, body: Body) -> bool:
    return bool(account.store.need("payment_intent", body["payment_intent"])["status"] != "processing")


def expire(account: Account, session_id: str) -> Body:
    """Close an open session unpaid."""
    with account.store.transaction():
        body = account.need("checkout.session", session_id)
        if body["status"] != "open":
            message = f"Only Checkout Sessions with a status of open can be expired; this one is {body['status']}."
            raise ApiError(message)
        account.stop_timer("expire", session_id)
        if body["payment_intent"]:
            intent = account.store.need("payment_intent", body["payment_intent"])
            fields = {"canceled_at": int(time.time()), "cancellation_reason": "expired"}
            emit(account, "payment_intent.canceled", account.change(intent, status="canceled", **fields))
        body = account.change(body, status="expired", url=None, after_expiration=with_way_back(account, body))
        emit(account, "checkout.session.expired", body)
    return body


def with_way_back(account: Account, body: Body) -> Body | None:
    """What follows the end of a session: the address that recovers it, where that was asked for."""
    after = body["after_expiration"]
    if not after or not after["recovery"]["enabled"]:
        return after  # type: ignore[no-any-return]
    address = f"{account.base_url}/c/recover/{body['id']}"
    return {"recovery": {**after["recovery"], "url": address, "expires_at": int(time.time()) + RECOVERABLE_FOR}}


def recover(account: Account, session_id: str) -> Body:
    """A fresh copy of an expired session, https://docs.stripe.com/payments/checkout/abandoned-carts"""
    body = account.need("checkout.session", session_id)
    recovery = (body["after_expiration"] or {}).get("recovery") or {}
    if not recovery.get("url") or recovery["expires_at"] <= time.time():
        raise ApiError("This Checkout Session cannot be recovered.", code="checkout_session_not_recoverable")
    private = account.store.private(session_id)
    return open_session(
        account,
        lines=private["lines"],
        intent=private["intent"],
        after_expiration={"recovery": {**recovery, "url": None, "expires_at": None}},
        allow_promotion_codes=recovery["allow_promotion_codes"] or None,
        recovered_from=session_id,
        **{name: body[name] for name in COPIED},
    )


def discount(account: Account, session_id: str, *, percent: int) -> Body:
    """The buyer of an open session enters a code: every line costs `percent` per cent less, up to nothing at all."""
    with account.store.transaction():
        body = open_one(account, session_id)
        lines = [reduced(line, percent) for line in account.store.private(session_id)["lines"]]
        off = sum(line["amount_discount"] for line in lines)
        account.store.set_private(session_id, lines=lines)
        return account.change(
            body,
            amount_total=body["amount_subtotal"] - off,
            discounts=[{"coupon": chance(8), "promotion_code": None}],
            payment_status="unpaid" if off < body["amount_subtotal"] else "no_payment_required",
            total_details={**body["total_details"], "amount_discount": off},
        )


def reduced(line: Body, percent: int) -> Body:
    off = line["amount_subtotal"] * percent // 100
    return {**line, "amount_discount": off, "amount_total": line["amount_subtotal"] - off}
