"""D7, F61: an order in dispute, its evidence as text, as a draft with Stripe, and at the bank."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import stripe
from django.contrib.admin.models import LogEntry
from django.test import Client

from fulfillment import evidence
from fulfillment.fulfill import fulfill
from orders.models import Order
from sandbox.world.server import World

pytestmark = pytest.mark.django_db


def page(order: Order, step: str = "") -> str:
    return f"/admin/orders/order/{order.pk}/evidence/{step}"


def disputed(world: World, order: Order, **options: Any) -> str:
    """Open a dispute; its id."""
    dispute = world.control("dispute", {"session": order.stripe_session_id, **options})
    fulfill(str(order.stripe_session_id), door="webhook")
    order.refresh_from_db()
    return str(dispute["id"])


def at_stripe(world: World, dispute_id: str) -> Any:
    return stripe.StripeClient(world.secret_key, base_addresses={"api": world.base_url}).v1.disputes.retrieve(
        dispute_id
    )


def send(desk: Client, order: Order, step: str, dispute_id: str, **typed: Any) -> list[str]:
    """Press a button; what one is told."""
    answer = desk.post(page(order, step), {"dispute": dispute_id, "key": str(uuid.uuid4()), **typed})
    assert (answer.status_code, answer["Location"]) == (303, page(order))
    return [str(message) for message in desk.get(page(order)).context["messages"]]


def test_f61_page_shows_the_case_with_its_due_date_and_the_text(
    desk: Client, world: World, paid: Callable[..., Order]
) -> None:
    order = paid()
    dispute_id = disputed(world, order)
    case = desk.get(page(order)).context["offers"][0]["case"]
    details = at_stripe(world, dispute_id)
    assert (case.id, case.status, case.amount, case.submissions) == (dispute_id, "needs_response", 1250, 0)
    assert int(case.due_by.timestamp()) == details.evidence_details.due_by
    text = desk.get(page(order)).content.decode()
    assert f"{case.due_by:%Y-%m-%d %H:%M} UTC" in text
    assert "Submit to the bank for good" in text
    assert order.reference in text


def test_f61_text_file_is_the_same_text(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    disputed(world, order)
    answer = desk.get(page(order).removesuffix("/") + ".txt")
    assert answer.content.decode() == evidence.text(order)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"] == f'attachment; filename="evidence-{order.reference}.txt"'


def test_f61_draft_stays_with_stripe(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    dispute_id = disputed(world, order)
    assert send(desk, order, "save/", dispute_id) == [
        "Stripe has it as a draft, which the bank does not see. Submit it in time."
    ]
    found = at_stripe(world, dispute_id)
    assert (found.status, found.evidence_details.submission_count) == ("needs_response", 0)
    given = {name: value for name, value in found.evidence.to_dict().items() if value}
    assert given == evidence.fields(order)
    assert "saved with Stripe as a draft, not submitted" in desk.get(page(order)).content.decode()


def test_f61_submitting_is_final_and_needs_the_tick(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    dispute_id = disputed(world, order)
    assert send(desk, order, "submit/", dispute_id) == ["Nothing was sent: tick the box to say that this is final."]
    assert at_stripe(world, dispute_id).status == "needs_response"
    [said] = send(desk, order, "submit/", dispute_id, final="on")
    assert said.startswith("The bank has the evidence.")
    found = at_stripe(world, dispute_id)
    assert (found.status, found.evidence_details.submission_count) == ("under_review", 1)
    assert found.evidence.customer_email_address == order.email
    assert "Submit to the bank" not in desk.get(page(order)).content.decode()
    again = send(desk, order, "submit/", dispute_id, final="on")
    assert again == ["Nothing was sent: this dispute takes no evidence now."]
    assert at_stripe(world, dispute_id).evidence_details.submission_count == 1


def test_f61_inquiry_can_be_answered_too(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    dispute_id = disputed(world, order, inquiry=True)
    assert order.dispute == ""
    send(desk, order, "submit/", dispute_id, final="on")
    assert at_stripe(world, dispute_id).status == "warning_under_review"


def test_s60_who_submitted_stands_in_the_audit(
    desk: Client, owner: Any, world: World, paid: Callable[..., Order]
) -> None:
    order = paid()
    dispute_id = disputed(world, order)
    send(desk, order, "submit/", dispute_id, final="on")
    what = f"evidence for {dispute_id} submitted to the bank"
    assert order.timeline.get(kind="by_hand").detail == f"{what} – o…@example.com (user {owner.pk})"
    assert (LogEntry.objects.get().user, LogEntry.objects.get().get_change_message()) == (owner, what)


def test_dispute_of_another_order_is_not_answered(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order, other = paid(), paid()
    disputed(world, order)
    others = disputed(world, other)
    assert send(desk, order, "submit/", others, final="on") == ["Nothing was sent: this dispute takes no evidence now."]
    assert at_stripe(world, others).evidence_details.has_evidence is False


def test_order_without_a_dispute_shows_the_text_and_no_buttons(desk: Client, paid: Callable[..., Order]) -> None:
    order = paid()
    text = desk.get(page(order)).content.decode()
    assert "Stripe knows of no dispute about this payment." in text
    assert "Submit to the bank" not in text


def test_silent_stripe_leaves_the_text(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    disputed(world, order)
    world.control("faults", {"area": "api", "kind": "error", "status": 503, "path": "/v1/disputes"})
    text = desk.get(page(order)).content.decode()
    assert "Stripe cannot be asked about the dispute now" in text
    assert order.reference in text


def test_refusal_of_stripe_is_said_and_noted(desk: Client, world: World, paid: Callable[..., Order]) -> None:
    order = paid()
    dispute_id = disputed(world, order)
    fault = {"area": "api", "kind": "error", "status": 400, "method": "POST", "path": "/v1/disputes"}
    world.control("faults", {**fault, "error_code": "dispute_evidence_page_limit_exceeded"})
    [said] = send(desk, order, "save/", dispute_id)
    assert said.startswith("Stripe refused it: It has more pages than this card network takes.")
    assert order.timeline.filter(kind="by_hand").last().detail.startswith(f"evidence for {dispute_id} refused: It has")  # type: ignore[union-attr]
