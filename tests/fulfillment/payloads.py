"""Events as endpoints of five API versions get them, made from the sandbox's events, which are of the newest.

Rendered back field by field, as far as these objects changed between the versions:

- 2024-10-28.acacia: `refund.*` for refunds of charges; before, only `charge.refunded` and `charge.refund.updated`
  https://docs.stripe.com/changelog/acacia/2024-10-28/refund-webhook-update
- 2025-03-31.basil: a session's `shipping_details` moved into `collected_information`; `invoice` left charges and
  PaymentIntents
  https://docs.stripe.com/changelog/basil/2025-03-31/checkout-session-remove-shipping-details
- 2026-03-25.dahlia: `ui_mode` `hosted` became `hosted_page`
  https://docs.stripe.com/changelog/dahlia/2026-03-25/updates-available-checkout-session-ui-modes

Already in 2022-11-15 a charge carried no refunds and a PaymentIntent no charges, unless they were asked for.
https://docs.stripe.com/changelog/2022-11-15
"""

import copy
from typing import Any

ENDIVE = "2026-10-28.endive"
BASIL = "2025-03-31.basil"
ACACIA = "2024-10-28.acacia"
JUNE_2024 = "2024-06-20"
NOVEMBER_2022 = "2022-11-15"
VERSIONS = [NOVEMBER_2022, JUNE_2024, ACACIA, BASIL, ENDIVE]

# Fields that were added after a version was the newest: an account that stayed there may be sent them or not, here not.
YOUNGER: dict[str, dict[str, list[str]]] = {
    ENDIVE: {
        "checkout.session": [
            "customer_account", "integration_identifier", "managed_payments", "origin_context",
            "payment_method_configuration_details", "wallet_options",
        ],
        "payment_intent": ["customer_account", "excluded_payment_method_types", "managed_payments"],
        "refund": ["customer_account", "payment_method", "pending_reason"],
        "dispute": ["enhanced_eligibility_types", "intended_submission_method"],
    },
    BASIL: {"checkout.session": ["adaptive_pricing", "collected_information", "discounts", "permissions"]},
    ACACIA: {"checkout.session": ["saved_payment_method_options"]},
    JUNE_2024: {"checkout.session": ["currency_conversion"], "dispute": ["payment_method_details"]},
}  # fmt: skip


def render(event: dict[str, Any], version: str) -> dict[str, Any]:
    """The same event as an endpoint pinned to `version` is sent it. Ids, amounts and times stay."""
    rendered = copy.deepcopy(event) | {"api_version": version}
    subject = rendered["data"]["object"]
    for younger, fields in YOUNGER.items():
        if version < younger:
            for name in fields.get(subject["object"], []):
                subject.pop(name, None)
    if subject["object"] == "checkout.session":
        _session(subject, version)
    if subject["object"] in ("charge", "payment_intent") and version < BASIL:
        subject["invoice"] = None
    if subject["object"] == "charge":
        subject.pop("refunds", None)
    return rendered


def _session(session: dict[str, Any], version: str) -> None:
    if version < ENDIVE:
        session["ui_mode"] = "hosted"
    if version < BASIL:
        session["shipping_details"] = None
    if version < JUNE_2024 and session["customer_details"]:
        session["customer_details"] = {
            name: session["customer_details"][name] for name in ("address", "email", "name", "phone", "tax_exempt")
        } | {"tax_ids": []}


def kept_by(version: str, kind: str) -> bool:
    """Whether an account of that version is sent events of this type for payments by Checkout."""
    return not kind.startswith("refund.") or version >= ACACIA
