"""Faults do what they say, as often as they say, and nothing once they are over."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
import stripe

from sandbox.world.server import ControlError, World
from tests.sandbox.test_api import call, session_pairs
from tests.sandbox.world_fixtures import (
    Listener,
    client,
    client_of,
    hooked,
    listener,
    module_hooked,
    module_world,
    paid,
    params,
    test_settings,
    world,
)

__all__ = ["client", "hooked", "listener", "module_hooked", "module_world", "paid", "test_settings", "world"]
PATH = "/v1/checkout/sessions"


def fault(world: World, area: str, kind: str, **options: Any) -> Any:
    return world.control("faults", {"area": area, "kind": kind, **options})


def expired(world: World) -> None:
    world.control("trigger", {"type": "checkout.session.expired"})


def test_webhook_duplicates_arrive_at_once(hooked: World, listener: Listener) -> None:
    fault(hooked, "webhooks", "duplicate", times=4, count=1)
    expired(hooked)
    expired(hooked)
    assert hooked.quiet()
    ids = [event["id"] for event, _, _ in listener.received]
    assert sorted(ids.count(one) for one in set(ids)) == [1, 4]
    log = hooked.control("events")["events"][1]["deliveries"][0]
    starts = [one["at"] for one in log["tries"]]
    assert (len(starts), max(starts) - min(starts) < 0.1) == (4, True)


def test_webhook_delay_holds_the_event_back(hooked: World, listener: Listener) -> None:
    fault(hooked, "webhooks", "delay", seconds=0.3, count=1)
    began = time.monotonic()
    expired(hooked)
    assert hooked.quiet()
    assert 0.3 <= time.monotonic() - began < 5
    assert listener.types == ["checkout.session.expired"]


@pytest.mark.parametrize("order", ["shuffle", "reverse"])
def test_webhook_reorder_changes_the_order(hooked: World, listener: Listener, order: str) -> None:
    fault(hooked, "webhooks", "reorder", seconds=0.3, order=order)
    hooked.control("trigger", {"type": "refund.created"})
    assert hooked.quiet()
    true_order = [event["id"] for event in hooked.control("events")["events"]][::-1]
    arrived = [event["id"] for event, _, _ in listener.received]
    assert sorted(arrived) == sorted(true_order)
    assert (arrived == true_order[::-1]) if order == "reverse" else (arrived != true_order)


def test_dropped_webhooks_are_in_the_list_of_events_only(hooked: World, listener: Listener) -> None:
    fault(hooked, "webhooks", "drop", count=1, type="charge.")
    hooked.control("trigger", {"type": "checkout.session.completed"})
    assert hooked.quiet()
    assert len(listener.types) == 3
    assert "charge.succeeded" not in listener.types
    assert hooked.control("events?type=charge.succeeded")["events"][0]["deliveries"][0]["state"] == "dropped"


@pytest.mark.parametrize(
    "status,error",
    [(500, stripe.APIError), (402, stripe.CardError), (429, stripe.RateLimitError), (401, stripe.AuthenticationError)],
)
def test_api_error_fits_the_path_and_its_count(world: World, client: Any, status: int, error: type[Exception]) -> None:
    fault(world, "api", "error", status=status, count=1, path=PATH)
    assert client.v1.events.list().data == []
    with pytest.raises(error):
        client.v1.checkout.sessions.create(params=params())
    assert world.control("ledger")["sessions"] == []
    client.v1.checkout.sessions.create(params=params())


def test_retrying_client_gets_through_an_error(world: World) -> None:
    fault(world, "api", "error", status=503, count=1)
    session = client_of(world, max_network_retries=1).v1.checkout.sessions.create(params=params())
    assert [row["session"] for row in world.control("ledger")["sessions"]] == [session.id]


def test_dropped_answer_leaves_the_work_done_and_repeatable(world: World) -> None:
    fault(world, "api", "drop", count=1)
    with pytest.raises(requests.ConnectionError):
        call(world, "POST", PATH, session_pairs(), Idempotency_Key="k")
    assert len(world.control("ledger")["sessions"]) == 1
    status, body, headers = call(world, "POST", PATH, session_pairs(), Idempotency_Key="k")
    assert (status, headers["Idempotent-Replayed"]) == (200, "true")
    assert [row["session"] for row in world.control("ledger")["sessions"]] == [body["id"]]


def test_dropped_request_does_no_work(world: World) -> None:
    fault(world, "api", "drop", when="before", count=1)
    with pytest.raises(requests.ConnectionError):
        call(world, "POST", PATH, session_pairs())
    assert world.control("ledger")["sessions"] == []


def test_error_after_the_work_hides_a_session(world: World) -> None:
    fault(world, "api", "error", when="after", count=1)
    assert call(world, "POST", PATH, session_pairs())[0] == 500
    assert len(world.control("ledger")["sessions"]) == 1


def test_timeout_holds_the_answer_and_nobody_else(world: World) -> None:
    fault(world, "api", "timeout", seconds=1.5, count=1)
    began, answers = time.monotonic(), []
    held = threading.Thread(target=lambda: answers.append(call(world, "POST", PATH, session_pairs())[0]))
    held.start()
    while not world.control("ledger")["sessions"]:
        time.sleep(0.005)
    call(world, "GET", "/v1/account")
    assert time.monotonic() - began < 1.5
    held.join()
    assert (answers, time.monotonic() - began >= 1.5) == ([200], True)


def test_stale_read_shows_what_was_before_the_change(
    world: World, client: Any, paid: Callable[..., dict[str, Any]]
) -> None:
    session = paid()
    fault(world, "api", "stale", changes=1, count=1, path=PATH)
    old = client.v1.checkout.sessions.retrieve(session["id"])
    assert (old.status, old.payment_status) == ("open", "unpaid")
    assert client.v1.checkout.sessions.retrieve(session["id"]).status == "complete"
    fault(world, "api", "stale", seconds=60, count=1)
    listed = client.v1.checkout.sessions.list().data[0]
    assert (listed.status, listed.payment_intent) == ("open", None)


def test_faults_are_cleared_by_area_and_by_id(world: World) -> None:
    first = fault(world, "api", "error")
    fault(world, "api", "drop")
    fault(world, "mail", "slow")
    assert world.control("faults/clear", {"id": first["id"]}) == {"cleared": 1}
    assert world.control("faults/clear", {"area": "mail"}) == {"cleared": 1}
    assert [one["kind"] for one in world.control("faults")["faults"]] == ["drop"]
    assert world.control("faults/clear", {}) == {"cleared": 1}


@pytest.mark.parametrize(
    "spec",
    [
        {"area": "api", "kind": "explode"},
        {"area": "api", "kind": "error", "times": 3},
        {"area": "api", "kind": "error", "status": "many"},
        {"area": "api", "kind": "drop", "when": "never"},
        {"area": "api", "kind": "stale"},
        {"area": "webhooks", "kind": "duplicate", "times": 0},
    ],
)
def test_fault_that_makes_no_sense_is_refused(world: World, spec: dict[str, Any]) -> None:
    with pytest.raises(ControlError) as caught:
        world.control("faults", spec)
    assert caught.value.status == 400
    assert world.control("faults")["faults"] == []


def test_reset_forgets_all_but_the_endpoints(hooked: World, listener: Listener) -> None:
    expired(hooked)
    fault(hooked, "api", "error")
    assert hooked.quiet()
    hooked.control("reset", {})
    assert hooked.control("ledger") == {"sessions": []}
    assert hooked.control("faults") == {"faults": []}
    expired(hooked)
    assert hooked.quiet()
    assert listener.types == ["checkout.session.expired"] * 2


def test_chance_strikes_its_share(world: World) -> None:
    world.control("faults", {"area": "webhooks", "kind": "drop", "chance": 0})
    assert world.account.faults.take("webhooks", "drop", type="charge.refunded") is None
    world.control("faults", {"area": "webhooks", "kind": "drop", "chance": 0.5})
    struck = sum(world.account.faults.take("webhooks", "drop", type="any") is not None for _ in range(400))
    assert 100 < struck < 300
    with pytest.raises(ControlError, match="chance is between 0 and 1"):
        world.control("faults", {"area": "webhooks", "kind": "drop", "chance": 2})
