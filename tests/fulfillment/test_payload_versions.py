"""F50: whatever API version an endpoint's payloads are rendered in, the end is the same, because only ids are read."""

from typing import Any

import pytest
from django.test import Client

from fulfillment.delivery_models import Delivery
from fulfillment.models import Entitlement, StripeEvent
from fulfillment.sweep import sweep
from orders.models import Order, TimelineEntry
from sandbox.world.server import World
from tests.factories import ProductFactory
from tests.fulfillment.payloads import ACACIA, ENDIVE, JUNE_2024, NOVEMBER_2022, VERSIONS, kept_by, render
from tests.steps import GUEST, begin_checkout, buy, events, post_event

pytestmark = pytest.mark.django_db


def report_as(world: World, client: Client, version: str) -> None:
    """Stripe posts what has happened so far as an endpoint of this version gets it, and all is handled."""
    for event in events(world):
        if kept_by(version, event["type"]):
            assert post_event(client, render(event, version)).status_code == 200
    assert sweep().failed == 0


def end_state() -> dict[str, Any]:
    """Everything that events may lead to, without what differs between any two runs."""
    return {
        "orders": list(Order.objects.order_by("pk").values_list("state", "total", "refunded", "dispute", "email")),
        "access": list(Entitlement.objects.order_by("pk").values_list("state", "reason", "email")),
        "mails": list(Delivery.objects.order_by("pk").values_list("kind", "state", "recipient")),
        "timeline": list(TimelineEntry.objects.order_by("pk").values_list("kind", "door", "detail")),
    }


def completed(world: World, client: Client, version: str) -> None:
    buy(world, client, ProductFactory(name="Knots"))
    report_as(world, client, version)


def refunded(world: World, client: Client, version: str) -> None:
    completed(world, client, version)
    world.control("refund", {"session": Order.objects.get().stripe_session_id})
    report_as(world, client, version)


def disputed(world: World, client: Client, version: str) -> None:
    completed(world, client, version)
    world.control("dispute", {"session": Order.objects.get().stripe_session_id})
    report_as(world, client, version)


def settled(world: World, client: Client, version: str, result: str = "succeeded") -> None:
    buy(world, client, ProductFactory(name="Knots"), method="bank_debit")
    report_as(world, client, version)
    world.control(f"settle/{Order.objects.get().stripe_session_id}", {"result": result})
    report_as(world, client, version)


def failed(world: World, client: Client, version: str) -> None:
    settled(world, client, version, result="failed")


def expired(world: World, client: Client, version: str) -> None:
    order = begin_checkout(client, ProductFactory(name="Knots"))
    world.control(f"expire/{order.stripe_session_id}", {})
    report_as(world, client, version)


SCRIPTS: list[tuple[Any, tuple[str, int, int, str, str], list[tuple[str, str, str]]]] = [
    (completed, ("paid", 1250, 0, "", GUEST), [("active", "", GUEST)]),
    (refunded, ("paid", 1250, 1250, "", GUEST), [("revoked", "refunded", GUEST)]),
    (disputed, ("paid", 1250, 0, "open", GUEST), [("suspended", "disputed", GUEST)]),
    (settled, ("paid", 1250, 0, "", GUEST), [("active", "", GUEST)]),
    (failed, ("failed", 1250, 0, "", GUEST), []),
    (expired, ("expired", 1250, 0, "", ""), []),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("script, order, access", SCRIPTS, ids=lambda one: getattr(one, "__name__", ""))
def test_f50_every_version_leads_to_the_same_end(
    world: World, client: Client, version: str, script: Any, order: Any, access: Any
) -> None:
    script(world, client, version)
    found = end_state()
    assert (found["orders"], found["access"]) == ([order], access)
    assert set(StripeEvent.objects.values_list("api_version", flat=True)) == {version}
    assert set(StripeEvent.objects.values_list("state", flat=True)) <= {"handled", "ignored"}


def test_f50_bodies_do_differ(world: World, client: Client) -> None:
    """Does it bite? A version must be told by more than its name."""
    buy(world, client, ProductFactory())
    event = events(world, "checkout.session.completed")[0]
    bodies = [str(render(event, version)["data"]) for version in VERSIONS]
    assert len(set(bodies)) == len(VERSIONS)
    assert render(event, NOVEMBER_2022)["data"]["object"]["shipping_details"] is None
    assert "shipping_details" not in render(event, ENDIVE)["data"]["object"]
    assert (kept_by(JUNE_2024, "refund.created"), kept_by(ACACIA, "refund.created")) == (False, True)


@pytest.mark.parametrize("version", VERSIONS)
def test_f50_f17_version_and_amounts_of_a_payload_are_never_believed(
    world: World, client: Client, version: str
) -> None:
    """A signed payload that claims another price, buyer and state changes nothing: Stripe is asked."""
    buy(world, client, ProductFactory())
    event = render(events(world, "checkout.session.completed")[0], version)
    event["data"]["object"] |= {
        "amount_total": 1,
        "currency": "jpy",
        "customer_details": {"email": "thief@example.com"},
        "payment_status": "unpaid",
    }
    post_event(client, event)
    sweep()
    assert end_state()["orders"] == [("paid", 1250, 0, "", GUEST)]
