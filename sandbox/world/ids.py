"""Identifiers that look like Stripe's: a prefix that names the kind, and enough chance never to meet again."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits
PREFIXES = {
    "charge": "ch_",
    "checkout.session": "cs_test_",
    "customer": "cus_",
    "dispute": "du_",
    "event": "evt_",
    "item": "li_",
    "payment_intent": "pi_",
    "payment_link": "plink_",
    "payment_method": "pm_",
    "price": "price_",
    "product": "prod_",
    "refund": "re_",
    "webhook_endpoint": "we_",
    "balance_transaction": "txn_",
}


def chance(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_id(kind: str) -> str:
    """A fresh id for an object of `kind`. Session ids are long, as Stripe's are: columns must have room for them."""
    if kind == "checkout.session":
        return f"cs_test_a1{chance(56)}"
    if kind in ("customer", "product"):
        return PREFIXES[kind] + chance(14)
    return f"{PREFIXES[kind]}1{chance(23)}"
