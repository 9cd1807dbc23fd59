"""Checkout Sessions and their line items."""

import time

from sandbox.world.ids import new_id
from sandbox.world.objects import Body, address

DAY = 24 * 3600


def line_item(*, price: Body, quantity: int, description: str, metadata: dict[str, str] | None = None) -> Body:
    amount = (price["unit_amount"] or 0) * quantity
    return {
        "id": new_id("item"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": description,
        "metadata": metadata or {},
        "price": price,
        "quantity": quantity,
    }


def customer_details(email: str | None, name: str | None = None) -> Body:
    return {
        "address": address(),
        "business_name": None,
        "email": email,
        "individual_name": name,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def session(*, base_url: str, shop_name: str, amount: int, currency: str, **given: object) -> Body:
    """An open session for this total; `given` replaces any field that the request or the Payment Link sets."""
    identifier, now = new_id("checkout.session"), int(time.time())
    body: Body = {
        "id": identifier,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "allowed_payment_method_types": None,
        "amount_subtotal": amount,
        "amount_total": amount,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "branding_settings": branding(shop_name),
        "cancel_url": None,
        "client_reference_id": None,
        "client_secret": None,
        "collected_information": {"business_name": None, "individual_name": None, "shipping_details": None},
        "consent": None,
        "consent_collection": None,
        "created": now,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": None,
        "customer_account": None,
        "customer_creation": "if_required",
        "customer_details": None,
        "customer_email": None,
        "discounts": [],
        "excluded_payment_method_types": None,
        "expires_at": now + DAY,
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": {"enabled": False, "invoice_data": invoice_data()},
        "livemode": False,
        "locale": None,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "mode": "payment",
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card", "us_bank_account"],
        "payment_status": "unpaid" if amount else "no_payment_required",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": None,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{base_url}/c/pay/{identifier}",
        "wallet_options": None,
    }
    body.update(given)
    if body["customer_email"] and not body["customer_details"]:
        body["customer_details"] = customer_details(body["customer_email"])
    return body


def branding(shop_name: str) -> Body:
    return {
        "background_color": "#ffffff",
        "border_style": "rounded",
        "button_color": "#3b4fd8",
        "display_name": shop_name,
        "font_family": "default",
        "icon": None,
        "logo": None,
    }


def invoice_data() -> Body:
    return {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "issuer": None,
        "metadata": {},
        "rendering_options": None,
    }
