"""Webhooks: really signed, retried, several endpoints, never in the way of the buyer."""

import time
from typing import Any

import pytest
import requests
import stripe

from sandbox.world.errors import ApiError
from sandbox.world.server import World, running_world
from sandbox.world.trigger import SCENARIOS
from sandbox.world.webhooks import in_order, post, signature
from tests.sandbox.world_fixtures import (
    SECRET,
    Listener,
    client_of,
    hooked,
    listener,
    listening,
    module_hooked,
    params,
    test_settings,
)

__all__ = ["hooked", "listener", "module_hooked", "test_settings"]
KINDS = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]


def buy(world: World) -> Any:
    session = client_of(world).v1.checkout.sessions.create(params=params())
    world.control(f"pay/{session.id}", {"email": "ada@example.com"})
    return session


def test_payment_sends_signed_events(hooked: World, listener: Listener) -> None:
    session = buy(hooked)
    assert hooked.quiet()
    assert sorted(listener.types) == sorted(KINDS)
    for event, headers, body in listener.received:
        stripe.WebhookSignature.verify_header(body.decode(), headers["Stripe-Signature"], SECRET, tolerance=60)
        assert event["api_version"] == "2026-10-28.endive"
    completed = next(event for event, _, _ in listener.received if event["type"] == "checkout.session.completed")
    assert completed["data"]["object"]["id"] == session.id
    assert completed["data"]["object"]["payment_status"] == "paid"


def test_signature_of_another_secret_does_not_verify() -> None:
    header = signature(b"{}", ["whsec_other"], int(time.time()))
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header("{}", header, SECRET, tolerance=60)


def verifies(listener: Listener, secret: str) -> bool:
    """Whether the last webhook is signed with this secret, too."""
    _, headers, body = listener.received[-1]
    try:
        stripe.WebhookSignature.verify_header(body.decode(), headers["Stripe-Signature"], secret, tolerance=60)
    except stripe.SignatureVerificationError:
        return False
    return True


def test_rolled_secret_signs_until_it_expires(hooked: World, listener: Listener) -> None:
    hooked.control("endpoints/roll", {"secret": "whsec_rolled"})
    hooked.control("trigger", {"type": "checkout.session.expired"})
    assert hooked.quiet()
    assert (verifies(listener, SECRET), verifies(listener, "whsec_rolled")) == (True, True)
    hooked.control("endpoints/expire", {})
    hooked.control("trigger", {"type": "checkout.session.expired"})
    assert hooked.quiet()
    assert (verifies(listener, SECRET), verifies(listener, "whsec_rolled")) == (False, True)


@pytest.mark.parametrize("status", [500, 302, 400])
def test_refused_delivery_is_repeated_until_it_is_taken(hooked: World, listener: Listener, status: int) -> None:
    listener.answers = [status, status]
    hooked.control("trigger", {"type": "checkout.session.expired"})
    assert hooked.quiet()
    assert listener.types == ["checkout.session.expired"] * 3
    log = hooked.control("events")["events"][0]["deliveries"][0]
    assert (log["state"], [one["status"] for one in log["tries"]]) == ("delivered", [status, status, 200])


def test_delivery_that_is_never_taken_is_given_up(hooked: World, listener: Listener) -> None:
    listener.answers = [500] * 9
    hooked.control("trigger", {"type": "checkout.session.expired"})
    assert hooked.quiet()
    log = hooked.control("events")["events"][0]["deliveries"][0]
    assert (log["state"], log["attempts"]) == ("failed", 5)
    failed = client_of(hooked).v1.events.list(params={"delivery_success": False}).data
    assert [one.type for one in failed] == ["checkout.session.expired"]


def test_unreachable_endpoint_does_not_hold_up_the_buyer() -> None:
    with running_world(webhook_url="http://127.0.0.1:9/hook") as world:
        session = client_of(world).v1.checkout.sessions.create(params=params())
        form = {"email": "a@example.com", "card_number": "4242424242424242", "card_expiry": "1234", "card_cvc": "123"}
        form["method"] = "card"
        began = time.perf_counter()
        answer = requests.post(session.url, form, allow_redirects=False, timeout=5)
        assert (answer.status_code, time.perf_counter() - began < 1) == (303, True)
        assert world.quiet(0.1) is False


