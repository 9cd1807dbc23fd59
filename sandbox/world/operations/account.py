"""The account, customers, events and webhook endpoints over the API."""

from sandbox.world.errors import invalid, required
from sandbox.world.events import emit
from sandbox.world.forms import boolean, items, merged, metadata, needed, text
from sandbox.world.ids import chance
from sandbox.world.listing import created, list_objects, page_of
from sandbox.world.objects import account as build
from sandbox.world.operations import PAGING, Call, names, operation
from sandbox.world.store import Body, Condition
from sandbox.world.webhooks import check_loopback


@operation("GET", "account")
def retrieve_account(call: Call) -> Body:
    return build.account(call.account.shop_name)


@operation("POST", "customers", names("address description email metadata name phone preferred_locales"))
def create_customer(call: Call) -> Body:
    fields = {
        "email": text(call.form, "email"),
        "name": text(call.form, "name"),
        "metadata": metadata(call.form),
    }
    body = call.account.store.add(build.customer(**fields))  # type: ignore[arg-type]
    emit(call.account, "customer.created", body)
    return body


@operation("GET", "customers/{id}")
def retrieve_customer(call: Call) -> Body:
    return call.read("customer")


@operation("GET", "customers", names("created email", **PAGING))
def list_customers(call: Call) -> Body:
    return list_objects(call, "customer", "email")


@operation("GET", "events/{id}")
def retrieve_event(call: Call) -> Body:
    return call.read("event")


@operation("GET", "events", names("created delivery_success type types", **PAGING))
def list_events(call: Call) -> Body:
    conditions: list[Condition] = created(call.form)
    kind, kinds = text(call.form, "type"), [str(one) for one in items(call.form, "types")]
    if kind and kinds:
        raise invalid("You may only specify one of these parameters: type, types.", "types")
    if len(kinds) > 20:
        raise invalid("Up to 20 types", "types")
    if kind and kind.endswith("*"):
        conditions.append(("type", "GLOB", kind))
    elif kind:
        conditions.append(("type", "=", kind))
    if kinds:
        conditions.append(("type", "IN", kinds))
    if call.form.get("delivery_success"):
        conditions.append(("undelivered", "=", not boolean(call.form, "delivery_success", True)))
    return page_of(call, "event", conditions)


@operation("POST", "webhook_endpoints", names("api_version connect description enabled_events metadata url"))
def create_endpoint(call: Call) -> Body:
    """The secret is in this answer and in no later one."""
    form = call.form
    url = check_loopback(needed(form, "url"))
    events = [str(one) for one in items(form, "enabled_events")]
    if not events:
        raise required("enabled_events")
    body = build.webhook_endpoint(
        url=url,
        enabled_events=events,
        api_version=text(form, "api_version"),
        description=text(form, "description"),
        metadata=metadata(form),
    )
    secret = f"whsec_{chance(32)}"
    call.account.store.add(body, secret=secret)
    return {**body, "secret": secret}


@operation("GET", "webhook_endpoints/{id}")
def retrieve_endpoint(call: Call) -> Body:
    return call.read("webhook_endpoint")


@operation("POST", "webhook_endpoints/{id}", names("description disabled enabled_events metadata url"))
def update_endpoint(call: Call) -> Body:
    body, form = call.account.need("webhook_endpoint", call.id), call.form
    fields: Body = {"metadata": merged(body["metadata"], form)}
    if form.get("url"):
        fields["url"] = check_loopback(needed(form, "url"))
    if form.get("enabled_events"):
        fields["enabled_events"] = [str(one) for one in items(form, "enabled_events")]
    if "description" in form:
        fields["description"] = text(form, "description")
    if "disabled" in form:
        fields["status"] = "disabled" if boolean(form, "disabled", False) else "enabled"
    return call.account.change(body, **fields)


@operation("DELETE", "webhook_endpoints/{id}")
def delete_endpoint(call: Call) -> Body:
    body = call.account.need("webhook_endpoint", call.id)
    call.account.store.remove(body["id"])
    return {"id": body["id"], "object": "webhook_endpoint", "deleted": True}


@operation("GET", "webhook_endpoints", PAGING)
def list_endpoints(call: Call) -> Body:
    return list_objects(call, "webhook_endpoint")
