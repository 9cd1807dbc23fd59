"""Checkout Sessions over the API."""

import re
import time

from sandbox.world.errors import ApiError, invalid, required
from sandbox.world.forms import Form, boolean, choice, inner, integer, merged, metadata, text, web_address
from sandbox.world.listing import created, equal, page_of, slice_of
from sandbox.world.money import minimum, show
from sandbox.world.objects.session import DAY
from sandbox.world.operations import PAGING, Call, names, operation
from sandbox.world.operations.catalog import INTENT_DATA, PRICE_DATA, intent_data, line_items
from sandbox.world.payments import expire, open_session
from sandbox.world.store import Body, Condition

CREATE = names(
    "adaptive_pricing allow_promotion_codes allowed_payment_method_types automatic_tax "
    "billing_address_collection branding_settings cancel_url client_reference_id consent_collection currency "
    "custom_fields custom_text customer customer_account customer_creation customer_email customer_update discounts "
    "excluded_payment_method_types expires_at integration_identifier invoice_creation locale managed_payments metadata "
    "mode name_collection optional_items origin_context payment_method_collection payment_method_configuration "
    "payment_method_data payment_method_options permissions phone_number_collection redirect_on_completion return_url "
    "saved_payment_method_options setup_intent_data shipping_address_collection shipping_options submit_type "
    "subscription_data success_url tax_id_collection ui_mode wallet_options",
    after_expiration=names("", recovery=names("allow_promotion_codes enabled")),
    line_items=[names("adjustable_quantity metadata price quantity tax_rates", price_data=PRICE_DATA)],
    payment_intent_data={
        **INTENT_DATA,
        **names("application_fee_amount on_behalf_of receipt_email shipping transfer_data"),
    },
)
# https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-locale
LOCALES = tuple(
    "auto bg cs da de el en en-GB es es-419 et fi fil fr fr-CA hr hu id it ja ko lt lv ms mt nb nl pl pt pt-BR ro ru "
    "sk sl sv th tr vi zh zh-HK zh-TW".split()
)
HALF_HOUR = 1800
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# Legal parameters that would change what the buyer pays or sees; better refused than silently ignored.
BEYOND_THE_SANDBOX = (
    "discounts",
    "shipping_options",
    "subscription_data",
    "setup_intent_data",
    "optional_items",
)


@operation("POST", "checkout/sessions", CREATE)
def create_session(call: Call) -> Body:
    account, form = call.account, call.form
    check_mode(form)
    customer = text(form, "customer")
    email = text(form, "customer_email")
    check_buyer(call, customer, email)
    lines = line_items(account, form)
    check_total(lines)
    if form.get("success_url") is None:
        raise required("success_url")
    return open_session(
        account,
        lines=lines,
        intent=intent_data(form),
        after_expiration=after_expiration(form),
        allow_promotion_codes=boolean(form, "allow_promotion_codes", False) or None,
        cancel_url=web_address(text(form, "cancel_url"), "cancel_url"),
        client_reference_id=reference(form),
        customer=customer,
        customer_creation=creation(form, customer),
        customer_email=email,
        expires_at=expiry(form),
        locale=choice(form, "locale", LOCALES),
        metadata=metadata(form),
        submit_type=choice(form, "submit_type", ("auto", "book", "donate", "pay")),
        success_url=web_address(text(form, "success_url"), "success_url"),
    )


def after_expiration(form: Form) -> Body | None:
    given = inner(inner(form, "after_expiration"), "recovery", param="after_expiration[recovery]")
    if not given:
        return None
    switches = {name: boolean(given, name, False) for name in ("allow_promotion_codes", "enabled")}
    return {"recovery": {**switches, "expires_at": None, "url": None}}


def check_mode(form: Form) -> None:
    mode = choice(form, "mode", ("payment", "setup", "subscription"))
    if mode is None:
        raise required("mode")
    if mode != "payment":
        raise invalid("The sandbox knows mode `payment` only", "mode")
    if choice(form, "ui_mode", ("elements", "embedded_page", "form", "hosted_page"), "hosted_page") != "hosted_page":
        raise invalid("The sandbox knows the hosted page only", "ui_mode")
    for name in BEYOND_THE_SANDBOX:
        if form.get(name):
            raise invalid(f"The sandbox does not know {name}", name)


def check_buyer(call: Call, customer: str | None, email: str | None) -> None:
    if customer and email:
        raise ApiError("You may only specify one of these parameters: customer, customer_email.")
    if customer:
        call.account.need("customer", customer, "customer")
    if email and not EMAIL.fullmatch(email):
        raise invalid(f"Invalid email address: {email}", "customer_email", "email_invalid")


def creation(form: Form, customer: str | None) -> str | None:
    if customer:
        return None
    return choice(form, "customer_creation", ("always", "if_required"), "if_required")


def reference(form: Form) -> str | None:
    value = text(form, "client_reference_id")
    if value is not None and len(value) > 200:
        raise invalid("client_reference_id has up to 200 characters", "client_reference_id")
    return value


def expiry(form: Form) -> int:
    now = int(time.time())
    expires_at = integer(form, "expires_at")
    if expires_at is None:
        return now + DAY
    # A minute's grace at both ends, for the time between the caller's clock and this line.
    if not now + HALF_HOUR - 60 <= expires_at <= now + DAY + 60:
        raise invalid("The `expires_at` timestamp must be between 30 minutes and 24 hours from now.", "expires_at")
    return expires_at


def check_total(lines: list[Body]) -> None:
    """https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts; nothing at all is free, and legal."""
    currency, total = lines[0]["currency"], sum(line["amount_total"] for line in lines)
    least = minimum(currency)
    if 0 < total < least:
        message = f"The Checkout Session's total amount must be at least {show(least, currency)}."
        raise ApiError(message, code="amount_too_small")
    if total > 99_999_999:
        raise ApiError("The Checkout Session's total amount is too large.", code="amount_too_large")


@operation("GET", "checkout/sessions/{id}")
def retrieve_session(call: Call) -> Body:
    return call.read("checkout.session")


@operation(
    "POST",
    "checkout/sessions/{id}",
    names("collected_information line_items metadata payment_intent_data shipping_options"),
)
def update_session(call: Call) -> Body:
    body = call.account.need("checkout.session", call.id)
    return call.account.change(body, metadata=merged(body["metadata"] or {}, call.form))


@operation("POST", "checkout/sessions/{id}/expire")
def expire_session(call: Call) -> Body:
    return expire(call.account, call.id)


@operation("GET", "checkout/sessions/{id}/line_items", PAGING)
def list_session_lines(call: Call) -> Body:
    call.account.need("checkout.session", call.id)
    return slice_of(call, call.account.store.private(call.id)["lines"])


@operation(
    "GET",
    "checkout/sessions",
    names(
        "created customer customer_account payment_intent payment_link status subscription",
        customer_details=names("email"),
        **PAGING,
    ),
)
def list_sessions(call: Call) -> Body:
    choice(call.form, "status", ("complete", "expired", "open"))
    conditions: list[Condition] = created(call.form)
    fields = ("customer", "payment_intent", "payment_link", "status", "subscription")
    conditions += equal(call.form, *fields)
    if email := text(inner(call.form, "customer_details"), "email"):
        conditions.append(("customer_details.email", "=", email))
    return page_of(call, "checkout.session", conditions)