def test_delivery_waits_through_a_restart(tmp_path: Any, listener: Listener) -> None:
    listener.answers = [503]
    with running_world(data=tmp_path, webhook_url=listener.url, retry_delays=(0.5,)) as world:
        world.control("trigger", {"type": "checkout.session.expired"})
        while not listener.received:
            time.sleep(0.01)
    with running_world(data=tmp_path, webhook_url=listener.url, webhook_secret=SECRET) as world:
        assert world.quiet()
        assert len(world.control("events")["events"][0]["deliveries"]) == 1
    assert listener.types == ["checkout.session.expired"] * 2
    _, headers, body = listener.received[1]
    stripe.WebhookSignature.verify_header(body.decode(), headers["Stripe-Signature"], SECRET, tolerance=60)


def test_each_endpoint_has_its_own_secret_and_events(hooked: World, listener: Listener) -> None:
    with listening() as other:
        made = client_of(hooked).v1.webhook_endpoints.create(
            params={"url": other.url, "enabled_events": ["charge.succeeded"]}
        )
        assert "secret" not in client_of(hooked).v1.webhook_endpoints.retrieve(made.id).to_dict()
        buy(hooked)
        assert hooked.quiet()
        assert other.types == ["charge.succeeded"]
        _, headers, body = other.received[0]
        stripe.WebhookSignature.verify_header(body.decode(), headers["Stripe-Signature"], made.secret, tolerance=60)
        assert len(listener.types) == 4


@pytest.mark.parametrize(
    "url", ["http://example.com/hook", "https://127.0.0.1/hook", "http://10.0.0.1/", "http://127.0.0.1.example.com/"]
)
def test_only_this_machine_gets_webhooks(hooked: World, url: str) -> None:
    with pytest.raises(ApiError, match="only to"):
        running_world(webhook_url=url).__enter__()
    with pytest.raises(stripe.InvalidRequestError):
        client_of(hooked).v1.webhook_endpoints.create(params={"url": url, "enabled_events": ["*"]})
    with pytest.raises(ApiError):
        post(url, b"{}", "t=1")


def test_event_is_sent_again_on_demand(hooked: World, listener: Listener) -> None:
    hooked.control("trigger", {"type": "checkout.session.expired"})
    assert hooked.quiet()
    event = hooked.control("events")["events"][0]["id"]
    hooked.control(f"events/{event}/send", {"times": 3})
    hooked.control(f"events/{event}/send", {"times": 4, "parallel": True})
    assert hooked.quiet()
    assert [one["id"] for one, _, _ in listener.received] == [event] * 8


def test_retry_that_waits_for_its_hour_is_hurried(listener: Listener) -> None:
    listener.answers = [503]
    with running_world(webhook_url=listener.url, retry_delays=(3600,)) as world:
        world.control("trigger", {"type": "checkout.session.expired"})
        while not (event := world.control("events")["events"][0])["deliveries"][0]["attempts"]:
            time.sleep(0.01)
        assert event["deliveries"][0]["state"] == "pending"
        assert world.control("events/hurry", {}) == {"hurried": 1}
        assert world.quiet()
    assert listener.types == ["checkout.session.expired"] * 2


@pytest.mark.parametrize("kind", sorted(SCENARIOS))
def test_every_supported_event_can_be_triggered(hooked: World, listener: Listener, kind: str) -> None:
    answer = hooked.control("trigger", {"type": kind, "email": "eve@example.com", "metadata": {"n": "1"}})
    assert kind in [event["type"] for event in answer["events"]]
    assert hooked.quiet()
    assert kind in listener.types


def test_batches_are_mixed_or_reversed() -> None:
    ids = [1, 2, 3, 4]
    assert in_order("reverse-x", ids) == [4, 3, 2, 1]
    assert in_order("serial-x", ids) == ids
    mixed = in_order("shuffle-x", ids)
    assert mixed != ids
    assert sorted(mixed) == ids
