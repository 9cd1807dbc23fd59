"""The hosted Checkout page, and the door of Payment Links that opens it. Works without JavaScript."""

import re
import time
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from sandbox.world.account import Account
from sandbox.world.errors import ApiError
from sandbox.world.money import show
from sandbox.world.objects.payment import METHODS, Payer
from sandbox.world.operations.sessions import EMAIL, LOCALES
from sandbox.world.payments import TEST_CARDS, open_session, pay, recover
from sandbox.world.store import Body

FIELDS = ("email", "name", "card_number", "card_expiry", "card_cvc", "method")
Page = str | Response | BaseResponse | tuple[str, int]


def blueprint(account: Account) -> Blueprint:
    pages = Blueprint("checkout", __name__)

    @pages.get("/c/pay/<session_id>")
    def show_page(session_id: str) -> Page:
        return checkout_page(account, session_id)

    @pages.post("/c/pay/<session_id>")
    def submit_page(session_id: str) -> Page:
        return submit(account, session_id)

    @pages.get("/c/recover/<session_id>")
    def recover_page(session_id: str) -> Page:
        return redirect(recover(account, session_id)["url"], 303)

    @pages.get("/c/done/<session_id>")
    def done(session_id: str) -> Page:
        return closed(account, account.need("checkout.session", session_id))

    @pages.get("/buy/<link_id>")
    def buy(link_id: str) -> Page:
        return enter(account, link_id, dict(request.args))

    @pages.get("/receipts/<charge_id>")
    def receipt(charge_id: str) -> Page:
        charge = account.need("charge", charge_id)
        return render_template("receipt.html", charge=charge, total=show(charge["amount"], charge["currency"]))

    return pages


def checkout_page(account: Account, session_id: str) -> Page:
    body = account.store.get("checkout.session", session_id)
    if body is None:
        return render_template("checkout_closed.html", session=None), 404
    if body["status"] != "open":
        return closed(account, body)
    return form(account, body, {"email": body["customer_email"] or prefilled(account, body), "method": "card"}, {})


def submit(account: Account, session_id: str) -> Page:
    """The pay button. Pressed twice, the second press ends where the first did."""
    body = account.need("checkout.session", session_id)
    if body["status"] != "open":
        return ended(account, body)
    values = {name: request.form.get(name, "").strip() for name in FIELDS}
    values["email"] = body["customer_email"] or values["email"]
    errors = problems(values, free=body["amount_total"] == 0)
    if errors:
        return form(account, body, values, errors), 422
    try:
        return to_shop(pay(account, session_id, payer(values)))
    except ApiError as error:
        body = account.need("checkout.session", session_id)
        if body["status"] != "open":  # the other press was quicker
            return ended(account, body)
        return form(account, body, values, {"payment": str(error)}), 402


def ended(account: Account, body: Body) -> Page:
    return to_shop(body) if body["status"] == "complete" else closed(account, body)


def enter(account: Account, link_id: str, query: dict[str, str]) -> Page:
    """The door of a Payment Link."""
    link = account.store.get("payment_link", link_id)
    if link is None:
        return render_template("checkout_closed.html", session=None), 404
    if not link["active"]:
        message = link["inactive_message"] or "This link is no longer active."
        return render_template("checkout_closed.html", session=None, message=message), 410
    return redirect(open_from_link(account, link, query)["url"], 303)


def open_from_link(account: Account, link: Body, query: dict[str, str]) -> Body:
    """A fresh session for a visitor of the link, https://docs.stripe.com/payment-links/url-parameters.

    The prefilled address is a suggestion of whoever made the URL, so `customer_email` stays null and what the buyer
    confirms lands in `customer_details`.
    """
    reference = query.get("client_reference_id", "")
    after = link["after_completion"]
    return open_session(
        account,
        lines=account.store.private(link["id"])["lines"],
        intent=link["payment_intent_data"] or {},
        client_reference_id=reference if re.fullmatch(r"[A-Za-z0-9_-]{1,200}", reference) else None,
        custom_text=link["custom_text"],
        customer_creation=link["customer_creation"],
        locale=query["locale"] if query.get("locale") in LOCALES else None,
        metadata=dict(link["metadata"]),
        payment_link=link["id"],
        success_url=after["redirect"]["url"] if after["type"] == "redirect" else None,
        wanted_email=query.get("prefilled_email"),
    )


def prefilled(account: Account, body: Body) -> str:
    return str(account.store.private(body["id"]).get("wanted_email") or "")


def form(account: Account, body: Body, values: dict[str, Any], errors: dict[str, str]) -> str:
    lines = account.store.private(body["id"])["lines"]
    for line in lines:
        product = account.store.need("product", line["price"]["product"])
        line["images"], line["text"] = product["images"], product["description"]
        line["shown"] = show(line["amount_total"], line["currency"])
    return render_template(
        "checkout.html",
        session=body,
        lines=lines,
        shop=account.shop_name,
        total=show(body["amount_total"], body["currency"]),
        free=body["amount_total"] == 0,
        values=values,
        errors=errors,
    )


def closed(account: Account, body: Body) -> Page:
    """What the page of a session that is over says, with the way back to the shop."""
    link = account.store.get("payment_link", body["payment_link"]) if body["payment_link"] else None
    message = (link["after_completion"].get("hosted_confirmation") or {}).get("custom_message") if link else None
    status = 200 if body["status"] == "complete" else 410
    page = render_template(
        "checkout_closed.html", session=body, message=message, shop=account.shop_name, back=body["cancel_url"]
    )
    return page, status


def to_shop(body: Body) -> Page:
    """The redirect that ends a purchase; never waits for webhooks."""
    if not body["success_url"]:
        return redirect(f"/c/done/{body['id']}", 303)
    return redirect(body["success_url"].replace("{CHECKOUT_SESSION_ID}", body["id"]), 303)


def problems(values: dict[str, str], *, free: bool) -> dict[str, str]:
    """What the buyer has to correct, by field."""
    found = {}
    if not EMAIL.fullmatch(values["email"]):
        found["email"] = "Enter your e-mail address, for example you@example.com."
    if free:
        return found
    if values["method"] not in METHODS:
        found["method"] = "Choose how to pay."
    if values["method"] == "card":
        found |= card_problems(values)
    return found


def card_problems(values: dict[str, str]) -> dict[str, str]:
    found = {}
    if digits(values["card_number"]) not in TEST_CARDS:
        found["card_number"] = "Use one of the test card numbers below. Real cards are not accepted here."
    expiry = expiry_of(values["card_expiry"])
    now = time.gmtime()
    if expiry is None:
        found["card_expiry"] = "Enter month and year, for example 12 / 34."
    elif expiry < (now.tm_year, now.tm_mon):
        found["card_expiry"] = "This card has expired."
    if not re.fullmatch(r"\d{3,4}", values["card_cvc"]):
        found["card_cvc"] = "Enter the 3 or 4 digits."
    return found


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def expiry_of(text: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"(0?[1-9]|1[0-2])\s*/?\s*(\d{2}|20\d{2})", text)
    return (2000 + int(match[2]) % 100, int(match[1])) if match else None


def payer(values: dict[str, str]) -> Payer:
    year, month = expiry_of(values["card_expiry"]) or (2034, 12)
    return Payer(
        email=values["email"],
        name=values["name"] or None,
        method=values["method"] or "card",
        card=digits(values["card_number"]),
        exp_month=month,
        exp_year=year,
    )
