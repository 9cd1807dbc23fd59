"""Lists with Stripe's cursors, and the expansion of ids into objects."""

from typing import Any

from sandbox.world.account import Account
from sandbox.world.errors import invalid, missing
from sandbox.world.forms import Form, integer, items, text
from sandbox.world.objects import page
from sandbox.world.operations import Call
from sandbox.world.store import Body, Condition, Stale

OPERATORS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
# Which kind of object an expandable field names.
EXPANDABLE = {
    "balance_transaction": "balance_transaction",
    "charge": "charge",
    "customer": "customer",
    "default_price": "price",
    "latest_charge": "charge",
    "payment_intent": "payment_intent",
    "payment_link": "payment_link",
    "payment_method": "payment_method",
    "product": "product",
}
WITH_LINES = ("checkout.session", "payment_link")
DEEPEST = 4


def list_objects(call: Call, kind: str, *fields: str) -> Body:
    """A page of objects, newest first; `fields` names the parameters that filter a field of the same name."""
    return page_of(call, kind, [*equal(call.form, *fields), *created(call.form)])


def equal(form: Form, *fields: str) -> list[Condition]:
    return [(name, "=", value) for name in fields if (value := text(form, name)) is not None]


def created(form: Form) -> list[Condition]:
    value = form.get("created")
    if isinstance(value, dict):
        for name in value:
            if name not in OPERATORS:
                raise invalid(f"Received unknown parameter: created[{name}]", f"created[{name}]", "parameter_unknown")
        return [("created", OPERATORS[name], integer(value, name, param=f"created[{name}]")) for name in value]
    exact = integer(form, "created")
    return [] if exact is None else [("created", "=", exact)]


def page_of(call: Call, kind: str, conditions: list[Condition]) -> Body:
    store, limit = call.account.store, page_size(call.form)
    after, before = cursor(call, kind, "starting_after"), cursor(call, kind, "ending_before")
    if before is not None:
        found = store.find(kind, *conditions, ("seq", ">", before), limit=limit + 1, order="ASC")
        rows = found[:limit][::-1]
    else:
        older: list[Condition] = [] if after is None else [("seq", "<", after)]
        found = store.find(kind, *conditions, *older, limit=limit + 1)
        rows = found[:limit]
    if call.stale:
        rows = [store.before(row, call.stale) for row in rows]
    return page(call.url, rows, has_more=len(found) > limit)


def page_size(form: Form) -> int:
    limit = integer(form, "limit")
    if limit is not None and not 1 <= limit <= 100:
        raise invalid("Limit must be between 1 and 100", "limit", "parameter_invalid_integer")
    return limit or 10


def cursor(call: Call, kind: str, name: str) -> int | None:
    identifier = text(call.form, name)
    if identifier is None:
        return None
    seq = call.account.store.seq(kind, identifier)
    if seq is None:
        raise missing(kind, identifier, name)
    return seq


def slice_of(call: Call, rows: list[Body]) -> Body:
    """A page of objects that are kept inside another, in their own order."""
    rows = [with_price(call.account, row) for row in rows]
    ids = [row["id"] for row in rows]
    limit, start, end = page_size(call.form), 0, len(rows)
    if after := text(call.form, "starting_after"):
        start = position(ids, after, "starting_after") + 1
    if before := text(call.form, "ending_before"):
        end = position(ids, before, "ending_before")
        start = max(0, end - limit)
        return page(call.url, rows[start:end], has_more=start > 0)
    return page(call.url, rows[start : start + limit], has_more=end - start > limit)


def position(ids: list[str], wanted: str, param: str) -> int:
    if wanted not in ids:
        raise missing("item", wanted, param)
    return ids.index(wanted)


def lines_of(account: Account, body: Body, *, limit: int = 10) -> Body:
    """The line items of a session or a Payment Link, in the list that `expand` shows."""
    rows = [with_price(account, row) for row in account.store.private(body["id"])["lines"]]
    plural = "checkout/sessions" if body["object"] == "checkout.session" else "payment_links"
    return page(f"/v1/{plural}/{body['id']}/line_items", rows[:limit], has_more=len(rows) > limit)


def with_price(account: Account, line: Body) -> Body:
    """The line as it was sold, its price as it is now: only words of it can have changed."""
    return {**line, "price": account.store.get("price", line["price"]["id"]) or line["price"]}


def refunds_of(account: Account, charge: Body, stale: Stale | None, *, limit: int = 10) -> Body:
    """The newest refunds of a charge, in the list that `expand` shows."""
    found = account.store.find("refund", ("charge", "=", charge["id"]), limit=limit + 1)
    rows = [account.store.before(row, stale) if stale else row for row in found[:limit]]
    return page(f"/v1/charges/{charge['id']}/refunds", rows, has_more=len(found) > limit)


def expanded(call: Call, body: Body) -> Body:
    """The answer with everything in `expand` filled in."""
    for path in items(call.form, "expand"):
        parts = str(path).split(".")
        if len(parts) > DEEPEST + (parts[0] == "data"):
            raise invalid(f"You cannot expand more than {DEEPEST} levels of a property. Property: {path}", "expand")
        body = expand(call.account, body, parts, str(path), call.stale)
    return body


def expand(account: Account, value: Any, parts: list[str], path: str, stale: Stale | None) -> Any:
    """A copy of `value` in which the field named by `parts` holds an object instead of its id."""
    if isinstance(value, list):
        return [expand(account, one, parts, path, stale) for one in value]
    if not parts or value is None:
        return value
    head, rest = parts[0], parts[1:]
    if not isinstance(value, dict) or not known(value, head):
        raise invalid(f"This property cannot be expanded ({path}).", "expand")
    found = value.get(head)
    if head == "line_items" and found is None:
        found = lines_of(account, value)
    elif head == "refunds" and found is None:
        found = refunds_of(account, value, stale)
    elif isinstance(found, str):
        found = account.store.get(EXPANDABLE[head], found, stale) or found
    return {**value, head: expand(account, found, rest, path, stale)}


def known(value: Body, head: str) -> bool:
    if head == "line_items":
        return value.get("object") in WITH_LINES
    if head == "refunds":
        return value.get("object") == "charge"
    if head in EXPANDABLE:
        return head in value
    return isinstance(value.get(head), (dict, list))
