"""The control API under `/_control/`: everything that people, banks and bad luck do, by JSON."""

import time
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.world import aftermath, payments
from sandbox.world.account import Account
from sandbox.world.errors import ApiError, invalid, required
from sandbox.world.ledger import ledger
from sandbox.world.mailbox import Mailbox
from sandbox.world.objects.payment import METHODS, Payer
from sandbox.world.trigger import trigger
from sandbox.world.webhooks import history, secrets_of, send_again, send_now, unsent


def given() -> dict[str, Any]:
    """The request's JSON object; a form's fields serve as well."""
    body = request.get_json(silent=True) if request.is_json else request.form.to_dict()
    if not isinstance(body, dict):
        raise ApiError("A JSON object is expected.")
    return body


def payer_of(body: dict[str, Any], fallback: str | None) -> Payer:
    email, method = body.get("email") or fallback, body.get("method", "card")
    if not email:
        raise required("email")
    if method not in METHODS:
        raise invalid(f"method is one of {', '.join(METHODS)}", "method")
    card = str(body.get("card", "4242424242424242")).replace(" ", "")
    return Payer(email=email, name=body.get("name"), method=method, card=card)


def charge_id(account: Account, body: dict[str, Any]) -> str:
    """The charge that the request means, by `session`, `payment_intent` or `charge`."""
    if body.get("charge"):
        return str(body["charge"])
    intent = body.get("payment_intent")
    if body.get("session"):
        intent = account.need("checkout.session", str(body["session"]))["payment_intent"]
    if not intent:
        raise ApiError("Name a paid session, a payment_intent or a charge.")
    return str(aftermath.charge_of(account, intent_id=str(intent))["id"])


def blueprint(account: Account, mailbox: Mailbox) -> Blueprint:
    control = Blueprint("control", __name__, url_prefix="/_control")
    control.register_error_handler(ApiError, lambda error: (jsonify(error.body), error.status))
    control.register_error_handler(ValueError, lambda error: (jsonify(invalid(str(error), "").body), 400))
    money_routes(control, account)
    dispute_routes(control, account)
    event_routes(control, account)
    world_routes(control, account, mailbox)
    key_routes(control, account)
    secret_routes(control, account)
    return control


def money_routes(control: Blueprint, account: Account) -> None:
    @control.post("/pay/<session_id>")
    def pay(session_id: str) -> Response:
        session = account.need("checkout.session", session_id)
        return jsonify(payments.pay(account, session_id, payer_of(given(), session["customer_email"])))

    @control.post("/settle/<session_id>")
    def settle(session_id: str) -> Response:
        succeeded = given().get("result", "succeeded") == "succeeded"
        return jsonify(payments.settle(account, session_id, succeeded=succeeded))

    @control.post("/expire/<session_id>")
    def expire(session_id: str) -> Response:
        return jsonify(payments.expire(account, session_id))

    @control.post("/recover/<session_id>")
    def recover(session_id: str) -> Response:
        return jsonify(payments.recover(account, session_id))

    @control.post("/discount/<session_id>")
    def discount(session_id: str) -> Response:
        return jsonify(payments.discount(account, session_id, percent=int(given().get("percent", 100))))

    @control.post("/refund")
    def refund() -> Response:
        body = given()
        amount = int(body["amount"]) if body.get("amount") else None
        refunded = aftermath.refund(
            account,
            charge_id(account, body),
            amount=amount,
            reason=body.get("reason"),
            metadata=body.get("metadata"),
            pending=bool(body.get("pending")),
        )
        return jsonify(refunded)

    @control.post("/refund/<refund_id>/fail")
    def fail_refund(refund_id: str) -> Response:
        return jsonify(aftermath.fail_refund(account, refund_id))

    @control.post("/refund/<refund_id>/succeed")
    def succeed_refund(refund_id: str) -> Response:
        return jsonify(aftermath.confirm_refund(account, refund_id))


def dispute_routes(control: Blueprint, account: Account) -> None:
    @control.post("/dispute")
    def dispute() -> Response:
        body = given()
        amount = int(body["amount"]) if body.get("amount") else None
        reason, inquiry = body.get("reason") or "fraudulent", bool(body.get("inquiry"))
        return jsonify(
            aftermath.open_dispute(account, charge_id(account, body), amount=amount, reason=reason, inquiry=inquiry)
        )

    @control.post("/dispute/<dispute_id>/close")
    def close_dispute(dispute_id: str) -> Response:
        status = given().get("status")
        if status not in ("won", "lost"):
            raise invalid("status is won or lost", "status")
        return jsonify(aftermath.close_dispute(account, dispute_id, won=status == "won"))

    @control.get("/ledger")
    def show_ledger() -> Response:
        return jsonify({"sessions": ledger(account, request.args.get("session"))})


