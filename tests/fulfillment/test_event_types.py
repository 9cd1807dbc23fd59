"""One list says which event leads where; all others are kept, answered with 200, and ignored with the reason."""

import json
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from fulfillment import alerts, inbox
from fulfillment.event_types import FRAUD_WARNING, LEADS, TYPES, WITHOUT_EFFECT, By, reason_to_ignore
from fulfillment.models import StripeEvent
from fulfillment.sweep import sweep
from orders import stripe_api
from orders.models import Order
from sandbox.world.server import World
from sandbox.world.trigger import SCENARIOS
from tests.factories import ProductFactory
from tests.steps import DELIVERED, buy, events, post_event, states

pytestmark = pytest.mark.django_db


def event(kind: str, subject: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "evt_1", "type": kind, "livemode": False, "data": {"object": subject}} | fields


def kept(client: Client, posted: dict[str, Any]) -> tuple[str, str]:
    """Posted and answered with 200: the state and the note of its row, once everything due is handled."""
    assert post_event(client, posted).status_code == 200
    sweep()
    return StripeEvent.objects.values_list("state", "note").get(event_id=posted["id"])


@pytest.mark.parametrize("kind", sorted(TYPES & set(SCENARIOS)))
def test_every_type_that_leads_alone_brings_the_order_up_to_date(world: World, client: Client, kind: str) -> None:
    """The one event of its type is enough: all the others of the same payment are lost."""
    ProductFactory(slug="knots", price=1500)
    made = world.control("trigger", {"type": kind, "metadata": {"product_slug": "knots"}})["events"]
    [*_, last] = [one for one in made if one["type"] == kind]
    if kind == "checkout.session.expired":  # nobody paid and no order of ours knows the session
        note = "a Checkout Session that was abandoned, or that another application made"
        assert (kept(client, last), Order.objects.count()) == (("ignored", note), 0)
        return
    assert kept(client, last) == ("handled", "")
    facts = stripe_api.fetch_facts(str(Order.objects.get().stripe_session_id))
    assert Order.objects.get().facts_digest == facts.digest


@pytest.mark.parametrize("kind", sorted(TYPES - set(SCENARIOS)))
def test_types_that_the_sandbox_cannot_make_lead_to_the_same_session(world: World, client: Client, kind: str) -> None:
    order = buy(world, client, ProductFactory())
    intent = events(world, "payment_intent.succeeded")[0]["data"]["object"]["id"]
    subject = (
        {"id": intent} if LEADS[kind] is By.INTENT else {"id": "issfr_1", "charge": "ch_1", "payment_intent": intent}
    )
    state, note = kept(client, event(kind, subject))
    assert (state, note) == ("handled", f"order {order.reference}" if kind == FRAUD_WARNING else "")
    assert states(order)[:2] == DELIVERED[:2]


def test_types_stand_in_one_place_only() -> None:
    assert set(LEADS) & set(WITHOUT_EFFECT) == set()
    for family in ("payment_intent", "checkout.session", "charge", "refund"):
        known = {kind for kind in {*LEADS, *WITHOUT_EFFECT} if kind.startswith(f"{family}.")}
        assert known >= {kind for kind in SCENARIOS if kind.startswith(f"{family}.")}, family


@pytest.mark.parametrize("kind, reason", sorted(WITHOUT_EFFECT.items()))
def test_f49_type_without_effect_is_kept_with_its_reason(client: Client, kind: str, reason: str) -> None:
    assert kept(client, event(kind, {"id": "pi_1"})) == ("ignored", reason)


NOT_THIN = "a thin event, which carries no object: let the endpoint send snapshot events"
THIN = {
    "id": "evt_test_65TNs3fGk2lAm4",
    "object": "v2.core.event",
    "type": "v2.core.account.updated",
    "created": "2026-11-25T03:00:00.000Z",
    "livemode": False,
    "context": "acct_1",
    "related_object": {"id": "acct_2", "type": "v2.core.account", "url": "/v2/core/accounts/acct_2"},
}


