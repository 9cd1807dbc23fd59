"""What Stripe's lists say, a hundred rows at a time: for comparing many payments with few requests.

All raise stripe_api.StripeUnavailable and StripeRefused, also between two pages.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from orders.facts import Dispute, Facts, Happened, TakenBack
from orders.stripe_api import facts_of, in_groups, pages, refund_of

ABOUT_ITSELF = ("checkout.session", "payment_intent")  # other events name the PaymentIntent that they are about


def complete_facts(since: datetime, taken_back: Mapping[str, TakenBack]) -> Iterator[list[Facts]]:
    """The facts of every complete Checkout Session made since then, up to a hundred at a time, the newest first.

    As `stripe_api.fetch_facts` gives them, but that lists show no lines, and that refunds and disputes are those of
    `taken_back`. https://docs.stripe.com/api/checkout/sessions/list
    """
    params = {
        **_made(since),
        "status": "complete",
        "expand": ["data.payment_intent.latest_charge"],
    }
    for rows in pages("/v1/checkout/sessions", params):
        taken = [taken_back.get(_intent_id(row), TakenBack()) for row in rows]
        yield [
            facts_of(row, refunds=back.refunds, disputes=back.disputes) for row, back in zip(rows, taken, strict=True)
        ]


def taken_back(since: datetime) -> dict[str, TakenBack]:
    """The refunds and disputes made since then, by PaymentIntent.

    https://docs.stripe.com/api/refunds/list, https://docs.stripe.com/api/disputes/list
    """
    found: dict[str, TakenBack] = {}
    params = {**_made(since), "expand": ["data.charge"]}
    for row in _rows(pages("/v1/refunds", params)):
        back = _of_payment(found, row)
        found[back.payment_intent_id] = replace(back, refunds=(*back.refunds, refund_of(row)))
    for row in _rows(pages("/v1/disputes", params)):
        back = _of_payment(found, row)
        dispute = Dispute(id=row["id"], status=row["status"])
        found[back.payment_intent_id] = replace(back, disputes=(*back.disputes, dispute))
    found.pop("", None)  # of charges that no PaymentIntent made
    return found


def _of_payment(found: dict[str, TakenBack], row: dict[str, Any]) -> TakenBack:
    intent_id, charge = _intent_id(row), row.get("charge") or {}
    known = found.get(intent_id, TakenBack(payment_intent_id=intent_id))
    return replace(known, refunded=charge.get("amount_refunded") or 0)


def happened(since: datetime, types: Iterable[str]) -> list[Happened]:
    """What events of these types tell to have happened since then, and to which payment."""
    groups = in_groups(sorted(types))
    return [_happened(row) for some in groups for row in _rows(pages("/v1/events", {**_made(since), "types": some}))]


def _happened(event: dict[str, Any]) -> Happened:
    about = event["data"]["object"]
    return Happened(
        at=datetime.fromtimestamp(event["created"], UTC),
        type=event["type"],
        about=about["id"] if about["object"] in ABOUT_ITSELF else _intent_id(about),
    )


def _intent_id(row: dict[str, Any]) -> str:
    """Of the PaymentIntent behind it, which may be expanded; "" where there is none."""
    intent = row.get("payment_intent") or ""
    return str(intent["id"] if isinstance(intent, dict) else intent)


def _made(since: datetime) -> dict[str, Any]:
    return {"created": {"gte": int(since.timestamp())}}


def _rows(found: Iterator[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for page in found:
        yield from page