def event_routes(control: Blueprint, account: Account) -> None:
    @control.get("/events")
    def events() -> Response:
        conditions = [("type", "=", request.args["type"])] if request.args.get("type") else []
        found = account.store.find("event", *conditions, limit=int(request.args.get("limit", 100)))
        return jsonify({"events": [{**one, "deliveries": history(account.store, one["id"])} for one in found]})

    @control.get("/events/<event_id>")
    def event(event_id: str) -> Response:
        body = account.need("event", event_id)
        return jsonify({**body, "deliveries": history(account.store, event_id)})

    @control.post("/events/<event_id>/send")
    def send(event_id: str) -> Response:
        body = given()
        times = max(1, min(100, int(body.get("times") or 1)))
        send_again(account, event_id, times=times, parallel=bool(body.get("parallel")))
        return jsonify({"queued": times})

    @control.post("/trigger")
    def fire() -> Response:
        body = given()
        return jsonify({"events": trigger(account, str(body.pop("type", "")), body)})

    @control.post("/events/hurry")
    def hurry() -> Response:
        return jsonify({"hurried": send_now(account)})

    @control.get("/quiet")
    def quiet() -> tuple[Response, int]:
        """Wait, at most `seconds`, until every delivery has been answered with 2xx, dropped or given up."""
        end = time.monotonic() + float(request.args.get("seconds", 5))
        while (left := unsent(account.store)) and time.monotonic() < end:
            time.sleep(0.01)
        return jsonify({"pending": left}), 200 if left == 0 else 409


def world_routes(control: Blueprint, account: Account, mailbox: Mailbox) -> None:
    @control.get("/faults")
    def faults() -> Response:
        return jsonify({"faults": account.faults.describe()})

    @control.post("/faults")
    def add_fault() -> Response:
        return jsonify(asdict(account.faults.add(given())))

    @control.post("/faults/clear")
    def clear_faults() -> Response:
        body = given()
        number = int(body["id"]) if body.get("id") else None
        return jsonify({"cleared": account.faults.clear(area=body.get("area") or None, number=number)})

    @control.post("/settings")
    def settings() -> Response:
        """`settle_after`: seconds until bank debits settle by themselves, or null for never."""
        value = given().get("settle_after")
        account.settle_after = None if value in (None, "") else float(value)
        return jsonify({"settle_after": account.settle_after})

    @control.get("/mails")
    def mails() -> Response:
        limit = int(request.args.get("limit", 1000))
        return jsonify({"mails": mailbox.mails(to=request.args.get("to"), limit=limit)})

    @control.delete("/mails")
    @control.post("/mails/clear")
    def clear_mails() -> Response:
        return jsonify({"cleared": mailbox.clear()})

    @control.post("/reset")
    def reset() -> Response:
        """Forget everything but the webhook endpoints: objects, events, deliveries, answers, faults, mail."""
        endpoints = [
            (one, account.store.private(one["id"])) for one in account.store.find("webhook_endpoint", order="ASC")
        ]
        with account.store.transaction():
            account.store.clear()
            for endpoint, private in endpoints:
                account.store.add(endpoint, **private)
        account.faults.clear()
        account.restricted.clear()
        account.settle_after, account.window = None, ("", 0.0)
        return jsonify({"reset": True, "mails": mailbox.clear()})


def key_routes(control: Blueprint, account: Account) -> None:
    @control.post("/keys")
    def add_key() -> Response:
        """A restricted key beside the secret one: `key`, and in `permissions` names such as `rak_event_read`."""
        body = given()
        if not str(body.get("key", "")).startswith("rk_test_"):
            raise invalid("key begins with rk_test_", "key")
        account.restricted[body["key"]] = frozenset(body.get("permissions", ()))
        return jsonify({"key": body["key"], "permissions": sorted(account.restricted[body["key"]])})

    @control.post("/keys/roll")
    def roll_key() -> Response:
        """The secret key becomes `key`; the former works until `keys/expire`, as in Stripe's dashboard."""
        key = str(given().get("key", ""))
        if not key.startswith("sk_test_"):
            raise invalid("key begins with sk_test_", "key")
        account.former_key, account.secret_key = account.secret_key, key
        return jsonify({"key": key})

    @control.post("/keys/expire")
    def expire_key() -> Response:
        account.former_key = ""
        return jsonify({"former": None})


def secret_routes(control: Blueprint, account: Account) -> None:
    @control.post("/endpoints/roll")
    def roll_secrets() -> Response:
        """Every endpoint's secret becomes `secret`; the former ones sign as well until `endpoints/expire`."""
        secret = str(given().get("secret", ""))
        if not secret.startswith("whsec_"):
            raise invalid("secret begins with whsec_", "secret")
        for endpoint in account.store.find("webhook_endpoint"):
            account.store.set_private(endpoint["id"], secret=secret, former=secrets_of(account.store, endpoint))
        return jsonify({"secret": secret})

    @control.post("/endpoints/expire")
    def expire_secrets() -> Response:
        for endpoint in account.store.find("webhook_endpoint"):
            account.store.set_private(endpoint["id"], former=[])
        return jsonify({"former": None})
