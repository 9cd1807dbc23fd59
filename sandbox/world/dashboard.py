"""The sandbox's front page: what is going on, with a button for everything that may happen next."""

from collections.abc import Callable

from flask import Blueprint, Response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from sandbox.world import aftermath, payments
from sandbox.world.account import Account
from sandbox.world.errors import ApiError, invalid
from sandbox.world.faults import KINDS
from sandbox.world.ledger import row
from sandbox.world.money import CURRENCIES, show
from sandbox.world.objects import catalog
from sandbox.world.objects.payment import Payer
from sandbox.world.operations.catalog import line_items
from sandbox.world.store import Body
from sandbox.world.times import ago
from sandbox.world.trigger import SCENARIOS, trigger
from sandbox.world.webhooks import history, send_again

RECENT = 25
Act = Callable[[Account, str, dict[str, str]], object]


def blueprint(account: Account) -> Blueprint:
    pages = Blueprint("dashboard", __name__)

    @pages.get("/")
    def index() -> str:
        return front(account)

    @pages.post("/act/<name>")
    def act(name: str) -> tuple[str, int] | Response | BaseResponse:
        fields = request.form.to_dict()
        try:
            if name not in ACTS:
                raise invalid(f"No such act: {name}", "name")
            ACTS[name](account, fields.pop("id", ""), fields)
        except (ApiError, ValueError) as error:
            return front(account, problem=str(error)), 400
        return redirect(f"/#{request.args.get('at', '')}", 303)

    return pages


def front(account: Account, *, problem: str = "") -> str:
    store = account.store
    events = store.find("event", limit=RECENT)
    for event in events:
        event["deliveries"] = history(store, event["id"])
    return render_template(
        "dashboard.html",
        sessions=[session_row(account, one) for one in store.find("checkout.session", limit=RECENT)],
        events=events,
        links=[link_row(account, one) for one in store.find("payment_link", limit=RECENT)],
        endpoints=store.find("webhook_endpoint"),
        faults=account.faults.describe(),
        kinds=KINDS,
        triggers=list(SCENARIOS),
        settle_after=account.settle_after,
        shop=account.shop_name,
        problem=problem,
        ago=ago,
    )


def session_row(account: Account, body: Body) -> Body:
    """The ledger's row with what the page adds: words for the state, and which buttons make sense."""
    found = row(account, body)
    refunds = (
        account.store.find("refund", ("payment_intent", "=", body["payment_intent"])) if body["payment_intent"] else []
    )
    dispute = found["dispute_status"]
    return found | {
        "url": body["url"],
        "total": show(body["amount_total"], body["currency"]),
        "back": show(found["refunded"], body["currency"]) if found["refunded"] else "",
        "name": account.store.private(body["id"])["lines"][0]["description"],
        "waits": body["status"] == "complete" and not found["paid"] and waits(account, body),
        "refundable": found["paid"]
        and found["refunded"] < body["amount_total"]
        and dispute in (None, "won", "warning_closed"),
        "disputable": found["paid"] and body["amount_total"] > 0 and dispute not in aftermath.OPEN_DISPUTES,
        "in_dispute": dispute in aftermath.OPEN_DISPUTES,
        "refund": next((one["id"] for one in refunds if one["status"] != "failed"), None),
    }


def waits(account: Account, body: Body) -> bool:
    return not payments.is_settled(account, body)


def link_row(account: Account, body: Body) -> Body:
    line = account.store.private(body["id"])["lines"][0]
    return {**body, "name": line["description"], "total": show(line["amount_total"], body["currency"])}


def pay(account: Account, session_id: str, fields: dict[str, str]) -> None:
    body = account.need("checkout.session", session_id)
    email = fields.get("email") or body["customer_email"] or "buyer@example.com"
    payments.pay(account, session_id, Payer(email=email, name="Ada Buyer", method=fields.get("method", "card")))


def charge_of(account: Account, session_id: str) -> str:
    intent = account.need("checkout.session", session_id)["payment_intent"]
    return str(aftermath.charge_of(account, intent_id=intent or "")["id"])


def refund(account: Account, session_id: str, fields: dict[str, str]) -> None:
    amount = int(fields["amount"]) if fields.get("amount") else None
    aftermath.refund(account, charge_of(account, session_id), amount=amount)


def create_link(account: Account, _: str, fields: dict[str, str]) -> None:
    """A Payment Link that sells the shop's product with this slug, which the link's metadata names."""
    slug, currency = fields.get("slug", "").strip(), fields.get("currency", "usd").lower()
    if not slug or currency not in CURRENCIES:
        raise invalid("A slug and a currency are needed", "slug")
    name = fields.get("name") or slug.replace("-", " ").capitalize()
    price = {"currency": currency, "unit_amount": fields.get("amount", ""), "product_data": {"name": name}}
    with account.store.transaction():
        lines = line_items(account, {"line_items": {"0": {"quantity": "1", "price_data": price}}})
        link = catalog.payment_link(
            base_url=account.base_url, currency=currency, metadata={"product_slug": slug}, **return_to(fields)
        )
        account.store.add(link, lines=lines)


def return_to(fields: dict[str, str]) -> Body:
    url = fields.get("return_url")
    return {"after_completion": {"type": "redirect", "redirect": {"url": url}}} if url else {}


def settle_after(account: Account, _: str, fields: dict[str, str]) -> None:
    account.settle_after = float(fields["seconds"]) if fields.get("seconds") else None


def fail_refund(account: Account, refund_id: str, _: dict[str, str]) -> None:
    aftermath.fail_refund(account, refund_id)


def add_fault(account: Account, _: str, fields: dict[str, str]) -> None:
    area, _, kind = fields.pop("which", "").partition("/")
    account.faults.add({"area": area, "kind": kind, **fields})


def again(account: Account, event_id: str, fields: dict[str, str]) -> None:
    send_again(account, event_id, times=int(fields.get("times") or 1), parallel="parallel" in fields)


ACTS: dict[str, Act] = {
    "pay": pay,
    "settle": lambda account, session, _: payments.settle(account, session),
    "fail": lambda account, session, _: payments.settle(account, session, succeeded=False),
    "expire": lambda account, session, _: payments.expire(account, session),
    "refund": refund,
    "fail-refund": fail_refund,
    "dispute": lambda account, session, _: aftermath.open_dispute(account, charge_of(account, session)),
    "win": lambda account, dispute, _: aftermath.close_dispute(account, dispute, won=True),
    "lose": lambda account, dispute, _: aftermath.close_dispute(account, dispute, won=False),
    "send": again,
    "trigger": lambda account, _, fields: trigger(account, fields.get("type", ""), {}),
    "link": create_link,
    "fault": add_fault,
    "clear-fault": lambda account, fault, _: account.faults.clear(number=int(fault)),
    "settle-after": settle_after,
}
