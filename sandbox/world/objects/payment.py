"""Payment intents, charges and the payment methods behind them."""

import time
from dataclasses import dataclass

from sandbox.world.ids import chance, new_id
from sandbox.world.objects import Body, address

METHODS = {"card": "card", "bank_debit": "us_bank_account"}


@dataclass(frozen=True)
class Payer:
    """What the buyer entered on the Checkout page. `method` is `card` or `bank_debit`."""

    email: str
    name: str | None = None
    method: str = "card"
    card: str = "4242424242424242"
    exp_month: int = 12
    exp_year: int = 2034

    @property
    def kind(self) -> str:
        return METHODS[self.method]


def billing(payer: Payer) -> Body:
    return {"address": address("US"), "email": payer.email, "name": payer.name, "phone": None, "tax_id": None}


def payment_method(payer: Payer, customer: str | None) -> Body:
    details = card(payer) if payer.method == "card" else bank_account()
    return {
        "id": new_id("payment_method"),
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": billing(payer),
        "created": int(time.time()),
        "customer": customer,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": payer.kind,
        payer.kind: details,
    }


def card(payer: Payer) -> Body:
    return {
        "brand": "visa",
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": "visa",
        "exp_month": payer.exp_month,
        "exp_year": payer.exp_year,
        "fingerprint": "Ys4zYb0kqTq1L9aF",
        "funding": "credit",
        "generated_from": None,
        "last4": payer.card[-4:],
        "networks": {"available": ["visa"], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def bank_account() -> Body:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": "FFDMA0jJDFjDf0aS",
        "last4": "6789",
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": None,
    }


def payment_intent(*, amount: int, currency: str, customer: str | None, metadata: dict[str, str]) -> Body:
    identifier = new_id("payment_intent")
    return {
        "id": identifier,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{identifier}_secret_{chance(25)}",
        "confirmation_method": "automatic",
        "created": int(time.time()),
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card", "us_bank_account"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def charge(*, intent: Body, method: Body, payer: Payer, base_url: str) -> Body:
    """A charge that is on its way: `pending`, unpaid. `paid_charge` and `failed_charge` say how it ended."""
    identifier = new_id("charge")
    return {
        "id": identifier,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": billing(payer),
        "calculated_statement_descriptor": "SANDBOX",
        "captured": False,
        "created": int(time.time()),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": method_details(method, intent["amount"]),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"{base_url}/receipts/{identifier}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    }


def method_details(method: Body, amount: int) -> Body:
    if method["type"] == "card":
        return {"type": "card", "card": card_details(method["card"], amount)}
    names = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
    details = {name: method["us_bank_account"][name] for name in names}
    details.update({"expected_debit_date": None, "mandate": None, "payment_reference": None})
    return {"type": "us_bank_account", "us_bank_account": details}


def card_details(found: Body, amount: int) -> Body:
    names = ("brand", "checks", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {
        **{name: found[name] for name in names},
        "amount_authorized": amount,
        "authorization_code": None,
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": "visa",
        "network_token": {"used": False},
        "network_transaction_id": "976910110049114",
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }


def outcome(**fields: object) -> Body:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": None,
        "risk_level": "normal",
        "risk_score": 12,
        "seller_message": "Payment complete.",
        "type": "authorized",
        **fields,
    }
