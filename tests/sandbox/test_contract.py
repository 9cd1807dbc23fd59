"""Every answer and every event of all scenarios, held against the types of the installed `stripe` package."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.world.server import World
from sandbox.world.trigger import SCENARIOS
from tests.sandbox.test_api import call, session_pairs
from tests.sandbox.world_fixtures import client_of, module_world, params, test_settings, world

__all__ = ["module_world", "test_settings", "world"]
CONTRACT = Path(__file__).parents[3] / "shared/stripe/contract.py"
KINDS = {
    "charge": "charges",
    "checkout.session": "checkout/sessions",
    "customer": "customers",
    "dispute": "disputes",
    "event": "events",
    "payment_intent": "payment_intents",
    "payment_link": "payment_links",
    "payment_method": "payment_methods",
    "price": "prices",
    "product": "products",
    "refund": "refunds",
    "webhook_endpoint": "webhook_endpoints",
}


@pytest.fixture(scope="module")
def contract() -> Any:
    if not CONTRACT.exists():
        pytest.skip(f"{CONTRACT} is not there to hold the sandbox against")
    spec = importlib.util.spec_from_file_location("stripe_contract", CONTRACT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Contract()


@pytest.mark.parametrize("kind", sorted(SCENARIOS))
def test_events_hold(world: World, contract: Any, kind: str) -> None:
    events = world.control("trigger", {"type": kind, "metadata": {"a": "b"}})["events"]
    assert {event["type"]: problems for event in events if (problems := contract.event(event))} == {}


def everything(world: World) -> None:
    """One object of every kind, in as many states as there are scenarios."""
    for kind in SCENARIOS:
        world.control("trigger", {"type": kind})
    client = client_of(world)
    world.control("dispute", {"session": first_paid(world), "inquiry": True})
    product = client.v1.products.create(params={"name": "A", "images": ["http://127.0.0.1/a.png"]})
    price = client.v1.prices.create(params={"product": product.id, "currency": "jpy", "unit_amount": 500})
    for after in (
        {"type": "redirect", "redirect": {"url": "http://127.0.0.1/x"}},
        {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": "Thanks"}},
    ):
        options: Any = {"line_items": [{"price": price.id, "quantity": 1}], "after_completion": after}
        options["payment_intent_data"] = {"metadata": {"a": "b"}, "description": "d"}
        requests.get(client.v1.payment_links.create(params=options).url, timeout=5)
    session = client.v1.checkout.sessions.create(
        params=params(customer_creation="always", customer_email="a@b.example")
    )
    world.control(f"pay/{session.id}", {})
    recovery: Any = {"recovery": {"enabled": True}}
    session = client.v1.checkout.sessions.create(params=params(after_expiration=recovery))
    world.control(f"expire/{session.id}", {})
    session = world.control(f"recover/{session.id}", {})
    world.control(f"discount/{session['id']}", {"percent": 30})
    world.control(f"pay/{session['id']}", {"email": "a@b.example"})
    client.v1.webhook_endpoints.create(params={"url": "http://127.0.0.1:9/", "enabled_events": ["charge.failed"]})


def first_paid(world: World) -> str:
    return next(
        str(row["session"])
        for row in world.control("ledger")["sessions"]
        if row["paid"] and row["dispute"] is None and not row["refunded"]
    )


def test_answers_hold(world: World, contract: Any) -> None:
    everything(world)
    found: dict[str, Any] = {}
    for kind, plural in KINDS.items():
        bodies = world.account.store.find(kind)
        assert bodies, kind
        if kind != "payment_method":  # Stripe lists these per customer only
            found[plural] = check(world, contract, "GET", f"/v1/{plural}", limit="100")
        path = f"/v1/{plural}/{bodies[0]['id']}"
        found[path] = check(world, contract, "GET", path)
        found[kind] = [problem for body in bodies for problem in contract.object(body)]
    assert {path: problems for path, problems in found.items() if problems} == {}


def check(world: World, contract: Any, method: str, path: str, **query: str) -> list[str]:
    suffix = "?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else ""
    status, body, _ = call(world, method, path + suffix)
    assert status == 200, body
    problems: list[str] = contract.response(method, path, body)
    return problems


@pytest.mark.parametrize(
    "path,expand",
    [
        ("checkout/sessions/%s", "line_items.data.price.product"),
        ("checkout/sessions/%s", "payment_intent.latest_charge"),
        ("checkout/sessions/%s", "payment_intent.latest_charge.refunds"),
        ("checkout/sessions/%s", "payment_intent.payment_method"),
        ("checkout/sessions", "data.line_items"),
        ("checkout/sessions", "data.payment_intent.latest_charge"),
        ("checkout/sessions/%s/line_items", "data.price.product"),
    ],
)
def test_expanded_answers_hold(world: World, contract: Any, path: str, expand: str) -> None:
    world.control("trigger", {"type": "refund.failed"})
    path = path.replace("%s", world.control("ledger")["sessions"][0]["session"])
    assert check(world, contract, "GET", f"/v1/{path}", **{"expand[]": expand}) == []


def test_created_objects_hold(world: World, contract: Any) -> None:
    status, session, _ = call(world, "POST", "/v1/checkout/sessions", session_pairs())
    assert (status, contract.response("POST", "/v1/checkout/sessions", session)) == (200, [])
    path = f"/v1/checkout/sessions/{session['id']}/expire"
    status, session, _ = call(world, "POST", path, [])
    assert (status, contract.response("POST", path, session)) == (200, [])
    intent = world.control("trigger", {"type": "payment_intent.succeeded"})["events"][0]["data"]["object"]["id"]
    status, refund, _ = call(world, "POST", "/v1/refunds", [("payment_intent", intent), ("amount", "500")])
    assert (status, contract.response("POST", "/v1/refunds", refund)) == (200, [])
    pairs = [("url", "http://127.0.0.1:9/"), ("enabled_events[]", "*")]
    status, endpoint, _ = call(world, "POST", "/v1/webhook_endpoints", pairs)
    assert (status, contract.response("POST", "/v1/webhook_endpoints", endpoint)) == (200, [])


def test_account_and_errors_hold(world: World, contract: Any) -> None:
    assert check(world, contract, "GET", "/v1/account") == []
    status, body, _ = call(world, "GET", "/v1/refunds/re_none")
    assert (status, contract.response("GET", "/v1/refunds/re_none", body)) == (404, [])


def test_refusal_of_a_restricted_key_holds(world: World, contract: Any) -> None:
    world.control("keys", {"key": "rk_test_blind", "permissions": []})
    status, body, _ = call(world, "GET", "/v1/webhook_endpoints", Authorization="Bearer rk_test_blind")
    assert (status, contract.response("GET", "/v1/webhook_endpoints", body)) == (403, [])


def test_every_operation_is_one_of_stripes(contract: Any) -> None:
    from sandbox.world.operations import OPERATIONS

    problems = {}
    for operation in OPERATIONS:
        path = operation.pattern.pattern.replace("([^/]+)", "x")
        allowed = [
            p
            for p in contract.request(operation.method, path, dict.fromkeys(operation.names, ""))
            if "unknown" in p or "no such" in p
        ]
        if allowed:
            problems[f"{operation.method} {path}"] = allowed
    assert json.dumps(problems, indent=1) == "{}"