@pytest.mark.parametrize(
    "posted, note",
    [
        (event("capability.updated", {"id": "card_payments"}), "nothing in the shop follows from this type"),
        (event("", {}), "nothing in the shop follows from this type"),
        (THIN, NOT_THIN),
        (THIN | {"type": "v1.billing.meter.no_meter_found"}, NOT_THIN),
        (event("checkout.session.completed", {"id": "cs_test_1"}, account="acct_1"),
         "an event of the connected account acct_1"),
    ],
    ids=["unknown", "no type", "thin", "thin v1", "connected"],
)  # fmt: skip
def test_f49_what_leads_nowhere_is_kept_ignored_and_answered_200(
    client: Client, posted: dict[str, Any], note: str
) -> None:
    assert kept(client, posted) == ("ignored", note)
    assert Order.objects.count() == 0
    stored = StripeEvent.objects.get()
    assert json.loads(bytes(stored.body)) == posted
    assert stored.account == posted.get("account", "")


@pytest.mark.parametrize("key_is_live, event_is_live", [(True, False), (False, True), (True, True), (False, False)])
def test_f48_event_of_the_other_mode_is_ignored_and_told_of(
    client: Client, settings: Settings, mailoutbox: list[Any], key_is_live: bool, event_is_live: bool
) -> None:
    settings.STRIPE_SECRET_KEY = "sk_live_only_for_tests" if key_is_live else "sk_test_only_for_tests"
    for number in range(3):
        posted = event("checkout.session.completed", {"id": "cs_test_1"}, id=f"evt_{number}", livemode=event_is_live)
        assert post_event(client, posted).status_code == 200
    same = key_is_live == event_is_live
    assert set(StripeEvent.objects.values_list("state", flat=True)) == {"received" if same else "ignored"}
    assert Order.objects.count() == 0
    alerts.check()
    ours, theirs = ("live", "test") if key_is_live else ("test", "live")
    line = f"3 in {theirs} mode within a day, this shop's key is for {ours} mode"
    assert [message.subject for message in mailoutbox] == (
        [] if same else [f"[Paper Lantern] events of the other mode: {line}"]
    )
    if not same:
        assert StripeEvent.objects.first().note == (  # type: ignore[union-attr]
            f"livemode is {event_is_live}, this shop's key is for {ours} mode"
        )


def test_f48_test_events_of_connected_accounts_and_thin_ones_alarm_nobody(client: Client, settings: Settings) -> None:
    """Stripe sends a platform's live endpoint the test events of its accounts too."""
    settings.STRIPE_SECRET_KEY = "sk_live_only_for_tests"
    post_event(client, event("checkout.session.completed", {"id": "cs_test_1"}, account="acct_1"))
    post_event(client, {name: value for name, value in THIN.items() if name != "livemode"})
    assert StripeEvent.objects.filter(state="ignored").count() == 2
    assert alerts.check() == 0


def test_f61_fraud_warning_is_told_once_with_its_order(world: World, client: Client, mailoutbox: list[Any]) -> None:
    order = buy(world, client, ProductFactory())
    intent = events(world, "payment_intent.succeeded")[0]["data"]["object"]["id"]
    kept(client, event(FRAUD_WARNING, {"id": "issfr_1", "payment_intent": intent}))
    subjects = [message.subject for message in mailoutbox if "fraud" in message.subject]
    assert len(subjects) == 1
    assert subjects[0].startswith(f"[Paper Lantern] early fraud warning: order {order.reference}, warned ")
    assert states(order)[1] == ["active"]  # a warning takes nothing away
    kept(client, event(FRAUD_WARNING, {"id": "issfr_2", "payment_intent": "pi_of_others"}, id="evt_2"))
    alerts.check()
    assert len([message for message in mailoutbox if "fraud" in message.subject]) == 1


def test_payment_intent_that_comes_expanded_is_found(world: World, client: Client) -> None:
    order = buy(world, client, ProductFactory())
    intent = events(world, "payment_intent.succeeded")[0]["data"]["object"]
    refund = world.control("refund", {"session": order.stripe_session_id})
    assert kept(client, event("refund.created", {"id": refund["id"], "payment_intent": intent})) == ("handled", "")
    assert states(order)[1] == ["revoked"]


def test_event_stored_before_its_reason_was_known_is_ignored_when_it_is_handled() -> None:
    StripeEvent.objects.create(event_id="evt_1", type="charge.succeeded", body=b"{}")
    assert inbox.handle("evt_1") is True
    assert StripeEvent.objects.get().state == "ignored"


def test_reason_of_an_event_that_leads_is_empty() -> None:
    reasons = {reason_to_ignore(kind, account="", livemode=False, shop_is_live=False) for kind in TYPES}
    assert reasons == {""}
