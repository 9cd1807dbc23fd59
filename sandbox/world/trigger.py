"""Any supported event on demand, each with a realistic new object that the API knows too."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sandbox.world import aftermath, payments
from sandbox.world.account import Account
from sandbox.world.errors import invalid
from sandbox.world.objects.payment import Payer
from sandbox.world.operations.catalog import line_items
from sandbox.world.store import Body

DECLINED_CARD = "4000000000000002"


def opened(account: Account, options: dict[str, Any]) -> Body:
    """A session for one PDF; `amount`, `currency`, `client_reference_id` and `metadata` may be given."""
    price = {
        "currency": options.get("currency", "usd"),
        "unit_amount": str(options.get("amount", 1500)),
        "product_data": {"name": "A triggered PDF"},
    }
    return payments.open_session(
        account,
        lines=line_items(account, {"line_items": {"0": {"quantity": "1", "price_data": price}}}),
        intent={"metadata": {}},
        client_reference_id=options.get("client_reference_id"),
        metadata=options.get("metadata", {}),
        success_url="http://127.0.0.1/done",
    )


def paid(account: Account, options: dict[str, Any], method: str = "card", card: str = "4242424242424242") -> Body:
    session = opened(account, options)
    payer = Payer(email=options.get("email", "buyer@example.com"), name="Ada Buyer", method=method, card=card)
    return payments.pay(account, session["id"], payer)


def declined(account: Account, options: dict[str, Any]) -> None:
    with suppress(payments.Declined):  # the failed attempt is what was asked for
        paid(account, options, card=DECLINED_CARD)


def settled(account: Account, options: dict[str, Any], *, succeeded: bool) -> None:
    payments.settle(account, paid(account, options, method="bank_debit")["id"], succeeded=succeeded)


def charge(account: Account, options: dict[str, Any]) -> str:
    return str(aftermath.charge_of(account, intent_id=paid(account, options)["payment_intent"])["id"])


def refunded(account: Account, options: dict[str, Any]) -> str:
    return str(aftermath.refund(account, charge(account, options))["id"])


def disputed(account: Account, options: dict[str, Any]) -> str:
    return str(aftermath.open_dispute(account, charge(account, options))["id"])


Scenario = Callable[[Account, dict[str, Any]], object]
SCENARIOS: dict[str, Scenario] = {
    "checkout.session.completed": paid,
    "checkout.session.expired": lambda a, o: payments.expire(a, opened(a, o)["id"]),
    "checkout.session.async_payment_succeeded": lambda a, o: settled(a, o, succeeded=True),
    "checkout.session.async_payment_failed": lambda a, o: settled(a, o, succeeded=False),
    "payment_intent.created": paid,
    "payment_intent.succeeded": paid,
    "payment_intent.processing": lambda a, o: paid(a, o, method="bank_debit"),
    "payment_intent.payment_failed": declined,
    "charge.pending": lambda a, o: paid(a, o, method="bank_debit"),
    "charge.succeeded": paid,
    "charge.failed": declined,
    "charge.refunded": refunded,
    "charge.refund.updated": lambda a, o: aftermath.fail_refund(a, refunded(a, o)),
    "refund.created": refunded,
    "refund.updated": refunded,
    "refund.failed": lambda a, o: aftermath.fail_refund(a, refunded(a, o)),
    "charge.dispute.created": disputed,
    "charge.dispute.updated": lambda a, o: aftermath.answer_dispute(
        a, disputed(a, o), evidence={"uncategorized_text": "The buyer downloaded the file."}, submit=True
    ),
    "charge.dispute.closed": lambda a, o: aftermath.close_dispute(a, disputed(a, o), won=False),
    "charge.dispute.funds_withdrawn": disputed,
    "charge.dispute.funds_reinstated": lambda a, o: aftermath.close_dispute(a, disputed(a, o), won=True),
}


def trigger(account: Account, kind: str, options: dict[str, Any]) -> list[Body]:
    """Run what causes an event of this type; all the events it caused, oldest first."""
    if kind not in SCENARIOS:
        raise invalid(f"type is one of {', '.join(SCENARIOS)}", "type")
    with account.store.transaction():
        # The transaction keeps other threads out, so every newer event is ours.
        newest = account.store.find("event", limit=1)
        seq = account.store.seq("event", newest[0]["id"]) if newest else 0
        SCENARIOS[kind](account, options)
        return account.store.find("event", ("seq", ">", seq), order="ASC")
