"""The truth about every session, for those who check a shop's books against it."""

from typing import Any

from sandbox.world.account import Account
from sandbox.world.store import Body

GONE = ("failed", "canceled")


def ledger(account: Account, session_id: str | None = None) -> list[dict[str, Any]]:
    """One row per session, oldest first, or that of one. `paid`: its money arrived, or none was due. Amounts are minor
    units."""
    only = [("id", "=", session_id)] if session_id else []
    return [row(account, body) for body in account.store.find("checkout.session", *only, order="ASC")]


def row(account: Account, body: Body) -> dict[str, Any]:
    store, intent = account.store, body["payment_intent"]
    refunds = store.find("refund", ("payment_intent", "=", intent)) if intent else []
    disputes = store.find("dispute", ("payment_intent", "=", intent)) if intent else []
    return {
        "session": body["id"],
        "status": body["status"],
        "payment_status": body["payment_status"],
        "paid": body["status"] == "complete" and body["payment_status"] != "unpaid",
        "amount_total": body["amount_total"],
        "currency": body["currency"],
        "refunded": sum(one["amount"] for one in refunds if one["status"] not in GONE),
        "dispute": disputes[0]["id"] if disputes else None,
        "dispute_status": disputes[0]["status"] if disputes else None,
        "email": (body["customer_details"] or {}).get("email"),
        "client_reference_id": body["client_reference_id"],
        "payment_intent": intent,
        "payment_link": body["payment_link"],
        "metadata": body["metadata"],
        "created": body["created"],
    }
